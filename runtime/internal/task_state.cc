#include "runtime/internal/task_state.h"

#include <string.h>

#include <atomic>

#include "runtime/errors.h"
#include "runtime/event_loop.h"
#include "runtime/internal/annotations.h"
#include "runtime/internal/findings.h"
#include "runtime/internal/loop_private.h"
#include "runtime/spawn.h"

namespace loopsan::internal {

constinit thread_local Runner t_runner{};

namespace {
std::atomic<uint64_t> g_next_task{1};
}

TaskState::TaskState(EventLoop* the_loop, std::coroutine_handle<> outermost, PromiseBase& promise,
                     Site spawned_at, const std::string& name)
    : loop(the_loop), resume(outermost), context(Context::Current()), outermost_(outermost) {
  run = &RunStep;
  promise.started = true;
  info.id = g_next_task.fetch_add(1, std::memory_order_relaxed);
  if (!name.empty()) SetName(name);
  info.spawned_at = spawned_at;
  info.innermost = &promise.frame;
  info.since = Ticks();
  if (t_runner.task != nullptr) info.spawner = t_runner.task->info.id;
}

TaskState::~TaskState() {
  if (error_ != nullptr && !retrieved_ && !cancelled_) {
    if (loop_debug_) {
      Found found{.rule = Rule::kErrorNeverRetrieved, .message = {}, .task = this};
      found.message = "task '" + DisplayName() + "' failed and nobody looked: " + What(error_);
      found.where = info.spawned_at;
      Report(found);
    } else {
      PrintException({"the exception of task '" + DisplayName() + "' was never retrieved", error_,
                      info.spawned_at->file, info.spawned_at->line, DisplayName()});
    }
  }
}

std::string TaskState::DisplayName() const {
  return info.name == nullptr ? "Task-" + std::to_string(info.id) : info.name;
}

void TaskState::SetName(const std::string& name) {
  // Outside readers see either name, or none.
  info.name = nullptr;
  name_.reset();
  if (name.empty()) return;
  name_ = std::make_unique<char[]>(name.size() + 1);
  memcpy(name_.get(), name.c_str(), name.size() + 1);
  info.name = name_.get();
}

void TaskState::Schedule() noexcept {
  info.state = LOOPSAN_TASK_READY;
  info.waiting_for = nullptr;
  info.waiting_object = nullptr;
  loop->ready_.Push(this);
}

bool TaskState::Cancel() {
  if (done()) return false;
  // Who waits for tasks passes the request on to them. It reaches each once, by
  // however many ways, and does not go round in a circle of waits.
  if (loop->cancel_depth_ == 0) ++loop->cancel_order_;
  if (last_cancel_order == loop->cancel_order_) return !passing_cancel_on;
  last_cancel_order = loop->cancel_order_;
  ++cancel_requests;
  bool ends_wait = false;
  if (waiting_on != nullptr) {
    passing_cancel_on = true;
    ++loop->cancel_depth_;
    ends_wait = waiting_on->OnCancel();
    --loop->cancel_depth_;
    passing_cancel_on = false;
  }
  if (!ends_wait) must_cancel = true;
  return true;
}

void TaskState::RethrowError() {
  retrieved_ = true;
  if (error_) std::rethrow_exception(error_);
}

void TaskState::RunStep(ReadyItem* item) {
  auto* const task = static_cast<TaskState*>(item);
  EventLoop* const loop = task->loop;
  if (loop->traced_) [[unlikely]] {
    loop->BeginStep(task, nullptr);
  }
  Runner& runner = t_runner;
  loopsan_async_root root{task->info.innermost, nullptr, __builtin_frame_address(0),
                          __builtin_return_address(0)};
  runner.task = task;
  runner.root = &root;
  loop->info_.root = &root;
  loop->info_.current = &task->info;
  task->info.state = LOOPSAN_TASK_RUNNING;
  if (root.top_frame != nullptr) root.top_frame->root = &root;
  std::coroutine_handle<> next = task->resume;
  if (task->must_cancel && !task->begun_) [[unlikely]] {
    // Cancelled before its first step: nothing of it runs.
    task->must_cancel = false;
    task->never_ran_ = true;
    runner.finished = true;
  } else {
    task->begun_ = true;
    for (;;) {
      next.resume();
      if (runner.bounce == nullptr) break;
      next = std::coroutine_handle<>::from_address(std::exchange(runner.bounce, nullptr));
    }
  }
  runner.task = nullptr;
  runner.root = nullptr;
  loop->info_.root = nullptr;
  loop->info_.current = nullptr;
  if (runner.finished) {
    runner.finished = false;
    task->Finish();
  }
}

void TaskState::Finish() noexcept {
  if (never_ran_) {
    error_ = std::make_exception_ptr(CancelledError());
    SetCancelledResult(error_);
  } else {
    error_ = TakeResult();
    if (must_cancel && error_ == nullptr) {
      // Cancelled in its last step, and told nobody: asyncio's tasks end so, too.
      error_ = std::make_exception_ptr(CancelledError());
      SetCancelledResult(error_);
    }
  }
  if (error_) {
    try {
      std::rethrow_exception(error_);
    } catch (const CancelledError&) {
      cancelled_ = true;
    } catch (...) {
    }
  }
  info.state = LOOPSAN_TASK_DONE;
  info.innermost = nullptr;
  loop_debug_ = loop->debug();
  std::exchange(outermost_, nullptr).destroy();
  while (Waiter* joiner = joiners.front()) {
    if (joiner->is_waiting()) {
      joiner->Wake();
    } else {
      joiner->OnTaskDone(*this);
    }
  }
  loop->Disown(this);
}

void TaskState::Abandon() noexcept {
  if (done()) return;
  if (waiting_on != nullptr) waiting_on->Unlink();
  info.state = LOOPSAN_TASK_DONE;
  info.innermost = nullptr;
  cancelled_ = true;
  error_ = std::make_exception_ptr(CancelledError());
  SetCancelledResult(error_);
}

void TaskState::Destroy() noexcept {
  if (outermost_) std::exchange(outermost_, nullptr).destroy();
}

}  // namespace loopsan::internal
