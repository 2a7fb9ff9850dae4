#include "runtime/spawn.h"

#include <algorithm>
#include <unordered_map>
#include <vector>

#include "runtime/internal/deadlock_watch.h"
#include "runtime/internal/findings.h"
#include "runtime/internal/loop_private.h"

namespace loopsan {

namespace internal {

namespace {

// The tasks that `from` waits for, each for the next, up to `to`; empty if it does not.
std::vector<const TaskState*> FindPath(const TaskState* from, const TaskState* to, bool all_ways) {
  std::vector<const TaskState*> path;
  if (!all_ways) {
    // Limited: a circle behind a wait for several tasks may not hold `to`.
    for (size_t hops = to->loop->task_count(); hops > 0; --hops) {
      path.push_back(from);
      if (from == to) return path;
      if (from->waiting_on == nullptr) return {};
      from = from->waiting_on->AwaitedTask();
      if (from == nullptr) return {};
    }
    return {};
  }
  std::unordered_map<const TaskState*, const TaskState*> reached_from{{from, nullptr}};
  std::vector<const TaskState*> open{from};
  std::vector<const TaskState*> next;
  while (!open.empty() && !reached_from.contains(to)) {
    const TaskState* const task = open.back();
    open.pop_back();
    if (task->waiting_on == nullptr) continue;
    next.clear();
    task->waiting_on->AppendAwaited(next);
    for (const TaskState* each : next) {
      if (reached_from.emplace(each, task).second) open.push_back(each);
    }
  }
  if (!reached_from.contains(to)) return path;
  for (const TaskState* task = to; task != nullptr; task = reached_from[task]) path.push_back(task);
  std::reverse(path.begin(), path.end());
  return path;
}

[[noreturn]] void Refuse(Rule rule, Site where, const std::string& message) {
  Found found{.rule = rule, .message = message};
  found.where = where;
  found.task = t_runner.task;
  Report(found);
  throw UsageError(message);
}

}  // namespace

void ThrowAwaitedTwice(Site site) {
  Refuse(Rule::kAwaitedTwice, site,
         "a Task was awaited or spawned that has been awaited, spawned or moved from before");
}

void CheckAwait(const TaskState* awaited, Site site) {
  const TaskState* const self = t_runner.task;
  if (self == nullptr) return;  // Suspend() says it
  if (awaited->loop != self->loop) {
    Refuse(Rule::kOtherLoop, site,
           "task '" + self->DisplayName() + "' awaits task '" + awaited->DisplayName() +
               "' of another event loop");
  }
  if (awaited == self) {
    Refuse(Rule::kAwaitsItself, site, "task '" + self->DisplayName() + "' awaits itself");
  }
  if (awaited->waiting_on == nullptr) return;
  // Without the debug mode only the first of several awaited tasks is looked at.
  std::vector<const TaskState*> path = FindPath(awaited, self, self->loop->debug());
  if (path.empty()) {
    if (t_runner.debug) WatchTaskWait(self, awaited);
    return;
  }
  std::string chain = "'" + self->DisplayName() + "'";
  for (const TaskState* task : path) chain += " -> '" + task->DisplayName() + "'";
  Refuse(Rule::kAwaitCycle, site, "tasks await each other in a circle: " + chain);
}

bool JoinAwaiter::OnCancel() noexcept {
  // The wait ends with the awaited task, in whatever way that takes it.
  // If it cannot be cancelled because the request came from there, the circle ends here.
  return (cancels_ && awaited_->Cancel()) || Waiter::OnCancel();
}

}  // namespace internal

bool AnyTaskHandle::Cancel(std::source_location here) {
  if (state_->done()) return false;  // its loop may be gone
  internal::LoopPrivate::CheckUse(*state_->loop, "TaskHandle::Cancel", here);
  return state_->Cancel();
}

uint32_t AnyTaskHandle::Uncancel(std::source_location here) {
  if (!state_->done()) {
    internal::LoopPrivate::CheckUse(*state_->loop, "TaskHandle::Uncancel", here);
  }
  return state_->Uncancel();
}

void AnyTaskHandle::SetName(const std::string& name, std::source_location here) {
  if (!state_->done()) {
    internal::LoopPrivate::CheckUse(*state_->loop, "TaskHandle::SetName", here);
  }
  state_->SetName(name);
}

AnyTaskHandle CurrentTask() noexcept {
  internal::TaskState* const task = internal::t_runner.task;
  return task != nullptr ? AnyTaskHandle(task) : AnyTaskHandle();
}

}  // namespace loopsan
