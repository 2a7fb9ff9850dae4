#include "runtime/barrier.h"

namespace loopsan {

namespace internal {

BarrierAwaiter::~BarrierAwaiter() {
  // Destroyed with its loop; if the barrier went first, its list let this one go.
  if (counted_ && is_linked()) barrier_->Leave(this);
}

bool BarrierAwaiter::await_ready(std::source_location here) {
  Begin(here);
  barrier_->bound_.Check("Barrier::Wait", here);
  if (barrier_->state_ == Barrier::State::kBroken) throw BrokenBarrierError();
  // Outside of tasks Suspend() refuses: it must not be counted before.
  if (barrier_->state_ != Barrier::State::kFilling || t_runner.task == nullptr) return false;
  return barrier_->Enter(this);
}

size_t BarrierAwaiter::await_resume() {
  // Asked now, not when it was woken, as asyncio does: a reset in between counts.
  const bool released = counted_ && barrier_->state_ == Barrier::State::kDraining;
  if (counted_) barrier_->Leave(this);
  Resumed();
  if (!released) throw BrokenBarrierError();
  return index_;
}

bool BarrierAwaiter::OnCancel() noexcept {
  if (counted_) barrier_->Leave(this);
  return Waiter::OnCancel();
}

}  // namespace internal

using internal::BarrierAwaiter;

Barrier::Barrier(size_t parties) : parties_(parties) {
  if (parties == 0) throw std::invalid_argument("a barrier needs at least one party");
}

bool Barrier::Enter(BarrierAwaiter* waiter) noexcept {
  ForgetWhoIsGone();
  waiter->counted_ = true;
  waiter->index_ = count_++;
  if (count_ < parties_) return false;
  state_ = State::kDraining;
  WakeParties();
  return true;
}

void Barrier::Leave(BarrierAwaiter* waiter) noexcept {
  waiter->Unlink();
  waiter->counted_ = false;
  if (--count_ > 0) return;
  if (state_ == State::kDraining || state_ == State::kResetting) state_ = State::kFilling;
  Admit();
}

void Barrier::WakeToLeave(BarrierAwaiter* waiter) noexcept {
  waiter->Wake();
  leaving_.PushBack(waiter);  // after it was woken, which takes it out of its list
}

void Barrier::WakeParties() noexcept {
  while (BarrierAwaiter* const waiter = filling_.front()) WakeToLeave(waiter);
}

void Barrier::Admit() noexcept {
  while (state_ == State::kFilling) {
    BarrierAwaiter* const waiter = outside_.PopFront();
    if (waiter == nullptr) return;
    if (Enter(waiter)) {
      WakeToLeave(waiter);
    } else {
      filling_.PushBack(waiter);
    }
  }
}

void Barrier::Reset(std::source_location here) {
  bound_.Check("Barrier::Reset", here);
  ForgetWhoIsGone();
  if (count_ == 0) {
    state_ = State::kFilling;
    return;
  }
  state_ = State::kResetting;
  WakeParties();
}

void Barrier::Abort(std::source_location here) {
  bound_.Check("Barrier::Abort", here);
  ForgetWhoIsGone();
  state_ = State::kBroken;
  WakeParties();
  while (BarrierAwaiter* const waiter = outside_.front()) waiter->Wake();
}

}  // namespace loopsan
