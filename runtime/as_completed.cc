#include "runtime/as_completed.h"

#include "runtime/errors.h"
#include "runtime/internal/loop_private.h"
#include "runtime/timeout.h"

namespace loopsan::internal {

Completions::Completions(const std::vector<AnyTaskHandle>& tasks, std::optional<Duration> limit)
    : loop_(EventLoop::Running()), hooks_(std::make_unique<Hook[]>(tasks.size())) {
  for (size_t i = 0; i < tasks.size(); ++i) {
    if (!tasks[i].valid()) throw UsageError("a task handle without a task is waited for");
    CheckAwait(tasks[i].state(), CallerSite());
    if (tasks[i].done()) {
      done_.push_back(i);
      continue;
    }
    ++running_;
    hooks_[i].completions = this;
    hooks_[i].index = i;
    hooks_[i].HookTo(tasks[i].state());
  }
  if (limit && running_ != 0) {
    deadline = loop_.TimeAfter(*limit);
    fire = [](TimerNode* node) {
      auto* const completions = static_cast<Completions*>(node);
      completions->expired_ = true;
      completions->WakeAll();
    };
    LoopPrivate::timers(loop_).Add(this);
  }
}

Completions::~Completions() {
  if (is_set()) LoopPrivate::timers(loop_).Remove(this);
}

void Completions::Hook::OnTaskDone(TaskState&) noexcept {
  Unlink();
  --completions->running_;
  completions->Give(index);
  if (completions->running_ == 0) completions->WakeAll();
}

void Completions::Give(size_t index) noexcept {
  CompletionAwaiter* const oldest = waiters_.front();
  if (oldest == nullptr) {
    done_.push_back(index);
    return;
  }
  oldest->given_ = index;
  oldest->Wake();
}

void Completions::WakeAll() noexcept {
  while (CompletionAwaiter* waiter = waiters_.front()) waiter->Wake();
  if (is_set()) LoopPrivate::timers(loop_).Remove(this);
}

bool CompletionAwaiter::await_ready(std::source_location here) {
  Begin(here);
  if (!completions_.done_.empty()) {
    given_ = completions_.done_.front();
    completions_.done_.pop_front();
    return true;
  }
  return completions_.running_ == 0 || completions_.expired_;
}

void CompletionAwaiter::WaitIn() noexcept { completions_.waiters_.PushBack(this); }

std::optional<size_t> CompletionAwaiter::Take() {
  Resumed();
  if (!given_ && !completions_.done_.empty()) {  // it was done after the limit had woken this one
    given_ = completions_.done_.front();
    completions_.done_.pop_front();
  }
  if (!given_ && completions_.running_ != 0) throw TimeoutError();
  return given_;
}

void CompletionAwaiter::OnAbandoned() noexcept {
  if (!given_) return;
  if (CompletionAwaiter* const next = completions_.waiters_.front()) {
    next->given_ = given_;
    next->Wake();
  } else {
    completions_.done_.push_front(*given_);
  }
}

}  // namespace loopsan::internal
