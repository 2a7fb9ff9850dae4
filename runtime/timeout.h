// Time limits, as asyncio.timeout() and asyncio.wait_for().
//
//   std::string line = co_await WithTimeout(5s, ReadLine());
//
//   const auto exchange = [&](Timeout& timeout) -> Task<int> {
//     co_await Send();
//     timeout.Reschedule(loop.Now() + 10s);
//     co_return co_await Receive();
//   };
//   int received = co_await WithTimeout(5s, exchange);
//
// When the limit has passed, the task that waits is cancelled at its innermost wait;
// the CancelledError that comes out of the limited part becomes TimeoutError. Only
// that one: if somebody else has cancelled the task too, CancelledError it stays. What
// the part returns or throws in spite of it is passed on. Limits may be nested: each
// ends its own part. Code that waits for nothing is not interrupted.
//
// Name the lambda before the full expression with the co_await: g++ 12 destroys
// what a temporary one has captured by value twice.
//
// Threads: the loop's only. Time runs from when the limit is awaited.
#pragma once

#include <concepts>
#include <cstdint>
#include <optional>
#include <source_location>
#include <type_traits>
#include <utility>

#include "runtime/errors.h"
#include "runtime/event_loop.h"
#include "runtime/internal/awaitable.h"
#include "runtime/internal/timer_heap.h"
#include "runtime/task.h"

namespace loopsan {

namespace internal {
class TimeoutScope;
}  // namespace internal

// The limit of a part of a task. It is the part's for as long as that runs.
class Timeout : private internal::TimerNode {
 public:
  Timeout() = default;
  Timeout(const Timeout&) = delete;
  Timeout& operator=(const Timeout&) = delete;

  // None: no limit.
  std::optional<Time> when() const noexcept { return when_; }
  // The time has passed, and the task was cancelled for it.
  bool expired() const noexcept { return state_ == State::kExpiring || state_ == State::kExpired; }

  // Moves the limit; a time that has passed ends the part at once. Throws
  // UsageError if it has expired, or the part is over.
  void Reschedule(std::optional<Time> when,
                  std::source_location here = std::source_location::current());

 private:
  friend class internal::TimeoutScope;
  enum class State : uint8_t { kCreated, kEntered, kExpiring, kExpired, kExited };

  void Set(std::optional<Time> when);
  void Unset() noexcept;
  static void Expire(internal::TimerNode* node);

  EventLoop* loop_ = nullptr;
  internal::TaskState* task_ = nullptr;
  std::optional<Time> when_;
  uint32_t cancel_requests_before_ = 0;
  State state_ = State::kCreated;
  bool caused_cancellation_ = false;
};

namespace internal {

// The part itself: from the constructor to the destructor.
class TimeoutScope {
 public:
  // Throws UsageError outside of tasks.
  TimeoutScope(Timeout& timeout, std::optional<Time> when);
  TimeoutScope(const TimeoutScope&) = delete;
  TimeoutScope& operator=(const TimeoutScope&) = delete;
  ~TimeoutScope();

  // After the part: a CancelledError that came out of it is this limit's, alone.
  static bool CausedCancellation(const Timeout& timeout) noexcept {
    return timeout.caused_cancellation_;
  }

 private:
  Timeout& timeout_;
};

// A limit as it is given; it becomes a time when the part begins.
struct Limit {
  explicit Limit(std::optional<Duration> the_delay) noexcept : delay(the_delay) {}
  explicit Limit(std::optional<Time> the_when) noexcept : when(the_when) {}
  std::optional<Time> Begin() const {
    return delay ? EventLoop::Running().TimeAfter(*delay) : when;
  }
  // The part shall not even begin.
  bool HasPassed() const { return delay ? *delay <= Duration::zero() : IsPast(when); }
  static bool IsPast(std::optional<Time> when) {
    return when && *when <= EventLoop::Running().Now();
  }

  std::optional<Duration> delay;
  std::optional<Time> when;
};

template <typename R, typename A>
Task<R> AwaitWithin(Limit limit, Kept<A> awaitable) {
  if constexpr (kIsTask<std::remove_cvref_t<A>>) {
    if (awaitable.valid() && limit.HasPassed()) {
      awaitable.Release().destroy();
      throw TimeoutError();
    }
  }
  Timeout timeout;
  try {
    const TimeoutScope scope(timeout, limit.Begin());
    co_return co_await static_cast<A&&>(awaitable);
  } catch (const CancelledError&) {
    if (!TimeoutScope::CausedCancellation(timeout)) throw;
    throw TimeoutError();
  }
}

template <typename T, typename F>
Task<T> RunWithin(Limit limit, F body) {
  Timeout timeout;
  try {
    const TimeoutScope scope(timeout, limit.Begin());
    co_return co_await body(timeout);
  } catch (const CancelledError&) {
    if (!TimeoutScope::CausedCancellation(timeout)) throw;
    throw TimeoutError();
  }
}

// A Task that refers to what is in the expression that made it: it can be
// awaited there, and neither spawned nor kept with others.
template <typename T>
class [[nodiscard("it must be awaited")]] AwaitHere {
 public:
  explicit AwaitHere(Task<T> task) noexcept : task_(std::move(task)) {}
  AwaitHere(const AwaitHere&) = delete;
  AwaitHere& operator=(const AwaitHere&) = delete;
  TaskAwaiter<T> operator co_await() && noexcept { return std::move(task_).operator co_await(); }

 private:
  Task<T> task_;
};

template <typename A>
using Limited = std::conditional_t<std::is_reference_v<Kept<A>>, AwaitHere<AwaitResult<A>>,
                                   Task<AwaitResult<A>>>;

template <typename F>
using TimeoutBodyResult = typename std::invoke_result_t<F&, Timeout&>::value_type;

}  // namespace internal

// Awaits a task, a task handle, a future or another awaitable for at most `limit`
// (none: without limit). The task or future of a handle is cancelled at the limit; a
// Task does not even start if the limit is not positive. Gives a Task; for an
// awaitable that cannot be moved something that must be awaited in the same expression.
template <internal::Awaitable A>
internal::Limited<A> WithTimeout(std::optional<Duration> limit, A&& awaitable) {
  return internal::Limited<A>(internal::AwaitWithin<internal::AwaitResult<A>, A>(
      internal::Limit(limit), std::forward<A>(awaitable)));
}

// Runs `body(timeout)`, which returns a Task; keeps a copy of `body` until it is done.
template <std::invocable<Timeout&> F>
Task<internal::TimeoutBodyResult<std::decay_t<F>>> WithTimeout(std::optional<Duration> limit,
                                                               F&& body) {
  return internal::RunWithin<internal::TimeoutBodyResult<std::decay_t<F>>, std::decay_t<F>>(
      internal::Limit(limit), std::forward<F>(body));
}

// The same with the time at which the limit has passed.
template <internal::Awaitable A>
internal::Limited<A> WithDeadline(std::optional<Time> when, A&& awaitable) {
  return internal::Limited<A>(internal::AwaitWithin<internal::AwaitResult<A>, A>(
      internal::Limit(when), std::forward<A>(awaitable)));
}
template <std::invocable<Timeout&> F>
Task<internal::TimeoutBodyResult<std::decay_t<F>>> WithDeadline(std::optional<Time> when,
                                                                F&& body) {
  return internal::RunWithin<internal::TimeoutBodyResult<std::decay_t<F>>, std::decay_t<F>>(
      internal::Limit(when), std::forward<F>(body));
}

}  // namespace loopsan
