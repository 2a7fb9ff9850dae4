// One thread of a watched process, seen from outside through /proc and
// perf_event_open: what it is doing, and its stack. Nothing here stops, signals
// or attaches to the thread.
//
// Threads: the watcher's only.
#pragma once

#include <sys/types.h>

#include <array>
#include <cstdint>
#include <optional>
#include <string>

#include "reporters/stack.h"

namespace loopsan {

// What the kernel says of a thread at one moment.
struct SchedulingState {
  bool valid = false;
  char state = '?';               // R, S, D, T, t, Z
  uint64_t run_nanoseconds = 0;   // on a processor
  uint64_t wait_nanoseconds = 0;  // runnable, but waiting for one
  uint64_t major_faults = 0;
};

struct ProcessorTimes {
  uint64_t run_nanoseconds = 0;
  uint64_t wait_nanoseconds = 0;
};

// A system call that the thread sleeps in.
struct SystemCallState {
  bool running = false;  // in user mode or runnable: no registers to be had
  long number = -1;
  uint64_t arguments[3] = {0, 0, 0};
  uint64_t sp = 0;
  uint64_t pc = 0;
};

struct DescriptorInfo {
  bool valid = false;
  std::string target;  // "/var/lib/x", "socket:[123]", "pipe:[5]"
  bool nonblocking = false;
};

class FileDescriptor {
 public:
  FileDescriptor() = default;
  explicit FileDescriptor(int fd) : fd_(fd) {}
  ~FileDescriptor();
  FileDescriptor(FileDescriptor&& other) noexcept : fd_(other.fd_) { other.fd_ = -1; }
  FileDescriptor& operator=(FileDescriptor&& other) noexcept;
  int get() const { return fd_; }
  explicit operator bool() const { return fd_ >= 0; }

 private:
  int fd_ = -1;
};

class ThreadProbe {
 public:
  // Opens the thread's files at once: a later change of user makes them
  // unreadable, an open descriptor stays.
  ThreadProbe(pid_t pid, pid_t tid);

  pid_t tid() const { return tid_; }
  bool Exists() const;
  std::string Name() const;
  SchedulingState Scheduling() const;
  // Times alone, for every tick: much cheaper than Scheduling().
  std::optional<ProcessorTimes> Times() const;
  std::optional<SystemCallState> SystemCall() const;

  // False if perf_event_open is refused for this thread, as opposed to failing
  // for want of something; then `error` says how.
  bool PerfPermitted(std::string& error) const;

  // The stack of a running thread through a perf event: waits up to
  // `milliseconds` for it to be on a processor in user mode. `stack_high`
  // bounds what is read beyond the kernel's 64 KiB. On failure `error` says why.
  std::optional<RawStack> PerfSample(int milliseconds, uint64_t stack_high, std::string& error);

 private:
  pid_t pid_;
  pid_t tid_;
  FileDescriptor system_call_;
  FileDescriptor schedstat_;
  FileDescriptor stat_;
};

// Copies memory of a process; returns the bytes copied (less if it ends early).
size_t CopyMemory(pid_t pid, uint64_t address, void* to, size_t bytes);

// Copies the stack from `registers.rsp` to `high`, at most `limit` bytes.
RawStack CopyStack(pid_t pid, const Registers& registers, uint64_t high, size_t limit);

DescriptorInfo ReadDescriptor(pid_t pid, int fd);

// How many descriptors an epoll descriptor watches; -1 if unknown.
int CountEpollTargets(pid_t pid, int fd);

// The mapping of `pid` that contains `address`; false if there is none or maps
// cannot be read.
bool FindMapping(pid_t pid, uint64_t address, uint64_t& low, uint64_t& high);

// The process a thread id belongs to, or 0.
pid_t ProcessOfThread(pid_t tid);

// The path by which the process was started: of a script its own, of a link not where it
// leads. Empty if it cannot be told.
std::string StartedAs(pid_t pid);

std::string ReadLink(const std::string& path);
std::string ReadSmallFile(const std::string& path);

}  // namespace loopsan
