// What a person is told: the model that every reporter prints. A reporter gets
// a finished Report and a stream, nothing else.
//
// Every string that came from the watched process (names, paths, command lines)
// is untrusted: reporters escape it for their format. Times are seconds.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <vector>

#include "reporters/stack.h"

namespace loopsan {

struct LoopSummary {
  int thread_id = 0;
  std::string thread_name;
  std::string kind;      // "epoll", or the name of the library that told its steps
  std::string function;  // the loop's function, e.g. "uv_run"; empty if unknown
  uint64_t turns = 0;
  double busy_seconds = 0;
  double idle_seconds = 0;
  double longest_step_seconds = 0;
  double p99_step_seconds =
      0;               // one step in a hundred took so long or longer; exact to a factor of 2
  bool proven = true;  // false: may be a worker thread that only waits with epoll
};

struct ProcessSummary {
  pid_t pid = 0;
  std::string executable;
  std::vector<LoopSummary> loops;
};

// A place in the source, as the program's compiler wrote it down.
struct SourcePlace {
  std::string function;
  std::string file;  // empty if unknown
  int line = 0;
  friend bool operator==(const SourcePlace&, const SourcePlace&) = default;
};

// The task in whose step something happened, where the loop tells that.
struct TaskReference {
  std::string name;        // empty if it has none
  uint64_t id = 0;         // 0: no task, or a plain callback
  SourcePlace spawned_at;  // or where the callback was scheduled
  std::string spawner;     // name of the task that spawned it; empty if unknown
};

// One of those that a finding is about: who takes part in a deadlock.
struct FindingMember {
  std::string what;                // "task 'reader' waits for executor 'pool'"
  SourcePlace where;               // where it stands
  std::vector<ReportFrame> stack;  // innermost first
};

struct Finding {
  std::string id;        // "F1", in order of rank
  std::string rule;      // "blocking-call", "stall", "long-turn"; or a library's own
  std::string level;     // "error", "warning", "note"
  std::string category;  // of the call; empty for stalls
  std::string call;      // "nanosleep"; empty for stalls
  std::string detail;    // "fd 9 -> /var/lib/x", "0.3 s", "example.org"; may be empty
  std::string cause;     // "blocking-call", "lock", "cpu", "page-fault", "descheduled", "stopped"
  uint64_t count = 0;
  double total_seconds = 0;
  double max_seconds = 0;
  bool in_progress = false;  // had not ended when the report was made
  std::string fingerprint;   // 16 hexadecimal digits; survives rebuilds
  std::string message;       // one sentence: what blocked, how long, where
  std::string remedy;        // what to do instead
  std::string note;          // caveats: partial stack, merged counts; may be empty
  pid_t pid = 0;
  int thread_id = 0;
  std::string thread_name;
  std::string executable;
  std::string stack_source;        // how the stack was taken
  std::vector<ReportFrame> stack;  // innermost first
  TaskReference task;
  // The coroutines that wait for what `stack` shows, each at its co_await:
  // innermost first, the task's outermost last.
  std::vector<SourcePlace> async_stack;
  SourcePlace where;                   // where a library that reported this by itself says to look
  std::vector<FindingMember> members;  // likewise: in its order
  std::string baseline_state;          // "new", "unchanged"; empty: no baseline was given
};

// One row of the table of what was possible on this machine.
struct Capability {
  std::string name;  // "perf_event_open on running threads"
  bool available = false;
  uint64_t used = 0;   // stacks taken this way
  std::string reason;  // if not available: why, and what would allow it
};

struct Dropped {
  uint64_t events = 0;
  uint64_t snapshots = 0;
  uint64_t sites = 0;
  uint64_t loops = 0;         // loop threads or processes that found no room
  uint64_t outside_loop = 0;  // blocking calls and long gaps after the loop had been left
  uint64_t unsure = 0;        // gaps that could not be tied to one callback or to the loop
};

// One stretch of a loop's life.
struct TimelineInterval {
  double start_seconds = 0;  // since the command was started
  double duration_seconds = 0;
  double busy_seconds = 0;
  double idle_seconds = 0;
  double cpu_seconds = 0;
  double longest_step_seconds = 0;  // a step that went on: as long as it was by the end
  uint64_t turns = 0;
};

// One thing that took long, or an idle wait.
struct TimelineSpan {
  std::string kind;  // "turn", "step", "blocking-call", "stall", "wait"
  double start_seconds = 0;
  double duration_seconds = 0;
  std::string finding_id;  // empty: none
};

struct LoopTimeline {
  pid_t pid = 0;
  int thread_id = 0;
  std::string thread_name;
  std::vector<TimelineInterval> intervals;  // in order
  std::vector<TimelineSpan> spans;          // by start; they may nest
};

// What the loops did when. Bounded: intervals grow with the run; spans, and among them
// waits, beyond their bounds are counted.
struct Timeline {
  std::vector<LoopTimeline> loops;
  uint64_t dropped_spans = 0;
  uint64_t dropped_waits = 0;
  uint64_t dropped_loops = 0;  // measures and spans of loops that found no room
};

// The findings that one entry of a suppression file has taken out of the report.
struct SuppressedFindings {
  std::string entry;   // as written, without the reason
  std::string reason;  // why they are meant
  std::string file;    // where the entry stands
  int line = 0;
  uint64_t findings = 0;
  uint64_t count = 0;  // how often they were seen
  double total_seconds = 0;
  double max_seconds = 0;
};

// What is wrong with an entry of a suppression file.
struct SuppressionRemark {
  std::string level;    // "warning": it is expired; "note": it matched nothing
  std::string message;  // one sentence
  std::string entry;
  std::string file;
  int line = 0;
};

// A file that frames of the report are in. With its build-id their names can be found
// later, and elsewhere.
struct ReportModule {
  std::string path;
  std::string build_id;  // hexadecimal digits; empty if it has none, or files of one path differed
};

struct Report {
  std::vector<std::string> command;
  int exit_code = 0;
  int exit_signal = 0;  // 0 if it exited by itself
  double duration_seconds = 0;
  double threshold_seconds = 0;
  std::vector<ProcessSummary> processes;
  std::vector<Finding> findings;           // ranked: most time taken from a loop first
  std::vector<Finding> unproven_findings;  // on threads that may not be event loops
  std::vector<ReportModule> modules;       // by path
  std::vector<Capability> capabilities;
  std::vector<std::string> warnings;           // what was not possible, in sentences
  std::vector<SuppressedFindings> suppressed;  // those entries that were used, in their order
  std::vector<SuppressionRemark> suppression_remarks;
  Dropped dropped;
  Timeline timeline;
  uint64_t processes_started = 0;  // with the probe loaded, with or without a loop
};

}  // namespace loopsan
