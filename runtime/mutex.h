// Mutex: one task at a time.
//
//   MutexLock lock = co_await mutex.Lock();
//   ...                                        // until `lock` goes
//
// Fair: tasks get it in the order in which they asked. It is handed over, so that
// nobody overtakes: after an unlock it belongs to the oldest waiter, which runs in
// a later turn. Not recursive: a task that locks it twice gets UsageError.
//
// Threads: the loop's on which it was made or first used; else UsageError (always
// on another loop, on other threads in debug mode). Lifetime: it must outlive its
// locks and the tasks that wait for it, unless those are destroyed with their loop.
// Cancellation: a cancelled task leaves the line; one that was handed the mutex
// and has not run yet passes it on.
#pragma once

#include <coroutine>
#include <cstdint>
#include <source_location>
#include <string>
#include <utility>

#include "runtime/internal/intrusive.h"
#include "runtime/internal/loop_bound.h"
#include "runtime/internal/waiter.h"

namespace loopsan {

class Mutex;

namespace internal {

// Waits in the line of a mutex.
class MutexWaiter : public Waiter {
 public:
  uint64_t HolderTask() const noexcept override;
  const TaskState* Holder() const noexcept override;

 protected:
  explicit MutexWaiter(Mutex& mutex) noexcept : mutex_(&mutex) {}
  ~MutexWaiter();

  // It was handed the mutex, and takes it.
  void Take() noexcept;
  // Or does not want it any more.
  void PassOn() noexcept;

  Mutex* const mutex_;

 private:
  friend class ::loopsan::Mutex;
};

class ConditionAwaiter;
class LockAwaiter;

}  // namespace internal

// Holds a mutex, or nothing. It belongs to the task that locked it.
class [[nodiscard("the mutex is unlocked when this goes")]] MutexLock {
 public:
  MutexLock() noexcept = default;
  MutexLock(MutexLock&& other) noexcept : mutex_(std::exchange(other.mutex_, nullptr)) {}
  MutexLock& operator=(MutexLock&& other) noexcept {
    if (this != &other) {
      Drop();
      mutex_ = std::exchange(other.mutex_, nullptr);
    }
    return *this;
  }
  // Unlocks. In debug mode a task that does not hold it is a finding.
  ~MutexLock() { Drop(); }

  explicit operator bool() const noexcept { return mutex_ != nullptr; }
  Mutex* mutex() const noexcept { return mutex_; }

  // Before its time. Throws UsageError if it holds nothing, or in another task
  // than the one that locked.
  void Unlock(std::source_location here = std::source_location::current());

 private:
  friend class Mutex;
  friend class Condition;
  friend class internal::LockAwaiter;
  friend class internal::ConditionAwaiter;
  explicit MutexLock(Mutex* mutex) noexcept : mutex_(mutex) {}
  void Drop() noexcept;

  Mutex* mutex_ = nullptr;
};

class Mutex {
 public:
  Mutex() = default;
  Mutex(const Mutex&) = delete;
  Mutex& operator=(const Mutex&) = delete;
  ~Mutex();

  // `co_await` gives the MutexLock. Throws UsageError if this task holds it.
  [[nodiscard]] internal::LockAwaiter Lock() noexcept;

  // At once, or not at all: see the lock's operator bool.
  [[nodiscard]] MutexLock TryLock(std::source_location here = std::source_location::current());

  bool is_locked() const noexcept { return locked_; }
  // The task that holds it, 0 if none does (or it was locked outside of tasks).
  uint64_t holder_id() const noexcept;
  std::string holder_name() const;
  // The running task holds it; outside of tasks: it was locked there.
  bool is_held_here() const noexcept;

 private:
  friend class MutexLock;
  friend class Condition;
  friend class internal::ConditionAwaiter;
  friend class internal::MutexWaiter;
  friend class internal::LockAwaiter;

  void Check(const char* what, std::source_location here) { bound_.Check(what, here); }
  void SetHolder(internal::TaskState* task, internal::Site site) noexcept;
  // Gives it to the oldest waiter, or to nobody.
  void HandOver() noexcept;
  // To this one, that stands in no line. REQUIRES: it is free.
  void HandTo(internal::MutexWaiter* waiter) noexcept;
  // Puts it at the end of the line, or hands it the mutex if that is free.
  void Enqueue(internal::MutexWaiter* waiter) noexcept;
  [[noreturn]] void RefuseToLockTwice(internal::Site site) const;
  [[noreturn]] void RefuseToUnlock(internal::Site site) const;
  void ReportForeignUnlock() const noexcept;

  internal::LoopBound bound_;
  internal::List<internal::MutexWaiter> waiters_;
  // The one that was woken as the holder and has not run yet. Whoever is destroyed
  // while it stands here passes the mutex on.
  internal::List<internal::MutexWaiter> handed_;
  internal::TaskState* holder_ = nullptr;  // referenced
  internal::Site locked_at_ = nullptr;
  bool locked_ = false;
};

namespace internal {

class LockAwaiter final : public MutexWaiter {
 public:
  explicit LockAwaiter(Mutex& mutex) noexcept : MutexWaiter(mutex) {}

  bool await_ready(std::source_location here = std::source_location::current());
  template <typename P>
  void await_suspend(std::coroutine_handle<P> handle) {
    mutex_->waiters_.PushBack(this);
    Suspend(handle, "mutex", mutex_);
  }
  MutexLock await_resume() {
    Resumed();
    Take();
    return MutexLock(mutex_);
  }

 private:
  void OnAbandoned() noexcept override { PassOn(); }
};

}  // namespace internal

inline internal::LockAwaiter Mutex::Lock() noexcept { return internal::LockAwaiter(*this); }

}  // namespace loopsan
