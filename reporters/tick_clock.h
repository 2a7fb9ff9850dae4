// The probe's clock as the collector reads it: ticks now, and ticks to seconds.
//
// Threads: Now() and conversions from any; Calibrate() from one.
#pragma once

#include <atomic>
#include <cstdint>

#include "instrument/segment.h"

namespace loopsan {

class TickClock {
 public:
  // Takes the time stamp counter where the kernel itself keeps time with it,
  // else CLOCK_MONOTONIC. Measures the rate for about a millisecond.
  TickClock();

  segment::ClockKind kind() const { return kind_; }
  uint64_t Now() const;
  double ticks_per_second() const { return rate_.load(std::memory_order_relaxed); }
  double Seconds(uint64_t ticks) const { return static_cast<double>(ticks) / ticks_per_second(); }
  uint64_t Ticks(double seconds) const {
    return static_cast<uint64_t>(seconds * ticks_per_second());
  }

  // Improves the rate with the time that has passed since construction.
  void Calibrate();

 private:
  struct Pair {
    uint64_t ticks;
    uint64_t nanoseconds;
  };
  static Pair ReadPair();

  segment::ClockKind kind_;
  Pair first_{};
  std::atomic<double> rate_{1e9};
};

}  // namespace loopsan
