// What another thread of this process sleeps for, as the kernel tells it.
//
// Threads: any. Where the kernel does not tell (no /proc), the answer is that it does not sleep.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>

namespace loopsan::internal {

// A sleep without a time limit for a lock, a condition, a semaphore or a thread's end (futex(2)).
struct EndlessSleep {
  uint64_t address;
  uint64_t sleeps;  // of the thread, ever
  // Both the same at two times: it has slept all the time.
  bool operator==(const EndlessSleep&) const = default;
};

// None: it does something else.
std::optional<EndlessSleep> SleepOf(pid_t tid) noexcept;

// The thread that has the pthread mutex (std::mutex) for which it sleeps; 0 if it sleeps
// for something else.
pid_t OwnerOfAwaitedMutex(pid_t tid) noexcept;

}  // namespace loopsan::internal
