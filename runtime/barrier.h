// Barrier: tasks wait for each other until there are `parties` of them.
//
//   size_t index = co_await barrier.Wait();    // 0 ... parties - 1, in order of arrival
//
// As asyncio's (3.11): the barrier is used again once all have left; who comes
// while they leave waits until then. A cancelled task leaves without breaking it.
// Unlike asyncio's, Reset() and Abort() need not be awaited.
//
// Threads: the loop's on which it was made or first used; else UsageError (always
// on another loop, on other threads in debug mode). Lifetime: it must outlive the
// calls of its waiters. Cancellation: throws at once; if the task had been released
// and had not run yet, its party counts as having passed.
#pragma once

#include <coroutine>
#include <cstddef>
#include <cstdint>
#include <source_location>
#include <stdexcept>

#include "runtime/internal/intrusive.h"
#include "runtime/internal/loop_bound.h"
#include "runtime/internal/waiter.h"

namespace loopsan {

class Barrier;

class BrokenBarrierError : public std::runtime_error {
 public:
  BrokenBarrierError() : std::runtime_error("the barrier was aborted or reset") {}
};

namespace internal {

class BarrierAwaiter final : public Waiter {
 public:
  explicit BarrierAwaiter(Barrier& barrier) noexcept : barrier_(&barrier) {}
  ~BarrierAwaiter();

  bool await_ready(std::source_location here = std::source_location::current());
  template <typename P>
  void await_suspend(std::coroutine_handle<P> handle);
  size_t await_resume();

  bool OnCancel() noexcept override;

 private:
  friend class ::loopsan::Barrier;

  Barrier* const barrier_;
  size_t index_ = 0;
  bool counted_ = false;  // it is one of the parties
};

}  // namespace internal

class Barrier {
 public:
  // Throws std::invalid_argument if `parties` is 0.
  explicit Barrier(size_t parties);
  Barrier(const Barrier&) = delete;
  Barrier& operator=(const Barrier&) = delete;

  // `co_await` gives the index. Throws BrokenBarrierError if the barrier is
  // aborted, or is reset while the task waits.
  [[nodiscard]] internal::BarrierAwaiter Wait() noexcept { return internal::BarrierAwaiter(*this); }

  // Back to empty. All who wait for the others get BrokenBarrierError.
  void Reset(std::source_location here = std::source_location::current());
  // Everybody gets BrokenBarrierError, now and until Reset().
  void Abort(std::source_location here = std::source_location::current());

  size_t parties() const noexcept { return parties_; }
  // How many wait for the others.
  size_t waiting() const noexcept {
    return state_ == State::kFilling && !filling_.empty() ? count_ : 0;
  }
  bool is_broken() const noexcept { return state_ == State::kBroken; }

 private:
  friend class internal::BarrierAwaiter;
  enum class State : uint8_t { kFilling, kDraining, kResetting, kBroken };

  // The loop takes all who wait out of their lists when it is closed under them.
  void ForgetWhoIsGone() noexcept {
    if (state_ == State::kFilling && filling_.empty()) count_ = 0;
  }
  // A party more; true if it was the last one.
  bool Enter(internal::BarrierAwaiter* waiter) noexcept;
  // A party less.
  void Leave(internal::BarrierAwaiter* waiter) noexcept;
  void WakeParties() noexcept;
  void WakeToLeave(internal::BarrierAwaiter* waiter) noexcept;
  // Lets those in who stand outside.
  void Admit() noexcept;

  internal::LoopBound bound_;
  internal::List<internal::BarrierAwaiter> filling_;
  // Released, or broken, and not run yet.
  internal::List<internal::BarrierAwaiter> leaving_;
  // Who came while the others leave.
  internal::List<internal::BarrierAwaiter> outside_;
  const size_t parties_;
  size_t count_ = 0;
  State state_ = State::kFilling;
};

namespace internal {

template <typename P>
void BarrierAwaiter::await_suspend(std::coroutine_handle<P> handle) {
  (counted_ ? barrier_->filling_ : barrier_->outside_).PushBack(this);
  Suspend(handle, "barrier", barrier_);
}

}  // namespace internal
}  // namespace loopsan
