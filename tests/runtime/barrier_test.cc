#include "runtime/barrier.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "runtime/sleep.h"
#include "tests/runtime/run_loop.h"

namespace loopsan::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

// Notes "name:index", or "name:broken", or "name:cancelled".
Task<> WaitAndNote(Barrier& barrier, std::string name, std::vector<std::string>& order) {
  std::string outcome = "cancelled";
  bool cancelled = false;
  try {
    const size_t index = co_await barrier.Wait();
    outcome = std::to_string(index);
  } catch (const BrokenBarrierError&) {
    outcome = "broken";
  } catch (const CancelledError&) {
    cancelled = true;
  }
  order.push_back(name + ":" + outcome);
  if (cancelled) throw CancelledError();
}

TEST(Barrier, WithoutPartiesIsAnError) { EXPECT_THROW(Barrier(0), std::invalid_argument); }

TEST(Barrier, OfOneLetsPassAtOnce) {
  const auto main = []() -> Task<> {
    Barrier barrier(1);
    EXPECT_EQ(co_await barrier.Wait(), 0u);
    EXPECT_EQ(co_await barrier.Wait(), 0u);
  };
  RunScripted(main());
}

TEST(Barrier, HoldsUpUntilAllAreThere) {
  Barrier barrier(3);
  std::vector<std::string> order;
  const auto main = [&]() -> Task<> {
    const TaskHandle<> a = Spawn(WaitAndNote(barrier, "a", order));
    const TaskHandle<> b = Spawn(WaitAndNote(barrier, "b", order));
    co_await Yield();
    EXPECT_EQ(barrier.waiting(), 2u);
    EXPECT_THAT(order, IsEmpty());
    EXPECT_EQ(co_await barrier.Wait(), 2u);
    order.push_back("last");
    EXPECT_EQ(barrier.waiting(), 0u);
    co_await a;
    co_await b;
  };
  RunScripted(main());
  EXPECT_THAT(order, ElementsAre("last", "a:0", "b:1"));
}

TEST(Barrier, IsUsedAgain) {
  Barrier barrier(2);
  std::vector<std::string> order;
  const auto main = [&]() -> Task<> {
    for (const char* name : {"first", "second"}) {
      const TaskHandle<> other = Spawn(WaitAndNote(barrier, name, order));
      co_await Yield();
      EXPECT_EQ(co_await barrier.Wait(), 1u);
      co_await other;
    }
  };
  RunScripted(main());
  EXPECT_THAT(order, ElementsAre("first:0", "second:0"));
}

TEST(Barrier, WhoComesWhileTheOthersLeaveIsInTheNextRound) {
  Barrier barrier(2);
  std::vector<std::string> order;
  const auto main = [&]() -> Task<> {
    const TaskHandle<> a = Spawn(WaitAndNote(barrier, "a", order));
    co_await Yield();
    EXPECT_EQ(co_await barrier.Wait(), 1u);
    // `a` has not run yet: the barrier drains.
    const size_t index = co_await barrier.Wait();
    EXPECT_EQ(index, 0u);
    order.push_back("next round");
    co_await a;
  };
  const auto late = [&]() -> Task<> {
    for (int i = 0; i < 5; ++i) co_await Yield();
    EXPECT_THAT(order, ElementsAre("a:0"));
    EXPECT_EQ(barrier.waiting(), 1u);
    EXPECT_EQ(co_await barrier.Wait(), 1u);
  };
  const auto both = [&]() -> Task<> {
    const TaskHandle<> second = Spawn(late());
    co_await main();
    co_await second;
  };
  RunScripted(both());
  EXPECT_THAT(order, ElementsAre("a:0", "next round"));
}

TEST(Barrier, ManyWhoComeWhileItDrainsFillSeveralRounds) {
  Barrier barrier(2);
  std::vector<std::string> order;
  const auto main = [&]() -> Task<> {
    std::vector<TaskHandle<>> tasks;
    for (const char* name : {"a", "b", "c", "d", "e", "f"}) {
      tasks.push_back(Spawn(WaitAndNote(barrier, name, order)));
    }
    for (const TaskHandle<>& task : tasks) co_await task;
  };
  RunScripted(main());
  EXPECT_EQ(order.size(), 6u);
  EXPECT_EQ(std::count_if(order.begin(), order.end(), [](const auto& s) { return s[2] == '1'; }),
            3);
  EXPECT_EQ(barrier.waiting(), 0u);
}

TEST(Barrier, ACancelledPartyLeavesWithoutBreakingIt) {
  Barrier barrier(2);
  std::vector<std::string> order;
  const auto main = [&]() -> Task<> {
    TaskHandle<> a = Spawn(WaitAndNote(barrier, "a", order));
    co_await Yield();
    a.Cancel();
    EXPECT_EQ(barrier.waiting(), 0u);
    co_await Yield();
    EXPECT_FALSE(barrier.is_broken());
    const TaskHandle<> b = Spawn(WaitAndNote(barrier, "b", order));
    co_await Yield();
    EXPECT_EQ(co_await barrier.Wait(), 1u);
    co_await b;
  };
  RunScripted(main());
  EXPECT_THAT(order, ElementsAre("a:cancelled", "b:0"));
}

TEST(Barrier, APartyThatIsCancelledAfterItWasReleasedLetsTheBarrierDrain) {
  Barrier barrier(2);
  std::vector<std::string> order;
  const auto main = [&]() -> Task<> {
    TaskHandle<> a = Spawn(WaitAndNote(barrier, "a", order));
    co_await Yield();
    EXPECT_EQ(co_await barrier.Wait(), 1u);
    a.Cancel();
    const TaskHandle<> b = Spawn(WaitAndNote(barrier, "b", order));
    const TaskHandle<> c = Spawn(WaitAndNote(barrier, "c", order));
    co_await b;
    co_await c;
  };
  RunScripted(main());
  EXPECT_THAT(order, ElementsAre("a:cancelled", "c:1", "b:0"));
}

TEST(Barrier, AbortBreaksItForAllAndUntilReset) {
  Barrier barrier(2);
  std::vector<std::string> order;
  const auto main = [&]() -> Task<> {
    const TaskHandle<> a = Spawn(WaitAndNote(barrier, "a", order));
    co_await Yield();
    barrier.Abort();
    EXPECT_TRUE(barrier.is_broken());
    co_await a;
    EXPECT_THROW(co_await barrier.Wait(), BrokenBarrierError);
    barrier.Reset();
    EXPECT_FALSE(barrier.is_broken());
    const TaskHandle<> b = Spawn(WaitAndNote(barrier, "b", order));
    co_await Yield();
    EXPECT_EQ(co_await barrier.Wait(), 1u);
    co_await b;
  };
  RunScripted(main());
  EXPECT_THAT(order, ElementsAre("a:broken", "b:0"));
}

TEST(Barrier, AbortAlsoReachesWhoWaitsToBeLetIn) {
  Barrier barrier(2);
  std::vector<std::string> order;
  const auto main = [&]() -> Task<> {
    const TaskHandle<> a = Spawn(WaitAndNote(barrier, "a", order));
    const TaskHandle<> b = Spawn(WaitAndNote(barrier, "b", order));
    const TaskHandle<> c = Spawn(WaitAndNote(barrier, "c", order));
    co_await Yield();  // b was the second: a leaves, and c waits for that
    barrier.Abort();
    co_await a;
    co_await b;
    co_await c;
  };
  RunScripted(main());
  EXPECT_THAT(order, ElementsAre("b:1", "a:broken", "c:broken"));
}

TEST(Barrier, ResetBreaksItForThoseWhoWait) {
  Barrier barrier(3);
  std::vector<std::string> order;
  const auto main = [&]() -> Task<> {
    const TaskHandle<> a = Spawn(WaitAndNote(barrier, "a", order));
    const TaskHandle<> b = Spawn(WaitAndNote(barrier, "b", order));
    co_await Yield();
    barrier.Reset();
    EXPECT_FALSE(barrier.is_broken());
    const TaskHandle<> c = Spawn(WaitAndNote(barrier, "c", order));
    co_await a;
    co_await b;
    co_await Yield();
    EXPECT_EQ(barrier.waiting(), 1u);
    barrier.Reset();
    co_await c;
  };
  RunScripted(main());
  EXPECT_THAT(order, ElementsAre("a:broken", "b:broken", "c:broken"));
}

TEST(Barrier, ResetOfAnEmptyOneChangesNothing) {
  Barrier barrier(1);
  barrier.Reset();
  EXPECT_FALSE(barrier.is_broken());
  EXPECT_EQ(barrier.parties(), 1u);
}

TEST(Barrier, OfAnotherLoopIsAnErrorAndAFinding) {
  const KeptFindings findings;
  ScriptedLoop first;
  ScriptedLoop second;
  Barrier barrier(1);
  const auto waits = [&]() -> Task<> { co_await barrier.Wait(); };
  first.Run(waits());
  EXPECT_THROW(second.Run(waits()), UsageError);
  EXPECT_THAT(findings.rules(), ElementsAre("other-loop"));
}

TEST(Barrier, OnAnotherThreadIsAnErrorAndAFinding) {
  const KeptFindings findings;
  const auto main = []() -> Task<> {
    Barrier barrier(2);
    std::thread([&] { EXPECT_THROW(barrier.Reset(), UsageError); }).join();
    std::thread([&] { EXPECT_THROW(barrier.Abort(), UsageError); }).join();
    EXPECT_FALSE(barrier.is_broken());
    co_return;
  };
  RunScripted(main());
  EXPECT_THAT(findings.rules(), ElementsAre("wrong-thread", "wrong-thread"));
}

TEST(Barrier, MayBeDestroyedBeforeTheTasksThatWaitForIt) {
  const KeptFindings findings;
  ScriptedLoop scripted;
  std::vector<std::string> order;
  auto barrier = std::make_unique<Barrier>(2);
  const auto main = [&]() -> Task<> {
    Spawn(WaitAndNote(*barrier, "a", order));
    co_await Yield();
    co_await barrier->Wait();
    Spawn(WaitAndNote(*barrier, "b", order));
  };
  scripted.loop().RunUntilComplete(main());
  barrier.reset();
  scripted.loop().Close();
  EXPECT_THAT(order, IsEmpty());
}

TEST(Barrier, IsEmptyAfterItsLoopWasClosedUnderItsParties) {
  const KeptFindings findings;
  Barrier barrier(2);
  std::vector<std::string> order;
  {
    ScriptedLoop scripted;
    const auto main = [&]() -> Task<> {
      Spawn(WaitAndNote(barrier, "a", order));
      co_await Yield();
    };
    scripted.loop().RunUntilComplete(main());
    EXPECT_EQ(barrier.waiting(), 1u);
  }
  EXPECT_EQ(barrier.waiting(), 0u);
  const auto alone = [&]() -> Task<> {
    const TaskHandle<> other = Spawn(WaitAndNote(barrier, "other", order));
    co_await Yield();
    EXPECT_EQ(co_await barrier.Wait(), 1u);
    co_await other;
  };
  RunScripted(alone());
  EXPECT_THAT(order, ElementsAre("other:0"));
}

}  // namespace
}  // namespace loopsan::testing
