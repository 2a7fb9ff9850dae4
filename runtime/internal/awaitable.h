// What co_await gives for an awaitable, and how to keep one for later.
#pragma once

#include <type_traits>
#include <utility>

namespace loopsan::internal {

template <typename A>
concept Awaiter = requires(std::remove_reference_t<A>& awaiter) {
  awaiter.await_ready();
  awaiter.await_resume();
};

template <typename A>
concept HasCoAwait = requires(A&& awaitable) {
  { static_cast<A&&>(awaitable).operator co_await() } -> Awaiter;
};

template <typename A>
concept Awaitable = HasCoAwait<A> || Awaiter<A>;

// Empty for what cannot be awaited: clang asks before it looks at the constraints.
template <typename A>
struct AwaitResultOf {};
template <typename A>
  requires(Awaiter<A> && !HasCoAwait<A>)
struct AwaitResultOf<A> {
  using Type = decltype(std::declval<std::remove_reference_t<A>&>().await_resume());
};
template <HasCoAwait A>
struct AwaitResultOf<A> {
  using Type = decltype(std::declval<A>().operator co_await().await_resume());
};

template <typename A>
using AwaitResult = typename AwaitResultOf<A>::Type;

// How a coroutine keeps an awaitable that it is given: itself, but by reference
// if it cannot be moved (most awaiters).
template <typename A>
using Kept = std::conditional_t<std::is_constructible_v<std::decay_t<A>, A>, std::decay_t<A>, A&&>;

}  // namespace loopsan::internal
