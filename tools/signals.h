// The signals of a run: loopsan takes them while the command lives, passes on
// what the command did not get itself, and survives.
//
// Threads: everything here belongs to the main thread, before others are made
// (they inherit its blocked mask), unless it says otherwise.
#pragma once

#include <signal.h>
#include <sys/types.h>

namespace loopsan {

// Blocks every signal that can be waited for, ignores SIGPIPE, and makes sure
// that an exit status can be waited for although SIGCHLD was ignored. Keeps what
// was inherited for the command.
class SignalTakeover {
 public:
  SignalTakeover();
  ~SignalTakeover();
  SignalTakeover(const SignalTakeover&) = delete;
  SignalTakeover& operator=(const SignalTakeover&) = delete;

  // A signalfd (O_CLOEXEC, O_NONBLOCK) of the blocked signals.
  int fd() const { return fd_; }

  // Async-signal-safe; for the forked child: mask and dispositions exactly as
  // loopsan inherited them.
  void RestoreInherited() const;

 private:
  sigset_t inherited_mask_;
  struct sigaction inherited_pipe_;
  struct sigaction inherited_child_;
  int fd_;
};

// Threads that are made while it lives take no signals: these are for the thread that takes
// care of the command. Belongs to the thread that made it.
class WithoutSignals {
 public:
  WithoutSignals();
  ~WithoutSignals();
  WithoutSignals(const WithoutSignals&) = delete;
  WithoutSignals& operator=(const WithoutSignals&) = delete;

 private:
  sigset_t before_;
};

// One received signal.
struct ReceivedSignal {
  int number = 0;
  int code = 0;               // si_code
  bool from_command = false;  // the sender is the command or a descendant of it
};

// True if the command has to be sent the signal too. The kernel's own (Ctrl-C and
// other keys of the terminal, its hang-up) went to the whole process group, so to
// the command as well; what it sent itself, to its group, it has had.
bool MustForward(const ReceivedSignal& signal);

// When the terminal stops the command, the job's shell must see loopsan stopped
// too. But a command that somebody stops on purpose (kill -STOP) must not take
// loopsan with it: nobody would wake it.
class StopMirror {
 public:
  void OnSignal(int number);
  void OnCommandStopped(int number);
  // The signal with which to stop now, or 0; asked once after each batch.
  int TakeStop();

 private:
  int own_ = 0;
  int command_ = 0;
};

// While the report is being made: true if `signal` means "leave at once".
// `seconds_since_end` of the command: timeout(1) and process managers signal the
// command first and the group right behind it, which is no second request.
bool LeavesReport(int number, int code, double seconds_since_end);

// True if `process` is `ancestor` or a descendant of it.
bool IsDescendant(pid_t process, pid_t ancestor);

}  // namespace loopsan
