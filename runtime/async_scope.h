// Async scopes: clean-up that may wait, run however a scope is left. Python's
// `async with`, and its AsyncExitStack.
//
//   class Connection {                          // a resource
//    public:
//     Task<> AsyncEnter();
//     Task<> AsyncExit(std::exception_ptr error);
//   };
//
//   const auto use = [](Connection& connection) -> Task<int> { ... };
//   int answer = co_await WithResource(connection, use);
//
//   const auto body = [&](AsyncScope& scope) -> Task<> {
//     co_await scope.Enter(connection);
//     scope.Defer([&]() -> Task<> { co_await log.Flush(); });
//     ...
//   };                                          // left: newest first
//   co_await WithScope(body);
//
// The exit runs after a return, an exception and a cancellation alike, in the same
// task, and is told what was thrown (null: nothing). It cannot swallow that; what
// it throws itself takes the place of it. If entering throws, there is no exit.
//
// Threads: the loop's. Lifetime: the body and what it captures are kept until the
// end; resources that are passed as lvalues must live until then. Cancellation:
// a task that is cancelled while it exits throws CancelledError from what the exit
// waits for; the other exits still run. A task that is destroyed with its loop
// runs no exits.
#pragma once

#include <concepts>
#include <exception>
#include <memory>
#include <type_traits>
#include <utility>

#include "runtime/internal/promise.h"
#include "runtime/task.h"

namespace loopsan {

namespace internal {

template <typename R>
struct TaskValue {};
template <typename T>
struct TaskValue<Task<T>> {
  using type = T;
};

}  // namespace internal

// AsyncEnter() gives a Task<T>, AsyncExit(error) a Task<>.
template <typename R>
concept AsyncResource = requires(R& resource, std::exception_ptr error) {
  typename internal::TaskValue<decltype(resource.AsyncEnter())>::type;
  { resource.AsyncExit(error) } -> std::same_as<Task<>>;
};

namespace internal {

template <typename Resource>
using EnteredValue = typename TaskValue<decltype(std::declval<Resource&>().AsyncEnter())>::type;

// What the body is called with: what AsyncEnter() gave, else the resource, else nothing.
template <typename Resource, typename Body>
struct BodyOf {
  using type = std::conditional_t<std::invocable<Body&, Resource&>,
                                  std::invoke_result<Body&, Resource&>, std::invoke_result<Body&>>;
};
template <typename Resource, typename Body>
  requires(!std::is_void_v<EnteredValue<Resource>>)
struct BodyOf<Resource, Body> {
  using type = std::invoke_result<Body&, EnteredValue<Resource>&>;
};
template <typename Resource, typename Body>
using BodyTask = typename BodyOf<Resource, Body>::type::type;

// Calls and awaits the body, and keeps what comes of it.
template <typename T, typename Body, typename... Arguments>
Task<std::exception_ptr> Outcome(ResultSlot<T>& result, Body& body, Arguments&... arguments) {
  try {
    Task<T> task = body(arguments...);
    if constexpr (std::is_void_v<T>) {
      co_await std::move(task);
    } else {
      T value = co_await std::move(task);
      result.Set(std::forward<T>(value));
    }
  } catch (...) {
    result.SetError(std::current_exception());
  }
  co_return result.error();
}

template <typename Resource, typename Body>
auto RunWithResource(Resource resource, Body body)
    -> BodyTask<std::remove_reference_t<Resource>, Body> {
  using R = std::remove_reference_t<Resource>;
  using T = typename TaskValue<BodyTask<R, Body>>::type;
  ResultSlot<T> result;
  std::exception_ptr error;
  if constexpr (!std::is_void_v<EnteredValue<R>>) {
    EnteredValue<R> entered = co_await resource.AsyncEnter();
    error = co_await Outcome(result, body, entered);
  } else if constexpr (std::invocable<Body&, R&>) {
    co_await resource.AsyncEnter();
    error = co_await Outcome(result, body, resource);
  } else {
    co_await resource.AsyncEnter();
    error = co_await Outcome(result, body);
  }
  co_await resource.AsyncExit(error);
  co_return result.Take();
}

// Something to do at the end of a scope.
class ScopeExit {
 public:
  virtual ~ScopeExit() = default;
  virtual Task<> Run(std::exception_ptr error) = 0;
  std::unique_ptr<ScopeExit> older;
};

template <typename Resource>
class ResourceExit final : public ScopeExit {
 public:
  explicit ResourceExit(Resource& resource) noexcept : resource_(resource) {}
  Task<> Run(std::exception_ptr error) override { return resource_.AsyncExit(std::move(error)); }

 private:
  Resource& resource_;
};

template <typename F>
class DeferredExit final : public ScopeExit {
 public:
  explicit DeferredExit(F function) : function_(std::move(function)) {}
  Task<> Run(std::exception_ptr) override {
    if constexpr (std::is_void_v<std::invoke_result_t<F&>>) {
      function_();
      co_return;
    } else {
      co_await function_();
    }
  }

 private:
  F function_;
};

}  // namespace internal

// Calls `body`, a coroutine, with what the resource's AsyncEnter() gave, or with
// the resource. Gives what it returns, or throws what it throws.
template <typename Resource, typename Body>
  requires AsyncResource<std::remove_reference_t<Resource>>
auto WithResource(Resource&& resource, Body body) {
  return internal::RunWithResource<Resource, Body>(std::forward<Resource>(resource),
                                                   std::move(body));
}

// Collects exits; WithScope() makes it and runs them.
class AsyncScope {
 public:
  AsyncScope(const AsyncScope&) = delete;
  AsyncScope& operator=(const AsyncScope&) = delete;

  // Enters the resource now, and exits it at the end of the scope. Gives what its
  // AsyncEnter() gives.
  template <AsyncResource Resource>
  Task<internal::EnteredValue<Resource>> Enter(Resource& resource) {
    auto exit = std::make_unique<internal::ResourceExit<Resource>>(resource);
    if constexpr (std::is_void_v<internal::EnteredValue<Resource>>) {
      co_await resource.AsyncEnter();
      Push(std::move(exit));
    } else {
      internal::EnteredValue<Resource> entered = co_await resource.AsyncEnter();
      Push(std::move(exit));
      co_return std::forward<internal::EnteredValue<Resource>>(entered);
    }
  }

  // Calls `function` at the end of the scope, and awaits what it returns, if anything.
  template <std::invocable F>
  void Defer(F function) {
    Push(std::make_unique<internal::DeferredExit<F>>(std::move(function)));
  }

 private:
  template <typename Body>
  friend auto WithScope(Body body) -> std::invoke_result_t<Body&, AsyncScope&>;
  AsyncScope() = default;

  void Push(std::unique_ptr<internal::ScopeExit> exit) noexcept {
    exit->older = std::move(newest_);
    newest_ = std::move(exit);
  }
  // Runs the exits; returns what is to be thrown in the end.
  Task<std::exception_ptr> Leave(std::exception_ptr error) {
    while (newest_ != nullptr) {
      const std::unique_ptr<internal::ScopeExit> exit = std::move(newest_);
      newest_ = std::move(exit->older);
      try {
        co_await exit->Run(error);
      } catch (...) {
        error = std::current_exception();
      }
    }
    co_return error;
  }

  std::unique_ptr<internal::ScopeExit> newest_;
};

// Calls `body`, a coroutine, with a scope, and runs the scope's exits after it.
// Gives what it returns, or throws what it, or the last exit that failed, throws.
template <typename Body>
auto WithScope(Body body) -> std::invoke_result_t<Body&, AsyncScope&> {
  using T = typename internal::TaskValue<std::invoke_result_t<Body&, AsyncScope&>>::type;
  AsyncScope scope;
  internal::ResultSlot<T> result;
  std::exception_ptr error = co_await internal::Outcome(result, body, scope);
  error = co_await scope.Leave(std::move(error));
  if (error) std::rethrow_exception(error);
  co_return result.Take();
}

}  // namespace loopsan
