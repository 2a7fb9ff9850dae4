#include "runtime/semaphore.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <random>
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

Task<> AcquireAndNote(Semaphore& semaphore, std::string name, std::vector<std::string>& order) {
  const SemaphorePermit permit = co_await semaphore.Acquire();
  order.push_back(std::move(name));
  co_await Yield();
}

TEST(Semaphore, LetsInAsManyAsItHasPermits) {
  Semaphore semaphore(2);
  std::vector<std::string> order;
  const auto main = [&]() -> Task<> {
    const TaskHandle<> a = Spawn(AcquireAndNote(semaphore, "a", order));
    const TaskHandle<> b = Spawn(AcquireAndNote(semaphore, "b", order));
    const TaskHandle<> c = Spawn(AcquireAndNote(semaphore, "c", order));
    co_await Yield();
    EXPECT_THAT(order, ElementsAre("a", "b"));
    EXPECT_TRUE(semaphore.is_locked());
    co_await c;
    EXPECT_EQ(semaphore.value(), 2);
  };
  RunScripted(main());
  EXPECT_THAT(order, ElementsAre("a", "b", "c"));
}

TEST(Semaphore, ThatBeginsNegativeIsAnError) { EXPECT_THROW(Semaphore(-1), std::invalid_argument); }

TEST(Semaphore, NobodyOvertakesWhoWasWoken) {
  Semaphore semaphore(1);
  std::vector<std::string> order;
  const auto main = [&]() -> Task<> {
    SemaphorePermit permit = co_await semaphore.Acquire();
    const TaskHandle<> waiter = Spawn(AcquireAndNote(semaphore, "waiter", order));
    co_await Yield();
    permit.Release();
    EXPECT_FALSE(semaphore.TryAcquire());
    permit = co_await semaphore.Acquire();
    order.push_back("releaser");
    co_await waiter;
  };
  RunScripted(main());
  EXPECT_THAT(order, ElementsAre("waiter", "releaser"));
}

TEST(Semaphore, NobodyOvertakesWhoWasWokenAlsoIfAnotherPermitIsFree) {
  Semaphore semaphore(1);
  std::vector<std::string> order;
  const auto main = [&]() -> Task<> {
    SemaphorePermit permit = co_await semaphore.Acquire();
    const TaskHandle<> waiter = Spawn(AcquireAndNote(semaphore, "waiter", order));
    co_await Yield();
    permit.Release();
    semaphore.Release();
    EXPECT_EQ(semaphore.value(), 1);
    EXPECT_FALSE(semaphore.TryAcquire());
    permit = co_await semaphore.Acquire();
    order.push_back("releaser");
    co_await waiter;
  };
  RunScripted(main());
  EXPECT_THAT(order, ElementsAre("waiter", "releaser"));
}

TEST(Semaphore, APermitThatIsAddedWakesOneWaiter) {
  Semaphore semaphore(0);
  std::vector<std::string> order;
  const auto takes = [&](const char* name) -> Task<> {
    SemaphorePermit permit = co_await semaphore.Acquire();
    permit.Detach();
    order.push_back(name);
  };
  const auto main = [&]() -> Task<> {
    const TaskHandle<> first = Spawn(takes("first"));
    TaskHandle<> second = Spawn(takes("second"));
    co_await Yield();
    semaphore.Release();
    co_await first;
    co_await Yield();
    EXPECT_FALSE(second.done());
    second.Cancel();
  };
  RunScripted(main());
  EXPECT_THAT(order, ElementsAre("first"));
  EXPECT_EQ(semaphore.value(), 0);
}

TEST(Semaphore, ACancelledWaiterLeavesTheLine) {
  Semaphore semaphore(1);
  std::vector<std::string> order;
  const auto main = [&]() -> Task<> {
    SemaphorePermit permit = co_await semaphore.Acquire();
    TaskHandle<> first = Spawn(AcquireAndNote(semaphore, "first", order));
    const TaskHandle<> second = Spawn(AcquireAndNote(semaphore, "second", order));
    co_await Yield();
    first.Cancel();
    co_await Yield();
    permit.Release();
    co_await second;
  };
  RunScripted(main());
  EXPECT_THAT(order, ElementsAre("second"));
}

TEST(Semaphore, AWaiterThatIsCancelledAfterItWasWokenPassesThePermitOn) {
  Semaphore semaphore(1);
  std::vector<std::string> order;
  const auto main = [&]() -> Task<> {
    SemaphorePermit permit = co_await semaphore.Acquire();
    TaskHandle<> first = Spawn(AcquireAndNote(semaphore, "first", order));
    const TaskHandle<> second = Spawn(AcquireAndNote(semaphore, "second", order));
    co_await Yield();
    permit.Release();
    first.Cancel();
    co_await second;
    EXPECT_TRUE(first.cancelled());
  };
  RunScripted(main());
  EXPECT_THAT(order, ElementsAre("second"));
  EXPECT_EQ(semaphore.value(), 1);
}

TEST(Semaphore, APermitGoesFromTaskToTask) {
  const KeptFindings findings;
  Semaphore semaphore(1);
  const auto main = [&]() -> Task<> {
    SemaphorePermit permit = co_await semaphore.Acquire();
    const auto takes_over = [&]() -> Task<> {
      const SemaphorePermit taken = std::move(permit);
      co_return;
    };
    co_await Spawn(takes_over());
    EXPECT_EQ(semaphore.value(), 1);
    EXPECT_THROW(permit.Release(), UsageError);  // NOLINT(bugprone-use-after-move)
  };
  RunScripted(main());
  EXPECT_THAT(findings.rules(), IsEmpty());
}

TEST(BoundedSemaphore, RefusesMoreThanItBeganWith) {
  BoundedSemaphore semaphore(1);
  EXPECT_THROW(semaphore.Release(), UsageError);
  SemaphorePermit permit = semaphore.TryAcquire();
  permit.Release();
  EXPECT_EQ(semaphore.value(), 1);
}

TEST(Semaphore, TakesMoreThanItBeganWith) {
  Semaphore semaphore(1);
  semaphore.Release();
  EXPECT_EQ(semaphore.value(), 2);
}

TEST(Semaphore, OfAnotherLoopIsAnErrorAndAFinding) {
  const KeptFindings findings;
  ScriptedLoop first;
  ScriptedLoop second;
  Semaphore semaphore(1);
  const auto acquires = [&]() -> Task<> {
    const SemaphorePermit permit = co_await semaphore.Acquire();
  };
  first.Run(acquires());
  EXPECT_THROW(second.Run(acquires()), UsageError);
  EXPECT_THAT(findings.rules(), ElementsAre("other-loop"));
}

TEST(Semaphore, OnAnotherThreadIsAnErrorAndAFinding) {
  const KeptFindings findings;
  const auto main = []() -> Task<> {
    Semaphore semaphore(1);
    std::thread([&] { EXPECT_THROW((void)semaphore.TryAcquire(), UsageError); }).join();
    std::thread([&] { EXPECT_THROW(semaphore.Release(), UsageError); }).join();
    EXPECT_EQ(semaphore.value(), 1);
    co_return;
  };
  RunScripted(main());
  EXPECT_THAT(findings.rules(), ElementsAre("wrong-thread", "wrong-thread"));
}

TEST(Semaphore, HasItsPermitsAfterItsLoopWasClosedUnderItsWaiters) {
  const KeptFindings findings;
  Semaphore semaphore(1);
  std::vector<std::string> order;
  {
    ScriptedLoop scripted;
    const auto main = [&]() -> Task<> {
      SemaphorePermit permit = co_await semaphore.Acquire();
      Spawn(AcquireAndNote(semaphore, "woken", order));
      Spawn(AcquireAndNote(semaphore, "waiting", order));
      co_await Yield();
      permit.Release();
    };
    scripted.loop().RunUntilComplete(main());
  }
  EXPECT_EQ(semaphore.value(), 1);
  EXPECT_THAT(order, IsEmpty());
}

class SemaphoreUnderRandomUse : public ::testing::TestWithParam<uint32_t> {};

TEST_P(SemaphoreUnderRandomUse, NeverLetsInTooManyAndLosesNoPermit) {
  constexpr int kPermits = 3;
  std::mt19937 random(GetParam());
  BoundedSemaphore semaphore(kPermits);
  int inside = 0;
  uint64_t next_ticket = 0;
  uint64_t last_served = 0;
  const auto user = [&]() -> Task<> {
    struct Inside {
      explicit Inside(int& the_count) : count(the_count) { ++count; }
      ~Inside() { --count; }
      int& count;
    };
    for (int round = 0; round < 20; ++round) {
      const uint64_t ticket = ++next_ticket;
      const SemaphorePermit permit = co_await semaphore.Acquire();
      const Inside here(inside);
      EXPECT_LE(inside, kPermits);
      EXPECT_GT(ticket, last_served);
      last_served = ticket;
      const auto steps = random() % 4;
      for (uint32_t i = 0; i < steps; ++i) co_await Yield();
    }
  };
  const auto main = [&]() -> Task<> {
    std::vector<TaskHandle<>> users;
    for (int i = 0; i < 12; ++i) users.push_back(Spawn(user()));
    for (int i = 0; i < 60; ++i) {
      co_await Yield();
      if (random() % 15 == 0) users[random() % users.size()].Cancel();
    }
    for (const TaskHandle<>& each : users) {
      try {
        co_await each;
      } catch (const CancelledError&) {
        EXPECT_TRUE(each.cancelled());
      }
    }
  };
  RunScripted(main());
  EXPECT_EQ(inside, 0);
  EXPECT_EQ(semaphore.value(), kPermits);
}

INSTANTIATE_TEST_SUITE_P(Seeds, SemaphoreUnderRandomUse, ::testing::Range(1u, 41u));

}  // namespace
}  // namespace loopsan::testing
