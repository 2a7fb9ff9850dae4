// Wait() and WhenAny(): wait until enough of several tasks are done, as asyncio.wait().
//
//   auto [done, pending] = co_await Wait(handles, WaitUntil::kFirstCompleted);
//   auto [done, pending] = co_await Wait(handles, WaitUntil::kAllCompleted, 5s);
//   switch (co_await WhenAny(reading, stopping)) { ... }
//
// Nothing is cancelled, nothing is thrown for what the tasks did, and none of their
// exceptions counts as retrieved: look at the tasks that are done.
//
// Cancellation: ends the wait; the tasks go on. Threads: the loop's only. Throws
// UsageError for no task at all, a task of another loop, or the waiting task itself.
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "runtime/internal/join_several.h"
#include "runtime/spawn.h"
#include "runtime/task.h"

namespace loopsan {

enum class WaitUntil : uint8_t {
  kFirstCompleted,
  kFirstException,  // a cancelled task counts as completed; without exception: all
  kAllCompleted,
};

// Both in the order in which the tasks were given.
template <typename H>
struct Waited {
  std::vector<H> done;
  std::vector<H> pending;
};

namespace internal {

// Waits; returns who was the last that was needed, none if the time was up.
Task<std::optional<size_t>> WaitForSeveral(std::vector<AnyTaskHandle> tasks, WaitUntil until,
                                           std::optional<Duration> limit);

template <typename H>
Task<Waited<H>> WaitAndSort(std::vector<H> tasks, WaitUntil until, std::optional<Duration> limit) {
  std::vector<AnyTaskHandle> all(tasks.begin(), tasks.end());
  co_await WaitForSeveral(std::move(all), until, limit);
  Waited<H> waited;
  for (H& task : tasks) {
    (task.done() ? waited.done : waited.pending).push_back(std::move(task));
  }
  co_return waited;
}

}  // namespace internal

// Not longer than `limit`; a limit that has passed is no error.
template <std::derived_from<AnyTaskHandle> H>
Task<Waited<H>> Wait(std::vector<H> tasks, WaitUntil until = WaitUntil::kAllCompleted,
                     std::optional<Duration> limit = std::nullopt) {
  return internal::WaitAndSort(std::move(tasks), until, limit);
}

// Which one is done; the first of them if several are.
Task<size_t> WhenAny(std::vector<AnyTaskHandle> tasks);
template <std::derived_from<AnyTaskHandle> H>
Task<size_t> WhenAny(const std::vector<H>& tasks) {
  return WhenAny(std::vector<AnyTaskHandle>(tasks.begin(), tasks.end()));
}
template <std::derived_from<AnyTaskHandle>... H>
Task<size_t> WhenAny(const AnyTaskHandle& first, const H&... others) {
  return WhenAny(std::vector<AnyTaskHandle>({first, others...}));
}

}  // namespace loopsan
