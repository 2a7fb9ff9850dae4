#include "runtime/task_group.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "runtime/sleep.h"
#include "runtime/timeout.h"
#include "tests/runtime/run_loop.h"

namespace loopsan::testing {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

using Notes = std::vector<std::string>;

Task<> NoteAfter(Duration delay, std::string note, Notes& notes) {
  try {
    co_await SleepFor(delay);
    notes.push_back(note);
  } catch (const CancelledError&) {
    notes.push_back(note + " cancelled");
    throw;
  }
}

Task<> FailAfter(Duration delay, std::string what) {
  co_await SleepFor(delay);
  throw std::runtime_error(what);
}

Task<> FailWhenCancelled(std::string what) {
  try {
    co_await SleepFor(1h);
  } catch (const CancelledError&) {
    throw std::runtime_error(what);
  }
}

Notes Whats(const TaskGroupError& error) {
  Notes whats;
  for (const std::exception_ptr& each : error.errors()) {
    try {
      std::rethrow_exception(each);
    } catch (const std::exception& exception) {
      whats.push_back(exception.what());
    }
  }
  return whats;
}

// Runs a group and gives the errors of its tasks.
template <typename F>
Task<Notes> ErrorsOf(const F& body) {
  Notes whats;
  try {
    co_await WithTaskGroup(body);
  } catch (const TaskGroupError& error) {
    whats = Whats(error);
  }
  co_return whats;
}

TEST(TaskGroup, WaitsForAllItsTasks) {
  Notes notes;
  const auto main = [&]() -> Task<> {
    const auto body = [&](TaskGroup& group) -> Task<int> {
      group.Spawn(NoteAfter(2s, "two", notes));
      group.Spawn(NoteAfter(1s, "one", notes));
      co_return 42;
    };
    EXPECT_EQ(co_await WithTaskGroup(body), 42);
    notes.push_back("over");
  };
  RunScripted(main());
  EXPECT_THAT(notes, ElementsAre("one", "two", "over"));
}

TEST(TaskGroup, WithoutTasksIsDoneAtOnce) {
  const auto main = []() -> Task<> {
    const auto body = [](TaskGroup&) -> Task<std::unique_ptr<int>> {
      co_return std::make_unique<int>(5);
    };
    EXPECT_EQ(*co_await WithTaskGroup(body), 5);
  };
  RunScripted(main());
}

TEST(TaskGroup, GivesHandlesWithResults) {
  const auto main = []() -> Task<> {
    const auto answer = []() -> Task<int> {
      co_await Yield();
      co_return 42;
    };
    TaskHandle<int> kept;
    const auto body = [&](TaskGroup& group) -> Task<> {
      kept = group.Spawn(answer(), "answer");
      EXPECT_EQ(kept.name(), "answer");
      co_return;
    };
    co_await WithTaskGroup(body);
    EXPECT_EQ(kept.result(), 42);
  };
  RunScripted(main());
}

TEST(TaskGroup, IsCancelledWhenATaskFails) {
  Notes notes;
  const auto main = [&]() -> Task<> {
    const Time start = EventLoop::Running().Now();
    const auto body = [&](TaskGroup& group) -> Task<> {
      group.Spawn(NoteAfter(1h, "sibling", notes));
      group.Spawn(FailAfter(1s, "broken"));
      co_await NoteAfter(1h, "body", notes);
    };
    EXPECT_THAT(co_await ErrorsOf(body), ElementsAre("broken"));
    EXPECT_EQ(EventLoop::Running().Now() - start, 1s);
    EXPECT_EQ(CurrentTask().cancel_requests(), 0u);
    co_await SleepFor(1s);  // this task is not cancelled any more
  };
  RunScripted(main());
  EXPECT_THAT(notes, ElementsAre("sibling cancelled", "body cancelled"));
}

TEST(TaskGroup, IsCancelledWhenATaskFailsAfterTheBody) {
  Notes notes;
  const auto main = [&]() -> Task<> {
    const auto body = [&](TaskGroup& group) -> Task<> {
      group.Spawn(NoteAfter(1h, "sibling", notes));
      group.Spawn(FailAfter(1s, "broken"));
      co_return;
    };
    EXPECT_THAT(co_await ErrorsOf(body), ElementsAre("broken"));
    EXPECT_EQ(CurrentTask().cancel_requests(), 0u);
    co_await SleepFor(1s);
  };
  RunScripted(main());
  EXPECT_THAT(notes, ElementsAre("sibling cancelled"));
}

TEST(TaskGroup, CollectsAllErrorsInTheirOrder) {
  const auto main = []() -> Task<> {
    const auto body = [&](TaskGroup& group) -> Task<> {
      group.Spawn(FailWhenCancelled("second"));
      group.Spawn(FailWhenCancelled("third"));
      group.Spawn(FailAfter(1s, "first"));
      co_await FailWhenCancelled("the body");
    };
    std::optional<TaskGroupError> caught;
    try {
      co_await WithTaskGroup(body);
    } catch (const TaskGroupError& error) {
      caught = error;
    }
    EXPECT_THAT(Whats(*caught), ElementsAre("first", "second", "third", "the body"));
    EXPECT_STREQ(caught->what(), "4 errors in a task group: first; second; third; the body");
  };
  RunScripted(main());
}

TEST(TaskGroup, IsCancelledWhenItsBodyThrows) {
  Notes notes;
  const auto main = [&]() -> Task<> {
    const auto body = [&](TaskGroup& group) -> Task<> {
      group.Spawn(NoteAfter(1h, "task", notes));
      co_await FailAfter(1s, "the body");
    };
    EXPECT_THAT(co_await ErrorsOf(body), ElementsAre("the body"));
    EXPECT_EQ(CurrentTask().cancel_requests(), 0u);
  };
  RunScripted(main());
  EXPECT_THAT(notes, ElementsAre("task cancelled"));
}

TEST(TaskGroup, DoesNotMindATaskThatIsCancelled) {
  Notes notes;
  const auto main = [&]() -> Task<> {
    const auto body = [&](TaskGroup& group) -> Task<> {
      TaskHandle<> victim = group.Spawn(NoteAfter(1h, "victim", notes));
      group.Spawn(NoteAfter(2s, "sibling", notes));
      co_await SleepFor(1s);
      victim.Cancel();
    };
    co_await WithTaskGroup(body);
  };
  RunScripted(main());
  EXPECT_THAT(notes, ElementsAre("victim cancelled", "sibling"));
}

TEST(TaskGroup, ThatIsCancelledInItsBodyCancelsItsTasks) {
  Notes notes;
  const auto main = [&]() -> Task<> {
    const auto run = [&]() -> Task<> {
      const auto body = [&](TaskGroup& group) -> Task<> {
        group.Spawn(NoteAfter(1h, "task", notes));
        co_await NoteAfter(1h, "body", notes);
      };
      co_await WithTaskGroup(body);
    };
    TaskHandle<> task = Spawn(run());
    co_await SleepFor(1s);
    task.Cancel();
    try {
      co_await task;
      ADD_FAILURE();
    } catch (const CancelledError&) {
    }
    EXPECT_TRUE(task.cancelled());
    EXPECT_EQ(task.cancel_requests(), 1u);
  };
  RunScripted(main());
  EXPECT_THAT(notes, ElementsAre("body cancelled", "task cancelled"));
}

TEST(TaskGroup, ThatIsCancelledAfterItsBodyCancelsItsTasksAndWaitsForThem) {
  Notes notes;
  const auto slow_to_end = [&]() -> Task<> {
    bool cancelled = false;
    try {
      co_await SleepFor(1h);
    } catch (const CancelledError&) {
      cancelled = true;
    }
    if (cancelled) co_await NoteAfter(5s, "clean-up", notes);
  };
  const auto main = [&]() -> Task<> {
    const auto body = [&](TaskGroup& group) -> Task<> {
      group.Spawn(slow_to_end());
      co_return;
    };
    try {
      co_await WithTimeout(1s, WithTaskGroup(body));
      ADD_FAILURE();
    } catch (const TimeoutError&) {
      notes.push_back("timeout");
    }
    EXPECT_EQ(CurrentTask().cancel_requests(), 0u);
  };
  RunScripted(main());
  EXPECT_THAT(notes, ElementsAre("clean-up", "timeout"));
}

TEST(TaskGroup, ThatIsCancelledTwiceStillWaits) {
  Notes notes;
  const auto slow_to_end = [&]() -> Task<> {
    bool cancelled = false;
    try {
      co_await SleepFor(1h);
    } catch (const CancelledError&) {
      cancelled = true;
    }
    if (cancelled) co_await NoteAfter(5s, "clean-up", notes);
  };
  const auto main = [&]() -> Task<> {
    const auto run = [&]() -> Task<> {
      const auto body = [&](TaskGroup& group) -> Task<> {
        group.Spawn(slow_to_end());
        co_return;
      };
      co_await WithTaskGroup(body);
    };
    TaskHandle<> task = Spawn(run());
    co_await SleepFor(1s);
    task.Cancel();
    co_await SleepFor(1s);
    task.Cancel();
    try {
      co_await task;
    } catch (const CancelledError&) {
      notes.push_back("over");
    }
  };
  RunScripted(main());
  EXPECT_THAT(notes, ElementsAre("clean-up", "over"));
}

TEST(TaskGroup, PutsErrorsBeforeACancellationFromOutsideAndKeepsThat) {
  Notes notes;
  const auto main = [&]() -> Task<> {
    const auto run = [&]() -> Task<> {
      const auto body = [&](TaskGroup& group) -> Task<> {
        group.Spawn(FailWhenCancelled("in clean-up"));
        co_await SleepFor(1h);
      };
      EXPECT_THAT(co_await ErrorsOf(body), ElementsAre("in clean-up"));
      EXPECT_EQ(CurrentTask().cancel_requests(), 1u);
      co_await NoteAfter(1s, "went on", notes);
    };
    TaskHandle<> task = Spawn(run());
    co_await SleepFor(1s);
    task.Cancel();
    try {
      co_await task;
      ADD_FAILURE();
    } catch (const CancelledError&) {
    }
  };
  RunScripted(main());
  EXPECT_THAT(notes, ElementsAre("went on cancelled"));
}

TEST(TaskGroup, WhoseLastTaskFailsWhileItsBodyEndsCancelsNothingLater) {
  const auto main = []() -> Task<> {
    const auto body = [&](TaskGroup& group) -> Task<> {
      // The body is ready again, and waits no more, when the task fails.
      group.Spawn(FailAfter(0s, "broken"));
      co_await SleepFor(0s);
    };
    EXPECT_THAT(co_await ErrorsOf(body), ElementsAre("broken"));
    EXPECT_EQ(CurrentTask().cancel_requests(), 0u);
    co_await SleepFor(1s);
  };
  RunScripted(main());
}

TEST(TaskGroup, TakesNoTaskOnceItIsCancelled) {
  const KeptFindings findings;
  Notes notes;
  const auto main = [&]() -> Task<> {
    const auto body = [&](TaskGroup& group) -> Task<> {
      group.Spawn(FailAfter(1s, "broken"));
      try {
        co_await SleepFor(1h);
      } catch (const CancelledError&) {
        EXPECT_THROW(group.Spawn(NoteAfter(1s, "late", notes)), UsageError);
        throw;
      }
    };
    EXPECT_THAT(co_await ErrorsOf(body), ElementsAre("broken"));
  };
  RunScripted(main());
  EXPECT_THAT(notes, ElementsAre());
  EXPECT_THAT(findings.rules(), ElementsAre());  // it was refused, not forgotten
}

TEST(TaskGroup, TakesTasksFromItsTasksUntilTheLastIsDone) {
  Notes notes;
  const auto main = [&]() -> Task<> {
    const auto body = [&](TaskGroup& group) -> Task<> {
      const auto spawner = [](TaskGroup own, Notes& list) -> Task<> {
        co_await SleepFor(1s);
        own.Spawn(NoteAfter(1s, "grandchild", list));
      };
      group.Spawn(spawner(group, notes));
      co_return;
    };
    co_await WithTaskGroup(body);
    notes.push_back("over");
  };
  RunScripted(main());
  EXPECT_THAT(notes, ElementsAre("grandchild", "over"));
}

TEST(TaskGroup, TakesNoTaskWhenItIsOver) {
  const KeptFindings findings;
  std::optional<TaskGroup> kept;
  Notes notes;
  const auto main = [&]() -> Task<> {
    const auto body = [&](TaskGroup& group) -> Task<> {
      kept.emplace(group);
      co_return;
    };
    co_await WithTaskGroup(body);
    EXPECT_THROW(kept->Spawn(NoteAfter(1s, "late", notes)), UsageError);
  };
  RunScripted(main());
  EXPECT_THROW(kept->Spawn(NoteAfter(1s, "late", notes)), UsageError);  // its loop is closed
  EXPECT_THAT(findings.rules(), ElementsAre());
}

TEST(TaskGroup, InnerOneThatFailsIsAnErrorOfTheOuterOne) {
  Notes notes;
  const auto main = [&]() -> Task<> {
    const auto inner = [&](TaskGroup& group) -> Task<> {
      group.Spawn(FailAfter(1s, "broken"));
      co_return;
    };
    const auto outer = [&](TaskGroup& group) -> Task<> {
      group.Spawn(WithTaskGroup(inner));
      co_await NoteAfter(1h, "outer body", notes);
    };
    EXPECT_THAT(co_await ErrorsOf(outer), ElementsAre("1 error in a task group: broken"));
    EXPECT_EQ(CurrentTask().cancel_requests(), 0u);
  };
  RunScripted(main());
  EXPECT_THAT(notes, ElementsAre("outer body cancelled"));
}

TEST(TaskGroup, InOneTaskWithAnotherKeepsTheCountOfCancellations) {
  Notes notes;
  const auto main = [&]() -> Task<> {
    const auto outer = [&](TaskGroup& outer_group) -> Task<> {
      const auto inner = [&](TaskGroup& inner_group) -> Task<> {
        inner_group.Spawn(FailAfter(1s, "inner"));
        outer_group.Spawn(FailAfter(1s, "outer"));
        co_await SleepFor(1h);
      };
      EXPECT_THAT(co_await ErrorsOf(inner), ElementsAre("inner"));
      co_await NoteAfter(1s, "outer body", notes);
    };
    EXPECT_THAT(co_await ErrorsOf(outer), ElementsAre("outer"));
    EXPECT_EQ(CurrentTask().cancel_requests(), 0u);
    co_await SleepFor(1s);
  };
  RunScripted(main());
  EXPECT_THAT(notes, ElementsAre("outer body cancelled"));
}

TEST(TaskGroup, SpawnOnAnotherThreadIsAnErrorAndAFinding) {
  const KeptFindings findings;
  Notes notes;
  const auto main = [&]() -> Task<> {
    const auto body = [&](TaskGroup& group) -> Task<> {
      std::thread([&] {
        EXPECT_THROW(group.Spawn(NoteAfter(1s, "wrong", notes)), UsageError);
      }).join();
      co_return;
    };
    co_await WithTaskGroup(body);
  };
  RunScripted(main());
  EXPECT_THAT(findings.rules(), ElementsAre("wrong-thread"));
  EXPECT_THAT(findings.all()[0].file, HasSubstr("task_group_test.cc"));
}

TEST(TaskGroup, ThatIsAliveWhenItsLoopIsClosedIsGone) {
  Notes notes;
  EventLoop loop({.port = std::make_unique<ScriptedPort>(), .name = {}, .debug = false});
  std::optional<TaskGroup> kept;
  const auto main = [&]() -> Task<> {
    const auto body = [&](TaskGroup& group) -> Task<> {
      kept.emplace(group);
      group.Spawn(NoteAfter(1h, "task", notes));
      co_return;
    };
    co_await WithTaskGroup(body);
  };
  const auto turns = []() -> Task<> { co_await SleepFor(1s); };
  loop.Spawn(main());
  loop.RunUntilComplete(turns());
  loop.Close();
  EXPECT_THROW(kept->Spawn(NoteAfter(1s, "late", notes)), UsageError);
  EXPECT_THAT(notes, ElementsAre());
}

}  // namespace
}  // namespace loopsan::testing
