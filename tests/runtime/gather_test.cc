#include "runtime/gather.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <memory>
#include <stdexcept>
#include <string>
#include <tuple>
#include <vector>

#include "runtime/sleep.h"
#include "runtime/timeout.h"
#include "tests/runtime/run_loop.h"

namespace loopsan::testing {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

Task<> Sleep(Duration duration) { co_await SleepFor(duration); }

template <typename T>
Task<T> ReturnAfter(Duration delay, T value) {
  co_await SleepFor(delay);
  co_return value;
}

Task<int> FailAfter(Duration delay, std::string what) {
  co_await SleepFor(delay);
  throw std::runtime_error(what);
}

TEST(Gather, RunsTasksAtTheSameTimeAndGivesTheirResultsInTheirOrder) {
  const auto main = []() -> Task<> {
    const Time start = EventLoop::Running().Now();
    auto [number, text, nothing] =
        co_await Gather(ReturnAfter(3s, 42), ReturnAfter(1s, std::string("text")), Sleep(2s));
    EXPECT_EQ(number, 42);
    EXPECT_EQ(text, "text");
    EXPECT_EQ(nothing, std::monostate());
    EXPECT_EQ(EventLoop::Running().Now() - start, 3s);
  };
  RunScripted(main());
}

TEST(Gather, OfNothingIsDoneAtOnce) {
  const auto main = []() -> Task<> {
    const std::tuple<> none = co_await Gather();
    EXPECT_EQ(none, std::tuple<>());
    std::vector<Task<int>> tasks;
    EXPECT_THAT(co_await Gather(std::move(tasks)), ElementsAre());
  };
  RunScripted(main());
}

TEST(Gather, TakesTasksHandlesAndFuturesTogether) {
  const auto main = []() -> Task<> {
    const TaskHandle<int> handle = Spawn(ReturnAfter(1s, 1));
    Promise<int> promise;
    EventLoop::Running().CallLater(2s, [promise]() mutable { promise.SetValue(2); });
    const Future<int> future = promise.future();
    auto [one, two, three] = co_await Gather(handle, future, ReturnAfter(1s, 3));
    EXPECT_EQ(one + two + three, 6);
    EXPECT_EQ(handle.result(), 1);
    EXPECT_EQ(future.result(), 2);
  };
  RunScripted(main());
}

TEST(Gather, CarriesMoveOnlyResultsAndReferences) {
  int value = 1;
  const auto refer = [&]() -> Task<int&> { co_return value; };
  const auto main = [&]() -> Task<> {
    TaskHandle<std::unique_ptr<int>> handle = Spawn(ReturnAfter(1s, std::make_unique<int>(6)));
    auto [made, moved, referred] =
        co_await Gather(ReturnAfter(1s, std::make_unique<int>(5)), std::move(handle), refer());
    EXPECT_EQ(*made, 5);
    EXPECT_EQ(*moved, 6);
    EXPECT_EQ(&referred.get(), &value);
  };
  RunScripted(main());
}

TEST(Gather, GivesAVectorOfTheResultsOfAVectorOfTasks) {
  const auto main = []() -> Task<> {
    std::vector<Task<int>> tasks;
    for (int i = 0; i < 5; ++i) tasks.push_back(ReturnAfter((5 - i) * 1s, i));
    EXPECT_THAT(co_await Gather(std::move(tasks)), ElementsAre(0, 1, 2, 3, 4));

    std::vector<TaskHandle<int>> handles;
    for (int i = 0; i < 3; ++i) handles.push_back(Spawn(ReturnAfter((5 - i) * 1s, i)));
    EXPECT_THAT(co_await Gather(handles), ElementsAre(0, 1, 2));
    EXPECT_THAT(co_await Gather(handles), ElementsAre(0, 1, 2));
    EXPECT_THAT(co_await Gather(std::move(handles)), ElementsAre(0, 1, 2));

    std::vector<Task<>> voids;
    int done = 0;
    const auto count = [&]() -> Task<> {
      co_await Yield();
      ++done;
    };
    for (int i = 0; i < 3; ++i) voids.push_back(count());
    co_await Gather(std::move(voids));
    EXPECT_EQ(done, 3);
  };
  RunScripted(main());
}

TEST(Gather, ThrowsTheFirstExceptionAtOnceAndLetsTheOthersGoOn) {
  const KeptFindings findings;
  const auto main = []() -> Task<> {
    const Time start = EventLoop::Running().Now();
    const TaskHandle<int> slow = Spawn(ReturnAfter(9s, 1));
    std::string what;
    try {
      co_await Gather(slow, FailAfter(2s, "second"), FailAfter(1s, "first"));
    } catch (const std::runtime_error& error) {
      what = error.what();
    }
    EXPECT_EQ(what, "first");
    EXPECT_EQ(EventLoop::Running().Now() - start, 1s);
    EXPECT_EQ(slow.cancel_requests(), 0u);
    EXPECT_EQ(co_await slow, 1);
  };
  RunScripted(main());
  EXPECT_THAT(findings.rules(), ElementsAre());  // the second one counts as seen
}

TEST(Gather, TakesTheFirstInTheirOrderOfSeveralThatHadFailedBefore) {
  const auto main = []() -> Task<> {
    std::vector<TaskHandle<int>> handles;
    handles.push_back(Spawn(ReturnAfter(1h, 1)));
    handles.push_back(Spawn(FailAfter(2s, "second")));
    handles.push_back(Spawn(FailAfter(1s, "first")));
    co_await SleepFor(3s);
    std::string what;
    try {
      co_await Gather(handles);
    } catch (const std::runtime_error& error) {
      what = error.what();
    }
    EXPECT_EQ(what, "second");
  };
  RunScripted(main());
}

TEST(Gather, ThrowsCancelledErrorIfOneOfItsTasksIsCancelled) {
  const auto main = []() -> Task<> {
    TaskHandle<int> victim = Spawn(ReturnAfter(1h, 1));
    const TaskHandle<int> other = Spawn(ReturnAfter(2h, 2));
    EventLoop::Running().CallLater(1s, [victim]() mutable { victim.Cancel(); });
    bool cancelled = false;
    try {
      co_await Gather(other, victim);
    } catch (const CancelledError&) {
      cancelled = true;
    }
    EXPECT_TRUE(cancelled);
    EXPECT_EQ(CurrentTask().cancel_requests(), 0u);
    EXPECT_FALSE(other.done());
    EXPECT_EQ(other.cancel_requests(), 0u);
  };
  RunScripted(main());
}

TEST(Gather, ThatIsCancelledCancelsAllItsTasks) {
  const auto main = []() -> Task<> {
    const TaskHandle<int> one = Spawn(ReturnAfter(1h, 1));
    const TaskHandle<int> two = Spawn(ReturnAfter(1h, 2));
    const TaskHandle<int> done = Spawn(ReturnAfter(1s, 3));
    try {
      co_await WithTimeout(2s, Gather(one, two, done));
      ADD_FAILURE();
    } catch (const TimeoutError&) {
    }
    co_await Yield();
    EXPECT_TRUE(one.cancelled());
    EXPECT_TRUE(two.cancelled());
    EXPECT_FALSE(done.cancelled());
  };
  RunScripted(main());
}

TEST(Gather, ThatIsCancelledEndsWithCancelledErrorEvenIfAllTasksReturn) {
  const auto stubborn = []() -> Task<int> {
    try {
      co_await SleepFor(1h);
    } catch (const CancelledError&) {
    }
    co_return 1;
  };
  const auto main = [&]() -> Task<> {
    const auto gather = [&]() -> Task<> { co_await Gather(stubborn(), stubborn()); };
    TaskHandle<> task = Spawn(gather());
    co_await SleepFor(1s);
    task.Cancel();
    try {
      co_await task;
      ADD_FAILURE();
    } catch (const CancelledError&) {
    }
    EXPECT_TRUE(task.cancelled());
  };
  RunScripted(main());
}

TEST(Gather, CountsATaskThatIsGivenTwiceTwice) {
  const auto main = []() -> Task<> {
    const TaskHandle<int> task = Spawn(ReturnAfter(1s, 4));
    auto [one, two] = co_await Gather(task, task);
    EXPECT_EQ(one, 4);
    EXPECT_EQ(two, 4);
  };
  RunScripted(main());
}

TEST(Gather, SpawnsItsTasksAtTheLineThatAwaitsIt) {
  uint32_t line = 0;
  std::string file;
  const auto look = [&]() -> Task<> {
    const loopsan_source* site = CurrentTask().state()->info.spawned_at;
    line = site->line;
    file = site->file;
    co_return;
  };
  const uint32_t here = __LINE__;
  const auto main = [&]() -> Task<> { co_await Gather(look()); };
  RunScripted(main());
  EXPECT_EQ(line, here + 1);
  EXPECT_THAT(file, HasSubstr("gather_test.cc"));
}

TEST(Gather, OfTheWaitingTaskItselfIsAnError) {
  const KeptFindings findings;
  const auto main = []() -> Task<> {
    TaskHandle<> self;
    const auto body = [&]() -> Task<> { co_await Gather(self); };
    self = Spawn(body());
    co_await Yield();
    EXPECT_TRUE(self.done());
    EXPECT_THROW(self.result(), UsageError);
  };
  RunScripted(main());
  EXPECT_THAT(findings.rules(), ElementsAre("awaits-itself"));
}

TEST(Gather, InACircleIsAnErrorAndAFindingWhicheverTaskItGoesThrough) {
  const KeptFindings findings;
  const auto main = []() -> Task<> {
    TaskHandle<> gathering;
    const auto wait = [&]() -> Task<> {
      co_await SleepFor(1s);
      co_await gathering;
    };
    const auto gather = [&]() -> Task<> { co_await Gather(Sleep(1h), wait()); };
    gathering = Spawn(gather(), "gathering");
    bool refused = false;
    try {
      co_await gathering;
    } catch (const UsageError&) {
      refused = true;
    }
    EXPECT_TRUE(refused);
  };
  RunScripted(main());
  ASSERT_THAT(findings.rules(), ElementsAre("await-cycle"));
  EXPECT_THAT(findings.all()[0].message, HasSubstr("-> 'gathering' ->"));
}

TEST(Gather, ThatWaitsWhenItsLoopIsClosedIsGone) {
  EventLoop loop({.port = std::make_unique<ScriptedPort>(), .name = {}, .debug = false});
  const auto main = []() -> Task<> { co_await Gather(ReturnAfter(1h, 1), FailAfter(1h, "late")); };
  const auto turns = []() -> Task<> { co_await SleepFor(1s); };
  loop.Spawn(main());
  loop.RunUntilComplete(turns());
  EXPECT_EQ(loop.task_count(), 3u);
  loop.Close();
  EXPECT_EQ(loop.task_count(), 0u);
}

TEST(GatherSettled, WaitsForAllAndTellsHowEachEnded) {
  const KeptFindings findings;
  const auto main = []() -> Task<> {
    TaskHandle<int> victim = Spawn(ReturnAfter(1h, 1));
    EventLoop::Running().CallLater(3s, [victim]() mutable { victim.Cancel(); });
    auto [good, bad, gone] =
        co_await GatherSettled(ReturnAfter(2s, 42), FailAfter(1s, "broken"), victim);
    EXPECT_TRUE(good.ok());
    EXPECT_EQ(good.value(), 42);
    EXPECT_EQ(good.error(), nullptr);
    EXPECT_FALSE(bad.ok());
    EXPECT_FALSE(bad.cancelled());
    EXPECT_THROW(bad.value(), std::runtime_error);
    EXPECT_TRUE(gone.cancelled());
    EXPECT_THROW(gone.value(), CancelledError);
  };
  RunScripted(main());
  EXPECT_THAT(findings.rules(), ElementsAre());
}

TEST(GatherSettled, TakesVectors) {
  const auto main = []() -> Task<> {
    std::vector<Task<int>> tasks;
    tasks.push_back(ReturnAfter(2s, 1));
    tasks.push_back(FailAfter(1s, "broken"));
    const std::vector<Settled<int>> settled = co_await GatherSettled(std::move(tasks));
    EXPECT_EQ(settled.size(), 2u);
    EXPECT_EQ(settled[0].value(), 1);
    EXPECT_FALSE(settled[1].ok());
    std::vector<Task<>> voids;
    voids.push_back(WithTimeout(1s, Sleep(1h)));
    const std::vector<Settled<>> ends = co_await GatherSettled(std::move(voids));
    EXPECT_THROW(ends[0].value(), TimeoutError);
  };
  RunScripted(main());
}

TEST(GatherSettled, ThatIsCancelledWaitsForAllAndThrowsCancelledError) {
  std::vector<std::string> notes;
  const auto slow_to_end = [&]() -> Task<> {
    bool cancelled = false;
    try {
      co_await SleepFor(1h);
    } catch (const CancelledError&) {
      cancelled = true;
    }
    if (cancelled) co_await SleepFor(5s);
    notes.push_back("ended");
  };
  const auto main = [&]() -> Task<> {
    const auto gather = [&]() -> Task<> {
      co_await GatherSettled(slow_to_end(), ReturnAfter(1h, 1));
    };
    try {
      co_await WithTimeout(1s, gather());
      ADD_FAILURE();
    } catch (const TimeoutError&) {
      notes.push_back("timeout");
    }
  };
  RunScripted(main());
  EXPECT_THAT(notes, ElementsAre("ended", "timeout"));
}

}  // namespace
}  // namespace loopsan::testing
