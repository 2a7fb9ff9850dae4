// A loop on a thread of its own, for the AsyncToSync() calls of one
// AsyncSingleThreadContext. It is started by the first of them.
//
// Threads: any.
#pragma once

#include <cstdint>
#include <exception>
#include <future>
#include <memory>
#include <mutex>
#include <optional>

#include "runtime/event_loop.h"
#include "runtime/future.h"

namespace loopsan::internal {

class WaitingThread;

class SharedLoop : public std::enable_shared_from_this<SharedLoop> {
 public:
  SharedLoop();
  SharedLoop(const SharedLoop&) = delete;
  SharedLoop& operator=(const SharedLoop&) = delete;

  // Starts it, if need be. None if it has ended, or belongs to the process that this
  // one was forked from. Throws what starting a thread and a loop may throw.
  std::optional<LoopHandle> Handle();

  // Cancels the tasks that are left, and waits until the loop is closed. Meanwhile this thread
  // runs the thread-sensitive functions that they call.
  void End() noexcept;

 private:
  // On the loop's thread.
  void Run(std::promise<LoopHandle>& started) noexcept;

  const uint64_t generation_;
  std::mutex mutex_;
  std::optional<LoopHandle> handle_;
  std::optional<Promise<>> stop_;          // while it runs
  std::shared_ptr<WaitingThread> ending_;  // who waits for its end
  bool ended_ = false;
};

}  // namespace loopsan::internal
