#include "tools/report_interrupt.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <utility>

#include "tools/report_outputs.h"

namespace loopsan {

ReportInterrupt::ReportInterrupt(const SignalTakeover& signals, std::function<void()> clean_up)
    : clean_up_(std::move(clean_up)), stop_(eventfd(0, EFD_CLOEXEC)) {
  // The Ctrl-C that ended the command was in our queue before its end could be
  // seen: the kernel signals the whole group before any of it can exit.
  signalfd_siginfo info;
  while (read(signals.fd(), &info, sizeof info) == sizeof info) {
  }
  thread_ = std::thread(&ReportInterrupt::Watch, this, signals.fd());
}

ReportInterrupt::~ReportInterrupt() {
  eventfd_write(stop_, 1);
  thread_.join();
  close(stop_);
}

void ReportInterrupt::Watch(int signal_fd) {
  pollfd waits[2] = {{signal_fd, POLLIN, 0}, {stop_, POLLIN, 0}};
  while (true) {
    poll(waits, 2, -1);
    if (waits[1].revents != 0) return;
    signalfd_siginfo info;
    while (read(signal_fd, &info, sizeof info) == sizeof info) {
      const std::chrono::duration<double> since =
          std::chrono::steady_clock::now() - end_of_command_;
      const int number = static_cast<int>(info.ssi_signo);
      if (!LeavesReport(number, info.ssi_code, since.count())) continue;
      clean_up_();
      Complain("interrupted while making the report");
      _exit(128 + number);
    }
  }
}

}  // namespace loopsan
