#include "runtime/task_group.h"

#include "runtime/internal/deadlock_watch.h"
#include "runtime/internal/loop_private.h"

namespace loopsan {

namespace {

std::string Summary(const std::vector<std::exception_ptr>& errors) {
  std::string text = std::to_string(errors.size()) +
                     (errors.size() == 1 ? " error in a task group" : " errors in a task group");
  const char* separator = ": ";
  for (const std::exception_ptr& error : errors) {
    text += separator + internal::What(error);
    separator = "; ";
  }
  return text;
}

}  // namespace

TaskGroupError::TaskGroupError(std::vector<std::exception_ptr> errors)
    : std::runtime_error(Summary(errors)),
      errors_(std::make_shared<const std::vector<std::exception_ptr>>(std::move(errors))) {}

namespace internal {

TaskGroupState::TaskGroupState() : loop_(EventLoop::Running()), parent_(t_runner.task) {
  if (parent_ == nullptr) {
    throw UsageError("a task group needs a running task: Spawn() the coroutine or Run() it");
  }
}

const char* TaskGroupState::WhyNotNow(std::source_location here) const {
  if (over_) return "this task group is over: nobody waits for its tasks any more";
  LoopPrivate::CheckUse(loop_, "TaskGroup::Spawn", here);
  if (exiting_ && children_.empty()) return "this task group is done and takes no more tasks";
  if (aborting_) return "this task group is being cancelled and takes no more tasks";
  return nullptr;
}

void TaskGroupState::Add(const AnyTaskHandle& task) {
  Child& child = children_.emplace_back(this, task);
  child.self = std::prev(children_.end());
  child.HookTo(task.state());
}

void TaskGroupState::Child::OnTaskDone(TaskState& state) noexcept {
  TaskGroupState* const owner = group;
  owner->children_.erase(self);
  owner->OnChildDone(state);
}

void TaskGroupState::OnChildDone(TaskState& task) {
  if (children_.empty() && waiter_ != nullptr) waiter_->Wake();
  if (task.error() == nullptr || task.cancelled()) return;
  task.MarkRetrieved();
  errors_.push_back(task.error());
  if (aborting_ || cancelled_parent_) return;
  CancelChildren();
  // Ends the body, or the wait for the others; taken back in EndExit().
  cancelled_parent_ = true;
  parent_->Cancel();
}

void TaskGroupState::CancelChildren() noexcept {
  aborting_ = true;
  for (const Child& child : children_) child.task.state()->Cancel();
}

void TaskGroupState::WatchChildren() const noexcept {
  if (!t_runner.debug) return;
  for (const Child& child : children_) WatchTaskWait(parent_, child.task.state());
}

void TaskGroupState::BeginExit(const std::exception_ptr& error) {
  exiting_ = true;
  if (error == nullptr) return;
  try {
    std::rethrow_exception(error);
  } catch (const CancelledError&) {
    cancelled_ = true;
  } catch (...) {
  }
  if (!aborting_) CancelChildren();
}

void TaskGroupState::OnWaitCancelled() {
  if (aborting_) return;  // for that reason, or once more
  cancelled_ = true;
  CancelChildren();
}

void TaskGroupState::EndExit(const std::exception_ptr& error) {
  bool body_failed = error != nullptr;
  if (body_failed) {
    try {
      std::rethrow_exception(error);
    } catch (const CancelledError&) {
      body_failed = false;
    } catch (...) {
    }
  }
  // Somebody else wants the task to end only if there are more requests than its own.
  if (cancelled_parent_ && parent_->Uncancel() == 0) cancelled_ = false;
  if (cancelled_ && errors_.empty()) throw CancelledError();
  if (body_failed) errors_.push_back(error);
  if (errors_.empty()) return;
  if (parent_->cancel_requests != 0) {
    // The cancellation from outside gives way to the errors, and comes after them.
    parent_->Uncancel();
    parent_->Cancel();
  }
  throw TaskGroupError(std::move(errors_));
}

TaskState* TaskGroupAwaiter::AwaitedTask() const noexcept {
  return state_.children_.empty() ? nullptr : state_.children_.front().task.state();
}

void TaskGroupAwaiter::AppendAwaited(std::vector<const TaskState*>& tasks) const {
  for (const TaskGroupState::Child& child : state_.children_) tasks.push_back(child.task.state());
}

}  // namespace internal
}  // namespace loopsan
