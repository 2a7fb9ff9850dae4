#include "runtime/executor.h"

#include <pthread.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <system_error>
#include <thread>
#include <vector>

#include "runtime/internal/annotations.h"
#include "runtime/internal/findings.h"
#include "runtime/internal/look_for.h"
#include "runtime/internal/process_threads.h"

namespace loopsan {

namespace {

size_t DefaultThreads() {
  return std::min<size_t>(32, std::max(1U, std::thread::hardware_concurrency()) + 4);
}

// Waiting for threads on the thread of a running loop holds up everything on it.
void ReportBlockingWait() noexcept try {
  const internal::Runner& runner = internal::t_runner;
  if (runner.loop == nullptr || !runner.debug) return;
  internal::Found found{.rule = internal::Rule::kBlockingWait,
                        .message =
                            "an executor is shut down inside a step: the loop stands still "
                            "until its last function is done"};
  found.task = runner.task;
  const loopsan_async_frame* const frame =
      runner.root != nullptr ? runner.root->top_frame : nullptr;
  found.where = frame != nullptr ? frame->defined_at : nullptr;
  internal::Report(found);
} catch (...) {
  // Out of memory: the report is lost.
}

// The pool whose job this thread runs.
thread_local const void* t_pool = nullptr;

class ThreadPool final : public Executor {
 public:
  explicit ThreadPool(ThreadPoolOptions options)
      : most_(options.threads != 0 ? options.threads : DefaultThreads()),
        queue_limit_(options.queue_limit),
        name_(std::move(options.name)) {}
  ~ThreadPool() override { Shutdown(); }

  void Submit(std::function<void()> job) override {
    if (!TrySubmit(job)) throw ExecutorFullError();
  }

  bool TrySubmit(std::function<void()>& job) override {
    std::unique_lock lock(mutex_);
    if (shut_down_) {
      throw UsageError("executor '" + name_ +
                       "' was shut down and takes no more functions: let what calls them end "
                       "first, or give it another executor");
    }
    if (IsFull()) return false;
    // Each waiting job has a thread that is on its way to it, or all have been started.
    if (jobs_.size() >= idle_ && threads_.size() < most_) {
      try {
        StartThread();
      } catch (const std::system_error&) {
        // Where each job is promised a thread, none may have to wait for another's.
        if (threads_.empty() || most_ == internal::kThreadForEachJob) throw;
      }
    }
    jobs_.push_back({std::move(job), Clock::now()});
    queued_.store(jobs_.size(), std::memory_order_relaxed);
    // A thread that looks takes this one: before it sleeps it locks, and looks once more. (Relaxed:
    // it says that it no longer looks before it lets go of the lock.)
    const bool is_looked_for = jobs_.size() == 1 && looking_.load(std::memory_order_relaxed);
    // Unlocked first: the thread that wakes would only meet the lock, and sleep again.
    lock.unlock();
    if (!is_looked_for) changed_.notify_one();
    return true;
  }

  void NotifyOfRoom(std::function<void()> notify) override {
    {
      const std::lock_guard lock(mutex_);
      if (IsFull() && !shut_down_) {
        wait_for_room_.push_back(std::move(notify));
        return;
      }
    }
    notify();
  }

  std::string name() const override { return name_; }
  size_t most_threads() const noexcept override { return most_; }
  bool IsOnlyThread() const noexcept override { return most_ == 1 && t_pool == this; }

  void Shutdown() noexcept override {
    std::vector<std::thread> threads;
    std::deque<std::function<void()>> wait_for_room;
    {
      const std::lock_guard lock(mutex_);
      shut_down_ = true;
      threads.swap(threads_);
      wait_for_room.swap(wait_for_room_);
    }
    changed_.notify_all();
    for (const std::function<void()>& notify : wait_for_room) notify();
    if (!threads.empty()) ReportBlockingWait();
    for (std::thread& thread : threads) {
      if (thread.get_id() == std::this_thread::get_id()) {
        thread.detach();  // not allowed; but waiting for oneself helps nobody
      } else {
        thread.join();
      }
    }
  }

  ExecutorStats stats() const override {
    const std::lock_guard lock(mutex_);
    ExecutorStats stats = stats_;
    stats.threads = threads_.size();
    stats.idle = idle_;
    stats.queued = jobs_.size();
    return stats;
  }

 private:
  struct Job {
    std::function<void()> function;
    Clock::time_point submitted;
  };

  // All threads are busy, and as many jobs wait as may.
  bool IsFull() const {
    if (queue_limit_ == 0) return false;
    return jobs_.size() >= queue_limit_ + idle_ + (most_ - threads_.size());
  }

  // REQUIRES: mutex_ is held. The thread counts as idle from now on.
  void StartThread() {
    threads_.emplace_back([this] { Work(); });
    ++idle_;
    // The kernel keeps 15 characters; the number matters most.
    const std::string number = "_" + std::to_string(threads_.size() - 1);
    const std::string name = name_.substr(0, 15 - std::min<size_t>(15, number.size())) + number;
    pthread_setname_np(threads_.back().native_handle(), name.c_str());
  }

  void Work() {
    t_pool = this;
    std::unique_lock lock(mutex_);
    for (;;) {
      if (jobs_.empty() && !shut_down_) {
        // Who was told before may have changed its mind: an idle thread leaves nobody waiting.
        const std::deque<std::function<void()>> told = std::exchange(wait_for_room_, {});
        lock.unlock();
        for (const std::function<void()>& notify : told) notify();
        LookForJob();
        lock.lock();
      }
      changed_.wait(lock, [this] { return !jobs_.empty() || shut_down_; });
      --idle_;
      if (jobs_.empty()) return;
      std::function<void()> job = std::move(jobs_.front().function);
      const auto delay = Clock::now() - jobs_.front().submitted;
      jobs_.pop_front();
      queued_.store(jobs_.size(), std::memory_order_relaxed);
      ++stats_.begun;
      stats_.total_delay += delay;
      stats_.worst_delay = std::max<std::chrono::nanoseconds>(stats_.worst_delay, delay);
      std::function<void()> notify;
      if (!wait_for_room_.empty() && !IsFull()) {
        notify = std::move(wait_for_room_.front());
        wait_for_room_.pop_front();
      }
      lock.unlock();
      TellDelay(delay);
      if (notify) notify();
      job();
      job = nullptr;  // what it holds goes while nothing is locked
      lock.lock();
      ++idle_;
    }
  }

  void TellDelay(std::chrono::nanoseconds delay) const noexcept {
    if (const loopsan_annotations* const probe = internal::Annotations()) {
      probe->queue_delay(name_.c_str(), static_cast<uint64_t>(std::max<int64_t>(0, delay.count())));
    }
  }

  // One idle thread looks a little longer before it sleeps: who sends one function
  // after the other does not pay for a wake-up each time.
  void LookForJob() noexcept {
    if (looking_.exchange(true, std::memory_order_relaxed)) return;
    internal::LookFor([this] { return queued_.load(std::memory_order_relaxed) != 0; });
    looking_.store(false, std::memory_order_relaxed);
  }

  const size_t most_;
  const size_t queue_limit_;  // 0: none
  const std::string name_;
  std::atomic<size_t> queued_{0};  // jobs_.size(), for who looks without the lock
  std::atomic<bool> looking_{false};
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Job> jobs_;
  std::deque<std::function<void()>> wait_for_room_;
  std::vector<std::thread> threads_;
  size_t idle_ = 0;
  bool shut_down_ = false;
  ExecutorStats stats_;
};

}  // namespace

Executor& EventLoop::DefaultExecutor() {
  CheckUse("DefaultExecutor", std::source_location::current());
  if (executor_ == nullptr) executor_ = MakeThreadPool();
  return *executor_;
}

std::unique_ptr<Executor> MakeThreadPool(ThreadPoolOptions options) {
  return std::make_unique<ThreadPool>(std::move(options));
}

Task<> WaitForRoom(Executor& executor) {
  Promise<> room;
  Future<> future = room.future();
  executor.NotifyOfRoom([room]() mutable { room.SetValue(); });
  co_await std::move(future);
}

Task<> ShutDown(Executor& executor) {
  Promise<> ended;
  Future<> future = ended.future();
  internal::HelperThreads().Submit([&executor, ended]() mutable {
    executor.Shutdown();
    ended.SetValue();
  });
  co_await std::move(future);
}

namespace internal {

void ReportExecutorDelay(Duration delay, Site sent_at, const std::string& executor) noexcept try {
  Found found{.rule = Rule::kExecutorDelay, .message = {}};
  found.where = sent_at;
  found.seconds = std::chrono::duration<double>(delay).count();
  found.message =
      "a function waited " +
      std::to_string(std::chrono::duration_cast<std::chrono::milliseconds>(delay).count()) +
      " ms for a thread of executor '" + executor + "'";
  Report(found);
} catch (...) {
  // Out of memory: the report is lost.
}

ExecutorJob::ExecutorJob(EventLoop& loop, Site site)
    : loop_(&loop),
      handle_(loop.Handle()),
      site_(site),
      context_(Context::Current()),
      longest_delay_(loop.slow_step()) {
  if (loop.debug()) submitted_ = Clock::now();
}

void ExecutorJob::Watch(const Executor& executor, const void* awaited) noexcept {
  executor_ = &executor;
  if (submitted_) watch_.Queue(executor, site_, nullptr, awaited);
}

void ExecutorJob::Begin() {
  watch_.Run();
  std::swap(Context::Current(), context_);
  if (!submitted_) return;
  const Duration delay = Clock::now() - *submitted_;
  if (delay <= longest_delay_) return;
  // Findings about the loop are made on its thread.
  // (The executor may be gone by then.)
  auto report = [delay, site = site_, name = executor_->name()] {
    ReportExecutorDelay(delay, site, name);
  };
  handle_.CallSoon(std::move(report));
}

void ExecutorJob::End() {
  std::swap(Context::Current(), context_);
  watch_.End();
}

void ExecutorJob::TellLostError(std::exception_ptr error) const {
  handle_.CallSoon([loop = loop_, error = std::move(error), site = site_] {
    loop->HandleException({"a function in an executor failed after its waiter was cancelled", error,
                           site->file, site->line, ""});
  });
}

}  // namespace internal
}  // namespace loopsan
