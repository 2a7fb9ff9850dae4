// Waiting for several tasks at once: what Gather(), Wait() and WhenAny() are made of.
//
// Threads: the loop's only.
#pragma once

#include <coroutine>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <source_location>
#include <vector>

#include "runtime/event_loop.h"
#include "runtime/internal/done_hook.h"
#include "runtime/spawn.h"

namespace loopsan::internal {

enum class Enough : uint8_t {
  kOneDone,
  kOneFailed,             // or all done; a cancelled task has not failed
  kOneFailedOrCancelled,  // or all done
  kAllDone,
};

class JoinSeveralAwaiter final : public Waiter, private TimerNode {
 public:
  // `cancels`: cancelling the waiting task cancels all that are not done. `until`: no longer than
  // that. REQUIRES: `tasks` stays as it is until the wait is over.
  JoinSeveralAwaiter(const std::vector<AnyTaskHandle>& tasks, Enough enough, bool cancels,
                     std::optional<Time> until) noexcept;
  ~JoinSeveralAwaiter();

  bool await_ready(std::source_location here = std::source_location::current()) {
    Begin(here);
    return Start();
  }
  template <typename P>
  void await_suspend(std::coroutine_handle<P> handle) {
    StartTimer();
    Suspend(handle, "several tasks", this);
  }
  void await_resume() {
    Stop();
    Resumed();
  }

  // Which one was the last that it needed; none if it ended otherwise.
  std::optional<size_t> decided_by() const noexcept { return decided_by_; }
  // Tasks were cancelled because the waiting one was.
  bool passed_cancellation_on() const noexcept { return passed_cancellation_on_; }

  bool OnCancel() noexcept override;
  bool HasTimeLimit() const noexcept override { return until_.has_value(); }
  TaskState* AwaitedTask() const noexcept override;
  const TaskState* NextAwaited(size_t& position) const noexcept override;
  void AppendAwaited(std::vector<const TaskState*>& tasks) const override;

 private:
  struct Hook final : DoneHook {
    void OnTaskDone(TaskState& task) noexcept override;
    const TaskState* WaitingTask() const noexcept override { return awaiter->task(); }
    JoinSeveralAwaiter* awaiter = nullptr;
    size_t index = 0;
  };

  // Else one of the tasks, or the time, ends the wait, and no circle is certain.
  bool NeedsAll() const noexcept {
    return (enough_ == Enough::kAllDone || enough_ == Enough::kOneFailedOrCancelled) && !until_;
  }
  bool Start();
  void StartTimer();
  void Stop() noexcept;
  void StopTimer() noexcept;
  bool Decides(const TaskState& task) noexcept;  // counts it, too

  const std::vector<AnyTaskHandle>& tasks_;
  const Enough enough_;
  const bool cancels_;
  bool passed_cancellation_on_ = false;
  const std::optional<Time> until_;
  size_t left_;
  std::optional<size_t> decided_by_;
  std::unique_ptr<Hook[]> hooks_;
};

}  // namespace loopsan::internal
