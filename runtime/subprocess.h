// Subprocesses.
//
//   ProcessOptions options;
//   options.in = options.out = Redirect::kPipe;
//   const std::vector<std::string> sort{"sort", "-n"};   // g++ 12 refuses it in place
//   Process process = co_await CreateProcess(sort, options);
//   ProcessOutput result = co_await process.Communicate("3\n1\n2\n");
//   // result.out == "1\n2\n3\n", result.status.ok()
//
// The child is made on the loop's default executor, since even the fastest way
// holds up who does it; its end is learned through a pidfd, so no SIGCHLD handler is
// needed or touched. It starts with no signal blocked, SIGPIPE at its default, and none of this
// process' descriptors that are closed on exec.
//
// A Process that goes while its child runs kills it, which is reported in debug mode
// unless an exception is on its way. No zombie stays, whichever way it goes; also when
// CreateProcess() itself is cancelled.
//
// Threads: the loop's only. Cancellation: Wait() stops waiting; Communicate() too, and
// what it has read by then is lost. Errors: std::system_error, thrown by CreateProcess() if
// the program cannot be run (ENOENT).
#pragma once

#include <sys/types.h>

#include <coroutine>
#include <optional>
#include <source_location>
#include <string>
#include <vector>

#include "runtime/internal/ref.h"
#include "runtime/internal/waiter.h"
#include "runtime/stream.h"
#include "runtime/task.h"

namespace loopsan {

enum class Redirect : uint8_t {
  kInherit,
  kPipe,
  kNull,      // /dev/null
  kToOutput,  // standard error only: where standard output goes
};

struct ProcessOptions {
  // Not an aggregate: g++ 12 destroys a temporary one twice where it co_awaits.
  ProcessOptions() = default;

  Redirect in = Redirect::kInherit;
  Redirect out = Redirect::kInherit;
  Redirect err = Redirect::kInherit;
  std::optional<std::vector<std::string>> env;  // "NAME=value"; none: as this process'
  std::string cwd;                              // empty: as this process'
  bool new_session = false;                     // setsid()
};

class ExitStatus {
 public:
  ExitStatus() noexcept = default;
  ExitStatus(int code, int signal) noexcept : code_(code), signal_(signal) {}

  bool ok() const noexcept { return code_ == 0 && signal_ == 0; }
  int code() const noexcept { return code_; }      // what it exited with
  int signal() const noexcept { return signal_; }  // that killed it; 0: none
  // As Python's returncode: the code, or the signal's number negated.
  int returncode() const noexcept { return signal_ != 0 ? -signal_ : code_; }

 private:
  int code_ = 0;
  int signal_ = 0;
};

struct ProcessOutput {
  std::string out;  // empty unless that is a pipe
  std::string err;
  ExitStatus status;
};

namespace internal {
class ProcessCore;

class ProcessWait final : public Waiter {
 public:
  explicit ProcessWait(RefPtr<ProcessCore> core) noexcept;
  ~ProcessWait();

  bool await_ready(std::source_location here = std::source_location::current()) noexcept;
  template <typename P>
  void await_suspend(std::coroutine_handle<P> handle) {
    Link();
    Suspend(handle, "process to end", core_.get());
  }
  ExitStatus await_resume();

 private:
  void Link() noexcept;
  const RefPtr<ProcessCore> core_;
};
}  // namespace internal

class Process {
 public:
  Process() noexcept;
  Process(Process&& other) noexcept;
  Process& operator=(Process&& other) noexcept;
  ~Process();

  bool valid() const noexcept { return static_cast<bool>(core_); }
  pid_t pid() const noexcept;
  // None while it runs.
  std::optional<ExitStatus> status() const noexcept;

  // The pipes to it. Not valid() unless they were asked for. They are closed with the Process, and
  // are no findings then.
  Stream& in() noexcept { return in_; }
  Stream& out() noexcept { return out_; }
  Stream& err() noexcept { return err_; }

  // Any number of tasks may wait. A child that waits for somebody to read its output
  // never ends: use Communicate() then.
  [[nodiscard("it waits only when it is awaited")]] internal::ProcessWait Wait(
      std::source_location here = std::source_location::current()) const;

  // Gives it `input`, closes that pipe, reads the others to their ends, and waits. A child that
  // does not read all of its input is no error. REQUIRES: this Process stays where it is.
  Task<ProcessOutput> Communicate(std::string input = {},
                                  std::source_location here = std::source_location::current());

  // To the child, never to another process with its number. Nothing happens if it
  // has ended.
  void SendSignal(int signal, std::source_location here = std::source_location::current());
  void Terminate(std::source_location here = std::source_location::current());
  void Kill(std::source_location here = std::source_location::current());

  Process(internal::RefPtr<internal::ProcessCore> core, Stream in, Stream out, Stream err) noexcept;

 private:
  internal::ProcessCore& Use(const char* what, std::source_location here) const;

  internal::RefPtr<internal::ProcessCore> core_;
  Stream in_;
  Stream out_;
  Stream err_;
};

// `arguments[0]` is looked for in PATH unless it has a slash.
Task<Process> CreateProcess(std::vector<std::string> arguments, ProcessOptions options = {},
                            std::source_location here = std::source_location::current());
// `/bin/sh -c command`.
Task<Process> CreateShellProcess(std::string command, ProcessOptions options = {},
                                 std::source_location here = std::source_location::current());

}  // namespace loopsan
