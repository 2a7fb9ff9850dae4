// A subprocess of a test, in a process group of its own, with its output caught
// while it runs.
//
// Threads: one thread of the test uses a Process; a reader thread inside keeps
// the pipes empty, so that the subprocess never waits for the test.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

namespace loopsan::testing {

using Seconds = std::chrono::duration<double>;

inline constexpr Seconds kLongEnough{60};

struct Command {
  std::vector<std::string> arguments;    // arguments[0] is searched for in PATH
  std::vector<std::string> environment;  // "NAME=value", on top of the test's own
  std::string directory;                 // "" stays in the test's
};

struct Finished {
  int exit_code = -1;      // of a process that ended by itself, else -1
  int signal = 0;          // that ended it, or 0
  bool timed_out = false;  // it, or something that held its output open, was killed
  double seconds = 0;
  std::string out;
  std::string err;
};

class Process {
 public:
  // Fails the test at once if the command cannot be started.
  explicit Process(const Command& command);
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;
  ~Process();  // kills the group if Wait() was not called

  pid_t pid() const { return pid_; }

  void Signal(int number);

  // True once `text` has appeared; false if the output ended without it or the
  // time was up.
  bool WaitForOutput(std::string_view text, Seconds timeout = kLongEnough);
  bool WaitForError(std::string_view text, Seconds timeout = kLongEnough);

  // What has come so far.
  std::string output();
  std::string error();

  // Waits until the process has ended and its output is closed; kills the group
  // when the time is up. Adds a test failure then.
  Finished Wait(Seconds timeout = kLongEnough);

 private:
  bool WaitForText(const std::string& stream, std::string_view text, Seconds timeout);
  void Read();
  void StopReading();

  pid_t pid_ = -1;
  int pidfd_ = -1;
  int out_fd_ = -1;
  int err_fd_ = -1;
  int stop_fd_ = -1;
  bool reaped_ = false;
  std::chrono::steady_clock::time_point started_at_;
  std::thread reader_;

  std::mutex mutex_;
  std::condition_variable changed_;
  std::string out_;      // guarded by mutex_
  std::string err_;      // guarded by mutex_
  bool closed_ = false;  // guarded by mutex_
};

// Starts the command and waits for its end.
Finished RunCommand(const Command& command, Seconds timeout = kLongEnough);

// Whether a command of this name is found in PATH.
bool IsInstalled(const std::string& command);

// A directory that is removed with everything in it.
class TemporaryDirectory {
 public:
  TemporaryDirectory();
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;
  ~TemporaryDirectory();
  const std::string& path() const { return path_; }
  std::string operator/(std::string_view name) const { return path_ + "/" + std::string(name); }

 private:
  std::string path_;
};

}  // namespace loopsan::testing
