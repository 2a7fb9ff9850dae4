// SyncToAsync(): what can be wrapped, and where it runs if no wait in AsyncToSync()
// is involved. docs/bridge.md lists the tests of asgiref that these stand for.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "runtime/executor.h"
#include "runtime/gather.h"
#include "runtime/sleep.h"
#include "tests/runtime/bridge_support.h"

namespace loopsan::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

int Twice(int value) { return 2 * value; }
int TwiceNoexcept(int value) noexcept { return 2 * value; }

TEST(SyncToAsync, ReturnsTheValue) {
  const auto main = []() -> Task<int> {
    const auto twice = SyncToAsync(&Twice);
    co_return co_await twice(21);
  };
  EXPECT_EQ(RunReal(main()), 42);
}

TEST(SyncToAsync, RunsOneFunctionAtATimeOnAPoolOfOneThread) {
  const auto pool = MakeThreadPool({.threads = 1});
  std::atomic<int> inside = 0;
  std::atomic<int> most = 0;
  const auto work = [&] {
    most = std::max(most.load(), ++inside);
    std::this_thread::yield();
    --inside;
  };
  const auto main = [&]() -> Task<> {
    const auto call = SyncToAsync(work, {.thread_sensitive = false, .executor = pool.get()});
    for (int i = 0; i < 50; ++i) co_await Gather(call(), call());
  };
  RunReal(main());
  EXPECT_EQ(most, 1);
}

TEST(SyncToAsync, RunsThreadSensitiveFunctionsOneAtATime) {
  std::atomic<int> inside = 0;
  std::atomic<int> most = 0;
  const auto work = [&] {
    most = std::max(most.load(), ++inside);
    std::this_thread::yield();
    --inside;
  };
  const auto main = [&]() -> Task<> {
    const auto call = SyncToAsync(work);
    for (int i = 0; i < 50; ++i) co_await Gather(call(), call());
  };
  RunReal(main());
  EXPECT_EQ(most, 1);
}

// At namespace scope, where the function is declared.
constexpr auto TwiceAsync = SyncToAsync<&Twice>();
constexpr auto TwiceAnywhere = SyncToAsync<&TwiceNoexcept>({.thread_sensitive = false});

TEST(SyncToAsync, WrapsAFunctionWhereItIsDeclared) {
  const auto main = []() -> Task<int> {
    const int first = co_await TwiceAsync(10);
    co_return first + co_await TwiceAnywhere(1);
  };
  EXPECT_EQ(RunReal(main()), 22);
}

class Table {
 public:
  explicit Table(int rows) : rows_(rows) {}
  int Rows(int factor) const { return rows_ * factor; }
  void Add(int rows) { rows_ += rows; }

 private:
  int rows_;
};

TEST(SyncToAsync, WrapsAMemberFunction) {
  const auto main = []() -> Task<int> {
    Table table(3);
    constexpr auto kAdd = SyncToAsync<&Table::Add>();
    const auto rows = SyncToAsync(&Table::Rows);
    co_await kAdd(&table, 1);
    co_await kAdd(std::ref(table), 1);
    co_return co_await rows(&table, 10);
  };
  EXPECT_EQ(RunReal(main()), 50);
}

TEST(SyncToAsync, GivesBackWhatItWraps) {
  const auto twice = SyncToAsync(&Twice);
  EXPECT_EQ(twice.function(), &Twice);
  Table table(7);
  const auto rows = SyncToAsync(std::bind_front(&Table::Rows, &table));
  EXPECT_EQ(rows.function()(2), 14);
}

TEST(SyncToAsync, PassesTheArgumentsOfAPartiallyBoundFunction) {
  const auto join = [](std::string a, const std::string& b) { return a + b; };
  const auto main = [&]() -> Task<std::string> {
    const auto call = SyncToAsync(std::bind_front(join, std::string("ab")));
    co_return co_await call("cd");
  };
  EXPECT_EQ(RunReal(main()), "abcd");
}

TEST(SyncToAsync, TakesArgumentsByValue) {
  const auto main = []() -> Task<std::string> {
    const auto copy = [](const std::string& text) { return text; };
    const auto call = SyncToAsync(copy);
    auto later = std::make_unique<std::string>("a string that is too long to lie in its object");
    Task<std::string> task = call(*later);
    later.reset();
    co_return co_await std::move(task);
  };
  EXPECT_THAT(RunReal(main()), HasSubstr("too long"));
}

TEST(SyncToAsync, MovesWhatCanOnlyBeMoved) {
  const auto main = []() -> Task<int> {
    const auto add = [](std::unique_ptr<int> value) {
      ++*value;
      return value;
    };
    const auto call = SyncToAsync(add);
    auto given = std::make_unique<int>(1);
    const std::unique_ptr<int> back = co_await call(std::move(given));
    co_return *back;
  };
  EXPECT_EQ(RunReal(main()), 2);
}

TEST(SyncToAsync, CallsAFunctionThatCanOnlyBeMovedOnce) {
  const auto main = []() -> Task<int> {
    auto owned = std::make_unique<int>(5);
    auto read = [owned = std::move(owned)] { return *owned; };
    auto call = SyncToAsync(std::move(read));
    Task<int> task = std::move(call)();
    co_return co_await std::move(task);
  };
  EXPECT_EQ(RunReal(main()), 5);
}

TEST(SyncToAsync, PassesReferencesThatAreMeant) {
  const auto main = []() -> Task<int> {
    int value = 1;
    const auto pass = [](int& given) -> int& { return given; };
    const auto call = SyncToAsync(pass);
    int& same = co_await call(std::ref(value));
    EXPECT_EQ(&same, &value);
    same = 6;
    co_return value;
  };
  EXPECT_EQ(RunReal(main()), 6);
}

TEST(SyncToAsync, RunsNothingUntilItIsAwaited) {
  std::atomic<bool> ran = false;
  const auto main = [&]() -> Task<> {
    const auto work = [&] { ran = true; };
    const auto call = SyncToAsync(work);
    Task<> task = call();
    co_await Yield();
    EXPECT_FALSE(ran);
    co_await std::move(task);
    EXPECT_TRUE(ran);
  };
  RunReal(main());
}

TEST(SyncToAsync, ThrowsWhatTheFunctionThrew) {
  const auto main = []() -> Task<> {
    const auto fail = []() -> int { throw std::runtime_error("from the function"); };
    const auto call = SyncToAsync(fail);
    co_await call();
  };
  EXPECT_THROW(RunReal(main()), std::runtime_error);
}

// asgiref's parameter names of its own never meet those of the function: here an
// argument is an argument, whatever it is.
TEST(SyncToAsync, PassesArgumentsThatLookLikeItsOptions) {
  const auto main = []() -> Task<bool> {
    const auto sensitive = [](SyncToAsyncOptions options) { return options.thread_sensitive; };
    const auto call = SyncToAsync(sensitive);
    SyncToAsyncOptions options;
    options.thread_sensitive = false;
    co_return co_await call(options);
  };
  EXPECT_FALSE(RunReal(main()));
}

TEST(SyncToAsync, RunsOnAnotherThreadIfItIsNotThreadSensitive) {
  const auto main = []() -> Task<> {
    const auto call = SyncToAsync(&ThisThread, {.thread_sensitive = false});
    const ThreadId anywhere = co_await call();
    EXPECT_NE(anywhere, ThisThread());
    const ThreadId sensitive = co_await SyncThread();
    EXPECT_NE(anywhere, sensitive);
  };
  RunReal(main());
}

TEST(SyncToAsync, UsesTheExecutorThatItIsGiven) {
  const auto pool = MakeThreadPool({.threads = 1});
  const auto main = [&]() -> Task<> {
    const auto call = SyncToAsync(&ThisThread, {.thread_sensitive = false, .executor = pool.get()});
    co_await call();
    EXPECT_EQ(pool->stats().begun, 1U);
    co_await SyncThread();
    EXPECT_EQ(pool->stats().begun, 1U);
  };
  RunReal(main());
}

TEST(SyncToAsync, RefusesAnExecutorForThreadSensitiveFunctions) {
  const auto pool = MakeThreadPool({.threads = 1});
  try {
    (void)SyncToAsync(&Twice, {.executor = pool.get()});
    FAIL() << "it was accepted";
  } catch (const UsageError& error) {
    EXPECT_THAT(error.what(), HasSubstr("set `thread_sensitive` to false"));
  }
}

TEST(SyncToAsync, ReportsAFunctionThatWaitedTooLongForItsThread) {
  const KeptFindings findings;
  RealLoop real;
  real.loop().SetSlowStep(Duration::zero());  // any wait is too long
  const auto main = []() -> Task<> { co_await TwiceAsync(1); };
  real.Run(main());
  std::vector<std::string> files;
  for (const RuntimeFinding& finding : findings.all()) {
    if (finding.rule == "executor-delay") files.emplace_back(finding.file);
  }
  EXPECT_THAT(files, ElementsAre(HasSubstr("bridge_sync_to_async_test.cc")));
}

TEST(SyncToAsync, ReportsACallThatNobodyAwaitsAtWhoForgotIt) {
  const KeptFindings findings;
  const auto first = []() -> Task<> {
    {
      const Task<int> forgotten = TwiceAsync(1);
    }
    co_return;
  };
  const auto second = []() -> Task<> {
    co_await Yield();
    {
      const Task<int> forgotten = TwiceAsync(2);
    }
  };
  const auto main = [&]() -> Task<> {
    co_await first();
    co_await second();
  };
  RunReal(main());
  ASSERT_THAT(findings.rules(), ElementsAre("never-awaited", "never-awaited"));
  for (const RuntimeFinding& finding : findings.all()) {
    EXPECT_THAT(finding.file, HasSubstr("bridge_sync_to_async_test.cc"));
    EXPECT_THAT(finding.message, HasSubstr("a call through SyncToAsync() was never awaited"));
  }
  EXPECT_NE(findings.all()[0].line, findings.all()[1].line);
}

TEST(SyncToAsync, DoesNotReportAFunctionThatFoundItsThread) {
  const KeptFindings findings;
  const auto main = []() -> Task<> { co_await TwiceAsync(1); };
  RunReal(main());
  EXPECT_THAT(findings.all(), IsEmpty());
}

TEST(SyncToAsync, WaitsWithoutHoldingUpTheLoopWhereTheExecutorIsFull) {
  const auto pool = MakeThreadPool({.threads = 1, .queue_limit = 1});
  const auto main = [&]() -> Task<int> {
    Gate begun;
    Gate gate;
    const auto wait = [&] {
      begun.Open();
      gate.Wait();
    };
    const SyncToAsyncOptions on_pool{.thread_sensitive = false, .executor = pool.get()};
    const auto occupy = SyncToAsync(wait, on_pool);
    const auto twice = SyncToAsync(&Twice, on_pool);
    const TaskHandle<> occupied = Spawn(occupy());
    co_await Yield();
    begun.Wait();
    const TaskHandle<int> queued = Spawn(twice(1));
    const TaskHandle<int> waits = Spawn(twice(4));
    for (int i = 0; i < 20; ++i) co_await Yield();
    EXPECT_EQ(pool->stats().queued, 1U);
    EXPECT_FALSE(waits.done());
    gate.Open();
    const int result = co_await waits;
    co_await occupied;
    co_return result + co_await queued;
  };
  EXPECT_EQ(RunReal(main()), 10);
}

}  // namespace
}  // namespace loopsan::testing
