// TaskGroup: tasks that end together, as asyncio.TaskGroup.
//
//   const auto body = [&](TaskGroup& group) -> Task<> {
//     group.Spawn(Serve());
//     group.Spawn(Refresh());
//     co_await Prepare();
//   };
//   co_await WithTaskGroup(body);
//
// WithTaskGroup() returns what the body returns, when the body and all tasks of the
// group are done. Name the lambda before the full expression with the co_await:
// g++ 12 destroys what a temporary one has captured by value twice.
//
// Errors: the first task that fails cancels the others and the body; so does a
// body that throws. When all are done, WithTaskGroup() throws a TaskGroupError with
// all exceptions in the order in which they came, the body's last. A task that was
// cancelled has not failed.
//
// Cancellation: cancels the body, or, if that has ended, the tasks; CancelledError is thrown when
// all are done. Errors come before it: then TaskGroupError is thrown, and the waiting task stays
// cancelled, which its next wait tells it.
//
// Threads: the loop's only.
#pragma once

#include <concepts>
#include <exception>
#include <memory>
#include <source_location>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "runtime/errors.h"
#include "runtime/internal/task_group_state.h"
#include "runtime/spawn.h"
#include "runtime/task.h"

namespace loopsan {

namespace internal {
template <typename T, typename F>
Task<T> RunInTaskGroup(F body);
}

// What the tasks of a group threw.
class TaskGroupError : public std::runtime_error {
 public:
  // REQUIRES: not empty.
  explicit TaskGroupError(std::vector<std::exception_ptr> errors);

  const std::vector<std::exception_ptr>& errors() const noexcept { return *errors_; }

 private:
  // Shared: an exception must be copied without throwing.
  std::shared_ptr<const std::vector<std::exception_ptr>> errors_;
};

// A way to the group; copies are the same group.
class TaskGroup {
 public:
  // Starts a task in the group, also from one of its tasks. Throws UsageError, and the task does
  // not run, once the group is ending because of an error or cancellation, or is over.
  template <typename T>
  TaskHandle<T> Spawn(Task<T> task, const std::string& name = {},
                      std::source_location here = std::source_location::current()) {
    if (const char* why_not = state_->WhyNotNow(here)) {
      if (task.valid()) task.Release().destroy();
      throw UsageError(why_not);
    }
    TaskHandle<T> handle = state_->loop().Spawn(std::move(task), name, here);
    state_->Add(handle);
    return handle;
  }

 private:
  template <typename T, typename F>
  friend Task<T> internal::RunInTaskGroup(F body);

  TaskGroup() : state_(std::make_shared<internal::TaskGroupState>()) {}
  const std::shared_ptr<internal::TaskGroupState> state_;
};

template <typename T, typename F>
Task<T> internal::RunInTaskGroup(F body) {
  TaskGroup group;
  TaskGroupState& state = *group.state_;
  const TaskGroupState::Entered entered(state);
  ResultSlot<T> result;
  try {
    if constexpr (std::is_void_v<T>) {
      co_await body(group);
    } else {
      result.Set(co_await body(group));
    }
  } catch (...) {
    result.SetError(std::current_exception());
  }
  state.BeginExit(result.error());
  while (!state.empty()) {
    bool cancelled = false;
    try {
      TaskGroupAwaiter ended(state);
      co_await ended;
    } catch (const CancelledError&) {
      cancelled = true;
    }
    if (cancelled) state.OnWaitCancelled();
  }
  state.EndExit(result.error());
  co_return result.Take();
}

// Runs `body(group)`, which returns a Task; keeps a copy of `body` until all is done.
template <std::invocable<TaskGroup&> F>
auto WithTaskGroup(F&& body) {
  using Body = std::decay_t<F>;
  using T = typename std::invoke_result_t<Body&, TaskGroup&>::value_type;
  return internal::RunInTaskGroup<T, Body>(std::forward<F>(body));
}

}  // namespace loopsan
