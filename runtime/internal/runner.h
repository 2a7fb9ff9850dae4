// What runs on this thread right now.
#pragma once

#include <coroutine>
#include <cstddef>
#include <cstdint>

#include "instrument/annotate.h"

namespace loopsan {
class EventLoop;
}

namespace loopsan::internal {

class TaskState;
struct Creations;

struct Runner {
  EventLoop* loop;           // whose Run... is on this thread's stack
  TaskState* task;           // whose step is running
  loopsan_async_root* root;  // of the running step
  void* bounce;              // address of the coroutine to go on with at the bottom of the step
  uint32_t transfers;
  bool finished;         // the task's outermost coroutine has ended
  bool debug;            // of the loop, while it runs
  Creations* creations;  // of the thread, once it has run a loop in debug mode (creation.cc)
  size_t oversized;      // bytes of the coroutine frame being created, if too many
};

extern constinit thread_local Runner t_runner;

// Every transfer from one coroutine to another goes through here. g++ 12 turns
// it into a plain call where it does not optimize, or instruments: so every 64th
// goes down to the bottom of the step first, and the stack cannot grow on.
inline std::coroutine_handle<> Transfer(std::coroutine_handle<> to) noexcept {
  constexpr uint32_t kBounceEvery = 64;
  if ((++t_runner.transfers & (kBounceEvery - 1)) != 0 || t_runner.task == nullptr) [[likely]] {
    return to;
  }
  t_runner.bounce = to.address();
  return std::noop_coroutine();
}

}  // namespace loopsan::internal
