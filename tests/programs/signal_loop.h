// An event loop that always has something to do, for the victims of the
// sampling signal.
#pragma once

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <initializer_list>

namespace signal_victim {

inline void Require(bool holds, const char* what) {
  if (!holds) {
    perror(what);
    _exit(2);
  }
}

inline int64_t Nanoseconds() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * 1'000'000'000LL + now.tv_nsec;
}

// Where the signals arrive.
inline void Compute(int64_t nanoseconds) {
  const int64_t until = Nanoseconds() + nanoseconds;
  while (Nanoseconds() < until) {
  }
}

class BusyLoop {
 public:
  BusyLoop() : epoll_(epoll_create1(EPOLL_CLOEXEC)), event_(eventfd(1, EFD_CLOEXEC)) {
    epoll_event event{};
    event.events = EPOLLIN;
    Require(epoll_ctl(epoll_, EPOLL_CTL_ADD, event_, &event) == 0, "epoll_ctl");
  }
  ~BusyLoop() {
    close(event_);
    close(epoll_);
  }

  // Runs `step` in one turn after the other until it returns false. Once in a
  // program: a wait at another place or depth is another loop's.
  template <typename Step>
  [[gnu::noinline]] void Run(const Step& step) {
    do {
      epoll_event event;
      Require(epoll_wait(epoll_, &event, 1, -1) == 1, "epoll_wait of the loop");
    } while (step());
  }

 private:
  int epoll_;
  int event_;
};

}  // namespace signal_victim
