// Event: a flag that tasks wait for.
//
//   co_await ready.Wait();       // until somebody calls ready.Set()
//
// As asyncio's: Set() wakes all who wait, also if Clear() follows before they run.
//
// Threads: the loop's on which it was made or first used; else UsageError (always
// on another loop, on other threads in debug mode). Lifetime: it must outlive the
// calls of its waiters. Cancellation: a cancelled task stops waiting.
#pragma once

#include <coroutine>
#include <source_location>

#include "runtime/internal/intrusive.h"
#include "runtime/internal/loop_bound.h"
#include "runtime/internal/waiter.h"

namespace loopsan {

class Event;

namespace internal {

class EventAwaiter final : public Waiter {
 public:
  explicit EventAwaiter(Event& event) noexcept : event_(&event) {}

  bool await_ready(std::source_location here = std::source_location::current());
  template <typename P>
  void await_suspend(std::coroutine_handle<P> handle);
  void await_resume() { Resumed(); }

 private:
  Event* const event_;
};

}  // namespace internal

class Event {
 public:
  Event() = default;
  Event(const Event&) = delete;
  Event& operator=(const Event&) = delete;

  [[nodiscard]] internal::EventAwaiter Wait() noexcept { return internal::EventAwaiter(*this); }

  void Set(std::source_location here = std::source_location::current());
  void Clear(std::source_location here = std::source_location::current());
  bool is_set() const noexcept { return set_; }

 private:
  friend class internal::EventAwaiter;

  internal::LoopBound bound_;
  internal::List<internal::Waiter> waiters_;
  bool set_ = false;
};

namespace internal {

inline bool EventAwaiter::await_ready(std::source_location here) {
  Begin(here);
  event_->bound_.Check("Event::Wait", here);
  return event_->set_;
}

template <typename P>
void EventAwaiter::await_suspend(std::coroutine_handle<P> handle) {
  event_->waiters_.PushBack(this);
  Suspend(handle, "event", event_);
}

}  // namespace internal
}  // namespace loopsan
