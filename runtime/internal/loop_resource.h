// What holds something of a loop (a watched descriptor), and must let it go when
// the loop is closed.
//
// Threads: the loop's only.
#pragma once

#include "runtime/internal/intrusive.h"

namespace loopsan::internal {

// In the loop's list of them while it needs the loop.
class LoopResource : public ListNode {
 public:
  // The loop is being closed, its tasks are gone; it is no longer in the list.
  virtual void OnLoopClosed() noexcept = 0;

 protected:
  ~LoopResource() = default;
};

}  // namespace loopsan::internal
