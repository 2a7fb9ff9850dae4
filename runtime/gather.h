// Gather(): runs several tasks at the same time and waits for all, as asyncio.gather().
//
//   auto [user, orders] = co_await Gather(LoadUser(id), LoadOrders(id));
//   std::vector<int> sizes = co_await Gather(std::move(tasks));   // std::vector<Task<int>>
//
// Tasks, task handles and futures may be mixed. Tasks are spawned when the gathering is
// awaited, in their order; the results come in that order, too. Gather() of nothing
// is done at once. A handle or future that is moved in gives its result away, from another one it
// is copied.
//
// Errors: the first exception (or CancelledError) of a task is thrown from the
// gathering at once. The others go on, and what they throw later counts as
// retrieved. To end them use a TaskGroup (runtime/task_group.h). GatherSettled() waits
// for all, and gives each result or exception as a Settled.
//
// Cancellation: cancels all that are not done, and ends as they do: with the first
// CancelledError, or, for GatherSettled(), when all are done, always with
// CancelledError. If all return normally nevertheless, Gather() too throws it.
//
// Threads: the loop's only. Throws UsageError for a task of another loop, or itself.
#pragma once

#include <bit>
#include <concepts>
#include <cstddef>
#include <exception>
#include <functional>
#include <optional>
#include <source_location>
#include <tuple>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "runtime/errors.h"
#include "runtime/future.h"
#include "runtime/internal/join_several.h"
#include "runtime/spawn.h"
#include "runtime/task.h"

namespace loopsan {

namespace internal {

template <typename T>
struct GatherValueOf {
  using Type = T;
};
template <typename T>
struct GatherValueOf<T&> {
  using Type = std::reference_wrapper<T>;
};
template <>
struct GatherValueOf<void> {
  using Type = std::monostate;
};

}  // namespace internal

// How a task's result is kept with others: void as std::monostate, a reference
// as std::reference_wrapper.
template <typename T>
using GatherValue = typename internal::GatherValueOf<T>::Type;

// How a task ended: with a value, an exception, or by cancellation.
template <typename T = void>
class Settled {
 public:
  explicit Settled(GatherValue<T> value) : value_(std::move(value)) {}
  Settled(std::exception_ptr error, bool cancelled) noexcept
      : error_(std::move(error)), cancelled_(cancelled) {}

  bool ok() const noexcept { return error_ == nullptr; }
  bool cancelled() const noexcept { return cancelled_; }
  // Null if ok(); a CancelledError if cancelled().
  const std::exception_ptr& error() const noexcept { return error_; }

  // The value, or throws what the task threw.
  GatherValue<T>& value() & {
    Check();
    return *value_;
  }
  const GatherValue<T>& value() const& {
    Check();
    return *value_;
  }
  GatherValue<T> value() && {
    Check();
    return std::move(*value_);
  }

 private:
  void Check() const {
    if (error_ != nullptr) std::rethrow_exception(error_);
  }

  std::optional<GatherValue<T>> value_;
  std::exception_ptr error_;
  bool cancelled_ = false;
};

namespace internal {

template <typename T, bool kMove>
Task<T> AwaitFuture(Future<T> future) {
  if constexpr (kMove) {
    co_return co_await std::move(future);
  } else {
    co_return co_await future;
  }
}

// One of those that are gathered.
template <typename T, bool kMove = true>
class Gathered {
 public:
  using Result = T;

  explicit Gathered(Task<T>&& task) : task_(std::move(task)) {}
  explicit Gathered(const Future<T>& future) : task_(AwaitFuture<T, kMove>(future)) {}
  explicit Gathered(TaskHandle<T> handle) : handle_(std::move(handle)) {}

  AnyTaskHandle Start(Site site) {
    if (task_) handle_ = Spawn(std::move(*task_), {}, std::bit_cast<std::source_location>(site));
    task_.reset();
    if (!handle_.valid()) throw UsageError("a task handle without a task is gathered");
    // Of several failures only the first is told.
    handle_.state()->MarkRetrieved();
    return handle_;
  }

  // REQUIRES: done.
  GatherValue<T> Value() {
    ResultSlot<T>& result = static_cast<SpawnedState<T>*>(handle_.state())->result();
    if constexpr (std::is_void_v<T>) {
      result.Peek();
      return {};
    } else if constexpr (kMove) {
      return GatherValue<T>(result.Take());
    } else {
      return GatherValue<T>(result.Peek());
    }
  }
  Settled<T> Settle() {
    const TaskState& state = *handle_.state();
    if (state.error() != nullptr) return Settled<T>(state.error(), state.cancelled());
    return Settled<T>(Value());
  }

 private:
  std::optional<Task<T>> task_;
  TaskHandle<T> handle_;
};

template <typename A>
struct GatheredOf;
template <typename T>
struct GatheredOf<Task<T>> {
  using Type = Gathered<T>;
};
template <typename T>
struct GatheredOf<TaskHandle<T>> {
  using Type = Gathered<T>;
};
template <typename T>
struct GatheredOf<TaskHandle<T>&> {
  using Type = Gathered<T, false>;
};
template <typename T>
struct GatheredOf<const TaskHandle<T>&> {
  using Type = Gathered<T, false>;
};
template <typename T>
struct GatheredOf<Future<T>> {
  using Type = Gathered<T>;
};
template <typename T>
struct GatheredOf<Future<T>&> {
  using Type = Gathered<T, false>;
};
template <typename T>
struct GatheredOf<const Future<T>&> {
  using Type = Gathered<T, false>;
};

template <typename A>
concept Gatherable = requires { typename GatheredOf<A>::Type; };

// Several of different types: the results are a tuple.
template <typename... G>
class GatheredTuple {
 public:
  using Values = std::tuple<GatherValue<typename G::Result>...>;
  using AllSettled = std::tuple<Settled<typename G::Result>...>;

  explicit GatheredTuple(G&&... parts) : parts_(std::move(parts)...) {}

  std::vector<AnyTaskHandle> Start(Site site) {
    std::vector<AnyTaskHandle> handles;
    handles.reserve(sizeof...(G));
    std::apply([&](G&... part) { (handles.push_back(part.Start(site)), ...); }, parts_);
    return handles;
  }
  Values TakeValues() {
    return std::apply([](G&... part) { return Values{part.Value()...}; }, parts_);
  }
  AllSettled Settle() {
    return std::apply([](G&... part) { return AllSettled{part.Settle()...}; }, parts_);
  }

 private:
  std::tuple<G...> parts_;
};

// Any number of one type: the results are a vector, or nothing.
template <typename G>
class GatheredVector {
 public:
  using T = typename G::Result;
  using Values = std::conditional_t<std::is_void_v<T>, void, std::vector<GatherValue<T>>>;
  using AllSettled = std::vector<Settled<T>>;

  template <typename A>
  explicit GatheredVector(std::vector<A>&& parts) {
    parts_.reserve(parts.size());
    for (A& part : parts) parts_.emplace_back(std::move(part));
  }

  std::vector<AnyTaskHandle> Start(Site site) {
    std::vector<AnyTaskHandle> handles;
    handles.reserve(parts_.size());
    for (G& part : parts_) handles.push_back(part.Start(site));
    return handles;
  }
  Values TakeValues() {
    if constexpr (!std::is_void_v<T>) {
      std::vector<GatherValue<T>> values;
      values.reserve(parts_.size());
      for (G& part : parts_) values.push_back(part.Value());
      return values;
    }
  }
  AllSettled Settle() {
    AllSettled settled;
    settled.reserve(parts_.size());
    for (G& part : parts_) settled.push_back(part.Settle());
    return settled;
  }

 private:
  std::vector<G> parts_;
};

template <typename Parts>
Task<typename Parts::Values> GatherParts(Parts parts) {
  const std::vector<AnyTaskHandle> handles = parts.Start(CallerSite());
  JoinSeveralAwaiter join(handles, Enough::kOneFailedOrCancelled, true, std::nullopt);
  co_await join;
  if (join.decided_by()) {
    TaskState* const last = handles[*join.decided_by()].state();
    if (last->error() != nullptr) std::rethrow_exception(last->error());
  }
  if (join.passed_cancellation_on()) throw CancelledError();
  co_return parts.TakeValues();
}

template <typename Parts>
Task<typename Parts::AllSettled> GatherPartsSettled(Parts parts) {
  const std::vector<AnyTaskHandle> handles = parts.Start(CallerSite());
  JoinSeveralAwaiter join(handles, Enough::kAllDone, true, std::nullopt);
  co_await join;
  if (join.passed_cancellation_on()) throw CancelledError();
  co_return parts.Settle();
}

template <typename... A>
using TupleOf = GatheredTuple<typename GatheredOf<A>::Type...>;

}  // namespace internal

// Gives a std::tuple of GatherValue.
template <internal::Gatherable... A>
auto Gather(A&&... parts) {
  using Parts = internal::TupleOf<A...>;
  return internal::GatherParts<Parts>(
      Parts(typename internal::GatheredOf<A>::Type(std::forward<A>(parts))...));
}

// Gives a std::vector of GatherValue; nothing if T is void.
template <typename T>
auto Gather(std::vector<Task<T>> tasks) {
  using Parts = internal::GatheredVector<internal::Gathered<T>>;
  return internal::GatherParts<Parts>(Parts(std::move(tasks)));
}
template <typename T>
auto Gather(std::vector<TaskHandle<T>>&& tasks) {
  using Parts = internal::GatheredVector<internal::Gathered<T>>;
  return internal::GatherParts<Parts>(Parts(std::move(tasks)));
}
template <typename T>
auto Gather(const std::vector<TaskHandle<T>>& tasks) {
  using Parts = internal::GatheredVector<internal::Gathered<T, false>>;
  return internal::GatherParts<Parts>(Parts(std::vector<TaskHandle<T>>(tasks)));
}

// The same with Settled in the place of GatherValue.
template <internal::Gatherable... A>
auto GatherSettled(A&&... parts) {
  using Parts = internal::TupleOf<A...>;
  return internal::GatherPartsSettled<Parts>(
      Parts(typename internal::GatheredOf<A>::Type(std::forward<A>(parts))...));
}
template <typename T>
auto GatherSettled(std::vector<Task<T>> tasks) {
  using Parts = internal::GatheredVector<internal::Gathered<T>>;
  return internal::GatherPartsSettled<Parts>(Parts(std::move(tasks)));
}
template <typename T>
auto GatherSettled(std::vector<TaskHandle<T>>&& tasks) {
  using Parts = internal::GatheredVector<internal::Gathered<T>>;
  return internal::GatherPartsSettled<Parts>(Parts(std::move(tasks)));
}
template <typename T>
auto GatherSettled(const std::vector<TaskHandle<T>>& tasks) {
  using Parts = internal::GatheredVector<internal::Gathered<T, false>>;
  return internal::GatherPartsSettled<Parts>(Parts(std::vector<TaskHandle<T>>(tasks)));
}

}  // namespace loopsan
