// The way to the probe, if this process is watched, and the runtime's cheap clock.
#pragma once

#include <time.h>

#include <cstdint>

#include "instrument/annotate.h"

namespace loopsan::internal {

// The probe's functions, or null. Looked up once.
const loopsan_annotations* Annotations() noexcept;

inline uint64_t MonotonicNanoseconds() noexcept {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1'000'000'000U + static_cast<uint64_t>(now.tv_nsec);
}

#if defined(__x86_64__)
extern const bool g_kernel_uses_tsc;
#endif

// Ticks for timing steps: the time-stamp counter where the kernel itself uses it,
// else nanoseconds of CLOCK_MONOTONIC.
inline uint64_t Ticks() noexcept {
#if defined(__x86_64__)
  if (g_kernel_uses_tsc) [[likely]] {
    return __builtin_ia32_rdtsc();
  }
#endif
  return MonotonicNanoseconds();
}
double TicksPerSecond() noexcept;  // measured once, good to 1 %

// LOOPSAN in the environment: 1, true, yes, on; 0, false, no, off and empty mean off.
// Throws std::invalid_argument for anything else.
bool DebugWanted();

// The debug mode is on where nobody says otherwise: it is wanted, or the process is
// watched. False if LOOPSAN makes no sense.
bool DebugIsDefault() noexcept;

}  // namespace loopsan::internal
