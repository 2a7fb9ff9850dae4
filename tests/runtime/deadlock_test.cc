// Deadlocks across tasks, threads and executors are reported with their members; what only
// takes its time is not. Each test breaks up what it has built.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <condition_variable>
#include <future>
#include <latch>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "runtime/async_to_sync.h"
#include "runtime/mutex.h"
#include "runtime/shield.h"
#include "runtime/sleep.h"
#include "runtime/spawn.h"
#include "runtime/sync_to_async.h"
#include "runtime/task_group.h"
#include "runtime/timeout.h"
#include "tests/runtime/real_loop.h"
#include "tests/runtime/run_loop.h"

namespace loopsan::testing {
namespace {

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::Field;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;

MATCHER_P(Says, text, "") { return arg.what.find(text) != std::string::npos; }

// Waits for the finding on another thread, so that the loop goes on; then runs `break_up`.
template <typename F>
Task<RuntimeFinding> WaitForFinding(KeptFindings& findings, const char* rule, F break_up) {
  const auto wait = [&findings, rule] { return findings.WaitFor(rule); };
  auto waiting = RunInExecutor(wait);
  RuntimeFinding finding = co_await std::move(waiting);
  break_up();
  co_return finding;
}

Task<> EndOf(const TaskHandle<>& task) {
  try {
    co_await task;
  } catch (const CancelledError&) {
  }
}

TEST(Deadlock, OfAPoolWhoseThreadsAllWaitForWorkBehindThemIsReported) {
  KeptFindings findings;
  const auto main = [&]() -> Task<RuntimeFinding> {
    const auto pool = MakeThreadPool({.threads = 2, .name = "workers"});
    const SyncToAsyncOptions on_pool{
        .thread_sensitive = false, .executor = pool.get(), .name = "Load"};
    const auto nothing = [] {};
    const auto inner = SyncToAsync(nothing, on_pool);
    const auto ask = [&]() -> Task<> { co_await inner(); };
    std::latch both(2);
    const auto load = [&] {
      both.arrive_and_wait();
      AsyncToSync(ask)();
    };
    const auto loading = SyncToAsync(load, on_pool);
    TaskHandle<> first = Spawn(loading(), "first");
    TaskHandle<> second = Spawn(loading(), "second");
    const auto break_up = [&] {
      first.Cancel();
      second.Cancel();
    };
    const RuntimeFinding finding = co_await WaitForFinding(findings, "deadlock", break_up);
    co_await EndOf(first);
    co_await EndOf(second);
    co_await ShutDown(*pool);
    co_return finding;
  };
  const RuntimeFinding finding = RunReal(main());
  EXPECT_THAT(finding.message,
              HasSubstr("can go on unless one is cancelled: each waits for the next"));
  EXPECT_THAT(finding.members, Contains(Says("waits for a thread of executor 'workers'")));
  EXPECT_THAT(finding.members, Contains(Says("function 'Load' runs on thread 'workers_")));
  EXPECT_THAT(finding.members, Contains(Says("waits in AsyncToSync() for task")));
  EXPECT_THAT(finding.members,
              Contains(AllOf(Says("AsyncToSync()"),
                             Field(&RuntimeFindingMember::stack, SizeIs(::testing::Ge(1u))))));
  EXPECT_THAT(finding.file, HasSubstr("deadlock_test.cc"));
}

TEST(Deadlock, OfATaskAndTheFunctionThatItAwaitsIsReported) {
  KeptFindings findings;
  const auto main = [&]() -> Task<RuntimeFinding> {
    Mutex mutex;
    // The function's coroutine wants the mutex of the task that awaits the function.
    const auto ask = [&]() -> Task<> { const MutexLock lock = co_await mutex.Lock(); };
    const auto work = [&] { AsyncToSync(ask)(); };
    const auto run = SyncToAsync(work, {.name = "Work"});
    const auto hold = [&]() -> Task<> {
      const MutexLock lock = co_await mutex.Lock();
      co_await run();
    };
    TaskHandle<> holder = Spawn(hold(), "holder");
    const auto break_up = [&] { holder.Cancel(); };
    const RuntimeFinding finding = co_await WaitForFinding(findings, "deadlock", break_up);
    co_await EndOf(holder);
    co_return finding;
  };
  const RuntimeFinding finding = RunReal(main());
  EXPECT_THAT(finding.members, Contains(Says("task 'holder' waits for a function")));
  EXPECT_THAT(finding.members, Contains(Says("waits for a mutex")));
  EXPECT_THAT(finding.members, Contains(Says("function 'Work' runs on thread")));
}

TEST(Deadlock, OverALockOfTheThreadThatWaitsIsReported) {
  KeptFindings findings;
  const auto main = [&]() -> Task<RuntimeFinding> {
    std::mutex mutex;
    const auto need = [&] { const std::lock_guard lock(mutex); };
    const auto needing = SyncToAsync(need, {.thread_sensitive = false, .name = "Need"});
    TaskHandle<> asked;
    const auto ask = [&]() -> Task<> {
      asked = Spawn(needing(), "asked");
      co_await Shield(asked);  // may be left while the function sleeps: the test's way out
    };
    const auto work = [&] {
      const std::lock_guard lock(mutex);
      AsyncToSync(ask)();
    };
    const auto run = SyncToAsync(work, {.name = "Work"});
    TaskHandle<> working = Spawn(run(), "working");
    const auto break_up = [&] { working.Cancel(); };
    const RuntimeFinding finding = co_await WaitForFinding(findings, "deadlock", break_up);
    co_await EndOf(working);
    co_await asked;
    co_return finding;
  };
  const RuntimeFinding finding = RunReal(main());
  EXPECT_THAT(finding.members, Contains(AllOf(Says("function 'Need' runs on thread"),
                                              Says("waits for a std::mutex that thread '"))));
  EXPECT_THAT(finding.members, Contains(Says("waits in AsyncToSync() for task")));
}

// Two tasks lock two mutexes in opposite order. Another one has a timer all the while.
Task<> LockBoth(Mutex& first, Mutex& second) {
  const MutexLock lock = co_await first.Lock();
  co_await Yield();
  const MutexLock other = co_await second.Lock();
}

TEST(Deadlock, OfTwoTasksAndTwoMutexesIsReportedBesideATimer) {
  KeptFindings findings;
  const auto main = [&]() -> Task<RuntimeFinding> {
    Mutex a;
    Mutex b;
    const auto sleep = []() -> Task<> { co_await SleepFor(std::chrono::hours(1)); };
    TaskHandle<> timer = Spawn(sleep());
    TaskHandle<> first = Spawn(LockBoth(a, b), "first");
    TaskHandle<> second = Spawn(LockBoth(b, a), "second");
    const auto break_up = [&] {
      first.Cancel();
      timer.Cancel();
    };
    const RuntimeFinding finding = co_await WaitForFinding(findings, "deadlock", break_up);
    co_await EndOf(first);
    co_await second;
    co_await EndOf(timer);
    co_return finding;
  };
  const RuntimeFinding finding = RunReal(main());
  EXPECT_THAT(finding.message, HasSubstr("none of these 2 can go on"));
  EXPECT_THAT(finding.members, SizeIs(2));
  EXPECT_THAT(finding.members, Contains(Says("task 'first' waits for a mutex")));
  EXPECT_THAT(finding.members, Contains(Says("task 'second' waits for a mutex")));
  EXPECT_THAT(findings.rules(), SizeIs(1));
}

// The join or the lock may come last.
TEST(Deadlock, OfATaskThatJoinsOneWhichWantsItsMutexIsReported) {
  for (const bool lock_first : {false, true}) {
    KeptFindings findings;
    const auto main = [&]() -> Task<RuntimeFinding> {
      Mutex mutex;
      TaskHandle<> wants;
      const auto want = [&]() -> Task<> { const MutexLock lock = co_await mutex.Lock(); };
      const auto hold = [&]() -> Task<> {
        const MutexLock lock = co_await mutex.Lock();
        wants = Spawn(want(), "wants");
        if (lock_first) co_await Yield();
        co_await wants;
      };
      TaskHandle<> holds = Spawn(hold(), "holds");
      const auto break_up = [&] { holds.Cancel(); };
      const RuntimeFinding finding = co_await WaitForFinding(findings, "deadlock", break_up);
      co_await EndOf(holds);
      co_return finding;
    };
    const RuntimeFinding finding = RunReal(main());
    EXPECT_THAT(finding.members, SizeIs(2));
    EXPECT_THAT(finding.members, Contains(Says("task 'wants' waits for a mutex")));
    EXPECT_THAT(finding.members, Contains(Says("task 'holds' waits for a task")));
  }
}

TEST(Deadlock, OfATaskGroupWhoseParentHoldsTheMutexIsReported) {
  KeptFindings findings;
  const auto main = [&]() -> Task<RuntimeFinding> {
    Mutex mutex;
    const auto want = [&]() -> Task<> { const MutexLock lock = co_await mutex.Lock(); };
    const auto body = [&](TaskGroup& group) -> Task<> {
      group.Spawn(want(), "wants");
      co_await Yield();
    };
    const auto hold = [&]() -> Task<> {
      const MutexLock lock = co_await mutex.Lock();
      co_await WithTaskGroup(body);
    };
    TaskHandle<> holds = Spawn(hold(), "holds");
    const auto break_up = [&] { holds.Cancel(); };
    const RuntimeFinding finding = co_await WaitForFinding(findings, "deadlock", break_up);
    co_await EndOf(holds);
    co_return finding;
  };
  const RuntimeFinding finding = RunReal(main());
  EXPECT_THAT(finding.members, Contains(Says("task 'holds' waits for a task group")));
}

// asgiref knows this one as a test that is expected to fail.
TEST(ExecutorStuck, IsAFunctionThatSleepsWhileWhatMustWakeItWaitsForItsThread) {
  KeptFindings findings;
  const auto main = [&]() -> Task<RuntimeFinding> {
    std::mutex mutex;
    std::condition_variable changed;
    bool set = false;
    const auto wait = [&] {
      std::unique_lock lock(mutex);
      changed.wait(lock, [&] { return set; });
    };
    const auto wake = [&] {
      const std::lock_guard lock(mutex);
      set = true;
      changed.notify_all();
    };
    const auto waiter = SyncToAsync(wait, {.name = "Wait"});
    const auto setter = SyncToAsync(wake, {.name = "Set"});
    TaskHandle<> waiting = Spawn(waiter(), "waiting");
    TaskHandle<> setting = Spawn(setter(), "setting");
    const auto break_up = [&] { wake(); };
    const RuntimeFinding finding = co_await WaitForFinding(findings, "executor-stuck", break_up);
    co_await waiting;
    co_await setting;
    co_return finding;
  };
  const RuntimeFinding finding = RunReal(main());
  EXPECT_THAT(finding.message, AllOf(HasSubstr("function 'Wait' has run for"),
                                     HasSubstr("sleeps there without a time limit"),
                                     HasSubstr("1 waits for the same thread: if that")));
  EXPECT_THAT(finding.members, SizeIs(2));
  EXPECT_THAT(finding.members, Contains(Says("function 'Set' waits for that thread")));
  EXPECT_THAT(findings.rules(), Not(Contains("deadlock")));
}

TEST(ExecutorStuck, IsNotWhatHasAThreadOfItsOwn) {
  const KeptFindings findings;
  const auto main = [&]() -> Task<> {
    std::promise<void> set;
    const auto wait = [&] { set.get_future().wait(); };
    const auto wake = [&] { set.set_value(); };
    const auto waiter = SyncToAsync(wait, {.thread_sensitive = false});
    const auto setter = SyncToAsync(wake, {.thread_sensitive = false});
    TaskHandle<> waiting = Spawn(waiter());
    co_await setter();
    co_await waiting;
  };
  RunReal(main());
  EXPECT_THAT(findings.all(), IsEmpty());
}

// Several looks long.
constexpr std::chrono::milliseconds kLong{900};

TEST(Deadlock, IsNotWhatATimeLimitEnds) {
  const KeptFindings findings;
  const auto main = [&]() -> Task<> {
    const auto pool = MakeThreadPool({.threads = 1, .name = "single"});
    const SyncToAsyncOptions on_pool{.thread_sensitive = false, .executor = pool.get()};
    const auto nothing = [] {};
    const auto inner = SyncToAsync(nothing, on_pool);
    const auto ask = [&]() -> Task<> {
      try {
        co_await WithTimeout(kLong, inner());
      } catch (const TimeoutError&) {
      }
    };
    const auto work = [&] { AsyncToSync(ask)(); };
    const auto run = SyncToAsync(work, on_pool);
    co_await run();
    co_await ShutDown(*pool);
  };
  RunReal(main());
  EXPECT_THAT(findings.rules(), Not(Contains("deadlock")));
}

// The limit is around the function that holds the pool's only thread.
TEST(Deadlock, IsNotWhatATimeLimitFurtherOutEnds) {
  const KeptFindings findings;
  const auto main = [&]() -> Task<bool> {
    const auto pool = MakeThreadPool({.threads = 1, .name = "single"});
    const SyncToAsyncOptions on_pool{.thread_sensitive = false, .executor = pool.get()};
    const auto nothing = [] {};
    const auto inner = SyncToAsync(nothing, on_pool);
    const auto ask = [&]() -> Task<> { co_await inner(); };
    const auto work = [&] { AsyncToSync(ask)(); };
    const auto run = SyncToAsync(work, on_pool);
    TaskHandle<> task = Spawn(run());
    bool ended = false;
    try {
      co_await WithTimeout(kLong, task);
    } catch (const TimeoutError&) {
      ended = true;
    }
    co_await ShutDown(*pool);
    co_return ended;
  };
  EXPECT_TRUE(RunReal(main()));
  EXPECT_THAT(findings.rules(), Not(Contains("deadlock")));
}

// Long enough for the quick looks at its beginning, too short to be told.
TEST(Deadlock, IsNotWhatACancellationSoonEnds) {
  const KeptFindings findings;
  const auto main = [&]() -> Task<bool> {
    const auto pool = MakeThreadPool({.threads = 1, .name = "single"});
    const SyncToAsyncOptions on_pool{.thread_sensitive = false, .executor = pool.get()};
    const auto nothing = [] {};
    const auto inner = SyncToAsync(nothing, on_pool);
    const auto ask = [&]() -> Task<> { co_await inner(); };
    const auto work = [&] { AsyncToSync(ask)(); };
    const auto run = SyncToAsync(work, on_pool);
    TaskHandle<> task = Spawn(run());
    co_await SleepFor(std::chrono::milliseconds(150));
    task.Cancel();
    co_await EndOf(task);
    co_await ShutDown(*pool);
    co_return task.cancelled();
  };
  EXPECT_TRUE(RunReal(main()));
  EXPECT_THAT(findings.rules(), Not(Contains("deadlock")));
}

TEST(Deadlock, IsNotACircleOfTasksThatATimeLimitEnds) {
  const KeptFindings findings;
  const auto main = [&]() -> Task<bool> {
    Mutex a;
    Mutex b;
    const auto limited = [&]() -> Task<> { co_await WithTimeout(kLong, LockBoth(a, b)); };
    TaskHandle<> first = Spawn(limited());
    TaskHandle<> second = Spawn(LockBoth(b, a));
    bool ended = false;
    try {
      co_await first;
    } catch (const TimeoutError&) {
      ended = true;
    }
    co_await second;
    co_return ended;
  };
  EXPECT_TRUE(RunReal(main()));
  EXPECT_THAT(findings.all(), IsEmpty());
}

TEST(Deadlock, OfFunctionsOfRunInExecutorIsReported) {
  KeptFindings findings;
  const auto main = [&]() -> Task<RuntimeFinding> {
    const auto pool = MakeThreadPool({.threads = 1, .name = "single"});
    const auto nothing = [] {};
    std::promise<AnyTaskHandle> asking;
    std::promise<LoopHandle> loop;
    const auto ask = [&]() -> Task<> {
      loop.set_value(EventLoop::Running().Handle());
      asking.set_value(CurrentTask());
      auto job = RunInExecutor(*pool, nothing);
      co_await std::move(job);
    };
    const auto work = [&] {
      try {
        AsyncToSync(ask)();
      } catch (const CancelledError&) {
      }
    };
    auto job = RunInExecutor(*pool, work);
    const auto break_up = [&] {
      const LoopHandle of_task = loop.get_future().get();
      of_task.CallSoon([task = asking.get_future().get()]() mutable { task.Cancel(); });
    };
    RuntimeFinding finding = co_await WaitForFinding(findings, "deadlock", break_up);
    co_await std::move(job);
    co_await ShutDown(*pool);
    co_return finding;
  };
  const RuntimeFinding finding = RunReal(main());
  EXPECT_THAT(finding.members, SizeIs(4));
  EXPECT_THAT(finding.members, Contains(Says("the function runs on thread 'single_0'")));
  EXPECT_THAT(finding.members, Contains(Says("waits for a thread of executor 'single'")));
}

// It takes locks while it works, and others wait for its thread; it does not sleep long.
TEST(ExecutorStuck, IsNotAFunctionThatSleepsForMomentsOnly) {
  const KeptFindings findings;
  const auto main = [&]() -> Task<> {
    const auto pool = MakeThreadPool({.threads = 1, .name = "single"});
    const SyncToAsyncOptions on_pool{.thread_sensitive = false, .executor = pool.get()};
    std::mutex mutex;
    std::condition_variable changed;
    int turns = 0;
    bool over = false;
    const auto ping = [&] {  // woken a few hundred times a second
      std::unique_lock lock(mutex);
      while (!over) {
        const int seen = turns;
        changed.wait(lock, [&] { return over || turns != seen; });
      }
    };
    const auto nothing = [] {};
    const auto pinging = SyncToAsync(ping, on_pool);
    const auto next = SyncToAsync(nothing, on_pool);
    TaskHandle<> first = Spawn(pinging());
    TaskHandle<> second = Spawn(next());
    const Time end = Clock::now() + 3 * kLong;
    while (Clock::now() < end) {
      co_await SleepFor(std::chrono::milliseconds(2));
      const std::lock_guard lock(mutex);
      ++turns;
      changed.notify_all();
    }
    {
      const std::lock_guard lock(mutex);
      over = true;
      changed.notify_all();
    }
    co_await first;
    co_await second;
    co_await ShutDown(*pool);
  };
  RunReal(main());
  EXPECT_THAT(findings.rules(), Not(Contains("executor-stuck")));
}

TEST(Deadlock, IsNotWhatTakesLongBelowTheBridge) {
  const KeptFindings findings;
  const auto main = [&]() -> Task<> {
    const auto pool = MakeThreadPool({.threads = 1, .name = "single"});
    const SyncToAsyncOptions on_pool{.thread_sensitive = false, .executor = pool.get()};
    const auto nothing = [] {};
    const auto next = SyncToAsync(nothing, on_pool);
    const auto ask = [&]() -> Task<> { co_await SleepFor(kLong); };
    const auto work = [&] { AsyncToSync(ask)(); };
    const auto run = SyncToAsync(work, on_pool);
    TaskHandle<> first = Spawn(run());
    TaskHandle<> second = Spawn(next());  // waits for the only thread
    co_await first;
    co_await second;
    co_await ShutDown(*pool);
  };
  RunReal(main());
  EXPECT_THAT(findings.rules(), Not(Contains("deadlock")));
  EXPECT_THAT(findings.rules(), Not(Contains("executor-stuck")));
}

TEST(Deadlock, IsNotWhatOneFreeThreadCanEnd) {
  const KeptFindings findings;
  const auto main = [&]() -> Task<> {
    const auto pool = MakeThreadPool({.threads = 2, .name = "pair"});
    const SyncToAsyncOptions on_pool{.thread_sensitive = false, .executor = pool.get()};
    const auto nothing = [] {};
    const auto inner = SyncToAsync(nothing, on_pool);
    const auto ask = [&]() -> Task<> {
      co_await SleepFor(kLong / 2);
      co_await inner();
    };
    const auto work = [&] { AsyncToSync(ask)(); };
    const auto run = SyncToAsync(work, on_pool);
    co_await run();
    co_await ShutDown(*pool);
  };
  RunReal(main());
  EXPECT_THAT(findings.rules(), Not(Contains("deadlock")));
}

}  // namespace
}  // namespace loopsan::testing
