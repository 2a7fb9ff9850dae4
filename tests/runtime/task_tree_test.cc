#include "runtime/internal/task_tree.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <string>
#include <thread>

#include "runtime/sleep.h"
#include "tests/runtime/run_loop.h"

namespace loopsan::testing {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

Task<> Inner() { co_await SleepFor(std::chrono::hours(1)); }
Task<> Outer() { co_await Inner(); }

std::string Readable(const char* function) {
  size_t start = 0;
  const size_t bytes = internal::ReadableFunction(function, start);
  return std::string(function + start, bytes);
}

TEST(ReadableFunction, FindsTheCoroutineInTheNameOfItsFrame) {
  EXPECT_EQ(Readable("void Yielder(Yielder(int)::_Z7Yielderi.Frame*)"), "Yielder(int)");
  EXPECT_EQ(Readable("int a::B<C>::Read(a::B<C>::Read(std::vector<int>&)::_ZN1a.Frame*)"),
            "a::B<C>::Read(std::vector<int>&)");
}

TEST(ReadableFunction, LeavesTheReturnTypeOfACoroutineOut) {
  EXPECT_EQ(Readable("loopsan::Task<> Main()"), "Main()");
  EXPECT_EQ(Readable("Task<std::vector<int> > a::Read(Task<>)"), "a::Read(Task<>)");
  EXPECT_EQ(Readable("loopsan::Task<int> (anonymous namespace)::Five()"),
            "(anonymous namespace)::Five()");
}

TEST(ReadableFunction, LeavesOtherNamesAsTheyAre) {
  EXPECT_EQ(Readable("void Connect(int)"), "void Connect(int)");
  EXPECT_EQ(Readable("loopsan::Task<"), "loopsan::Task<");
  EXPECT_EQ(Readable(""), "");
}

TEST(DumpTasks, ShowsWhatEachTaskWaitsForAndMarksTheRunningOne) {
  std::string dump;
  const auto main = [&]() -> Task<> {
    const TaskHandle<> sleeper = Spawn(Outer(), "sleeper");
    co_await Yield();
    dump = EventLoop::Running().DumpTasks();
  };
  RunScripted(main());
  EXPECT_THAT(dump, HasSubstr("event loop: 2 tasks\n"));
  EXPECT_THAT(dump, HasSubstr("* 'main' is running, "));
  EXPECT_THAT(dump, HasSubstr("'sleeper' waits for sleep, "));
  // The coroutines, innermost first, each with the line of its co_await.
  const size_t inner = dump.find("Inner() at ");
  const size_t outer = dump.find("Outer() at ");
  ASSERT_NE(inner, std::string::npos) << dump;
  ASSERT_NE(outer, std::string::npos) << dump;
  EXPECT_LT(inner, outer);
  EXPECT_THAT(dump, HasSubstr("spawned at " __FILE__ ":"));
}

TEST(DumpTasks, PutsATaskBelowTheOneThatSpawnedIt) {
  std::string dump;
  const auto child = [](auto self, int depth) -> Task<> {
    if (depth > 0) Spawn(self(self, depth - 1), "child" + std::to_string(depth - 1));
    co_await SleepFor(std::chrono::hours(1));
  };
  const auto main = [&]() -> Task<> {
    Spawn(child(child, 1), "child1");
    co_await Yield();
    co_await Yield();
    dump = EventLoop::Running().DumpTasks();
  };
  RunScripted(main());
  EXPECT_THAT(dump, HasSubstr("\n      'child1' waits"));
  EXPECT_THAT(dump, HasSubstr("\n          'child0' waits"));
}

TEST(DumpTasks, NamesTheTaskThatIsAwaited) {
  std::string dump;
  const auto waiting = [](const TaskHandle<>& other) -> Task<> { co_await other; };
  const auto main = [&]() -> Task<> {
    const TaskHandle<> sleeper = Spawn(Outer(), "sleeper");
    const TaskHandle<> waiter = Spawn(waiting(sleeper), "waiter");
    co_await Yield();
    dump = EventLoop::Running().DumpTasks();
    const auto described = EventLoop::Running().DescribeTasks();
    for (const TaskDescription& task : described) {
      if (task.name == "waiter") {
        EXPECT_EQ(task.awaits_task, sleeper.id());
      }
    }
    EXPECT_EQ(described.size(), 3u);
  };
  RunScripted(main());
  EXPECT_THAT(dump, HasSubstr("'waiter' waits for task 'sleeper'"));
}

TEST(DumpTasks, OfAThousandAndOneTasksIsFlatAndBounded) {
  std::string dump;
  const auto main = [&]() -> Task<> {
    for (int i = 0; i < 1100; ++i) Spawn(Inner());
    co_await Yield();
    dump = EventLoop::Running().DumpTasks();
  };
  RunScripted(main());
  EXPECT_THAT(dump, HasSubstr("event loop: 1101 tasks"));
  EXPECT_THAT(dump, HasSubstr("... and 101 older ones"));
}

// What was written to stderr while `run` ran.
template <typename F>
std::string StderrOf(const F& run) {
  ::testing::internal::CaptureStderr();
  run();
  return ::testing::internal::GetCapturedStderr();
}

TEST(DumpTasksOnSignal, WorksWhileTheLoopIsStuckInAStep) {
  const auto main = []() -> Task<> {
    EventLoop::Running().DumpTasksOnSignal(SIGUSR2);
    const TaskHandle<> sleeper = Spawn(Outer(), "sleeper");
    co_await Yield();
    raise(SIGUSR2);  // handled at once, in the middle of this step
  };
  const std::string text = StderrOf([&] { RunScripted(main()); });
  EXPECT_THAT(text,
              AllOf(HasSubstr("* 'main' is running"), HasSubstr("'sleeper' waits for sleep")));
}

TEST(DumpTasksOnSignal, ReachesTheLoopThreadFromAnother) {
  const auto main = []() -> Task<> {
    EventLoop::Running().DumpTasksOnSignal(SIGUSR2);
    std::thread other([] { pthread_kill(pthread_self(), SIGUSR2); });
    other.join();
    co_return;
  };
  const std::string text = StderrOf([&] { RunScripted(main()); });
  EXPECT_THAT(text, HasSubstr("* 'main' is running"));
}

TEST(DumpTasksOnSignal, IsSilentWhenTheLoopIsGone) {
  const auto main = []() -> Task<> {
    EventLoop::Running().DumpTasksOnSignal(SIGUSR2);
    co_return;
  };
  const std::string text = StderrOf([&] {
    RunScripted(main());
    raise(SIGUSR2);
  });
  EXPECT_EQ(text, "");
}

}  // namespace
}  // namespace loopsan::testing
