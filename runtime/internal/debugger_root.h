// Where debuggers find the coroutines of a thread: as folly's scripts (co_bt.py)
// look for them, through a global pthread key whose value leads to the thread's
// current AsyncStackRoot. Also works on core files.
#pragma once

#include "instrument/annotate.h"

namespace loopsan::internal {

// While it lives, `*root` is this thread's. Costs nothing per step.
class DebuggerRoot {
 public:
  explicit DebuggerRoot(loopsan_async_root** root) noexcept;
  DebuggerRoot(const DebuggerRoot&) = delete;
  DebuggerRoot& operator=(const DebuggerRoot&) = delete;
  ~DebuggerRoot();

 private:
  void* before_ = nullptr;
};

}  // namespace loopsan::internal
