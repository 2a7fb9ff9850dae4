// Where loops lost their time, as flame graphs want it: one stack per finding, with
// the time that it took.
//
// Threads: any; no state.
#pragma once

#include <string>
#include <vector>

#include "reporters/report.h"

namespace loopsan {

// One box of a flame graph. Its name is printable and not too long.
struct FlameFrame {
  std::string name;
  std::string file;  // as the program has it; empty if unknown
  int line = 0;
  friend bool operator==(const FlameFrame&, const FlameFrame&) = default;
};

struct LostTime {
  std::string process;
  std::string thread;
  pid_t pid = 0;
  int thread_id = 0;
  uint64_t microseconds = 0;       // more than none
  std::vector<FlameFrame> frames;  // outermost first; coroutines as "[co_await] app::Read()"
};

// In the order of the findings. Notes and what libraries report by themselves took
// no time of their own from a loop and are left out.
std::vector<LostTime> LostTimes(const Report& report);

}  // namespace loopsan
