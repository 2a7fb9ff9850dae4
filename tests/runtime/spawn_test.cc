#include "runtime/spawn.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "runtime/sleep.h"
#include "tests/runtime/run_loop.h"

namespace loopsan::testing {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

Task<int> Return(int value) { co_return value; }
Task<int> Fail(std::string what) {
  throw std::runtime_error(what);
  co_return 0;
}

TEST(Spawn, StartsTasksInALaterTurnInTheirOrder) {
  std::vector<int> order;
  const auto note = [&](int value) -> Task<> {
    order.push_back(value);
    co_return;
  };
  const auto main = [&]() -> Task<> {
    Spawn(note(1));
    Spawn(note(2));
    EXPECT_THAT(order, ElementsAre());
    co_await Yield();
    EXPECT_THAT(order, ElementsAre(1, 2));
  };
  RunScripted(main());
}

TEST(Spawn, GivesEachTaskANewId) {
  const auto main = []() -> Task<> {
    const TaskHandle<int> one = Spawn(Return(1));
    const TaskHandle<int> two = Spawn(Return(2));
    EXPECT_LT(one.id(), two.id());
    EXPECT_LT(CurrentTask().id(), one.id());
    co_return;
  };
  RunScripted(main());
}

TEST(Spawn, NamesATaskAsItIsTold) {
  const auto main = []() -> Task<> {
    TaskHandle<int> named = Spawn(Return(1), "reader");
    EXPECT_EQ(named.name(), "reader");
    named.SetName("writer");
    EXPECT_EQ(named.name(), "writer");
    named.SetName("");
    EXPECT_EQ(named.name(), "Task-" + std::to_string(named.id()));
    const TaskHandle<int> unnamed = Spawn(Return(1));
    EXPECT_EQ(unnamed.name(), "Task-" + std::to_string(unnamed.id()));
    co_return;
  };
  RunScripted(main());
}

TEST(Spawn, OfATaskThatWasSpawnedBeforeIsAnErrorAndAFinding) {
  const KeptFindings findings;
  const auto main = []() -> Task<> {
    Task<int> task = Return(1);
    Spawn(std::move(task));
    EXPECT_THROW(Spawn(std::move(task)), UsageError);  // NOLINT(bugprone-use-after-move)
    co_return;
  };
  RunScripted(main());
  EXPECT_THAT(findings.rules(), ElementsAre("awaited-twice"));
  EXPECT_THAT(findings.all()[0].file, HasSubstr("spawn_test.cc"));
}

TEST(Spawn, WithoutALoopIsAnError) {
  Task<int> task = Return(1);
  EXPECT_THROW(Spawn(std::move(task)), UsageError);
}

TEST(TaskHandle, ThatIsDroppedDoesNotEndTheTask) {
  bool ended = false;
  const auto body = [&]() -> Task<> {
    co_await SleepFor(1s);
    ended = true;
  };
  const auto main = [&]() -> Task<> {
    Spawn(body());
    co_await SleepFor(2s);
  };
  RunScripted(main());
  EXPECT_TRUE(ended);
}

TEST(TaskHandle, GivesTheResultAsOftenAsItIsAwaited) {
  const auto main = []() -> Task<> {
    const TaskHandle<int> task = Spawn(Return(42));
    EXPECT_FALSE(task.done());
    EXPECT_EQ(co_await task, 42);
    EXPECT_TRUE(task.done());
    EXPECT_EQ(co_await task, 42);
    EXPECT_EQ(task.result(), 42);
  };
  RunScripted(main());
}

TEST(TaskHandle, GivesTheResultToAllWhoAwaitIt) {
  int sum = 0;
  const auto main = [&]() -> Task<> {
    const auto slow = []() -> Task<int> {
      co_await SleepFor(1s);
      co_return 7;
    };
    const TaskHandle<int> task = Spawn(slow());
    const auto add = [&]() -> Task<> { sum += co_await task; };
    std::vector<TaskHandle<>> adders;
    for (int i = 0; i < 3; ++i) adders.push_back(Spawn(add()));
    for (const TaskHandle<>& adder : adders) co_await adder;
  };
  RunScripted(main());
  EXPECT_EQ(sum, 21);
}

TEST(TaskHandle, MovesAMoveOnlyResultOut) {
  const auto make = []() -> Task<std::unique_ptr<int>> { co_return std::make_unique<int>(5); };
  const auto main = [&]() -> Task<> {
    TaskHandle<std::unique_ptr<int>> task = Spawn(make());
    const std::unique_ptr<int>& seen = co_await task;
    EXPECT_EQ(*seen, 5);
    const std::unique_ptr<int> made = co_await std::move(task);
    EXPECT_EQ(*made, 5);
  };
  RunScripted(main());
}

TEST(TaskHandle, GivesAReference) {
  int value = 1;
  const auto refer = [&]() -> Task<int&> { co_return value; };
  const auto main = [&]() -> Task<> {
    const TaskHandle<int&> task = Spawn(refer());
    int& found = co_await task;
    EXPECT_EQ(&found, &value);
  };
  RunScripted(main());
}

TEST(TaskHandle, ThrowsWhatTheTaskThrewAsOftenAsItIsAwaited) {
  const auto main = []() -> Task<> {
    const TaskHandle<int> task = Spawn(Fail("broken"));
    for (int i = 0; i < 2; ++i) {
      std::string what;
      try {
        co_await task;
      } catch (const std::runtime_error& error) {
        what = error.what();
      }
      EXPECT_EQ(what, "broken");
    }
    EXPECT_THROW(task.result(), std::runtime_error);
    EXPECT_NE(task.error(), nullptr);
  };
  RunScripted(main());
}

TEST(TaskHandle, OutlivesItsLoop) {
  TaskHandle<std::string> kept;
  const auto text = []() -> Task<std::string> { co_return "kept"; };
  const auto main = [&]() -> Task<> {
    kept = Spawn(text(), "keeper");
    co_await kept;
  };
  RunScripted(main());
  EXPECT_EQ(kept.result(), "kept");
  EXPECT_EQ(kept.name(), "keeper");
}

TEST(CurrentTask, IsTheOneThatRuns) {
  EXPECT_FALSE(CurrentTask().valid());
  const auto main = []() -> Task<> {
    const auto own_id = []() -> Task<uint64_t> { co_return CurrentTask().id(); };
    const TaskHandle<uint64_t> task = Spawn(own_id());
    EXPECT_EQ(co_await task, task.id());
    EXPECT_EQ(co_await own_id(), CurrentTask().id());
    bool valid = true;
    EventLoop::Running().CallSoon([&] { valid = CurrentTask().valid(); });
    co_await Yield();
    EXPECT_FALSE(valid);
  };
  RunScripted(main());
  EXPECT_FALSE(CurrentTask().valid());
}

TEST(ExceptionOfATask, ThatNobodySeesIsAFinding) {
  const KeptFindings findings;
  const auto main = []() -> Task<> {
    Spawn(Fail("broken"), "careless");
    co_await Yield();
  };
  RunScripted(main());
  ASSERT_THAT(findings.rules(), ElementsAre("exception-never-retrieved"));
  EXPECT_EQ(findings.all()[0].message, "task 'careless' failed and nobody looked: broken");
  EXPECT_THAT(findings.all()[0].spawned_file, HasSubstr("spawn_test.cc"));
}

TEST(ExceptionOfATask, ThatNobodySeesIsToldWhenTheLastHandleGoes) {
  const KeptFindings findings;
  TaskHandle<int> kept;
  const auto main = [&]() -> Task<> {
    kept = Spawn(Fail("broken"));
    co_await Yield();
  };
  RunScripted(main());
  EXPECT_THAT(findings.rules(), ElementsAre());
  kept = TaskHandle<int>();
  EXPECT_THAT(findings.rules(), ElementsAre("exception-never-retrieved"));
}

TEST(ExceptionOfATask, ThatNobodySeesIsPrintedWithoutTheDebugMode) {
  const KeptFindings findings;
  ScriptedLoop scripted(false);
  const auto main = []() -> Task<> {
    Spawn(Fail("broken"), "careless");
    co_await Yield();
  };
  ::testing::internal::CaptureStderr();
  scripted.Run(main());
  const std::string text = ::testing::internal::GetCapturedStderr();
  EXPECT_THAT(text, HasSubstr("the exception of task 'careless' was never retrieved: broken"));
  EXPECT_THAT(text, HasSubstr("spawn_test.cc:"));
  EXPECT_THAT(findings.rules(), ElementsAre());
}

TEST(ExceptionOfATask, ThatIsSeenIsNoFinding) {
  const KeptFindings findings;
  const auto main = []() -> Task<> {
    const TaskHandle<int> awaited = Spawn(Fail("one"));
    const TaskHandle<int> looked_at = Spawn(Fail("two"));
    try {
      co_await awaited;
    } catch (const std::runtime_error&) {
    }
    EXPECT_NE(looked_at.error(), nullptr);
  };
  RunScripted(main());
  EXPECT_THAT(findings.rules(), ElementsAre());
}

}  // namespace
}  // namespace loopsan::testing
