#include "runtime/queue.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "runtime/errors.h"
#include "runtime/sleep.h"
#include "tests/runtime/run_loop.h"

namespace loopsan::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Optional;

Task<> GetAndNote(Queue<int>& queue, std::string name, std::vector<std::string>& order) {
  const int item = co_await queue.Get();
  order.push_back(name + std::to_string(item));
}

Task<> PutAndNote(Queue<int>& queue, int item, std::vector<std::string>& order) {
  co_await queue.Put(item);
  order.push_back("put " + std::to_string(item));
}

TEST(Queue, GivesTheOldestItemFirst) {
  const auto main = []() -> Task<> {
    Queue<int> queue;
    co_await queue.Put(1);
    co_await queue.Put(2);
    EXPECT_EQ(queue.size(), 2u);
    EXPECT_EQ(co_await queue.Get(), 1);
    EXPECT_EQ(co_await queue.Get(), 2);
    EXPECT_TRUE(queue.empty());
  };
  RunScripted(main());
}

TEST(LifoQueue, GivesTheNewestItemFirst) {
  const auto main = []() -> Task<> {
    LifoQueue<int> queue;
    co_await queue.Put(1);
    co_await queue.Put(2);
    EXPECT_EQ(co_await queue.Get(), 2);
    EXPECT_EQ(co_await queue.Get(), 1);
  };
  RunScripted(main());
}

TEST(PriorityQueue, GivesTheLeastItemFirst) {
  const auto main = []() -> Task<> {
    PriorityQueue<int> queue;
    for (const int item : {3, 1, 2}) co_await queue.Put(item);
    EXPECT_EQ(co_await queue.Get(), 1);
    EXPECT_EQ(co_await queue.Get(), 2);
    EXPECT_EQ(co_await queue.Get(), 3);
  };
  RunScripted(main());
}

TEST(PriorityQueue, GoesByTheGivenOrder) {
  const auto main = []() -> Task<> {
    PriorityQueue<int, std::greater<int>> queue;
    for (const int item : {3, 1, 2}) co_await queue.Put(item);
    EXPECT_EQ(co_await queue.Get(), 3);
  };
  RunScripted(main());
}

TEST(Queue, CarriesMoveOnlyItems) {
  const auto main = []() -> Task<> {
    Queue<std::unique_ptr<int>> queue(1);
    auto item = std::make_unique<int>(5);
    co_await queue.Put(std::move(item));
    auto second = std::make_unique<int>(6);
    EXPECT_FALSE(queue.TryPut(std::move(second)));
    EXPECT_NE(second, nullptr);  // NOLINT(bugprone-use-after-move): that is the point
    const std::unique_ptr<int> got = co_await queue.Get();
    EXPECT_EQ(*got, 5);
    EXPECT_TRUE(queue.TryPut(std::move(second)));
    EXPECT_EQ(second, nullptr);  // NOLINT(bugprone-use-after-move): that is the point
  };
  RunScripted(main());
}

TEST(Queue, ThatIsFullMakesPutWait) {
  Queue<int> queue(1);
  std::vector<std::string> order;
  const auto main = [&]() -> Task<> {
    co_await queue.Put(1);
    EXPECT_TRUE(queue.full());
    const TaskHandle<> second = Spawn(PutAndNote(queue, 2, order));
    const TaskHandle<> third = Spawn(PutAndNote(queue, 3, order));
    co_await Yield();
    EXPECT_THAT(order, IsEmpty());
    EXPECT_EQ(co_await queue.Get(), 1);
    EXPECT_FALSE(queue.TryPut(9));  // the place is the waiter's
    co_await second;
    EXPECT_FALSE(third.done());
    EXPECT_EQ(co_await queue.Get(), 2);
    co_await third;
    EXPECT_EQ(co_await queue.Get(), 3);
  };
  RunScripted(main());
  EXPECT_THAT(order, ElementsAre("put 2", "put 3"));
}

TEST(Queue, ThatIsEmptyMakesGetWait) {
  Queue<int> queue;
  std::vector<std::string> order;
  const auto main = [&]() -> Task<> {
    const TaskHandle<> a = Spawn(GetAndNote(queue, "a", order));
    const TaskHandle<> b = Spawn(GetAndNote(queue, "b", order));
    co_await Yield();
    EXPECT_TRUE(queue.TryPut(1));
    EXPECT_EQ(queue.TryGet(), std::nullopt);  // the item is the waiter's
    EXPECT_EQ(queue.size(), 1u);
    co_await a;
    EXPECT_FALSE(b.done());
    EXPECT_TRUE(queue.TryPut(2));
    co_await b;
  };
  RunScripted(main());
  EXPECT_THAT(order, ElementsAre("a1", "b2"));
}

TEST(Queue, TryGetTakesWhatIsNotPromised) {
  Queue<int> queue;
  EXPECT_EQ(queue.TryGet(), std::nullopt);
  EXPECT_TRUE(queue.TryPut(1));
  EXPECT_THAT(queue.TryGet(), Optional(1));
}

TEST(Queue, NoItemIsLostWhenAGetIsCancelledWhileItWaits) {
  Queue<int> queue;
  std::vector<std::string> order;
  const auto main = [&]() -> Task<> {
    TaskHandle<> a = Spawn(GetAndNote(queue, "a", order));
    const TaskHandle<> b = Spawn(GetAndNote(queue, "b", order));
    co_await Yield();
    a.Cancel();
    co_await queue.Put(1);
    co_await b;
  };
  RunScripted(main());
  EXPECT_THAT(order, ElementsAre("b1"));
}

TEST(Queue, NoItemIsLostWhenAGetIsCancelledAfterItWasWoken) {
  Queue<int> queue;
  std::vector<std::string> order;
  const auto main = [&]() -> Task<> {
    TaskHandle<> a = Spawn(GetAndNote(queue, "a", order));
    const TaskHandle<> b = Spawn(GetAndNote(queue, "b", order));
    co_await Yield();
    co_await queue.Put(1);
    a.Cancel();
    co_await b;
    EXPECT_TRUE(a.cancelled());
    TaskHandle<> c = Spawn(GetAndNote(queue, "c", order));
    co_await Yield();
    co_await queue.Put(2);
    c.Cancel();
    co_await Yield();
    EXPECT_THAT(queue.TryGet(), Optional(2));
  };
  RunScripted(main());
  EXPECT_THAT(order, ElementsAre("b1"));
}

TEST(Queue, ACancelledPutPutsNothingAndPassesItsPlaceOn) {
  Queue<int> queue(1);
  std::vector<std::string> order;
  const auto main = [&]() -> Task<> {
    co_await queue.Put(1);
    TaskHandle<> waiting = Spawn(PutAndNote(queue, 2, order));
    TaskHandle<> woken = Spawn(PutAndNote(queue, 3, order));
    const TaskHandle<> last = Spawn(PutAndNote(queue, 4, order));
    co_await Yield();
    waiting.Cancel();
    co_await Yield();
    EXPECT_EQ(co_await queue.Get(), 1);
    woken.Cancel();
    co_await last;
    EXPECT_THAT(queue.TryGet(), Optional(4));
    EXPECT_TRUE(queue.empty());
  };
  RunScripted(main());
  EXPECT_THAT(order, ElementsAre("put 4"));
}

TEST(Queue, JoinWaitsUntilEachItemIsDone) {
  Queue<int> queue;
  std::vector<std::string> order;
  const auto joins = [&]() -> Task<> {
    co_await queue.Join();
    order.push_back("joined");
  };
  const auto main = [&]() -> Task<> {
    co_await queue.Join();  // nothing was put
    co_await queue.Put(1);
    co_await queue.Put(2);
    const TaskHandle<> joined = Spawn(joins());
    (void)co_await queue.Get();
    (void)co_await queue.Get();
    co_await Yield();
    queue.TaskDone();
    co_await Yield();
    order.push_back("last");
    queue.TaskDone();
    co_await joined;
    EXPECT_THROW(queue.TaskDone(), UsageError);
  };
  RunScripted(main());
  EXPECT_THAT(order, ElementsAre("last", "joined"));
}

TEST(Queue, ACancelledJoinStopsWaiting) {
  Queue<int> queue;
  const auto joins = [&]() -> Task<> { co_await queue.Join(); };
  const auto main = [&]() -> Task<> {
    co_await queue.Put(1);
    TaskHandle<> waiting = Spawn(joins());
    TaskHandle<> woken = Spawn(joins());
    co_await Yield();
    waiting.Cancel();
    co_await Yield();
    EXPECT_TRUE(waiting.cancelled());
    queue.TaskDone();
    woken.Cancel();
    co_await Yield();
    EXPECT_TRUE(woken.cancelled());
  };
  RunScripted(main());
}

TEST(Queue, ThatIsClosedTakesNothingAndGivesWhatItHas) {
  const auto main = []() -> Task<> {
    Queue<int> queue;
    co_await queue.Put(1);
    co_await queue.Put(2);
    queue.Close();
    EXPECT_TRUE(queue.is_closed());
    EXPECT_THROW(co_await queue.Put(3), QueueShutDown);
    EXPECT_THROW(queue.TryPut(3), QueueShutDown);
    EXPECT_EQ(co_await queue.Get(), 1);
    EXPECT_THAT(queue.TryGet(), Optional(2));
    EXPECT_THROW((void)co_await queue.Get(), QueueShutDown);
    EXPECT_THROW((void)queue.TryGet(), QueueShutDown);
  };
  RunScripted(main());
}

TEST(Queue, CloseEndsWhoWaitsForAnItem) {
  Queue<int> queue;
  std::vector<std::string> order;
  const auto main = [&]() -> Task<> {
    const TaskHandle<> promised = Spawn(GetAndNote(queue, "promised", order));
    const TaskHandle<> waiting = Spawn(GetAndNote(queue, "waiting", order));
    co_await Yield();
    co_await queue.Put(1);
    queue.Close();
    co_await promised;
    EXPECT_THROW(co_await waiting, QueueShutDown);
  };
  RunScripted(main());
  EXPECT_THAT(order, ElementsAre("promised1"));
}

TEST(Queue, AnItemThatIsGivenBackAfterCloseGoesToWhoStillWaits) {
  Queue<int> queue;
  std::vector<std::string> order;
  const auto main = [&]() -> Task<> {
    TaskHandle<> promised = Spawn(GetAndNote(queue, "promised", order));
    const TaskHandle<> waiting = Spawn(GetAndNote(queue, "waiting", order));
    co_await Yield();
    co_await queue.Put(1);
    queue.Close();
    promised.Cancel();
    co_await waiting;
  };
  RunScripted(main());
  EXPECT_THAT(order, ElementsAre("waiting1"));
}

TEST(Queue, CloseEndsWhoComesWhileTheLastItemsAreOnTheirWay) {
  Queue<int> queue;
  std::vector<std::string> order;
  const auto consumer = [&](std::string name) -> Task<> {
    try {
      for (;;) {
        const int item = co_await queue.Get();
        order.push_back(name + std::to_string(item));
      }
    } catch (const QueueShutDown&) {
      order.push_back(name + " ends");
    }
  };
  const auto main = [&]() -> Task<> {
    const TaskHandle<> a = Spawn(consumer("a"));
    const TaskHandle<> b = Spawn(consumer("b"));
    co_await Yield();
    co_await queue.Put(1);
    co_await queue.Put(2);
    queue.Close();
    co_await a;
    co_await b;
  };
  RunScripted(main());
  EXPECT_THAT(order, ElementsAre("a1", "b2", "b ends", "a ends"));
}

TEST(Queue, CloseEndsWhoWaitsForAPlaceAlsoIfItWasPromised) {
  Queue<int> queue(1);
  std::vector<std::string> order;
  const auto main = [&]() -> Task<> {
    co_await queue.Put(1);
    const TaskHandle<> promised = Spawn(PutAndNote(queue, 2, order));
    const TaskHandle<> waiting = Spawn(PutAndNote(queue, 3, order));
    co_await Yield();
    EXPECT_EQ(co_await queue.Get(), 1);
    queue.Close();
    EXPECT_THROW(co_await promised, QueueShutDown);
    EXPECT_THROW(co_await waiting, QueueShutDown);
    EXPECT_TRUE(queue.empty());
  };
  RunScripted(main());
  EXPECT_THAT(order, IsEmpty());
}

TEST(Queue, CloseNowThrowsTheItemsAwayAndCountsThemAsDone) {
  Queue<int> queue;
  std::vector<std::string> order;
  const auto joins = [&]() -> Task<> { co_await queue.Join(); };
  const auto main = [&]() -> Task<> {
    const TaskHandle<> promised = Spawn(GetAndNote(queue, "promised", order));
    co_await Yield();
    co_await queue.Put(1);
    co_await queue.Put(2);
    const TaskHandle<> joined = Spawn(joins());
    queue.CloseNow();
    EXPECT_TRUE(queue.empty());
    EXPECT_THROW(co_await promised, QueueShutDown);
    co_await joined;
    EXPECT_THROW((void)co_await queue.Get(), QueueShutDown);
  };
  RunScripted(main());
  EXPECT_THAT(order, IsEmpty());
}

TEST(Queue, OfAnotherLoopIsAnErrorAndAFinding) {
  const KeptFindings findings;
  ScriptedLoop first;
  ScriptedLoop second;
  Queue<int> queue;
  const auto puts = [&]() -> Task<> { co_await queue.Put(1); };
  const auto gets = [&]() -> Task<> { (void)co_await queue.Get(); };
  first.Run(puts());
  EXPECT_THROW(second.Run(puts()), UsageError);
  EXPECT_THROW(second.Run(gets()), UsageError);
  EXPECT_THAT(findings.rules(), ElementsAre("other-loop", "other-loop"));
}

// Nobody waits in it: asyncio lets all of these pass.
TEST(Queue, OnAnotherThreadIsAnErrorAndAFinding) {
  const KeptFindings findings;
  const auto main = []() -> Task<> {
    Queue<int> queue;
    std::thread([&] { EXPECT_THROW(queue.TryPut(1), UsageError); }).join();
    std::thread([&] { EXPECT_THROW((void)queue.TryGet(), UsageError); }).join();
    std::thread([&] { EXPECT_THROW(queue.TaskDone(), UsageError); }).join();
    std::thread([&] { EXPECT_THROW(queue.Close(), UsageError); }).join();
    EXPECT_TRUE(queue.empty());
    co_return;
  };
  RunScripted(main());
  EXPECT_THAT(findings.rules(),
              ElementsAre("wrong-thread", "wrong-thread", "wrong-thread", "wrong-thread"));
}

TEST(Queue, IsFilledBeforeAndReadAfterTheLoop) {
  const KeptFindings findings;
  Queue<int> queue;
  EXPECT_TRUE(queue.TryPut(1));
  const auto main = [&]() -> Task<> {
    const int item = co_await queue.Get();
    co_await queue.Put(item + 1);
  };
  RunScripted(main());
  EXPECT_THAT(queue.TryGet(), Optional(2));
  EXPECT_THAT(findings.rules(), IsEmpty());
}

TEST(Queue, HasItsItemsAfterItsLoopWasClosedUnderWhoWaits) {
  const KeptFindings findings;
  Queue<int> queue(1);
  std::vector<std::string> order;
  {
    ScriptedLoop scripted;
    const auto main = [&]() -> Task<> {
      Spawn(GetAndNote(queue, "woken", order));
      Spawn(GetAndNote(queue, "waiting", order));
      co_await Yield();
      co_await queue.Put(1);
    };
    scripted.loop().RunUntilComplete(main());
    EXPECT_EQ(queue.TryGet(), std::nullopt);
  }
  EXPECT_THAT(queue.TryGet(), Optional(1));
  EXPECT_TRUE(queue.TryPut(2));
}

TEST(Queue, MayBeDestroyedBeforeTheTasksThatWaitForIt) {
  const KeptFindings findings;
  ScriptedLoop scripted;
  std::vector<std::string> order;
  auto queue = std::make_unique<Queue<int>>();
  const auto main = [&]() -> Task<> {
    Spawn(GetAndNote(*queue, "woken", order));
    Spawn(GetAndNote(*queue, "waiting", order));
    co_await Yield();
    co_await queue->Put(1);
  };
  scripted.loop().RunUntilComplete(main());
  queue.reset();
  scripted.loop().Close();
  EXPECT_THAT(order, IsEmpty());
}

// Producers and consumers, some of them cancelled: every item that was put is got
// once, in order, the bound holds, and nobody waits for ever.
class QueueUnderRandomUse : public ::testing::TestWithParam<uint32_t> {};

TEST_P(QueueUnderRandomUse, LosesAndDoublesNothing) {
  std::mt19937 random(GetParam());
  const size_t bound = random() % 4;  // 0: none
  Queue<int> queue(bound);
  std::vector<int> put;
  std::vector<int> got;
  int next = 0;
  const auto produces = [&]() -> Task<> {
    for (int i = 0; i < 25; ++i) {
      const int item = next++;
      if (random() % 4 == 0) {
        if (queue.TryPut(item)) put.push_back(item);
      } else {
        co_await queue.Put(item);
        put.push_back(item);
      }
      if (random() % 3 == 0) co_await Yield();
      if (bound != 0) {
        EXPECT_LE(queue.size(), bound);
      }
    }
  };
  const auto consumes = [&]() -> Task<> {
    for (;;) {
      try {
        if (random() % 4 == 0) {
          if (const std::optional<int> item = queue.TryGet()) {
            got.push_back(*item);
            queue.TaskDone();
          }
          co_await Yield();
        } else {
          const int item = co_await queue.Get();
          got.push_back(item);
          queue.TaskDone();
        }
      } catch (const QueueShutDown&) {
        co_return;
      }
    }
  };
  const auto main = [&]() -> Task<> {
    std::vector<TaskHandle<>> producers;
    std::vector<TaskHandle<>> consumers;
    for (int i = 0; i < 5; ++i) producers.push_back(Spawn(produces()));
    for (int i = 0; i < 6; ++i) consumers.push_back(Spawn(consumes()));
    for (int i = 0; i < 40; ++i) {
      co_await Yield();
      // One consumer stays, so that the producers come to an end.
      if (random() % 10 == 0) consumers[1 + random() % 5].Cancel();
      if (random() % 20 == 0) producers[random() % producers.size()].Cancel();
    }
    for (const TaskHandle<>& producer : producers) {
      try {
        co_await producer;
      } catch (const CancelledError&) {
        EXPECT_TRUE(producer.cancelled());
      }
    }
    co_await queue.Join();
    queue.Close();
    for (const TaskHandle<>& consumer : consumers) {
      try {
        co_await consumer;
      } catch (const CancelledError&) {
        EXPECT_TRUE(consumer.cancelled());
      }
    }
  };
  RunScripted(main());
  std::sort(put.begin(), put.end());
  std::sort(got.begin(), got.end());
  EXPECT_EQ(got, put);
  EXPECT_TRUE(queue.empty());
  EXPECT_EQ(queue.unfinished(), 0u);
}

INSTANTIATE_TEST_SUITE_P(Seeds, QueueUnderRandomUse, ::testing::Range(1u, 61u));

}  // namespace
}  // namespace loopsan::testing
