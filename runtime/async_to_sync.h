// AsyncToSync(): calls a coroutine from code that is not async, and waits for it.
//
//   Task<User> FetchUser(int id);
//   constexpr auto FetchUserNow = AsyncToSync<&FetchUser>();
//   ...
//   User user = FetchUserNow(7);                      // on a thread that runs no loop
//
//   const auto fetch = AsyncToSync([&](int id) { return client.Fetch(id); });
//
// Which loop it runs on:
//  - inside a function of SyncToAsync() (runtime/sync_to_async.h) the loop that this was called
//    from: there is one main loop, however deep sync and async code are nested;
//  - in an AsyncSingleThreadContext (runtime/async_single_thread_context.h) that one's;
//  - else one of its own, on another thread, which ends as Run()'s does.
// While it waits, the calling thread runs the thread-sensitive functions that the
// async code sends back to it through SyncToAsync(): chains of sync, async, sync and
// async code stay on one thread and do not wait for themselves.
//
// Arguments are taken by value, as std::thread takes them, and moved into the coroutine. Context
// variables go in, and what the coroutine changed comes back. What it throws is thrown.
//
// Errors: UsageError on a thread whose loop runs (co_await it there), and where the
// loop that it should run on is closed, or nobody has run it for a second: then
// the coroutine is cancelled, should the loop ever run again. Cancelling the task that called
// the function that waits here, cancels the coroutine.
//
// Threads: any that runs no loop.
#pragma once

#include <concepts>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <source_location>
#include <tuple>
#include <type_traits>
#include <utility>

#include "runtime/context.h"
#include "runtime/event_loop.h"
#include "runtime/internal/deadlock_watch.h"
#include "runtime/internal/done_hook.h"
#include "runtime/internal/loop_resource.h"
#include "runtime/internal/ref.h"
#include "runtime/sync_to_async.h"
#include "runtime/task.h"

namespace loopsan {

struct AsyncToSyncOptions {
  // A loop of its own also inside a function of SyncToAsync().
  bool force_new_loop = false;
};

namespace internal {

class WaitingThread;

// One call on its way to a loop and back. Shared by both sides.
class AsyncCall : public std::enable_shared_from_this<AsyncCall>, private LoopResource {
 public:
  AsyncCall(const AsyncCall&) = delete;
  AsyncCall& operator=(const AsyncCall&) = delete;

  // Runs the coroutine and waits for it. Throws UsageError if that cannot be.
  void RunAndWait();

 protected:
  AsyncCall(const AsyncToSyncOptions& options, Site site) noexcept
      : options_(options), site_(site) {}
  ~AsyncCall() = default;

  // The coroutine that is asked for; keeps its result, or what it threw, and never throws.
  virtual Task<> Main() = 0;
  // At the beginning and the end of Main().
  void NoteStart() noexcept;
  void NoteEnd();
  // Takes the place of a result.
  virtual void SetError(std::exception_ptr error) noexcept = 0;

 private:
  struct Hook final : DoneHook {
    void OnTaskDone(TaskState& task) noexcept override;
    AsyncCall* call = nullptr;
  };
  class Start;

  // The waiting thread.
  void WaitForLoop(const LoopHandle& loop);
  void WaitForOwnLoop();
  [[noreturn]] void GiveUp(const LoopHandle& loop);

  // The loop's.
  void StartOnLoop() noexcept;
  void OnDone() noexcept;
  void OnLoopClosed() noexcept override;
  void Fail(const char* message) noexcept;
  void RunOwnLoop() noexcept;

  const AsyncToSyncOptions options_;
  const Site site_;
  std::shared_ptr<WaitingThread> thread_;
  std::shared_ptr<SyncCall> parent_;  // the function that waits; null: it is none of SyncToAsync()
  Context before_;                    // what the coroutine began with
  Context context_;                   // its own
  // The loop's thread only.
  Hook hook_;
  RefPtr<TaskState> task_;
  std::shared_ptr<AsyncCall> self_;  // while the loop has it
  WatchedWait watch_;
};

template <typename T, typename F, typename... Arguments>
class AsyncCallOf final : public AsyncCall {
 public:
  template <typename G, typename... Given>
  AsyncCallOf(const AsyncToSyncOptions& options, Site site, G&& function, Given&&... arguments)
      : AsyncCall(options, site),
        function_(std::forward<G>(function)),
        arguments_(std::forward<Given>(arguments)...) {}

  // The loop's thread keeps no part in the error: it must not be the one that destroys it.
  T Take() {
    if (result_.has_error()) std::rethrow_exception(result_.TakeError());
    return result_.Take();
  }

 private:
  Task<> Main() override {
    NoteStart();
    try {
      const auto call = [this](Arguments&... arguments) {
        return std::invoke(std::move(function_), std::move(arguments)...);
      };
      Task<T> task = std::apply(call, arguments_);
      if constexpr (std::is_void_v<T>) {
        co_await std::move(task);
        result_.Set();
      } else {
        T value = co_await std::move(task);
        result_.Set(std::forward<T>(value));
      }
    } catch (...) {
      result_.SetError(std::current_exception());
    }
    NoteEnd();
  }
  void SetError(std::exception_ptr error) noexcept override { result_.SetError(std::move(error)); }

  F function_;
  std::tuple<Arguments...> arguments_;
  ResultSlot<T> result_;
};

template <typename R>
constexpr void RequireTask() {
  static_assert(kIsTask<R>,
                "AsyncToSync() is for functions that return a Task: this one does not, so call it "
                "directly");
}

}  // namespace internal

// What AsyncToSync() makes: called as the coroutine is, it waits and gives the result.
template <typename F>
class AsyncToSyncFunction {
 public:
  constexpr AsyncToSyncFunction(F function, const AsyncToSyncOptions& options,
                                std::source_location here)
      : function_(std::move(function)), options_(options), made_at_(here) {}

  template <typename... Arguments>
    requires std::invocable<F, std::decay_t<Arguments>...>
  decltype(auto) operator()(Arguments&&... arguments) const& {
    return Call(*this, function_, std::forward<Arguments>(arguments)...);
  }
  template <typename... Arguments>
    requires std::invocable<F, std::decay_t<Arguments>...>
  decltype(auto) operator()(Arguments&&... arguments) && {
    return Call(*this, std::move(function_), std::forward<Arguments>(arguments)...);
  }

  // What was wrapped.
  constexpr const F& function() const noexcept { return function_; }

 private:
  template <typename G, typename... Arguments>
  static decltype(auto) Call(const AsyncToSyncFunction& self, G&& function,
                             Arguments&&... arguments) {
    using Given = std::invoke_result_t<F, std::decay_t<Arguments>...>;
    internal::RequireTask<Given>();
    if constexpr (internal::kIsTask<Given>) {
      using Made = internal::AsyncCallOf<typename Given::value_type, F, std::decay_t<Arguments>...>;
      const auto call =
          std::make_shared<Made>(self.options_, internal::SiteOf(self.made_at_),
                                 std::forward<G>(function), std::forward<Arguments>(arguments)...);
      call->RunAndWait();
      return call->Take();
    }
  }

  F function_;
  AsyncToSyncOptions options_;
  std::source_location made_at_;
};

// Wraps a coroutine function, or anything else that returns a Task when it is called.
template <typename F>
constexpr AsyncToSyncFunction<std::decay_t<F>> AsyncToSync(
    F&& function, const AsyncToSyncOptions& options = {},
    std::source_location here = std::source_location::current()) {
  using Kept = std::decay_t<F>;
  static_assert(!internal::kIsTask<Kept>,
                "AsyncToSync() wants the coroutine function, not its Task: AsyncToSync(f)(x) "
                "instead of AsyncToSync(f(x))");
  static_assert(internal::kCanBeCalled<Kept>,
                "AsyncToSync() wraps something that can be called and returns a Task");
  if constexpr (!std::is_class_v<Kept>) {
    internal::RequireTask<typename internal::DeclaredResult<Kept>::type>();
  }
  return AsyncToSyncFunction<Kept>(std::forward<F>(function), options, here);
}

// The same for where it is declared: constexpr auto Fetch = AsyncToSync<&FetchAsync>();
template <auto kFunction>
constexpr AsyncToSyncFunction<internal::NamedFunction<kFunction>> AsyncToSync(
    const AsyncToSyncOptions& options = {},
    std::source_location here = std::source_location::current()) {
  using Kept = std::remove_const_t<decltype(kFunction)>;
  if constexpr (!std::is_class_v<Kept>) {
    internal::RequireTask<typename internal::DeclaredResult<Kept>::type>();
  }
  return AsyncToSyncFunction<internal::NamedFunction<kFunction>>({}, options, here);
}

}  // namespace loopsan
