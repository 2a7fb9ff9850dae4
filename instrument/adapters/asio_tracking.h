/* Makes every handler of Boost.Asio, or of standalone Asio, a step that loopsan knows by name.
 *
 *   -DBOOST_ASIO_CUSTOM_HANDLER_TRACKING='"instrument/adapters/asio_tracking.h"'
 *   -DASIO_CUSTOM_HANDLER_TRACKING='"instrument/adapters/asio_tracking.h"'       (standalone)
 *
 * for ALL files of the program: the macro changes Asio's classes. Nothing else is needed, and
 * the program runs as before; while nobody watches, a handler costs a few instructions.
 *
 * A handler is called after the operation that created it ("steady_timer.async_wait"), where
 * that was awaited (C++20 coroutines, Asio 1.22 and later) with the line of the co_await, and
 * with the operations in whose handlers it was created in turn. A handler that was ready, and for
 * which its thread had no time because of other handlers, is reported, too, if that took longer
 * than the threshold (rule handler-delay): one a second and thread. When a timer's handler became
 * ready nobody says, so it has no delay.
 *
 * Watched, a handler costs two clock reads, at its begin and its end, and one where a reactor
 * completes its operation. What it creates is given the time when it began, as long as handlers of
 * its kind have been short lately; else the clock is read for each.
 *
 * Each thread that runs handlers is a loop of its own to loopsan; strands and nested handlers are
 * steps inside. Outside of handlers nothing is accused, nor are those of a thread_pool or of the
 * system executor, which are there to block.
 *
 * C++11. Needs annotate.h and dlsym(). Names are kept for ever, at most kMostNodes of them.
 */
#ifndef LOOPSAN_INSTRUMENT_ADAPTERS_ASIO_TRACKING_H_
#define LOOPSAN_INSTRUMENT_ADAPTERS_ASIO_TRACKING_H_

#include <dlfcn.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>

#include <atomic>
#include <map>
#include <mutex>
#include <string>
#include <tuple>

#include "instrument/annotate.h"

namespace loopsan {
namespace asio_tracking {

// The probe's functions; null: nobody watches. Looked up once.
inline const loopsan_annotations* annotations() {
  static const loopsan_annotations* const found = [] {
    auto* const function = reinterpret_cast<loopsan_annotations_function>(
        dlsym(RTLD_DEFAULT, LOOPSAN_ANNOTATIONS_SYMBOL));
    const loopsan_annotations* const table = function != nullptr ? function() : nullptr;
    return table != nullptr && table->version == LOOPSAN_ANNOTATIONS_VERSION ? table : nullptr;
  }();
  return found;
}

// How long the handlers of one kind take. A clock read costs as much as many a handler, so what
// those that have been short lately create is given the time when they began: it is wrong by no
// more than they take. Those that then took longer are remembered.
//
// Threads: one, the only one that runs handlers; with several nobody asks.
class durations {
 public:
  bool are_short() const { return short_steps_.load(std::memory_order_relaxed) >= kEnough; }

  // The `step`th handler of its thread, one of this kind, has ended.
  void note(uint64_t step, uint64_t begin, uint64_t end, uint64_t limit) const {
    if (end - begin > limit) {
      if (are_short()) remember(step, end);
      short_steps_.store(0, std::memory_order_relaxed);
    } else if (!are_short()) {
      short_steps_.store(short_steps_.load(std::memory_order_relaxed) + 1,
                         std::memory_order_relaxed);
    }
  }

  // What that step created, it has not created later. 0: it was short.
  uint64_t end_if_long(uint64_t step) const {
    for (const auto& each : long_) {
      if (each.step.load(std::memory_order_relaxed) == step) {
        return each.end.load(std::memory_order_relaxed);
      }
    }
    return step <= forgotten_.step.load(std::memory_order_relaxed)
               ? forgotten_.end.load(std::memory_order_relaxed)
               : 0;
  }

 private:
  static constexpr uint32_t kEnough = 64;

  struct long_step {
    std::atomic<uint64_t> step{0};
    std::atomic<uint64_t> end{0};
  };

  void remember(uint64_t step, uint64_t end) const {
    long_step& slot = long_[next_.load(std::memory_order_relaxed) % 4];
    next_.store(next_.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
    const uint64_t forgotten = slot.step.load(std::memory_order_relaxed);
    if (forgotten > forgotten_.step.load(std::memory_order_relaxed)) {
      forgotten_.step.store(forgotten, std::memory_order_relaxed);
    }
    forgotten_.end.store(slot.end.load(std::memory_order_relaxed), std::memory_order_relaxed);
    slot.step.store(step, std::memory_order_relaxed);
    slot.end.store(end, std::memory_order_relaxed);
  }

  mutable std::atomic<uint32_t> short_steps_{0};  // in a row
  mutable std::atomic<uint32_t> next_{0};
  mutable long_step long_[4];
  mutable long_step forgotten_;  // the last of all that are not in `long_` any more
};

// An operation, where it was awaited, and in whose handler it was begun.
struct node {
  std::string name;   // "socket.async_receive"
  std::string chain;  // "socket.async_receive, created by socket.async_accept, ..."
  loopsan_source place;
  bool has_place;
  const node* parent;
  int depth;
  bool may_block;      // on threads that are there to block
  bool ready_at_once;  // its handler, when it is created
  durations took;
};

constexpr int kMostDepth = 4;
constexpr size_t kMostNodes = 4096;
// A thread that has run no handler for that long was not busy with them.
constexpr double kPauseSeconds = 0.001;
// Times of creation may be wrong by so much.
constexpr double kShortSeconds = 0.0001;

struct node_key {
  const char* object_type;
  const char* operation;
  const char* file;
  int line;
  const node* parent;
  bool operator==(const node_key& other) const {
    return object_type == other.object_type && operation == other.operation && file == other.file &&
           line == other.line && parent == other.parent;
  }
};

inline bool same(const char* a, const char* b) {
  while (*a != '\0' && *a == *b) ++a, ++b;
  return *a == *b;
}

// A handler that is posted is ready at once.
inline bool is_ready_at_once(const char* operation) {
  return same(operation, "post") || same(operation, "defer") || same(operation, "execute") ||
         same(operation, "dispatch");
}

// Its threads are there to block.
inline bool may_block(const char* object_type) {
  return same(object_type, "thread_pool") || same(object_type, "system_executor");
}

inline const node* find_node(const node_key& key, const char* function) {
  using map_key = std::tuple<std::string, std::string, std::string, int, const node*>;
  struct table {
    std::mutex mutex;
    std::map<map_key, node*> nodes;
  };
  // Never destroyed: handlers may run while the process ends.
  static table& all = *new table;
  const std::lock_guard<std::mutex> lock(all.mutex);
  const map_key wanted(key.object_type, key.operation, key.file != nullptr ? key.file : "",
                       key.line, key.parent);
  auto found = all.nodes.find(wanted);
  if (found != all.nodes.end()) return found->second;
  if (all.nodes.size() >= kMostNodes && key.parent != nullptr) {
    return nullptr;  // the caller asks again without a parent
  }
  auto* const made = new node;
  made->name = std::string(key.object_type) + "." + key.operation;
  made->parent = key.parent;
  made->may_block = may_block(key.object_type);
  made->ready_at_once = is_ready_at_once(key.operation);
  made->depth = key.parent != nullptr ? key.parent->depth + 1 : 1;
  made->has_place = key.file != nullptr;
  made->place.file = key.file != nullptr ? key.file : "";
  made->place.function = function != nullptr ? function : "";
  made->place.line = static_cast<uint32_t>(key.line);
  made->place.column = 0;
  made->chain = made->name;
  if (made->has_place) {
    const std::string file = key.file;
    made->chain += " at " + file.substr(file.rfind('/') + 1) + ":" + std::to_string(key.line);
  }
  if (key.parent != nullptr) made->chain += ", created by " + key.parent->chain;
  all.nodes[wanted] = made;
  return made;
}

class completion;
class location;
struct thread_state;

// The thread that runs handlers, as long as there is but one. What another thread creates may run
// before its creator has ended: the times must be exact then.
struct only_thread {
  static void enter(const thread_state* thread) {
    const thread_state* nobody = nullptr;
    if (!the_one().compare_exchange_strong(nobody, thread)) several().store(true);
  }
  static void leave(const thread_state* thread) {
    the_one().compare_exchange_strong(thread, nullptr);
  }
  static bool is_alone() { return !several().load(std::memory_order_relaxed); }

 private:
  static std::atomic<const thread_state*>& the_one() {
    static std::atomic<const thread_state*> one(nullptr);
    return one;
  }
  static std::atomic<bool>& several() {
    static std::atomic<bool> are(false);
    return are;
  }
};

struct thread_state {
  const loopsan_annotations* const probe = annotations();
  loopsan_loop loop = loopsan_loop();
  bool begun = false;    // the probe was told of the loop
  bool watched = false;  // and wants to know
  completion* current = nullptr;
  location* innermost_location = nullptr;
  uint64_t next_id = 0;
  uint64_t last_id = 0;
  uint64_t delay_told_at = 0;
  uint64_t busy_since = 0;  // one handler after the other
  uint64_t last_end = 0;
  uint64_t steps = 0;
  uint64_t pause_ticks = 0;
  uint64_t short_ticks = 0;
  struct known {
    node_key key;
    const node* found;
  };
  known cache[64] = {};

  ~thread_state() {
    if (watched) probe->loop_end(&loop);
    if (begun) only_thread::leave(this);
  }

  // Unique in the process; taken by the thousand.
  uint64_t new_id() {
    if (next_id == last_id) {
      static std::atomic<uint64_t> ids(1);
      next_id = ids.fetch_add(1024, std::memory_order_relaxed);
      last_id = next_id + 1024;
    }
    return next_id++;
  }

  bool begin_loop() {
    if (begun) return watched;
    begun = true;
    only_thread::enter(this);
    loop.name = "asio";
    loop.kind = "asio";
    watched = probe->loop_begin(&loop) != 0;
    const double rate = static_cast<double>(loop.ticks_per_second);
    pause_ticks = static_cast<uint64_t>(kPauseSeconds * rate);
    short_ticks = static_cast<uint64_t>(kShortSeconds * rate);
    return watched;
  }

  const node* find(const node_key& key, const char* function) {
    const uint64_t mixed =
        (reinterpret_cast<uintptr_t>(key.operation) * 31 +
         reinterpret_cast<uintptr_t>(key.file) * 17 + reinterpret_cast<uintptr_t>(key.parent) +
         static_cast<uintptr_t>(key.line)) *
        0x9e3779b97f4a7c15ULL;
    // Two places for each: those that are looked for by turns do not drive each other out.
    known* const pair = &cache[mixed >> 58 & ~1ULL];
    if (pair[0].found != nullptr && pair[0].key == key) return pair[0].found;
    if (pair[1].found != nullptr && pair[1].key == key) return pair[1].found;
    const node* found = find_node(key, function);
    if (found == nullptr) {
      node_key alone = key;
      alone.parent = nullptr;
      found = find_node(alone, function);
    }
    pair[1] = pair[0];
    pair[0] = known{key, found};
    return found;
  }
};

inline thread_state& this_thread() {
  static thread_local thread_state state;
  return state;
}

// Where a coroutine awaits the operation that is begun next.
class location {
 public:
  location(const char* file, int line, const char* function)
      : file_(file), function_(function), line_(line), next_(nullptr) {
    if (file_ == nullptr || annotations() == nullptr) return;
    thread_state& thread = this_thread();
    next_ = thread.innermost_location;
    thread.innermost_location = this;
  }
  location(const location&) = delete;
  location& operator=(const location&) = delete;
  ~location() {
    if (file_ != nullptr && annotations() != nullptr) this_thread().innermost_location = next_;
  }

  const char* file() const { return file_; }
  const char* function() const { return function_; }
  int line() const { return line_; }

 private:
  const char* const file_;
  const char* const function_;
  const int line_;
  location* next_;
};

struct record {
  const node* operation = nullptr;  // null: created while nobody watched
  const node* creator = nullptr;    // null: the times are exact; else they are this one's begin
  uint64_t creator_step = 0;        // of the creator
  uint64_t id = 0;
  uint64_t parent_id = 0;
  uint64_t created_at = 0;
  uint64_t ready_at = 0;  // 0: nobody says
};

// Base of what holds a handler; the name must not meet one of Asio's.
class tracked_handler {
 public:
  mutable record loopsan_record;

 protected:
  tracked_handler() = default;
  ~tracked_handler() = default;
};

// One handler while it is taken out of the queue and run.
class completion {
 public:
  explicit completion(const tracked_handler& handler)
      : operation_(handler.loopsan_record.operation), next_(nullptr) {
    if (operation_ == nullptr) return;
    const record& known = handler.loopsan_record;
    ready_at_ = known.ready_at;
    creator_operation_ = known.creator;
    creator_step_ = known.creator_step;
    task_ = loopsan_task();
    task_.id = known.id;
    task_.name = operation_->name.c_str();
    task_.spawned_at = operation_->has_place ? &operation_->place : nullptr;
    task_.since = known.created_at;
    task_.state = LOOPSAN_TASK_RUNNING;
    if (operation_->parent != nullptr) {
      // It is over, but its name is asked for.
      creator_ = loopsan_task();
      task_.spawner = creator_.id = known.parent_id;
      creator_.name = operation_->parent->chain.c_str();
      creator_.state = LOOPSAN_TASK_DONE;
      task_.next = &creator_;
      creator_.previous = &task_;
    }
    thread_ = &this_thread();
    next_ = thread_->current;
    thread_->current = this;
  }
  completion(const completion&) = delete;
  completion& operator=(const completion&) = delete;
  // The handler has been destroyed, which is a part of its step.
  ~completion() {
    if (operation_ == nullptr) return;
    if (running_) end();
    thread_->current = next_;
  }

  void invocation_begin() {
    if (operation_ == nullptr) return;
    thread_state& thread = *thread_;
    if (!thread.begin_loop()) return;
    running_ = true;
    step_ = ++thread.steps;
    const uint64_t now = begun_at_ = begin_step();
    if (now - thread.last_end > thread.pause_ticks) thread.busy_since = now;
    if (ready_at_ != 0 && now - ready_at_ > thread.loop.threshold_ticks) judge_delay(now);
  }
  template <typename Error, typename... Arguments>
  void invocation_begin(const Error& error, const Arguments&...) {
    if (error.value() == ECANCELED) ready_at_ = 0;
    invocation_begin();
  }
  void invocation_end() {}

  const node* operation() const { return operation_; }
  uint64_t id() const { return task_.id; }  // REQUIRES: operation() is known

  // What this handler does now, it does when it began: it is one of the short ones.
  bool gives_its_time() const {
    return running_ && operation_->took.are_short() && only_thread::is_alone();
  }
  uint64_t begun_at() const { return begun_at_; }  // REQUIRES: gives_its_time()
  uint64_t step() const { return step_; }          // 0: not begun

 private:
  uint64_t begin_step() {
    thread_->loop.first_task = &task_;
    thread_->loop.current = &task_;
    return thread_->probe->step(&thread_->loop, &task_, task_.spawned_at);
  }

  void end() {
    running_ = false;
    thread_state& thread = *thread_;
    uint64_t now;
    if (next_ != nullptr && next_->running_) {
      now = next_->begin_step();  // the handler in which this one ran goes on
    } else {
      now = thread.last_end = thread.probe->idle(&thread.loop);
      thread.loop.first_task = nullptr;
      thread.loop.current = nullptr;
    }
    operation_->took.note(step_, begun_at_, now, thread.short_ticks);
  }

  // Asked for where it matters only. No later than it was ready; 0: nobody knows.
  uint64_t certainly_ready_at() const {
    if (creator_operation_ == nullptr) return ready_at_;
    if (!only_thread::is_alone()) return 0;
    for (const completion* outer = next_; outer != nullptr; outer = outer->next_) {
      if (outer->step_ == creator_step_) return 0;  // when in it?
    }
    const uint64_t end = creator_operation_->took.end_if_long(creator_step_);
    return end > ready_at_ ? end : ready_at_;
  }

  void judge_delay(uint64_t now) {
    const uint64_t ready_at = certainly_ready_at();
    if (ready_at == 0) return;
    thread_state& thread = *thread_;
    const uint64_t from = ready_at > thread.busy_since ? ready_at : thread.busy_since;
    if (now > from && now - from > thread.loop.threshold_ticks) tell_delay(thread, from, now);
  }

  void tell_delay(thread_state& thread, uint64_t from, uint64_t now) {
    if (thread.delay_told_at != 0 && now - thread.delay_told_at < thread.loop.ticks_per_second) {
      return;
    }
    thread.delay_told_at = now;
    const double seconds =
        static_cast<double>(now - from) / static_cast<double>(thread.loop.ticks_per_second);
    char message[512];
    snprintf(message, sizeof message,
             "a handler of %.300s was ready for %.0f ms before it ran: the handlers before it took "
             "that long",
             operation_->name.c_str(), seconds * 1e3);
    loopsan_finding finding = loopsan_finding();
    finding.bytes = sizeof finding;
    finding.rule = "handler-delay";
    finding.message = message;
    finding.remedy =
        "shorten the handlers that kept the thread, or run the io_context on more threads";
    finding.task = operation_->name.c_str();
    finding.spawned_at = task_.spawned_at;
    finding.where = task_.spawned_at;
    thread.probe->finding(&finding);  // without its time, which others took from the loop
  }

  const node* const operation_;
  const node* creator_operation_ = nullptr;
  uint64_t creator_step_ = 0;
  completion* next_;
  thread_state* thread_ = nullptr;
  bool running_ = false;
  uint64_t step_ = 0;
  uint64_t begun_at_ = 0;
  uint64_t ready_at_ = 0;
  // Filled in only if needed: to clear them takes a while.
  loopsan_task task_;
  loopsan_task creator_;
};

template <typename Context>
void creation(Context&, tracked_handler& handler, const char* object_type, void* /*object*/,
              uintmax_t /*native_handle*/, const char* operation) {
  if (annotations() == nullptr) return;
  thread_state& thread = this_thread();
  const completion* const current = thread.current;
  const location* const place = thread.innermost_location;
  const node* const parent = current != nullptr && current->operation()->depth < kMostDepth
                                 ? current->operation()
                                 : nullptr;
  const node* const known =
      thread.find(node_key{object_type, operation, place != nullptr ? place->file() : nullptr,
                           place != nullptr ? place->line() : 0, parent},
                  place != nullptr ? place->function() : nullptr);
  if (known->may_block) return;
  record& made = handler.loopsan_record;
  made.operation = known;
  made.id = thread.new_id();
  made.parent_id = current != nullptr ? current->id() : 0;
  if (current != nullptr && current->gives_its_time()) {
    made.creator = current->operation();
    made.creator_step = current->step();
    made.created_at = current->begun_at();
  } else {
    made.creator = nullptr;
    made.created_at = thread.probe->now();
  }
  made.ready_at = known->ready_at_once ? made.created_at : 0;
}

// A reactor has done the operation: its handler is ready.
template <typename... Arguments>
void reactor_operation(const tracked_handler& handler, const char*, const Arguments&...) {
  record& known = handler.loopsan_record;
  if (known.operation == nullptr) return;
  const completion* const current = this_thread().current;
  if (known.creator != nullptr && current != nullptr && current->step() == known.creator_step) {
    known.ready_at = known.created_at;  // done at once, in the handler that began it
  } else {
    known.creator = nullptr;
    known.ready_at = annotations()->now();
  }
}

template <typename... Arguments>
void ignore(const Arguments&...) {}

}  // namespace asio_tracking
}  // namespace loopsan

#define LOOPSAN_ASIO_INHERIT : public ::loopsan::asio_tracking::tracked_handler
#define LOOPSAN_ASIO_ALSO_INHERIT , public ::loopsan::asio_tracking::tracked_handler

#define BOOST_ASIO_INHERIT_TRACKED_HANDLER LOOPSAN_ASIO_INHERIT
#define BOOST_ASIO_ALSO_INHERIT_TRACKED_HANDLER LOOPSAN_ASIO_ALSO_INHERIT
#define BOOST_ASIO_HANDLER_TRACKING_INIT (void)0
#define BOOST_ASIO_HANDLER_LOCATION(args) ::loopsan::asio_tracking::location tracked_location args
#define BOOST_ASIO_HANDLER_CREATION(args) ::loopsan::asio_tracking::creation args
#define BOOST_ASIO_HANDLER_COMPLETION(args) \
  ::loopsan::asio_tracking::completion tracked_completion args
#define BOOST_ASIO_HANDLER_INVOCATION_BEGIN(args) tracked_completion.invocation_begin args
#define BOOST_ASIO_HANDLER_INVOCATION_END tracked_completion.invocation_end()
#define BOOST_ASIO_HANDLER_OPERATION(args) ::loopsan::asio_tracking::ignore args
#define BOOST_ASIO_HANDLER_REACTOR_REGISTRATION(args) ::loopsan::asio_tracking::ignore args
#define BOOST_ASIO_HANDLER_REACTOR_DEREGISTRATION(args) ::loopsan::asio_tracking::ignore args
#define BOOST_ASIO_HANDLER_REACTOR_READ_EVENT 1
#define BOOST_ASIO_HANDLER_REACTOR_WRITE_EVENT 2
#define BOOST_ASIO_HANDLER_REACTOR_ERROR_EVENT 4
#define BOOST_ASIO_HANDLER_REACTOR_EVENTS(args) ::loopsan::asio_tracking::ignore args
#define BOOST_ASIO_HANDLER_REACTOR_OPERATION(args) ::loopsan::asio_tracking::reactor_operation args

#define ASIO_INHERIT_TRACKED_HANDLER LOOPSAN_ASIO_INHERIT
#define ASIO_ALSO_INHERIT_TRACKED_HANDLER LOOPSAN_ASIO_ALSO_INHERIT
#define ASIO_HANDLER_TRACKING_INIT (void)0
#define ASIO_HANDLER_LOCATION(args) ::loopsan::asio_tracking::location tracked_location args
#define ASIO_HANDLER_CREATION(args) ::loopsan::asio_tracking::creation args
#define ASIO_HANDLER_COMPLETION(args) ::loopsan::asio_tracking::completion tracked_completion args
#define ASIO_HANDLER_INVOCATION_BEGIN(args) tracked_completion.invocation_begin args
#define ASIO_HANDLER_INVOCATION_END tracked_completion.invocation_end()
#define ASIO_HANDLER_OPERATION(args) ::loopsan::asio_tracking::ignore args
#define ASIO_HANDLER_REACTOR_REGISTRATION(args) ::loopsan::asio_tracking::ignore args
#define ASIO_HANDLER_REACTOR_DEREGISTRATION(args) ::loopsan::asio_tracking::ignore args
#define ASIO_HANDLER_REACTOR_READ_EVENT 1
#define ASIO_HANDLER_REACTOR_WRITE_EVENT 2
#define ASIO_HANDLER_REACTOR_ERROR_EVENT 4
#define ASIO_HANDLER_REACTOR_EVENTS(args) ::loopsan::asio_tracking::ignore args
#define ASIO_HANDLER_REACTOR_OPERATION(args) ::loopsan::asio_tracking::reactor_operation args

#endif  // LOOPSAN_INSTRUMENT_ADAPTERS_ASIO_TRACKING_H_
