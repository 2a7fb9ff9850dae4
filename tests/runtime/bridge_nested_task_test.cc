// Tasks that are spawned inside nested calls: where their functions run, also when the
// call that spawned them is over. docs/bridge.md lists the tests of asgiref that these stand for.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <barrier>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "runtime/event.h"
#include "runtime/gather.h"
#include "runtime/run.h"
#include "runtime/sleep.h"
#include "runtime/timeout.h"
#include "tests/runtime/bridge_support.h"

namespace loopsan::testing {
namespace {

using ::testing::Each;
using ::testing::IsEmpty;
using ::testing::SizeIs;

TEST(NestedTask, UnderATimeLimitKeepsTheSyncThread) {
  ThreadId innermost;
  const auto level2 = [&]() -> Task<> {
    const auto inner = [&]() -> Task<> {
      const auto note = [&] { innermost = ThisThread(); };
      const auto call = SyncToAsync(note);
      co_await call();
    };
    const TaskHandle<> task = Spawn(inner());
    co_await WithTimeout(std::chrono::hours(1), task);
  };
  const auto level1 = [&] { AsyncToSync(level2)(); };
  const auto level0 = [&]() -> Task<> {
    const auto call = SyncToAsync(level1);
    co_await call();
  };
  AsyncToSync(level0)();
  EXPECT_EQ(innermost, ThisThread());
}

// A task of the inner call is awaited by the outer code, which the thread is waiting for.
TEST(NestedTask, OfAnEndedCallRunsItsFunctionsOnTheThreadOfTheOuterCall) {
  ThreadId there;
  std::optional<TaskHandle<ThreadId>> task;
  const auto inner = [&]() -> Task<> {
    task = Spawn(SyncThread());
    co_return;
  };
  const auto sync = [&] { AsyncToSync(inner)(); };
  const auto outer = [&]() -> Task<> {
    const auto call = SyncToAsync(sync);
    co_await call();
    there = co_await *task;
    task.reset();
  };
  AsyncToSync(outer)();
  EXPECT_EQ(there, ThisThread());
}

TEST(NestedTask, ThatBeginsAfterTheCallHasEndedRunsItsFunctionsOnTheThreadOfTheOuterCall) {
  ThreadId there;
  std::optional<TaskHandle<>> task;
  const auto main = [&]() -> Task<> {
    Event go;
    const auto later = [&]() -> Task<> {
      co_await go.Wait();
      there = co_await SyncThread();
    };
    const auto inner = [&]() -> Task<> {
      task = Spawn(later());
      co_return;
    };
    const auto sync = [&] { AsyncToSync(inner)(); };
    const auto call = SyncToAsync(sync);
    co_await call();
    go.Set();
    co_await *task;
    task.reset();
  };
  AsyncToSync(main)();
  EXPECT_EQ(there, ThisThread());
}

TEST(NestedTask, OfTwoLevelsRunsItsFunctionsOnTheThreadOfTheOuterCall) {
  std::vector<ThreadId> threads;
  std::vector<TaskHandle<ThreadId>> tasks;
  const auto level4 = [&]() -> Task<> {
    tasks.push_back(Spawn(SyncThread()));
    co_return;
  };
  const auto level3 = [&] { AsyncToSync(level4)(); };
  const auto level2 = [&]() -> Task<> {
    const auto call = SyncToAsync(level3);
    const auto wait = [&]() -> Task<ThreadId> {
      co_await call();
      co_return co_await tasks[0];
    };
    tasks.reserve(2);
    TaskHandle<ThreadId> waiter = Spawn(wait());
    threads.push_back(co_await waiter);
    tasks.push_back(Spawn(SyncThread()));
  };
  const auto level1 = [&] { AsyncToSync(level2)(); };
  const auto level0 = [&]() -> Task<> {
    const auto call = SyncToAsync(level1);
    co_await call();
    for (const TaskHandle<ThreadId>& task : tasks) threads.push_back(co_await task);
    tasks.clear();
  };
  AsyncToSync(level0)();
  EXPECT_THAT(threads, SizeIs(3));
  EXPECT_THAT(threads, Each(ThisThread()));
}

// No wait is left above it: it is where it would be had there never been one.
TEST(NestedTask, WithoutAnyWaitLeftRunsItsFunctionsOnTheProcessThread) {
  const auto main = []() -> Task<> {
    std::optional<TaskHandle<ThreadId>> task;
    Event go;
    const auto later = [&]() -> Task<ThreadId> {
      co_await go.Wait();
      co_return co_await SyncThread();
    };
    const auto inner = [&]() -> Task<> {
      task = Spawn(later());
      co_return;
    };
    const auto sync = [&] {
      AsyncToSync(inner)();
      return ThisThread();
    };
    const auto call = SyncToAsync(sync);
    const ThreadId sync_thread = co_await call();
    go.Set();
    const ThreadId task_thread = co_await *task;
    EXPECT_EQ(task_thread, sync_thread);
  };
  RunReal(main());
}

// Three threads with a loop each, whose nested tasks meet in functions that block.
TEST(NestedTask, OfParallelLoopsMayMeetInFunctionsThatBlock) {
  std::barrier<> meeting(3);
  std::atomic<int> met = 0;
  const auto meet = [&] {
    meeting.arrive_and_wait();
    ++met;
  };
  const auto side = [&] {
    const auto inner = [&]() -> Task<> {
      const auto call = SyncToAsync(meet);
      const TaskHandle<> task = Spawn(call());
      co_await task;
    };
    const auto outer = [&]() -> Task<> {
      const auto sync = [&] { AsyncToSync(inner)(); };
      // Each on a thread of its own: the one for the whole process would be one too few.
      const auto call = SyncToAsync(sync, {.thread_sensitive = false});
      co_await call();
    };
    loopsan::Run(outer());
  };
  std::thread first(side);
  std::thread second(side);
  meet();
  first.join();
  second.join();
  EXPECT_EQ(met, 3);
}

// An exception leaves nothing behind that looks like a deadlock.
TEST(NestedTask, ThatFailsDoesNotDisturbTheNextCall) {
  const KeptFindings findings;
  const auto main = []() -> Task<> {
    const auto fail_async = []() -> Task<> {
      const auto fail = [] { throw std::runtime_error("from the innermost function"); };
      const auto call = SyncToAsync(fail);
      co_await call();
    };
    const auto sync = [&] { AsyncToSync(fail_async)(); };
    const auto call = SyncToAsync(sync);
    for (int i = 0; i < 3; ++i) {
      bool failed = false;
      try {
        co_await call();
      } catch (const std::runtime_error&) {
        failed = true;
      }
      EXPECT_TRUE(failed);
      const ThreadId thread = co_await SyncThread();
      EXPECT_NE(thread, ThisThread());
    }
  };
  RunReal(main());
  EXPECT_THAT(findings.all(), IsEmpty());
}

// What asgiref's flag for deadlocks could not tell apart: a loop inside a sensitive
// function, whose own sensitive function could never begin.
TEST(NestedLoop, WhoseFunctionNeedsItsOwnThreadIsRefused) {
  const KeptFindings findings;
  const auto main = []() -> Task<std::string> {
    const auto needs_this_thread = []() -> Task<> { co_await SyncThread(); };
    const auto sync = [&]() -> std::string {
      try {
        loopsan::Run(needs_this_thread());
      } catch (const DeadlockError& error) {
        return error.what();
      }
      return "it went on";
    };
    const auto call = SyncToAsync(sync);
    co_return co_await call();
  };
  EXPECT_THAT(RunReal(main()), ::testing::HasSubstr("AsyncToSync() instead of Run()"));
}

TEST(NestedLoop, WhoseFunctionNeedsTheThreadThatWaitsForItIsRefused) {
  const auto outer = []() -> Task<std::string> {
    const auto needs_this_thread = []() -> Task<> { co_await SyncThread(); };
    const auto sync = [&]() -> std::string {
      try {
        loopsan::Run(needs_this_thread());
      } catch (const DeadlockError&) {
        return "refused";
      }
      return "it went on";
    };
    const auto call = SyncToAsync(sync);
    co_return co_await call();
  };
  EXPECT_EQ(AsyncToSync(outer)(), "refused");
}

TEST(NestedLoop, WhoseFunctionMayRunAnywhereGoesOn) {
  const auto main = []() -> Task<bool> {
    const auto anywhere = []() -> Task<ThreadId> {
      const auto call = SyncToAsync(&ThisThread, {.thread_sensitive = false});
      co_return co_await call();
    };
    const auto sync = [&] { return loopsan::Run(anywhere()) != ThisThread(); };
    const auto call = SyncToAsync(sync);
    co_return co_await call();
  };
  EXPECT_TRUE(RunReal(main()));
}

}  // namespace
}  // namespace loopsan::testing
