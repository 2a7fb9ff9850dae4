#include "runtime/context.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "runtime/future.h"
#include "runtime/sleep.h"
#include "tests/runtime/run_loop.h"

namespace loopsan::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST(ContextVar, HasItsInitialValueUntilItIsSet) {
  ContextVar<std::string> variable("request", "none");
  EXPECT_EQ(variable.Get(), "none");
  ContextVar<std::string>::Token token = variable.Set("42");
  EXPECT_EQ(variable.Get(), "42");
  variable.Reset(token);
  EXPECT_EQ(variable.Get(), "none");
}

TEST(ContextVar, WithoutAValueIsAnErrorThatNamesIt) {
  const ContextVar<int> variable("lonely");
  EXPECT_EQ(variable.Get(3), 3);
  try {
    variable.Get();
    FAIL() << "nothing was thrown";
  } catch (const std::out_of_range& error) {
    EXPECT_THAT(error.what(), HasSubstr("'lonely'"));
  }
}

TEST(ContextVar, ResetBringsBackTheValueBefore) {
  ContextVar<int> variable("depth", 0);
  auto outer = variable.Set(1);
  auto inner = variable.Set(2);
  variable.Reset(inner);
  EXPECT_EQ(variable.Get(), 1);
  variable.Reset(outer);
  EXPECT_EQ(variable.Get(), 0);
}

TEST(ContextVar, ATokenIsUsedOnce) {
  ContextVar<int> variable("once", 0);
  auto token = variable.Set(1);
  variable.Reset(token);
  EXPECT_THROW(variable.Reset(token), std::logic_error);
}

TEST(ContextVar, IsSeenByWhatTheTaskAwaits) {
  ContextVar<int> variable("depth", 0);
  const auto sets = [&]() -> Task<> {
    EXPECT_EQ(variable.Get(), 1);
    co_await Yield();
    variable.Set(2);
  };
  const auto main = [&]() -> Task<> {
    variable.Set(1);
    co_await sets();
    EXPECT_EQ(variable.Get(), 2);  // the same task, so the same context
  };
  RunScripted(main());
  EXPECT_EQ(variable.Get(), 0);
}

TEST(ContextVar, ATaskHasTheValuesOfItsSpawnerAtThatMoment) {
  ContextVar<int> variable("request", 0);
  std::vector<int> seen;
  const auto child = [&]() -> Task<> {
    seen.push_back(variable.Get());
    variable.Set(9);
    co_await Yield();
    seen.push_back(variable.Get());
  };
  const auto main = [&]() -> Task<> {
    variable.Set(1);
    const TaskHandle<> task = Spawn(child());
    variable.Set(2);
    co_await task;
    EXPECT_EQ(variable.Get(), 2);
  };
  RunScripted(main());
  EXPECT_THAT(seen, ElementsAre(1, 9));
}

TEST(ContextVar, TasksThatTakeTurnsDoNotSeeEachOthersValues) {
  ContextVar<int> variable("request", 0);
  const auto child = [&](int mine) -> Task<> {
    variable.Set(mine);
    for (int i = 0; i < 5; ++i) {
      co_await Yield();
      EXPECT_EQ(variable.Get(), mine);
    }
  };
  const auto main = [&]() -> Task<> {
    const TaskHandle<> first = Spawn(child(1));
    const TaskHandle<> second = Spawn(child(2));
    co_await first;
    co_await second;
    EXPECT_EQ(variable.Get(), 0);
  };
  RunScripted(main());
}

TEST(ContextVar, ACallbackHasTheValuesOfWhoScheduledIt) {
  ContextVar<int> variable("request", 0);
  std::vector<int> seen;
  const auto main = [&]() -> Task<> {
    EventLoop& loop = EventLoop::Running();
    variable.Set(1);
    loop.CallSoon([&] {
      seen.push_back(variable.Get());
      variable.Set(7);
      loop.CallSoon([&] { seen.push_back(variable.Get()); });
    });
    loop.CallLater(std::chrono::seconds(1), [&] { seen.push_back(variable.Get()); });
    variable.Set(2);
    co_await SleepFor(std::chrono::seconds(2));
    EXPECT_EQ(variable.Get(), 2);
  };
  RunScripted(main());
  EXPECT_THAT(seen, ElementsAre(1, 7, 1));
}

TEST(ContextVar, ATaskThatACallbackSpawnsHasTheValuesOfTheCallback) {
  ContextVar<int> variable("request", 0);
  int seen = 0;
  const auto child = [&]() -> Task<> {
    seen = variable.Get();
    co_return;
  };
  const auto main = [&]() -> Task<> {
    variable.Set(1);
    EventLoop::Running().CallSoon([&] {
      variable.Set(3);
      Spawn(child());
    });
    for (int i = 0; i < 3; ++i) co_await Yield();
  };
  RunScripted(main());
  EXPECT_EQ(seen, 3);
}

TEST(ContextVar, OfOneThreadIsNotSeenByAnother) {
  ContextVar<int> variable("request", 0);
  auto token = variable.Set(1);
  std::thread([&] {
    EXPECT_EQ(variable.Get(), 0);
    variable.Set(2);
  }).join();
  EXPECT_EQ(variable.Get(), 1);
  variable.Reset(token);
}

TEST(Context, ACopyIsASnapshot) {
  ContextVar<int> variable("request", 0);
  auto token = variable.Set(1);
  const Context before = Context::Current();
  variable.Set(2);
  EXPECT_EQ(variable.Get(), 2);
  Context::Current() = before;
  EXPECT_EQ(variable.Get(), 1);
  variable.Reset(token);
}

TEST(Context, DropsAValueThatNobodySeesAnyMore) {
  ContextVar<std::shared_ptr<int>> variable("request");
  auto value = std::make_shared<int>(1);
  const std::weak_ptr<int> watch = value;
  const auto main = [&]() -> Task<> {
    variable.Set(std::move(value));
    co_await Yield();
    EXPECT_EQ(watch.use_count(), 1);
  };
  RunScripted(main());
  EXPECT_TRUE(watch.expired());
}

}  // namespace
}  // namespace loopsan::testing
