// A thread that waits for async code in AsyncToSync(), and meanwhile runs the
// thread-sensitive functions that this code calls through SyncToAsync(): so chains of sync and
// async code stay on one thread, and do not wait for themselves.
//
// A thread that waits again, inside such a function, has one of these for each wait;
// the outer ones get no turn until the inner is over.
//
// Threads: made and run by the thread that waits, the rest any. Shared by it and by
// the contexts of the tasks below it, which may outlive the wait.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "runtime/executor.h"

namespace loopsan::internal {

class WaitingThread final : public Executor {
 public:
  // `outer`: where its jobs go once this wait is over; may be null.
  explicit WaitingThread(std::shared_ptr<WaitingThread> outer);

  // Runs jobs until Finish() and until none is left. Calls `go_on()` about four times a second,
  // also while it waits; once that is false it takes no more jobs and returns false.
  bool Run(const std::function<bool()>& go_on);
  // Ends Run(). May be called before it.
  void Finish() noexcept;

  const std::shared_ptr<WaitingThread>& outer() const noexcept { return outer_; }

  // False if the wait is over, or its thread was left behind by a fork.
  bool TrySubmit(std::function<void()>& job) override;
  // Throws UsageError where TrySubmit() returns false.
  void Submit(std::function<void()> job) override;
  void Shutdown() noexcept override { Finish(); }
  std::string name() const override { return "a waiting thread"; }
  size_t most_threads() const noexcept override { return 1; }
  bool IsOnlyThread() const noexcept override { return thread_ == std::this_thread::get_id(); }
  // It has not come to its end.
  bool is_waiting() const;

 private:
  void LookForWork(uint32_t since) const noexcept;

  const std::shared_ptr<WaitingThread> outer_;
  const std::thread::id thread_;
  const uint64_t generation_;
  std::atomic<uint32_t> events_{0};  // jobs that came, and the end; for who looks without the lock
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::function<void()>> jobs_;
  bool finished_ = false;
};

}  // namespace loopsan::internal
