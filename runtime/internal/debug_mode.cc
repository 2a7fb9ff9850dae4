#include "runtime/internal/debug_mode.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <limits>
#include <string>

#include "runtime/event_loop.h"
#include "runtime/internal/findings.h"
#include "runtime/internal/loop_private.h"

namespace loopsan::internal {

namespace {

// A step with that many transfers between coroutines and no wait is one that
// goes from one ready thing to the next.
constexpr uint32_t kManyTransfers = 1000;

std::string Milliseconds(double seconds) {
  char text[32];
  snprintf(text, sizeof text, "%.1f ms", seconds * 1e3);
  return text;
}

// For how many seconds this thread was ready to run and did not; endless if nobody counts that.
double SecondsWithoutProcessor() {
  double nanoseconds = std::numeric_limits<double>::infinity();
  const int fd = open("/proc/thread-self/schedstat", O_RDONLY | O_CLOEXEC);
  if (fd < 0) return nanoseconds;
  char text[96];
  const ssize_t bytes = read(fd, text, sizeof text - 1);
  close(fd);
  if (bytes > 0) {
    text[bytes] = '\0';
    sscanf(text, "%*u %lf", &nanoseconds);
  }
  return nanoseconds / 1e9;
}

}  // namespace

DebugMode::DebugMode(EventLoop* loop)
    : loop_(loop),
      annotations_(Annotations()),
      scripted_(LoopPrivate::port(*loop).IsScripted()),
      ticks_per_second_(scripted_ ? 1e9 : TicksPerSecond()) {
  SetSlowStep();
}

DebugMode::~DebugMode() { EndLastStep(); }

uint64_t DebugMode::ScriptedNow() const {
  const auto since = LoopPrivate::port(*loop_).Now().time_since_epoch();
  return static_cast<uint64_t>(std::chrono::nanoseconds(since).count());
}

uint64_t DebugMode::TellStep(TaskState* task, Site created_at) {
  return annotations_->step(&LoopPrivate::mutable_info(*loop_),
                            task != nullptr ? &task->info : nullptr, created_at);
}

uint64_t DebugMode::TellIdle() { return annotations_->idle(&LoopPrivate::mutable_info(*loop_)); }

void DebugMode::BeginRun() {
  PrepareCreations();
  if (!scripted_) waited_for_processor_ = SecondsWithoutProcessor();
  if (annotations_ != nullptr && !scripted_) {
    watched_ = annotations_->loop_begin(&LoopPrivate::mutable_info(*loop_)) != 0;
  }
}

void DebugMode::EndRun() {
  EndLastStep();
  if (watched_) {
    annotations_->loop_end(&LoopPrivate::mutable_info(*loop_));
    watched_ = false;
  }
}

void DebugMode::SetSlowStep() {
  threshold_ = static_cast<uint64_t>(std::chrono::duration<double>(loop_->slow_step()).count() *
                                     ticks_per_second_);
}

void DebugMode::EndLastStep() {
  if (open_) EndStep(watched_ ? TellIdle() : Now());
  JudgeTurn();
}

void DebugMode::JudgeStep(uint64_t ticks) {
  NoteContributor(ticks);
  if (ticks > threshold_) {
    ReportSlowStep(ticks);
    turn_told_ = true;
  }
}

void DebugMode::NoteContributor(uint64_t ticks) {
  const Site site = task_ != nullptr ? task_->info.spawned_at : created_at_;
  Contributor* least = &contributors_[0];
  for (Contributor& contributor : contributors_) {
    if (contributor.site == site && contributor.ticks != 0) {
      contributor.ticks += ticks;
      ++contributor.steps;
      return;
    }
    if (contributor.ticks < least->ticks) least = &contributor;
  }
  if (ticks > least->ticks) *least = {site, ticks, 1};
}

void DebugMode::ReportSlowStep(uint64_t ticks) {
  const double seconds = static_cast<double>(ticks) / ticks_per_second_;
  const uint32_t transfers = t_runner.transfers - transfers_;
  const bool never_yields = task_ != nullptr && transfers >= kManyTransfers;
  if (watched_ && !never_yields) return;  // the collector has seen it, with its stack
  Found found{.rule = never_yields ? Rule::kNeverYields : Rule::kSlowStep, .message = {}};
  found.task = task_;
  found.seconds = seconds;
  if (task_ != nullptr) {
    // Where the step ended, which is near where it was slow; the collector knows better.
    const loopsan_async_frame* const frame = task_->info.innermost;
    found.where = frame != nullptr && frame->awaiting_at != nullptr ? frame->awaiting_at
                                                                    : task_->info.spawned_at;
    found.message = "a step of task '" + task_->DisplayName() + "' took " + Milliseconds(seconds);
    if (never_yields) {
      found.message += " and went through " + std::to_string(transfers) +
                       " awaits, none of which had to wait: nothing else could run";
    } else {
      found.message += WaitForProcessor(seconds);
    }
  } else {
    found.where = created_at_;
    found.message = "the callback made at " + FileAndLine(created_at_) + " took " +
                    Milliseconds(seconds) + WaitForProcessor(seconds);
  }
  Report(found);
}

// If the step might not have been slow without it. A look before each step would cost more than
// the step: what is known is how long the thread has waited since the last slow one.
std::string DebugMode::WaitForProcessor(double seconds) {
  if (scripted_) return "";
  const double before = std::exchange(waited_for_processor_, SecondsWithoutProcessor());
  // Not a number, if it is endless.
  const double waited = waited_for_processor_ - before;
  if (seconds - waited > static_cast<double>(threshold_) / ticks_per_second_) return "";
  return ", up to " + Milliseconds(waited < seconds ? waited : seconds) +
         " of which it may have waited for a processor";
}

void DebugMode::ReportLongTurn(uint64_t ticks) {
  std::sort(contributors_.begin(), contributors_.end(),
            [](const Contributor& a, const Contributor& b) { return a.ticks > b.ticks; });
  const double seconds = static_cast<double>(ticks) / ticks_per_second_;
  Found found{.rule = Rule::kLongTurn, .message = {}};
  found.seconds = seconds;
  found.where = contributors_[0].site;
  found.message = "a turn of the loop took " + Milliseconds(seconds) + " in " +
                  std::to_string(turn_steps_) + " steps, none of them slow by itself";
  const char* separator = "; most of it: ";
  for (size_t i = 0; i < 3 && contributors_[i].ticks != 0; ++i) {
    found.message += separator + std::to_string(contributors_[i].steps) + " of " +
                     FileAndLine(contributors_[i].site) + " with " +
                     Milliseconds(static_cast<double>(contributors_[i].ticks) / ticks_per_second_);
    separator = ", ";
  }
  Report(found);
}

void DebugMode::JudgeSelfWakes(TaskState& task) {
  // Dividing long work that way is right; asking again and again is not.
  constexpr double kShortStepSeconds = 20e-6;
  const double seconds = static_cast<double>(task.self_wake_ticks) / ticks_per_second_;
  task.self_wakes = 0;
  const double ticks_each =
      static_cast<double>(std::exchange(task.self_wake_ticks, 0)) / kManySelfWakes;
  if (task.self_wake_told || ticks_each / ticks_per_second_ > kShortStepSeconds) return;
  task.self_wake_told = true;
  Found found{.rule = Rule::kSelfWaking, .message = {}};
  found.task = &task;
  found.where = task.info.innermost != nullptr ? task.info.innermost->awaiting_at : nullptr;
  found.seconds = seconds;
  found.message = "task '" + task.DisplayName() + "' made itself ready " +
                  std::to_string(kManySelfWakes) + " times in a row, with steps of " +
                  std::to_string(static_cast<int>(ticks_each / ticks_per_second_ * 1e9)) +
                  " ns: it seems to poll";
  Report(found);
}

}  // namespace loopsan::internal
