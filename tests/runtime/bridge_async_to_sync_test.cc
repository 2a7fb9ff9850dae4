// AsyncToSync(): what can be wrapped, which loop it runs on, and where it is refused.
// docs/bridge.md lists the tests of asgiref that these stand for.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <stdexcept>
#include <string>

#include "runtime/run.h"
#include "runtime/sleep.h"
#include "tests/runtime/bridge_support.h"

namespace loopsan::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

Task<int> TwiceAsync(int value) {
  co_await Yield();
  co_return 2 * value;
}
constexpr auto Twice = AsyncToSync<&TwiceAsync>();

TEST(AsyncToSync, ReturnsTheValueWhereNoLoopRuns) { EXPECT_EQ(AsyncToSync(&TwiceAsync)(21), 42); }

TEST(AsyncToSync, WrapsACoroutineWhereItIsDeclared) { EXPECT_EQ(Twice(21), 42); }

class Client {
 public:
  explicit Client(int base) : base_(base) {}
  Task<int> Fetch(int value) const {
    co_await Yield();
    co_return base_ + value;
  }

 private:
  int base_;
};

TEST(AsyncToSync, WrapsAMemberFunction) {
  const Client client(10);
  EXPECT_EQ(AsyncToSync(&Client::Fetch)(&client, 1), 11);
  EXPECT_EQ(AsyncToSync<&Client::Fetch>()(std::ref(client), 2), 12);
}

TEST(AsyncToSync, WrapsAnObjectThatCanBeCalled) {
  struct Callable {
    Task<int> operator()(int value) const {
      co_await Yield();
      co_return value + offset;
    }
    int offset = 1;
  };
  const auto call = AsyncToSync(Callable());
  EXPECT_EQ(call(1), 2);
  EXPECT_EQ(call.function().offset, 1);
}

TEST(AsyncToSync, PassesTheArgumentsOfAPartiallyBoundFunction) {
  const auto join = [](std::string a, std::string b) -> Task<std::string> {
    co_await Yield();
    co_return a + b;
  };
  EXPECT_EQ(AsyncToSync(std::bind_front(join, std::string("ab")))("cd"), "abcd");
}

TEST(AsyncToSync, GivesBackWhatItWraps) {
  EXPECT_EQ(AsyncToSync(&TwiceAsync).function(), &TwiceAsync);
}

TEST(AsyncToSync, MovesWhatCanOnlyBeMoved) {
  const auto add = [](std::unique_ptr<int> value) -> Task<std::unique_ptr<int>> {
    co_await Yield();
    ++*value;
    co_return std::move(value);
  };
  EXPECT_EQ(*AsyncToSync(add)(std::make_unique<int>(1)), 2);
}

TEST(AsyncToSync, PassesReferencesThatAreMeant) {
  int value = 1;
  const auto pass = [](int& given) -> Task<int&> {
    co_await Yield();
    co_return given;
  };
  EXPECT_EQ(&AsyncToSync(pass)(std::ref(value)), &value);
}

TEST(AsyncToSync, PassesArgumentsThatLookLikeItsOptions) {
  const auto force = [](AsyncToSyncOptions options) -> Task<bool> {
    co_return options.force_new_loop;
  };
  AsyncToSyncOptions options;
  options.force_new_loop = true;
  EXPECT_TRUE(AsyncToSync(force)(options));
}

TEST(AsyncToSync, ThrowsWhatTheCoroutineThrew) {
  const auto fail = []() -> Task<> {
    co_await Yield();
    throw std::runtime_error("from the coroutine");
  };
  EXPECT_THROW(AsyncToSync(fail)(), std::runtime_error);
}

TEST(AsyncToSync, ThrowsWhatTheFunctionThrewBeforeItGaveATask) {
  const auto fail = []() -> Task<> { throw std::runtime_error("not even a coroutine"); };
  EXPECT_THROW(AsyncToSync(fail)(), std::runtime_error);
}

TEST(AsyncToSync, LeavesTheExceptionThatIsBeingHandledAlone) {
  try {
    throw std::runtime_error("handled");
  } catch (const std::runtime_error& handled) {
    EXPECT_EQ(Twice(1), 2);
    try {
      throw;
    } catch (const std::runtime_error& again) {
      EXPECT_EQ(&again, &handled);
    }
  }
}

TEST(AsyncToSync, WorksInAPlainThread) {
  EXPECT_EQ(InNewThread([] { return Twice(4); }), 8);
}

TEST(AsyncToSync, RunsItsLoopOnAnotherThread) { EXPECT_NE(AsyncThread(), ThisThread()); }

TEST(AsyncToSync, EndsTheTasksThatItsOwnLoopIsLeftWith) {
  bool ended = false;
  // Outlives the coroutine that spawns it.
  const auto sleep = [&]() -> Task<> {
    try {
      co_await SleepFor(std::chrono::hours(1));
    } catch (const CancelledError&) {
      ended = true;
      throw;
    }
  };
  const auto leaves_one = [&]() -> Task<> {
    Spawn(sleep());
    co_await Yield();
    co_await Yield();
  };
  AsyncToSync(leaves_one)();
  EXPECT_TRUE(ended);
}

TEST(AsyncToSync, IsRefusedOnAThreadWhoseLoopRuns) {
  const KeptFindings findings;
  const auto main = []() -> Task<std::string> {
    try {
      Twice(1);
    } catch (const UsageError& error) {
      co_return error.what();
    }
    co_return "";
  };
  EXPECT_THAT(RunReal(main()), HasSubstr("co_await the coroutine"));
  EXPECT_THAT(findings.rules(), ElementsAre("async-to-sync-on-loop"));
}

TEST(AsyncToSync, RunsOnTheMainLoopInsideSyncToAsync) {
  const auto main = []() -> Task<> {
    const auto inner = [] { return AsyncThread(); };
    const auto call = SyncToAsync(inner);
    const ThreadId there = co_await call();
    EXPECT_EQ(there, ThisThread());
    const auto loop_of = []() -> Task<EventLoop*> { co_return EventLoop::Current(); };
    const auto loop_inside = [&] { return AsyncToSync(loop_of)(); };
    const auto call_loop = SyncToAsync(loop_inside);
    EventLoop* const same = co_await call_loop();
    EXPECT_EQ(same, EventLoop::Current());
  };
  RunReal(main());
}

int TwiceInside(int value) { return Twice(value); }
constexpr auto TwiceThroughBoth = SyncToAsync<&TwiceInside>();

TEST(AsyncToSync, RunsOnTheMainLoopAlsoIfBothWereWrappedBefore) {
  const auto main = []() -> Task<int> { co_return co_await TwiceThroughBoth(8); };
  EXPECT_EQ(RunReal(main()), 16);
}

TEST(AsyncToSync, HasALoopOfItsOwnInsideRunInExecutor) {
  const auto main = []() -> Task<> {
    const auto inner = [] { return AsyncThread(); };
    auto job = RunInExecutor(inner);
    const ThreadId there = co_await std::move(job);
    EXPECT_NE(there, ThisThread());
  };
  RunReal(main());
}

TEST(AsyncToSync, HasALoopOfItsOwnIfItAsksForOne) {
  const auto main = []() -> Task<> {
    const auto inner = [] { return AsyncToSync(&ThisThreadAsync, {.force_new_loop = true})(); };
    const auto call = SyncToAsync(inner);
    const ThreadId there = co_await call();
    EXPECT_NE(there, ThisThread());
  };
  RunReal(main());
}

// A test body is a plain function here: nothing but this call makes it async.
TEST(AsyncToSync, MakesATestOfACoroutine) {
  const auto body = []() -> Task<> {
    const int two = co_await TwiceAsync(1);
    EXPECT_EQ(two, 2);
  };
  AsyncToSync(body)();
}

// A loop that has ended its run is not run again; the function that came from it is
// told, and does not hang.
TEST(AsyncToSync, IsRefusedIfItsLoopHasStopped) {
  const KeptFindings findings;
  Gate gate;
  std::promise<std::string> told;
  const auto late = [&] {
    gate.Wait();
    try {
      told.set_value(std::to_string(Twice(1)));
    } catch (const UsageError& error) {
      told.set_value(error.what());
    }
  };
  EventLoop loop;
  const auto main = [&]() -> Task<> {
    const auto call = SyncToAsync(late);
    Spawn(call());
    co_await Yield();
    co_await Yield();
  };
  loop.RunUntilComplete(main());
  gate.Open();
  EXPECT_THAT(told.get_future().get(), HasSubstr("nobody runs the event loop"));
  loop.RunUntilComplete(loop.CancelAll());
  loop.Close();
}

TEST(AsyncToSync, IsRefusedIfItsLoopIsClosed) {
  const KeptFindings findings;
  Gate gate;
  std::promise<std::string> told;
  const auto late = [&] {
    gate.Wait();
    try {
      told.set_value(std::to_string(Twice(1)));
    } catch (const UsageError& error) {
      told.set_value(error.what());
    }
  };
  {
    EventLoop loop;
    const auto main = [&]() -> Task<> {
      const auto call = SyncToAsync(late);
      Spawn(call());
      co_await Yield();
      co_await Yield();
    };
    loop.RunUntilComplete(main());
    loop.Close();
  }
  gate.Open();
  EXPECT_THAT(told.get_future().get(), HasSubstr("is closed"));
}

// The wait began while the loop ran.
TEST(AsyncToSync, EndsItsWaitIfItsLoopIsClosed) {
  const KeptFindings findings;
  std::promise<std::string> told;
  bool begun = false;
  const auto forever = [&]() -> Task<> {
    begun = true;
    co_await SleepFor(std::chrono::hours(1));
  };
  const auto wait = [&] {
    try {
      AsyncToSync(forever)();
      told.set_value("it came back");
    } catch (const UsageError& error) {
      told.set_value(error.what());
    }
  };
  EventLoop loop;
  const auto main = [&]() -> Task<> {
    const auto call = SyncToAsync(wait);
    Spawn(call());
    while (!begun) co_await Yield();
  };
  loop.RunUntilComplete(main());
  loop.Close();
  EXPECT_THAT(told.get_future().get(), HasSubstr("event loop"));
}

// Close() waits for the default executor, whose function waits for the loop.
TEST(AsyncToSync, DoesNotKeepItsLoopFromBeingClosed) {
  const KeptFindings findings;
  std::optional<std::string> told;
  bool begun = false;
  const auto forever = [&]() -> Task<> {
    begun = true;
    co_await SleepFor(std::chrono::hours(1));
  };
  const auto wait = [&] {
    try {
      AsyncToSync(forever)();
    } catch (const UsageError& error) {
      told = error.what();
    }
  };
  EventLoop loop;
  const auto main = [&]() -> Task<> {
    const auto call = SyncToAsync(wait, {.thread_sensitive = false});
    Spawn(call());
    while (!begun) co_await Yield();
  };
  loop.RunUntilComplete(main());
  loop.Close();
  ASSERT_TRUE(told.has_value());
  EXPECT_THAT(*told, HasSubstr("event loop"));
}

TEST(AsyncToSync, GoesOnWhenItsLoopIsRunAgain) {
  bool begun = false;
  bool may_end = false;
  std::atomic<int> result = 0;
  const auto wait_for_it = [&]() -> Task<int> {
    begun = true;
    while (!may_end) co_await Yield();
    co_return 5;
  };
  const auto wait = [&] { result = AsyncToSync(wait_for_it)(); };
  EventLoop loop;
  const auto first = [&]() -> Task<> {
    const auto call = SyncToAsync(wait);
    Spawn(call(), "call");
    while (!begun) co_await Yield();
  };
  loop.RunUntilComplete(first());
  may_end = true;
  const auto second = [&]() -> Task<> {
    while (result == 0) co_await Yield();
  };
  loop.RunUntilComplete(second());
  EXPECT_EQ(result, 5);
  loop.RunUntilComplete(loop.CancelAll());
  loop.Close();
}

TEST(AsyncToSync, IsNoFindingWhereItIsRight) {
  const KeptFindings findings;
  const auto main = []() -> Task<int> { co_return co_await TwiceThroughBoth(8); };
  EXPECT_EQ(RunReal(main()), 16);
  EXPECT_THAT(findings.all(), IsEmpty());
}

}  // namespace
}  // namespace loopsan::testing
