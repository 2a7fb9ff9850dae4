// Being told that a task is done, for those who wait for several.
#pragma once

#include "runtime/internal/task_state.h"
#include "runtime/internal/waiter.h"

namespace loopsan::internal {

// The heir overrides OnTaskDone(), which runs on the loop between two steps, and
// need not unhook. Hooks are told in the order in which they were hooked.
class DoneHook : public Waiter {
 public:
  // REQUIRES: the task is not done.
  void HookTo(TaskState* task) noexcept { task->joiners.PushBack(this); }
};

// Where the coroutine that runs is awaited: the place for what it does in the name
// of its caller.
Site CallerSite() noexcept;

}  // namespace loopsan::internal
