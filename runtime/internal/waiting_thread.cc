#include "runtime/internal/waiting_thread.h"

#include "runtime/internal/look_for.h"
#include "runtime/internal/process_threads.h"

namespace loopsan::internal {

namespace {

constexpr std::chrono::milliseconds kSlice{250};

}  // namespace

WaitingThread::WaitingThread(std::shared_ptr<WaitingThread> outer)
    : outer_(std::move(outer)),
      thread_(std::this_thread::get_id()),
      generation_(ForkGeneration()) {}

bool WaitingThread::TrySubmit(std::function<void()>& job) {
  if (generation_ != ForkGeneration()) return false;
  {
    const std::lock_guard lock(mutex_);
    if (finished_) return false;
    jobs_.push_back(std::move(job));
    events_.fetch_add(1, std::memory_order_relaxed);
  }
  changed_.notify_one();
  return true;
}

void WaitingThread::Submit(std::function<void()> job) {
  if (TrySubmit(job)) return;
  throw UsageError("the thread no longer waits for the code that sends it a function");
}

void WaitingThread::Finish() noexcept {
  // Notified under the lock: once it is let go, the waiting thread may be gone, and this with it.
  const std::lock_guard lock(mutex_);
  finished_ = true;
  events_.fetch_add(1, std::memory_order_relaxed);
  changed_.notify_one();
}

bool WaitingThread::is_waiting() const {
  const std::lock_guard lock(mutex_);
  return !finished_ && generation_ == ForkGeneration();
}

// As an idle thread of a pool: what comes at once need not wake it.
void WaitingThread::LookForWork(uint32_t since) const noexcept {
  LookFor([this, since] { return events_.load(std::memory_order_relaxed) != since; });
}

bool WaitingThread::Run(const std::function<bool()>& go_on) {
  bool went_on = true;
  std::unique_lock lock(mutex_);
  const auto has_work = [this] { return finished_ || !jobs_.empty(); };
  for (;;) {
    if (!has_work()) {
      const uint32_t seen = events_.load(std::memory_order_relaxed);
      lock.unlock();
      LookForWork(seen);
      lock.lock();
    }
    while (!changed_.wait_for(lock, kSlice, has_work)) {
      lock.unlock();
      went_on = go_on();
      lock.lock();
      if (went_on) continue;
      finished_ = true;
      break;
    }
    if (jobs_.empty()) return went_on;
    std::function<void()> job = std::move(jobs_.front());
    jobs_.pop_front();
    lock.unlock();
    job();
    job = nullptr;  // what it holds goes while nothing is locked
    lock.lock();
  }
}

}  // namespace loopsan::internal
