// The foreign promise inside an observed one, at the very place in the frame where it
// would be alone. Not for direct use: see instrument/adapters/observed.h.
#pragma once

#include <type_traits>
#include <utility>

namespace loopsan::observed {

template <typename Promise>
concept ReturnsVoid = requires(Promise& promise) { promise.return_void(); };

// A class may have return_void or return_value, not both.
template <typename Promise, bool = ReturnsVoid<Promise>>
class FinalPromise {
 public:
  FinalPromise() = default;
  template <typename... Arguments>
    requires(sizeof...(Arguments) > 0 && std::is_constructible_v<Promise, Arguments&...>)
  explicit FinalPromise(Arguments&... arguments) : promise_(arguments...) {}

  void return_void() noexcept(noexcept(std::declval<Promise&>().return_void())) {
    promise_.return_void();
  }
  Promise& promise() noexcept { return promise_; }

 private:
  Promise promise_;
};

template <typename Promise>
class FinalPromise<Promise, false> {
 public:
  FinalPromise() = default;
  template <typename... Arguments>
    requires(sizeof...(Arguments) > 0 && std::is_constructible_v<Promise, Arguments&...>)
  explicit FinalPromise(Arguments&... arguments) : promise_(arguments...) {}

  template <typename Value>
    requires requires(Promise& promise, Value&& value) {
      promise.return_value(std::forward<Value>(value));
    }
  void return_value(Value&& value) {
    promise_.return_value(std::forward<Value>(value));
  }
  Promise& promise() noexcept { return promise_; }

 private:
  Promise promise_;
};

template <typename Promise>
class OpenPromise : public Promise {
 public:
  using Promise::Promise;
  Promise& promise() noexcept { return *this; }
};

// Its first base or member is the promise.
template <typename Promise>
struct HolderOf {
  using Type = OpenPromise<Promise>;
};
template <typename Promise>
  requires std::is_final_v<Promise>
struct HolderOf<Promise> {
  using Type = FinalPromise<Promise>;
};
template <typename Promise>
using PromiseHolder = typename HolderOf<Promise>::Type;

// Whether the promise has a member of this name, with whatever parameters.
struct NamesAwaitTransform {
  int await_transform;
};
template <typename Promise>
struct WithBothNames : Promise, NamesAwaitTransform {};
template <typename Promise>
inline constexpr bool kHasAwaitTransform = !requires { &WithBothNames<Promise>::await_transform; };
template <typename Promise>
  requires std::is_final_v<Promise>
inline constexpr bool kHasAwaitTransform<Promise> = false;  // cannot be asked: each call is tried

}  // namespace loopsan::observed
