// Task<T>: a coroutine that starts when it is awaited.
//
//   Task<int> Answer() { co_return 42; }
//   Task<> Main() { int answer = co_await Answer(); }
//
// A Task is the coroutine itself, as in Python; Spawn() (runtime/spawn.h) makes
// it run by itself. It is awaited once, as an rvalue: `co_await Answer()` or
// `co_await std::move(task)`. A Task that is destroyed without having been awaited
// never ran at all, and is reported.
//
// Threads: a Task runs on the loop thread that awaits it. An exception that
// leaves the coroutine is thrown from the co_await. Cancellation arrives as
// CancelledError at the innermost wait (runtime/errors.h).
#pragma once

#include <coroutine>
#include <source_location>
#include <utility>

#include "runtime/errors.h"
#include "runtime/internal/foreign.h"
#include "runtime/internal/promise.h"

namespace loopsan {

template <typename T>
class Task;

namespace internal {

// For types as they are deduced: Task<T>& is an lvalue, Task<T> an rvalue.
template <typename A>
inline constexpr bool kIsLvalueTask = false;
template <typename T>
inline constexpr bool kIsLvalueTask<Task<T>&> = true;
template <typename T>
inline constexpr bool kIsLvalueTask<const Task<T>&> = true;

template <typename T>
class TaskPromise final : public PromiseWithResult<T>, private AwaitsAnything {
 public:
  // The default argument names the coroutine, not its caller.
  explicit TaskPromise(std::source_location here = std::source_location::current()) noexcept
      : PromiseWithResult<T>(SiteOf(here)) {}

  Task<T> get_return_object() noexcept;
  FinalAwaiter final_suspend() const noexcept { return {}; }

  template <typename A>
  decltype(auto) await_transform(A&& awaitable) {
    static_assert(!kIsLvalueTask<A>,
                  "a Task is awaited once, as an rvalue: co_await std::move(task)");
    return AwaitsAnything::await_transform(std::forward<A>(awaitable));
  }
};

[[noreturn]] void ThrowAwaitedTwice(Site site);

template <typename T>
class TaskAwaiter : public NativeAwaiter {
 public:
  using Handle = std::coroutine_handle<TaskPromise<T>>;

  explicit TaskAwaiter(Handle handle) noexcept : handle_(handle) {}
  TaskAwaiter(TaskAwaiter&& other) noexcept : handle_(std::exchange(other.handle_, nullptr)) {}
  ~TaskAwaiter() {
    if (handle_) handle_.destroy();
  }

  bool await_ready(std::source_location here = std::source_location::current()) {
    site_ = SiteOf(here);
    if (!handle_) [[unlikely]] {
      ThrowAwaitedTwice(site_);
    }
    return false;
  }

  template <typename P>
  std::coroutine_handle<> await_suspend(std::coroutine_handle<P> parent) noexcept {
    PromiseBase& child = handle_.promise();
    child.started = true;
    child.continuation = parent;
    if constexpr (TracedPromise<P>) {
      PushFrame(parent.promise().frame, child.frame, site_, parent.address());
    }
    return Transfer(handle_);
  }

  T await_resume() { return handle_.promise().result.Take(); }

 private:
  Handle handle_;
  Site site_ = nullptr;
};

}  // namespace internal

template <typename T = void>
class [[nodiscard("a Task runs only when it is awaited or spawned")]] Task {
 public:
  using promise_type = internal::TaskPromise<T>;
  using value_type = T;

  Task(Task&& other) noexcept : handle_(std::exchange(other.handle_, nullptr)) {}
  Task& operator=(Task&& other) noexcept {
    if (this != &other) {
      Drop();
      handle_ = std::exchange(other.handle_, nullptr);
    }
    return *this;
  }
  ~Task() { Drop(); }

  // False once it has been awaited, spawned or moved from.
  bool valid() const noexcept { return static_cast<bool>(handle_); }

  internal::TaskAwaiter<T> operator co_await() && noexcept {
    return internal::TaskAwaiter<T>(std::exchange(handle_, nullptr));
  }

  // For Spawn(): the coroutine, which is the caller's from now on.
  std::coroutine_handle<promise_type> Release() noexcept { return std::exchange(handle_, nullptr); }

 private:
  friend promise_type;
  explicit Task(std::coroutine_handle<promise_type> handle) noexcept : handle_(handle) {}

  void Drop() noexcept {
    if (handle_) [[unlikely]] {
      DropUnawaited();
    }
  }
  // Not in line: it would be in each co_await.
  [[gnu::noinline, gnu::cold]] void DropUnawaited() noexcept {
    internal::ReportNeverAwaited(handle_.promise().frame.defined_at, handle_.promise().creation);
    handle_.destroy();
  }

  std::coroutine_handle<promise_type> handle_;
};

template <typename T>
Task<T> internal::TaskPromise<T>::get_return_object() noexcept {
  return Task<T>(std::coroutine_handle<TaskPromise>::from_promise(*this));
}

}  // namespace loopsan
