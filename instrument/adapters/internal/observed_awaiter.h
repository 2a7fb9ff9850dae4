// What an observed coroutine awaits, wrapped so that suspensions and resumptions
// are seen. Not for direct use: see instrument/adapters/observed.h.
#pragma once

#include <atomic>
#include <coroutine>
#include <cstring>
#include <type_traits>
#include <utility>

#include "instrument/adapters/internal/observed_frame.h"

namespace loopsan::observed {

// Where an object that a coroutine returns to its caller keeps that coroutine: seen
// once for each type, when the first is made. Only in types that are nothing but
// one pointer (and virtual functions): what else a larger one may hold in that place,
// and when, nobody knows.
struct ReturnLayout {
  uint32_t word = 0;     // number of the word, from 1; 0: not known
  int32_t distance = 0;  // from the address in it to the record
};
inline constexpr uint32_t kAmbiguous = 0xffffffff;

template <typename Object>
inline constinit std::atomic<ReturnLayout> g_layout{};

template <typename Object>
inline constexpr bool kIsOnePointer =
    std::is_object_v<Object> && !std::is_copy_constructible_v<Object> &&
    std::is_move_constructible_v<Object> &&
    sizeof(Object) == sizeof(void*) * (std::is_polymorphic_v<Object> ? 2 : 1);

template <typename Object>
void* WordOf(const Object& object, uint32_t word) noexcept {
  void* value = nullptr;
  std::memcpy(static_cast<void*>(&value),
              reinterpret_cast<const char*>(&object) + (word - 1) * sizeof value, sizeof value);
  return value;
}

// `object` was returned by the coroutine of `record`, whose promise is at `promise`.
template <typename Object>
void Learn(const Object& object, const CoroutineRecord& record, const void* promise) noexcept {
  if constexpr (kIsOnePointer<Object>) {
    const ReturnLayout before = g_layout<Object>.load(std::memory_order_relaxed);
    if (before.word == kAmbiguous) return;
    constexpr uint32_t kWord = std::is_polymorphic_v<Object> ? 2 : 1;
    ReturnLayout now;
    const void* const value = WordOf(object, kWord);
    if (value == record.address || value == promise) {
      now.word = kWord;
      now.distance = static_cast<int32_t>(reinterpret_cast<const char*>(&record) -
                                          static_cast<const char*>(value));
    }
    if (before.word != 0 && (now.word != before.word || now.distance != before.distance)) {
      now = {kAmbiguous, 0};  // another promise returns the same type
    }
    if (now.word != before.word) g_layout<Object>.store(now, std::memory_order_relaxed);
  }
}

// The observed coroutine that `object` stands for, or null.
template <typename Object>
CoroutineRecord* CoroutineIn(const Object& object) noexcept {
  if constexpr (kIsOnePointer<Object>) {
    const ReturnLayout layout = g_layout<Object>.load(std::memory_order_relaxed);
    if (layout.word != 0 && layout.word != kAmbiguous) {
      void* const value = WordOf(object, layout.word);
      if (value != nullptr) {
        return reinterpret_cast<CoroutineRecord*>(static_cast<char*>(value) + layout.distance);
      }
    }
  }
  return nullptr;
}

template <typename Awaitable>
decltype(auto) AwaiterOf(Awaitable&& awaitable) {
  if constexpr (requires { std::forward<Awaitable>(awaitable).operator co_await(); }) {
    return std::forward<Awaitable>(awaitable).operator co_await();
  } else if constexpr (requires { operator co_await(std::forward<Awaitable>(awaitable)); }) {
    return operator co_await(std::forward<Awaitable>(awaitable));
  } else {
    return std::forward<Awaitable>(awaitable);
  }
}

// What `make` returned, a reference or an object, and its awaiter.
template <typename Awaitable>
class HeldAwaiter {
 public:
  template <typename Make>
  explicit HeldAwaiter(const Make& make)
      : awaitable_(make()), awaiter_(AwaiterOf(static_cast<Awaitable&&>(awaitable_))) {}
  HeldAwaiter(const HeldAwaiter&) = delete;
  HeldAwaiter& operator=(const HeldAwaiter&) = delete;

  auto& operator*() noexcept { return awaiter_; }
  auto* operator->() noexcept { return &awaiter_; }

 private:
  Awaitable awaitable_;
  decltype(AwaiterOf(std::declval<Awaitable>())) awaiter_;
};

// Runs at the end of a scope that an exception leaves.
template <typename Action>
class OnThrow {
 public:
  explicit OnThrow(Action action) noexcept : action_(action) {}
  OnThrow(const OnThrow&) = delete;
  OnThrow& operator=(const OnThrow&) = delete;
  ~OnThrow() {
    if (armed_) action_();
  }
  void Disarm() noexcept { armed_ = false; }

 private:
  Action action_;
  bool armed_ = true;
};

// Calls the awaiter's await_suspend, with a handle of the library's own promise
// type if it takes one: that is what it was written for.
template <typename Promise, typename Awaiter, typename P>
decltype(auto) SuspendInner(Awaiter& awaiter, std::coroutine_handle<P> handle) {
  if constexpr (requires { awaiter.await_suspend(std::coroutine_handle<Promise>{}); }) {
    return awaiter.await_suspend(std::coroutine_handle<Promise>::from_address(handle.address()));
  } else {
    return awaiter.await_suspend(handle);
  }
}

// Made in place, in the frame of the coroutine that awaits. `Awaitable` is what the
// promise's own await_transform returned.
template <typename Promise, typename Awaitable>
class ObservedAwaiter {
 public:
  template <typename Make>
  ObservedAwaiter(CoroutineRecord* child, const loopsan_source* here, const Make& make)
      : awaiter_(make), child_(child), here_(here) {}
  ObservedAwaiter(const ObservedAwaiter&) = delete;
  ObservedAwaiter& operator=(const ObservedAwaiter&) = delete;

  decltype(auto) await_ready() { return awaiter_->await_ready(); }

  template <typename P>
  auto await_suspend(std::coroutine_handle<P> handle) {
    using Result = decltype(SuspendInner<Promise>(*awaiter_, handle));
    CoroutineRecord& self = handle.promise();
    if (!self.is_watched()) [[likely]] {
      if constexpr (std::is_void_v<Result> || std::is_same_v<Result, bool>) {
        return SuspendInner<Promise>(*awaiter_, handle);
      } else {
        return std::coroutine_handle<>(SuspendInner<Promise>(*awaiter_, handle));
      }
    }
    // Copies: this awaiter may be gone, with its coroutine, before the call returns.
    CoroutineRecord* const child = child_;
    void* const child_address = child != nullptr ? child->address : nullptr;
    self_ = &self;
    self.frame.awaiting_at = here_;
    if (child != nullptr) self.Await(*child);
    Hide(self);
    const auto go_on = [this, &self] {
      self_ = nullptr;
      ShowAgain(self);
    };
    OnThrow thrown(go_on);
    if constexpr (std::is_void_v<Result>) {
      SuspendInner<Promise>(*awaiter_, handle);
      thrown.Disarm();
      Leave();
    } else if constexpr (std::is_same_v<Result, bool>) {
      const bool suspends = SuspendInner<Promise>(*awaiter_, handle);
      thrown.Disarm();
      suspends ? Leave() : go_on();
      return suspends;
    } else {
      const std::coroutine_handle<> next = SuspendInner<Promise>(*awaiter_, handle);
      thrown.Disarm();
      HandOver(next.address(), child, child_address);
      return next;
    }
  }

  decltype(auto) await_resume() {
    if (self_ != nullptr) [[unlikely]] {
      Enter(*self_);
    }
    return awaiter_->await_resume();
  }

 private:
  HeldAwaiter<Awaitable> awaiter_;
  CoroutineRecord* const child_;
  const loopsan_source* const here_;
  CoroutineRecord* self_ = nullptr;  // it has suspended, and somebody watches
};

// At the coroutine's beginning. One that starts at once has nothing to wait for.
template <typename Promise, typename Awaitable>
class InitialAwaiter {
 public:
  template <typename Make>
  InitialAwaiter(CoroutineRecord& self, const Make& make) : self_(self), awaiter_(make) {}
  InitialAwaiter(const InitialAwaiter&) = delete;
  InitialAwaiter& operator=(const InitialAwaiter&) = delete;

  decltype(auto) await_ready() { return awaiter_->await_ready(); }
  template <typename P>
  decltype(auto) await_suspend(std::coroutine_handle<P> handle) {
    return SuspendInner<Promise>(*awaiter_, handle);
  }
  decltype(auto) await_resume() {
    if (self_.is_watched()) [[unlikely]] {
      Enter(self_);
    }
    return awaiter_->await_resume();
  }

 private:
  CoroutineRecord& self_;
  HeldAwaiter<Awaitable> awaiter_;
};

// At its end: whoever awaits it goes on, perhaps in the same step.
template <typename Promise, typename Awaitable>
class FinalAwaiter {
 public:
  template <typename Make>
  FinalAwaiter(CoroutineRecord& self, const Make& make) noexcept : self_(self), awaiter_(make) {}
  FinalAwaiter(const FinalAwaiter&) = delete;
  FinalAwaiter& operator=(const FinalAwaiter&) = delete;

  bool await_ready() noexcept {
    const bool ready = awaiter_->await_ready();
    if (ready && self_.is_watched()) [[unlikely]] {
      self_.Unlink();
      Hide(self_);
      Leave();
    }
    return ready;
  }

  template <typename P>
  auto await_suspend(std::coroutine_handle<P> handle) noexcept {
    using Result = decltype(SuspendInner<Promise>(*awaiter_, handle));
    if (!self_.is_watched()) [[likely]] {
      if constexpr (std::is_void_v<Result> || std::is_same_v<Result, bool>) {
        return SuspendInner<Promise>(*awaiter_, handle);
      } else {
        return std::coroutine_handle<>(SuspendInner<Promise>(*awaiter_, handle));
      }
    }
    // Copies: the coroutine, and with it this awaiter, may be gone before the call returns.
    CoroutineRecord* const awaiter = self_.awaiter();
    void* const awaiter_address = awaiter != nullptr ? awaiter->address : nullptr;
    self_.Unlink();
    Hide(self_);
    if constexpr (std::is_void_v<Result>) {
      SuspendInner<Promise>(*awaiter_, handle);
      Leave();
    } else if constexpr (std::is_same_v<Result, bool>) {
      const bool suspends = SuspendInner<Promise>(*awaiter_, handle);
      Leave();
      return suspends;
    } else {
      const std::coroutine_handle<> next = SuspendInner<Promise>(*awaiter_, handle);
      HandOver(next.address(), awaiter, awaiter_address);
      return next;
    }
  }

  void await_resume() noexcept { awaiter_->await_resume(); }

 private:
  CoroutineRecord& self_;
  HeldAwaiter<Awaitable> awaiter_;
};

}  // namespace loopsan::observed
