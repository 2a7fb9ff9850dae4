#include "runtime/timeout.h"

#include "runtime/internal/loop_private.h"

namespace loopsan {

using internal::LoopPrivate;

void Timeout::Reschedule(std::optional<Time> when, std::source_location here) {
  if (state_ != State::kEntered) {
    throw UsageError(expired() ? "this time limit has expired and cannot be moved"
                               : "this time limit is not, or no longer, in force");
  }
  LoopPrivate::CheckUse(*loop_, "Timeout::Reschedule", here);
  Unset();
  Set(when);
}

void Timeout::Set(std::optional<Time> when) {
  when_ = when;
  if (!when) return;
  deadline = *when;
  fire = &Expire;
  LoopPrivate::timers(*loop_).Add(this);
}

void Timeout::Unset() noexcept {
  if (is_set()) LoopPrivate::timers(*loop_).Remove(this);
}

void Timeout::Expire(internal::TimerNode* node) {
  auto* const timeout = static_cast<Timeout*>(node);
  timeout->state_ = State::kExpiring;
  timeout->task_->Cancel();
}

namespace internal {

TimeoutScope::TimeoutScope(Timeout& timeout, std::optional<Time> when) : timeout_(timeout) {
  timeout.task_ = t_runner.task;
  if (timeout.task_ == nullptr) {
    throw UsageError("a time limit needs a running task: Spawn() the coroutine or Run() it");
  }
  ++timeout.task_->time_limits;
  timeout.loop_ = timeout.task_->loop;
  timeout.cancel_requests_before_ = timeout.task_->cancel_requests;
  timeout.Set(when);
  timeout.state_ = Timeout::State::kEntered;
}

TimeoutScope::~TimeoutScope() {
  timeout_.Unset();
  --timeout_.task_->time_limits;
  if (timeout_.state_ != Timeout::State::kExpiring) {
    timeout_.state_ = Timeout::State::kExited;
    return;
  }
  timeout_.state_ = Timeout::State::kExpired;
  // More requests than before: somebody else wants the task to end.
  timeout_.caused_cancellation_ = timeout_.task_->Uncancel() <= timeout_.cancel_requests_before_;
}

}  // namespace internal
}  // namespace loopsan
