// Context variables across the bridge: in, and what was changed comes back.
// docs/bridge.md lists the tests of asgiref that these stand for.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <stdexcept>
#include <string>

#include "runtime/async_scope.h"
#include "runtime/context.h"
#include "runtime/gather.h"
#include "runtime/sleep.h"
#include "runtime/thread_sensitive_context.h"
#include "tests/runtime/bridge_support.h"

namespace loopsan::testing {
namespace {

ContextVar<std::string>& User() {
  static ContextVar<std::string> user("user", "nobody");
  return user;
}
ContextVar<int>& Level() {
  static ContextVar<int> level("level");
  return level;
}

std::string Swap(const std::string& user) {
  std::string before = User().Get();
  User().Set(user);
  return before;
}
Task<std::string> SwapInLoop(std::string user) {
  co_await Yield();
  co_return Swap(user);
}

TEST(BridgeContext, ThreadSensitiveContextsOfParallelTasksUseTheirOwnThreadsAndValues) {
  const auto main = []() -> Task<> {
    const auto request = [](std::string user, Promise<> mine, Future<> others) -> Task<ThreadId> {
      User().Set(user);
      ThreadSensitiveContext context;
      const auto body = [&]() -> Task<ThreadId> {
        const auto get = [] { return User().Get(); };
        const auto call = SyncToAsync(get);
        const std::string seen = co_await call();
        EXPECT_EQ(seen, user);
        const ThreadId thread = co_await SyncThread();
        mine.SetValue();
        co_await others;
        co_return thread;
      };
      co_return co_await WithResource(context, body);
    };
    Promise<> first;
    Promise<> second;
    Future<> first_done = first.future();
    Future<> second_done = second.future();
    const TaskHandle<ThreadId> one = Spawn(request("ada", first, second_done));
    const TaskHandle<ThreadId> two = Spawn(request("eve", second, first_done));
    const ThreadId one_thread = co_await one;
    const ThreadId two_thread = co_await two;
    EXPECT_NE(one_thread, two_thread);
    EXPECT_EQ(User().Get(), "nobody");
  };
  RunReal(main());
}

TEST(BridgeContext, SyncToAsyncTakesValuesInAndBringsChangesBack) {
  const auto main = []() -> Task<> {
    User().Set("ada");
    const auto swap = SyncToAsync(&Swap);
    const std::string seen = co_await swap("eve");
    EXPECT_EQ(seen, "ada");
    EXPECT_EQ(User().Get(), "eve");
  };
  RunReal(main());
}

TEST(BridgeContext, AsyncToSyncTakesValuesInAndBringsChangesBack) {
  User().Set("ada");
  EXPECT_EQ(AsyncToSync(&SwapInLoop)("eve"), "ada");
  EXPECT_EQ(User().Get(), "eve");
  User().Set("nobody");
}

TEST(BridgeContext, ChangesComeBackThroughAllLevels) {
  const auto main = []() -> Task<> {
    User().Set("ada");
    const auto level2 = []() -> Task<std::string> {
      const auto swap = SyncToAsync(&Swap);
      co_return co_await swap("eve");
    };
    const auto level1 = [&] { return AsyncToSync(level2)(); };
    const auto call = SyncToAsync(level1);
    const std::string seen = co_await call();
    EXPECT_EQ(seen, "ada");
    EXPECT_EQ(User().Get(), "eve");
  };
  RunReal(main());
}

TEST(BridgeContext, ChangesComeBackAlsoWithAnException) {
  const auto main = []() -> Task<> {
    const auto fail = [] {
      User().Set("eve");
      throw std::runtime_error("after the change");
    };
    const auto call = SyncToAsync(fail);
    bool failed = false;
    try {
      co_await call();
    } catch (const std::runtime_error&) {
      failed = true;
    }
    EXPECT_TRUE(failed);
    EXPECT_EQ(User().Get(), "eve");
  };
  RunReal(main());
}

// In Python a token is refused in another context.
TEST(BridgeContext, AValueMayBeSetInTheFunctionAndResetOutside) {
  const auto main = []() -> Task<> {
    std::optional<ContextVar<int>::Token> token;
    const auto set = [&] { token = Level().Set(1); };
    const auto call = SyncToAsync(set);
    co_await call();
    EXPECT_EQ(Level().Get(), 1);
    Level().Reset(*token);
    EXPECT_EQ(Level().Get(-1), -1);
  };
  RunReal(main());
}

TEST(BridgeContext, AValueThatTheFunctionTookAwayIsGone) {
  const auto main = []() -> Task<> {
    auto token = Level().Set(1);
    const auto reset = [&] { Level().Reset(token); };
    const auto call = SyncToAsync(reset);
    co_await call();
    EXPECT_EQ(Level().Get(-1), -1);
  };
  RunReal(main());
}

TEST(BridgeContext, AFunctionInAContextOfItsOwnLeavesTheCallersAlone) {
  const auto main = []() -> Task<> {
    User().Set("ada");
    Context own = Context::Current();
    User().Set("changed by the caller");
    const auto swap = SyncToAsync(&Swap, {.context = &own});
    const std::string seen = co_await swap("eve");
    EXPECT_EQ(seen, "ada");
    EXPECT_EQ(User().Get(), "changed by the caller");
    EXPECT_EQ(User().In(own), "eve");
  };
  RunReal(main());
}

TEST(BridgeContext, ParallelTasksShareAContextThatTheyAreGiven) {
  const auto main = []() -> Task<> {
    Context own = Context::Current();
    User().SetIn(own, "");
    const auto append = [](const char* text) { User().Set(User().Get() + text); };
    const auto call = SyncToAsync(append, {.context = &own});
    co_await Gather(call("a"), call("b"), call("c"));
    EXPECT_EQ(User().In(own)->size(), 3U);
    EXPECT_EQ(User().Get(), "nobody");
  };
  RunReal(main());
}

// A callable may have a member of the name of an option.
TEST(BridgeContext, ACallableMayHaveAContextOfItsOwn) {
  struct Callable {
    std::string operator()() const { return context; }
    std::string context = "mine";
  };
  const auto main = []() -> Task<std::string> {
    const Callable callable;
    const auto call = SyncToAsync(callable);
    co_return co_await call();
  };
  EXPECT_EQ(RunReal(main()), "mine");
}

TEST(BridgeContext, NothingIsLeftOnTheThread) {
  const auto main = []() -> Task<> {
    const auto swap = SyncToAsync(&Swap);
    co_await swap("eve");
  };
  RunReal(main());
  const auto look = []() -> Task<std::string> {
    const auto get = [] { return User().Get(); };
    const auto call = SyncToAsync(get);
    co_return co_await call();
  };
  EXPECT_EQ(RunReal(look()), "nobody");
}

}  // namespace
}  // namespace loopsan::testing
