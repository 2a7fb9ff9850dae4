#include "runtime/semaphore.h"

#include <stdexcept>

#include "runtime/errors.h"

namespace loopsan {

namespace internal {

AcquireAwaiter::~AcquireAwaiter() {
  // Destroyed with its loop, after it was woken and before it ran; if the semaphore
  // went first, its list let this one go.
  if (!is_waiting() && is_linked()) OnAbandoned();
}

bool AcquireAwaiter::await_ready(std::source_location here) {
  Begin(here);
  semaphore_->bound_.Check("Semaphore::Acquire", here);
  if (semaphore_->is_locked()) return false;
  --semaphore_->value_;
  return true;
}

void AcquireAwaiter::OnAbandoned() noexcept {
  Unlink();
  semaphore_->GiveBack();
}

}  // namespace internal

Semaphore::Semaphore(int64_t permits, int64_t limit) : value_(permits), limit_(limit) {
  if (permits < 0) throw std::invalid_argument("a semaphore cannot begin with negative permits");
}

SemaphorePermit Semaphore::TryAcquire(std::source_location here) {
  bound_.Check("Semaphore::TryAcquire", here);
  if (is_locked()) return SemaphorePermit();
  --value_;
  return Grant();
}

void Semaphore::Release(std::source_location here) {
  bound_.Check("Semaphore::Release", here);
  if (value_ >= limit_) {
    throw UsageError("a bounded semaphore was released more often than it was acquired");
  }
  GiveBack();
}

void Semaphore::GiveBack() noexcept {
  ++value_;
  HandOver();
}

void Semaphore::HandOver() noexcept {
  while (value_ > 0) {
    internal::AcquireAwaiter* const next = waiters_.front();
    if (next == nullptr) return;
    --value_;
    next->Wake();
    handed_.PushBack(next);  // after it was woken, which takes it out of its list
  }
}

void SemaphorePermit::Release(std::source_location here) {
  if (semaphore_ == nullptr) throw UsageError("this holds no permit (any more)");
  semaphore_->bound_.Check("SemaphorePermit::Release", here);
  Drop();
}

void SemaphorePermit::Drop() noexcept {
  if (semaphore_ == nullptr) return;
  Semaphore* const semaphore = std::exchange(semaphore_, nullptr);
  if (semaphore->bound_.IsUsable("~SemaphorePermit", nullptr)) semaphore->GiveBack();
}

}  // namespace loopsan
