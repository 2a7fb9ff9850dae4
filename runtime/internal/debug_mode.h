// The debug mode of one loop: times each step, and judges those that nobody else does.
//
// Threads: the loop's only.
#pragma once

#include <array>
#include <cstdint>

#include "runtime/internal/annotations.h"
#include "runtime/internal/site.h"

namespace loopsan {
class EventLoop;
}

namespace loopsan::internal {

class TaskState;

class DebugMode {
 public:
  explicit DebugMode(EventLoop* loop);
  DebugMode(const DebugMode&) = delete;
  DebugMode& operator=(const DebugMode&) = delete;
  ~DebugMode();

  // The loop begins (ends) to run on this thread.
  void BeginRun();
  void EndRun();

  // The step of `task`, or of a callback that was made at `created_at`, begins.
  void BeginStep(TaskState* task, Site created_at);
  // The turn's steps are over; the loop may go on with the next turn's at once.
  void EndTurn();
  // It looks at its descriptors first, or does something else: that is no step.
  void EndLastStep();

  // The running task has made itself ready again, without waiting for anything.
  void NoteSelfWake(TaskState& task);
  void SetSlowStep();

  // A collector sees the steps, and reports the slow ones.
  bool is_watched() const noexcept { return watched_; }

 private:
  struct Contributor {
    Site site = nullptr;
    uint64_t ticks = 0;
    uint64_t steps = 0;
  };

  uint64_t Now() const;
  void EndStep(uint64_t now);
  void JudgeTurn();
  void ReportSlowStep(uint64_t ticks);
  void ReportLongTurn(uint64_t ticks);
  void NoteContributor(uint64_t ticks);

  EventLoop* const loop_;
  const loopsan_annotations* const annotations_;
  const bool scripted_;
  const double ticks_per_second_;
  uint64_t threshold_ = 0;
  bool watched_ = false;
  bool open_ = false;
  TaskState* task_ = nullptr;  // of the open step, referenced
  Site created_at_ = nullptr;
  uint64_t started_ = 0;
  uint32_t transfers_ = 0;
  uint64_t turn_ticks_ = 0;
  uint64_t turn_steps_ = 0;
  bool turn_told_ = false;
  bool turn_is_over_ = false;  // but its last step is still open
  std::array<Contributor, 8> contributors_{};
};

}  // namespace loopsan::internal
