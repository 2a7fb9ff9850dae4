// Looks at every loop thread of the session every few milliseconds: drains the
// events that the probes wrote, and takes stacks of steps that go on for too
// long, from outside. The watchdog lives here, not in the watched process.
//
// Decides nothing: everything goes to `sink`, in order.
//
// Threads: Tick() and Finish() on one thread. Time is given: the caller says
// what time it is.
#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <vector>

#include "reporters/arena.h"
#include "reporters/observation.h"
#include "reporters/report.h"
#include "reporters/tick_clock.h"

namespace loopsan {

class Watcher {
 public:
  using Sink = std::function<void(Observation)>;

  Watcher(Arena* arena, const TickClock* clock, double threshold_seconds, Sink sink);
  ~Watcher();

  // One round at time `now` (ticks).
  void Tick(uint64_t now);

  // The last round: hands over every process, dead or alive.
  void Finish(uint64_t now);

  // The judge is done with this slot; the next tick recycles it. Any thread.
  void Release(uint32_t slot);

  // Asks for measures of all loops at the next tick, however fresh the last ones are. Returns
  // a number: they have been handed over once HasMeasured() it. Any thread.
  uint64_t WantMeasures() { return measures_wanted_.fetch_add(1, std::memory_order_relaxed) + 1; }
  bool HasMeasured(uint64_t number) const {
    return measures_made_.load(std::memory_order_acquire) >= number;
  }

  // How long to wait between ticks.
  double PeriodSeconds() const;

  bool saw_loop() const { return saw_loop_.load(std::memory_order_relaxed); }
  // As they were a second ago at most; after Finish(), in the end. Any thread.
  std::vector<Capability> Capabilities() const;
  std::vector<std::string> Warnings() const;

 private:
  struct Process;
  struct Thread;

  void RecycleReleased();
  void Adopt(uint32_t slot);
  void Drain(Process& process, uint64_t now);
  static std::vector<SiteTotals> ReadSites(const Process& process);
  void CountCalls(Process& process, uint64_t now);
  void HandOverQuestion(Process& process, uint32_t question);
  void Look(Process& process, Thread& thread, uint64_t now);
  void LookAtStep(Process& process, Thread& thread, const SegmentCell& cell, uint64_t now);
  void LookForOtherLoop(Process& process, Thread& thread, const SegmentCell& cell);
  void LookAtWait(Process& process, Thread& thread, const SegmentCell& cell);
  // False if there was no way to the stack now; nothing was handed over then.
  bool TakeSample(Process& process, Thread& thread, const SegmentCell& cell, uint64_t now);
  bool FillStack(Process& process, Thread& thread, SampleTaken& sample);
  bool AwaitsAnswer(const Process& process, const Thread& thread, const SegmentCell& cell) const;
  bool FillRunningStack(Process& process, Thread& thread, SampleTaken& sample);
  void FindThreads(Process& process);
  void EndThread(Process& process, Thread& thread, uint64_t now, bool process_gone, bool killed);
  void EndProcess(Process& process, uint64_t now, bool killed);
  void ReadCallArguments(Process& process, const SegmentCall& call, SampleTaken& sample);
  double GapSince(uint64_t start) const;
  void Publish();
  void NoteScheduling(Process& process, Thread& thread, const std::optional<ProcessorTimes>& times,
                      uint64_t now);
  static void CutAtOwnWait(const Process& process, const Thread& thread, SegmentCell& cell);
  void Measure(Process& process, Thread& thread, SegmentCell cell,
               const std::optional<ProcessorTimes>& times, uint64_t now, bool last);
  double WaitedSince(const Thread& thread, uint64_t start) const;

  Arena* const arena_;
  const TickClock* const clock_;
  const double threshold_;
  const Sink sink_;
  std::map<uint32_t, std::unique_ptr<Process>> processes_;  // by slot
  std::mutex released_mutex_;
  std::vector<uint32_t> released_;
  uint32_t next_key_ = 1;
  uint64_t last_tick_ = 0;
  // Times at which the watcher was late, and by how much: a suspended machine or
  // a starved processor explains a long step better than the program does.
  struct Gap {
    uint64_t end;
    double seconds;
  };
  std::vector<Gap> gaps_;
  std::atomic<bool> saw_loop_{false};
  std::vector<std::string> warnings_;

  struct Way {
    uint64_t used = 0;
    uint64_t failed = 0;
    std::string reason;
  };
  Way remote_, snapshot_, syscall_file_, perf_, signal_;
  std::atomic<uint64_t> measures_wanted_{0};
  std::atomic<uint64_t> measures_made_{0};
  bool measures_now_ = false;
  uint64_t next_publication_ = 0;
  mutable std::mutex published_mutex_;
  std::vector<Capability> published_capabilities_;
  std::vector<std::string> published_warnings_;
};

}  // namespace loopsan
