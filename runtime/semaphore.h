// Semaphore: as many tasks at a time as it has permits.
//
//   SemaphorePermit permit = co_await semaphore.Acquire();
//   ...                                        // until `permit` goes
//
// As asyncio's: nobody overtakes. A permit that is given back is handed to the
// oldest waiter; until it has run, who comes later waits, too, even if another
// permit is free. One may also be given back that nobody acquired here (Release());
// a BoundedSemaphore refuses to have more than it began with.
//
// Threads: the loop's on which it was made or first used; else UsageError (always
// on another loop, on other threads in debug mode). Lifetime: it must outlive its
// permits and the calls of its waiters. Cancellation: a cancelled task leaves the
// line; one that was handed a permit and has not run yet passes it on.
#pragma once

#include <coroutine>
#include <cstdint>
#include <limits>
#include <source_location>
#include <utility>

#include "runtime/internal/intrusive.h"
#include "runtime/internal/loop_bound.h"
#include "runtime/internal/waiter.h"

namespace loopsan {

class Semaphore;

// One permit, or nothing. May go from task to task.
class [[nodiscard("the permit is given back when this goes")]] SemaphorePermit {
 public:
  SemaphorePermit() noexcept = default;
  SemaphorePermit(SemaphorePermit&& other) noexcept
      : semaphore_(std::exchange(other.semaphore_, nullptr)) {}
  SemaphorePermit& operator=(SemaphorePermit&& other) noexcept {
    if (this != &other) {
      Drop();
      semaphore_ = std::exchange(other.semaphore_, nullptr);
    }
    return *this;
  }
  ~SemaphorePermit() { Drop(); }

  explicit operator bool() const noexcept { return semaphore_ != nullptr; }

  // Before its time. Throws UsageError if it holds nothing.
  void Release(std::source_location here = std::source_location::current());
  // Somebody else will call Semaphore::Release().
  void Detach() noexcept { semaphore_ = nullptr; }

 private:
  friend class Semaphore;
  explicit SemaphorePermit(Semaphore* semaphore) noexcept : semaphore_(semaphore) {}
  void Drop() noexcept;

  Semaphore* semaphore_ = nullptr;
};

namespace internal {

class AcquireAwaiter final : public Waiter {
 public:
  explicit AcquireAwaiter(Semaphore& semaphore) noexcept : semaphore_(&semaphore) {}
  ~AcquireAwaiter();

  bool await_ready(std::source_location here = std::source_location::current());
  template <typename P>
  void await_suspend(std::coroutine_handle<P> handle);
  SemaphorePermit await_resume();

 private:
  void OnAbandoned() noexcept override;

  Semaphore* const semaphore_;
};

}  // namespace internal

class Semaphore {
 public:
  // Throws std::invalid_argument if `permits` is negative.
  explicit Semaphore(int64_t permits = 1)
      : Semaphore(permits, std::numeric_limits<int64_t>::max()) {}
  Semaphore(const Semaphore&) = delete;
  Semaphore& operator=(const Semaphore&) = delete;

  // `co_await` gives the SemaphorePermit.
  [[nodiscard]] internal::AcquireAwaiter Acquire() noexcept {
    return internal::AcquireAwaiter(*this);
  }

  // At once, or not at all: see the permit's operator bool.
  [[nodiscard]] SemaphorePermit TryAcquire(
      std::source_location here = std::source_location::current());

  // Adds a permit. A bounded one throws UsageError if it had them all.
  void Release(std::source_location here = std::source_location::current());

  // Acquire() would have to wait.
  bool is_locked() const noexcept { return value_ == 0 || !handed_.empty(); }
  // How many permits are free.
  int64_t value() const noexcept { return value_; }

 protected:
  Semaphore(int64_t permits, int64_t limit);

 private:
  friend class SemaphorePermit;
  friend class internal::AcquireAwaiter;

  SemaphorePermit Grant() noexcept { return SemaphorePermit(this); }
  void GiveBack() noexcept;
  // Hands free permits to those who wait.
  void HandOver() noexcept;

  internal::LoopBound bound_;
  // If one waits no permit is free.
  internal::List<internal::AcquireAwaiter> waiters_;
  // Those that were woken with a permit and have not run yet. Whoever is destroyed
  // while it stands here gives it back.
  internal::List<internal::AcquireAwaiter> handed_;
  int64_t value_;
  const int64_t limit_;
};

// Releasing more than was acquired is an error: UsageError.
class BoundedSemaphore : public Semaphore {
 public:
  explicit BoundedSemaphore(int64_t permits = 1) : Semaphore(permits, permits) {}
};

namespace internal {

template <typename P>
void AcquireAwaiter::await_suspend(std::coroutine_handle<P> handle) {
  semaphore_->waiters_.PushBack(this);
  Suspend(handle, "semaphore", semaphore_);
  semaphore_->HandOver();
}

inline SemaphorePermit AcquireAwaiter::await_resume() {
  Resumed();
  Unlink();
  return semaphore_->Grant();
}

}  // namespace internal
}  // namespace loopsan
