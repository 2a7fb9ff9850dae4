// What cancelling a task does, as in asyncio.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <stdexcept>
#include <string>
#include <vector>

#include "runtime/future.h"
#include "runtime/gather.h"
#include "runtime/sleep.h"
#include "runtime/spawn.h"
#include "tests/runtime/run_loop.h"

namespace loopsan::testing {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;

using Notes = std::vector<std::string>;

Task<> Sleep(Duration duration) { co_await SleepFor(duration); }

Task<> SleepNoting(Notes& notes, Duration duration = 1h) {
  notes.push_back("begun");
  try {
    co_await SleepFor(duration);
    notes.push_back("slept");
  } catch (const CancelledError&) {
    notes.push_back("cancelled");
    throw;
  }
}

// Awaits the task, and tells how it ended.
Task<std::string> EndOf(TaskHandle<> task) {
  try {
    co_await task;
  } catch (const CancelledError&) {
    co_return "cancelled";
  } catch (const std::exception& error) {
    co_return error.what();
  }
  co_return "returned";
}

TEST(Cancel, BeforeTheFirstStepRunsNothingOfTheTask) {
  Notes notes;
  const auto main = [&]() -> Task<> {
    TaskHandle<> task = Spawn(SleepNoting(notes));
    EXPECT_TRUE(task.Cancel());
    EXPECT_EQ(co_await EndOf(task), "cancelled");
    EXPECT_TRUE(task.cancelled());
  };
  RunScripted(main());
  EXPECT_THAT(notes, ElementsAre());
}

TEST(Cancel, WhileItWaitsThrowsAtTheWaitAndLeavesNoTimer) {
  Notes notes;
  ScriptedLoop scripted;
  const Time start = scripted.loop().Now();
  const auto main = [&]() -> Task<> {
    TaskHandle<> task = Spawn(SleepNoting(notes));
    co_await Yield();
    EXPECT_TRUE(task.Cancel());
    EXPECT_FALSE(task.done());  // it has not run yet
    EXPECT_EQ(co_await EndOf(task), "cancelled");
  };
  scripted.Run(main());
  EXPECT_THAT(notes, ElementsAre("begun", "cancelled"));
  EXPECT_EQ(scripted.loop().Now(), start);
}

TEST(Cancel, OfATaskThatIsReadyThrowsAtItsWait) {
  Notes notes;
  const auto main = [&]() -> Task<> {
    Promise<> promise;
    const auto wait = [&]() -> Task<> {
      try {
        co_await promise.future();
        notes.push_back("got it");
      } catch (const CancelledError&) {
        notes.push_back("cancelled");
        throw;
      }
    };
    TaskHandle<> task = Spawn(wait());
    co_await Yield();
    promise.SetValue();
    task.Cancel();
    EXPECT_EQ(co_await EndOf(task), "cancelled");
    EXPECT_FALSE(promise.future().cancelled());
  };
  RunScripted(main());
  EXPECT_THAT(notes, ElementsAre("cancelled"));
}

TEST(Cancel, OfADoneTaskDoesNothing) {
  const auto main = []() -> Task<> {
    const auto nothing = []() -> Task<> { co_return; };
    TaskHandle<> task = Spawn(nothing());
    co_await task;
    EXPECT_FALSE(task.Cancel());
    EXPECT_FALSE(task.cancelled());
    EXPECT_EQ(task.cancel_requests(), 0u);
  };
  RunScripted(main());
}

TEST(Cancel, OfADoneTaskDoesNothingWhenItsLoopIsGone) {
  TaskHandle<> kept;
  const auto main = [&]() -> Task<> {
    const auto nothing = []() -> Task<> { co_return; };
    kept = Spawn(nothing());
    co_await kept;
  };
  RunScripted(main());
  EXPECT_FALSE(kept.Cancel());
}

TEST(Cancel, OfOneselfThrowsAtTheNextWait) {
  Notes notes;
  const auto main = [&]() -> Task<> {
    const auto body = [&]() -> Task<> {
      CurrentTask().Cancel();
      notes.push_back("goes on");
      co_await SleepNoting(notes);
    };
    EXPECT_EQ(co_await EndOf(Spawn(body())), "cancelled");
  };
  RunScripted(main());
  EXPECT_THAT(notes, ElementsAre("goes on", "begun", "cancelled"));
}

TEST(Cancel, InTheLastStepEndsTheTaskAsCancelled) {
  const auto main = []() -> Task<> {
    const auto body = []() -> Task<> {
      CurrentTask().Cancel();
      co_return;
    };
    EXPECT_EQ(co_await EndOf(Spawn(body())), "cancelled");
  };
  RunScripted(main());
}

TEST(Cancel, InTheLastStepGivesWayToAnException) {
  const auto main = []() -> Task<> {
    const auto body = []() -> Task<> {
      CurrentTask().Cancel();
      throw std::runtime_error("broken");
      co_return;
    };
    EXPECT_EQ(co_await EndOf(Spawn(body())), "broken");
  };
  RunScripted(main());
}

TEST(Cancel, CanBeSwallowed) {
  Notes notes;
  const auto main = [&]() -> Task<> {
    const auto body = [&]() -> Task<> {
      try {
        co_await SleepFor(1h);
      } catch (const CancelledError&) {
        notes.push_back("swallowed");
      }
      co_await SleepFor(1s);
      notes.push_back("went on");
    };
    TaskHandle<> task = Spawn(body());
    co_await Yield();
    task.Cancel();
    EXPECT_EQ(co_await EndOf(task), "returned");
    EXPECT_FALSE(task.cancelled());
    EXPECT_EQ(task.cancel_requests(), 1u);
  };
  RunScripted(main());
  EXPECT_THAT(notes, ElementsAre("swallowed", "went on"));
}

TEST(Cancel, TwiceBeforeItIsThrownThrowsOnce) {
  Notes notes;
  const auto main = [&]() -> Task<> {
    const auto body = [&]() -> Task<> {
      try {
        co_await SleepFor(1h);
      } catch (const CancelledError&) {
        notes.push_back("first");
      }
      co_await SleepFor(1s);
      notes.push_back("went on");
    };
    TaskHandle<> task = Spawn(body());
    co_await Yield();
    task.Cancel();
    task.Cancel();
    EXPECT_EQ(task.cancel_requests(), 2u);
    EXPECT_EQ(co_await EndOf(task), "returned");
  };
  RunScripted(main());
  EXPECT_THAT(notes, ElementsAre("first", "went on"));
}

TEST(Cancel, OnceMoreInterruptsTheCleanUp) {
  Notes notes;
  const auto main = [&]() -> Task<> {
    const auto body = [&]() -> Task<> {
      bool cancelled = false;
      try {
        co_await SleepFor(1h);
      } catch (const CancelledError&) {
        cancelled = true;
      }
      EXPECT_TRUE(cancelled);
      co_await SleepNoting(notes, 10s);
    };
    TaskHandle<> task = Spawn(body());
    co_await Yield();
    task.Cancel();
    co_await SleepFor(1s);
    task.Cancel();
    EXPECT_EQ(co_await EndOf(task), "cancelled");
  };
  RunScripted(main());
  EXPECT_THAT(notes, ElementsAre("begun", "cancelled"));
}

TEST(Cancel, LetsCleanUpCodeAwait) {
  Notes notes;
  const auto main = [&]() -> Task<> {
    const auto body = [&]() -> Task<> {
      bool cancelled = false;
      try {
        co_await SleepFor(1h);
      } catch (const CancelledError&) {
        cancelled = true;
      }
      co_await SleepFor(5s);
      notes.push_back("cleaned up");
      if (cancelled) throw CancelledError();
    };
    TaskHandle<> task = Spawn(body());
    co_await Yield();
    const Time start = EventLoop::Running().Now();
    task.Cancel();
    EXPECT_EQ(co_await EndOf(task), "cancelled");
    EXPECT_EQ(EventLoop::Running().Now() - start, 5s);
  };
  RunScripted(main());
  EXPECT_THAT(notes, ElementsAre("cleaned up"));
}

TEST(Cancel, GoesDownAChainOfAwaitedTasksAndComesBackUp) {
  Notes notes;
  const auto main = [&]() -> Task<> {
    const TaskHandle<> inner = Spawn(SleepNoting(notes));
    const auto middle = [&]() -> Task<> {
      try {
        co_await inner;
      } catch (const CancelledError&) {
        notes.push_back("middle");
        throw;
      }
    };
    const TaskHandle<> between = Spawn(middle());
    const auto outer = [&]() -> Task<> { co_await between; };
    TaskHandle<> top = Spawn(outer());
    co_await SleepFor(1s);
    top.Cancel();
    EXPECT_EQ(inner.cancel_requests(), 1u);
    EXPECT_EQ(co_await EndOf(top), "cancelled");
    EXPECT_TRUE(inner.cancelled());
    EXPECT_TRUE(between.cancelled());
  };
  RunScripted(main());
  EXPECT_THAT(notes, ElementsAre("begun", "cancelled", "middle"));
}

TEST(Cancel, ThatAnAwaitedTaskSwallowsDoesNotReachTheOneThatAwaits) {
  const auto main = []() -> Task<> {
    const auto stubborn = []() -> Task<> {
      try {
        co_await SleepFor(1h);
      } catch (const CancelledError&) {
      }
    };
    const TaskHandle<> inner = Spawn(stubborn());
    const auto wait = [&]() -> Task<> { co_await inner; };
    TaskHandle<> outer = Spawn(wait());
    co_await SleepFor(1s);
    outer.Cancel();
    EXPECT_EQ(co_await EndOf(outer), "returned");
  };
  RunScripted(main());
}

TEST(Cancel, OfAnAwaitedTaskIsThrownFromTheAwait) {
  const auto main = []() -> Task<> {
    Notes notes;
    TaskHandle<> inner = Spawn(SleepNoting(notes));
    const auto wait = [&]() -> Task<> { co_await inner; };
    const TaskHandle<> outer = Spawn(wait());
    co_await SleepFor(1s);
    inner.Cancel();
    EXPECT_EQ(co_await EndOf(outer), "cancelled");
    EXPECT_EQ(outer.cancel_requests(), 0u);
  };
  RunScripted(main());
}

TEST(Cancel, ReachesATaskOnceByHoweverManyWays) {
  const auto main = []() -> Task<> {
    Notes notes;
    const TaskHandle<> bottom = Spawn(SleepNoting(notes));
    const auto wait = [&]() -> Task<> { co_await bottom; };
    const TaskHandle<> left = Spawn(wait());
    const TaskHandle<> right = Spawn(wait());
    const auto gather = [&]() -> Task<> { co_await Gather(left, right); };
    TaskHandle<> top = Spawn(gather());
    co_await SleepFor(1s);
    top.Cancel();
    EXPECT_EQ(bottom.cancel_requests(), 1u);
    EXPECT_EQ(co_await EndOf(top), "cancelled");
    co_await Yield();
    EXPECT_TRUE(left.cancelled() && right.cancelled());
  };
  RunScripted(main());
}

TEST(Cancel, EndsACircleThatFormedBehindAGathering) {
  const KeptFindings findings;
  ScriptedLoop scripted(false);  // the debug mode would refuse it
  const auto main = []() -> Task<> {
    const TaskHandle<> first = Spawn(Sleep(1h));
    TaskHandle<> gathering;
    const auto wait = [&]() -> Task<> {
      co_await SleepFor(1s);
      co_await gathering;
    };
    const TaskHandle<> waiter = Spawn(wait());
    const auto gather = [&]() -> Task<> { co_await Gather(first, waiter); };
    gathering = Spawn(gather());
    co_await SleepFor(2s);
    gathering.Cancel();
    EXPECT_EQ(co_await EndOf(gathering), "cancelled");
    EXPECT_EQ(co_await EndOf(waiter), "cancelled");
  };
  scripted.Run(main());
}

TEST(Cancel, IsNotCaughtAsAStandardException) {
  Notes notes;
  const auto main = [&]() -> Task<> {
    const auto body = [&]() -> Task<> {
      try {
        co_await SleepFor(1h);
      } catch (const std::exception&) {
        notes.push_back("swallowed");
      }
    };
    TaskHandle<> task = Spawn(body());
    co_await Yield();
    task.Cancel();
    EXPECT_EQ(co_await EndOf(task), "cancelled");
  };
  RunScripted(main());
  EXPECT_THAT(notes, ElementsAre());
}

TEST(Uncancel, TakesBackARequestThatHasNotBeenThrown) {
  Notes notes;
  const auto main = [&]() -> Task<> {
    const auto body = [&]() -> Task<> {
      AnyTaskHandle self = CurrentTask();
      self.Cancel();
      EXPECT_EQ(self.Uncancel(), 0u);
      co_await SleepNoting(notes, 1s);
    };
    EXPECT_EQ(co_await EndOf(Spawn(body())), "returned");
  };
  RunScripted(main());
  EXPECT_THAT(notes, ElementsAre("begun", "slept"));
}

TEST(Uncancel, LeavesTheOtherRequests) {
  Notes notes;
  const auto main = [&]() -> Task<> {
    const auto body = [&]() -> Task<> {
      AnyTaskHandle self = CurrentTask();
      EXPECT_EQ(self.Uncancel(), 0u);  // there was none
      self.Cancel();
      self.Cancel();
      EXPECT_EQ(self.Uncancel(), 1u);
      co_await SleepNoting(notes, 1s);
    };
    EXPECT_EQ(co_await EndOf(Spawn(body())), "cancelled");
  };
  RunScripted(main());
  EXPECT_THAT(notes, ElementsAre("begun", "cancelled"));
}

TEST(CancelAll, EndsAllButTheTaskThatAsksForIt) {
  Notes notes;
  const auto main = [&]() -> Task<> {
    std::vector<TaskHandle<>> tasks;
    for (int i = 0; i < 3; ++i) tasks.push_back(Spawn(SleepNoting(notes)));
    co_await Yield();
    co_await EventLoop::Running().CancelAll();
    for (const TaskHandle<>& task : tasks) EXPECT_TRUE(task.cancelled());
    co_await Yield();
  };
  RunScripted(main());
  EXPECT_THAT(notes, ElementsAre("begun", "begun", "begun", "cancelled", "cancelled", "cancelled"));
}

}  // namespace
}  // namespace loopsan::testing
