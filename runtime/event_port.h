// The event loop's only seam to the operating system: the time, and waiting for
// descriptors. Tests give the loop a scripted one (runtime/testing/scripted_port.h).
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>

namespace loopsan {

using Clock = std::chrono::steady_clock;
using Time = Clock::time_point;
using Duration = Clock::duration;

// Ends a port's wait from any thread, also after the port is gone.
class Waker {
 public:
  virtual ~Waker() = default;
  // Threads: any; also from signal handlers. Keeps errno.
  virtual void Wake() noexcept = 0;
};

// What is told when a descriptor is ready. It must only note it and wake tasks:
// user code runs later, as a step.
class DescriptorListener {
 public:
  // `events` are those of epoll (EPOLLIN, ...).
  virtual void OnReady(uint32_t events) noexcept = 0;

 protected:
  ~DescriptorListener() = default;
};

// Threads: the loop's only, but for the waker.
class EventPort {
 public:
  struct Ready {
    DescriptorListener* listener;
    uint32_t events;
  };

  virtual ~EventPort() = default;

  virtual Time Now() = 0;

  // Waits until a descriptor is ready, the waker is used or `timeout` has passed
  // (none: without limit; 0: only looks). Returns how many of `ready` it filled in.
  virtual size_t Wait(std::optional<Duration> timeout, std::span<Ready> ready) = 0;

  // `events` as for epoll_ctl, including EPOLLET. Throw std::system_error naming
  // the descriptor.
  virtual void Add(int fd, uint32_t events, DescriptorListener* listener) = 0;
  virtual void Modify(int fd, uint32_t events, DescriptorListener* listener) = 0;
  virtual void Remove(int fd) noexcept = 0;

  virtual std::shared_ptr<Waker> waker() = 0;

  // Time is given: the loop then looks at the port in each turn, also while steps are
  // ready, and its debug mode times steps by Now().
  virtual bool IsScripted() const { return false; }
};

// The one for Linux. Throws std::system_error if the kernel refuses.
std::unique_ptr<EventPort> MakeEpollPort();

}  // namespace loopsan
