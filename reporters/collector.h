// The collector: makes the arena, watches the loops of one session, judges, and
// returns the report. It runs in the parent of `loopsan run` or in the helper
// process that a plainly preloaded program starts, or in the watched program itself
// (loopsan::debug), whose threads it then shares.
//
// Threads: Create() must be called before the watched command is started and
// before other threads exist. The other calls belong to one thread; the
// collector runs a watcher thread of its own between Start() and Finish().
#pragma once

#include <sys/types.h>

#include <functional>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "instrument/segment.h"
#include "reporters/options.h"
#include "reporters/report.h"
#include "reporters/run_metrics.h"

namespace loopsan {

class Collector {
 public:
  struct Settings {
    Options options;
    // Called for each new stall while the program runs, with one line of text
    // without a newline. From the collector's own thread.
    std::function<void(const std::string& line)> on_live_stall;
    // True for what shall not be told so, also from that thread. May be empty.
    std::function<bool(const Finding&)> is_suppressed = nullptr;
  };

  static absl::StatusOr<std::unique_ptr<Collector>> Create(Settings settings);
  virtual ~Collector() = default;

  // "PID:FD:ID" for the watched command's environment (segment::kSessionVariable).
  virtual std::string SessionVariable() const = 0;

  // What SessionVariable() leads to, for a probe in this very process. Good for as
  // long as the collector.
  virtual segment::ArenaHeader* ArenaOfThisProcess() = 0;

  // Begins to watch. Call after the command has been forked.
  virtual void Start() = 0;

  // True if a loop was discovered so far.
  virtual bool SawLoop() const = 0;

  // The report so far: loops and steps that go on are in it as they are now. Takes as
  // long as the judge needs for what it was handed before. Any thread, until Finish();
  // later it is empty.
  virtual Report Snapshot() = 0;

  // Likewise, the totals for metrics; those of the whole run once Finish() has returned.
  virtual MetricsSnapshot Metrics() = 0;

  // Stops watching, judges what is left and returns the report; `command`,
  // exit status and duration are the caller's to fill in.
  virtual Report Finish() = 0;
};

}  // namespace loopsan
