#include "runtime/condition.h"

#include <cstdint>
#include <limits>
#include <utility>

#include "runtime/errors.h"
#include "runtime/internal/task_state.h"

namespace loopsan {

namespace internal {

bool ConditionAwaiter::await_ready(std::source_location here) {
  Begin(here);
  condition_.bound_.Check("Condition::Wait", here);
  if (lock_.mutex() != mutex_ || !mutex_->is_held_here()) {
    throw UsageError("Condition::Wait needs a lock of the condition's mutex, held by this task");
  }
  if (t_runner.task == nullptr) {
    throw UsageError("waiting for a condition needs a running task: Spawn() the coroutine");
  }
  return false;
}

void ConditionAwaiter::Unlock() noexcept { std::exchange(lock_.mutex_, nullptr)->HandOver(); }

void ConditionAwaiter::Relock() noexcept {
  Take();
  lock_ = MutexLock(mutex_);
}

void ConditionAwaiter::ToMutex() noexcept {
  Unlink();
  wants_mutex_ = true;
  task()->info.waiting_for = "mutex";
  task()->info.waiting_object = mutex_;
  mutex_->Enqueue(this);
}

bool ConditionAwaiter::OnCancel() noexcept {
  MarkCancelled();
  if (!wants_mutex_) {
    ToMutex();
  } else if (std::exchange(notified_, false)) {
    condition_.PassOn(1);
  }
  return true;  // when it has the mutex
}

void ConditionAwaiter::OnAbandoned() noexcept {
  if (std::exchange(notified_, false)) condition_.PassOn(1);
}

uint64_t ConditionAwaiter::HolderTask() const noexcept {
  return wants_mutex_ ? MutexWaiter::HolderTask() : 0;
}

const TaskState* ConditionAwaiter::Holder() const noexcept {
  return wants_mutex_ ? MutexWaiter::Holder() : nullptr;
}

}  // namespace internal

void Condition::Notify(size_t count, std::source_location here) {
  bound_.Check("Condition::Notify", here);
  if (!mutex_.is_held_here()) {
    throw UsageError("Condition::Notify needs the condition's mutex, held by this task");
  }
  PassOn(count);
}

void Condition::NotifyAll(std::source_location here) {
  Notify(std::numeric_limits<size_t>::max(), here);
}

void Condition::PassOn(size_t count) noexcept {
  for (; count > 0; --count) {
    internal::ConditionAwaiter* const waiter = waiters_.front();
    if (waiter == nullptr) return;
    waiter->notified_ = true;
    waiter->ToMutex();
  }
}

}  // namespace loopsan
