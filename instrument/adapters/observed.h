// Observed<Promise>: makes the coroutines of another library, or of your own, tell
// loopsan what they do. Under `loopsan run`, in a program with a preloaded probe or with
// loopsan::debug, reports then name the task, every co_await that led to a slow or blocking
// line, and coroutines that were never awaited.
//
//   struct Task {
//     struct Promise { ... };                           // as it was
//     using promise_type = loopsan::Observed<Promise>;  // the one line
//
// and for a type that cannot be changed, before the first coroutine that returns it:
//
//   template <typename T, typename... Args>
//   struct std::coroutine_traits<library::task<T>, Args...> {
//     using promise_type = loopsan::Observed<typename library::task<T>::promise_type>;
//   };
//
// What it wraps: initial_suspend, final_suspend, await_transform, yield_value,
// unhandled_exception and get_return_object of the promise, and the awaiters' three
// functions. Awaiters get a std::coroutine_handle<Promise>, as without it. The promise stays
// at its place in the frame, so a handle made from a reference to it is right; it may
// be final, but then its own operator new is not used.
//
// Steps: from where a coroutine runs to where it suspends, one step if it is handed on by
// symmetric transfer (returned from await_suspend) among observed coroutines. They are
// told on threads that are known to run an event loop: one that waits with epoll, or on
// which an ObservedLoop lives. On other threads (a pool for blocking work) nobody is
// accused, and what a loop runs outside of coroutines is judged as ever.
//
// Who awaits whom: known if what is awaited is an object of a type that such a coroutine
// returned, that cannot be copied and is nothing but one pointer (most libraries' tasks
// are), or if ObservedCoroutine is specialized for it. Else the chain begins anew there.
//
// Threads: as the library's. A coroutine may go from thread to thread while it is suspended.
// One that is destroyed while it awaits another must not do so at the very moment in
// which that one ends on another thread.
//
// Cost: 88 bytes in the frame and 16 in each awaiter; a branch at each of these places while
// nobody watches.
#pragma once

#include <concepts>
#include <coroutine>
#include <source_location>
#include <type_traits>
#include <utility>

#include "instrument/adapters/internal/observed_awaiter.h"
#include "instrument/adapters/internal/observed_frame.h"
#include "instrument/adapters/internal/observed_promise.h"

namespace loopsan {

// For task types that are more than one pointer:
//
//   template <> struct loopsan::ObservedCoroutine<MyTask> {
//     static std::coroutine_handle<MyTask::promise_type> In(const MyTask& task) noexcept;
//   };
//
// The handle may be null.
template <typename Awaitable>
struct ObservedCoroutine;

// This thread runs an event loop while it lives: for loops that wait without epoll, and for
// pools that share one. `name` stays.
class ObservedLoop {
 public:
  explicit ObservedLoop(const char* name = nullptr) noexcept {
    const loopsan_annotations* const annotations = observed::Annotations();
    if (annotations == nullptr || annotations->this_loop() != nullptr) return;
    loopsan_loop& loop = observed::t_thread.loop;
    loop.name = name;
    loop.kind = "coroutines";
    loop.flags = LOOPSAN_LOOP_PARTIAL;
    began_ = annotations->loop_begin(&loop) != 0;
  }
  ObservedLoop(const ObservedLoop&) = delete;
  ObservedLoop& operator=(const ObservedLoop&) = delete;
  ~ObservedLoop() {
    if (began_) observed::Annotations()->loop_end(&observed::t_thread.loop);
  }

 private:
  bool began_ = false;
};

template <typename Promise>
class Observed : public observed::PromiseHolder<Promise>, public observed::CoroutineRecord {
  // What the addresses of promises in frames rest on.
  static_assert(alignof(Promise) <= 2 * sizeof(void*), "over-aligned promises are not supported");

 public:
  using observed::PromiseHolder<Promise>::PromiseHolder;

  ~Observed() {
    if (is_watched() && !started) [[unlikely]] {
      observed::ReportNeverAwaited(*this);
    }
  }

  // Always inline: the addresses are to be those of the coroutine function and its caller.
  [[gnu::always_inline]] inline auto get_return_object(
      std::source_location here = std::source_location::current()) {
    using Object = decltype(this->promise().get_return_object());
    if (observed::Annotations() != nullptr) [[unlikely]] {
      Watch(std::coroutine_handle<Promise>::from_promise(this->promise()).address(),
            observed::SourceOf(here), observed::ThisAddress(), __builtin_return_address(0));
      if constexpr (observed::kIsOnePointer<Object>) {
        Object object = this->promise().get_return_object();
        observed::Learn(object, static_cast<CoroutineRecord&>(*this), &this->promise());
        return object;
      }
    }
    return this->promise().get_return_object();
  }

  auto initial_suspend() {
    const auto make = [this]() -> decltype(auto) { return this->promise().initial_suspend(); };
    return observed::InitialAwaiter<Promise, decltype(make())>(*this, make);
  }

  auto final_suspend() noexcept {
    const auto make = [this]() -> decltype(auto) { return this->promise().final_suspend(); };
    return observed::FinalAwaiter<Promise, decltype(make())>(*this, make);
  }

  void unhandled_exception() noexcept(noexcept(std::declval<Promise&>().unhandled_exception())) {
    // If it throws, the coroutine has ended without final_suspend.
    observed::OnThrow thrown([this] {
      if (!is_watched()) return;
      Unlink();
      observed::Hide(*this);
      observed::Leave();
    });
    this->promise().unhandled_exception();
    thrown.Disarm();
  }

  template <typename Awaitable>
  auto await_transform(Awaitable&& awaitable,
                       std::source_location here = std::source_location::current()) {
    CoroutineRecord* const child = is_watched() ? Child(std::as_const(awaitable)) : nullptr;
    const auto make = [&]() -> decltype(auto) {
      return Transform(std::forward<Awaitable>(awaitable), here);
    };
    return observed::ObservedAwaiter<Promise, decltype(make())>(child, observed::SourceOf(here),
                                                                make);
  }

  template <typename Value>
    requires requires(Promise& inner, Value&& value) {
      inner.yield_value(std::forward<Value>(value));
    }
  auto yield_value(Value&& value, std::source_location here = std::source_location::current()) {
    const auto make = [&]() -> decltype(auto) {
      return this->promise().yield_value(std::forward<Value>(value));
    };
    return observed::ObservedAwaiter<Promise, decltype(make())>(nullptr, observed::SourceOf(here),
                                                                make);
  }

 private:
  template <typename Awaitable>
  static CoroutineRecord* Child(const Awaitable& awaitable) noexcept {
    if constexpr (requires { ObservedCoroutine<Awaitable>::In(awaitable); }) {
      const auto handle = ObservedCoroutine<Awaitable>::In(awaitable);
      return handle ? &static_cast<CoroutineRecord&>(handle.promise()) : nullptr;
    } else {
      return observed::CoroutineIn(awaitable);
    }
  }

  // As the promise does it. A promise that notes places itself is given the true one.
  template <typename Awaitable>
  decltype(auto) Transform(Awaitable&& awaitable, [[maybe_unused]] std::source_location here) {
    Promise& inner = this->promise();
    if constexpr (requires { inner.await_transform(std::forward<Awaitable>(awaitable), here); }) {
      return inner.await_transform(std::forward<Awaitable>(awaitable), here);
    } else if constexpr (requires {
                           // Asio, while it tracks handlers.
                           inner.await_transform(std::forward<Awaitable>(awaitable), 0, here);
                         }) {
      return inner.await_transform(std::forward<Awaitable>(awaitable), 0, here);
    } else if constexpr (observed::kHasAwaitTransform<Promise> ||
                         requires { inner.await_transform(std::forward<Awaitable>(awaitable)); }) {
      return inner.await_transform(std::forward<Awaitable>(awaitable));
    } else {
      return static_cast<Awaitable&&>(awaitable);
    }
  }
};

}  // namespace loopsan
