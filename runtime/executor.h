// Executors: threads that run blocking functions, so that the loop need not.
//
//   const auto hash = [path] { return HashFile(path); };
//   auto job = RunInExecutor(hash);                        // runs from here on
//   std::string digest = co_await std::move(job);
//
// (g++ 12 miscompiles a lambda with captures inside the co_await expression: name
// it first, as here.)
//
// The function runs in the context (runtime/context.h) of who called
// RunInExecutor(). Its result, or what it threw, comes back through the loop.
//
// Cancellation: a function that has not begun will not run. One that runs goes on
// to its end; its result is dropped, an exception goes to the loop's exception
// handler. The function itself is destroyed on the executor's thread, or where it
// is dropped.
//
// In debug mode a function that waited longer for a thread than the loop's slow_step() is
// reported.
#pragma once

#include <chrono>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <source_location>
#include <string>
#include <type_traits>
#include <utility>

#include "runtime/context.h"
#include "runtime/event_loop.h"
#include "runtime/future.h"
#include "runtime/internal/deadlock_watch.h"

namespace loopsan {

struct ExecutorStats {
  size_t threads = 0;  // alive
  size_t idle = 0;     // of them
  size_t queued = 0;   // jobs that wait for a thread
  uint64_t begun = 0;  // jobs that a thread has taken, ever
  // How long those had waited.
  std::chrono::nanoseconds total_delay{0};
  std::chrono::nanoseconds worst_delay{0};
};

class Executor {
 public:
  virtual ~Executor() = default;

  // Runs `job` soon; never waits. Threads: any. Throws UsageError after Shutdown(),
  // ExecutorFullError if it has a limit and is full, std::system_error if no thread can be had.
  // A job must not throw.
  virtual void Submit(std::function<void()> job) = 0;

  // The same, but false if it is full: `job` stays the caller's then.
  virtual bool TrySubmit(std::function<void()>& job) {
    Submit(std::move(job));
    return true;
  }

  // Calls `notify` once, on any thread, when a place has become free or the executor is shut
  // down; at once if it is not full. Somebody else may be quicker: try again then.
  virtual void NotifyOfRoom(std::function<void()> notify) { std::move(notify)(); }  // NOLINT

  // Takes no more jobs, runs those that were taken, and waits for them. Threads:
  // none of its own. May be called again.
  virtual void Shutdown() noexcept = 0;

  // Threads: any.
  virtual ExecutorStats stats() const { return {}; }

  // For reports. Threads: any.
  virtual std::string name() const { return "executor"; }
  // How many threads run its jobs at most; 0: that is not known.
  virtual size_t most_threads() const noexcept { return 0; }
  // This thread is the only one that runs its jobs: who waits here for one of them, waits
  // for ever.
  virtual bool IsOnlyThread() const noexcept { return false; }
};

struct ThreadPoolOptions {
  size_t threads = 0;             // at most; 0: as asyncio, min(32, processors + 4)
  std::string name = "executor";  // of the threads, with a number behind it
  // How many jobs may wait while all threads are busy; 0: any number. At the limit Submit()
  // throws ExecutorFullError; SyncToAsync() and WaitForRoom() wait, without holding up the loop.
  size_t queue_limit = 0;
};

// Threads are started as jobs need them, and stay. Its destructor shuts it down.
std::unique_ptr<Executor> MakeThreadPool(ThreadPoolOptions options = {});

// Waits until `executor` may take a job, without holding up the loop. In a loop around
// TrySubmit() where others submit, too. Throws UsageError if no loop runs.
Task<> WaitForRoom(Executor& executor);

// Shuts `executor` down while the loop goes on: jobs that need the loop can end. The join
// is a thread's of its own, never one that a job may need.
// Cancellation: the shutdown goes on without the waiter. REQUIRES: the executor
// lives until then.
Task<> ShutDown(Executor& executor);

namespace internal {

// Debug mode: a function waited so long for a thread. The loop's thread.
void ReportExecutorDelay(Duration delay, Site sent_at, const std::string& executor) noexcept;

// One function on its way through an executor; knows the loop it came from.
class ExecutorJob {
 public:
  ExecutorJob(EventLoop& loop, Site site);
  ExecutorJob(const ExecutorJob&) = delete;
  ExecutorJob& operator=(const ExecutorJob&) = delete;

 protected:
  ~ExecutorJob() = default;

  // Before it is sent to `executor`; tasks wait for `awaited`.
  void Watch(const Executor& executor, const void* awaited) noexcept;
  // On the executor's thread, around the function.
  void Begin();
  void End();
  // Its waiter was cancelled, and now this.
  void TellLostError(std::exception_ptr error) const;

 private:
  EventLoop* const loop_;  // an address only
  const LoopHandle handle_;
  const Site site_;
  Context context_;
  std::optional<Clock::time_point> submitted_;  // if the delay is of interest
  const Duration longest_delay_;
  const Executor* executor_ = nullptr;
  WatchedCall watch_;
};

template <typename F, typename R>
class ExecutorJobOf final : public ExecutorJob {
 public:
  ExecutorJobOf(EventLoop& loop, F function, std::source_location here)
      : ExecutorJob(loop, SiteOf(here)), function_(std::move(function)), promise_(loop, here) {}

  Future<R> SendTo(Executor& executor, std::shared_ptr<ExecutorJobOf> self) {
    Future<R> future = promise_.future();
    Watch(executor, promise_.id());
    executor.Submit([self = std::move(self)] { self->Run(); });
    return future;
  }

 private:
  void Run() {
    if (promise_.abandoned()) return;
    Begin();
    std::exception_ptr error;
    bool delivered = true;
    try {
      if constexpr (std::is_void_v<R>) {
        std::invoke(*function_);
        function_.reset();
        delivered = promise_.SetValue();
      } else {
        R result = std::invoke(*function_);
        function_.reset();
        delivered = promise_.SetValue(std::forward<R>(result));
      }
    } catch (...) {
      error = std::current_exception();
    }
    if (error) {
      function_.reset();
      delivered = promise_.SetError(error);
    }
    End();
    if (!delivered && error) TellLostError(std::move(error));
  }

  std::optional<F> function_;
  Promise<R> promise_;
};

}  // namespace internal

// Starts `function()` on a thread of `executor`. Throws as Submit() (a full executor:
// ExecutorFullError), and UsageError where no loop runs.
template <std::invocable F>
[[nodiscard("await it, or its exception is lost")]]
Future<std::invoke_result_t<F&>> RunInExecutor(
    Executor& executor, F function, std::source_location here = std::source_location::current()) {
  using R = std::invoke_result_t<F&>;
  static_assert(!internal::kIsTask<std::remove_cvref_t<R>>,
                "this function returns a Task, which runs on a loop only: co_await it, or give "
                "the executor the blocking part");
  const auto job = std::make_shared<internal::ExecutorJobOf<F, R>>(EventLoop::Running(),
                                                                   std::move(function), here);
  return job->SendTo(executor, job);
}

// The same on the loop's default executor.
template <std::invocable F>
[[nodiscard("await it, or its exception is lost")]]
Future<std::invoke_result_t<F&>> RunInExecutor(
    F function, std::source_location here = std::source_location::current()) {
  return RunInExecutor(EventLoop::Running().DefaultExecutor(), std::move(function), here);
}

}  // namespace loopsan
