#include "tools/launcher.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"

namespace loopsan {
namespace {

std::vector<char*> Pointers(const std::vector<std::string>& strings) {
  std::vector<char*> pointers;
  pointers.reserve(strings.size() + 1);
  for (const std::string& string : strings) pointers.push_back(const_cast<char*>(string.c_str()));
  pointers.push_back(nullptr);
  return pointers;
}

absl::Status ExecError(const std::string& path, int error) {
  const std::string message = absl::StrCat("cannot run ", path, ": ", std::strerror(error));
  if (error == ENOENT || error == ENOTDIR) return absl::NotFoundError(message);
  return absl::PermissionDeniedError(message);
}

// The command's end, if it has ended; leaves the zombie.
std::optional<CommandEnd> PollEnd(pid_t pid) {
  siginfo_t info = {};
  if (waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED | WNOHANG | WNOWAIT) != 0 ||
      info.si_pid == 0) {
    return std::nullopt;
  }
  CommandEnd end;
  (info.si_code == CLD_EXITED ? end.exit_code : end.signal) = info.si_status;
  return end;
}

// The signal that stopped the command since the last question, or 0.
int PollStop(pid_t pid) {
  siginfo_t info = {};
  if (waitid(P_PID, static_cast<id_t>(pid), &info, WSTOPPED | WNOHANG) != 0 || info.si_pid == 0) {
    return 0;
  }
  return info.si_status;
}

// Returns when somebody has continued loopsan.
void StopSelf(int number) {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, number);
  raise(number);
  pthread_sigmask(SIG_UNBLOCK, &set, nullptr);
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
}

}  // namespace

int OpenPidfd(pid_t pid) {
  // The header of glibc 2.36 declares pidfd_open() without extern "C".
  return static_cast<int>(syscall(SYS_pidfd_open, pid, 0));
}

absl::StatusOr<LaunchedCommand> LaunchedCommand::Launch(const CheckedCommand& command,
                                                        const std::vector<std::string>& environment,
                                                        const SignalTakeover& signals) {
  const std::vector<char*> argv = Pointers(command.argv);
  const std::vector<char*> envp = Pointers(environment);
  int exec_error_pipe[2];
  if (pipe2(exec_error_pipe, O_CLOEXEC) != 0) {
    return absl::UnavailableError(absl::StrCat("cannot make a pipe: ", std::strerror(errno)));
  }
  const pid_t pid = fork();
  if (pid == 0) {
    signals.RestoreInherited();
    execve(command.path.c_str(), argv.data(), envp.data());
    const int error = errno;
    // A signal that ends us here tells the parent enough.
    if (write(exec_error_pipe[1], &error, sizeof error) < 0) _exit(kExitLoopsanFailed);
    _exit(kExitNotExecutable);
  }
  const int fork_error = errno;
  close(exec_error_pipe[1]);
  int exec_error = 0;
  const ssize_t got = pid < 0 ? 0 : read(exec_error_pipe[0], &exec_error, sizeof exec_error);
  close(exec_error_pipe[0]);
  if (pid < 0) {
    return absl::UnavailableError(
        absl::StrCat("cannot start a process: ", std::strerror(fork_error)));
  }
  if (got == sizeof exec_error) {
    waitpid(pid, nullptr, 0);
    return ExecError(command.path, exec_error);
  }
  return LaunchedCommand(pid, OpenPidfd(pid));
}

LaunchedCommand::LaunchedCommand(LaunchedCommand&& other) noexcept
    : pid_(std::exchange(other.pid_, -1)), pidfd_(std::exchange(other.pidfd_, -1)) {}

LaunchedCommand::~LaunchedCommand() {
  if (pid_ > 0) waitpid(pid_, nullptr, WNOHANG);
  if (pidfd_ >= 0) close(pidfd_);
}

CommandEnd LaunchedCommand::WaitForEnd(const SignalTakeover& signals) {
  StopMirror mirror;
  // Without pidfds (old kernels, strict seccomp filters) SIGCHLD says the same.
  pollfd waits[2] = {{signals.fd(), POLLIN, 0}, {pidfd_, POLLIN, 0}};
  while (true) {
    if (const auto end = PollEnd(pid_)) return *end;
    poll(waits, 2, -1);

    signalfd_siginfo info;
    while (read(signals.fd(), &info, sizeof info) == sizeof info) {
      const int number = static_cast<int>(info.ssi_signo);
      const ReceivedSignal signal{
          number, info.ssi_code,
          info.ssi_code <= 0 && IsDescendant(static_cast<pid_t>(info.ssi_pid), pid_)};
      // The zombie is ours, so the number cannot have passed to a stranger.
      if (MustForward(signal)) kill(pid_, number);
      mirror.OnSignal(number);
    }
    if (const int stopped_by = PollStop(pid_)) mirror.OnCommandStopped(stopped_by);
    if (const int stop = mirror.TakeStop()) StopSelf(stop);
  }
}

}  // namespace loopsan
