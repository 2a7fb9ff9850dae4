// The debug mode of one loop: times each step, and judges those that nobody else does.
//
// Threads: the loop's only.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <utility>

#include "runtime/internal/annotations.h"
#include "runtime/internal/site.h"
#include "runtime/internal/task_state.h"

namespace loopsan {
class EventLoop;
}

namespace loopsan::internal {

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
  // The loop has read Ticks(), and does nothing of note before the next turn's first step,
  // if there is one.
  void NoteTicks(uint64_t now);

  // The running task makes itself ready again, without waiting for anything.
  void NoteSelfWake(TaskState& task) {
    task.woke_itself = true;
    if (++task.self_wakes >= kManySelfWakes) [[unlikely]] {
      JudgeSelfWakes(task);
    }
  }
  void SetSlowStep();

  // A collector sees the steps, and reports the slow ones.
  bool is_watched() const noexcept { return watched_; }

 private:
  struct Contributor {
    Site site = nullptr;
    uint64_t ticks = 0;
    uint64_t steps = 0;
  };

  uint64_t Now() const { return scripted_ ? ScriptedNow() : Ticks(); }
  uint64_t ScriptedNow() const;
  uint64_t TellStep(TaskState* task, Site created_at);
  uint64_t TellIdle();
  void EndStep(uint64_t now);
  void JudgeTurn();
  void JudgeStep(uint64_t ticks);
  void JudgeSelfWakes(TaskState& task);
  void ReportSlowStep(uint64_t ticks);
  std::string WaitForProcessor(double seconds);
  void ReportLongTurn(uint64_t ticks);
  void NoteContributor(uint64_t ticks);

  static constexpr uint16_t kManySelfWakes = 1000;
  // A shorter step is no contributor.
  static constexpr uint64_t kNotablePart = 64;

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
  uint64_t noted_ticks_ = 0;  // a reading that serves for the next step; 0: none does
  uint32_t transfers_ = 0;
  double waited_for_processor_ = 0;  // the thread, until the last slow step; seconds
  uint64_t turn_ticks_ = 0;
  uint64_t turn_steps_ = 0;
  bool turn_told_ = false;
  bool turn_is_over_ = false;  // but its last step is still open
  std::array<Contributor, 8> contributors_{};
};

// Each step comes here: all that is rarely done is in functions of its own.

inline void DebugMode::BeginStep(TaskState* task, Site created_at) {
  uint64_t now = 0;
  if (watched_) {
    now = TellStep(task, created_at);
  } else {
    now = std::exchange(noted_ticks_, 0);
    if (now == 0) now = Now();
  }
  if (open_) EndStep(now);
  if (turn_is_over_) JudgeTurn();
  open_ = true;
  task_ = task;
  if (task != nullptr) task->Ref();
  created_at_ = created_at;
  started_ = now;
  transfers_ = t_runner.transfers;
}

inline void DebugMode::EndTurn() {
  // The next step's beginning ends this one: one clock read less. A scripted clock shall
  // not move in between.
  turn_is_over_ = true;
  noted_ticks_ = 0;
  if (scripted_) [[unlikely]] {
    EndLastStep();
  }
}

inline void DebugMode::NoteTicks(uint64_t now) {
  if (watched_ || scripted_) return;
  if (open_) EndStep(now);
  noted_ticks_ = now;
}

inline void DebugMode::JudgeTurn() {
  turn_is_over_ = false;
  if (turn_steps_ == 0) return;
  if (turn_ticks_ > threshold_ && !turn_told_) [[unlikely]] {
    ReportLongTurn(turn_ticks_);
  }
  turn_ticks_ = turn_steps_ = 0;
  turn_told_ = false;
  if (contributors_[0].ticks != 0) [[unlikely]] {
    contributors_ = {};
  }
}

inline void DebugMode::EndStep(uint64_t now) {
  open_ = false;
  const uint64_t ticks = now > started_ ? now - started_ : 0;
  turn_ticks_ += ticks;
  ++turn_steps_;
  if (ticks > threshold_ / kNotablePart) [[unlikely]] {
    JudgeStep(ticks);
  }
  if (TaskState* const task = std::exchange(task_, nullptr)) {
    if (task->self_wakes != 0) {
      if (std::exchange(task->woke_itself, false)) {
        task->self_wake_ticks += ticks;
      } else {  // it waits for something
        task->self_wakes = 0;
        task->self_wake_ticks = 0;
      }
    }
    task->Unref();
  }
}

}  // namespace loopsan::internal
