// The rules of a TaskGroup; see runtime/task_group.h. They are those of asyncio 3.13.
//
// Threads: the loop's only.
#pragma once

#include <coroutine>
#include <exception>
#include <iterator>
#include <list>
#include <source_location>
#include <utility>
#include <vector>

#include "runtime/internal/done_hook.h"
#include "runtime/spawn.h"

namespace loopsan::internal {

class TaskGroupState {
 public:
  TaskGroupState();
  TaskGroupState(const TaskGroupState&) = delete;
  TaskGroupState& operator=(const TaskGroupState&) = delete;

  // The time in which the group may be used.
  class Entered {
   public:
    explicit Entered(TaskGroupState& state) noexcept : state_(state) {}
    ~Entered() { state_.over_ = true; }
    Entered(const Entered&) = delete;
    Entered& operator=(const Entered&) = delete;

   private:
    TaskGroupState& state_;
  };

  EventLoop& loop() const noexcept { return loop_; }
  bool empty() const noexcept { return children_.empty(); }

  // A static sentence if no task may be added, else null.
  const char* WhyNotNow(std::source_location here) const;
  void Add(const AnyTaskHandle& task);

  // The body is done, perhaps with an error.
  void BeginExit(const std::exception_ptr& error);
  // While the last tasks were awaited, the waiting task was cancelled.
  void OnWaitCancelled();
  // All is done: throws what the group throws. `error` is the body's.
  void EndExit(const std::exception_ptr& error);

 private:
  friend class TaskGroupAwaiter;
  struct Child final : DoneHook {
    Child(TaskGroupState* the_group, AnyTaskHandle the_task)
        : group(the_group), task(std::move(the_task)) {}
    void OnTaskDone(TaskState& state) noexcept override;
    const TaskState* WaitingTask() const noexcept override { return group->parent_; }
    TaskGroupState* const group;
    const AnyTaskHandle task;
    std::list<Child>::iterator self;
  };

  void OnChildDone(TaskState& task);
  void CancelChildren() noexcept;
  // The parent will wait for them: in debug mode they are looked at for deadlocks.
  void WatchChildren() const noexcept;

  EventLoop& loop_;
  TaskState* const parent_;  // in which the group lies
  std::list<Child> children_;
  Waiter* waiter_ = nullptr;  // of the parent, for the last of them
  std::vector<std::exception_ptr> errors_;
  bool exiting_ = false;
  bool aborting_ = false;
  bool over_ = false;
  bool cancelled_parent_ = false;
  bool cancelled_ = false;  // from outside
};

// Waits until a group has no task left.
class TaskGroupAwaiter final : public Waiter {
 public:
  explicit TaskGroupAwaiter(TaskGroupState& state) noexcept : state_(state) {}
  ~TaskGroupAwaiter() { state_.waiter_ = nullptr; }

  bool await_ready(std::source_location here = std::source_location::current()) noexcept {
    Begin(here);
    state_.WatchChildren();
    return false;
  }
  template <typename P>
  void await_suspend(std::coroutine_handle<P> handle) {
    state_.waiter_ = this;
    Suspend(handle, "task group", &state_);
  }
  void await_resume() { Resumed(); }

  TaskState* AwaitedTask() const noexcept override;
  void AppendAwaited(std::vector<const TaskState*>& tasks) const override;

 private:
  TaskGroupState& state_;
};

}  // namespace loopsan::internal
