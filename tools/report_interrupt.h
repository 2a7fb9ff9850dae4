// While the report is being made: a person who presses Ctrl-C again wants to
// leave, now.
#pragma once

#include <chrono>
#include <functional>
#include <thread>

#include "tools/signals.h"

namespace loopsan {

class ReportInterrupt {
 public:
  // From now on a signal that means "leave" (see LeavesReport()) calls `clean_up`
  // on another thread and ends the process with 128 + its number. What arrived
  // before is forgotten.
  ReportInterrupt(const SignalTakeover& signals, std::function<void()> clean_up);
  ~ReportInterrupt();
  ReportInterrupt(const ReportInterrupt&) = delete;
  ReportInterrupt& operator=(const ReportInterrupt&) = delete;

 private:
  void Watch(int signal_fd);

  const std::chrono::steady_clock::time_point end_of_command_ = std::chrono::steady_clock::now();
  const std::function<void()> clean_up_;
  const int stop_;  // eventfd
  std::thread thread_;
};

}  // namespace loopsan
