// What all coroutines of the runtime have in common: memory from the pool, a
// place in the chain of awaiting coroutines, and the way back to who awaits.
#pragma once

#include <concepts>
#include <coroutine>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <optional>
#include <type_traits>
#include <utility>

#include "runtime/internal/frame_pool.h"
#include "runtime/internal/runner.h"
#include "runtime/internal/site.h"

namespace loopsan::internal {

// Before the loop of this thread runs in debug mode: RecordCreation() allocates nothing.
void PrepareCreations() noexcept;
// Debug mode: notes who is creating a coroutine (frame pointers permitting).
// Returns a ticket for CreationStack().
[[gnu::noinline]] uint32_t RecordCreation() noexcept;
// The return addresses noted under a ticket, innermost first; 0 if it is too old.
size_t CreationStack(uint32_t ticket, void** addresses, size_t room) noexcept;

void ReportOversizedFrame(Site defined_at, size_t bytes) noexcept;
void ReportNeverAwaited(Site defined_at, uint32_t creation) noexcept;

inline constexpr size_t kOversizedFrameBytes = 4096;

class PromiseBase {
 public:
  explicit PromiseBase(Site defined_at) noexcept {
    frame.defined_at = defined_at;
    if (t_runner.debug) [[unlikely]] {
      creation = RecordCreation();
      if (t_runner.oversized != 0) [[unlikely]] {
        ReportOversizedFrame(defined_at, std::exchange(t_runner.oversized, 0));
      }
    }
  }
  PromiseBase(const PromiseBase&) = delete;
  PromiseBase& operator=(const PromiseBase&) = delete;

  static void* operator new(size_t bytes) {
    if (bytes > kOversizedFrameBytes && t_runner.debug) [[unlikely]] {
      t_runner.oversized = bytes;
    }
    return AllocateFrame(bytes);
  }
  static void operator delete(void* memory, size_t bytes) noexcept {
    FreeFrameMemory(memory, bytes);
  }

  std::suspend_always initial_suspend() const noexcept { return {}; }

  loopsan_async_frame frame{};
  std::coroutine_handle<> continuation;  // null: the outermost of a task
  uint32_t creation = 0;
  bool started = false;
};

template <typename P>
concept TracedPromise = std::derived_from<P, PromiseBase>;

// `parent` is about to wait for `child` at `site`.
inline void PushFrame(loopsan_async_frame& parent, loopsan_async_frame& child, Site site,
                      void* parent_address) noexcept {
  parent.awaiting_at = site;
  child.parent = &parent;
  // The first word of a coroutine frame is its resume function: enough for a
  // debugger to name the coroutine.
  child.instruction_pointer = *static_cast<void**>(parent_address);
  child.root = parent.root;
  parent.root = nullptr;
  if (child.root != nullptr) child.root->top_frame = &child;
}

inline void PopFrame(loopsan_async_frame& child) noexcept {
  loopsan_async_frame* const parent = child.parent;
  if (parent == nullptr) return;
  parent->root = child.root;
  child.root = nullptr;
  if (parent->root != nullptr) parent->root->top_frame = parent;
}

// Base of awaiters that know the runtime without being a Waiter: all others are taken
// for another library's (internal/foreign.h).
struct NativeAwaiter {};

struct FinalAwaiter {
  bool await_ready() const noexcept { return false; }
  template <TracedPromise P>
  std::coroutine_handle<> await_suspend(std::coroutine_handle<P> handle) const noexcept {
    PromiseBase& promise = handle.promise();
    if (promise.continuation) [[likely]] {
      PopFrame(promise.frame);
      return Transfer(promise.continuation);
    }
    t_runner.finished = true;  // the bottom of the step cleans up: nothing here may
    return std::noop_coroutine();
  }
  void await_resume() const noexcept {}
};

// What a coroutine returned or threw.
template <typename T>
class ResultSlot {
 public:
  template <typename U>
  void Set(U&& value) {
    value_.emplace(std::forward<U>(value));
  }
  void SetError(std::exception_ptr error) noexcept { error_ = std::move(error); }
  bool has_error() const noexcept { return error_ != nullptr; }
  const std::exception_ptr& error() const noexcept { return error_; }
  std::exception_ptr TakeError() noexcept { return std::exchange(error_, nullptr); }

  T Take() {
    if (error_) std::rethrow_exception(std::move(error_));
    return std::move(*value_);
  }
  T& Peek() {
    if (error_) std::rethrow_exception(error_);
    return *value_;
  }

 private:
  std::optional<T> value_;
  std::exception_ptr error_;
};

template <typename T>
class ResultSlot<T&> {
 public:
  void Set(T& value) noexcept { value_ = &value; }
  void SetError(std::exception_ptr error) noexcept { error_ = std::move(error); }
  bool has_error() const noexcept { return error_ != nullptr; }
  const std::exception_ptr& error() const noexcept { return error_; }
  std::exception_ptr TakeError() noexcept { return std::exchange(error_, nullptr); }

  T& Take() { return Peek(); }
  T& Peek() {
    if (error_) std::rethrow_exception(error_);
    return *value_;
  }

 private:
  T* value_ = nullptr;
  std::exception_ptr error_;
};

template <>
class ResultSlot<void> {
 public:
  void Set() noexcept {}
  void SetError(std::exception_ptr error) noexcept { error_ = std::move(error); }
  bool has_error() const noexcept { return error_ != nullptr; }
  const std::exception_ptr& error() const noexcept { return error_; }
  std::exception_ptr TakeError() noexcept { return std::exchange(error_, nullptr); }

  void Take() { Peek(); }
  void Peek() {
    if (error_) std::rethrow_exception(error_);
  }

 private:
  std::exception_ptr error_;
};

template <typename T>
class PromiseWithResult : public PromiseBase {
 public:
  using PromiseBase::PromiseBase;
  template <typename U = T>
    requires std::convertible_to<U, T>
  void return_value(U&& value) {
    result.Set(std::forward<U>(value));
  }
  void unhandled_exception() noexcept { result.SetError(std::current_exception()); }

  ResultSlot<T> result;
};

template <>
class PromiseWithResult<void> : public PromiseBase {
 public:
  using PromiseBase::PromiseBase;
  void return_void() noexcept {}
  void unhandled_exception() noexcept { result.SetError(std::current_exception()); }

  ResultSlot<void> result;
};

}  // namespace loopsan::internal
