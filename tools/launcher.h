// Starts the command and follows it to its end.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "tools/command_check.h"
#include "tools/exit_status.h"
#include "tools/signals.h"

namespace loopsan {

// The running command. Its zombie is kept until the object goes, so that nothing
// that still looks into /proc/PID meets a stranger.
class LaunchedCommand {
 public:
  // Forks and executes; returns when the new program is in place. The command
  // gets what loopsan inherited: descriptors, signal mask and dispositions,
  // limits, process group. Errors: NotFound, PermissionDenied or Unavailable.
  static absl::StatusOr<LaunchedCommand> Launch(const CheckedCommand& command,
                                                const std::vector<std::string>& environment,
                                                const SignalTakeover& signals);
  LaunchedCommand(LaunchedCommand&& other) noexcept;
  LaunchedCommand& operator=(LaunchedCommand&&) = delete;
  ~LaunchedCommand();

  pid_t pid() const { return pid_; }

  // Waits for the command's end; passes signals on and stops with the command
  // meanwhile.
  CommandEnd WaitForEnd(const SignalTakeover& signals);

 private:
  LaunchedCommand(pid_t pid, int pidfd) : pid_(pid), pidfd_(pidfd) {}

  pid_t pid_;
  int pidfd_;
};

// A descriptor (O_CLOEXEC) that becomes readable when the process ends, or -1.
int OpenPidfd(pid_t pid);

}  // namespace loopsan
