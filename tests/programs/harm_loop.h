// A thread that is an event loop beyond doubt: it waits with epoll for more
// than one descriptor and has come back from it many times.
#pragma once

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <functional>

namespace harm {

inline void Require(bool ok, const char* what) {
  if (ok) return;
  std::perror(what);
  std::_Exit(99);
}

// Always ready: a wait returns at once, and is allowed to sleep.
class Loop {
 public:
  static constexpr int kProvingTurns = 40;

  Loop() : epoll_(epoll_create1(EPOLL_CLOEXEC)) {
    Require(epoll_ >= 0, "epoll_create1");
    for (int& fd : ready_) {
      fd = eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK);
      Require(fd >= 0, "eventfd");
      epoll_event event{};
      event.events = EPOLLIN;
      Require(epoll_ctl(epoll_, EPOLL_CTL_ADD, fd, &event) == 0, "epoll_ctl");
    }
  }
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;
  ~Loop() {
    for (int fd : ready_) close(fd);
    close(epoll_);
  }

  int epoll() const { return epoll_; }

  // One call site for all runs of all loops.
  [[gnu::noinline]] void Run(int turns, const std::function<void(int turn)>& step) {
    for (int turn = 0; turn < turns; ++turn) {
      epoll_event events[2];
      const int ready = epoll_wait(epoll_, events, 2, -1);
      Require(ready == 2, "epoll_wait");
      step(turn);
    }
  }

  // Runs `last` in the last of many turns.
  void RunOnceProven(const std::function<void()>& last) {
    Run(kProvingTurns + 1, [&](int turn) {
      if (turn == kProvingTurns) last();
    });
  }

 private:
  int epoll_;
  int ready_[2];
};

// A blocking call that every report of a watched loop must name.
[[gnu::noinline]] inline void BlockForTheReport() {
  const timespec duration{0, 30'000'000};
  nanosleep(&duration, nullptr);
}

// In the last of many turns of a loop of its own.
[[gnu::noinline]] inline void LoopThatBlocksOnce() {
  Loop loop;
  loop.RunOnceProven([] { BlockForTheReport(); });
}

}  // namespace harm
