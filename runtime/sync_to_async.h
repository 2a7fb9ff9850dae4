// SyncToAsync(): calls functions that block from async code, on a thread where they
// may block.
//
//   User LoadUser(int id);                                 // blocks
//   constexpr auto LoadUserAsync = SyncToAsync<&LoadUser>();
//   ...
//   User user = co_await LoadUserAsync(7);
//
//   const auto count = SyncToAsync([&] { return table.Count(); });    // a lambda
//   const auto load = SyncToAsync(&Database::Load);                   // a member function
//   Row row = co_await load(&database, key);
//
// (g++ 12 miscompiles a lambda with captures inside the co_await expression: wrap
// it first, as here.)
//
// Arguments are taken by value, as std::thread takes them, and moved into the function: nothing
// dangles; std::ref() passes a reference. The wrapper can be copied and called as often as you
// like, from any loop. A function that returns a Task is refused by the compiler.
//
// Where it runs. Code is thread-sensitive unless it says otherwise: all of it that
// belongs together runs on one thread, one function at a time. In this order:
//  1. the thread that waits in AsyncToSync() for the code that makes the call, the
//     innermost if there are several;
//  2. the thread of the ThreadSensitiveContext (runtime/thread_sensitive_context.h);
//  3. the thread that waits in AsyncToSync() for the loop itself;
//  4. one thread for the whole process.
// With `thread_sensitive` false it runs on `executor`, or on the loop's default executor.
// A call that could only ever run on the thread that waits for it throws DeadlockError.
//
// Context variables (runtime/context.h) go in, and what the function changed comes back.
// Exceptions come out of the co_await.
//
// Cancellation: a function that has not begun will not run. One that runs is never
// abandoned: the co_await ends when the function has ended. Meanwhile the request goes to the
// async code that the function waits for in AsyncToSync(), now or later; what becomes
// of that (it may shield itself) decides. If there is none, the co_await throws
// CancelledError after the function's end; its result is dropped, an exception goes to the
// loop's exception handler.
//
// A full executor is waited for. Threads: the wrapper any; a call runs on the loop
// that awaits it. In debug mode a function that waited longer for a thread than the loop's
// slow_step() is reported, and so are deadlocks (docs/bridge.md).
#pragma once

#include <atomic>
#include <bit>
#include <concepts>
#include <coroutine>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <source_location>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>

#include "runtime/context.h"
#include "runtime/event_loop.h"
#include "runtime/executor.h"
#include "runtime/internal/deadlock_watch.h"
#include "runtime/internal/done_hook.h"
#include "runtime/internal/waiter.h"
#include "runtime/task.h"

namespace loopsan {

struct SyncToAsyncOptions {
  bool thread_sensitive = true;
  // Only with thread_sensitive = false. Lives until its functions have ended.
  Executor* executor = nullptr;
  // The function runs in this context, and changes it, instead of the caller's. Must live, and be
  // left alone by others, until its functions have ended.
  Context* context = nullptr;
  // Of the function, for reports; a string that stays.
  const char* name = nullptr;
};

namespace internal {

class SyncCallAwaiter;

// One call on its way to a thread and back. Shared by both sides.
class SyncCall : public std::enable_shared_from_this<SyncCall> {
 public:
  SyncCall(const SyncCall&) = delete;
  SyncCall& operator=(const SyncCall&) = delete;

  // The loop's thread: sends the function to its executor. False if that is full.
  bool Start(Site called_at);
  Executor& executor() const noexcept { return *executor_; }

  // The function waits for this task of the loop; null: no longer. The loop's thread.
  void SetInner(TaskState* inner) noexcept;
  TaskState* inner() const noexcept { return inner_; }

  // The thread that runs the function.
  const LoopHandle& loop() const noexcept { return *handle_; }
  // Of the function, for the watch; 0: it is not watched.
  uint64_t watch_id() const noexcept { return watch_.id(); }

 protected:
  explicit SyncCall(const SyncToAsyncOptions& options) noexcept : options_(options) {}
  ~SyncCall() = default;

  // Calls the function and keeps its result, or what it threw.
  virtual void Invoke() noexcept = 0;
  // It will not be called.
  virtual void DropFunction() noexcept = 0;
  virtual const std::exception_ptr& error() const noexcept = 0;

 private:
  friend class SyncCallAwaiter;
  enum class State : uint8_t { kQueued, kRunning, kDropped };

  // On the executor's thread.
  void Run() noexcept;
  void EnterContext();
  void LeaveContext();

  // The loop's.
  bool SubmitTo(const std::shared_ptr<class WaitingThread>& nearest, std::function<void()>& job);
  void NoteQueued();
  bool Drop() noexcept;
  void OnEnd() noexcept;
  void TakeContext();
  void TellLostError();

  const SyncToAsyncOptions options_;
  Site called_at_ = nullptr;
  EventLoop* loop_ = nullptr;
  std::optional<LoopHandle> handle_;
  Executor* executor_ = nullptr;
  std::shared_ptr<Executor> keep_;  // the executor, if it is shared
  std::atomic<State> state_{State::kQueued};
  Context before_;                              // what the function began with
  Context context_;                             // its own
  std::optional<Clock::time_point> submitted_;  // if the delay is of interest
  Duration delay_{};
  std::string executor_name_;  // in debug mode
  WatchedCall watch_;
  // The loop's thread only.
  SyncCallAwaiter* waiter_ = nullptr;
  TaskState* inner_ = nullptr;
  bool ended_ = false;
};

// The task that waits for a call.
class SyncCallAwaiter final : public Waiter {
 public:
  explicit SyncCallAwaiter(SyncCall& call) noexcept : call_(call) {}
  ~SyncCallAwaiter() { call_.waiter_ = nullptr; }

  bool await_ready() {
    Begin(std::bit_cast<std::source_location>(call_.called_at_));  // the caller's co_await
    return call_.ended_;
  }
  template <typename P>
  void await_suspend(std::coroutine_handle<P> handle) {
    call_.waiter_ = this;
    Suspend(handle, "function", &call_);
  }
  void await_resume();

  bool OnCancel() noexcept override;
  TaskState* AwaitedTask() const noexcept override { return call_.inner_; }

 private:
  SyncCall& call_;
};

template <typename R>
class SyncCallResult : public SyncCall {
 public:
  using SyncCall::SyncCall;
  ResultSlot<R> result;

 protected:
  ~SyncCallResult() = default;
  const std::exception_ptr& error() const noexcept override { return result.error(); }
};

template <typename R, typename F, typename... Arguments>
class SyncCallOf final : public SyncCallResult<R> {
 public:
  template <typename G, typename... Given>
  SyncCallOf(const SyncToAsyncOptions& options, G&& function, Given&&... arguments)
      : SyncCallResult<R>(options),
        parts_(std::in_place, std::forward<G>(function), std::forward<Given>(arguments)...) {}

 private:
  void Invoke() noexcept override {
    try {
      const auto call = [](F& function, Arguments&... arguments) -> R {
        return std::invoke(std::move(function), std::move(arguments)...);
      };
      if constexpr (std::is_void_v<R>) {
        std::apply(call, *parts_);
        this->result.Set();
      } else {
        this->result.Set(std::apply(call, *parts_));
      }
    } catch (...) {
      this->result.SetError(std::current_exception());
    }
    parts_.reset();
  }
  void DropFunction() noexcept override { parts_.reset(); }

  std::optional<std::tuple<F, Arguments...>> parts_;
};

template <typename R>
Task<R> CallOnThread(std::shared_ptr<SyncCallResult<R>> call) {
  const Site called_at = CallerSite();
  while (!call->Start(called_at)) co_await WaitForRoom(call->executor());
  SyncCallAwaiter wait(*call);
  co_await wait;
  // The executor's thread keeps no part in the error: it must not be the one that destroys it.
  if (call->result.has_error()) std::rethrow_exception(call->result.TakeError());
  co_return call->result.Take();
}

// What a function pointer's call gives; void for what is none.
template <typename F>
struct DeclaredResult {
  using type = void;
};
template <typename R, typename... A>
struct DeclaredResult<R (*)(A...)> {
  using type = R;
};
template <typename R, typename... A>
struct DeclaredResult<R (*)(A...) noexcept> {
  using type = R;
};
template <typename R, typename C, typename... A>
struct DeclaredResult<R (C::*)(A...)> {
  using type = R;
};
template <typename R, typename C, typename... A>
struct DeclaredResult<R (C::*)(A...) const> {
  using type = R;
};
template <typename R, typename C, typename... A>
struct DeclaredResult<R (C::*)(A...) noexcept> {
  using type = R;
};
template <typename R, typename C, typename... A>
struct DeclaredResult<R (C::*)(A...) const noexcept> {
  using type = R;
};

template <typename F>
inline constexpr bool kCanBeCalled =
    std::is_class_v<F> || std::is_member_pointer_v<F> ||
    (std::is_pointer_v<F> && std::is_function_v<std::remove_pointer_t<F>>);

template <typename R>
constexpr void RefuseTask() {
  static_assert(!kIsTask<std::remove_cvref_t<R>>,
                "SyncToAsync() is for functions that block: this one returns a Task, so co_await "
                "it instead");
}

template <typename R>
using SyncResult = std::conditional_t<std::is_rvalue_reference_v<R>, std::remove_reference_t<R>, R>;

// A function that is known when the program is compiled.
template <auto kFunction>
struct NamedFunction {
  template <typename... Arguments>
    requires std::invocable<decltype(kFunction), Arguments...>
  decltype(auto) operator()(Arguments&&... arguments) const {
    return std::invoke(kFunction, std::forward<Arguments>(arguments)...);
  }
};

}  // namespace internal

// What SyncToAsync() makes: called as the function is, it gives a Task of its result.
template <typename F>
class SyncToAsyncFunction {
 public:
  constexpr SyncToAsyncFunction(F function, const SyncToAsyncOptions& options)
      : function_(std::move(function)), options_(options) {
    if (options.executor != nullptr && options.thread_sensitive) {
      throw UsageError(
          "SyncToAsync: `executor` is for functions that are not thread-sensitive: set "
          "`thread_sensitive` to false, or leave the executor out");
    }
  }

  // The task runs the function when it is awaited or spawned.
  template <typename... Arguments>
    requires std::invocable<F, std::decay_t<Arguments>...>
  auto operator()(Arguments&&... arguments) const& {
    return Call(options_, function_, std::forward<Arguments>(arguments)...);
  }
  template <typename... Arguments>
    requires std::invocable<F, std::decay_t<Arguments>...>
  auto operator()(Arguments&&... arguments) && {
    return Call(options_, std::move(function_), std::forward<Arguments>(arguments)...);
  }

  // What was wrapped.
  constexpr const F& function() const noexcept { return function_; }

 private:
  template <typename G, typename... Arguments>
  static auto Call(const SyncToAsyncOptions& options, G&& function, Arguments&&... arguments) {
    using Given = std::invoke_result_t<F, std::decay_t<Arguments>...>;
    internal::RefuseTask<Given>();
    using R = internal::SyncResult<Given>;
    using Made = internal::SyncCallOf<R, F, std::decay_t<Arguments>...>;
    return internal::CallOnThread<R>(std::make_shared<Made>(options, std::forward<G>(function),
                                                            std::forward<Arguments>(arguments)...));
  }

  F function_;
  SyncToAsyncOptions options_;
};

// Wraps a function, lambda, member function or other callable. Throws UsageError for options
// that contradict each other.
template <typename F>
[[nodiscard("it does nothing until it is called and awaited")]]
constexpr SyncToAsyncFunction<std::decay_t<F>> SyncToAsync(F&& function,
                                                           const SyncToAsyncOptions& options = {}) {
  using Kept = std::decay_t<F>;
  static_assert(!internal::kIsTask<Kept>,
                "SyncToAsync() is for functions that block, not for a Task: co_await it instead");
  static_assert(internal::kCanBeCalled<Kept>,
                "SyncToAsync() wraps something that can be called: a function, a lambda, a member "
                "function, or an object with operator()");
  internal::RefuseTask<typename internal::DeclaredResult<Kept>::type>();
  return SyncToAsyncFunction<Kept>(std::forward<F>(function), options);
}

// The same for where a function is declared: constexpr auto Load = SyncToAsync<&LoadBlocking>();
template <auto kFunction>
[[nodiscard("it does nothing until it is called and awaited")]]
constexpr SyncToAsyncFunction<internal::NamedFunction<kFunction>> SyncToAsync(
    const SyncToAsyncOptions& options = {}) {
  using Kept = std::remove_const_t<decltype(kFunction)>;
  static_assert(internal::kCanBeCalled<Kept>, "SyncToAsync<>() wraps a function");
  internal::RefuseTask<typename internal::DeclaredResult<Kept>::type>();
  return SyncToAsyncFunction<internal::NamedFunction<kFunction>>({}, options);
}

}  // namespace loopsan
