// Promise<T> and Future<T>: a result that somebody delivers, once, from any thread.
//
//   Promise<int> promise;
//   StartSomewhere([promise] () mutable { promise.SetValue(42); });
//   int value = co_await promise.future();
//
// As asyncio's Future: any number of tasks may await it, each gets the result; a
// task that is cancelled while it awaits the future cancels the future, for all who
// await it. A promise whose last copy is dropped without a result delivers
// BrokenPromiseError, so that nobody waits for ever.
//
// Threads: Promise any (copies share one result); Future the loop's on which the
// promise was made. T must be copyable, unless the future is awaited as an rvalue
// (`co_await std::move(future)`), which moves the result out.
#pragma once

#include <atomic>
#include <coroutine>
#include <exception>
#include <memory>
#include <mutex>
#include <source_location>
#include <utility>

#include "runtime/errors.h"
#include "runtime/event_loop.h"
#include "runtime/internal/waiter.h"

namespace loopsan {

class BrokenPromiseError : public std::runtime_error {
 public:
  BrokenPromiseError() : std::runtime_error("the promise was dropped without a result") {}
};

namespace internal {

// Everything but the value. The loop's part is touched on its thread only; a
// result from another thread travels there first.
class FutureBase {
 public:
  explicit FutureBase(EventLoop& loop, Site made_at)
      : loop_(&loop), handle_(loop.Handle()), made_at_(made_at) {}
  FutureBase(const FutureBase&) = delete;
  FutureBase& operator=(const FutureBase&) = delete;
  virtual ~FutureBase() = default;

  enum class State : uint8_t { kPending, kDone, kCancelled };

  // Threads: any. Claims the right to deliver, once.
  bool Claim() noexcept { return !claimed_.exchange(true, std::memory_order_acq_rel); }
  bool claimed() const noexcept { return claimed_.load(std::memory_order_acquire); }

  bool done() const noexcept { return state_ != State::kPending; }
  bool cancelled() const noexcept { return state_ == State::kCancelled; }
  // Threads: any. Relaxed: it only says whether to report.
  void MarkRetrieved() noexcept { retrieved_.store(true, std::memory_order_relaxed); }

  // The loop's thread.
  void Finish(State state) noexcept;
  bool Cancel() noexcept;
  void CheckLoop(Site site) const;
  void CheckUse(const char* what, std::source_location here) const;

  EventLoop* loop() const noexcept { return loop_; }
  const LoopHandle& handle() const noexcept { return handle_; }

  List<Waiter> waiters;

 protected:
  // The result is an error that nobody has seen.
  void ReportIfUnseen(const std::exception_ptr& error) const noexcept;

 private:
  EventLoop* const loop_;
  const LoopHandle handle_;
  const Site made_at_;
  std::atomic<bool> claimed_{false};
  State state_ = State::kPending;
  std::atomic<bool> retrieved_{false};
};

template <typename T>
class FutureState final : public FutureBase {
 public:
  using FutureBase::FutureBase;
  ~FutureState() override { ReportIfUnseen(result.error()); }
  ResultSlot<T> result;
};

// Delivers on the loop's thread, at once if this is it.
void Deliver(std::shared_ptr<FutureBase> state, std::source_location here);

// `kCancels`: cancelling the waiting task cancels the future.
template <typename T, bool kMove, bool kCancels = true>
class FutureAwaiter final : public Waiter {
 public:
  explicit FutureAwaiter(std::shared_ptr<FutureState<T>> state) noexcept
      : state_(std::move(state)) {}

  bool await_ready(std::source_location here = std::source_location::current()) {
    Begin(here);
    state_->CheckLoop(site());
    return state_->done();
  }
  template <typename P>
  void await_suspend(std::coroutine_handle<P> handle) {
    state_->waiters.PushBack(this);
    Suspend(handle, "future", state_.get());
  }
  decltype(auto) await_resume() {
    Resumed();
    state_->MarkRetrieved();
    if (state_->cancelled()) throw CancelledError();
    if constexpr (kMove) {
      return state_->result.Take();
    } else {
      return state_->result.Peek();
    }
  }
  bool OnCancel() noexcept override { return kCancels ? state_->Cancel() : Waiter::OnCancel(); }

 private:
  const std::shared_ptr<FutureState<T>> state_;
};

}  // namespace internal

template <typename T = void>
class Future {
 public:
  Future() noexcept = default;

  bool valid() const noexcept { return state_ != nullptr; }
  bool done() const noexcept { return state_->done(); }
  bool cancelled() const noexcept { return state_->cancelled(); }

  // All who await it get CancelledError. False if it is done.
  bool Cancel(std::source_location here = std::source_location::current()) {
    if (state_->done()) return false;
    state_->CheckUse("Future::Cancel", here);
    return state_->Cancel();
  }

  internal::FutureAwaiter<T, false> operator co_await() const& noexcept {
    return internal::FutureAwaiter<T, false>(state_);
  }
  internal::FutureAwaiter<T, true> operator co_await() && noexcept {
    return internal::FutureAwaiter<T, true>(std::move(state_));
  }

  // For Shield() (runtime/shield.h).
  internal::FutureAwaiter<T, false, false> AwaitShielded() const noexcept {
    return internal::FutureAwaiter<T, false, false>(state_);
  }

  // The result, or throws. REQUIRES: done().
  decltype(auto) result() const {
    state_->MarkRetrieved();
    if (state_->cancelled()) throw CancelledError();
    return state_->result.Peek();
  }

 private:
  template <typename U>
  friend class Promise;
  explicit Future(std::shared_ptr<internal::FutureState<T>> state) noexcept
      : state_(std::move(state)) {}
  std::shared_ptr<internal::FutureState<T>> state_;
};

template <typename T = void>
class Promise {
 public:
  // For the loop that runs on this thread.
  explicit Promise(std::source_location here = std::source_location::current())
      : Promise(EventLoop::Running(), here) {}
  explicit Promise(EventLoop& loop, std::source_location here = std::source_location::current())
      : shared_(std::make_shared<Shared>(loop, internal::SiteOf(here))) {}

  // REQUIRES: the loop's thread, or before other threads have the promise.
  Future<T> future() const noexcept { return Future<T>(shared_->state); }

  // Each returns false if the future was cancelled, or had a result already.
  template <typename... U>
  bool SetValue(U&&... value) {
    if (!shared_->state->Claim()) return false;
    try {
      shared_->state->result.Set(std::forward<U>(value)...);
    } catch (...) {
      // A copy failed: those who wait shall not wait for ever.
      shared_->state->result.SetError(std::current_exception());
      internal::Deliver(shared_->state, std::source_location::current());
      throw;
    }
    internal::Deliver(shared_->state, std::source_location::current());
    return true;
  }
  bool SetError(std::exception_ptr error) {
    if (!shared_->state->Claim()) return false;
    shared_->state->result.SetError(std::move(error));
    internal::Deliver(shared_->state, std::source_location::current());
    return true;
  }

  // What those wait for who await the future, for reports.
  const void* id() const noexcept { return shared_->state.get(); }

  // Nobody wants the result any more.
  bool abandoned() const noexcept { return shared_->state->claimed(); }

 private:
  // Shared by the copies: the last one to go breaks the promise.
  struct Shared {
    Shared(EventLoop& loop, internal::Site made_at)
        : state(std::make_shared<internal::FutureState<T>>(loop, made_at)) {}
    ~Shared() {
      if (!state->Claim()) return;
      state->result.SetError(std::make_exception_ptr(BrokenPromiseError()));
      state->MarkRetrieved();  // if nobody waits, nobody misses it
      internal::Deliver(state, std::source_location::current());
    }
    const std::shared_ptr<internal::FutureState<T>> state;
  };
  std::shared_ptr<Shared> shared_;
};

}  // namespace loopsan
