// Awaiting what other libraries made: an awaiter that knows nothing of loops and
// resumes the coroutine when, and where, it likes.
//
// It gets the handle of a small coroutine in place of ours. When that is resumed, on
// whatever thread, the task is made ready on its own loop; a second time is reported and has no
// effect. Debug mode reports a resume from another thread, too: it works, but
// the other library did not know that it had to come back.
//
// Cancellation: such a wait cannot be ended from outside; the task throws when it is over.
#pragma once

#include <atomic>
#include <coroutine>
#include <memory>
#include <source_location>
#include <type_traits>
#include <utility>

#include "runtime/internal/promise.h"
#include "runtime/internal/waiter.h"

namespace loopsan::internal {

template <typename A>
decltype(auto) AwaiterOf(A&& awaitable) {
  if constexpr (requires { std::forward<A>(awaitable).operator co_await(); }) {
    return std::forward<A>(awaitable).operator co_await();
  } else if constexpr (requires { operator co_await(std::forward<A>(awaitable)); }) {
    return operator co_await(std::forward<A>(awaitable));
  } else {
    return std::forward<A>(awaitable);
  }
}

template <typename A>
concept NativeAwaiterType = std::derived_from<std::remove_cvref_t<A>, Waiter> ||
                            std::derived_from<std::remove_cvref_t<A>, NativeAwaiter>;

template <typename A>
concept NativeAwaitable = NativeAwaiterType<decltype(AwaiterOf(std::declval<A>()))>;

// Stands for an awaiter that stays where it is: g++ 12 would copy one that
// await_transform returns by reference.
template <typename W>
class BorrowedAwaiter {
 public:
  explicit BorrowedAwaiter(W& awaiter) noexcept : awaiter_(&awaiter) {}

  bool await_ready(std::source_location here = std::source_location::current()) {
    if constexpr (requires { awaiter_->await_ready(here); }) {
      return awaiter_->await_ready(here);
    } else {
      return awaiter_->await_ready();
    }
  }
  template <typename P>
  decltype(auto) await_suspend(std::coroutine_handle<P> handle) {
    return awaiter_->await_suspend(handle);
  }
  decltype(auto) await_resume() { return awaiter_->await_resume(); }

 private:
  W* awaiter_;
};

class ForeignWaiter;

// Shared by the wait and by whoever may still resume it.
struct ForeignTicket {
  std::atomic<bool> resumed{false};
  ForeignWaiter* waiter = nullptr;  // the loop's thread only; null once the wait is over
  class ::loopsan::EventLoop* loop = nullptr;
  Site site = nullptr;
  bool debug = false;

  void OnResume(const std::shared_ptr<ForeignTicket>& self) noexcept;
};

// The coroutine that is resumed in place of the task's.
class Resumer {
 public:
  struct promise_type {
    Resumer get_return_object() noexcept {
      return Resumer(std::coroutine_handle<promise_type>::from_promise(*this));
    }
    std::suspend_always initial_suspend() const noexcept { return {}; }
    std::suspend_always final_suspend() const noexcept { return {}; }
    void return_void() const noexcept {}
    void unhandled_exception() const noexcept {}
  };

  static Resumer Make(std::shared_ptr<ForeignTicket> ticket);

  explicit Resumer(std::coroutine_handle<> handle) noexcept : handle_(handle) {}
  Resumer(Resumer&& other) noexcept : handle_(std::exchange(other.handle_, nullptr)) {}
  Resumer& operator=(Resumer other) noexcept {
    std::swap(handle_, other.handle_);
    return *this;
  }
  ~Resumer() {
    if (handle_) handle_.destroy();
  }
  std::coroutine_handle<> handle() const noexcept { return handle_; }

 private:
  std::coroutine_handle<> handle_;
};

// Keeps the last few in debug mode, so that one that is resumed too late is
// still there to say so.
void Retire(Resumer resumer) noexcept;

class ForeignWaiter : public Waiter {
 public:
  bool OnCancel() noexcept override { return false; }

 protected:
  ForeignWaiter() = default;
  ~ForeignWaiter();
  std::coroutine_handle<> Prepare();

 private:
  std::shared_ptr<ForeignTicket> ticket_;
  Resumer resumer_{nullptr};
};

template <typename A>
class ForeignAwaiter final : public ForeignWaiter {
 public:
  explicit ForeignAwaiter(A&& awaitable) : awaiter_(AwaiterOf(std::forward<A>(awaitable))) {}

  bool await_ready(std::source_location here = std::source_location::current()) {
    Begin(here);
    return static_cast<bool>(awaiter_.await_ready());
  }

  template <typename P>
  std::coroutine_handle<> await_suspend(std::coroutine_handle<P> handle) {
    const std::coroutine_handle<> resumer = Prepare();
    Suspend(handle, "something of another library", nullptr);
    using Result = decltype(awaiter_.await_suspend(resumer));
    if constexpr (std::is_void_v<Result>) {
      awaiter_.await_suspend(resumer);
    } else if constexpr (std::is_same_v<Result, bool>) {
      if (!awaiter_.await_suspend(resumer)) Wake();
    } else {
      return awaiter_.await_suspend(resumer);
    }
    return std::noop_coroutine();
  }

  decltype(auto) await_resume() {
    Resumed();
    return awaiter_.await_resume();
  }

 private:
  decltype(AwaiterOf(std::declval<A>())) awaiter_;
};

// Base of promises whose coroutines may await anything.
struct AwaitsAnything {
  template <typename A>
  decltype(auto) await_transform(A&& awaitable) {
    if constexpr (NativeAwaiterType<A>) {
      return BorrowedAwaiter<std::remove_reference_t<A>>(awaitable);
    } else if constexpr (NativeAwaitable<A>) {
      return AwaiterOf(std::forward<A>(awaitable));
    } else {
      return ForeignAwaiter<A>(std::forward<A>(awaitable));
    }
  }
};

}  // namespace loopsan::internal
