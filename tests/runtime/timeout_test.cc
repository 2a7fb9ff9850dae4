#include "runtime/timeout.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "runtime/future.h"
#include "runtime/sleep.h"
#include "tests/runtime/run_loop.h"

namespace loopsan::testing {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;

Duration Since(Time start) { return EventLoop::Running().Now() - start; }

Task<int> AnswerAfter(Duration delay) {
  co_await SleepFor(delay);
  co_return 42;
}

// Notes that it was cancelled, and how much time its clean-up took from it.
Task<> SleepNoting(Duration delay, Duration clean_up, std::vector<std::string>& notes) {
  bool cancelled = false;
  try {
    co_await SleepFor(delay);
    notes.push_back("slept");
  } catch (const CancelledError&) {
    cancelled = true;
  }
  if (cancelled) {
    co_await SleepFor(clean_up);
    notes.push_back("cleaned up");
    throw CancelledError();
  }
}

TEST(Timeout, ReturnsTheResultOfATaskThatIsInTime) {
  const auto main = []() -> Task<> {
    const Time start = EventLoop::Running().Now();
    const int answer = co_await WithTimeout(2s, AnswerAfter(1s));
    EXPECT_EQ(answer, 42);
    EXPECT_EQ(Since(start), 1s);
    EXPECT_EQ(CurrentTask().cancel_requests(), 0u);
  };
  RunScripted(main());
}

TEST(Timeout, LeavesNoTimerBehind) {
  ScriptedLoop scripted;
  const Time start = scripted.loop().Now();
  const auto main = []() -> Task<> { co_await WithTimeout(1h, Yield()); };
  scripted.Run(main());
  EXPECT_EQ(scripted.loop().Now(), start);
}

TEST(Timeout, EndsATaskThatIsLateWithTimeoutError) {
  const auto main = []() -> Task<> {
    const Time start = EventLoop::Running().Now();
    bool late = false;
    try {
      co_await WithTimeout(1s, AnswerAfter(10s));
    } catch (const TimeoutError&) {
      late = true;
    }
    EXPECT_TRUE(late);
    EXPECT_EQ(Since(start), 1s);
    EXPECT_EQ(CurrentTask().cancel_requests(), 0u);
    co_await SleepFor(1h);  // nobody cancels this task any more
  };
  RunScripted(main());
}

TEST(Timeout, WaitsForTheCleanUpOfWhatItCancelled) {
  std::vector<std::string> notes;
  const auto main = [&]() -> Task<> {
    const Time start = EventLoop::Running().Now();
    bool late = false;
    try {
      co_await WithTimeout(1s, SleepNoting(10s, 5s, notes));
    } catch (const TimeoutError&) {
      late = true;
    }
    EXPECT_TRUE(late);
    EXPECT_EQ(Since(start), 6s);
  };
  RunScripted(main());
  EXPECT_THAT(notes, ElementsAre("cleaned up"));
}

TEST(Timeout, ThatIsNotPositiveDoesNotStartTheTask) {
  const KeptFindings findings;
  bool started = false;
  const auto body = [&]() -> Task<> {
    started = true;
    co_return;
  };
  const auto main = [&]() -> Task<> { co_await WithTimeout(0s, body()); };
  EXPECT_THROW(RunScripted(main()), TimeoutError);
  EXPECT_FALSE(started);
  EXPECT_THAT(findings.rules(), ElementsAre());
}

TEST(Timeout, ThatIsNotPositiveEndsAScopeAtItsFirstWait) {
  std::vector<std::string> notes;
  const auto main = [&]() -> Task<> {
    const auto body = [&](Timeout&) -> Task<> {
      notes.push_back("begun");
      co_await SleepFor(1s);
      notes.push_back("slept");
    };
    co_await WithTimeout(0s, body);
  };
  EXPECT_THROW(RunScripted(main()), TimeoutError);
  EXPECT_THAT(notes, ElementsAre("begun"));
}

TEST(Timeout, OfNothingOrOfAllTimeNeverPasses) {
  const auto main = []() -> Task<> {
    EXPECT_EQ(co_await WithTimeout(std::nullopt, AnswerAfter(1000h)), 42);
    EXPECT_EQ(co_await WithTimeout(Duration::max(), AnswerAfter(1000h)), 42);
  };
  RunScripted(main());
}

TEST(Timeout, PassesOnWhatTheTaskThrew) {
  const auto fail = []() -> Task<> {
    co_await SleepFor(1s);
    throw std::runtime_error("its own");
  };
  const auto main = [&]() -> Task<> { co_await WithTimeout(2s, fail()); };
  EXPECT_THROW(RunScripted(main()), std::runtime_error);
}

TEST(Timeout, PassesOnWhatTheTaskThrewInsteadOfCancelledError) {
  const auto stubborn = []() -> Task<> {
    try {
      co_await SleepFor(10s);
    } catch (const CancelledError&) {
      throw std::runtime_error("clean-up failed");
    }
  };
  const auto main = [&]() -> Task<> {
    try {
      co_await WithTimeout(1s, stubborn());
      ADD_FAILURE();
    } catch (const TimeoutError&) {
      ADD_FAILURE();
    } catch (const std::runtime_error&) {
    }
    EXPECT_EQ(CurrentTask().cancel_requests(), 0u);
    co_return;
  };
  RunScripted(main());
}

TEST(Timeout, PassesOnTheResultOfATaskThatSwallowedTheCancellation) {
  const auto stubborn = []() -> Task<int> {
    try {
      co_await SleepFor(10s);
    } catch (const CancelledError&) {
    }
    co_return 7;
  };
  const auto main = [&]() -> Task<> {
    EXPECT_EQ(co_await WithTimeout(1s, stubborn()), 7);
    EXPECT_EQ(CurrentTask().cancel_requests(), 0u);
    co_await SleepFor(1s);
  };
  RunScripted(main());
}

TEST(Timeout, DoesNotTurnTheCancellationOfOthersIntoTimeoutError) {
  const auto main = []() -> Task<> {
    const auto limited = []() -> Task<> { co_await WithTimeout(10s, AnswerAfter(1h)); };
    const TaskHandle<> task = Spawn(limited());
    co_await SleepFor(1s);
    task.state()->Cancel();
    try {
      co_await task;
      ADD_FAILURE();
    } catch (const CancelledError&) {
    }
    EXPECT_TRUE(task.cancelled());
  };
  RunScripted(main());
}

TEST(Timeout, StaysACancellationIfSomebodyElseCancelledTooWhileItExpired) {
  std::vector<std::string> notes;
  const auto main = [&]() -> Task<> {
    const auto limited = [&]() -> Task<> { co_await WithTimeout(1s, SleepNoting(10s, 5s, notes)); };
    TaskHandle<> task = Spawn(limited());
    co_await SleepFor(2s);  // it is cleaning up
    task.Cancel();
    try {
      co_await task;
      ADD_FAILURE();
    } catch (const CancelledError&) {
    }
    EXPECT_EQ(task.cancel_requests(), 1u);
  };
  RunScripted(main());
  EXPECT_THAT(notes, ElementsAre());
}

TEST(Timeout, StaysTimeoutErrorIfTheTaskHadSwallowedAnEarlierCancellation) {
  const auto main = [&]() -> Task<> {
    const auto body = []() -> Task<> {
      try {
        co_await SleepFor(1h);
      } catch (const CancelledError&) {
      }
      EXPECT_EQ(CurrentTask().cancel_requests(), 1u);
      co_await WithTimeout(1s, AnswerAfter(1h));
    };
    TaskHandle<> task = Spawn(body());
    co_await Yield();
    task.Cancel();
    try {
      co_await task;
      ADD_FAILURE();
    } catch (const TimeoutError&) {
    }
  };
  RunScripted(main());
}

TEST(Timeout, InnerOneEndsOnlyItsOwnPart) {
  std::vector<std::string> notes;
  const auto main = [&]() -> Task<> {
    const auto outer = [&](Timeout& timeout) -> Task<> {
      try {
        co_await WithTimeout(1s, AnswerAfter(1h));
      } catch (const TimeoutError&) {
        notes.push_back("inner");
      }
      EXPECT_FALSE(timeout.expired());
      co_await SleepFor(1s);
      notes.push_back("went on");
    };
    co_await WithTimeout(5s, outer);
  };
  RunScripted(main());
  EXPECT_THAT(notes, ElementsAre("inner", "went on"));
}

TEST(Timeout, OuterOneGoesThroughAnInnerOne) {
  std::vector<std::string> notes;
  const auto main = [&]() -> Task<> {
    const auto outer = [&](Timeout&) -> Task<> {
      try {
        co_await WithTimeout(1h, AnswerAfter(2h));
      } catch (const TimeoutError&) {
        notes.push_back("inner");
      } catch (const CancelledError&) {
        notes.push_back("cancelled");
        throw;
      }
    };
    try {
      co_await WithTimeout(5s, outer);
    } catch (const TimeoutError&) {
      notes.push_back("outer");
    }
  };
  RunScripted(main());
  EXPECT_THAT(notes, ElementsAre("cancelled", "outer"));
}

TEST(Timeout, TwoThatPassTogetherEndBothParts) {
  std::vector<std::string> notes;
  const auto main = [&]() -> Task<> {
    const auto outer = [&](Timeout&) -> Task<> {
      try {
        co_await WithTimeout(1s, AnswerAfter(1h));
      } catch (const TimeoutError&) {
        notes.push_back("inner timeout");
      } catch (const CancelledError&) {
        notes.push_back("inner cancelled");
        throw;
      }
    };
    try {
      co_await WithTimeout(1s, outer);
    } catch (const TimeoutError&) {
      notes.push_back("outer timeout");
    }
    EXPECT_EQ(CurrentTask().cancel_requests(), 0u);
    co_await SleepFor(1s);
  };
  RunScripted(main());
  EXPECT_THAT(notes, ElementsAre("inner cancelled", "outer timeout"));
}

TEST(Timeout, ScopeCanBeMovedAndAsked) {
  const auto main = []() -> Task<> {
    EventLoop& loop = EventLoop::Running();
    const Time start = loop.Now();
    const auto body = [&](Timeout& timeout) -> Task<int> {
      EXPECT_EQ(timeout.when(), start + 1s);
      co_await SleepFor(900ms);
      timeout.Reschedule(start + 3s);
      EXPECT_EQ(timeout.when(), start + 3s);
      co_await SleepFor(1s);
      timeout.Reschedule(std::nullopt);
      EXPECT_EQ(timeout.when(), std::nullopt);
      co_await SleepFor(1h);
      EXPECT_FALSE(timeout.expired());
      co_return 1;
    };
    EXPECT_EQ(co_await WithTimeout(1s, body), 1);
  };
  RunScripted(main());
}

TEST(Timeout, ScopeThatIsMovedIntoThePastEndsAtTheNextWait) {
  std::vector<std::string> notes;
  const auto main = [&]() -> Task<> {
    const auto body = [&](Timeout& timeout) -> Task<> {
      timeout.Reschedule(EventLoop::Running().Now() - 1s);
      notes.push_back("goes on");
      co_await SleepFor(1s);
      notes.push_back("too far");
    };
    co_await WithTimeout(std::nullopt, body);
  };
  EXPECT_THROW(RunScripted(main()), TimeoutError);
  EXPECT_THAT(notes, ElementsAre("goes on"));
}

TEST(Timeout, CannotBeMovedOnceItHasExpiredOrItsPartIsOver) {
  const auto main = []() -> Task<> {
    Timeout* kept = nullptr;
    const auto body = [&](Timeout& timeout) -> Task<> {
      kept = &timeout;
      try {
        co_await SleepFor(1h);
      } catch (const CancelledError&) {
        EXPECT_TRUE(timeout.expired());
        EXPECT_THROW(timeout.Reschedule(std::nullopt), UsageError);
        throw;
      }
    };
    try {
      co_await WithTimeout(1s, body);
      ADD_FAILURE();
    } catch (const TimeoutError&) {
    }
  };
  RunScripted(main());
  Timeout never_entered;
  EXPECT_THROW(never_entered.Reschedule(std::nullopt), UsageError);
}

TEST(Timeout, WithADeadlineEndsAtThatTime) {
  const auto main = []() -> Task<> {
    const Time start = EventLoop::Running().Now();
    try {
      co_await WithDeadline(start + 3s, AnswerAfter(1h));
      ADD_FAILURE();
    } catch (const TimeoutError&) {
    }
    EXPECT_EQ(Since(start), 3s);
  };
  RunScripted(main());
}

TEST(Timeout, CancelsTheTaskWhoseHandleIsAwaited) {
  const auto main = []() -> Task<> {
    const TaskHandle<int> task = Spawn(AnswerAfter(1h));
    try {
      co_await WithTimeout(1s, task);
      ADD_FAILURE();
    } catch (const TimeoutError&) {
    }
    EXPECT_TRUE(task.cancelled());
  };
  RunScripted(main());
}

TEST(Timeout, GivesTheResultOfADoneHandleEvenIfItIsNotPositive) {
  const auto main = []() -> Task<> {
    const TaskHandle<int> task = Spawn(AnswerAfter(1s));
    co_await SleepFor(2s);
    EXPECT_EQ(co_await WithTimeout(0s, task), 42);
  };
  RunScripted(main());
}

TEST(Timeout, CancelsTheFutureThatIsAwaited) {
  const auto main = []() -> Task<> {
    Promise<int> promise;
    Future<int> future = promise.future();
    try {
      co_await WithTimeout(1s, future);
      ADD_FAILURE();
    } catch (const TimeoutError&) {
    }
    EXPECT_TRUE(future.cancelled());
    EXPECT_FALSE(promise.SetValue(1));
  };
  RunScripted(main());
}

TEST(Timeout, AwaitsAnAwaiterThatCannotBeMoved) {
  const auto main = []() -> Task<> {
    const Time start = EventLoop::Running().Now();
    try {
      co_await WithTimeout(1s, SleepFor(2s));
      ADD_FAILURE();
    } catch (const TimeoutError&) {
    }
    EXPECT_EQ(Since(start), 1s);
  };
  RunScripted(main());
}

TEST(Timeout, CarriesReferencesAndMoveOnlyResults) {
  int value = 1;
  const auto refer = [&]() -> Task<int&> { co_return value; };
  const auto make = []() -> Task<std::unique_ptr<int>> { co_return std::make_unique<int>(5); };
  const auto main = [&]() -> Task<> {
    int& found = co_await WithTimeout(1s, refer());
    EXPECT_EQ(&found, &value);
    const std::unique_ptr<int> made = co_await WithTimeout(1s, make());
    EXPECT_EQ(*made, 5);
  };
  RunScripted(main());
}

TEST(Timeout, LimitsATaskOfItsOwnWhoseBodyWasATemporary) {
  const auto main = []() -> Task<> {
    auto text = std::make_shared<std::string>("kept");
    auto task = WithTimeout(1s, [text](Timeout&) -> Task<std::string> {
      co_await SleepFor(500ms);
      co_return *text;
    });
    text.reset();
    const TaskHandle<std::string> handle = Spawn(std::move(task));
    EXPECT_EQ(co_await handle, "kept");
  };
  RunScripted(main());
}

TEST(Timeout, ThatIsPendingWhenItsLoopIsClosedIsGone) {
  const KeptFindings findings;
  EventLoop loop({.port = std::make_unique<ScriptedPort>(), .name = {}, .debug = true});
  const auto turn = []() -> Task<> { co_await Yield(); };
  loop.Spawn(WithTimeout(1h, AnswerAfter(2h)));
  loop.RunUntilComplete(turn());
  loop.Close();
  EXPECT_THAT(findings.rules(), ElementsAre("destroyed-while-pending"));
}

}  // namespace
}  // namespace loopsan::testing
