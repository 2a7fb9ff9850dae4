// Decides what was seen: which waits are a loop's own, which steps stalled,
// which calls blocked one, and what is better left unsaid. Turns observations
// into findings, merged by stack.
//
// Rules (docs/design.md, "Judging"):
//   - a wait is nested if its stack shows the loop's dispatch frame below it;
//   - a call or a long gap counts only if its stack shows that frame: the loop
//     may have been left;
//   - a long turn is a stall only if two looks show one callback running all the
//     time; else it is a note (many short callbacks);
//   - a stall that its blocking calls explain is not reported twice;
//   - a thread that was stopped, or that the machine kept from running, is not
//     accused.
//
// Threads: one.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "reporters/observation.h"
#include "reporters/options.h"
#include "reporters/report.h"
#include "reporters/run_metrics.h"
#include "reporters/stack_interpreter.h"
#include "reporters/tick_clock.h"

namespace loopsan {

class Judge {
 public:
  struct Actions {
    // Tells the probe how to treat a wait place of this process.
    std::function<void(uint32_t slot, uint32_t place, segment::Verdict)> set_verdict;
    // One line for people, once per stall while it goes on, and once per finding
    // after which a program may hang (a deadlock, a lost wake-up).
    std::function<void(const std::string&)> on_live_stall;
    // Nothing refers to this slot any more.
    std::function<void(uint32_t slot)> release_slot;
    // The answer to a FindingsAsked: how many, and a line for each.
    std::function<void(uint32_t slot, uint32_t question, uint32_t findings,
                       const std::string& lines)>
        answer;
    // True for a finding that is meant, which nobody need be told of while it goes
    // on. May be empty.
    std::function<bool(const Finding&)> is_suppressed;
  };

  // `ticks` converts the probe's times; it must outlive the judge.
  Judge(const Options& options, const TickClock* ticks, MakeStackInterpreter interpreters,
        Actions actions);
  ~Judge();

  void Handle(const Observation& observation);

  // The moment that Report::timeline calls 0; without it, the earliest seen.
  void SetTimelineOrigin(uint64_t ticks);

  // For estimates of what the probe costs.
  void SetClockReadSeconds(double seconds);

  // Everything found so far, ranked; loops that go on included.
  void FillReport(Report& report);

  // Likewise, for metrics. What the collector knows is the caller's to fill in.
  void FillMetrics(MetricsSnapshot& snapshot) const;

 private:
  class Private;
  std::unique_ptr<Private> private_;
};

}  // namespace loopsan
