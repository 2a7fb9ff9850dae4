#include "runtime/event.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <thread>
#include <vector>

#include "runtime/sleep.h"
#include "tests/runtime/run_loop.h"

namespace loopsan::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

Task<> WaitAndNote(Event& event, std::string name, std::vector<std::string>& order) {
  co_await event.Wait();
  order.push_back(std::move(name));
}

TEST(Event, ThatIsSetLetsPassAtOnce) {
  const auto main = []() -> Task<> {
    Event event;
    event.Set();
    EXPECT_TRUE(event.is_set());
    co_await event.Wait();
  };
  RunScripted(main());
}

TEST(Event, ThatIsClearedHoldsUpAgain) {
  Event event;
  std::vector<std::string> order;
  const auto main = [&]() -> Task<> {
    event.Set();
    event.Clear();
    const TaskHandle<> waiter = Spawn(WaitAndNote(event, "waiter", order));
    co_await Yield();
    co_await Yield();
    EXPECT_FALSE(waiter.done());
    event.Set();
    co_await waiter;
  };
  RunScripted(main());
  EXPECT_THAT(order, ElementsAre("waiter"));
}

TEST(Event, WakesAllWhoWaitInTheOrderInWhichTheyCame) {
  Event event;
  std::vector<std::string> order;
  const auto main = [&]() -> Task<> {
    const TaskHandle<> first = Spawn(WaitAndNote(event, "first", order));
    const TaskHandle<> second = Spawn(WaitAndNote(event, "second", order));
    co_await Yield();
    event.Set();
    co_await first;
    co_await second;
  };
  RunScripted(main());
  EXPECT_THAT(order, ElementsAre("first", "second"));
}

TEST(Event, WakesAlsoWhenItIsClearedBeforeTheWaiterRuns) {
  Event event;
  std::vector<std::string> order;
  const auto main = [&]() -> Task<> {
    const TaskHandle<> waiter = Spawn(WaitAndNote(event, "waiter", order));
    co_await Yield();
    event.Set();
    event.Clear();
    co_await waiter;
  };
  RunScripted(main());
  EXPECT_THAT(order, ElementsAre("waiter"));
}

TEST(Event, ACancelledWaiterIsNotWoken) {
  Event event;
  std::vector<std::string> order;
  const auto main = [&]() -> Task<> {
    TaskHandle<> cancelled = Spawn(WaitAndNote(event, "cancelled", order));
    const TaskHandle<> other = Spawn(WaitAndNote(event, "other", order));
    co_await Yield();
    cancelled.Cancel();
    co_await Yield();
    EXPECT_TRUE(cancelled.cancelled());
    event.Set();
    co_await other;
  };
  RunScripted(main());
  EXPECT_THAT(order, ElementsAre("other"));
}

TEST(Event, AWaiterThatIsCancelledAfterItWasWokenThrows) {
  Event event;
  std::vector<std::string> order;
  const auto main = [&]() -> Task<> {
    TaskHandle<> waiter = Spawn(WaitAndNote(event, "waiter", order));
    co_await Yield();
    event.Set();
    waiter.Cancel();
    co_await Yield();
    EXPECT_TRUE(waiter.cancelled());
  };
  RunScripted(main());
  EXPECT_THAT(order, IsEmpty());
}

// One CancelledError answers all cancellations that came before it was thrown.
TEST(Event, AWaiterThatIsCancelledTwiceThrowsOnce) {
  Event event;
  bool cleaned_up = false;
  const auto waits = [&]() -> Task<> {
    try {
      co_await event.Wait();
    } catch (const CancelledError&) {
      cleaned_up = true;
    }
    cleaned_up = false;
    co_await Yield();
    cleaned_up = true;
  };
  const auto main = [&]() -> Task<> {
    TaskHandle<> waiter = Spawn(waits());
    co_await Yield();
    waiter.Cancel();
    waiter.Cancel();
    co_await waiter;
  };
  RunScripted(main());
  EXPECT_TRUE(cleaned_up);
}

TEST(Event, OfAnotherLoopIsAnErrorAndAFinding) {
  const KeptFindings findings;
  ScriptedLoop first;
  ScriptedLoop second;
  Event event;
  const auto sets = [&]() -> Task<> {
    event.Set();
    co_return;
  };
  const auto waits = [&]() -> Task<> { co_await event.Wait(); };
  first.Run(sets());
  EXPECT_THROW(second.Run(sets()), UsageError);
  EXPECT_THROW(second.Run(waits()), UsageError);
  EXPECT_THAT(findings.rules(), ElementsAre("other-loop", "other-loop"));
}

TEST(Event, OnAnotherThreadIsAnErrorAndAFinding) {
  const KeptFindings findings;
  const auto main = []() -> Task<> {
    Event event;
    std::thread([&] { EXPECT_THROW(event.Set(), UsageError); }).join();
    std::thread([&] { EXPECT_THROW(event.Clear(), UsageError); }).join();
    EXPECT_FALSE(event.is_set());
    co_return;
  };
  RunScripted(main());
  EXPECT_THAT(findings.rules(), ElementsAre("wrong-thread", "wrong-thread"));
}

TEST(Event, WhoIsLeftWaitingForEverIsFound) {
  const KeptFindings findings;
  Event event;
  std::vector<std::string> order;
  ScriptedLoop scripted;
  // The port says that nothing can wake the loop any more.
  EXPECT_THROW(scripted.Run(WaitAndNote(event, "waiter", order)), std::logic_error);
  ASSERT_THAT(findings.rules(), ElementsAre("lost-wakeup"));
  EXPECT_THAT(findings.all()[0].message, ::testing::HasSubstr("event"));
}

}  // namespace
}  // namespace loopsan::testing
