#include "runtime/condition.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "runtime/sleep.h"
#include "tests/runtime/run_loop.h"

namespace loopsan::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

// Waits once; notes its name, and "!" behind it if the mutex was not its own then.
Task<> WaitAndNote(Condition& condition, std::string name, std::vector<std::string>& order) {
  MutexLock lock = co_await condition.Lock();
  bool cancelled = false;
  try {
    co_await condition.Wait(lock);
  } catch (const CancelledError&) {
    cancelled = true;
  }
  if (!lock || !condition.mutex().is_held_here()) name += "!";
  order.push_back(cancelled ? name + " cancelled" : name);
  if (cancelled) throw CancelledError();
}

TEST(Condition, NotifyOneWakesTheOldestWaiter) {
  Condition condition;
  std::vector<std::string> order;
  const auto main = [&]() -> Task<> {
    const TaskHandle<> first = Spawn(WaitAndNote(condition, "first", order));
    const TaskHandle<> second = Spawn(WaitAndNote(condition, "second", order));
    co_await Yield();
    co_await Yield();
    {
      const MutexLock lock = co_await condition.Lock();
      condition.NotifyOne();
      EXPECT_THAT(order, IsEmpty());
    }
    co_await first;
    co_await Yield();
    EXPECT_FALSE(second.done());
    {
      const MutexLock lock = co_await condition.Lock();
      condition.NotifyOne();
    }
    co_await second;
  };
  RunScripted(main());
  EXPECT_THAT(order, ElementsAre("first", "second"));
}

TEST(Condition, NotifyAllWakesAllOneAfterTheOther) {
  Condition condition;
  std::vector<std::string> order;
  const auto main = [&]() -> Task<> {
    const TaskHandle<> first = Spawn(WaitAndNote(condition, "first", order));
    const TaskHandle<> second = Spawn(WaitAndNote(condition, "second", order));
    const TaskHandle<> third = Spawn(WaitAndNote(condition, "third", order));
    for (int i = 0; i < 4; ++i) co_await Yield();
    {
      const MutexLock lock = co_await condition.Lock();
      condition.NotifyAll();
    }
    co_await first;
    co_await second;
    co_await third;
  };
  RunScripted(main());
  EXPECT_THAT(order, ElementsAre("first", "second", "third"));
}

TEST(Condition, NotifyWithoutWaitersIsNotRemembered) {
  Condition condition;
  std::vector<std::string> order;
  const auto main = [&]() -> Task<> {
    {
      const MutexLock lock = co_await condition.Lock();
      condition.NotifyOne();
    }
    TaskHandle<> waiter = Spawn(WaitAndNote(condition, "waiter", order));
    for (int i = 0; i < 3; ++i) co_await Yield();
    EXPECT_FALSE(waiter.done());
    waiter.Cancel();
  };
  RunScripted(main());
  EXPECT_THAT(order, ElementsAre("waiter cancelled"));
}

TEST(Condition, WaitForAsksAgainUntilItHolds) {
  Condition condition;
  int value = 0;
  int asked = 0;
  const auto waits = [&]() -> Task<> {
    MutexLock lock = co_await condition.Lock();
    const auto is_two = [&] { return ++asked, value == 2; };
    co_await condition.WaitFor(lock, is_two);
    EXPECT_TRUE(condition.mutex().is_held_here());
    EXPECT_EQ(value, 2);
  };
  const auto main = [&]() -> Task<> {
    const TaskHandle<> waiter = Spawn(waits());
    while (value < 2) {
      co_await Yield();
      const MutexLock lock = co_await condition.Lock();
      ++value;
      condition.NotifyAll();
    }
    co_await waiter;
  };
  RunScripted(main());
  EXPECT_GE(asked, 2);
}

TEST(Condition, WaitForDoesNotWaitForWhatHolds) {
  Condition condition;
  const auto main = [&]() -> Task<> {
    MutexLock lock = co_await condition.Lock();
    const auto holds = [] { return true; };
    co_await condition.WaitFor(lock, holds);
    EXPECT_TRUE(lock);
  };
  RunScripted(main());
}

TEST(Condition, ACancelledWaiterThrowsWhenItHasTheMutexAgain) {
  Condition condition;
  std::vector<std::string> order;
  const auto main = [&]() -> Task<> {
    TaskHandle<> waiter = Spawn(WaitAndNote(condition, "waiter", order));
    co_await Yield();
    {
      const MutexLock lock = co_await condition.Lock();
      waiter.Cancel();
      for (int i = 0; i < 3; ++i) co_await Yield();
      EXPECT_FALSE(waiter.done());  // the mutex is not free
      order.push_back("unlock");
    }
    co_await Yield();
    EXPECT_TRUE(waiter.cancelled());
  };
  RunScripted(main());
  EXPECT_THAT(order, ElementsAre("unlock", "waiter cancelled"));
  EXPECT_FALSE(condition.mutex().is_locked());
}

TEST(Condition, AWaiterThatIsCancelledAgainWhileItWantsTheMutexStillGetsIt) {
  Condition condition;
  std::vector<std::string> order;
  const auto main = [&]() -> Task<> {
    TaskHandle<> waiter = Spawn(WaitAndNote(condition, "waiter", order));
    co_await Yield();
    {
      const MutexLock lock = co_await condition.Lock();
      waiter.Cancel();
      co_await Yield();
      waiter.Cancel();
      co_await Yield();
    }
    waiter.Cancel();  // it has the mutex, and has not run
    co_await Yield();
    EXPECT_TRUE(waiter.cancelled());
  };
  RunScripted(main());
  EXPECT_THAT(order, ElementsAre("waiter cancelled"));
}

TEST(Condition, AWaiterThatIsCancelledWhileItIsNotifiedPassesThatOn) {
  Condition condition;
  std::vector<std::string> order;
  const auto main = [&]() -> Task<> {
    TaskHandle<> first = Spawn(WaitAndNote(condition, "first", order));
    const TaskHandle<> second = Spawn(WaitAndNote(condition, "second", order));
    co_await Yield();
    co_await Yield();
    {
      const MutexLock lock = co_await condition.Lock();
      condition.NotifyOne();
      first.Cancel();
    }
    co_await second;
    EXPECT_TRUE(first.cancelled());
  };
  RunScripted(main());
  EXPECT_THAT(order, ElementsAre("first cancelled", "second"));
}

TEST(Condition, AWaiterThatIsCancelledAfterItGotTheMutexPassesTheNotificationOn) {
  Condition condition;
  std::vector<std::string> order;
  const auto main = [&]() -> Task<> {
    TaskHandle<> first = Spawn(WaitAndNote(condition, "first", order));
    const TaskHandle<> second = Spawn(WaitAndNote(condition, "second", order));
    co_await Yield();
    co_await Yield();
    {
      const MutexLock lock = co_await condition.Lock();
      condition.NotifyOne();
    }
    first.Cancel();  // woken with the mutex, not run yet
    co_await second;
    EXPECT_TRUE(first.cancelled());
  };
  RunScripted(main());
  EXPECT_THAT(order, ElementsAre("first cancelled", "second"));
}

TEST(Condition, ACancelledWaiterThatWasNotNotifiedWakesNobody) {
  Condition condition;
  std::vector<std::string> order;
  const auto main = [&]() -> Task<> {
    TaskHandle<> first = Spawn(WaitAndNote(condition, "first", order));
    TaskHandle<> second = Spawn(WaitAndNote(condition, "second", order));
    co_await Yield();
    co_await Yield();
    first.Cancel();
    for (int i = 0; i < 4; ++i) co_await Yield();
    EXPECT_FALSE(second.done());
    second.Cancel();
  };
  RunScripted(main());
  EXPECT_THAT(order, ElementsAre("first cancelled", "second cancelled"));
}

TEST(Condition, SharesAMutex) {
  Mutex mutex;
  Condition full(mutex);
  Condition empty(mutex);
  std::vector<std::string> order;
  const auto main = [&]() -> Task<> {
    const TaskHandle<> waiter = Spawn(WaitAndNote(full, "full", order));
    TaskHandle<> other = Spawn(WaitAndNote(empty, "empty", order));
    co_await Yield();
    co_await Yield();
    {
      const MutexLock lock = co_await mutex.Lock();
      full.NotifyAll();
    }
    co_await waiter;
    EXPECT_FALSE(other.done());
    other.Cancel();
  };
  RunScripted(main());
  EXPECT_THAT(order, ElementsAre("full", "empty cancelled"));
}

TEST(Condition, WaitingWithoutItsMutexIsAnError) {
  Condition condition;
  Mutex other;
  const auto main = [&]() -> Task<> {
    MutexLock none;
    EXPECT_THROW(co_await condition.Wait(none), UsageError);
    MutexLock wrong = co_await other.Lock();
    EXPECT_THROW(co_await condition.Wait(wrong), UsageError);
    EXPECT_TRUE(wrong);
  };
  RunScripted(main());
}

TEST(Condition, NotifyingWithoutItsMutexIsAnError) {
  Condition condition;
  const auto main = [&]() -> Task<> {
    EXPECT_THROW(condition.NotifyOne(), UsageError);
    EXPECT_THROW(condition.NotifyAll(), UsageError);
    const MutexLock lock = co_await condition.Lock();
    condition.NotifyOne();
  };
  RunScripted(main());
}

TEST(Condition, OfAnotherLoopIsAnErrorAndAFinding) {
  const KeptFindings findings;
  ScriptedLoop first;
  ScriptedLoop second;
  Condition condition;
  const auto notifies = [&]() -> Task<> {
    const MutexLock lock = co_await condition.Lock();
    condition.NotifyAll();
  };
  const auto only_notifies = [&]() -> Task<> {
    condition.NotifyAll();
    co_return;
  };
  first.Run(notifies());
  EXPECT_THROW(second.Run(only_notifies()), UsageError);
  EXPECT_THAT(findings.rules(), ElementsAre("other-loop"));
}

TEST(Condition, OnAnotherThreadIsAnErrorAndAFinding) {
  const KeptFindings findings;
  const auto main = []() -> Task<> {
    Condition condition;
    const MutexLock lock = co_await condition.Lock();
    std::thread([&] { EXPECT_THROW(condition.NotifyOne(), UsageError); }).join();
  };
  RunScripted(main());
  EXPECT_THAT(findings.rules(), ElementsAre("wrong-thread"));
}

TEST(Condition, MayBeDestroyedWithItsLoopWhileTasksWait) {
  const KeptFindings findings;
  ScriptedLoop scripted;
  auto condition = std::make_unique<Condition>();
  std::vector<std::string> order;
  const auto main = [&]() -> Task<> {
    Spawn(WaitAndNote(*condition, "woken", order));
    Spawn(WaitAndNote(*condition, "waiting for the mutex", order));
    Spawn(WaitAndNote(*condition, "waiting", order));
    for (int i = 0; i < 4; ++i) co_await Yield();
    MutexLock lock = co_await condition->Lock();
    condition->Notify(2);
    lock.Unlock();
  };
  scripted.loop().RunUntilComplete(main());
  scripted.loop().Close();
  condition.reset();
  EXPECT_THAT(order, IsEmpty());
}

}  // namespace
}  // namespace loopsan::testing
