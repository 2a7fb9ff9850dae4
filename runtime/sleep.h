// Waiting for time to pass.
//
// Cancellation: SleepFor() and SleepUntil() end at once, their timer is gone; a
// cancelled task throws from Yield() when its turn comes. Threads: the loop's.
#pragma once

#include <source_location>

#include "runtime/event_loop.h"
#include "runtime/internal/waiter.h"

namespace loopsan {

namespace internal {

class SleepAwaiter final : public Waiter, private TimerNode {
 public:
  explicit SleepAwaiter(Time until, bool at_once = false) noexcept : at_once_(at_once) {
    deadline = until;
  }
  ~SleepAwaiter();

  bool await_ready(std::source_location here = std::source_location::current()) noexcept {
    Begin(here);
    return false;
  }
  template <typename P>
  void await_suspend(std::coroutine_handle<P> handle) {
    Start();
    Suspend(handle, "sleep", nullptr);
  }
  void await_resume() { Resumed(); }

  bool OnCancel() noexcept override;

 private:
  void Start();
  void StopTimer() noexcept;

  const bool at_once_;  // it only takes turns
};

class YieldAwaiter final : public Waiter {
 public:
  bool await_ready(std::source_location here = std::source_location::current()) noexcept {
    Begin(here);
    return false;
  }
  template <typename P>
  void await_suspend(std::coroutine_handle<P> handle) {
    Suspend(handle, "its turn", nullptr);
    YieldNow();
  }
  void await_resume() { Resumed(); }

 private:
  void YieldNow() noexcept;
};

}  // namespace internal

// At least this long; not at all (but for one turn) if it is not positive.
inline internal::SleepAwaiter SleepFor(Duration duration) {
  return internal::SleepAwaiter(EventLoop::Running().TimeAfter(duration),
                                duration <= Duration::zero());
}
inline internal::SleepAwaiter SleepUntil(Time time) noexcept {
  return internal::SleepAwaiter(time);
}

// Lets everything else that is ready run first.
inline internal::YieldAwaiter Yield() noexcept { return {}; }

}  // namespace loopsan
