#include "runtime/executor.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <pthread.h>

#include <functional>
#include <future>
#include <latch>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>

#include "runtime/context.h"
#include "runtime/sleep.h"
#include "tests/runtime/real_loop.h"
#include "tests/runtime/run_loop.h"

namespace loopsan::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

TEST(RunInExecutor, RunsTheFunctionOnAnotherThreadAndBringsItsResult) {
  const auto main = []() -> Task<> {
    const auto work = [] { return std::this_thread::get_id(); };
    auto job = RunInExecutor(work);
    const std::thread::id there = co_await std::move(job);
    EXPECT_NE(there, std::this_thread::get_id());
  };
  RunReal(main());
}

TEST(RunInExecutor, StartsTheFunctionBeforeItIsAwaited) {
  const auto main = []() -> Task<int> {
    std::promise<void> begun;
    const auto work = [&] {
      begun.set_value();
      return 7;
    };
    auto job = RunInExecutor(work);
    begun.get_future().wait();  // the loop is held up until another thread has come so far
    co_return co_await std::move(job);
  };
  EXPECT_EQ(RunReal(main()), 7);
}

TEST(RunInExecutor, ThrowsWhatTheFunctionThrew) {
  const auto main = []() -> Task<> {
    const auto work = []() -> int { throw std::runtime_error("from the thread"); };
    auto job = RunInExecutor(work);
    co_await std::move(job);
  };
  EXPECT_THROW(RunReal(main()), std::runtime_error);
}

TEST(RunInExecutor, TakesAndReturnsWhatCanOnlyBeMoved) {
  const auto main = []() -> Task<int> {
    auto given = std::make_unique<int>(4);
    auto work = [given = std::move(given)]() mutable { return std::move(given); };
    auto job = RunInExecutor(std::move(work));
    const std::unique_ptr<int> back = co_await std::move(job);
    co_return *back;
  };
  EXPECT_EQ(RunReal(main()), 4);
}

TEST(RunInExecutor, RunsInTheContextOfItsCaller) {
  static ContextVar<std::string> user("user", "nobody");
  const auto main = []() -> Task<std::string> {
    user.Set("ada");
    const auto work = [] {
      const std::string seen = user.Get();
      user.Set("changed on the thread");
      return seen;
    };
    auto job = RunInExecutor(work);
    user.Set("changed on the loop");
    std::string seen = co_await std::move(job);
    EXPECT_EQ(user.Get(), "changed on the loop");
    co_return seen;
  };
  EXPECT_EQ(RunReal(main()), "ada");
}

TEST(RunInExecutor, LeavesNoContextBehindOnTheThread) {
  static ContextVar<std::string> user("user", "nobody");
  const auto pool = MakeThreadPool({.threads = 1});
  const auto main = [&]() -> Task<> {
    user.Set("ada");
    const auto nothing = [] {};
    auto first = RunInExecutor(*pool, nothing);
    co_await std::move(first);
  };
  RunReal(main());
  std::promise<std::string> seen;
  pool->Submit([&] { seen.set_value(user.Get()); });
  EXPECT_EQ(seen.get_future().get(), "nobody");
}

TEST(RunInExecutor, DoesNotRunAFunctionWhoseWaiterWasCancelledBeforeItBegan) {
  const auto pool = MakeThreadPool({.threads = 1});
  bool ran = false;
  const auto main = [&]() -> Task<> {
    std::promise<void> go;
    const auto first = [&] { go.get_future().wait(); };
    auto occupied = RunInExecutor(*pool, first);
    const auto second = [&] { ran = true; };
    auto waits = [&]() -> Task<> {
      auto job = RunInExecutor(*pool, second);
      co_await std::move(job);
    };
    TaskHandle<> waiter = Spawn(waits());
    co_await Yield();
    waiter.Cancel();
    try {
      co_await waiter;
      ADD_FAILURE() << "it was not cancelled";
    } catch (const CancelledError&) {
    }
    go.set_value();
    co_await std::move(occupied);
  };
  RunReal(main());
  pool->Shutdown();
  EXPECT_FALSE(ran);
}

TEST(RunInExecutor, LetsARunningFunctionEndWhenItsWaiterIsCancelled) {
  const auto pool = MakeThreadPool({.threads = 1});
  bool ended = false;
  const auto main = [&]() -> Task<> {
    std::promise<void> begun;
    std::promise<void> go;
    const auto work = [&] {
      begun.set_value();
      go.get_future().wait();
      ended = true;
      return 1;
    };
    const auto waits = [&]() -> Task<> {
      auto job = RunInExecutor(*pool, work);
      co_await std::move(job);
    };
    TaskHandle<> waiter = Spawn(waits());
    co_await Yield();
    begun.get_future().wait();
    waiter.Cancel();
    try {
      co_await waiter;
      ADD_FAILURE() << "it was not cancelled";
    } catch (const CancelledError&) {
    }
    EXPECT_FALSE(ended);
    go.set_value();
    pool->Shutdown();
    EXPECT_TRUE(ended);
  };
  RunReal(main());
}

TEST(RunInExecutor, TellsTheExceptionOfAFunctionWhoseWaiterIsGone) {
  const auto pool = MakeThreadPool({.threads = 1});
  std::string told;
  RealLoop real;
  real.loop().SetExceptionHandler([&](const ExceptionContext& context) { told = context.message; });
  const auto main = [&]() -> Task<> {
    std::promise<void> begun;
    std::promise<void> go;
    const auto work = [&] {
      begun.set_value();
      go.get_future().wait();
      throw std::runtime_error("too late");
    };
    const auto waits = [&]() -> Task<> {
      auto job = RunInExecutor(*pool, work);
      co_await std::move(job);
    };
    TaskHandle<> waiter = Spawn(waits());
    co_await Yield();
    begun.get_future().wait();
    waiter.Cancel();
    go.set_value();
    pool->Shutdown();  // what it posts is in the loop's queue now
    co_await Yield();
    co_await Yield();
  };
  real.Run(main());
  EXPECT_THAT(told, HasSubstr("after its waiter was cancelled"));
}

TEST(RunInExecutor, ReportsAFunctionThatWaitedTooLongForAThread) {
  const KeptFindings findings;
  const auto pool = MakeThreadPool({.threads = 1, .name = "disk"});
  RealLoop real;
  real.loop().SetSlowStep(Duration::zero());  // any wait is too long
  const auto main = [&]() -> Task<> {
    const auto work = [] { return 1; };
    auto job = RunInExecutor(*pool, work);
    co_await std::move(job);
  };
  real.Run(main());
  const auto delays = findings.Messages("executor-delay");
  ASSERT_EQ(delays.size(), 1U);
  EXPECT_THAT(delays[0], HasSubstr("ms for a thread of executor 'disk'"));
}

TEST(RunInExecutor, DoesNotReportAFunctionThatFoundAThread) {
  const KeptFindings findings;
  const auto main = []() -> Task<> {
    const auto work = [] { return 1; };
    auto job = RunInExecutor(work);
    co_await std::move(job);
  };
  RunReal(main());
  EXPECT_THAT(findings.Messages("executor-delay"), IsEmpty());
}

TEST(ThreadPool, StartsThreadsOnDemandAndNeverMoreThanItMay) {
  const auto pool = MakeThreadPool({.threads = 2});
  EXPECT_EQ(pool->stats().threads, 0U);
  std::latch both(2);
  std::promise<void> go;
  const std::shared_future<void> gone = go.get_future().share();
  for (int i = 0; i < 2; ++i) {
    pool->Submit([&both, gone] {
      both.count_down();
      gone.wait();
    });
  }
  both.wait();  // two run at the same time
  pool->Submit([] {});
  EXPECT_EQ(pool->stats().threads, 2U);
  EXPECT_EQ(pool->stats().queued, 1U);
  go.set_value();
  pool->Shutdown();
  EXPECT_EQ(pool->stats().begun, 3U);
}

TEST(ThreadPool, UsesAnIdleThreadAgain) {
  const auto pool = MakeThreadPool({.threads = 8});
  std::promise<std::thread::id> first;
  pool->Submit([&] { first.set_value(std::this_thread::get_id()); });
  first.get_future().wait();
  while (pool->stats().idle == 0) std::this_thread::yield();
  std::promise<std::thread::id> second;
  pool->Submit([&] { second.set_value(std::this_thread::get_id()); });
  second.get_future().wait();
  EXPECT_EQ(pool->stats().threads, 1U);
}

TEST(ThreadPool, NamesItsThreads) {
  const auto pool = MakeThreadPool({.threads = 1, .name = "a-rather-long-name"});
  std::promise<void> named;
  std::promise<std::string> name;
  pool->Submit([&] {
    named.get_future().wait();
    char text[16] = {};
    pthread_getname_np(pthread_self(), text, sizeof text);
    name.set_value(text);
  });
  named.set_value();  // Submit() has given the name by now
  EXPECT_EQ(name.get_future().get(), "a-rather-long_0");
}

TEST(ThreadPool, RunsWhatItTookAndRefusesMoreAfterShutdown) {
  const auto pool = MakeThreadPool({.threads = 1});
  int ran = 0;
  for (int i = 0; i < 100; ++i) pool->Submit([&] { ++ran; });
  pool->Shutdown();
  EXPECT_EQ(ran, 100);
  EXPECT_THROW(pool->Submit([] {}), UsageError);
  pool->Shutdown();
}

TEST(ThreadPool, RefusesAJobOverItsLimitAndTellsWhenThereIsRoom) {
  const auto pool = MakeThreadPool({.threads = 1, .queue_limit = 1});
  std::promise<void> begun;
  std::promise<void> go;
  pool->Submit([&] {
    begun.set_value();
    go.get_future().wait();
  });
  begun.get_future().wait();
  int ran = 0;
  pool->Submit([&] { ++ran; });
  EXPECT_THROW(pool->Submit([&] { ++ran; }), ExecutorFullError);
  std::function<void()> job = [&] { ++ran; };
  EXPECT_FALSE(pool->TrySubmit(job));
  ASSERT_TRUE(job) << "a refused job stays the caller's";
  std::promise<void> room;
  pool->NotifyOfRoom([&] { room.set_value(); });
  go.set_value();
  room.get_future().wait();
  pool->Shutdown();
  EXPECT_EQ(ran, 1);
}

TEST(ThreadPool, TellsAllWhoWaitForRoomAlsoIfTheFirstOnesTakeNone) {
  const auto pool = MakeThreadPool({.threads = 1, .queue_limit = 1});
  std::promise<void> begun;
  std::promise<void> go;
  pool->Submit([&] {
    begun.set_value();
    go.get_future().wait();
  });
  begun.get_future().wait();
  pool->Submit([] {});
  std::latch told(3);
  for (int i = 0; i < 3; ++i) pool->NotifyOfRoom([&] { told.count_down(); });
  EXPECT_FALSE(told.try_wait());
  go.set_value();
  told.wait();
}

TEST(ThreadPool, TellsWhoWaitsForRoomThatItIsShutDown) {
  const auto pool = MakeThreadPool({.threads = 1, .queue_limit = 1});
  std::promise<void> begun;
  std::promise<void> go;
  pool->Submit([&] {
    begun.set_value();
    go.get_future().wait();
  });
  begun.get_future().wait();
  pool->Submit([] {});
  std::promise<void> told;
  pool->NotifyOfRoom([&] { told.set_value(); });
  std::thread shuts_down([&] { pool->Shutdown(); });
  told.get_future().wait();
  go.set_value();
  shuts_down.join();
}

TEST(ThreadPool, WithALimitStillStartsAllItsThreads) {
  const auto pool = MakeThreadPool({.threads = 3, .queue_limit = 1});
  std::latch all(3);
  std::promise<void> go;
  const std::shared_future<void> gone = go.get_future().share();
  for (int i = 0; i < 3; ++i) {
    pool->Submit([&all, gone] {
      all.count_down();
      gone.wait();
    });
  }
  all.wait();
  pool->Submit([] {});
  EXPECT_THROW(pool->Submit([] {}), ExecutorFullError);
  go.set_value();
}

TEST(ThreadPool, KnowsItsOnlyThread) {
  const auto one = MakeThreadPool({.threads = 1});
  const auto two = MakeThreadPool({.threads = 2});
  EXPECT_FALSE(one->IsOnlyThread());
  std::promise<bool> of_one;
  std::promise<bool> of_two;
  one->Submit([&] { of_one.set_value(one->IsOnlyThread() && !two->IsOnlyThread()); });
  two->Submit([&] { of_two.set_value(two->IsOnlyThread()); });
  EXPECT_TRUE(of_one.get_future().get());
  EXPECT_FALSE(of_two.get_future().get());
}

TEST(WaitForRoom, DoesNotHoldUpTheLoop) {
  const auto pool = MakeThreadPool({.threads = 1, .queue_limit = 1});
  const auto main = [&]() -> Task<> {
    std::promise<void> begun;
    std::promise<void> go;
    const auto wait = [&] {
      begun.set_value();
      go.get_future().wait();
    };
    const auto nothing = [] {};
    auto first = RunInExecutor(*pool, wait);
    begun.get_future().wait();
    auto second = RunInExecutor(*pool, nothing);
    EXPECT_THROW((void)RunInExecutor(*pool, nothing), ExecutorFullError);
    const TaskHandle<> waits = Spawn(WaitForRoom(*pool));
    for (int i = 0; i < 5; ++i) co_await Yield();
    EXPECT_FALSE(waits.done());
    go.set_value();
    co_await waits;
    co_await std::move(first);
    co_await std::move(second);
  };
  RunReal(main());
}

TEST(DefaultExecutor, IsShutDownWhenTheLoopIsClosed) {
  bool ended = false;
  {
    RealLoop real;
    const auto main = [&]() -> Task<> {
      std::promise<void> begun;
      EventLoop::Running().DefaultExecutor().Submit([&] {
        begun.set_value();
        ended = true;
      });
      begun.get_future().wait();
      co_return;
    };
    real.Run(main());
  }
  EXPECT_TRUE(ended);
}

TEST(ShutDown, LetsTheLoopServeTheJobsThatNeedIt) {
  const auto pool = MakeThreadPool({.threads = 1});
  const auto main = [&]() -> Task<int> {
    EventLoop& loop = EventLoop::Running();
    std::promise<int> from_loop;
    const auto work = [&] {
      loop.CallSoonThreadsafe([&] { from_loop.set_value(3); });
      return from_loop.get_future().get();
    };
    auto job = RunInExecutor(*pool, work);
    co_await ShutDown(*pool);
    co_return co_await std::move(job);
  };
  EXPECT_EQ(RunReal(main()), 3);
}

TEST(Shutdown, InsideAStepIsReportedAsABlockingWait) {
  const KeptFindings findings;
  const auto pool = MakeThreadPool({.threads = 1});
  const auto main = [&]() -> Task<> {
    const auto work = [] {};
    auto job = RunInExecutor(*pool, work);
    co_await std::move(job);
    pool->Shutdown();
  };
  RunReal(main());
  EXPECT_THAT(findings.rules(), ElementsAre("blocking-wait"));
}

TEST(Shutdown, ThatIsAwaitedIsNoFinding) {
  const KeptFindings findings;
  const auto pool = MakeThreadPool({.threads = 1});
  const auto main = [&]() -> Task<> {
    const auto work = [] {};
    auto job = RunInExecutor(*pool, work);
    co_await std::move(job);
    co_await ShutDown(*pool);
  };
  RunReal(main());
  EXPECT_THAT(findings.all(), IsEmpty());
}

}  // namespace
}  // namespace loopsan::testing
