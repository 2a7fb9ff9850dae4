// A thread that is about to sleep looks a little longer for what wakes it: being woken
// takes microseconds, on a virtual machine tens of them.
//
// Threads: any.
#pragma once

#include <sched.h>

#include <chrono>

#include "runtime/event_port.h"

namespace loopsan::internal {

inline constexpr std::chrono::microseconds kLookFor{20};

// Where threads share one processor, who looks only holds up what it looks for.
inline bool HasSeveralProcessors() noexcept {
  static const bool several = [] {
    cpu_set_t processors;
    return sched_getaffinity(0, sizeof processors, &processors) != 0 || CPU_COUNT(&processors) > 1;
  }();
  return several;
}

// True once `has_come()` is, false after kLookFor. No lock, no system call.
template <typename HasCome>
bool LookFor(HasCome has_come) noexcept {
  if (has_come()) return true;
  if (!HasSeveralProcessors()) return false;
  const Clock::time_point end = Clock::now() + kLookFor;
  do {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#endif
    if (has_come()) return true;
  } while (Clock::now() < end);
  return false;
}

}  // namespace loopsan::internal
