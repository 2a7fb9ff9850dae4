#include "runtime/when_any.h"

#include "runtime/errors.h"
#include "runtime/timeout.h"

namespace loopsan {

namespace internal {

namespace {

Enough EnoughFor(WaitUntil until) {
  switch (until) {
    case WaitUntil::kFirstCompleted:
      return Enough::kOneDone;
    case WaitUntil::kFirstException:
      return Enough::kOneFailed;
    case WaitUntil::kAllCompleted:
      break;
  }
  return Enough::kAllDone;
}

}  // namespace

Task<std::optional<size_t>> WaitForSeveral(std::vector<AnyTaskHandle> tasks, WaitUntil until,
                                           std::optional<Duration> limit) {
  if (tasks.empty()) throw UsageError("there is no task to wait for");
  for (const AnyTaskHandle& task : tasks) {
    if (!task.valid()) throw UsageError("a task handle without a task is waited for");
  }
  std::optional<Time> end;
  if (limit) end = EventLoop::Running().TimeAfter(*limit);
  JoinSeveralAwaiter join(tasks, EnoughFor(until), false, end);
  co_await join;
  co_return join.decided_by();
}

}  // namespace internal

Task<size_t> WhenAny(std::vector<AnyTaskHandle> tasks) {
  const std::optional<size_t> first =
      co_await internal::WaitForSeveral(std::move(tasks), WaitUntil::kFirstCompleted, std::nullopt);
  co_return first.value();
}

}  // namespace loopsan
