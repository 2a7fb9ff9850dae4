#include "runtime/mutex.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>
#include <string>
#include <thread>
#include <vector>

#include "runtime/sleep.h"
#include "tests/runtime/run_loop.h"

namespace loopsan::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

// Locks, notes its name, and keeps the lock for a turn.
Task<> LockAndNote(Mutex& mutex, std::string name, std::vector<std::string>& order) {
  const MutexLock lock = co_await mutex.Lock();
  order.push_back(std::move(name));
  co_await Yield();
}

TEST(Mutex, IsTakenAtOnceWhenItIsFree) {
  const auto main = []() -> Task<> {
    Mutex mutex;
    {
      const MutexLock lock = co_await mutex.Lock();
      EXPECT_TRUE(mutex.is_locked());
      EXPECT_TRUE(mutex.is_held_here());
    }
    EXPECT_FALSE(mutex.is_locked());
  };
  RunScripted(main());
}

TEST(Mutex, WakesTheOldestWaiterFirst) {
  Mutex mutex;
  std::vector<std::string> order;
  const auto main = [&]() -> Task<> {
    MutexLock lock = co_await mutex.Lock();
    const TaskHandle<> first = Spawn(LockAndNote(mutex, "first", order));
    const TaskHandle<> second = Spawn(LockAndNote(mutex, "second", order));
    const TaskHandle<> third = Spawn(LockAndNote(mutex, "third", order));
    co_await Yield();
    lock.Unlock();
    co_await first;
    co_await second;
    co_await third;
  };
  RunScripted(main());
  EXPECT_THAT(order, ElementsAre("first", "second", "third"));
}

TEST(Mutex, IsNotTakenFromUnderTheHandsOfWhoWasWoken) {
  Mutex mutex;
  std::vector<std::string> order;
  const auto main = [&]() -> Task<> {
    MutexLock lock = co_await mutex.Lock();
    const TaskHandle<> waiter = Spawn(LockAndNote(mutex, "waiter", order));
    co_await Yield();
    lock.Unlock();
    EXPECT_FALSE(mutex.TryLock());
    lock = co_await mutex.Lock();
    order.push_back("unlocker");
    co_await waiter;
  };
  RunScripted(main());
  EXPECT_THAT(order, ElementsAre("waiter", "unlocker"));
}

TEST(Mutex, TryLockTakesItWhenItIsFree) {
  Mutex mutex;
  const MutexLock lock = mutex.TryLock();
  EXPECT_TRUE(lock);
  EXPECT_TRUE(mutex.is_held_here());
}

TEST(Mutex, TryLockGivesNothingWhenItIsLocked) {
  Mutex mutex;
  const MutexLock lock = mutex.TryLock();
  EXPECT_FALSE(mutex.TryLock());
}

TEST(Mutex, ALockThatIsMovedUnlocksOnce) {
  Mutex mutex;
  MutexLock lock = mutex.TryLock();
  {
    const MutexLock moved = std::move(lock);
    EXPECT_FALSE(lock);  // NOLINT(bugprone-use-after-move): that is the point
    EXPECT_TRUE(mutex.is_locked());
  }
  EXPECT_FALSE(mutex.is_locked());
}

TEST(Mutex, ACancelledWaiterLeavesTheLine) {
  Mutex mutex;
  std::vector<std::string> order;
  const auto main = [&]() -> Task<> {
    MutexLock lock = co_await mutex.Lock();
    TaskHandle<> first = Spawn(LockAndNote(mutex, "first", order));
    const TaskHandle<> second = Spawn(LockAndNote(mutex, "second", order));
    co_await Yield();
    first.Cancel();
    co_await Yield();
    EXPECT_TRUE(first.cancelled());
    lock.Unlock();
    co_await second;
  };
  RunScripted(main());
  EXPECT_THAT(order, ElementsAre("second"));
}

TEST(Mutex, AWaiterThatIsCancelledAfterItWasWokenPassesItOn) {
  Mutex mutex;
  std::vector<std::string> order;
  const auto main = [&]() -> Task<> {
    MutexLock lock = co_await mutex.Lock();
    TaskHandle<> first = Spawn(LockAndNote(mutex, "first", order));
    const TaskHandle<> second = Spawn(LockAndNote(mutex, "second", order));
    co_await Yield();
    lock.Unlock();
    first.Cancel();
    co_await second;
    EXPECT_TRUE(first.cancelled());
  };
  RunScripted(main());
  EXPECT_THAT(order, ElementsAre("second"));
  EXPECT_FALSE(mutex.is_locked());
}

TEST(Mutex, TheLastWaiterThatIsCancelledAfterItWasWokenLeavesItFree) {
  Mutex mutex;
  std::vector<std::string> order;
  const auto main = [&]() -> Task<> {
    MutexLock lock = co_await mutex.Lock();
    TaskHandle<> only = Spawn(LockAndNote(mutex, "only", order));
    co_await Yield();
    lock.Unlock();
    only.Cancel();
    co_await Yield();
    EXPECT_FALSE(mutex.is_locked());
    EXPECT_TRUE(mutex.TryLock());
  };
  RunScripted(main());
  EXPECT_THAT(order, IsEmpty());
}

TEST(Mutex, IsUnlockedByAnException) {
  Mutex mutex;
  const auto fails = [&]() -> Task<> {
    const MutexLock lock = co_await mutex.Lock();
    throw std::runtime_error("while it held the mutex");
  };
  EXPECT_THROW(RunScripted(fails()), std::runtime_error);
  EXPECT_FALSE(mutex.is_locked());
}

TEST(Mutex, KnowsItsHolder) {
  Mutex mutex;
  const auto holds = [&]() -> Task<> {
    const MutexLock lock = co_await mutex.Lock();
    co_await SleepFor(std::chrono::hours(1));
  };
  const auto main = [&]() -> Task<> {
    EXPECT_EQ(mutex.holder_id(), 0);
    const TaskHandle<> holder = Spawn(holds(), "holder");
    co_await Yield();
    EXPECT_EQ(mutex.holder_id(), holder.id());
    EXPECT_EQ(mutex.holder_name(), "holder");
    EXPECT_FALSE(mutex.is_held_here());
    co_await holder;
    EXPECT_EQ(mutex.holder_id(), 0);
  };
  RunScripted(main());
}

TEST(Mutex, TellsAWaitersHolderToWhoDescribesTheTasks) {
  Mutex mutex;
  std::vector<std::string> order;
  const auto main = [&]() -> Task<> {
    MutexLock lock = co_await mutex.Lock();
    const TaskHandle<> waiter = Spawn(LockAndNote(mutex, "waiter", order), "waiter");
    co_await Yield();
    bool seen = false;
    for (const TaskDescription& task : EventLoop::Running().DescribeTasks()) {
      if (task.name != "waiter") continue;
      seen = true;
      EXPECT_EQ(task.waiting_for, "mutex");
      EXPECT_EQ(task.waiting_object, &mutex);
      EXPECT_EQ(task.holder_task, CurrentTask().id());
    }
    EXPECT_TRUE(seen);
    lock.Unlock();
    co_await waiter;
  };
  RunScripted(main());
}

TEST(Mutex, ThatIsLockedTwiceByATaskIsAnErrorAndAFinding) {
  const KeptFindings findings;
  Mutex mutex;
  const auto main = [&]() -> Task<> {
    const MutexLock lock = co_await mutex.Lock();
    const MutexLock again = co_await mutex.Lock();
  };
  EXPECT_THROW(RunScripted(main()), UsageError);
  ASSERT_THAT(findings.rules(), ElementsAre("locks-twice"));
  EXPECT_THAT(findings.all()[0].message, HasSubstr("mutex_test.cc"));
}

TEST(Mutex, ThatIsUnlockedByAnotherTaskIsAnErrorAndAFinding) {
  const KeptFindings findings;
  Mutex mutex;
  const auto main = [&]() -> Task<> {
    MutexLock lock = co_await mutex.Lock();
    const auto unlocks = [&]() -> Task<> {
      EXPECT_THROW(lock.Unlock(), UsageError);
      co_return;
    };
    co_await Spawn(unlocks());
    EXPECT_TRUE(mutex.is_held_here());
    lock.Unlock();
    EXPECT_THROW(lock.Unlock(), UsageError);
  };
  RunScripted(main());
  EXPECT_THAT(findings.rules(), ElementsAre("not-the-holder"));
}

TEST(Mutex, ALockThatIsDroppedByAnotherTaskIsAFinding) {
  const KeptFindings findings;
  Mutex mutex;
  const auto main = [&]() -> Task<> {
    MutexLock lock = co_await mutex.Lock();
    const auto drops = [&]() -> Task<> {
      const MutexLock taken = std::move(lock);
      co_return;
    };
    co_await Spawn(drops());
    EXPECT_FALSE(mutex.is_locked());
  };
  RunScripted(main());
  EXPECT_THAT(findings.rules(), ElementsAre("not-the-holder"));
}

TEST(Mutex, OfAnotherLoopIsAnErrorAndAFinding) {
  const KeptFindings findings;
  ScriptedLoop first;
  ScriptedLoop second;
  Mutex mutex;
  const auto locks = [&]() -> Task<> { const MutexLock lock = co_await mutex.Lock(); };
  first.Run(locks());
  EXPECT_THROW(second.Run(locks()), UsageError);
  EXPECT_THAT(findings.rules(), ElementsAre("other-loop"));
}

TEST(Mutex, OfALoopThatIsClosedIsFreeForTheNext) {
  const KeptFindings findings;
  Mutex mutex;
  const auto locks = [&]() -> Task<> { const MutexLock lock = co_await mutex.Lock(); };
  RunScripted(locks());
  RunScripted(locks());
  EXPECT_THAT(findings.rules(), IsEmpty());
}

TEST(Mutex, OnAnotherThreadIsAnErrorAndAFinding) {
  const KeptFindings findings;
  const auto main = []() -> Task<> {
    Mutex mutex;
    std::thread([&] { EXPECT_THROW((void)mutex.TryLock(), UsageError); }).join();
    MutexLock lock = co_await mutex.Lock();
    std::thread([&] { EXPECT_THROW(lock.Unlock(), UsageError); }).join();
    EXPECT_TRUE(mutex.is_held_here());
  };
  RunScripted(main());
  EXPECT_THAT(findings.rules(), ElementsAre("wrong-thread", "wrong-thread"));
}

TEST(Mutex, ALockThatIsDroppedOnAnotherThreadIsAFindingAndStaysLocked) {
  const KeptFindings findings;
  const auto main = []() -> Task<> {
    Mutex mutex;
    MutexLock lock = co_await mutex.Lock();
    std::thread([&] { const MutexLock taken = std::move(lock); }).join();
    EXPECT_TRUE(mutex.is_held_here());
  };
  RunScripted(main());
  EXPECT_THAT(findings.rules(), ElementsAre("wrong-thread"));
}

TEST(Mutex, IsFreeAfterItsLoopWasClosedUnderHolderAndWaiters) {
  const KeptFindings findings;
  Mutex mutex;
  std::vector<std::string> order;
  {
    ScriptedLoop scripted;
    const auto main = [&]() -> Task<> {
      MutexLock lock = co_await mutex.Lock();
      Spawn(LockAndNote(mutex, "woken", order));
      Spawn(LockAndNote(mutex, "waiting", order));
      co_await Yield();
      lock.Unlock();
    };
    // Unlike Run(), this leaves one task woken and one waiting.
    scripted.loop().RunUntilComplete(main());
    EXPECT_TRUE(mutex.is_locked());
  }
  EXPECT_FALSE(mutex.is_locked());
  EXPECT_THAT(order, IsEmpty());
}

TEST(Mutex, MayBeDestroyedBeforeTheTasksThatWaitForIt) {
  const KeptFindings findings;
  ScriptedLoop scripted;
  std::vector<std::string> order;
  auto mutex = std::make_unique<Mutex>();
  const auto main = [&]() -> Task<> {
    MutexLock lock = co_await mutex->Lock();
    Spawn(LockAndNote(*mutex, "woken", order));
    Spawn(LockAndNote(*mutex, "waiting", order));
    co_await Yield();
    lock.Unlock();
  };
  scripted.loop().RunUntilComplete(main());
  mutex.reset();
  scripted.loop().Close();
  EXPECT_THAT(order, IsEmpty());
}

// Several tasks lock, hold and unlock, some of them are cancelled: there is one
// holder at a time, nobody overtakes, and nobody waits for ever.
class MutexUnderRandomUse : public ::testing::TestWithParam<uint32_t> {};

TEST_P(MutexUnderRandomUse, IsHeldByOneTaskAtATimeInTheOrderOfTheCalls) {
  std::mt19937 random(GetParam());
  Mutex mutex;
  int inside = 0;
  uint64_t next_ticket = 0;
  uint64_t last_served = 0;
  uint64_t served = 0;
  const auto user = [&]() -> Task<> {
    for (int round = 0; round < 20; ++round) {
      const uint64_t ticket = ++next_ticket;
      MutexLock lock = co_await mutex.Lock();
      EXPECT_EQ(++inside, 1);
      EXPECT_GT(ticket, last_served);
      last_served = ticket;
      ++served;
      const auto steps = random() % 3;
      try {
        for (uint32_t i = 0; i < steps; ++i) co_await Yield();
      } catch (const CancelledError&) {
        --inside;
        throw;
      }
      --inside;
      lock.Unlock();
      if (random() % 2 == 0) co_await Yield();
    }
  };
  const auto main = [&]() -> Task<> {
    std::vector<TaskHandle<>> users;
    for (int i = 0; i < 10; ++i) users.push_back(Spawn(user()));
    for (int i = 0; i < 100; ++i) {
      co_await Yield();
      if (random() % 20 == 0) users[random() % users.size()].Cancel();
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
  EXPECT_FALSE(mutex.is_locked());
  EXPECT_GE(served, 20);
}

INSTANTIATE_TEST_SUITE_P(Seeds, MutexUnderRandomUse, ::testing::Range(1u, 41u));

}  // namespace
}  // namespace loopsan::testing
