#include "runtime/internal/task_tree.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <string_view>
#include <system_error>

#include "runtime/event_loop.h"
#include "runtime/internal/annotations.h"
#include "runtime/internal/findings.h"
#include "runtime/internal/printable.h"
#include "runtime/internal/task_state.h"

namespace loopsan {

namespace internal {

namespace {

constexpr size_t kMaxFrames = 64;
constexpr size_t kMaxDepth = 24;
constexpr size_t kMaxTasks = 1000;
constexpr size_t kMaxAwaited = 8;

class Writer {
 public:
  explicit Writer(const TextSink& sink) : sink_(sink) {}

  Writer& operator<<(const char* text) {
    sink_.write(sink_.context, text, strlen(text));
    return *this;
  }
  Writer& operator<<(uint64_t number) {
    char digits[20];
    size_t at = sizeof digits;
    do {
      digits[--at] = static_cast<char>('0' + number % 10);
      number /= 10;
    } while (number != 0);
    sink_.write(sink_.context, digits + at, sizeof digits - at);
    return *this;
  }
  // What the program chose: it may hold anything.
  void Untrusted(std::string_view text) {
    WritePrintable(text, [this](const char* piece, size_t bytes) {
      sink_.write(sink_.context, piece, bytes);
    });
  }
  void Indent(size_t depth) {
    for (size_t i = 0; i < depth; ++i) *this << "    ";
  }
  // With one decimal place.
  void Seconds(double seconds) {
    const auto tenths = static_cast<uint64_t>(seconds * 10);
    *this << tenths / 10 << "." << tenths % 10 << " s";
  }
  void Place(const loopsan_source* site) {
    Untrusted(site->file);
    *this << ":" << uint64_t{site->line};
  }
  void Function(const char* function) {
    size_t start = 0;
    const size_t bytes = ReadableFunction(function, start);
    Untrusted({function + start, bytes});
  }
  void TaskName(const loopsan_task& task) {
    if (task.name != nullptr) {
      *this << "'";
      Untrusted(task.name);
      *this << "'";
    } else {
      *this << "Task-" << task.id;
    }
  }

 private:
  const TextSink& sink_;
};

const loopsan_task* FindTask(const loopsan_loop& loop, uint64_t id) {
  const loopsan_task* task = loop.first_task;
  while (task != nullptr && task->id != id) task = task->next;
  return task;
}

void WriteAwaited(Writer& out, const Waiter& waiter) {
  const char* separator = " ";
  size_t position = 0;
  for (size_t i = 0; i < kMaxAwaited; ++i) {
    const TaskState* const task = waiter.NextAwaited(position);
    if (task == nullptr) return;
    out << separator;
    out.TaskName(task->info);
    separator = ", ";
  }
  uint64_t more = 0;
  while (waiter.NextAwaited(position) != nullptr) ++more;
  if (more != 0) out << " and " << more << " more";
}

void WriteTask(Writer& out, const loopsan_loop& loop, loopsan_task& info, size_t depth) {
  const bool running = loop.current == &info;
  out << (running ? "* " : "  ");
  out.Indent(depth);
  out.TaskName(info);
  if (running) {
    out << " is running";
  } else if (info.state == LOOPSAN_TASK_READY) {
    out << " is ready";
  } else {
    out << " waits for " << (info.waiting_for != nullptr ? info.waiting_for : "something");
    const Waiter* const waiter = TaskState::FromInfo(&info)->waiting_on;
    if (waiter != nullptr) WriteAwaited(out, *waiter);
    const uint64_t holder = waiter != nullptr ? waiter->HolderTask() : 0;
    if (holder != 0) {
      out << ", which ";
      if (const loopsan_task* const task = FindTask(loop, holder)) {
        out.TaskName(*task);
      } else {
        out << "Task-" << holder;
      }
      out << " holds";
    }
  }
  out << ", ";
  out.Seconds(static_cast<double>(Ticks() - info.since) / TicksPerSecond());
  out << " old";
  if (info.name != nullptr) out << ", Task-" << info.id;
  out << "\n";

  const loopsan_async_frame* frame =
      running && loop.root != nullptr ? loop.root->top_frame : info.innermost;
  for (size_t i = 0; frame != nullptr && i < kMaxFrames; ++i, frame = frame->parent) {
    out << "  ";
    out.Indent(depth + 1);
    if (frame->defined_at != nullptr) out.Function(frame->defined_at->function);
    out << " at ";
    const bool top = running && i == 0;
    out.Place(frame->awaiting_at != nullptr && !top ? frame->awaiting_at : frame->defined_at);
    out << (top ? " (defined there)\n" : "\n");
  }
  if (info.spawned_at != nullptr) {
    out << "  ";
    out.Indent(depth + 1);
    out << "spawned at ";
    out.Place(info.spawned_at);
    out << "\n";
  }
}

// Those that `spawner` spawned, oldest first, each with its own below it.
void WriteSpawned(Writer& out, const loopsan_loop& loop, uint64_t spawner, size_t depth) {
  // The list has the newest first; ids grow.
  uint64_t last = 0;
  for (;;) {
    loopsan_task* next = nullptr;
    for (loopsan_task* task = loop.first_task; task != nullptr; task = task->next) {
      const bool belongs = spawner != 0
                               ? task->spawner == spawner
                               : task->spawner == 0 || FindTask(loop, task->spawner) == nullptr;
      if (belongs && task->id > last && (next == nullptr || task->id < next->id)) next = task;
    }
    if (next == nullptr) return;
    last = next->id;
    WriteTask(out, loop, *next, depth);
    if (depth < kMaxDepth) WriteSpawned(out, loop, next->id, depth + 1);
  }
}

}  // namespace

namespace {

// The length of a "loopsan::Task<int> " in front of a name.
size_t ReturnTypeBytes(const char* function) noexcept {
  for (const char* type : {"loopsan::Task<", "Task<", "loopsan::AsyncGenerator<"}) {
    size_t at = strlen(type);
    if (strncmp(function, type, at) != 0) continue;
    for (size_t depth = 1; depth > 0 && function[at] != '\0'; ++at) {
      if (function[at] == '<') ++depth;
      if (function[at] == '>') --depth;
    }
    return function[at] == ' ' ? at + 1 : 0;
  }
  return 0;
}

}  // namespace

size_t ReadableFunction(const char* function, size_t& start) noexcept {
  const size_t length = strlen(function);
  start = ReturnTypeBytes(function);
  const char* const inner = strstr(function, "::_Z");
  constexpr char kEnd[] = ".Frame*)";
  constexpr size_t kEndBytes = sizeof kEnd - 1;
  if (inner == nullptr || length < kEndBytes || strcmp(function + length - kEndBytes, kEnd) != 0) {
    return length - start;
  }
  // "R outer(outer(parameters)::_Z..." : the text before is twice the name.
  const auto end = static_cast<size_t>(inner - function);
  size_t depth = 0;
  for (size_t at = end; at > 0; --at) {
    const char c = function[at - 1];
    if (c == ')' || c == '>' || c == ']') ++depth;
    if (c == '(' || c == '<' || c == '[') {
      if (depth == 0) {
        start = at;
        return end - at;
      }
      --depth;
    }
  }
  return length - start;
}

void WriteTaskTree(const loopsan_loop& loop, const TextSink& sink) noexcept {
  Writer out(sink);
  size_t tasks = 0;
  for (const loopsan_task* task = loop.first_task; task != nullptr; task = task->next) ++tasks;
  out << "event loop";
  if (loop.name != nullptr) {
    out << " '";
    out.Untrusted(loop.name);
    out << "'";
  }
  out << ": " << uint64_t{tasks} << (tasks == 1 ? " task" : " tasks") << "\n";
  if (tasks <= kMaxTasks) {
    WriteSpawned(out, loop, 0, 0);
    return;
  }
  size_t written = 0;
  for (loopsan_task* task = loop.first_task; task != nullptr && written < kMaxTasks;
       task = task->next, ++written) {
    WriteTask(out, loop, *task, 0);
  }
  out << "  ... and " << uint64_t{tasks - written} << " older ones\n";
}

namespace {

// One signal, one loop: a second DumpTasksOnSignal() replaces the first.
std::atomic<const loopsan_loop*> g_dumped{nullptr};
std::atomic<pthread_t> g_dump_thread{};

struct StderrBuffer {
  char text[4096];
  size_t used = 0;
};

void Flush(StderrBuffer& buffer) {
  size_t at = 0;
  while (at < buffer.used) {
    const ssize_t written = write(STDERR_FILENO, buffer.text + at, buffer.used - at);
    if (written <= 0) break;  // nobody reads it
    at += static_cast<size_t>(written);
  }
  buffer.used = 0;
}

void DumpOnSignal(int signal) {
  const int saved_errno = errno;
  const loopsan_loop* const loop = g_dumped.load(std::memory_order_acquire);
  if (loop != nullptr) {
    const pthread_t thread = g_dump_thread.load(std::memory_order_relaxed);
    if (pthread_equal(thread, pthread_self()) == 0) {
      // The list of tasks holds still only while its own thread is here.
      pthread_kill(thread, signal);
    } else {
      StderrBuffer buffer;
      const TextSink sink{[](void* context, const char* text, size_t bytes) {
                            auto& to = *static_cast<StderrBuffer*>(context);
                            while (bytes > 0) {
                              const size_t part = std::min(bytes, sizeof to.text - to.used);
                              memcpy(to.text + to.used, text, part);
                              to.used += part;
                              text += part;
                              bytes -= part;
                              if (to.used == sizeof to.text) Flush(to);
                            }
                          },
                          &buffer};
      WriteTaskTree(*loop, sink);
      Flush(buffer);
    }
  }
  errno = saved_errno;
}

}  // namespace

}  // namespace internal

std::string EventLoop::DumpTasks() const {
  std::string text;
  const internal::TextSink sink{[](void* context, const char* piece, size_t bytes) {
                                  static_cast<std::string*>(context)->append(piece, bytes);
                                },
                                &text};
  internal::WriteTaskTree(info_, sink);
  return text;
}

void EventLoop::DumpTasksOnSignal(int signal, std::source_location here) {
  CheckUse("DumpTasksOnSignal", here);
  internal::TicksPerSecond();  // measured now, not in the handler
  internal::g_dump_thread.store(pthread_self(), std::memory_order_relaxed);
  internal::g_dumped.store(&info_, std::memory_order_release);
  struct sigaction action{};
  action.sa_handler = &internal::DumpOnSignal;
  action.sa_flags = SA_RESTART;
  sigemptyset(&action.sa_mask);
  if (sigaction(signal, &action, nullptr) != 0) {
    throw std::system_error(errno, std::generic_category(),
                            "signal " + std::to_string(signal) + " cannot be handled");
  }
}

void EventLoop::StopDumping() noexcept {
  const loopsan_loop* mine = &info_;
  internal::g_dumped.compare_exchange_strong(mine, nullptr);
}

std::vector<TaskDescription> EventLoop::DescribeTasks() const {
  std::vector<TaskDescription> all;
  for (loopsan_task* info = info_.first_task; info != nullptr; info = info->next) {
    const internal::TaskState* const task = internal::TaskState::FromInfo(info);
    TaskDescription& made = all.emplace_back();
    made.id = info->id;
    made.name = task->DisplayName();
    const bool running = info_.current == info;
    made.state = running ? "running" : info->state == LOOPSAN_TASK_READY ? "ready" : "waiting";
    if (info->waiting_for != nullptr) made.waiting_for = info->waiting_for;
    made.waiting_object = info->waiting_object;
    made.age_seconds =
        static_cast<double>(internal::Ticks() - info->since) / internal::TicksPerSecond();
    made.spawner = info->spawner;
    if (task->waiting_on != nullptr) {
      if (const internal::TaskState* awaited = task->waiting_on->AwaitedTask()) {
        made.awaits_task = awaited->info.id;
      }
      made.holder_task = task->waiting_on->HolderTask();
    }
    made.spawned_at = internal::FileAndLine(info->spawned_at);
    const loopsan_async_frame* frame =
        running && info_.root != nullptr ? info_.root->top_frame : info->innermost;
    for (size_t i = 0; frame != nullptr && i < internal::kMaxFrames; ++i, frame = frame->parent) {
      const bool top = running && i == 0;
      const internal::Site at =
          frame->awaiting_at != nullptr && !top ? frame->awaiting_at : frame->defined_at;
      size_t start = 0;
      std::string text;
      if (frame->defined_at != nullptr) {
        const size_t bytes = internal::ReadableFunction(frame->defined_at->function, start);
        text.assign(frame->defined_at->function + start, bytes);
      }
      made.stack.push_back(text + " at " + internal::FileAndLine(at));
    }
  }
  return all;
}

}  // namespace loopsan
