#include "runtime/internal/task_tree.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "runtime/gather.h"
#include "runtime/internal/printable.h"
#include "runtime/mutex.h"
#include "runtime/sleep.h"
#include "runtime/when_any.h"
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

TEST(Printable, EscapesControlCharacters) {
  using internal::Printable;
  EXPECT_EQ(Printable("a\tb\r\n\x1b[31m\x7f"), "a\\tb\\r\\n\\x1b[31m\\x7f");
  EXPECT_EQ(Printable("\xc2\x9b"
                      "1m"),
            "\\xc2\\x9b"
            "1m");
  EXPECT_EQ(Printable(std::string_view("\0", 1)), "\\x00");
}

TEST(Printable, LeavesOtherTextAsItIs) {
  using internal::Printable;
  EXPECT_EQ(Printable(""), "");
  EXPECT_EQ(Printable("gr\xc3\xbc\xc3\x9f \xc2\xa0 'x' \xc2"),
            "gr\xc3\xbc\xc3\x9f \xc2\xa0 'x' \xc2");
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

TEST(DumpTasks, NamesWhoHoldsTheMutexThatIsWaitedFor) {
  std::string dump;
  Mutex mutex;
  const auto hold = [&]() -> Task<> {
    const MutexLock lock = co_await mutex.Lock();
    co_await SleepFor(std::chrono::hours(1));
  };
  const auto want = [&]() -> Task<> { const MutexLock lock = co_await mutex.Lock(); };
  const auto main = [&]() -> Task<> {
    const TaskHandle<> holder = Spawn(hold(), "holder");
    const TaskHandle<> reader = Spawn(want(), "reader");
    co_await Yield();
    dump = EventLoop::Running().DumpTasks();
  };
  RunScripted(main());
  EXPECT_THAT(dump, HasSubstr("'reader' waits for mutex, which 'holder' holds, "));
}

TEST(DumpTasks, NamesTheTasksThatAreAwaitedTogether) {
  std::string dump;
  const auto wait = [](std::vector<AnyTaskHandle> tasks) -> Task<> { co_await Wait(tasks); };
  const auto main = [&]() -> Task<> {
    std::vector<AnyTaskHandle> two;
    for (const char* name : {"first", "second"}) two.emplace_back(Spawn(Outer(), name));
    std::vector<AnyTaskHandle> many = two;
    for (int i = 0; i < 9; ++i) many.emplace_back(Spawn(Outer(), "one of many"));
    const TaskHandle<> both = Spawn(wait(two), "both");
    const TaskHandle<> all = Spawn(wait(many), "all");
    co_await Yield();
    dump = EventLoop::Running().DumpTasks();
  };
  RunScripted(main());
  EXPECT_THAT(dump, HasSubstr("'both' waits for several tasks 'first', 'second', 0."));
  EXPECT_THAT(dump, HasSubstr("'all' waits for several tasks 'first', 'second', 'one of many'"));
  EXPECT_THAT(dump, HasSubstr("'one of many' and 3 more, 0."));
}

TEST(DumpTasks, EscapesControlCharactersOfNames) {
  std::string dump;
  const auto main = [&]() -> Task<> {
    const TaskHandle<> sleeper = Spawn(Outer(), "a\n\x1b[31mb");
    co_await Yield();
    dump = EventLoop::Running().DumpTasks();
  };
  RunScripted(main());
  EXPECT_THAT(dump, HasSubstr("'a\\n\\x1b[31mb' waits for sleep"));
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
