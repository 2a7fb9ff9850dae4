// EventLoop: runs tasks and callbacks of one thread, one step after the other.
//
//   EventLoop loop;
//   int answer = loop.RunUntilComplete(Main());
//
// Most programs call Run(Main()) (runtime/run.h), which makes and closes the loop.
//
// Threads: a loop belongs to the thread that runs it, and to the one that made it
// while it does not run. CallSoonThreadsafe() and LoopHandle may be used from any.
// In debug mode every other entry point checks that and throws UsageError.
//
// Times are those of the loop's port (CLOCK_MONOTONIC).
#pragma once

#include <concepts>
#include <coroutine>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <source_location>
#include <string>
#include <thread>
#include <type_traits>
#include <unordered_map>
#include <utility>
#include <vector>

#include "instrument/annotate.h"
#include "runtime/errors.h"
#include "runtime/event_port.h"
#include "runtime/instruments.h"
#include "runtime/internal/callback.h"
#include "runtime/internal/descriptor_callbacks.h"
#include "runtime/internal/loop_resource.h"
#include "runtime/internal/ready_queue.h"
#include "runtime/internal/remote_queue.h"
#include "runtime/internal/runner.h"
#include "runtime/internal/task_state.h"
#include "runtime/internal/timer_heap.h"
#include "runtime/task.h"

namespace loopsan {

class EventLoop;
class Executor;
template <typename T>
class TaskHandle;

namespace internal {
class DebugMode;
struct OpenGenerators;
class SignalSource;
struct LoopPrivate;

template <typename R>
inline constexpr bool kIsTask = false;
template <typename T>
inline constexpr bool kIsTask<Task<T>> = true;
}  // namespace internal

// A scheduled callback. Dropping the handle changes nothing.
class CallbackHandle {
 public:
  CallbackHandle() noexcept = default;
  CallbackHandle(const CallbackHandle& other) noexcept : callback_(other.callback_) {
    if (callback_ != nullptr) callback_->Ref();
  }
  CallbackHandle(CallbackHandle&& other) noexcept
      : callback_(std::exchange(other.callback_, nullptr)) {}
  CallbackHandle& operator=(CallbackHandle other) noexcept {
    std::swap(callback_, other.callback_);
    return *this;
  }
  ~CallbackHandle() {
    if (callback_ != nullptr) callback_->Unref();
  }

  // It will not run if it has not run yet. Throws UsageError on the wrong thread
  // in debug mode.
  void Cancel();
  bool cancelled() const noexcept { return callback_ != nullptr && callback_->cancelled(); }

 private:
  friend class EventLoop;
  explicit CallbackHandle(internal::Callback* callback) noexcept : callback_(callback) {
    callback_->Ref();
  }
  internal::Callback* callback_ = nullptr;
};

// A way to a loop that may be kept on any thread, also longer than the loop. A
// loop with such handles outside may still be woken: nothing waits in vain for sure.
class LoopHandle {
 public:
  // Runs `function` on the loop soon. False if the loop is closed.
  template <typename F>
  bool CallSoon(F function, std::source_location here = std::source_location::current()) const {
    auto* callback =
        new internal::CallbackOf<F>(loop_, internal::SiteOf(here), std::move(function));
    if (queue_->Push(callback)) return true;
    callback->Unref();
    return false;
  }

  bool is_closed() const noexcept { return queue_->closed(); }

 private:
  friend class EventLoop;
  friend struct internal::LoopPrivate;
  LoopHandle(EventLoop* loop, std::shared_ptr<internal::RemoteQueue> queue)
      : loop_(loop), queue_(std::move(queue)) {}
  EventLoop* loop_;  // an address only: the loop may be gone
  std::shared_ptr<internal::RemoteQueue> queue_;
};

// What went wrong where no one could catch it.
struct ExceptionContext {
  std::string message;
  std::exception_ptr error;
  const char* file = "";  // of the callback's or task's creation
  uint32_t line = 0;
  std::string task;
};

// The live tasks of a loop, for people and tools.
struct TaskDescription {
  uint64_t id = 0;
  std::string name;
  std::string state;  // "ready", "running", "waiting"
  std::string waiting_for;
  const void* waiting_object = nullptr;
  double age_seconds = 0;
  uint64_t spawner = 0;
  uint64_t awaits_task = 0;        // id, if that is what it waits for
  uint64_t holder_task = 0;        // id of the task that holds the lock it waits for
  std::string spawned_at;          // "file:line"
  std::vector<std::string> stack;  // "function at file:line", innermost first
};

class EventLoop {
 public:
  struct Options {
    std::unique_ptr<EventPort> port;  // none: epoll
    std::string name;
    std::optional<bool> debug;  // none: LOOPSAN=1, or `loopsan run`
    Duration slow_step = std::chrono::milliseconds(100);
  };

  // Implicit, so that it may be a member of an aggregate. `here` is for the report of a loop that
  // is not closed. NOLINTNEXTLINE(google-explicit-constructor)
  EventLoop(std::source_location here = std::source_location::current());
  // Throws std::system_error if the kernel refuses, std::invalid_argument if the
  // environment variable LOOPSAN has a value that it does not know.
  explicit EventLoop(Options options, std::source_location here = std::source_location::current());
  EventLoop(const EventLoop&) = delete;
  EventLoop& operator=(const EventLoop&) = delete;
  // Closes it. In debug mode a loop that was not closed before is reported.
  ~EventLoop();

  // The loop that runs on this thread, or null.
  static EventLoop* Current() noexcept { return internal::t_runner.loop; }
  // The same, or throws UsageError.
  static EventLoop& Running();

  const std::string& name() const noexcept { return name_; }
  Time Now() const { return port_->Now(); }
  // `delay` from now; the end of time if that cannot be told.
  Time TimeAfter(Duration delay) const {
    const Time now = Now();
    return delay > Time::max() - now ? Time::max() : now + delay;
  }
  bool is_running() const noexcept { return running_; }
  bool is_closed() const noexcept { return closed_; }

  // Runs `function()` in the next turn, in the order of the calls.
  template <std::invocable F>
  CallbackHandle CallSoon(F function, std::source_location here = std::source_location::current()) {
    CheckCallback<F>();
    CheckUse("CallSoon", here);
    auto* callback = new internal::CallbackOf<F>(this, internal::SiteOf(here), std::move(function));
    callback->context = Context::Current();
    ready_.Push(callback);
    return CallbackHandle(callback);
  }

  template <std::invocable F>
  CallbackHandle CallLater(Duration delay, F function,
                           std::source_location here = std::source_location::current()) {
    return CallAt(TimeAfter(delay), std::move(function), here);
  }

  template <std::invocable F>
  CallbackHandle CallAt(Time when, F function,
                        std::source_location here = std::source_location::current()) {
    CheckCallback<F>();
    CheckUse("CallAt", here);
    auto* callback = new internal::CallbackOf<F>(this, internal::SiteOf(here), std::move(function));
    callback->context = Context::Current();
    CallbackHandle handle(callback);
    callback->deadline = when;
    timers_.Add(callback);
    return handle;
  }

  // Threads: any, as long as the loop lives; else use a LoopHandle. Throws
  // UsageError if the loop is closed.
  template <std::invocable F>
  void CallSoonThreadsafe(F function, std::source_location here = std::source_location::current()) {
    CheckCallback<F>();
    auto* callback = new internal::CallbackOf<F>(this, internal::SiteOf(here), std::move(function));
    if (!remote_->Push(callback)) {
      callback->Unref();
      ThrowClosed("CallSoonThreadsafe");
    }
  }
  LoopHandle Handle() { return LoopHandle(this, remote_); }

  // Calls `callback` each turn in which `fd` is readable (writable). Replaces an
  // earlier one. In debug mode a blocking descriptor is reported. Throws
  // std::system_error if it cannot be watched (a regular file).
  void AddReader(int fd, std::function<void()> callback,
                 std::source_location here = std::source_location::current());
  void AddWriter(int fd, std::function<void()> callback,
                 std::source_location here = std::source_location::current());
  // False if there was none.
  bool RemoveReader(int fd, std::source_location here = std::source_location::current());
  bool RemoveWriter(int fd, std::source_location here = std::source_location::current());

  // For those who write awaitables: `listener` is told of `events` (epoll's) until
  // it is removed. REQUIRES: no reader or writer on the same descriptor.
  void Watch(int fd, uint32_t events, DescriptorListener* listener,
             std::source_location here = std::source_location::current());
  void Rewatch(int fd, uint32_t events, DescriptorListener* listener,
               std::source_location here = std::source_location::current());
  void Unwatch(int fd) noexcept;

  // Runs `callback` as a step when the signal has arrived. One loop per signal.
  void AddSignalHandler(int signal, std::function<void()> callback,
                        std::source_location here = std::source_location::current());
  bool RemoveSignalHandler(int signal, std::source_location here = std::source_location::current());

  // Runs `task` by itself; the loop owns it until it is done. It starts in the next turn.
  template <typename T>
  TaskHandle<T> Spawn(Task<T> task, const std::string& name = {},
                      std::source_location here = std::source_location::current());

  // Runs until the task is done; returns its result or throws. Throws UsageError if a loop runs
  // on this thread, or if Stop() ended it before.
  template <typename T>
  T RunUntilComplete(Task<T> task, std::source_location here = std::source_location::current());

  // Runs until Stop().
  void RunForever(std::source_location here = std::source_location::current());
  // Ends the run after the current turn.
  void Stop(std::source_location here = std::source_location::current());
  // Gives everything back; what is left of tasks is destroyed and, in debug mode,
  // reported. Throws UsageError while it runs. May be called again.
  void Close(std::source_location here = std::source_location::current());

  // Cancels all tasks but the running one, and waits until they are done.
  Task<> CancelAll();

  void SetExceptionHandler(std::function<void(const ExceptionContext&)> handler,
                           std::source_location here = std::source_location::current());
  // Default: a line on stderr.
  void HandleException(ExceptionContext context) noexcept;

  bool debug() const noexcept { return debug_ != nullptr; }
  void SetDebug(bool on, std::source_location here = std::source_location::current());
  Duration slow_step() const noexcept { return slow_step_; }
  void SetSlowStep(Duration limit, std::source_location here = std::source_location::current());

  void AddInstrument(std::shared_ptr<Instrument> instrument,
                     std::source_location here = std::source_location::current());
  void RemoveInstrument(const Instrument* instrument,
                        std::source_location here = std::source_location::current());

  std::vector<TaskDescription> DescribeTasks() const;
  // The task tree as text: age, state, what each waits for; the running one marked.
  std::string DumpTasks() const;
  // Prints it to stderr when the signal arrives, also while the loop is stuck in a
  // step: the text is made in the signal handler from what is known to be readable.
  // One loop per process.
  void DumpTasksOnSignal(int signal, std::source_location here = std::source_location::current());
  size_t task_count() const noexcept { return tasks_; }

  // Where blocking functions run by default; made at first use, shut down by Close().
  Executor& DefaultExecutor();
  // Run by Close() and at the end of Run(), newest first: executors, generators.
  void AtClose(std::function<void()> cleanup,
               std::source_location here = std::source_location::current());

 private:
  friend class internal::Callback;
  friend class internal::DebugMode;
  friend class internal::TaskState;
  friend class internal::Waiter;
  friend struct internal::LoopPrivate;

  template <typename F>
  static constexpr void CheckCallback() {
    static_assert(!internal::kIsTask<std::remove_cvref_t<std::invoke_result_t<F&>>>,
                  "this callback returns a Task, which would never run: call Spawn() in it, or "
                  "spawn the coroutine instead of scheduling it");
  }
  void CheckUse(const char* what, std::source_location here) const {
    if (debug_ != nullptr || closed_) [[unlikely]] {
      CheckUseSlowly(what, here);
    }
  }
  void CheckUseSlowly(const char* what, std::source_location here) const;
  [[noreturn]] static void ThrowClosed(const char* what);

  void Adopt(internal::TaskState* task);
  void Disown(internal::TaskState* task) noexcept;
  // This thread is about to run it; throws UsageError if it may not.
  void TakeOver(std::source_location here);
  void RunUntil(internal::TaskState* task, std::source_location here);
  void RunTurns(const internal::TaskState* until);
  void RunOneTurn();
  void Look(bool may_sleep);
  void CheckLostWakeup();
  void DestroyTasks();
  void StopDumping() noexcept;
  void BeginStep(internal::TaskState* task, internal::Site created_at);
  void EndInstrumentedStep();
  static Instrument::Step StepOf(const internal::TaskState* task, internal::Site created_at);
  template <typename F>
  void TellInstruments(const F& tell) noexcept;
  void CheckDescriptor(int fd) const;
  internal::DescriptorCallbacks& CallbacksOf(int fd);
  bool RemoveCallback(int fd, std::shared_ptr<internal::DescriptorCallbacks::Direction>
                                  internal::DescriptorCallbacks::* which);

  std::string name_;
  std::unique_ptr<EventPort> port_;
  std::shared_ptr<internal::RemoteQueue> remote_;
  internal::ReadyQueue ready_;
  internal::TimerHeap timers_;
  std::unique_ptr<internal::DebugMode> debug_;
  bool traced_ = false;  // steps are told to somebody
  bool running_ = false;
  bool stopping_ = false;
  bool closed_ = false;
  bool looks_each_turn_ = true;
  uint32_t steps_since_look_ = 0;
  bool lost_wakeup_told_ = false;
  uint32_t lost_wakeup_looks_ = 100;  // left; each costs some 10 us where there are other threads
  uint32_t cancel_order_ = 0;         // of the last Cancel() from outside; see TaskState::Cancel()
  uint32_t cancel_depth_ = 0;
  uint64_t last_look_ = 0;
  uint64_t ticks_per_look_ = 0;
  bool instrumented_open_ = false;
  internal::TaskState* instrumented_task_ = nullptr;
  internal::Site instrumented_site_ = nullptr;
  Time instrumented_since_{};
  std::thread::id owner_;        // runs it, or did last
  const std::thread::id maker_;  // may use it while it does not run
  const internal::Site made_at_;
  loopsan_loop info_{};
  size_t tasks_ = 0;
  size_t watched_ = 0;  // descriptors and signals
  Duration slow_step_;
  std::vector<std::shared_ptr<Instrument>> instruments_;
  std::unordered_map<int, std::unique_ptr<internal::DescriptorCallbacks>> descriptors_;
  std::unique_ptr<internal::SignalSource> signals_;
  std::function<void(const ExceptionContext&)> exception_handler_;
  std::vector<std::function<void()>> at_close_;
  std::unique_ptr<Executor> executor_;
  std::shared_ptr<internal::OpenGenerators> generators_;
  internal::List<internal::LoopResource> resources_;
};

}  // namespace loopsan
