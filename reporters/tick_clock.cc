#include "reporters/tick_clock.h"

#include <cpuid.h>
#include <time.h>
#include <x86intrin.h>

#include <fstream>
#include <string>

namespace loopsan {
namespace {

uint64_t MonotonicNanoseconds() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1'000'000'000ULL + static_cast<uint64_t>(now.tv_nsec);
}

// The kernel watches the counter for us: it drops "tsc" as its clock source when
// cores disagree or the rate changes.
bool KernelTrustsTsc() {
  unsigned a = 0, b = 0, c = 0, d = 0;
  if (__get_cpuid(0x80000007, &a, &b, &c, &d) == 0 || (d & (1U << 8)) == 0) {
    return false;  // not invariant
  }
  std::ifstream file("/sys/devices/system/clocksource/clocksource0/current_clocksource");
  std::string name;
  return static_cast<bool>(file >> name) && name == "tsc";
}

}  // namespace

TickClock::Pair TickClock::ReadPair() {
  // The reading with the shortest way between two counter reads is the truest.
  Pair best{};
  uint64_t shortest = ~0ULL;
  for (int i = 0; i < 5; ++i) {
    const uint64_t before = __rdtsc();
    const uint64_t nanoseconds = MonotonicNanoseconds();
    const uint64_t after = __rdtsc();
    if (after - before < shortest) {
      shortest = after - before;
      best = {before + (after - before) / 2, nanoseconds};
    }
  }
  return best;
}

TickClock::TickClock()
    : kind_(KernelTrustsTsc() ? segment::ClockKind::kTsc : segment::ClockKind::kMonotonic) {
  if (kind_ != segment::ClockKind::kTsc) {
    return;
  }
  first_ = ReadPair();
  timespec wait{0, 1'000'000};
  nanosleep(&wait, nullptr);
  Calibrate();
}

void TickClock::Calibrate() {
  if (kind_ != segment::ClockKind::kTsc) {
    return;
  }
  const Pair now = ReadPair();
  if (now.nanoseconds > first_.nanoseconds) {
    rate_.store(static_cast<double>(now.ticks - first_.ticks) * 1e9 /
                    static_cast<double>(now.nanoseconds - first_.nanoseconds),
                std::memory_order_relaxed);
  }
}

uint64_t TickClock::Now() const {
  return kind_ == segment::ClockKind::kTsc ? __rdtsc() : MonotonicNanoseconds();
}

}  // namespace loopsan
