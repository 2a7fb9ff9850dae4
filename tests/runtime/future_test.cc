#include "runtime/future.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "runtime/sleep.h"
#include "runtime/spawn.h"
#include "tests/runtime/run_loop.h"

namespace loopsan::testing {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;

TEST(Future, GivesTheValueToAllWhoAwaitIt) {
  std::vector<int> got;
  const auto main = [&]() -> Task<> {
    Promise<int> promise;
    const Future<int> future = promise.future();
    const auto wait = [&]() -> Task<> { got.push_back(co_await future); };
    std::vector<TaskHandle<>> tasks;
    for (int i = 0; i < 3; ++i) tasks.push_back(Spawn(wait()));
    co_await Yield();
    EXPECT_FALSE(future.done());
    EXPECT_TRUE(promise.SetValue(4));
    EXPECT_TRUE(future.done());
    for (const TaskHandle<>& task : tasks) co_await task;
    EXPECT_EQ(co_await future, 4);
    EXPECT_EQ(future.result(), 4);
  };
  RunScripted(main());
  EXPECT_THAT(got, ElementsAre(4, 4, 4));
}

TEST(Future, GivesAMoveOnlyValueAway) {
  const auto main = []() -> Task<> {
    Promise<std::unique_ptr<int>> promise;
    promise.SetValue(std::make_unique<int>(5));
    Future<std::unique_ptr<int>> future = promise.future();
    const std::unique_ptr<int> value = co_await std::move(future);
    EXPECT_EQ(*value, 5);
  };
  RunScripted(main());
}

TEST(Future, ThrowsTheError) {
  const auto main = []() -> Task<> {
    Promise<int> promise;
    promise.SetError(std::make_exception_ptr(std::runtime_error("broken")));
    std::string what;
    try {
      co_await promise.future();
    } catch (const std::runtime_error& error) {
      what = error.what();
    }
    EXPECT_EQ(what, "broken");
  };
  RunScripted(main());
}

TEST(Future, TakesTheFirstResultOnly) {
  const auto main = []() -> Task<> {
    Promise<int> promise;
    EXPECT_FALSE(promise.abandoned());
    EXPECT_TRUE(promise.SetValue(1));
    EXPECT_FALSE(promise.SetValue(2));
    EXPECT_FALSE(promise.SetError(std::make_exception_ptr(std::runtime_error("late"))));
    EXPECT_EQ(co_await promise.future(), 1);
  };
  RunScripted(main());
}

TEST(Future, IsCompletedFromAnotherThread) {
  ScriptedLoop scripted;
  scripted.port().AllowRealWaits();
  std::thread thread;
  const auto main = [&]() -> Task<std::string> {
    Promise<std::string> promise;
    const Future<std::string> future = promise.future();
    thread = std::thread([promise = std::move(promise)]() mutable { promise.SetValue("hello"); });
    co_return co_await future;
  };
  EXPECT_EQ(scripted.Run(main()), "hello");
  thread.join();
}

TEST(Future, IsCompletedByOneOfManyThreads) {
  ScriptedLoop scripted;
  scripted.port().AllowRealWaits();
  std::atomic<int> winners = 0;
  std::vector<std::thread> threads;
  const auto main = [&]() -> Task<> {
    for (int round = 0; round < 50; ++round) {
      Promise<int> promise;
      for (int i = 0; i < 4; ++i) {
        threads.emplace_back([&winners, promise, i]() mutable {
          if (promise.SetValue(i)) ++winners;
        });
      }
      const int winner = co_await promise.future();
      EXPECT_LT(winner, 4);
      for (std::thread& thread : threads) thread.join();
      threads.clear();
    }
  };
  scripted.Run(main());
  EXPECT_EQ(winners, 50);
}

TEST(Future, OfADroppedPromiseThrowsBrokenPromiseError) {
  const auto main = []() -> Task<> {
    std::optional<Promise<int>> promise(std::in_place);
    const Future<int> future = promise->future();
    const Promise<int> copy = *promise;
    promise.reset();
    EXPECT_FALSE(future.done());  // a copy is left
    {
      const Promise<int> last = std::move(copy);
      promise.emplace(last);
    }
    EXPECT_FALSE(future.done());
    co_return;
  };
  RunScripted(main());
  const auto dropped = []() -> Task<> {
    Future<int> future;
    {
      const Promise<int> promise;
      future = promise.future();
    }
    co_await future;
  };
  EXPECT_THROW(RunScripted(dropped()), BrokenPromiseError);
}

TEST(Future, OfAPromiseDroppedByAnotherThreadThrowsBrokenPromiseError) {
  ScriptedLoop scripted;
  scripted.port().AllowRealWaits();
  std::thread thread;
  const auto main = [&]() -> Task<> {
    Promise<int> promise;
    const Future<int> future = promise.future();
    thread = std::thread([promise = std::move(promise)] {});
    co_await future;
  };
  EXPECT_THROW(scripted.Run(main()), BrokenPromiseError);
  thread.join();
}

TEST(Future, ThatIsCancelledThrowsInAllWhoAwaitIt) {
  int cancelled = 0;
  const auto main = [&]() -> Task<> {
    Promise<int> promise;
    Future<int> future = promise.future();
    const auto wait = [&]() -> Task<> {
      try {
        co_await future;
      } catch (const CancelledError&) {
        ++cancelled;
      }
    };
    Spawn(wait());
    Spawn(wait());
    co_await Yield();
    EXPECT_TRUE(future.Cancel());
    EXPECT_FALSE(future.Cancel());
    EXPECT_TRUE(future.cancelled());
    EXPECT_TRUE(promise.abandoned());
    EXPECT_FALSE(promise.SetValue(1));
    EXPECT_THROW(future.result(), CancelledError);
    co_await Yield();
  };
  RunScripted(main());
  EXPECT_EQ(cancelled, 2);
}

TEST(Future, IsCancelledWithATaskThatAwaitsIt) {
  const auto main = []() -> Task<> {
    Promise<int> promise;
    const Future<int> future = promise.future();
    const auto wait = [&]() -> Task<> { co_await future; };
    TaskHandle<> task = Spawn(wait());
    co_await Yield();
    task.Cancel();
    EXPECT_TRUE(future.cancelled());
  };
  RunScripted(main());
}

TEST(Future, OfAnotherLoopIsAnErrorAndAFinding) {
  const KeptFindings findings;
  ScriptedLoop other;
  Promise<int> promise(other.loop());
  const auto main = [&]() -> Task<> { co_await promise.future(); };
  EXPECT_THROW(RunScripted(main()), UsageError);
  EXPECT_THAT(findings.rules(), ElementsAre("other-loop"));
}

TEST(Future, CancelOnTheWrongThreadIsAnErrorAndAFinding) {
  const KeptFindings findings;
  const auto main = []() -> Task<> {
    Promise<int> promise;
    Future<int> future = promise.future();
    std::thread([&] { EXPECT_THROW(future.Cancel(), UsageError); }).join();
    EXPECT_FALSE(future.cancelled());
    co_return;
  };
  RunScripted(main());
  EXPECT_THAT(findings.rules(), ElementsAre("wrong-thread"));
}

TEST(Future, WhoseErrorNobodySeesIsAFinding) {
  const KeptFindings findings;
  const auto main = []() -> Task<> {
    Promise<int> promise;
    promise.SetError(std::make_exception_ptr(std::runtime_error("broken")));
    co_return;
  };
  RunScripted(main());
  EXPECT_THAT(findings.rules(), ElementsAre("exception-never-retrieved"));
}

TEST(Promise, MayOutliveItsLoop) {
  std::optional<Promise<int>> promise;
  const auto main = [&]() -> Task<> {
    promise.emplace();
    co_return;
  };
  RunScripted(main());
  Future<int> future = promise->future();
  promise->SetValue(1);  // nobody is left whom it could reach
  EXPECT_TRUE(future.Cancel());
  EXPECT_TRUE(future.cancelled());
}

TEST(Promise, WhoseValueCannotBeCopiedDeliversTheException) {
  struct Fragile {
    Fragile() = default;
    Fragile(const Fragile&) { throw std::runtime_error("cannot be copied"); }
  };
  const auto main = []() -> Task<> {
    Promise<Fragile> promise;
    const Fragile value;
    EXPECT_THROW(promise.SetValue(value), std::runtime_error);
    bool thrown = false;
    try {
      co_await promise.future();
    } catch (const std::runtime_error&) {
      thrown = true;
    }
    EXPECT_TRUE(thrown);
  };
  RunScripted(main());
}

}  // namespace
}  // namespace loopsan::testing
