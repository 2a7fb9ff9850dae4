// Condition: waits, with a mutex unlocked meanwhile, until somebody says that
// something has changed.
//
//   MutexLock lock = co_await condition.Lock();
//   co_await condition.WaitFor(lock, [&] { return !items.empty(); });
//
// As asyncio's: Wait() comes back with the mutex locked, also when it throws
// CancelledError; it may come back although nobody notified, so say what you wait
// for with WaitFor(). A task that is notified gets into the mutex's line at that
// moment. If it is cancelled after it was notified, another one is notified.
//
// Threads: the loop's on which it was made or first used; else UsageError (always
// on another loop, on other threads in debug mode). Lifetime: it must outlive the
// calls of its waiters. Cancellation: a cancelled task throws when it has the
// mutex again, not before.
#pragma once

#include <concepts>
#include <coroutine>
#include <cstddef>
#include <source_location>

#include "runtime/internal/intrusive.h"
#include "runtime/internal/loop_bound.h"
#include "runtime/mutex.h"
#include "runtime/task.h"

namespace loopsan {

class Condition;

namespace internal {

// Stands first in the condition's line, then in the mutex's, and runs when it
// holds the mutex again.
class ConditionAwaiter final : public MutexWaiter {
 public:
  ConditionAwaiter(Condition& condition, MutexLock& lock) noexcept;

  bool await_ready(std::source_location here = std::source_location::current());
  template <typename P>
  void await_suspend(std::coroutine_handle<P> handle);
  void await_resume() {
    Relock();
    Resumed();
  }

  bool OnCancel() noexcept override;
  uint64_t HolderTask() const noexcept override;
  const TaskState* Holder() const noexcept override;

 private:
  friend class ::loopsan::Condition;
  // Into the mutex's line.
  void ToMutex() noexcept;
  void Unlock() noexcept;
  void Relock() noexcept;
  void OnAbandoned() noexcept override;

  Condition& condition_;
  MutexLock& lock_;
  bool notified_ = false;
  bool wants_mutex_ = false;
};

}  // namespace internal

class Condition {
 public:
  // With a mutex of its own.
  Condition() noexcept : mutex_(own_mutex_) {}
  // `mutex` must outlive it.
  explicit Condition(Mutex& mutex) noexcept : mutex_(mutex) {}
  Condition(const Condition&) = delete;
  Condition& operator=(const Condition&) = delete;

  Mutex& mutex() noexcept { return mutex_; }
  [[nodiscard]] internal::LockAwaiter Lock() noexcept { return mutex_.Lock(); }

  // Throws UsageError if `lock` does not hold this condition's mutex, or belongs
  // to another task.
  [[nodiscard]] internal::ConditionAwaiter Wait(MutexLock& lock) noexcept {
    return internal::ConditionAwaiter(*this, lock);
  }

  // Until `predicate()` holds, which is asked with the mutex locked.
  template <std::predicate F>
  Task<> WaitFor(MutexLock& lock, F predicate) {
    while (!predicate()) co_await Wait(lock);
  }

  // Wakes the task that has waited longest (the `count` such tasks; all). Throw
  // UsageError if the caller does not hold the mutex.
  void NotifyOne(std::source_location here = std::source_location::current()) { Notify(1, here); }
  void Notify(size_t count, std::source_location here = std::source_location::current());
  void NotifyAll(std::source_location here = std::source_location::current());

 private:
  friend class internal::ConditionAwaiter;

  void PassOn(size_t count) noexcept;

  internal::LoopBound bound_;
  internal::List<internal::ConditionAwaiter> waiters_;
  Mutex own_mutex_;
  Mutex& mutex_;
};

namespace internal {

inline ConditionAwaiter::ConditionAwaiter(Condition& condition, MutexLock& lock) noexcept
    : MutexWaiter(condition.mutex()), condition_(condition), lock_(lock) {}

template <typename P>
void ConditionAwaiter::await_suspend(std::coroutine_handle<P> handle) {
  Unlock();
  condition_.waiters_.PushBack(this);
  Suspend(handle, "condition", &condition_);
}

}  // namespace internal
}  // namespace loopsan
