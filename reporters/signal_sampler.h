// The last way to the stack of a running thread: asks it with a realtime signal.
// Only for processes in which perf_event_open is refused; see
// segment::SignalRequest for how the signal is kept out of hooked calls.
//
// Threads: the watcher's only.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "instrument/segment.h"
#include "reporters/stack.h"

namespace loopsan {

// What /proc/PID/task/TID/status says of a thread's signals. Bit n-1 is signal n.
struct SignalStatus {
  bool valid = false;
  char state = '?';
  uint64_t blocked = 0;
  uint64_t caught = 0;
  bool filtered = true;  // by seccomp
};
SignalStatus ReadSignalStatus(pid_t pid, pid_t tid);

// Why this thread must not be sent `number` now; empty if it may be.
std::string ReasonAgainstSignal(const SignalStatus& status, uint32_t number);

// Sends the signal unless the thread is in, or about to enter, a hooked call or
// an exec. True if it was sent: the answer comes within microseconds of the
// thread's next moment on a processor.
bool SendSampleSignal(segment::Slot& slot, uint32_t cell, pid_t pid, pid_t tid);

class SignalSampler {
 public:
  // At most one signal per thread in this time.
  static constexpr double kMinimumSeconds = 0.010;
  static constexpr uint32_t kMostPerStep = 4;
  // How long an answer is waited for.
  static constexpr double kLatestSeconds = 0.050;

  SignalSampler(segment::Slot* slot, pid_t pid) : slot_(slot), pid_(pid) {}

  // Asks the probe to install the handler, unless the process must not be
  // signalled at all; then error() says why.
  void Request();
  bool requested() const { return requested_; }

  // The stack of a running thread in the step that began with turn `turn`, or
  // null; error() says why. Waits for the answer for up to `milliseconds`.
  std::optional<RawStack> Take(uint32_t cell, pid_t tid, uint64_t turn, double now_seconds,
                               int milliseconds);

  // A signal was sent in this step and not answered yet: the thread waits for a
  // processor. Take() again, soon, gives the answer.
  bool AwaitsAnswer(uint32_t cell, uint64_t turn, double now_seconds) const;

  const std::string& error() const { return error_; }

  // The thread of this cell is gone.
  void Forget(uint32_t cell);

 private:
  struct Thread {
    uint64_t answers_taken = 0;
    uint64_t turn = 0;
    uint32_t sent_in_step = 0;
    double last_sent = -1;
    bool awaited = false;
  };

  bool MayAsk(Thread& thread, uint32_t cell, pid_t tid, uint64_t turn, double now_seconds);
  std::optional<RawStack> NextAnswer(Thread& thread, uint32_t cell);
  std::optional<RawStack> Fail(std::string why);

  segment::Slot* const slot_;
  const pid_t pid_;
  bool requested_ = false;
  bool checked_ = false;
  std::string error_;
  std::map<uint32_t, Thread> threads_;  // by cell
};

}  // namespace loopsan
