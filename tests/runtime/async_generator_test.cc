#include "runtime/async_generator.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <stdexcept>
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
using ::testing::Not;

// Notes that it is destroyed.
struct Noted {
  Noted(std::vector<std::string>& the_notes, std::string the_note)
      : notes(the_notes), note(std::move(the_note)) {}
  Noted(const Noted&) = delete;
  ~Noted() { notes.push_back(note); }
  std::vector<std::string>& notes;
  std::string note;
};

AsyncGenerator<int> Count(int count) {
  for (int i = 0; i < count; ++i) {
    co_await Yield();
    co_yield i;
  }
}

// Cleans up, with a wait, when it is closed.
AsyncGenerator<int> CleansUp(std::vector<std::string>& notes) {
  const Noted destroyed(notes, "destroyed");
  bool closing = false;
  try {
    for (int i = 0;; ++i) co_yield i;
  } catch (const GeneratorExit&) {
    closing = true;
  }
  if (closing) {
    co_await Yield();
    notes.push_back("cleaned up");
  }
}

TEST(AsyncGenerator, YieldsItemsAndThenNull) {
  std::vector<int> items;
  const auto main = [&]() -> Task<> {
    AsyncGenerator<int> numbers = Count(3);
    while (const int* number = co_await numbers.Next()) items.push_back(*number);
    EXPECT_TRUE(numbers.done());
    EXPECT_EQ(co_await numbers.Next(), nullptr);
  };
  RunScripted(main());
  EXPECT_THAT(items, ElementsAre(0, 1, 2));
}

TEST(AsyncGenerator, RunsNothingBeforeTheFirstNext) {
  std::vector<std::string> notes;
  const auto main = [&]() -> Task<> {
    {
      const AsyncGenerator<int> generator = CleansUp(notes);
    }
    AsyncGenerator<int> closed = CleansUp(notes);
    co_await closed.Close();
    EXPECT_TRUE(closed.done());
    EXPECT_EQ(co_await closed.Next(), nullptr);
  };
  RunScripted(main());
  EXPECT_THAT(notes, IsEmpty());
}

TEST(AsyncGenerator, YieldsMoveOnlyItemsThatTheConsumerMayTake) {
  const auto makes = []() -> AsyncGenerator<std::unique_ptr<int>> {
    for (int i = 0; i < 2; ++i) {
      auto made = std::make_unique<int>(i);
      co_yield std::move(made);
    }
  };
  const auto main = [&]() -> Task<> {
    AsyncGenerator<std::unique_ptr<int>> generator = makes();
    int expected = 0;
    while (std::unique_ptr<int>* item = co_await generator.Next()) {
      const std::unique_ptr<int> taken = std::move(*item);
      EXPECT_EQ(*taken, expected++);
    }
    EXPECT_EQ(expected, 2);
  };
  RunScripted(main());
}

TEST(AsyncGenerator, YieldsACopyOfWhatItKeeps) {
  const auto makes = []() -> AsyncGenerator<std::string> {
    const std::string mine = "a string that is too long to be kept in place";
    co_yield mine;
    co_yield mine;
  };
  const auto main = [&]() -> Task<> {
    AsyncGenerator<std::string> generator = makes();
    int count = 0;
    while (std::string* item = co_await generator.Next()) {
      const std::string taken = std::move(*item);
      EXPECT_THAT(taken, HasSubstr("too long"));
      ++count;
    }
    EXPECT_EQ(count, 2);
  };
  RunScripted(main());
}

TEST(AsyncGenerator, AnExceptionComesOutOfNextAndIsItsEnd) {
  const auto fails = []() -> AsyncGenerator<int> {
    co_yield 1;
    throw std::runtime_error("in the generator");
  };
  const auto main = [&]() -> Task<> {
    AsyncGenerator<int> generator = fails();
    EXPECT_NE(co_await generator.Next(), nullptr);
    EXPECT_THROW(co_await generator.Next(), std::runtime_error);
    EXPECT_TRUE(generator.done());
    EXPECT_EQ(co_await generator.Next(), nullptr);
  };
  RunScripted(main());
}

TEST(AsyncGenerator, CloseRunsItsCleanUpWhichMayWait) {
  std::vector<std::string> notes;
  const auto main = [&]() -> Task<> {
    AsyncGenerator<int> generator = CleansUp(notes);
    EXPECT_NE(co_await generator.Next(), nullptr);
    co_await generator.Close();
    EXPECT_TRUE(generator.done());
    EXPECT_THAT(notes, ElementsAre("cleaned up", "destroyed"));
    co_await generator.Close();
    EXPECT_EQ(co_await generator.Next(), nullptr);
  };
  RunScripted(main());
  EXPECT_THAT(notes, ElementsAre("cleaned up", "destroyed"));
}

TEST(AsyncGenerator, CloseThrowsWhatTheCleanUpThrows) {
  const auto fails = []() -> AsyncGenerator<int> {
    try {
      co_yield 1;
    } catch (const GeneratorExit&) {
      throw std::runtime_error("in the clean-up");
    }
  };
  const auto main = [&]() -> Task<> {
    AsyncGenerator<int> generator = fails();
    EXPECT_NE(co_await generator.Next(), nullptr);
    EXPECT_THROW(co_await generator.Close(), std::runtime_error);
    EXPECT_TRUE(generator.done());
  };
  RunScripted(main());
}

TEST(AsyncGenerator, ThatYieldsWhileItIsClosedIsAnError) {
  const auto stubborn = []() -> AsyncGenerator<int> {
    for (int i = 0;; ++i) {
      try {
        co_yield i;
      } catch (const GeneratorExit&) {
      }
    }
  };
  const auto main = [&]() -> Task<> {
    AsyncGenerator<int> generator = stubborn();
    EXPECT_NE(co_await generator.Next(), nullptr);
    EXPECT_THROW(co_await generator.Close(), UsageError);
  };
  RunScripted(main());
}

TEST(AsyncGenerator, ThatIsDestroyedWhileItIsOpenRunsItsDestructors) {
  std::vector<std::string> notes;
  const auto main = [&]() -> Task<> {
    {
      AsyncGenerator<int> generator = CleansUp(notes);
      EXPECT_NE(co_await generator.Next(), nullptr);
    }
    EXPECT_THAT(notes, ElementsAre("destroyed"));
  };
  RunScripted(main());
}

TEST(AsyncGenerator, ThatIsStillOpenIsClosedWithItsLoop) {
  std::vector<std::string> notes;
  std::optional<AsyncGenerator<int>> generator;
  {
    ScriptedLoop scripted;
    const auto main = [&]() -> Task<> {
      generator.emplace(CleansUp(notes));
      EXPECT_NE(co_await generator->Next(), nullptr);
    };
    scripted.Run(main());
    EXPECT_THAT(notes, IsEmpty());
  }
  EXPECT_THAT(notes, ElementsAre("cleaned up", "destroyed"));
  EXPECT_TRUE(generator->done());
}

TEST(AsyncGenerator, AnErrorWhileItIsClosedWithItsLoopGoesToTheExceptionHandler) {
  std::vector<std::string> messages;
  std::optional<AsyncGenerator<int>> generator;
  const auto fails = []() -> AsyncGenerator<int> {
    try {
      co_yield 1;
    } catch (const GeneratorExit&) {
      throw std::runtime_error("in the clean-up");
    }
  };
  {
    ScriptedLoop scripted;
    scripted.loop().SetExceptionHandler(
        [&](const ExceptionContext& context) { messages.push_back(context.message); });
    const auto main = [&]() -> Task<> {
      generator.emplace(fails());
      EXPECT_NE(co_await generator->Next(), nullptr);
    };
    scripted.Run(main());
  }
  EXPECT_THAT(messages, ElementsAre(HasSubstr("still open")));
}

TEST(AsyncGenerator, CancellationArrivesAtWhatItWaitsFor) {
  std::vector<std::string> notes;
  const auto sleeps = [&]() -> AsyncGenerator<int> {
    const Noted destroyed(notes, "destroyed");
    try {
      co_await SleepFor(std::chrono::hours(1));
    } catch (const CancelledError&) {
      notes.push_back("cancelled");
      throw;
    }
    co_yield 1;
  };
  const auto consumes = [&]() -> Task<> {
    AsyncGenerator<int> generator = sleeps();
    co_await generator.Next();
  };
  const auto main = [&]() -> Task<> {
    TaskHandle<> consumer = Spawn(consumes());
    co_await Yield();
    consumer.Cancel();
    co_await Yield();
    EXPECT_TRUE(consumer.cancelled());
  };
  RunScripted(main());
  EXPECT_THAT(notes, ElementsAre("cancelled", "destroyed"));
}

TEST(AsyncGenerator, ThatATaskIsInRefusesAnother) {
  const auto sleeps = []() -> AsyncGenerator<int> {
    co_await SleepFor(std::chrono::hours(1));
    co_yield 1;
  };
  const auto main = [&]() -> Task<> {
    AsyncGenerator<int> generator = sleeps();
    const auto consumes = [&]() -> Task<> { EXPECT_NE(co_await generator.Next(), nullptr); };
    const TaskHandle<> consumer = Spawn(consumes());
    co_await Yield();
    EXPECT_THROW(co_await generator.Next(), UsageError);
    EXPECT_THROW(co_await generator.Close(), UsageError);
    co_await consumer;
  };
  RunScripted(main());
}

AsyncGenerator<int> SleepsForAnHour() {
  co_await SleepFor(std::chrono::hours(1));
  co_yield 1;
}

Task<> ConsumesOne() {
  AsyncGenerator<int> generator = SleepsForAnHour();
  co_await generator.Next();
}

TEST(AsyncGenerator, StandsInTheStackOfWhoWaitsInIt) {
  const auto main = []() -> Task<> {
    const TaskHandle<> consumer = Spawn(ConsumesOne(), "consumer");
    co_await Yield();
    std::vector<std::string> stack;
    for (const TaskDescription& task : EventLoop::Running().DescribeTasks()) {
      if (task.name == "consumer") stack = task.stack;
    }
    EXPECT_THAT(stack, ElementsAre(HasSubstr("SleepsForAnHour"), HasSubstr("ConsumesOne")));
    co_await consumer;
  };
  RunScripted(main());
}

TEST(AsyncGenerator, DoesNotStandInTheStackOfWhoWaitsBetweenItsItems) {
  const auto consumes = []() -> Task<> {
    AsyncGenerator<int> generator = Count(2);
    co_await generator.Next();
    co_await SleepFor(std::chrono::hours(1));
  };
  const auto main = [&]() -> Task<> {
    const TaskHandle<> consumer = Spawn(consumes(), "consumer");
    for (int i = 0; i < 3; ++i) co_await Yield();
    std::vector<std::string> stack;
    for (const TaskDescription& task : EventLoop::Running().DescribeTasks()) {
      if (task.name == "consumer") stack = task.stack;
    }
    EXPECT_THAT(stack, ElementsAre(Not(HasSubstr("Count"))));
    co_await consumer;
  };
  RunScripted(main());
}

TEST(AsyncGenerator, AHundredThousandItemsWithoutAWaitDoNotGrowTheStack) {
  const auto counts = []() -> AsyncGenerator<int> {
    for (int i = 0; i < 100'000; ++i) co_yield i;
  };
  int64_t sum = 0;
  const auto main = [&]() -> Task<> {
    AsyncGenerator<int> generator = counts();
    while (const int* item = co_await generator.Next()) sum += *item;
  };
  RunScripted(main());
  EXPECT_EQ(sum, 4'999'950'000);
}

TEST(AsyncGenerator, OfAnotherLoopIsAnErrorAndAFinding) {
  const KeptFindings findings;
  ScriptedLoop first;
  ScriptedLoop second;
  AsyncGenerator<int> generator = Count(3);
  const auto next = [&]() -> Task<> { EXPECT_NE(co_await generator.Next(), nullptr); };
  first.Run(next());
  EXPECT_THROW(second.Run(next()), UsageError);
  EXPECT_THAT(findings.rules(), ElementsAre("other-loop"));
}

TEST(AsyncGenerator, OnAnotherThreadIsAnErrorAndAFinding) {
  const KeptFindings findings;
  const auto main = []() -> Task<> {
    AsyncGenerator<int> generator = Count(3);
    EXPECT_NE(co_await generator.Next(), nullptr);
    const auto next = [&]() -> Task<> { co_await generator.Next(); };
    std::thread([&] { EXPECT_THROW(RunScripted(next()), UsageError); }).join();
    co_await generator.Close();
  };
  RunScripted(main());
  EXPECT_THAT(findings.rules(), ElementsAre("other-loop"));
}

TEST(ForEach, CallsAFunctionWithEachItem) {
  std::vector<int> items;
  const auto main = [&]() -> Task<> {
    const auto note = [&](int item) { items.push_back(item); };
    co_await ForEach(Count(3), note);
  };
  RunScripted(main());
  EXPECT_THAT(items, ElementsAre(0, 1, 2));
}

TEST(ForEach, AwaitsACoroutineWithEachItem) {
  std::vector<int> items;
  const auto main = [&]() -> Task<> {
    const auto note = [&](int& item) -> Task<> {
      co_await Yield();
      items.push_back(item);
    };
    co_await ForEach(Count(3), note);
  };
  RunScripted(main());
  EXPECT_THAT(items, ElementsAre(0, 1, 2));
}

TEST(ForEach, EndsAtFalseAndClosesTheGenerator) {
  std::vector<std::string> notes;
  int count = 0;
  const auto main = [&]() -> Task<> {
    const auto until_two = [&](int item) { return ++count, item < 2; };
    co_await ForEach(CleansUp(notes), until_two);
    EXPECT_THAT(notes, ElementsAre("cleaned up", "destroyed"));
    const auto at_once = [&](int) -> Task<bool> { co_return false; };
    co_await ForEach(CleansUp(notes), at_once);
  };
  RunScripted(main());
  EXPECT_EQ(count, 3);
  EXPECT_THAT(notes, ElementsAre("cleaned up", "destroyed", "cleaned up", "destroyed"));
}

TEST(ForEach, ClosesTheGeneratorAlsoWhenTheFunctionThrows) {
  std::vector<std::string> notes;
  const auto main = [&]() -> Task<> {
    const auto fails = [](int) { throw std::runtime_error("in the function"); };
    co_await ForEach(CleansUp(notes), fails);
  };
  EXPECT_THROW(RunScripted(main()), std::runtime_error);
  EXPECT_THAT(notes, ElementsAre("cleaned up", "destroyed"));
}

TEST(ForEach, LeavesAGeneratorOpenThatItDoesNotOwn) {
  const auto main = []() -> Task<> {
    AsyncGenerator<int> generator = Count(5);
    const auto once = [](int) { return false; };
    co_await ForEach(generator, once);
    EXPECT_FALSE(generator.done());
    const int* const next = co_await generator.Next();
    EXPECT_NE(next, nullptr);
    if (next != nullptr) {
      EXPECT_EQ(*next, 1);
    }
  };
  RunScripted(main());
}

}  // namespace
}  // namespace loopsan::testing
