#include <errno.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <string>
#include <system_error>

#include "runtime/event_port.h"

namespace loopsan {

namespace {

[[noreturn]] void ThrowErrno(const std::string& what) {
  throw std::system_error(errno, std::generic_category(), what);
}

class EventfdWaker final : public Waker {
 public:
  EventfdWaker() : fd_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
    if (fd_ < 0) ThrowErrno("event loop: eventfd");
  }
  ~EventfdWaker() override { close(fd_); }

  void Wake() noexcept override {
    const int saved_errno = errno;
    const uint64_t one = 1;
    // It can only fail because it is already as high as it goes: then it wakes, too.
    [[maybe_unused]] const ssize_t written = write(fd_, &one, sizeof one);
    errno = saved_errno;
  }

  int fd() const noexcept { return fd_; }

 private:
  const int fd_;
};

class EpollPort final : public EventPort {
 public:
  EpollPort() : waker_(std::make_shared<EventfdWaker>()), epoll_(epoll_create1(EPOLL_CLOEXEC)) {
    if (epoll_ < 0) ThrowErrno("event loop: epoll_create1");
    epoll_event event{};
    // Edge-triggered: each write is told once, and nobody has to read the count away.
    event.events = EPOLLIN | EPOLLET;
    event.data.ptr = nullptr;
    if (epoll_ctl(epoll_, EPOLL_CTL_ADD, waker_->fd(), &event) != 0) {
      const int error = errno;
      close(epoll_);
      errno = error;
      ThrowErrno("event loop: epoll_ctl of its own eventfd");
    }
  }
  ~EpollPort() override { close(epoll_); }

  Time Now() override { return Clock::now(); }

  size_t Wait(std::optional<Duration> timeout, std::span<Ready> ready) override {
    int milliseconds = -1;
    if (timeout) {
      // Rounded up: a timer never fires early, and no turn is spent on waiting for the rest.
      const auto rounded = std::chrono::ceil<std::chrono::milliseconds>(*timeout).count();
      milliseconds = static_cast<int>(std::clamp<int64_t>(rounded, 0, 1 << 30));
    }
    const size_t room = std::min(ready.size(), events_.size());
    const int count = epoll_wait(epoll_, events_.data(), static_cast<int>(room), milliseconds);
    if (count < 0) {
      if (errno == EINTR) return 0;
      ThrowErrno("event loop: epoll_wait");
    }
    size_t filled = 0;
    for (int i = 0; i < count; ++i) {
      const epoll_event& event = events_[static_cast<size_t>(i)];
      if (event.data.ptr != nullptr) {
        ready[filled++] = {static_cast<DescriptorListener*>(event.data.ptr), event.events};
      }
    }
    return filled;
  }

  void Add(int fd, uint32_t events, DescriptorListener* listener) override {
    Control(EPOLL_CTL_ADD, fd, events, listener);
  }
  void Modify(int fd, uint32_t events, DescriptorListener* listener) override {
    Control(EPOLL_CTL_MOD, fd, events, listener);
  }
  void Remove(int fd) noexcept override { epoll_ctl(epoll_, EPOLL_CTL_DEL, fd, nullptr); }

  std::shared_ptr<Waker> waker() override { return waker_; }

 private:
  void Control(int operation, int fd, uint32_t events, DescriptorListener* listener) const {
    epoll_event event{};
    event.events = events;
    event.data.ptr = listener;
    if (epoll_ctl(epoll_, operation, fd, &event) != 0) {
      ThrowErrno("event loop: cannot watch descriptor " + std::to_string(fd));
    }
  }

  const std::shared_ptr<EventfdWaker> waker_;
  const int epoll_;
  std::array<epoll_event, 1024> events_;
};

}  // namespace

std::unique_ptr<EventPort> MakeEpollPort() { return std::make_unique<EpollPort>(); }

}  // namespace loopsan
