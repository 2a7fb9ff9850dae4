#include "runtime/mutex.h"

#include "runtime/errors.h"
#include "runtime/internal/deadlock_watch.h"
#include "runtime/internal/findings.h"
#include "runtime/internal/runner.h"
#include "runtime/internal/task_state.h"

namespace loopsan {

using internal::Found;
using internal::MutexWaiter;
using internal::Rule;
using internal::Site;
using internal::TaskState;

namespace internal {

uint64_t MutexWaiter::HolderTask() const noexcept { return is_linked() ? mutex_->holder_id() : 0; }

const TaskState* MutexWaiter::Holder() const noexcept {
  return is_linked() ? mutex_->holder_ : nullptr;
}

MutexWaiter::~MutexWaiter() {
  // Destroyed with its loop, after it was woken and before it ran; if the mutex
  // went first, its list let this one go.
  if (!is_waiting() && is_linked()) PassOn();
}

void MutexWaiter::Take() noexcept { Unlink(); }

void MutexWaiter::PassOn() noexcept {
  Take();
  mutex_->HandOver();
}

bool LockAwaiter::await_ready(std::source_location here) {
  Begin(here);
  mutex_->Check("Mutex::Lock", here);
  if (!mutex_->locked_) {
    mutex_->locked_ = true;
    mutex_->SetHolder(t_runner.task, site());
    return true;
  }
  if (mutex_->holder_ != nullptr && mutex_->holder_ == t_runner.task) {
    mutex_->RefuseToLockTwice(site());
  }
  if (t_runner.debug) WatchTaskWait(t_runner.task, mutex_->holder_);
  return false;
}

}  // namespace internal

Mutex::~Mutex() { SetHolder(nullptr, nullptr); }

MutexLock Mutex::TryLock(std::source_location here) {
  Check("Mutex::TryLock", here);
  if (locked_) return MutexLock();
  locked_ = true;
  SetHolder(internal::t_runner.task, internal::SiteOf(here));
  return MutexLock(this);
}

uint64_t Mutex::holder_id() const noexcept { return holder_ != nullptr ? holder_->info.id : 0; }

std::string Mutex::holder_name() const {
  return holder_ != nullptr ? holder_->DisplayName() : std::string();
}

bool Mutex::is_held_here() const noexcept { return locked_ && holder_ == internal::t_runner.task; }

void Mutex::SetHolder(TaskState* task, Site site) noexcept {
  if (task != nullptr) task->Ref();
  TaskState* const before = std::exchange(holder_, task);
  if (before != nullptr) before->Unref();
  locked_at_ = site;
}

void Mutex::HandOver() noexcept {
  MutexWaiter* const next = waiters_.PopFront();
  if (next != nullptr) {
    HandTo(next);
    return;
  }
  locked_ = false;
  SetHolder(nullptr, nullptr);
}

void Mutex::HandTo(MutexWaiter* waiter) noexcept {
  locked_ = true;
  SetHolder(waiter->task(), waiter->site());
  waiter->Wake();
  handed_.PushBack(waiter);  // after it was woken, which takes it out of its list
}

void Mutex::Enqueue(MutexWaiter* waiter) noexcept {
  if (locked_) {
    waiters_.PushBack(waiter);
    if (internal::t_runner.debug) internal::WatchTaskWait(waiter->task(), holder_);
  } else {
    HandTo(waiter);
  }
}

void Mutex::RefuseToLockTwice(Site site) const {
  Found found{.rule = Rule::kLocksTwice, .message = {}};
  found.message = "task '" + holder_->DisplayName() + "' locks a mutex that it has locked at " +
                  internal::FileAndLine(locked_at_);
  found.where = site;
  found.task = holder_;
  if (internal::t_runner.debug) internal::Report(found);
  throw UsageError(found.message);
}

void Mutex::RefuseToUnlock(Site site) const {
  Found found{.rule = Rule::kNotTheHolder, .message = {}};
  found.message =
      "a mutex was unlocked that " +
      (holder_ != nullptr ? "task '" + holder_->DisplayName() + "'" : std::string("no task")) +
      " holds, since " + internal::FileAndLine(locked_at_);
  found.where = site;
  found.task = internal::t_runner.task;
  if (internal::t_runner.debug) internal::Report(found);
  throw UsageError(found.message);
}

void Mutex::ReportForeignUnlock() const noexcept try { RefuseToUnlock(locked_at_); } catch (...) {
  // A destructor must go on: the mutex is unlocked.
}

void MutexLock::Unlock(std::source_location here) {
  if (mutex_ == nullptr) throw UsageError("this lock holds no mutex (any more)");
  mutex_->Check("MutexLock::Unlock", here);
  if (!mutex_->is_held_here()) mutex_->RefuseToUnlock(internal::SiteOf(here));
  std::exchange(mutex_, nullptr)->HandOver();
}

void MutexLock::Drop() noexcept {
  if (mutex_ == nullptr) return;
  Mutex* const mutex = std::exchange(mutex_, nullptr);
  if (!mutex->bound_.IsUsable("~MutexLock", mutex->locked_at_)) return;
  // No task runs: the loop is being closed, and destroys what is left of them.
  if (internal::t_runner.debug && internal::t_runner.task != nullptr && !mutex->is_held_here()) {
    mutex->ReportForeignUnlock();
  }
  mutex->HandOver();
}

}  // namespace loopsan
