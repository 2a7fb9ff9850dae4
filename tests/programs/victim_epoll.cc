// Intent: a hand-written epoll loop blocks in its callbacks, and where, is found.
#include <sys/epoll.h>

#include <map>

#include "tests/programs/victim.h"

namespace {

class EpollLoop {
 public:
  EpollLoop() : epoll_(epoll_create1(EPOLL_CLOEXEC)) {}
  ~EpollLoop() { close(epoll_); }

  void OnReadable(int fd, std::function<void()> callback) {
    callbacks_[fd] = std::move(callback);
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.fd = fd;
    victim::Require(epoll_ctl(epoll_, EPOLL_CTL_ADD, fd, &event) == 0, "epoll_ctl");
  }

  void After(std::chrono::milliseconds delay, std::function<void()> callback) {
    timers_.emplace(std::chrono::steady_clock::now() + delay, std::move(callback));
  }

  void Run() {
    stopped_ = false;
    while (!stopped_) {
      epoll_event events[16];
      const int ready = epoll_wait(epoll_, events, 16, MillisecondsToNextTimer());
      for (int i = 0; i < ready; ++i) callbacks_[events[i].data.fd]();
      RunTimers();
    }
  }

  void Stop() { stopped_ = true; }

 private:
  int MillisecondsToNextTimer() const {
    if (timers_.empty()) return -1;
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(
        timers_.begin()->first - std::chrono::steady_clock::now());
    return left.count() > 0 ? static_cast<int>(left.count()) : 0;
  }

  void RunTimers() {
    while (!timers_.empty() && timers_.begin()->first <= std::chrono::steady_clock::now()) {
      const auto timer = timers_.extract(timers_.begin());
      timer.mapped()();
    }
  }

  int epoll_;
  bool stopped_ = false;
  std::map<int, std::function<void()>> callbacks_;
  std::multimap<std::chrono::steady_clock::time_point, std::function<void()>> timers_;
};

}  // namespace

int main(int argc, char** argv) { return victim::VictimMain<EpollLoop>(argc, argv); }
