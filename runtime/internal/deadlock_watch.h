// Finds deadlocks across the bridge between sync and async code (internal/wait_graph.h says
// what one is), and functions that sleep on the only thread that others wait for. In debug mode
// only.
//
// The looking, four times a second and at once when a thread begins to wait or a circle of tasks
// is closed, is done by a thread of its own, which exists while anything is watched. It asks the
// loops for what their tasks await: a loop that does not answer is busy, and alive. A deadlock is
// reported once it has been seen for a quarter of a second: before, a cancellation may end it.
//
// Threads: any, unless said otherwise.
#pragma once

#include <cstdint>

#include "runtime/internal/site.h"

namespace loopsan {
class Executor;
}

namespace loopsan::internal {

class TaskState;

// In debug mode, when a task is about to wait for another one (its end, or a lock that it
// holds): if that waits for the first, by however many tasks, their circle is watched. It is
// found only where it is closed, and so costs those who wait a walk along who waits for whom.
// Either may be null. The loop's thread.
void WatchTaskWait(const TaskState* task, const TaskState* needed) noexcept;

// A function on its way through an executor: a member of the call.
class WatchedCall {
 public:
  WatchedCall() = default;
  WatchedCall(const WatchedCall&) = delete;
  WatchedCall& operator=(const WatchedCall&) = delete;
  ~WatchedCall() { End(); }

  // It is sent to `executor`, or waits for room there. The loop's thread. `name` may be null. The
  // current task awaits it or, if there is `awaited`, those tasks that wait for that. May be
  // called again, for another executor.
  void Queue(const Executor& executor, Site called_at, const char* name,
             const void* awaited = nullptr) noexcept;
  // It begins on this thread.
  void Run() noexcept;
  // It is over (the same thread), or will not run. May be called again.
  void End() noexcept;
  // 0: it is not watched.
  uint64_t id() const noexcept { return id_; }

  // This thread runs a watched function.
  static bool RunsHere() noexcept;

 private:
  uint64_t id_ = 0;
  bool runs_ = false;
};

// A thread that waits for a coroutine: a member of AsyncCall.
class WatchedWait {
 public:
  WatchedWait() = default;
  WatchedWait(const WatchedWait&) = delete;
  WatchedWait& operator=(const WatchedWait&) = delete;
  ~WatchedWait() { End(); }

  // This thread begins to wait. `serves`: what is sent to it meanwhile; `function`: the call that
  // it runs, 0 if it is none's.
  void Begin(const Executor& serves, uint64_t function, Site called_at) noexcept;
  // The coroutine runs as this task; null: no longer. The loop's thread, which keeps the
  // task until then.
  void SetTask(TaskState* task) noexcept;
  void End() noexcept;
  // 0: it is not watched.
  uint64_t id() const noexcept { return id_; }

 private:
  uint64_t id_ = 0;
};

}  // namespace loopsan::internal
