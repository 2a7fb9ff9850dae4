// What Observed<Promise> keeps of a coroutine and of a thread, and when a step
// begins and ends. Not for direct use: see instrument/adapters/observed.h.
//
// Nobody tells where the step of a foreign coroutine ends: its scheduler is not
// ours. So a step begins where a coroutine runs on a thread on which none ran, and
// ends where it suspends. It goes on only into a coroutine that is known to be
// observed: one that is not would never end it, and the loop's own wait would be
// taken for a blocking call.
#pragma once

#include <dlfcn.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <algorithm>
#include <atomic>
#include <bit>
#include <source_location>
#include <string_view>

#include "instrument/annotate.h"

namespace loopsan::observed {

inline const loopsan_annotations* LookUp() noexcept {
  auto* const function = reinterpret_cast<loopsan_annotations_function>(
      dlsym(RTLD_DEFAULT, LOOPSAN_ANNOTATIONS_SYMBOL));
  const loopsan_annotations* const found = function != nullptr ? function() : nullptr;
  return found != nullptr && found->version == LOOPSAN_ANNOTATIONS_VERSION &&
                 found->bytes >= sizeof(loopsan_annotations)
             ? found
             : nullptr;
}

// The probe's functions; null: nobody watches, and nothing is done.
inline const loopsan_annotations* Annotations() noexcept {
  static const loopsan_annotations* const found = LookUp();
  return found;
}

// libstdc++ and libc++ keep a pointer to a static record of this layout.
inline const loopsan_source* SourceOf(std::source_location location) noexcept {
  return std::bit_cast<const loopsan_source*>(location);
}

// One coroutine. Its thread is the one that runs it, else nobody's: what it awaits
// is written before its handle is given away.
//
// Nothing but `address` is written while nobody watches: that would be most of the cost.
struct CoroutineRecord {
  loopsan_async_frame frame;  // `parent` is the frame of another record, the awaiter
  CoroutineRecord* awaited;   // whose `parent` is this
  void* address = nullptr;    // of its coroutine handle; null: nobody watched when it was made
  // An address in the function that made it (the call may be inlined), and its caller's.
  void* created_by[2];
  uint64_t task;  // its id if it is the outermost of a task; 0: it has none yet
  bool started;

  CoroutineRecord() noexcept {}  // NOLINT: leaves members as they are, see above
  CoroutineRecord(const CoroutineRecord&) = delete;
  CoroutineRecord& operator=(const CoroutineRecord&) = delete;
  ~CoroutineRecord() {
    if (!is_watched()) [[likely]] {
      return;
    }
    Unlink();
    LetGo();
  }

  bool is_watched() const noexcept { return address != nullptr; }

  void Watch(void* handle_address, const loopsan_source* defined_at, void* created_in,
             void* creators_caller) noexcept {
    frame = {};
    frame.defined_at = defined_at;
    awaited = nullptr;
    address = handle_address;
    created_by[0] = created_in;
    created_by[1] = creators_caller;
    task = 0;
    started = false;
  }

  static CoroutineRecord* Of(loopsan_async_frame* frame) noexcept {
    static_assert(offsetof(CoroutineRecord, frame) == 0);
    return reinterpret_cast<CoroutineRecord*>(frame);
  }
  CoroutineRecord* awaiter() const noexcept { return Of(frame.parent); }

  void Await(CoroutineRecord& child) noexcept {
    child.Unlink();
    child.frame.parent = &frame;
    awaited = &child;
  }
  // Nobody awaits it any more.
  void Unlink() noexcept {
    if (frame.parent == nullptr) return;
    awaiter()->awaited = nullptr;
    frame.parent = nullptr;
  }
  // It awaits nobody any more.
  void LetGo() noexcept {
    if (awaited == nullptr) return;
    awaited->frame.parent = nullptr;
    awaited = nullptr;
  }
};

// "Read" of "Task<int> {anonymous}::Read(int)": what a compiler calls a function, without
// what it returns and takes. Lambdas keep the function that they are in.
inline std::string_view ShortName(std::string_view function) noexcept {
  size_t begin = 0;
  size_t end = function.size();
  int depth = 0;
  for (size_t i = 0; i < function.size(); ++i) {
    const char c = function[i];
    if (c == '(' && depth == 0 && end == function.size()) end = i;
    if (c == '(' || c == '<' || c == '{') ++depth;
    if (c == ')' || c == '>' || c == '}') --depth;
    if (c == ' ' && depth == 0 && end == function.size()) begin = i + 1;
    // "(anonymous namespace)::" and "main()::": the name goes on.
    if (c == ')' && depth == 0 && function.substr(i + 1).starts_with("::")) end = function.size();
    if (c == ')' && depth == 0 && end != function.size()) break;
  }
  std::string_view name = function.substr(begin, end - begin);
  for (const std::string_view unnamed : {"{anonymous}::", "(anonymous namespace)::"}) {
    if (name.starts_with(unnamed)) name.remove_prefix(unnamed.size());
  }
  return name;
}

// What runs on this thread.
struct ThreadRecord {
  loopsan_loop loop;
  loopsan_async_root root;
  loopsan_task task;         // the one whose step is open
  loopsan_loop* host;        // whose `root` is ours, if it is not our own loop
  CoroutineRecord* goes_on;  // to which the open step has been handed over
  unsigned depth;            // coroutines that run, each resumed inside the one before
  bool step_open;
  const loopsan_source* named_after;  // whose name is in `name`
  char name[64];                      // of the task
};
inline constinit thread_local ThreadRecord t_thread{};

inline uint64_t NextTask() noexcept {
  static std::atomic<uint64_t> last{0};
  return last.fetch_add(1, std::memory_order_relaxed) + 1;
}

// The outermost of those that await it.
inline CoroutineRecord& Outermost(CoroutineRecord& record) noexcept {
  constexpr int kMost = 256;
  CoroutineRecord* outermost = &record;
  for (int i = 0; i < kMost && outermost->frame.parent != nullptr; ++i) {
    outermost = outermost->awaiter();
  }
  return *outermost;
}

// The place that stands for a task: its outermost coroutine, but a library's own (Asio's
// co_spawn makes one around each) would be the same for all.
inline const loopsan_source* PlaceOf(CoroutineRecord& record, CoroutineRecord& outermost) noexcept {
  const loopsan_source* place = nullptr;
  for (CoroutineRecord* one = &record; one != nullptr;
       one = one == &outermost ? nullptr : one->awaiter()) {
    const loopsan_source* const defined_at = one->frame.defined_at;
    const bool of_a_library = std::string_view(defined_at->file).starts_with("/usr/");
    if (place == nullptr || !of_a_library) place = defined_at;
  }
  return place;
}

inline void ShowRunning(ThreadRecord& thread, CoroutineRecord& record) noexcept {
  thread.root.top_frame = &record.frame;
  record.frame.root = &thread.root;
}

inline bool HasOwnLoop(const loopsan_annotations& annotations, ThreadRecord& thread) noexcept {
  if (annotations.this_loop() == &thread.loop) return true;
  thread.loop.kind = "coroutines";
  thread.loop.flags = LOOPSAN_LOOP_PARTIAL | LOOPSAN_LOOP_IF_KNOWN;
  return annotations.loop_begin(&thread.loop) != 0;
}

inline const char* TaskName(ThreadRecord& thread, const loopsan_source* defined_at) noexcept {
  if (thread.named_after != defined_at) {
    const std::string_view name = ShortName(defined_at->function);
    const size_t bytes = std::min(name.size(), sizeof thread.name - 1);
    memcpy(thread.name, name.data(), bytes);
    thread.name[bytes] = '\0';
    thread.named_after = defined_at;
  }
  return thread.name;
}

// `record` is the outermost that runs on this thread.
inline void BeginStep(const loopsan_annotations& annotations, ThreadRecord& thread,
                      CoroutineRecord& record) noexcept {
  loopsan_loop* const told = annotations.this_loop();
  if (told != nullptr && told != &thread.loop) {
    // Another library tells the steps here. Its coroutines, if it has any, come first.
    if (told->root != nullptr) return;
    thread.host = told;
    ShowRunning(thread, record);
    told->root = &thread.root;
    return;
  }
  if (!HasOwnLoop(annotations, thread)) return;
  CoroutineRecord& outermost = Outermost(record);
  if (outermost.task == 0) outermost.task = NextTask();
  thread.task.id = outermost.task;
  thread.task.spawned_at = PlaceOf(record, outermost);
  thread.task.name = TaskName(thread, thread.task.spawned_at);
  thread.task.state = LOOPSAN_TASK_RUNNING;
  thread.loop.first_task = &thread.task;
  ShowRunning(thread, record);
  annotations.step(&thread.loop, &thread.task, nullptr);
  thread.loop.current = &thread.task;
  thread.loop.root = &thread.root;
  thread.step_open = true;
}

// What follows is for coroutines that are watched.

// `record` runs from now on.
inline void Enter(CoroutineRecord& record) noexcept {
  record.started = true;
  record.LetGo();
  ThreadRecord& thread = t_thread;
  if (thread.goes_on == &record) {
    thread.goes_on = nullptr;
    if (thread.depth == 1) ShowRunning(thread, record);
    return;
  }
  // One that is resumed inside another's step is a call of that one: the stack shows it.
  if (thread.depth++ == 0) BeginStep(*Annotations(), thread, record);
}

// The running coroutine is about to give its handle away, and may be gone at once.
inline void Hide(CoroutineRecord& record) noexcept {
  ThreadRecord& thread = t_thread;
  record.frame.root = nullptr;
  if (thread.root.top_frame == &record.frame) thread.root.top_frame = nullptr;
}

// It has not suspended after all.
inline void ShowAgain(CoroutineRecord& record) noexcept {
  record.LetGo();
  ThreadRecord& thread = t_thread;
  if (thread.depth == 1) ShowRunning(thread, record);
}

// What ran has suspended or ended. REQUIRES: Enter() or a hand-over before.
inline void Leave() noexcept {
  ThreadRecord& thread = t_thread;
  if (thread.depth == 0) return;
  --thread.depth;
  if (thread.depth != 0) return;
  if (thread.step_open) {
    Annotations()->idle(&thread.loop);
    thread.loop.current = nullptr;
    thread.loop.root = nullptr;
    thread.step_open = false;
  }
  if (thread.host != nullptr) {
    if (thread.host->root == &thread.root) thread.host->root = nullptr;
    thread.host = nullptr;
  }
}

// What ran has suspended, and `to`, whose handle has the address `address`, is
// resumed in its place. Null: a coroutine of which nothing is known.
inline void HandOver(void* address, CoroutineRecord* to, void* to_address) noexcept {
  if (to == nullptr || address != to_address) {
    Leave();
    return;
  }
  t_thread.goes_on = to;
}

// Of the function that this is inlined into.
[[gnu::always_inline]] inline void* ThisAddress() noexcept {
  void* address = nullptr;
#if defined(__x86_64__)
  asm volatile("lea 0(%%rip), %0" : "=r"(address));
#endif
  return address;
}

inline void ReportNeverAwaited(const CoroutineRecord& record) noexcept {
  const std::string_view name = ShortName(record.frame.defined_at->function);
  char message[512];
  snprintf(message, sizeof message, "coroutine %.*s was never awaited: none of it ran",
           static_cast<int>(name.size()), name.data());
  loopsan_finding finding{};
  finding.bytes = sizeof finding;
  finding.rule = "never-awaited";
  finding.message = message;
  finding.remedy = "co_await it, or give it to what starts coroutines";
  finding.where = record.frame.defined_at;
  finding.stack = record.created_by;
  finding.stack_frames = record.created_by[0] != nullptr ? 2 : 0;
  Annotations()->finding(&finding);
}

}  // namespace loopsan::observed
