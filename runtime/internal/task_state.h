// A spawned task: what TaskHandle<T> refers to and the loop runs.
//
// Threads: the loop's only.
#pragma once

#include <coroutine>
#include <cstdint>
#include <exception>
#include <memory>
#include <string>
#include <utility>

#include "runtime/context.h"
#include "runtime/internal/frame_pool.h"
#include "runtime/internal/promise.h"
#include "runtime/internal/ready_queue.h"
#include "runtime/internal/waiter.h"

namespace loopsan {
class EventLoop;
}

namespace loopsan::internal {

// A base of its own, so that the way from what outside readers see back to the
// task is a cast that the standard knows.
struct TaskInfo {
  loopsan_task info{};
};

class TaskState : public ReadyItem, public TaskInfo, public Pooled {
 public:
  TaskState(const TaskState&) = delete;
  TaskState& operator=(const TaskState&) = delete;

  void Ref() noexcept { ++refs_; }
  void Unref() noexcept {
    if (--refs_ == 0) delete this;
  }

  bool done() const noexcept { return info.state == LOOPSAN_TASK_DONE; }
  // Ended by a CancelledError.
  bool cancelled() const noexcept { return cancelled_; }
  const std::exception_ptr& error() const noexcept { return error_; }

  static TaskState* FromInfo(loopsan_task* info) noexcept;

  // Asks the task to end: its innermost wait throws CancelledError, at once if it
  // waits, else at its next wait. False if it is done.
  bool Cancel();
  // Takes one Cancel() back after having handled it; returns how many are left. With
  // the last one goes a cancellation that has not been thrown yet.
  uint32_t Uncancel() noexcept {
    if (cancel_requests == 0) return 0;
    --cancel_requests;
    if (cancel_requests == 0) must_cancel = false;
    return cancel_requests;
  }

  // "Task-7" unless it was given a name.
  std::string DisplayName() const;
  void SetName(const std::string& name);

  // The error counts as seen from now on.
  void MarkRetrieved() noexcept { retrieved_ = true; }
  void RethrowError();

  // Makes it ready. REQUIRES: it is neither ready, running nor done.
  void Schedule() noexcept;

  EventLoop* const loop;
  std::coroutine_handle<> resume;  // where the next step begins
  Waiter* waiting_on = nullptr;
  uint32_t cancel_requests = 0;
  uint32_t time_limits = 0;  // that it is under: its waits may end by them
  uint32_t last_cancel_order = 0;
  bool must_cancel = false;  // at the next wait
  bool passing_cancel_on = false;
  bool self_wake_told = false;
  bool woke_itself = false;  // in its last step
  uint16_t self_wakes = 0;   // steps in a row that ended in the task waking itself
  uint64_t self_wake_ticks = 0;
  Context context;
  List<Waiter> joiners;

 protected:
  TaskState(EventLoop* loop, std::coroutine_handle<> outermost, PromiseBase& promise,
            Site spawned_at, const std::string& name);
  virtual ~TaskState();

  // Moves the result out of the coroutine, which is destroyed next.
  virtual std::exception_ptr TakeResult() noexcept = 0;
  // The result of a task that did not end by itself.
  virtual void SetCancelledResult(std::exception_ptr error) noexcept = 0;

 private:
  friend class ::loopsan::EventLoop;
  static void RunStep(ReadyItem* item);
  void Finish() noexcept;
  // At the close of its loop: it is done, and nobody wakes it any more; then its
  // coroutine is destroyed.
  void Abandon() noexcept;
  void Destroy() noexcept;

  std::coroutine_handle<> outermost_;
  std::unique_ptr<char[]> name_;  // info.name; most tasks have none
  std::exception_ptr error_;
  uint32_t refs_ = 1;
  bool cancelled_ = false;
  bool retrieved_ = false;
  bool begun_ = false;
  bool never_ran_ = false;
  bool loop_debug_ = false;  // of the loop, which may be gone when the last handle goes
};

inline TaskState* TaskState::FromInfo(loopsan_task* info) noexcept {
  return static_cast<TaskState*>(reinterpret_cast<TaskInfo*>(info));
}

// The context of the callback that runs on this thread, or null.
Context* CallbackContext() noexcept;

}  // namespace loopsan::internal
