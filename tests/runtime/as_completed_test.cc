#include "runtime/as_completed.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <optional>
#include <stdexcept>
#include <vector>

#include "runtime/sleep.h"
#include "runtime/timeout.h"
#include "tests/runtime/run_loop.h"

namespace loopsan::testing {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;

Task<int> ReturnAfter(Duration delay, int value) {
  co_await SleepFor(delay);
  co_return value;
}

std::vector<Task<int>> Tasks(const std::vector<int>& seconds) {
  std::vector<Task<int>> tasks;
  for (const int delay : seconds) tasks.push_back(ReturnAfter(delay * 1s, delay));
  return tasks;
}

TEST(AsCompleted, GivesTasksInTheOrderInWhichTheyAreDone) {
  std::vector<int> order;
  const auto main = [&]() -> Task<> {
    AsCompleted results(Tasks({3, 1, 2}));
    while (std::optional<TaskHandle<int>> next = co_await results.Next()) {
      order.push_back(co_await *next);
    }
    EXPECT_FALSE((co_await results.Next()).has_value());
  };
  RunScripted(main());
  EXPECT_THAT(order, ElementsAre(1, 2, 3));
}

TEST(AsCompleted, GivesTheTasksThatItWasGiven) {
  const auto main = []() -> Task<> {
    const TaskHandle<int> slow = Spawn(ReturnAfter(2s, 2), "slow");
    const TaskHandle<int> done = Spawn(ReturnAfter(1s, 1), "done");
    co_await done;
    AsCompleted<int> results({slow, done});
    const std::optional<TaskHandle<int>> first = co_await results.Next();
    EXPECT_EQ(first->id(), done.id());
    const std::optional<TaskHandle<int>> second = co_await results.Next();
    EXPECT_EQ(second->id(), slow.id());
  };
  RunScripted(main());
}

TEST(AsCompleted, OfNothingEndsAtOnce) {
  const auto main = []() -> Task<> {
    AsCompleted results(Tasks({}));
    EXPECT_FALSE((co_await results.Next()).has_value());
  };
  RunScripted(main());
}

TEST(AsCompleted, GivesFailedTasksTooAndGoesOn) {
  const auto fail = []() -> Task<int> {
    co_await SleepFor(1s);
    throw std::runtime_error("failed");
  };
  const auto main = [&]() -> Task<> {
    std::vector<Task<int>> tasks = Tasks({2});
    tasks.push_back(fail());
    AsCompleted results(std::move(tasks));
    const std::optional<TaskHandle<int>> first = co_await results.Next();
    EXPECT_THROW(first->result(), std::runtime_error);
    const std::optional<TaskHandle<int>> second = co_await results.Next();
    EXPECT_EQ(second->result(), 2);
  };
  RunScripted(main());
}

TEST(AsCompleted, GivesWhatIsDoneInTimeAndThenThrowsTimeoutError) {
  const auto main = []() -> Task<> {
    std::vector<TaskHandle<int>> handles;
    for (Task<int>& task : Tasks({1, 2, 9})) handles.push_back(Spawn(std::move(task)));
    AsCompleted results(handles, 3s);
    co_await SleepFor(5s);
    EXPECT_EQ((co_await results.Next())->result(), 1);
    EXPECT_EQ((co_await results.Next())->result(), 2);
    try {
      co_await results.Next();
      ADD_FAILURE();
    } catch (const TimeoutError&) {
    }
    EXPECT_EQ(handles[2].cancel_requests(), 0u);
    EXPECT_EQ(co_await handles[2], 9);
  };
  RunScripted(main());
}

TEST(AsCompleted, WakesAWaiterAtTheLimit) {
  const auto main = []() -> Task<> {
    const Time start = EventLoop::Running().Now();
    AsCompleted results(Tasks({9}), 3s);
    try {
      co_await results.Next();
      ADD_FAILURE();
    } catch (const TimeoutError&) {
    }
    EXPECT_EQ(EventLoop::Running().Now() - start, 3s);
  };
  RunScripted(main());
}

TEST(AsCompleted, LosesNothingIfAWaitIsCancelled) {
  std::vector<int> order;
  const auto main = [&]() -> Task<> {
    AsCompleted results(Tasks({2, 3}));
    try {
      co_await WithTimeout(1s, results.Next());
      ADD_FAILURE();
    } catch (const TimeoutError&) {
    }
    while (std::optional<TaskHandle<int>> next = co_await results.Next()) {
      order.push_back(next->result());
    }
  };
  RunScripted(main());
  EXPECT_THAT(order, ElementsAre(2, 3));
}

TEST(AsCompleted, LosesNothingIfAWaiterIsCancelledThatHadBeenGivenATask) {
  const auto main = [&]() -> Task<> {
    TaskHandle<> waiter;
    // Ends in the same turn as, and before, the task that cancels the waiter.
    const auto quick = []() -> Task<> { co_await SleepFor(1s); };
    const auto cancel = [&]() -> Task<> {
      co_await SleepFor(1s);
      EXPECT_FALSE(waiter.done());
      waiter.Cancel();
    };
    const auto wait = [](AsCompleted<void>& results) -> Task<> { co_await results.Next(); };
    std::vector<TaskHandle<>> tasks;
    tasks.push_back(Spawn(quick()));
    AsCompleted results(tasks);
    waiter = Spawn(wait(results));
    co_await Yield();  // both wait
    co_await cancel();
    EXPECT_TRUE(tasks[0].done());
    co_await Yield();
    EXPECT_TRUE(waiter.cancelled());
    EXPECT_TRUE((co_await results.Next()).has_value());
    EXPECT_FALSE((co_await results.Next()).has_value());
  };
  RunScripted(main());
}

TEST(AsCompleted, ServesSeveralWaitersInTheirOrder) {
  std::vector<int> order;
  const auto main = [&]() -> Task<> {
    AsCompleted results(Tasks({1, 2}));
    const auto wait = [&](int waiter) -> Task<> {
      const std::optional<TaskHandle<int>> next = co_await results.Next();
      order.push_back(waiter * 10 + (next ? next->result() : 0));
    };
    std::vector<TaskHandle<>> waiters;
    for (int i = 1; i <= 3; ++i) waiters.push_back(Spawn(wait(i)));
    for (const TaskHandle<>& waiter : waiters) co_await waiter;
  };
  RunScripted(main());
  EXPECT_THAT(order, ElementsAre(11, 22, 30));
}

}  // namespace
}  // namespace loopsan::testing
