// An unwind_victim that runs, and what it says about its stack.
#pragma once

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <optional>
#include <string>

#include "gtest/gtest.h"
#include "reporters/process_image.h"
#include "reporters/stack.h"
#include "tests/programs/unwind_victim.h"

namespace loopsan {

// A path that no other run of these tests uses at the same time.
inline std::string TemporaryPath(const std::string& name) {
  return testing::TempDir() + name + "." + std::to_string(getpid());
}

class VictimProcess {
 public:
  VictimProcess(std::string program, std::string shape) {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) return;
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
    char* arguments[] = {program.data(), shape.data(), nullptr};
    if (posix_spawn(&pid_, program.c_str(), &actions, nullptr, arguments, environ) != 0) pid_ = -1;
    posix_spawn_file_actions_destroy(&actions);
    close(ends[1]);
    stands_ = read(ends[0], &report_, sizeof(report_)) == sizeof(report_);
    close(ends[0]);
  }
  ~VictimProcess() { Kill(); }

  void Kill() {
    if (pid_ <= 0) return;
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
    pid_ = -1;
  }

  // It has written its report and waits.
  bool stands() const { return stands_; }
  pid_t pid() const { return pid_; }
  const VictimReport& report() const { return report_; }

  // As the watcher takes a stack from a thread that is in a hooked call.
  RawStack CopyStack(ProcessImage& process, size_t most_bytes = 256 * 1024) const {
    RawStack stack;
    stack.source = StackSource::kHookRegisters;
    stack.registers = {report_.registers[0], report_.registers[1], report_.registers[2]};
    stack.rip_is_return_address = true;
    stack.base = stack.registers.rsp;
    const std::optional<AddressRange> mapping = process.FindMapping(stack.base);
    if (!mapping.has_value()) return stack;
    stack.bytes.resize(std::min<size_t>(most_bytes, mapping->end - stack.base));
    if (!process.ReadMemory(stack.base, stack.bytes.data(), stack.bytes.size())) {
      stack.bytes.clear();
    }
    return stack;
  }

 private:
  pid_t pid_ = -1;
  bool stands_ = false;
  VictimReport report_ = {};
};

}  // namespace loopsan
