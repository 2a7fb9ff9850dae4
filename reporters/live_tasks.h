// The tasks of a running program, read from its memory: of each loop that tells
// its steps through instrument/annotate.h, who lives, runs and waits for what. The
// program goes on meanwhile and notices nothing; it works while its loop is stuck,
// too.
//
// Threads: any; no state.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "reporters/step_context.h"

namespace loopsan {

enum class TaskActivity { kReady, kRunning, kWaiting };

struct LiveTask {
  uint64_t id = 0;
  std::string name;  // empty if it has none
  TaskActivity activity = TaskActivity::kWaiting;
  std::string waiting_for;      // "sleep", "mutex"; empty if it does not wait or does not say
  uint64_t waiting_object = 0;  // address of the mutex; 0: unknown
  uint64_t awaited_task = 0;    // id, if that is another task; else 0
  double age_seconds = 0;
  uint64_t spawner = 0;  // id of the task that spawned it; 0: none
  SourcePlace spawned_at;
  std::vector<CoroutineFrame> chain;  // innermost first
  bool chain_cut = false;             // it was longer
};

struct LiveLoop {
  pid_t pid = 0;
  int thread_id = 0;  // as the program's own namespace numbers it
  std::string name;   // empty if it has none
  std::string kind;   // of library: "loopsan"
  // No step began or ended while the tasks were read. Else some may be missing.
  bool steady = false;
  bool cut = false;             // there are more than kMaxLiveTasks
  std::vector<LiveTask> tasks;  // newest first
};

inline constexpr size_t kMaxLiveTasks = 10'000;

// The tasks of the loopsan_loop at `loop`, in the memory that `read` reads. `now` and
// `ticks_per_second` are of the clock of the program's probe. Fills `tasks`, `name`,
// `kind` and `cut`.
LiveLoop ReadLoop(uint64_t loop, const ReadMemory& read, uint64_t now, double ticks_per_second);

struct TaskCount {
  uint64_t ready = 0;
  uint64_t running = 0;
  uint64_t waiting = 0;
};

// How many of each there are, of the first kMaxLiveTasks tasks of the loopsan_loop at `loop`
// in the memory of process `pid`. Some may be missing while tasks begin and end.
TaskCount CountTasks(pid_t pid, uint64_t loop);

// The loops of process `pid`, or, if `pid` is a `loopsan run`, of all processes that it
// watches. A busy loop is looked at again a few times, for at most 20 ms, to catch
// it between two steps.
// Errors, each with a remedy: NotFound, there is no such process; PermissionDenied;
// FailedPrecondition, it is not watched, or no loop in it tells its tasks.
absl::StatusOr<std::vector<LiveLoop>> ReadLiveLoops(pid_t pid);

}  // namespace loopsan
