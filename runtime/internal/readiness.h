// Waiting for one descriptor, registered once with the loop, edge-triggered.
//
// A descriptor counts as ready until a call on it said otherwise; so try first, note
// a refusal with MarkUnreadable() (MarkUnwritable()), and wait:
//
//   for (;;) {
//     ssize_t n = recv(readiness.fd(), ...);
//     if (n >= 0 || errno != EAGAIN) break;
//     readiness.MarkUnreadable();
//     if (!co_await readiness.Readable()) break;  // closed meanwhile
//   }
//
// Threads: the loop's only. Cancellation: the wait ends, nothing else changes.
#pragma once

#include <coroutine>
#include <cstdint>
#include <source_location>
#include <utility>

#include "runtime/event_loop.h"
#include "runtime/internal/loop_resource.h"
#include "runtime/internal/waiter.h"

namespace loopsan::internal {

// Owns a file descriptor.
class Descriptor {
 public:
  Descriptor() noexcept = default;
  explicit Descriptor(int fd) noexcept : fd_(fd) {}
  Descriptor(Descriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Descriptor& operator=(Descriptor other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~Descriptor();

  int get() const noexcept { return fd_; }
  bool is_open() const noexcept { return fd_ >= 0; }
  int Release() noexcept { return std::exchange(fd_, -1); }

 private:
  int fd_ = -1;
};

class ReadinessAwaiter;

class Readiness final : public DescriptorListener, public LoopResource {
 public:
  // `what` is a static string for people ("socket"). Throws std::system_error if
  // the descriptor cannot be watched (a regular file).
  Readiness(EventLoop& loop, Descriptor descriptor, const char* what);
  Readiness(const Readiness&) = delete;
  Readiness& operator=(const Readiness&) = delete;
  ~Readiness() { Close(); }

  EventLoop* loop() const noexcept { return loop_; }  // null once the loop is closed
  int fd() const noexcept { return descriptor_.get(); }
  bool is_open() const noexcept { return descriptor_.is_open(); }

  // co_await gives false if it was closed. One task at a time may wait for each: a
  // second gets UsageError.
  ReadinessAwaiter Readable() noexcept;
  ReadinessAwaiter Writable() noexcept;

  void MarkUnreadable() noexcept { reads_.ready = false; }
  void MarkUnwritable() noexcept { writes_.ready = false; }
  // A read was answered in part: there is no more, unless the peer has ended.
  void NoteShortRead() noexcept {
    if (!ended_) reads_.ready = false;
  }
  bool readable() const noexcept { return reads_.ready; }

  // Ends the watch, closes the descriptor, and wakes who waits.
  void Close() noexcept;
  // The same, but gives the descriptor back.
  Descriptor Release() noexcept;
  // Who waits to read is told that it is closed, the descriptor stays.
  void EndReads() noexcept;
  bool has_reader() const noexcept { return !reads_.waiters.empty(); }

  // Called from OnReady() when the descriptor may be written; must only schedule.
  void (*on_writable)(void* object) noexcept = nullptr;
  // Called after the loop's end has closed the descriptor; `debug`: the loop's mode.
  void (*on_loop_closed)(void* object, bool debug) noexcept = nullptr;
  void* object = nullptr;

  void OnReady(uint32_t events) noexcept override;
  void OnLoopClosed() noexcept override;

 private:
  friend ReadinessAwaiter;
  struct Direction {
    List<Waiter> waiters;  // one at most
    bool ready = true;
  };
  void WakeAll(Direction& direction) noexcept;

  EventLoop* loop_;
  Descriptor descriptor_;
  const char* const what_;
  Direction reads_;
  Direction writes_;
  bool ended_ = false;  // the peer sends no more, or all is over
};

class ReadinessAwaiter final : public Waiter {
 public:
  ReadinessAwaiter(Readiness& readiness, Readiness::Direction& direction) noexcept
      : readiness_(&readiness), direction_(&direction) {}

  bool await_ready(std::source_location here = std::source_location::current()) {
    Begin(here);
    if (!direction_->waiters.empty()) [[unlikely]] {
      RefuseSecond();
    }
    closed_ = !readiness_->is_open();
    return closed_ || direction_->ready;
  }
  template <typename P>
  void await_suspend(std::coroutine_handle<P> handle) {
    direction_->waiters.PushBack(this);
    Suspend(handle, readiness_->what_, readiness_);
  }
  bool await_resume() {
    Resumed();
    return !closed_;
  }

 private:
  friend Readiness;
  [[noreturn]] void RefuseSecond() const;

  Readiness* const readiness_;
  Readiness::Direction* const direction_;
  bool closed_ = false;  // known without the Readiness, which may be gone then
};

inline ReadinessAwaiter Readiness::Readable() noexcept { return {*this, reads_}; }
inline ReadinessAwaiter Readiness::Writable() noexcept { return {*this, writes_}; }

// Gives way to what else is ready, as one busy descriptor must: in time, and
// without being taken for a task that polls.
class GiveWay final : public Waiter {
 public:
  bool await_ready(std::source_location here = std::source_location::current()) noexcept {
    Begin(here);
    return false;
  }
  template <typename P>
  void await_suspend(std::coroutine_handle<P> handle) {
    Suspend(handle, "its turn", nullptr);
    Wake();
  }
  void await_resume() { Resumed(); }
};

}  // namespace loopsan::internal
