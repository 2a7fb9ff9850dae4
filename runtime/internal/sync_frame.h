// Which function of SyncToAsync() runs on this thread: AsyncToSync() inside it goes
// back to the loop that it came from.
//
// Threads: each has its own.
#pragma once

#include <cstdint>

namespace loopsan::internal {

class SyncCall;

// Lies on the stack of the thread, around the function.
class SyncFrame {
 public:
  explicit SyncFrame(SyncCall& call) noexcept;
  SyncFrame(const SyncFrame&) = delete;
  SyncFrame& operator=(const SyncFrame&) = delete;
  ~SyncFrame();

  // The innermost call on this thread; null if there is none, or if it was begun by the
  // process that this one was forked from.
  static SyncCall* Current() noexcept;

 private:
  SyncCall& call_;
  SyncFrame* const outer_;
  const uint64_t generation_;
};

}  // namespace loopsan::internal
