// Random tasks that spawn, cancel, wait, fail and are completed by other threads, with
// a check that each ends exactly once and nothing is left.
//
// One seed by hand: LOOPSAN_STRESS_SEED=123 runtime_stress_test
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <random>
#include <set>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "runtime/as_completed.h"
#include "runtime/future.h"
#include "runtime/gather.h"
#include "runtime/shield.h"
#include "runtime/sleep.h"
#include "runtime/task_group.h"
#include "runtime/timeout.h"
#include "runtime/when_any.h"
#include "tests/runtime/run_loop.h"

namespace loopsan::testing {
namespace {

using namespace std::chrono_literals;

// Checks the life of each task: spawned, then steps, then one exit, then nothing.
class LifeCheck final : public Instrument {
 public:
  void OnSpawn(const Step& task) override {
    EXPECT_TRUE(alive_.insert(task.task_id).second);
    ++spawned_;
  }
  void OnStepBegin(const Step& step) override {
    EXPECT_TRUE(step.task_id == 0 || alive_.contains(step.task_id)) << "a step after the end";
  }
  void OnTaskExit(const Step& task, bool) override {
    EXPECT_EQ(alive_.erase(task.task_id), 1u) << "ended twice";
    ++ended_;
  }
  size_t alive() const { return alive_.size(); }
  size_t spawned() const { return spawned_; }
  size_t ended() const { return ended_; }

 private:
  std::set<uint64_t> alive_;
  size_t spawned_ = 0;
  size_t ended_ = 0;
};

// Threads that complete, break or drop promises, and post to the loop.
class Workers {
 public:
  explicit Workers(LoopHandle loop) : loop_(std::move(loop)) {
    for (int i = 0; i < 2; ++i) threads_.emplace_back([this] { Work(); });
  }
  ~Workers() { Join(); }

  void Give(Promise<int> promise) {
    {
      const std::lock_guard lock(mutex_);
      promises_.push_back(std::move(promise));
    }
    changed_.notify_one();
  }
  void Join() {
    {
      const std::lock_guard lock(mutex_);
      over_ = true;
    }
    changed_.notify_all();
    for (std::thread& thread : threads_) thread.join();
    threads_.clear();
  }

  // How many callbacks the loop has taken, and how many of them have run or were destroyed.
  std::atomic<int> taken = 0;
  std::atomic<int> gone = 0;

 private:
  // Counts when its callback goes, run or not.
  struct Mark {
    explicit Mark(std::atomic<int>* the_gone) : gone(the_gone) {}
    Mark(Mark&& other) noexcept : gone(std::exchange(other.gone, nullptr)) {}
    ~Mark() {
      if (gone != nullptr) ++*gone;
    }
    std::atomic<int>* gone;
  };

  void Work() {
    for (int count = 0;; ++count) {
      std::optional<Promise<int>> promise;
      {
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [this] { return over_ || !promises_.empty(); });
        if (promises_.empty()) return;
        promise = std::move(promises_.front());
        promises_.pop_front();
      }
      ++taken;  // what is refused is destroyed, too
      loop_.CallSoon([mark = Mark(&gone)] {});
      if (count % 3 == 0) {
        promise->SetValue(count);
      } else if (count % 3 == 1) {
        promise->SetError(std::make_exception_ptr(std::runtime_error("from a thread")));
      }
    }
  }

  const LoopHandle loop_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Promise<int>> promises_;
  bool over_ = false;
  std::vector<std::thread> threads_;
};

class Stress {
 public:
  explicit Stress(unsigned seed) : seed_(seed), random_(seed) {}

  void Run() {
    auto port = std::make_unique<ScriptedPort>();
    port->AllowRealWaits();
    const auto life = std::make_shared<LifeCheck>();
    {
      EventLoop loop({.port = std::move(port), .name = {}, .debug = seed_ % 2 == 0});
      loop.AddInstrument(life);
      Workers workers(loop.Handle());
      workers_ = &workers;
      loop.RunUntilComplete(Main());
      // Every third run leaves its tasks to Close().
      if (seed_ % 3 != 0) loop.RunUntilComplete(End());
      EXPECT_EQ(life->spawned() - life->ended(), loop.task_count());
      if (seed_ % 5 == 0) workers.Join();
      loop.Close();
      EXPECT_EQ(loop.task_count(), 0u);
      workers.Join();
      EXPECT_EQ(workers.taken, workers.gone);
    }
    pool_.clear();
    EXPECT_EQ(life->alive(), 0u);
    EXPECT_EQ(life->spawned(), life->ended());
    EXPECT_EQ(frames_, 0);
    EXPECT_GT(life->spawned(), 20u);
  }

 private:
  static constexpr int kMostTasks = 400;

  // Lies in every coroutine: counts those that were begun and not destroyed.
  struct Alive {
    explicit Alive(int& the_frames) : frames(the_frames) { ++frames; }
    Alive(const Alive&) = delete;
    Alive& operator=(const Alive&) = delete;
    ~Alive() { --frames; }
    int& frames;
  };

  int Dice(int sides) { return std::uniform_int_distribution<int>(0, sides - 1)(random_); }
  Duration SomeTime() { return Dice(50) * 1ms; }
  TaskHandle<int> SomeTask() {
    return pool_[static_cast<size_t>(Dice(static_cast<int>(pool_.size())))];
  }

  TaskHandle<int> SpawnOne(int depth) {
    ++tasks_;
    TaskHandle<int> task = Spawn(Actor(depth));
    if (pool_.size() < 64) {
      pool_.push_back(task);
    } else {
      pool_[static_cast<size_t>(Dice(64))] = task;
    }
    return task;
  }

  Task<> Main() {
    const Alive alive(frames_);
    for (int i = 0; i < 20; ++i) SpawnOne(0);
    for (int i = 0; i < 30; ++i) {
      co_await SleepFor(SomeTime());
      SomeTask().Cancel();
    }
  }

  // Tasks that swallow cancellations and await each other may never end: Close() ends those.
  Task<> End() {
    const Alive alive(frames_);
    try {
      co_await WithTimeout(10s, EventLoop::Running().CancelAll());
    } catch (const TimeoutError&) {
    }
  }

  Task<int> Actor(int depth) {
    const Alive alive(frames_);
    const int acts = 1 + Dice(6);
    for (int i = 0; i < acts; ++i) {
      bool cancelled = false;
      try {
        co_await Act(depth);
      } catch (const CancelledError&) {
        cancelled = true;
      } catch (const TimeoutError&) {
      } catch (const TaskGroupError&) {
      } catch (const UsageError&) {  // an await circle
      }
      if (!cancelled) continue;
      if (Dice(4) == 0) co_await SleepFor(SomeTime());  // clean-up
      if (Dice(8) != 0) throw CancelledError();
    }
    co_return depth;
  }

  Task<> Act(int depth) {
    const Alive alive(frames_);
    const bool may_spawn = depth < 6 && tasks_ < kMostTasks;
    switch (Dice(14)) {
      case 0:
        co_await Yield();
        break;
      case 1:
      case 2:
        co_await SleepFor(SomeTime());
        break;
      case 3:
        if (may_spawn) SpawnOne(depth + 1);
        break;
      case 4:
        if (may_spawn) co_await SpawnOne(depth + 1);
        break;
      case 5:
        SomeTask().Cancel();
        break;
      case 6:
        co_await WithTimeout(SomeTime(), SomeTask());
        break;
      case 7: {
        const TaskHandle<int> task = SomeTask();
        co_await WithTimeout(SomeTime(), Shield(task));
        break;
      }
      case 8:
        co_await OfAThread();
        break;
      case 9:
        if (Dice(3) == 0) throw std::runtime_error("from a task");
        break;
      case 10:
        if (may_spawn) {
          tasks_ += 2;
          co_await Gather(Actor(depth + 1), Actor(depth + 1));
        }
        break;
      case 11:
        if (may_spawn) co_await InAGroup(depth);
        break;
      case 12: {
        std::vector<TaskHandle<int>> some;
        for (int i = 0; i < 3; ++i) some.push_back(SomeTask());
        if (Dice(2) == 0) {
          co_await Wait(std::move(some), WaitUntil::kFirstException, SomeTime());
        } else {
          AsCompleted results(std::move(some), SomeTime());
          co_await results.Next();
        }
        break;
      }
      default:
        CurrentTask().Cancel();
        if (Dice(2) == 0) CurrentTask().Uncancel();
        break;
    }
  }

  Task<> OfAThread() {
    const Alive alive(frames_);
    Promise<int> promise;
    const Future<int> future = promise.future();
    workers_->Give(std::move(promise));
    try {
      co_await future;
    } catch (const std::runtime_error&) {  // broken, or from the thread
    }
  }

  Task<> InAGroup(int depth) {
    const Alive alive(frames_);
    const auto body = [this, depth](TaskGroup& group) -> Task<> {
      const Alive body_alive(frames_);
      for (int i = Dice(4); i > 0; --i) {
        ++tasks_;
        group.Spawn(Actor(depth + 1));
      }
      co_await SleepFor(SomeTime());
    };
    co_await WithTaskGroup(body);
  }

  const unsigned seed_;
  std::minstd_rand random_;
  Workers* workers_ = nullptr;
  std::vector<TaskHandle<int>> pool_;
  int tasks_ = 0;
  int frames_ = 0;
};

class StressTest : public ::testing::TestWithParam<unsigned> {};

TEST_P(StressTest, EveryTaskEndsOnceAndNothingIsLeft) {
  // What the random tasks do wrong is told; nothing else may be.
  const KeptFindings findings;
  Stress(GetParam()).Run();
  EXPECT_THAT(findings.rules(),
              ::testing::Each(::testing::AnyOf("exception-never-retrieved", "await-cycle",
                                               "awaits-itself", "destroyed-while-pending",
                                               "leaked-at-close", "slow-step", "long-turn")));
}

std::vector<unsigned> Seeds() {
  if (const char* const seed = getenv("LOOPSAN_STRESS_SEED")) {
    return {static_cast<unsigned>(strtoul(seed, nullptr, 10))};
  }
  std::vector<unsigned> seeds;
  for (unsigned seed = 1; seed <= 60; ++seed) seeds.push_back(seed);
  return seeds;
}

INSTANTIATE_TEST_SUITE_P(Seeds, StressTest, ::testing::ValuesIn(Seeds()),
                         ::testing::PrintToStringParamName());

}  // namespace
}  // namespace loopsan::testing
