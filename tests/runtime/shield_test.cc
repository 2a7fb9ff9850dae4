#include "runtime/shield.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <memory>
#include <stdexcept>

#include "runtime/sleep.h"
#include "runtime/timeout.h"
#include "tests/runtime/run_loop.h"

namespace loopsan::testing {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;

Task<int> AnswerAfter(Duration delay) {
  co_await SleepFor(delay);
  co_return 42;
}

TEST(Shield, GivesTheResult) {
  const auto main = []() -> Task<> {
    const TaskHandle<int> task = Spawn(AnswerAfter(1s));
    EXPECT_EQ(co_await Shield(task), 42);
    EXPECT_EQ(co_await Shield(AnswerAfter(1s)), 42);
  };
  RunScripted(main());
}

TEST(Shield, GivesAMoveOnlyResultOfATaskThatIsGivenAway) {
  const auto make = []() -> Task<std::unique_ptr<int>> { co_return std::make_unique<int>(5); };
  const auto main = [&]() -> Task<> {
    const std::unique_ptr<int> made = co_await Shield(make());
    EXPECT_EQ(*made, 5);
    TaskHandle<std::unique_ptr<int>> task = Spawn(make());
    const std::unique_ptr<int> moved = co_await Shield(std::move(task));
    EXPECT_EQ(*moved, 5);
  };
  RunScripted(main());
}

TEST(Shield, PassesOnWhatTheTaskThrew) {
  const auto fail = []() -> Task<> {
    co_await Yield();
    throw std::runtime_error("its own");
  };
  const auto main = [&]() -> Task<> { co_await Shield(fail()); };
  EXPECT_THROW(RunScripted(main()), std::runtime_error);
}

TEST(Shield, LetsTheTaskGoOnIfTheWaiterIsCancelled) {
  const KeptFindings findings;
  const auto main = [&]() -> Task<> {
    const TaskHandle<int> inner = Spawn(AnswerAfter(5s));
    const auto wait = [&]() -> Task<int> { co_return co_await Shield(inner); };
    TaskHandle<int> waiter = Spawn(wait());
    co_await SleepFor(1s);
    waiter.Cancel();
    co_await Yield();
    EXPECT_TRUE(waiter.cancelled());
    EXPECT_FALSE(inner.done());
    EXPECT_EQ(inner.cancel_requests(), 0u);
    EXPECT_EQ(co_await inner, 42);
  };
  RunScripted(main());
  EXPECT_THAT(findings.rules(), ElementsAre());
}

TEST(Shield, KeepsATaskAliveWhoseOnlyWaiterHasGone) {
  bool ended = false;
  const auto inner = [&]() -> Task<> {
    co_await SleepFor(5s);
    ended = true;
  };
  const auto main = [&]() -> Task<> {
    try {
      co_await WithTimeout(1s, Shield(inner()));
      ADD_FAILURE();
    } catch (const TimeoutError&) {
    }
    EXPECT_FALSE(ended);
    co_await SleepFor(10s);
    EXPECT_TRUE(ended);
  };
  RunScripted(main());
}

TEST(Shield, PassesOnTheCancellationOfTheTaskItself) {
  const auto main = [&]() -> Task<> {
    TaskHandle<int> inner = Spawn(AnswerAfter(5s));
    const auto wait = [&]() -> Task<int> { co_return co_await Shield(inner); };
    const TaskHandle<int> waiter = Spawn(wait());
    co_await SleepFor(1s);
    inner.Cancel();
    try {
      co_await waiter;
      ADD_FAILURE();
    } catch (const CancelledError&) {
    }
    EXPECT_EQ(waiter.cancel_requests(), 0u);
  };
  RunScripted(main());
}

TEST(Shield, ReportsAnExceptionThatComesWhenTheWaiterHasGone) {
  const KeptFindings findings;
  const auto fail = []() -> Task<> {
    co_await SleepFor(5s);
    throw std::runtime_error("too late");
  };
  const auto main = [&]() -> Task<> {
    try {
      co_await WithTimeout(1s, Shield(fail(), "late"));
    } catch (const TimeoutError&) {
    }
    co_await SleepFor(10s);
  };
  RunScripted(main());
  EXPECT_THAT(findings.Messages("exception-never-retrieved"),
              ElementsAre("task 'late' failed and nobody looked: too late"));
}

TEST(Shield, LetsAFutureGoOn) {
  const auto main = [&]() -> Task<> {
    Promise<int> promise;
    const Future<int> future = promise.future();
    try {
      co_await WithTimeout(1s, Shield(future));
      ADD_FAILURE();
    } catch (const TimeoutError&) {
    }
    EXPECT_FALSE(future.cancelled());
    EXPECT_TRUE(promise.SetValue(3));
    EXPECT_EQ(co_await Shield(future), 3);
  };
  RunScripted(main());
}

TEST(Shield, OfOneselfIsAnErrorAndAFinding) {
  const KeptFindings findings;
  const auto main = []() -> Task<> {
    TaskHandle<> self;
    const auto body = [&]() -> Task<> { co_await Shield(self); };
    self = Spawn(body());
    co_await Yield();
    EXPECT_TRUE(self.done());
    EXPECT_THROW(self.result(), UsageError);
  };
  RunScripted(main());
  EXPECT_THAT(findings.rules(), ElementsAre("awaits-itself"));
}

}  // namespace
}  // namespace loopsan::testing
