#include "runtime/when_any.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <stdexcept>
#include <string>
#include <vector>

#include "runtime/sleep.h"
#include "runtime/timeout.h"
#include "tests/runtime/run_loop.h"

namespace loopsan::testing {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;

Task<> Sleep(Duration duration) { co_await SleepFor(duration); }

Task<int> ReturnAfter(Duration delay, int value) {
  co_await SleepFor(delay);
  co_return value;
}

Task<int> FailAfter(Duration delay) {
  co_await SleepFor(delay);
  throw std::runtime_error("failed");
}

std::vector<std::string> Names(const std::vector<TaskHandle<int>>& tasks) {
  std::vector<std::string> names;
  for (const TaskHandle<int>& task : tasks) names.push_back(task.name());
  return names;
}

// "slow" ends after 9 s, "failing" after 2 s, "quick" after 1 s.
std::vector<TaskHandle<int>> SpawnThree() {
  std::vector<TaskHandle<int>> tasks;
  tasks.push_back(Spawn(ReturnAfter(9s, 1), "slow"));
  tasks.push_back(Spawn(FailAfter(2s), "failing"));
  tasks.push_back(Spawn(ReturnAfter(1s, 3), "quick"));
  return tasks;
}

TEST(Wait, ForTheFirstTaskSortsByWhatIsDone) {
  const auto main = []() -> Task<> {
    const auto tasks = SpawnThree();
    const auto [done, pending] = co_await Wait(tasks, WaitUntil::kFirstCompleted);
    EXPECT_THAT(Names(done), ElementsAre("quick"));
    EXPECT_THAT(Names(pending), ElementsAre("slow", "failing"));
    EXPECT_EQ(pending[0].cancel_requests(), 0u);
    const auto [same, rest] = co_await Wait(tasks, WaitUntil::kFirstCompleted);
    EXPECT_THAT(Names(same), ElementsAre("quick"));
  };
  RunScripted(main());
}

TEST(Wait, ForTheFirstExceptionGoesOnWhenATaskReturns) {
  const auto main = []() -> Task<> {
    const Time start = EventLoop::Running().Now();
    const auto [done, pending] = co_await Wait(SpawnThree(), WaitUntil::kFirstException);
    EXPECT_EQ(EventLoop::Running().Now() - start, 2s);
    EXPECT_THAT(Names(done), ElementsAre("failing", "quick"));
    EXPECT_THAT(Names(pending), ElementsAre("slow"));
    EXPECT_THROW(done[0].result(), std::runtime_error);
  };
  RunScripted(main());
}

TEST(Wait, ForTheFirstExceptionDoesNotTakeACancelledTaskForOne) {
  const auto main = []() -> Task<> {
    std::vector<TaskHandle<int>> tasks;
    tasks.push_back(Spawn(ReturnAfter(9s, 1), "slow"));
    tasks.push_back(Spawn(ReturnAfter(9s, 1), "victim"));
    tasks[1].Cancel();
    const auto [done, pending] = co_await Wait(tasks, WaitUntil::kFirstException);
    EXPECT_THAT(Names(done), ElementsAre("slow", "victim"));
    EXPECT_THAT(Names(pending), ElementsAre());
  };
  RunScripted(main());
}

TEST(Wait, ForAllIsNotEndedByAnException) {
  const auto main = []() -> Task<> {
    const Time start = EventLoop::Running().Now();
    const auto [done, pending] = co_await Wait(SpawnThree());
    EXPECT_EQ(EventLoop::Running().Now() - start, 9s);
    EXPECT_THAT(Names(done), ElementsAre("slow", "failing", "quick"));
    EXPECT_THROW(done[1].result(), std::runtime_error);
  };
  RunScripted(main());
}

TEST(Wait, EndsAtItsLimitWithoutErrorAndWithoutCancelling) {
  const auto main = []() -> Task<> {
    const Time start = EventLoop::Running().Now();
    const auto [done, pending] = co_await Wait(SpawnThree(), WaitUntil::kAllCompleted, 1500ms);
    EXPECT_EQ(EventLoop::Running().Now() - start, 1500ms);
    EXPECT_THAT(Names(done), ElementsAre("quick"));
    EXPECT_THAT(Names(pending), ElementsAre("slow", "failing"));
    EXPECT_EQ(pending[0].cancel_requests(), 0u);
    pending[1].state()->MarkRetrieved();
  };
  RunScripted(main());
}

TEST(Wait, LeavesNoTimerBehindIfItEndsEarlier) {
  ScriptedLoop scripted;
  const auto main = []() -> Task<> {
    std::vector<TaskHandle<int>> tasks;
    tasks.push_back(Spawn(ReturnAfter(1s, 1)));
    co_await Wait(tasks, WaitUntil::kAllCompleted, 1h);
  };
  const Time start = scripted.loop().Now();
  scripted.Run(main());
  EXPECT_EQ(scripted.loop().Now() - start, 1s);
}

TEST(Wait, ThatIsCancelledLetsTheTasksGoOn) {
  const auto main = []() -> Task<> {
    const auto tasks = SpawnThree();
    try {
      co_await WithTimeout(500ms, Wait(tasks));
      ADD_FAILURE();
    } catch (const TimeoutError&) {
    }
    for (const TaskHandle<int>& task : tasks) EXPECT_EQ(task.cancel_requests(), 0u);
    const auto [done, pending] = co_await Wait(tasks);
    EXPECT_EQ(done.size(), 3u);
    EXPECT_THROW(done[1].result(), std::runtime_error);
  };
  RunScripted(main());
}

TEST(Wait, ForNothingIsAnError) {
  const auto main = []() -> Task<> { co_await Wait(std::vector<TaskHandle<>>()); };
  EXPECT_THROW(RunScripted(main()), UsageError);
}

TEST(Wait, DoesNotCountExceptionsAsSeen) {
  const KeptFindings findings;
  const auto main = []() -> Task<> { co_await Wait(SpawnThree()); };
  RunScripted(main());
  EXPECT_THAT(findings.rules(), ElementsAre("exception-never-retrieved"));
}

TEST(WhenAny, TellsWhichTaskIsDoneFirst) {
  const auto main = []() -> Task<> {
    const TaskHandle<int> slow = Spawn(ReturnAfter(9s, 1));
    const TaskHandle<> quick = Spawn(Sleep(1s));
    EXPECT_EQ(co_await WhenAny(slow, quick), 1u);
    EXPECT_FALSE(slow.done());
    EXPECT_EQ(co_await slow, 1);
    EXPECT_EQ(co_await WhenAny(slow, quick), 0u);  // both are done: in their order
  };
  RunScripted(main());
}

TEST(WhenAny, OfATaskThatAwaitsTheWaitingOneIsNoCircle) {
  const KeptFindings findings;
  const auto main = []() -> Task<> {
    TaskHandle<> waiting;
    const auto wait = [&]() -> Task<> {
      co_await SleepFor(1s);
      co_await waiting;
    };
    const TaskHandle<> waiter = Spawn(wait());
    const auto any = [&]() -> Task<> {
      const TaskHandle<> quick = Spawn(Sleep(2s));
      EXPECT_EQ(co_await WhenAny(waiter, quick), 1u);
    };
    waiting = Spawn(any());
    co_await waiter;
  };
  RunScripted(main());
  EXPECT_THAT(findings.rules(), ElementsAre());
}

TEST(WhenAny, TakesAVectorAndDoesNotThrowWhatATaskThrew) {
  const auto main = []() -> Task<> {
    std::vector<TaskHandle<int>> tasks = SpawnThree();
    tasks.pop_back();
    EXPECT_EQ(co_await WhenAny(tasks), 1u);
    EXPECT_THROW(tasks[1].result(), std::runtime_error);
  };
  RunScripted(main());
}

}  // namespace
}  // namespace loopsan::testing
