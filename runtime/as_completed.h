// AsCompleted: tasks in the order in which they are done, as asyncio.as_completed().
//
//   AsCompleted pages(std::move(tasks));    // std::vector of Task<T> or TaskHandle<T>
//   while (std::optional<TaskHandle<Page>> page = co_await pages.Next()) {
//     Show(co_await *page);
//   }
//
// Tasks are spawned at once. The tasks go on when the AsCompleted is gone.
//
// Errors: Next() gives failed tasks, too: the exception comes from awaiting the
// handle. When the limit has passed, Next() throws TimeoutError once all that were done
// in time have been given; the tasks go on.
//
// Cancellation of a Next() ends that wait only. Several tasks may wait in Next(); the
// oldest gets what is done first. Threads: the loop's only.
#pragma once

#include <coroutine>
#include <cstddef>
#include <deque>
#include <memory>
#include <optional>
#include <source_location>
#include <utility>
#include <vector>

#include "runtime/event_loop.h"
#include "runtime/internal/done_hook.h"
#include "runtime/internal/intrusive.h"
#include "runtime/spawn.h"

namespace loopsan {

namespace internal {

class Completions;

class CompletionAwaiter : public Waiter {
 public:
  explicit CompletionAwaiter(Completions& completions) noexcept : completions_(completions) {}

  bool await_ready(std::source_location here = std::source_location::current());
  template <typename P>
  void await_suspend(std::coroutine_handle<P> handle) {
    WaitIn();
    Suspend(handle, "the next task that is done", &completions_);
  }

 protected:
  // The number of a task that is done; none if all were given.
  std::optional<size_t> Take();

 private:
  friend class Completions;
  void WaitIn() noexcept;
  void OnAbandoned() noexcept override;

  Completions& completions_;
  std::optional<size_t> given_;
};

// The part that does not know the results.
class Completions : private TimerNode {
 public:
  Completions(const std::vector<AnyTaskHandle>& tasks, std::optional<Duration> limit);
  Completions(const Completions&) = delete;
  Completions& operator=(const Completions&) = delete;
  ~Completions();

 private:
  friend class CompletionAwaiter;
  struct Hook final : DoneHook {
    void OnTaskDone(TaskState& task) noexcept override;
    Completions* completions = nullptr;
    size_t index = 0;
  };

  void Give(size_t index) noexcept;
  void WakeAll() noexcept;

  EventLoop& loop_;
  size_t running_ = 0;
  bool expired_ = false;
  std::deque<size_t> done_;  // and not given yet
  List<CompletionAwaiter> waiters_;
  std::unique_ptr<Hook[]> hooks_;
};

template <typename T>
class NextCompletionAwaiter final : public CompletionAwaiter {
 public:
  NextCompletionAwaiter(Completions& completions, const std::vector<TaskHandle<T>>& tasks) noexcept
      : CompletionAwaiter(completions), tasks_(tasks) {}
  std::optional<TaskHandle<T>> await_resume() {
    const std::optional<size_t> index = Take();
    if (!index) return std::nullopt;
    return tasks_[*index];
  }

 private:
  const std::vector<TaskHandle<T>>& tasks_;
};

}  // namespace internal

template <typename T>
class AsCompleted {
 public:
  // `limit` runs from now. Throws UsageError if no loop runs on this thread, or if a task is
  // another loop's.
  explicit AsCompleted(std::vector<TaskHandle<T>> tasks,
                       std::optional<Duration> limit = std::nullopt)
      : tasks_(std::move(tasks)), completions_({tasks_.begin(), tasks_.end()}, limit) {}
  explicit AsCompleted(std::vector<Task<T>> tasks, std::optional<Duration> limit = std::nullopt,
                       std::source_location here = std::source_location::current())
      : AsCompleted(SpawnAll(std::move(tasks), here), limit) {}

  // The next task that is done; none when all have been given.
  [[nodiscard("it must be awaited")]] internal::NextCompletionAwaiter<T> Next() noexcept {
    return internal::NextCompletionAwaiter<T>(completions_, tasks_);
  }

 private:
  static std::vector<TaskHandle<T>> SpawnAll(std::vector<Task<T>> tasks,
                                             std::source_location here) {
    std::vector<TaskHandle<T>> handles;
    handles.reserve(tasks.size());
    for (Task<T>& task : tasks) handles.push_back(Spawn(std::move(task), {}, here));
    return handles;
  }

  const std::vector<TaskHandle<T>> tasks_;
  internal::Completions completions_;
};

}  // namespace loopsan
