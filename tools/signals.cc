#include "tools/signals.h"

#include <sys/signalfd.h>
#include <unistd.h>

#include <cstdio>
#include <fstream>
#include <string>

namespace loopsan {
namespace {

constexpr int kMaxGenerations = 64;
constexpr double kEchoSeconds = 0.5;

sigset_t WaitableSignals() {
  sigset_t set;
  sigfillset(&set);
  // A fault in loopsan itself must end it.
  for (int fault : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS, SIGABRT}) {
    sigdelset(&set, fault);
  }
  return set;
}

// 0 if unknown. The command's name is in parentheses and may hold any byte, so
// the numbers are those behind the last one.
pid_t ParentOf(pid_t process) {
  std::ifstream file("/proc/" + std::to_string(process) + "/stat");
  std::string line;
  std::getline(file, line, '\0');
  const size_t name_end = line.rfind(')');
  char state;
  int parent = 0;
  if (name_end == std::string::npos ||
      std::sscanf(line.c_str() + name_end + 1, " %c %d", &state, &parent) != 2) {
    return 0;
  }
  return parent;
}

}  // namespace

SignalTakeover::SignalTakeover() {
  const sigset_t waitable = WaitableSignals();
  pthread_sigmask(SIG_BLOCK, &waitable, &inherited_mask_);
  struct sigaction action = {};
  action.sa_handler = SIG_IGN;
  sigaction(SIGPIPE, &action, &inherited_pipe_);
  action.sa_handler = SIG_DFL;
  sigaction(SIGCHLD, &action, &inherited_child_);
  fd_ = signalfd(-1, &waitable, SFD_CLOEXEC | SFD_NONBLOCK);
}

SignalTakeover::~SignalTakeover() {
  // The mask stays: a signal that comes late must not change the exit status.
  if (fd_ >= 0) close(fd_);
}

void SignalTakeover::RestoreInherited() const {
  sigaction(SIGPIPE, &inherited_pipe_, nullptr);
  sigaction(SIGCHLD, &inherited_child_, nullptr);
  pthread_sigmask(SIG_SETMASK, &inherited_mask_, nullptr);
}

WithoutSignals::WithoutSignals() {
  sigset_t all;
  sigfillset(&all);
  pthread_sigmask(SIG_BLOCK, &all, &before_);
}

WithoutSignals::~WithoutSignals() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }

bool MustForward(const ReceivedSignal& signal) {
  if (signal.code > 0 || signal.from_command) return false;
  // The kernel gives these SI_USER where they come from loopsan's own writes.
  return signal.number != SIGCHLD && signal.number != SIGPIPE && signal.number != SIGXFSZ;
}

void StopMirror::OnSignal(int number) {
  switch (number) {
    case SIGTSTP:
    case SIGTTIN:
    case SIGTTOU:
      own_ = number;
      break;
    case SIGCONT:
      own_ = command_ = 0;
      break;
    default:
      break;
  }
}

void StopMirror::OnCommandStopped(int number) { command_ = number; }

int StopMirror::TakeStop() {
  if (own_ == 0 || command_ == 0 || command_ == SIGSTOP) return 0;
  const int number = command_;
  own_ = command_ = 0;
  return number;
}

bool LeavesReport(int number, int code, double seconds_since_end) {
  switch (number) {
    case SIGINT:
    case SIGQUIT:
    case SIGTERM:
      return code > 0 || seconds_since_end >= kEchoSeconds;
    default:
      return false;
  }
}

bool IsDescendant(pid_t process, pid_t ancestor) {
  for (int i = 0; i < kMaxGenerations && process > 0; ++i) {
    if (process == ancestor) return true;
    process = ParentOf(process);
  }
  return false;
}

}  // namespace loopsan
