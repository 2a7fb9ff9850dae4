#include "runtime/internal/blocked_thread.h"

#include <fcntl.h>
#include <linux/futex.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cstdint>
#include <optional>

namespace loopsan::internal {

namespace {

struct FutexWait {
  uint64_t address;
  uint64_t operation;
  uint64_t expected;
};

// From /proc/self/task/TID/syscall: "202 0x7f.. 0x80 0x2 0x0 ...", or "running".
std::optional<FutexWait> EndlessFutexWait(pid_t tid) noexcept {
  char path[64];
  snprintf(path, sizeof path, "/proc/self/task/%d/syscall", tid);
  const int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return std::nullopt;
  char text[256];
  const ssize_t bytes = read(fd, text, sizeof text - 1);
  close(fd);
  if (bytes <= 0) return std::nullopt;
  text[bytes] = '\0';
  long number = -1;
  unsigned long arguments[4];
  if (sscanf(text, "%ld %lx %lx %lx %lx", &number, &arguments[0], &arguments[1], &arguments[2],
             &arguments[3]) != 5 ||
      number != SYS_futex || arguments[3] != 0) {
    return std::nullopt;
  }
  const unsigned long operation = arguments[1] & FUTEX_CMD_MASK;
  if (operation != FUTEX_WAIT && operation != FUTEX_WAIT_BITSET) return std::nullopt;
  return FutexWait{arguments[0], operation, arguments[2]};
}

}  // namespace

std::optional<EndlessSleep> SleepOf(pid_t tid) noexcept {
  const std::optional<FutexWait> wait = EndlessFutexWait(tid);
  if (!wait) return std::nullopt;
  char path[64];
  snprintf(path, sizeof path, "/proc/self/task/%d/status", tid);
  FILE* const file = fopen(path, "re");
  if (file == nullptr) return std::nullopt;
  char line[256];
  unsigned long long sleeps = 0;
  bool found = false;
  while (!found && fgets(line, sizeof line, file) != nullptr) {
    found = sscanf(line, "voluntary_ctxt_switches: %llu", &sleeps) == 1;
  }
  fclose(file);
  if (!found) return std::nullopt;
  return EndlessSleep{wait->address, sleeps};
}

pid_t OwnerOfAwaitedMutex(pid_t tid) noexcept {
  const std::optional<FutexWait> wait = EndlessFutexWait(tid);
  // glibc's lll_lock_wait(): the lock word is 2 while somebody sleeps for it.
  constexpr uint32_t kContended = 2;
  if (!wait || wait->operation != FUTEX_WAIT || wait->expected != kContended) return 0;
  // The start of glibc's pthread_mutex_t: __lock, __count, __owner, __nusers.
  uint32_t words[4] = {};
  const iovec local{words, sizeof words};
  const iovec remote{reinterpret_cast<void*>(wait->address), sizeof words};
  // Read as a stranger would: the mutex may be gone by now.
  if (process_vm_readv(getpid(), &local, 1, &remote, 1, 0) != sizeof words) return 0;
  const auto owner = static_cast<pid_t>(words[2]);
  if (words[0] != kContended || words[3] == 0 || owner <= 0) return 0;
  char path[64];
  snprintf(path, sizeof path, "/proc/self/task/%d", owner);
  return access(path, F_OK) == 0 ? owner : 0;
}

}  // namespace loopsan::internal
