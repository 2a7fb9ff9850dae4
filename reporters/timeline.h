// What the loops did when: measured by the watcher at its looks, kept in a bounded
// form for Report::timeline.
//
// Threads: each object belongs to one.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <tuple>
#include <vector>

#include "reporters/report.h"
#include "reporters/segment_reader.h"
#include "reporters/tick_clock.h"

namespace loopsan {

// What one loop thread did between two moments. Times are ticks, but for the
// processor's.
struct LoopMeasure {
  uint64_t begin = 0;
  uint64_t end = 0;
  uint64_t busy = 0;
  uint64_t idle = 0;
  uint64_t cpu_nanoseconds = 0;
  uint64_t turns = 0;
  uint64_t longest_step = 0;  // as long as it was by `end`, if it went on
};

// Turns the growing counters of a loop's cell into measures of at least `period`
// ticks each. Costs a few additions a look.
class LoopMeter {
 public:
  explicit LoopMeter(uint64_t period) : period_(period) {}

  // A look at `now`; `cpu_nanoseconds` is the thread's processor time so far, if
  // known. Returns what happened since the last measure once that is long enough,
  // or, with `last`, in any case.
  std::optional<LoopMeasure> Look(const SegmentCell& cell, std::optional<uint64_t> cpu_nanoseconds,
                                  uint64_t now, bool last = false);

 private:
  const uint64_t period_;
  bool begun_ = false;
  LoopMeasure before_;  // the counters at the last measure; `end` is its time
  uint64_t longest_open_ = 0;
  uint64_t longest_ever_ = 0;
};

// An idle wait of a loop, in ticks.
struct IdleWait {
  uint64_t begin = 0;
  uint64_t end = 0;
};

// Finds the idle waits of a loop that are long enough to be met by two looks.
class WaitMeter {
 public:
  // A look at `now`, or a moment after it. Returns the wait that was met and has ended
  // since. Its end is exact if this look meets the step behind it; else it is the last
  // look that met the wait, so that it is never longer than it was.
  std::optional<IdleWait> Look(const SegmentCell& cell, uint64_t now);

  // No look will follow: the wait that goes on, as far as it was met.
  std::optional<IdleWait> Finish() const;

 private:
  uint64_t begin_ = 0;
  uint64_t turns_ = 0;
  uint64_t last_look_ = 0;
  int looks_ = 0;  // that met the wait: 0, 1, or 2 for more
};

// Collects measures and spans of all loops of a run.
class TimelineRecorder {
 public:
  static constexpr size_t kMaxLoops = 1000;
  static constexpr size_t kMaxIntervals = 2000;  // of one loop; then they grow
  static constexpr size_t kMaxSpans = 100'000;   // of the run; then they are counted
  static constexpr size_t kMaxWaits = 20'000;    // likewise; they take no room from the spans

  // `clock` must outlive the recorder.
  explicit TimelineRecorder(const TickClock* clock) : clock_(clock) {}

  // What the report will call 0 s. Without it, the earliest moment seen.
  void SetOrigin(uint64_t ticks) { origin_ = ticks; }

  struct LoopId {
    uint32_t process = 0;  // ProcessKey
    pid_t pid = 0;
    pid_t thread = 0;
    auto operator<=>(const LoopId&) const = default;
  };

  void AddMeasure(const LoopId& loop, const std::string& thread_name, const LoopMeasure& measure);

  // `kind` is a string literal. `finding` is any key of a finding, "" for none.
  void AddSpan(const LoopId& loop, const std::string& thread_name, const char* kind, uint64_t begin,
               uint64_t end, const std::string& finding = "");

  void AddWait(const LoopId& loop, const std::string& thread_name, const IdleWait& wait);

  // `finding_ids` has the id of each finding by its key.
  Timeline Finish(const std::map<std::string, std::string>& finding_ids) const;

 private:
  struct Span {
    uint64_t begin;
    uint64_t end;
    const char* kind;
    int finding;  // index in `findings_`; -1: none
  };
  struct Track {
    std::string thread_name;
    std::vector<LoopMeasure> measures;
    uint64_t resolution = 0;  // ticks
    std::vector<Span> spans;
  };

  Track* Find(const LoopId& loop, const std::string& thread_name);
  double Since(uint64_t origin, uint64_t ticks) const;
  uint64_t Origin() const;

  const TickClock* const clock_;
  std::optional<uint64_t> origin_;
  std::map<LoopId, Track> tracks_;
  std::map<std::string, int> finding_indices_;
  size_t span_count_ = 0;
  size_t wait_count_ = 0;
  uint64_t dropped_spans_ = 0;
  uint64_t dropped_waits_ = 0;
  uint64_t dropped_loops_ = 0;
};

}  // namespace loopsan
