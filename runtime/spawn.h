// TaskHandle<T> and Spawn(): tasks that run by themselves.
//
//   TaskHandle<int> answer = Spawn(Answer(), "answer");
//   ...
//   int value = co_await answer;
//
// The loop owns a running task: dropping the handle does not end it. Awaiting a
// handle gives the task's result, or throws what it threw, as often as it is
// awaited; `co_await std::move(handle)` moves the result out. If the awaiting task is
// cancelled, so is the awaited one (Shield() in runtime/shield.h prevents it).
//
// Threads: the loop's only.
#pragma once

#include <coroutine>
#include <source_location>
#include <string>
#include <utility>

#include "runtime/event_loop.h"
#include "runtime/internal/task_state.h"
#include "runtime/internal/waiter.h"
#include "runtime/task.h"

namespace loopsan {

namespace internal {

template <typename T>
class SpawnedState final : public TaskState {
 public:
  SpawnedState(EventLoop* its_loop, std::coroutine_handle<TaskPromise<T>> handle, Site spawned_at,
               const std::string& name)
      : TaskState(its_loop, handle, handle.promise(), spawned_at, name), handle_(handle) {}

  ResultSlot<T>& result() noexcept { return result_; }

 private:
  std::exception_ptr TakeResult() noexcept override {
    result_ = std::move(handle_.promise().result);
    return result_.error();
  }
  void SetCancelledResult(std::exception_ptr error) noexcept override {
    result_.SetError(std::move(error));
  }

  std::coroutine_handle<TaskPromise<T>> handle_;
  ResultSlot<T> result_;
};

// Another loop's task, oneself, or a circle: throws UsageError.
void CheckAwait(const TaskState* awaited, Site site);

// Waits until a task is done.
class JoinAwaiter : public Waiter {
 public:
  // `cancels`: cancelling the waiting task cancels the one it waits for.
  JoinAwaiter(TaskState* awaited, bool cancels) noexcept : awaited_(awaited), cancels_(cancels) {
    awaited_->Ref();
  }
  ~JoinAwaiter() { awaited_->Unref(); }

  bool await_ready(std::source_location here = std::source_location::current()) {
    Begin(here);
    return awaited_->done();
  }
  template <typename P>
  void await_suspend(std::coroutine_handle<P> handle) {
    CheckAwait(awaited_, site());
    awaited_->joiners.PushBack(this);
    Suspend(handle, "task", &awaited_->info);
  }

  void await_resume() { Resumed(); }

  bool OnCancel() noexcept override;
  TaskState* awaited() const noexcept { return awaited_; }
  TaskState* AwaitedTask() const noexcept override { return awaited_; }

 private:
  TaskState* const awaited_;
  const bool cancels_;
};

template <typename T>
class TaskResultAwaiter : public JoinAwaiter {
 public:
  explicit TaskResultAwaiter(SpawnedState<T>* state) noexcept : JoinAwaiter(state, true) {}
  decltype(auto) await_resume() {
    Resumed();
    awaited()->MarkRetrieved();
    return static_cast<SpawnedState<T>*>(awaited())->result().Peek();
  }
};

template <typename T>
class TaskMoveAwaiter : public JoinAwaiter {
 public:
  explicit TaskMoveAwaiter(SpawnedState<T>* state) noexcept : JoinAwaiter(state, true) {}
  T await_resume() {
    Resumed();
    awaited()->MarkRetrieved();
    return static_cast<SpawnedState<T>*>(awaited())->result().Take();
  }
};

}  // namespace internal

// What all handles can, whatever the task returns.
class AnyTaskHandle;
// The running task; not valid outside of tasks.
AnyTaskHandle CurrentTask() noexcept;

class AnyTaskHandle {
 public:
  AnyTaskHandle() noexcept = default;
  AnyTaskHandle(const AnyTaskHandle& other) noexcept : state_(other.state_) {
    if (state_ != nullptr) state_->Ref();
  }
  AnyTaskHandle(AnyTaskHandle&& other) noexcept : state_(std::exchange(other.state_, nullptr)) {}
  AnyTaskHandle& operator=(AnyTaskHandle other) noexcept {
    std::swap(state_, other.state_);
    return *this;
  }
  ~AnyTaskHandle() {
    if (state_ != nullptr) state_->Unref();
  }

  // False if it was moved from, or made by default.
  bool valid() const noexcept { return state_ != nullptr; }
  bool done() const noexcept { return state_->done(); }
  bool cancelled() const noexcept { return state_->cancelled(); }
  uint64_t id() const noexcept { return state_->info.id; }
  std::string name() const { return state_->DisplayName(); }
  void SetName(const std::string& name,
               std::source_location here = std::source_location::current());

  // Its innermost wait throws CancelledError. False if it is done.
  bool Cancel(std::source_location here = std::source_location::current());
  // How often Cancel() was called and not taken back; for code that handles it.
  uint32_t cancel_requests() const noexcept { return state_->cancel_requests; }
  uint32_t Uncancel(std::source_location here = std::source_location::current());

  // What it threw, null if nothing; counts as retrieved. REQUIRES: done().
  std::exception_ptr error() const noexcept {
    state_->MarkRetrieved();
    return state_->error();
  }

  internal::TaskState* state() const noexcept { return state_; }

 protected:
  explicit AnyTaskHandle(internal::TaskState* state) noexcept : state_(state) { state_->Ref(); }

  friend AnyTaskHandle CurrentTask() noexcept;

 private:
  internal::TaskState* state_ = nullptr;
};

template <typename T = void>
class TaskHandle : public AnyTaskHandle {
 public:
  TaskHandle() noexcept = default;

  internal::TaskResultAwaiter<T> operator co_await() const& {
    return internal::TaskResultAwaiter<T>(spawned());
  }
  internal::TaskMoveAwaiter<T> operator co_await() && {
    return internal::TaskMoveAwaiter<T>(spawned());
  }

  // The result, or throws what the task threw. REQUIRES: done().
  decltype(auto) result() const {
    spawned()->MarkRetrieved();
    return spawned()->result().Peek();
  }

 private:
  friend class EventLoop;
  explicit TaskHandle(internal::SpawnedState<T>* state) noexcept : AnyTaskHandle(state) {}
  internal::SpawnedState<T>* spawned() const noexcept {
    return static_cast<internal::SpawnedState<T>*>(state());
  }
};

template <typename T>
TaskHandle<T> EventLoop::Spawn(Task<T> task, const std::string& name, std::source_location here) {
  CheckUse("Spawn", here);
  if (!task.valid()) internal::ThrowAwaitedTwice(internal::SiteOf(here));
  auto* state = new internal::SpawnedState<T>(this, task.Release(), internal::SiteOf(here), name);
  Adopt(state);
  return TaskHandle<T>(state);
}

template <typename T>
T EventLoop::RunUntilComplete(Task<T> task, std::source_location here) {
  TakeOver(here);  // before anything is spawned: what is refused must not run later
  TaskHandle<T> handle = Spawn(std::move(task), "main", here);
  RunUntil(handle.state(), here);
  handle.state()->MarkRetrieved();
  return static_cast<internal::SpawnedState<T>*>(handle.state())->result().Take();
}

// Spawns on the loop that runs on this thread. Throws UsageError if there is none.
template <typename T>
TaskHandle<T> Spawn(Task<T> task, const std::string& name = {},
                    std::source_location here = std::source_location::current()) {
  return EventLoop::Running().Spawn(std::move(task), name, here);
}

}  // namespace loopsan
