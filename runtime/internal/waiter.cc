#include "runtime/internal/waiter.h"

#include "runtime/errors.h"
#include "runtime/internal/task_state.h"

namespace loopsan::internal {

Waiter::~Waiter() {
  // The coroutine is destroyed while it waits: its loop is being closed.
  if (task_ != nullptr) task_->waiting_on = nullptr;
}

void Waiter::SuspendFrame(std::coroutine_handle<> handle, loopsan_async_frame* frame,
                          const char* what, const void* object) {
  TaskState* const task = t_runner.task;
  if (task == nullptr) [[unlikely]] {
    Unlink();
    throw UsageError(std::string("waiting for ") + what +
                     " needs a running task: Spawn() the coroutine or Run() it");
  }
  if (frame != nullptr) {
    frame->awaiting_at = site_;
    frame->root = nullptr;
    task->info.innermost = frame;
  }
  task->resume = handle;
  task->info.waiting_for = what;
  task->info.waiting_object = object;
  task->info.state = LOOPSAN_TASK_WAITING;
  task->waiting_on = this;
  task_ = task;
  cancelled_ = false;
  if (task->must_cancel) [[unlikely]] {
    task->must_cancel = !OnCancel();
  }
}

void Waiter::AppendAwaited(std::vector<const TaskState*>& tasks) const {
  if (const TaskState* const awaited = AwaitedTask()) tasks.push_back(awaited);
}

void Waiter::Wake() noexcept {
  if (task_ == nullptr) return;
  Unlink();
  TaskState* const task = task_;
  task_ = nullptr;
  task->waiting_on = nullptr;
  task->Schedule();
}

bool Waiter::OnCancel() noexcept {
  cancelled_ = true;
  Wake();
  return true;
}

bool Waiter::MustCancel() noexcept {
  return t_runner.task != nullptr && t_runner.task->must_cancel;
}

void Waiter::ThrowCancelled() {
  // A second request that came before the first was thrown is the same cancellation.
  if (t_runner.task != nullptr) t_runner.task->must_cancel = false;
  if (!cancelled_) OnAbandoned();
  cancelled_ = false;
  throw CancelledError();
}

}  // namespace loopsan::internal
