// The exit statuses of the command (docs: as env and timeout, where they speak
// of the same thing).
#pragma once

#include "absl/status/status.h"

namespace loopsan {

inline constexpr int kExitDifferent = 1;        // `loopsan diff --exit-code`
inline constexpr int kExitGateFailed = 66;      // findings or budgets, see reporters/gate.h
inline constexpr int kExitNoLoop = 67;          // --require-loop, and none was seen
inline constexpr int kExitLoopsanFailed = 125;  // usage errors too
inline constexpr int kExitNotExecutable = 126;
inline constexpr int kExitNotFound = 127;

// How a command ended.
struct CommandEnd {
  int exit_code = 0;
  int signal = 0;  // 0 if it exited by itself
};

// What loopsan itself has to say at the end of a run.
struct RunVerdict {
  bool report_failed = false;  // a report could not be written
  bool loop_missing = false;   // --require-loop, and none was seen
  bool gate_failed = false;
};

// The command's own failure comes first: nobody may take a crash of the program
// for a complaint of loopsan.
int ExitStatusOf(const CommandEnd& end, const RunVerdict& verdict);

// For a command that was not started: NotFound is 127, PermissionDenied 126, any
// other error 125.
int ExitStatusOf(const absl::Status& not_started);

}  // namespace loopsan
