// How the tests of sockets, pipes and processes run a coroutine: on the real port,
// in debug mode, and with everything ended and closed behind it.
#pragma once

#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <stdexcept>
#include <utility>

#include "runtime/event_loop.h"
#include "runtime/spawn.h"

namespace loopsan::testing {

class RealLoop {
 public:
  explicit RealLoop(bool debug = true) : loop_({.port = nullptr, .name = {}, .debug = debug}) {
    // Under sanitizers, and on a busy machine, steps may take their time.
    loop_.SetSlowStep(std::chrono::seconds(60));
  }
  ~RealLoop() { loop_.Close(); }

  EventLoop& loop() noexcept { return loop_; }

  template <typename T>
  T Run(Task<T> task) {
    struct End {
      EventLoop& loop;
      ~End() { loop.RunUntilComplete(loop.CancelAll()); }
    } end{loop_};
    return loop_.RunUntilComplete(std::move(task));
  }

 private:
  EventLoop loop_;
};

template <typename T>
T RunReal(Task<T> task) {
  RealLoop real;
  return real.Run(std::move(task));
}

// Two connected sockets; each is closed unless it is given away.
class SocketPair {
 public:
  explicit SocketPair(int type = SOCK_STREAM) {
    if (socketpair(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds_.data()) != 0) {
      throw std::runtime_error("no socketpair");
    }
  }
  SocketPair(const SocketPair&) = delete;
  SocketPair& operator=(const SocketPair&) = delete;
  ~SocketPair() {
    for (const int fd : fds_) {
      if (fd >= 0) close(fd);
    }
  }
  int Take(size_t which) noexcept { return std::exchange(fds_[which], -1); }
  int fd(size_t which) const noexcept { return fds_[which]; }

 private:
  std::array<int, 2> fds_{-1, -1};
};

}  // namespace loopsan::testing
