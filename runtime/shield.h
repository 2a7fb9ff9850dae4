// Shield(): waits for a task or a future without being able to end it.
//
//   co_await Shield(SaveAll());        // if this task is cancelled, the saving goes on
//   co_await Shield(handle);
//
// Cancellation: a waiter that is cancelled throws CancelledError at once; what it
// waited for goes on, owned by the loop as every task. If it was cancelled itself,
// the waiter gets that CancelledError, too. What a shielded task throws after its
// waiter has gone is reported as never retrieved, unless somebody else looks.
//
// Threads: the loop's only.
#pragma once

#include <source_location>
#include <string>
#include <utility>

#include "runtime/future.h"
#include "runtime/spawn.h"

namespace loopsan {

namespace internal {

template <typename T, bool kMove>
class ShieldAwaiter final : public JoinAwaiter {
 public:
  explicit ShieldAwaiter(TaskState* state) noexcept : JoinAwaiter(state, false) {}
  decltype(auto) await_resume() {
    Resumed();
    awaited()->MarkRetrieved();
    ResultSlot<T>& result = static_cast<SpawnedState<T>*>(awaited())->result();
    if constexpr (kMove) {
      return result.Take();
    } else {
      return result.Peek();
    }
  }
};

}  // namespace internal

// A handle that is moved in gives its result away, as `co_await std::move(handle)`.
template <typename T>
[[nodiscard("it must be awaited")]] internal::ShieldAwaiter<T, false> Shield(
    const TaskHandle<T>& handle) noexcept {
  return internal::ShieldAwaiter<T, false>(handle.state());
}
template <typename T>
[[nodiscard("it must be awaited")]] internal::ShieldAwaiter<T, true> Shield(
    TaskHandle<T>&& handle) noexcept {
  return internal::ShieldAwaiter<T, true>(handle.state());
}

// Spawns the task now. Throws UsageError if no loop runs on this thread.
template <typename T>
[[nodiscard("it must be awaited")]] internal::ShieldAwaiter<T, true> Shield(
    Task<T> task, std::string name = {},
    std::source_location here = std::source_location::current()) {
  const TaskHandle<T> handle = Spawn(std::move(task), std::move(name), here);
  return internal::ShieldAwaiter<T, true>(handle.state());
}

template <typename T>
[[nodiscard("it must be awaited")]] internal::FutureAwaiter<T, false, false> Shield(
    const Future<T>& future) noexcept {
  return future.AwaitShielded();
}

}  // namespace loopsan
