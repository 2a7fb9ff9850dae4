// AsyncGenerator<T>: a coroutine that yields any number of items, and may wait
// in between. Python's `async for`.
//
//   AsyncGenerator<int> Numbers(int count) {
//     for (int i = 0; i < count; ++i) {
//       co_await SleepFor(1s);
//       co_yield i;
//     }
//   }
//
//   AsyncGenerator<int> numbers = Numbers(3);
//   while (const int* number = co_await numbers.Next()) Use(*number);
//
//   co_await ForEach(Numbers(3), [&](int number) { Use(number); });   // the same
//
// Runs only inside Next(), in the task that calls it; one task at a time. An item
// is good until the next call; the caller may move it out. What the generator
// throws comes out of Next(), and is its end; after its end Next() gives null.
//
// Close() ends it early: its co_yield throws GeneratorExit, so that its clean-up
// runs and may wait. A generator that is destroyed before its end is only
// destroyed: destructors run, but nothing in it can wait any more. What is still open
// when its loop is closed is closed then, as Close() does.
//
// Threads: the loop's on which Next() was first called; else UsageError. Lifetime:
// parameters of the coroutine that are references must outlive it. Cancellation:
// arrives at what the generator waits for, as in any coroutine.
#pragma once

#include <concepts>
#include <coroutine>
#include <exception>
#include <memory>
#include <optional>
#include <source_location>
#include <type_traits>
#include <utility>

#include "runtime/errors.h"
#include "runtime/internal/foreign.h"
#include "runtime/internal/intrusive.h"
#include "runtime/internal/loop_bound.h"
#include "runtime/internal/promise.h"
#include "runtime/task.h"

namespace loopsan {

// Thrown from a co_yield of a generator that is being closed. Not derived from
// std::exception, so that clean-up code does not take it for an error. May be
// caught for clean-up; yielding again after it is an error.
class GeneratorExit {
 public:
  const char* what() const noexcept { return "the generator is being closed"; }
};

template <typename T>
class AsyncGenerator;

namespace internal {

// Everything but the item.
class GeneratorPromiseBase : public PromiseBase, public ListNode {
 public:
  enum class State : uint8_t { kNew, kRunning, kYielded, kDone };

  explicit GeneratorPromiseBase(Site defined_at) noexcept : PromiseBase(defined_at) {}

  // Before the generator runs: true if it has ended. Throws UsageError if somebody
  // is in it, or it belongs to another loop.
  bool BeginNext(const char* what, Site site);
  // The consumer is at `site`.
  template <typename P>
  std::coroutine_handle<> Enter(std::coroutine_handle<> generator,
                                std::coroutine_handle<P> consumer, Site site) noexcept {
    state = State::kRunning;
    continuation = consumer;
    if constexpr (TracedPromise<P>) {
      PushFrame(consumer.promise().frame, frame, site, consumer.address());
    }
    return Transfer(generator);
  }
  std::coroutine_handle<> Leave(State next) noexcept {
    state = next;
    if (next == State::kDone) Unlink();
    PopFrame(frame);
    frame.parent = nullptr;
    return Transfer(std::exchange(continuation, nullptr));
  }
  void RethrowError() {
    if (error) std::rethrow_exception(std::exchange(error, nullptr));
  }

  void return_void() noexcept {}
  void unhandled_exception() noexcept { error = std::current_exception(); }

  State state = State::kNew;
  bool closing = false;
  std::exception_ptr error;
  std::coroutine_handle<> self;

 private:
  LoopBound bound_;
};

struct GeneratorFinalAwaiter {
  bool await_ready() const noexcept { return false; }
  template <typename P>
  std::coroutine_handle<> await_suspend(std::coroutine_handle<P> handle) const noexcept {
    return handle.promise().Leave(GeneratorPromiseBase::State::kDone);
  }
  void await_resume() const noexcept {}
};

class YieldItemAwaiterBase {
 public:
  explicit YieldItemAwaiterBase(GeneratorPromiseBase& promise) noexcept : promise_(promise) {}
  bool await_ready() const noexcept { return false; }
  void await_resume() const {
    if (promise_.closing) throw GeneratorExit();
  }

 protected:
  GeneratorPromiseBase& promise_;
};

template <typename T>
class GeneratorPromise final : public GeneratorPromiseBase, public AwaitsAnything {
 public:
  explicit GeneratorPromise(std::source_location here = std::source_location::current()) noexcept
      : GeneratorPromiseBase(SiteOf(here)) {}

  AsyncGenerator<T> get_return_object() noexcept;
  GeneratorFinalAwaiter final_suspend() const noexcept { return {}; }

  class YieldAwaiter final : public YieldItemAwaiterBase {
   public:
    YieldAwaiter(GeneratorPromise& promise, T* item) noexcept : YieldItemAwaiterBase(promise) {
      promise.item = item;
    }
    std::coroutine_handle<> await_suspend(std::coroutine_handle<>) const noexcept {
      return promise_.Leave(State::kYielded);
    }
  };
  // Keeps a copy, so that the consumer cannot move out what the generator still has.
  class YieldCopyAwaiter final : public YieldItemAwaiterBase {
   public:
    YieldCopyAwaiter(GeneratorPromise& promise, const T& item)
        : YieldItemAwaiterBase(promise), item_(item) {}
    std::coroutine_handle<> await_suspend(std::coroutine_handle<>) noexcept {
      static_cast<GeneratorPromise&>(promise_).item = std::addressof(item_);
      return promise_.Leave(State::kYielded);
    }

   private:
    T item_;
  };

  YieldAwaiter yield_value(T&& value) noexcept {
    return YieldAwaiter(*this, std::addressof(value));
  }
  YieldCopyAwaiter yield_value(const T& value)
    requires std::copy_constructible<T>
  {
    return YieldCopyAwaiter(*this, value);
  }

  T* item = nullptr;
};

template <typename T>
class NextItemAwaiter : public NativeAwaiter {
 public:
  using Promise = GeneratorPromise<T>;
  explicit NextItemAwaiter(std::coroutine_handle<Promise> handle) noexcept : handle_(handle) {}

  bool await_ready(std::source_location here = std::source_location::current()) {
    site_ = SiteOf(here);
    if (!handle_) return true;
    handle_.promise().item = nullptr;
    return handle_.promise().BeginNext("AsyncGenerator::Next", site_);
  }
  template <typename P>
  std::coroutine_handle<> await_suspend(std::coroutine_handle<P> consumer) noexcept {
    return handle_.promise().Enter(handle_, consumer, site_);
  }
  T* await_resume() {
    if (!handle_) return nullptr;
    Promise& promise = handle_.promise();
    if (promise.state == GeneratorPromiseBase::State::kYielded) return promise.item;
    promise.RethrowError();
    return nullptr;
  }

 private:
  const std::coroutine_handle<Promise> handle_;
  Site site_ = nullptr;
};

// Closes a generator; knows nothing of its items.
class CloseAwaiter : public NativeAwaiter {
 public:
  explicit CloseAwaiter(GeneratorPromiseBase* promise) noexcept : promise_(promise) {}

  bool await_ready(std::source_location here = std::source_location::current());
  template <typename P>
  std::coroutine_handle<> await_suspend(std::coroutine_handle<P> closer) noexcept {
    return promise_->Enter(promise_->self, closer, site_);
  }
  void await_resume();

 private:
  GeneratorPromiseBase* const promise_;
  Site site_ = nullptr;
};

template <typename R>
inline constexpr bool kIsTaskOf = false;
template <typename R>
inline constexpr bool kIsTaskOf<Task<R>> = true;

}  // namespace internal

template <typename T>
class [[nodiscard("a generator runs only in Next()")]] AsyncGenerator {
  static_assert(std::is_object_v<T> && !std::is_const_v<T>, "yield values; use T* for references");

 public:
  using promise_type = internal::GeneratorPromise<T>;
  using value_type = T;

  AsyncGenerator(AsyncGenerator&& other) noexcept
      : handle_(std::exchange(other.handle_, nullptr)) {}
  AsyncGenerator& operator=(AsyncGenerator&& other) noexcept {
    if (this != &other) {
      if (handle_) handle_.destroy();
      handle_ = std::exchange(other.handle_, nullptr);
    }
    return *this;
  }
  ~AsyncGenerator() {
    if (handle_) handle_.destroy();
  }

  // `co_await` gives the next item, or null at the end. Throws what the generator
  // throws; UsageError if another task is in it.
  [[nodiscard]] internal::NextItemAwaiter<T> Next() noexcept {
    return internal::NextItemAwaiter<T>(handle_);
  }

  // To be awaited. Throws what the clean-up throws; UsageError if the generator
  // yields again, or another task is in it. Does nothing if it has ended.
  [[nodiscard]] internal::CloseAwaiter Close() noexcept {
    return internal::CloseAwaiter(handle_ ? &handle_.promise() : nullptr);
  }

  // It has ended, or was moved from.
  bool done() const noexcept {
    return !handle_ || handle_.promise().state == internal::GeneratorPromiseBase::State::kDone;
  }

 private:
  friend promise_type;
  explicit AsyncGenerator(std::coroutine_handle<promise_type> handle) noexcept : handle_(handle) {}

  std::coroutine_handle<promise_type> handle_;
};

template <typename T>
AsyncGenerator<T> internal::GeneratorPromise<T>::get_return_object() noexcept {
  const auto handle = std::coroutine_handle<GeneratorPromise>::from_promise(*this);
  self = handle;
  return AsyncGenerator<T>(handle);
}

// Calls `function(item)` for each item. The function returns nothing, or a bool,
// where false ends the loop, or a Task of either. Leaves the generator open where it is.
template <typename T, typename F>
Task<> ForEach(AsyncGenerator<T>& generator, F function) {
  while (T* const item = co_await generator.Next()) {
    using Result = std::invoke_result_t<F&, T&>;
    if constexpr (std::is_same_v<Result, Task<bool>>) {
      const bool go_on = co_await function(*item);
      if (!go_on) break;
    } else if constexpr (internal::kIsTaskOf<Result>) {
      co_await function(*item);
    } else if constexpr (std::is_same_v<Result, bool>) {
      if (!function(*item)) break;
    } else {
      function(*item);
    }
  }
}

namespace internal {

template <typename T, typename F>
Task<> ForEachAndClose(AsyncGenerator<T> generator, F function) {
  std::exception_ptr error;
  try {
    co_await ForEach(generator, std::move(function));
  } catch (...) {
    error = std::current_exception();
  }
  co_await generator.Close();
  if (error) std::rethrow_exception(error);
}

}  // namespace internal

// The same, and closes the generator at the end, however that comes.
template <typename T, typename F>
Task<> ForEach(AsyncGenerator<T>&& generator, F function) {
  return internal::ForEachAndClose(std::move(generator), std::move(function));
}

}  // namespace loopsan
