// The wait of one task for one thing. Every awaitable that suspends is built on
// it; it lies in the coroutine's frame and allocates nothing.
//
//   class TurnAwaiter : public Waiter {
//    public:
//     bool await_ready(std::source_location here = std::source_location::current()) {
//       return Begin(here), turnstile_.open();
//     }
//     template <typename P> void await_suspend(std::coroutine_handle<P> handle) {
//       turnstile_.waiters.PushBack(this);            // first where it will be woken from,
//       Suspend(handle, "turnstile", &turnstile_);    // then, as the last act, this
//     }
//     void await_resume() { Resumed(); }              // throws CancelledError
//   };
//   // The turnstile: waiters.PopFront()->Wake();
//
// Threads: the loop's only.
#pragma once

#include <coroutine>
#include <cstddef>
#include <source_location>
#include <vector>

#include "runtime/internal/intrusive.h"
#include "runtime/internal/promise.h"

namespace loopsan::internal {

class TaskState;

class Waiter : public ListNode {
 public:
  // The task that waits here; null once it was woken.
  TaskState* task() const noexcept { return task_; }
  bool is_waiting() const noexcept { return task_ != nullptr; }

  // Makes the task ready; it leaves the list it waits in. Does nothing if it does not wait.
  void Wake() noexcept;

  // The task is cancelled. Returns true if its wait will end because of that.
  // The default leaves the list and wakes the task, which then throws.
  virtual bool OnCancel() noexcept;

  // The task whose end is waited for, if it is that.
  virtual TaskState* AwaitedTask() const noexcept { return nullptr; }
  // For readers: the task at or after `position` among those that are waited for, which is then
  // moved past it; null: no more. Async-signal-safe.
  virtual const TaskState* NextAwaited(size_t& position) const noexcept {
    return position++ == 0 ? AwaitedTask() : nullptr;
  }
  // All of them, for one that waits for several.
  virtual void AppendAwaited(std::vector<const TaskState*>& tasks) const;

  // The wait ends by itself at some time.
  virtual bool HasTimeLimit() const noexcept { return false; }
  // Who waits by this, and may pass on that it was cancelled; null: nobody (any more).
  virtual const TaskState* WaitingTask() const noexcept { return task_; }

  // For one among a task's joiners that does not wait itself: the task is done. It
  // must leave the list.
  virtual void OnTaskDone(TaskState& /*task*/) noexcept { Unlink(); }
  // The id of the task that has what is waited for (a lock); 0 if that is no question.
  // Async-signal-safe.
  virtual uint64_t HolderTask() const noexcept { return 0; }
  // The same for the loop's thread; null if there is none.
  virtual const TaskState* Holder() const noexcept { return nullptr; }

 protected:
  Waiter() = default;
  ~Waiter();

  void Begin(std::source_location here) noexcept { site_ = SiteOf(here); }

  // `what` is a static string for people ("mutex"), `object` what is waited for.
  // The last thing that await_suspend does. Throws UsageError outside of a task.
  template <typename P>
  void Suspend(std::coroutine_handle<P> handle, const char* what, const void* object) {
    if constexpr (TracedPromise<P>) {
      SuspendFrame(handle, &handle.promise().frame, what, object);
    } else {
      SuspendFrame(handle, nullptr, what, object);
    }
  }

  // What await_resume does first. Throws CancelledError if the task was cancelled.
  void Resumed() {
    if (cancelled_ || MustCancel()) [[unlikely]] {
      ThrowCancelled();
    }
  }

  // It had been woken, but was cancelled before it ran: what it was given (a
  // lock, an item) must go to somebody else.
  virtual void OnAbandoned() noexcept {}

  void MarkCancelled() noexcept { cancelled_ = true; }
  Site site() const noexcept { return site_; }

 private:
  void SuspendFrame(std::coroutine_handle<> handle, loopsan_async_frame* frame, const char* what,
                    const void* object);
  static bool MustCancel() noexcept;
  [[noreturn]] void ThrowCancelled();

  TaskState* task_ = nullptr;
  Site site_ = nullptr;
  bool cancelled_ = false;
};

}  // namespace loopsan::internal
