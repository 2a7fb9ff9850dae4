// The running totals of a run, as metrics want them: by process and loop, nothing
// ever reset, what has ended included.
//
// Threads: each object belongs to one (the judge's).
#pragma once

#include <sys/types.h>

#include <array>
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "reporters/live_tasks.h"
#include "reporters/observation.h"
#include "reporters/report.h"
#include "reporters/tick_clock.h"

namespace loopsan {

struct DurationCounts {
  std::array<uint64_t, segment::kBuckets> counts{};  // one for each bound, and those above
  double seconds = 0;                                // of all together

  DurationCounts& operator+=(const DurationCounts& other);
};

// Loops with equal labels are one series.
struct LoopLabels {
  std::string process;  // by which name it was started
  std::string loop;     // name of the thread; empty for what belongs to the process as a whole
  pid_t pid = 0;        // 0: not asked for
  auto operator<=>(const LoopLabels&) const = default;
};

struct LoopTotals {
  struct Calls {
    uint64_t count = 0;
    double seconds = 0;
  };
  struct Kind {
    std::string rule;
    std::string cause;
    auto operator<=>(const Kind&) const = default;
  };

  uint64_t alive = 0;  // loops, now
  double busy_seconds = 0;
  double idle_seconds = 0;
  double cpu_seconds = 0;
  uint64_t turns = 0;
  DurationCounts steps;
  DurationCounts wake_delays;
  DurationCounts lock_waits;
  double probe_seconds = 0;                      // estimate
  std::map<std::string, Calls> blocking;         // by category; also what is suppressed
  std::map<std::string, DurationCounts> stalls;  // by cause
  std::map<Kind, uint64_t> findings;
  double inflicted_seconds = 0;  // taken from the loop by errors and warnings

  LoopTotals& operator+=(const LoopTotals& other);
};

struct ExecutorLabels {
  std::string process;
  std::string executor;
  auto operator<=>(const ExecutorLabels&) const = default;
};

// A place that took time from a loop.
struct MetricSite {
  std::string process;
  std::string fingerprint;
  // Of those that are to be named:
  std::string rule;
  std::string function;
  std::string location;  // "file:line"; empty if unknown
  uint64_t count = 0;
  double seconds = 0;
};

// A loop whose tasks can be read from its process's memory.
struct ToldLoop {
  LoopLabels labels;
  pid_t pid = 0;
  uint64_t address = 0;  // of the loopsan_loop
};

struct MetricsSnapshot {
  std::vector<double> bounds;   // of all DurationCounts, seconds
  std::vector<double> buckets;  // those of them that are shown
  std::map<LoopLabels, LoopTotals> loops;
  std::map<ExecutorLabels, DurationCounts> executors;
  std::vector<MetricSite> sites;  // of all findings: most time first
  size_t named_sites = 0;         // so many of them have series of their own
  std::vector<ToldLoop> told_loops;
  std::map<LoopLabels, TaskCount> tasks;
  std::vector<Capability> capabilities;
  Dropped dropped;
  uint64_t processes_started = 0;
  double collector_cpu_seconds = 0;
};

class RunMetrics {
 public:
  // `clock` must outlive the object.
  RunMetrics(const TickClock* clock, std::vector<double> bounds, bool by_pid);

  // Labels beyond this many share one: names come from the programs.
  static constexpr size_t kMaxLabels = 1000;

  // What a clock read takes on this machine: most of what the probe costs.
  void SetClockReadSeconds(double seconds) { clock_read_seconds_ = seconds; }

  // `started_as` may be empty.
  void Begin(ProcessKey process, pid_t pid, const std::string& executable,
             const std::string& started_as);
  // The label of processes with this executable.
  std::string NameOf(const std::string& executable) const;
  void Measured(const LoopMeasured& measured);
  void Measured(const QueuesMeasured& measured);
  struct Occurrences {
    uint64_t count = 0;
    double seconds = 0;       // all of them together
    bool is_stall = false;    // it is one, and as long as that
    bool suppressed = false;  // they are meant: only the time of calls counts
  };
  void Found(ProcessKey process, uint32_t cell, const Finding& finding,
             const Occurrences& occurrences);
  // Unless `counts`, forgets it all: it was no event loop.
  void End(ProcessKey process, uint32_t cell, bool counts);
  void End(ProcessKey process);

  using CellId = std::pair<ProcessKey, uint32_t>;
  // Adds loops, executors and told loops; of those that go on, without `unproven`.
  void FillSnapshot(MetricsSnapshot& snapshot, const std::set<CellId>& unproven) const;

 private:
  struct Queue {
    DurationCounts delays;
    uint64_t ticks = 0;
  };
  struct Process {
    std::string name;
    pid_t pid = 0;
    std::map<std::string, Queue> queues;
  };
  struct Live {
    std::string loop;  // thread name
    LoopTotals totals;
    SegmentCounts counts;  // of the last measure
    uint64_t told_loop = 0;
  };

  LoopLabels LabelsOf(ProcessKey process, const Live& live) const;
  // Ticks become seconds as they come: the clock's rate is corrected now and then, and no
  // sum may shrink.
  double Growth(uint64_t before, uint64_t after) const;
  void Take(const SegmentHistogram& histogram, uint64_t ticks_before, DurationCounts& into) const;

  const TickClock* const clock_;
  const std::vector<double> bounds_;
  const bool by_pid_;
  double clock_read_seconds_ = 0;
  std::map<ProcessKey, Process> processes_;
  std::map<std::string, std::string> names_;  // by executable
  std::map<CellId, Live> live_;
  std::map<LoopLabels, LoopTotals> ended_;
  std::map<ExecutorLabels, DurationCounts> ended_queues_;
};

// Printable and bounded: what labels say.
std::string LabelText(std::string_view untrusted);
// Likewise, of the last part of a path.
std::string FileLabel(std::string_view path);

}  // namespace loopsan
