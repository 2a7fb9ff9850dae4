#include "runtime/sleep.h"

#include "runtime/internal/debug_mode.h"
#include "runtime/internal/loop_private.h"

namespace loopsan::internal {

SleepAwaiter::~SleepAwaiter() { StopTimer(); }

void SleepAwaiter::Start() {
  fire = [](TimerNode* node) { static_cast<SleepAwaiter*>(node)->Wake(); };
  EventLoop& loop = EventLoop::Running();
  if (at_once_ && t_runner.task != nullptr) [[unlikely]] {
    if (DebugMode* const debug = LoopPrivate::debug_mode(loop)) debug->NoteSelfWake(*t_runner.task);
  }
  LoopPrivate::timers(loop).Add(this);
}

void SleepAwaiter::StopTimer() noexcept {
  // Set means that it waits, and only a task waits.
  if (is_set()) LoopPrivate::timers(*task()->loop).Remove(this);
}

bool SleepAwaiter::OnCancel() noexcept {
  StopTimer();
  return Waiter::OnCancel();
}

void YieldAwaiter::YieldNow() noexcept {
  TaskState* const task = this->task();
  if (task == nullptr) return;  // cancelled, and ready for that
  if (DebugMode* const debug = LoopPrivate::debug_mode(*task->loop)) [[unlikely]] {
    debug->NoteSelfWake(*task);
  }
  Wake();
}

}  // namespace loopsan::internal
