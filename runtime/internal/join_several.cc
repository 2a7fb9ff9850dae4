#include "runtime/internal/join_several.h"

#include "runtime/internal/loop_private.h"

namespace loopsan::internal {

Site CallerSite() noexcept {
  if (t_runner.root == nullptr || t_runner.root->top_frame == nullptr) return nullptr;
  const loopsan_async_frame* const caller = t_runner.root->top_frame->parent;
  return caller != nullptr ? caller->awaiting_at : t_runner.task->info.spawned_at;
}

JoinSeveralAwaiter::JoinSeveralAwaiter(const std::vector<AnyTaskHandle>& tasks, Enough enough,
                                       bool cancels, std::optional<Time> until) noexcept
    : tasks_(tasks), enough_(enough), cancels_(cancels), until_(until), left_(tasks.size()) {}

JoinSeveralAwaiter::~JoinSeveralAwaiter() { StopTimer(); }

bool JoinSeveralAwaiter::Decides(const TaskState& task) noexcept {
  --left_;
  switch (enough_) {
    case Enough::kOneDone:
      return true;
    case Enough::kOneFailed:
      return left_ == 0 || (task.error() != nullptr && !task.cancelled());
    case Enough::kOneFailedOrCancelled:
      return left_ == 0 || task.error() != nullptr;
    case Enough::kAllDone:
      break;
  }
  return left_ == 0;
}

bool JoinSeveralAwaiter::Start() {
  for (const AnyTaskHandle& task : tasks_) CheckAwait(task.state(), site());
  for (size_t i = 0; i < tasks_.size(); ++i) {
    if (!tasks_[i].done() || !Decides(*tasks_[i].state())) continue;
    decided_by_ = i;
    return true;
  }
  if (left_ == 0) return true;
  hooks_ = std::make_unique<Hook[]>(tasks_.size());
  for (size_t i = 0; i < tasks_.size(); ++i) {
    if (tasks_[i].done()) continue;
    hooks_[i].awaiter = this;
    hooks_[i].index = i;
    hooks_[i].HookTo(tasks_[i].state());
  }
  return false;
}

void JoinSeveralAwaiter::Hook::OnTaskDone(TaskState& task) noexcept {
  Unlink();
  if (!awaiter->Decides(task)) return;
  awaiter->decided_by_ = index;
  awaiter->Stop();
  awaiter->Wake();
}

void JoinSeveralAwaiter::StartTimer() {
  if (!until_) return;
  deadline = *until_;
  fire = [](TimerNode* node) { static_cast<JoinSeveralAwaiter*>(node)->Wake(); };
  LoopPrivate::timers(EventLoop::Running()).Add(this);
}

void JoinSeveralAwaiter::StopTimer() noexcept {
  if (is_set()) LoopPrivate::timers(*task()->loop).Remove(this);
}

void JoinSeveralAwaiter::Stop() noexcept {
  StopTimer();
  if (hooks_ == nullptr) return;
  for (size_t i = 0; i < tasks_.size(); ++i) hooks_[i].Unlink();
}

bool JoinSeveralAwaiter::OnCancel() noexcept {
  bool passed_on = false;
  if (cancels_) {
    for (const AnyTaskHandle& task : tasks_) passed_on |= task.state()->Cancel();
  }
  if (passed_on) {
    passed_cancellation_on_ = true;
    return true;
  }
  Stop();
  return Waiter::OnCancel();
}

TaskState* JoinSeveralAwaiter::AwaitedTask() const noexcept {
  if (!NeedsAll()) return nullptr;
  for (const AnyTaskHandle& task : tasks_) {
    if (!task.done()) return task.state();
  }
  return nullptr;
}

const TaskState* JoinSeveralAwaiter::NextAwaited(size_t& position) const noexcept {
  while (position < tasks_.size()) {
    const AnyTaskHandle& task = tasks_[position++];
    if (!task.done()) return task.state();
  }
  return nullptr;
}

void JoinSeveralAwaiter::AppendAwaited(std::vector<const TaskState*>& tasks) const {
  if (!NeedsAll()) return;
  for (const AnyTaskHandle& task : tasks_) {
    if (!task.done()) tasks.push_back(task.state());
  }
}

}  // namespace loopsan::internal
