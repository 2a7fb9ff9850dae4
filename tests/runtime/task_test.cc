#include "runtime/task.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <span>
#include <stdexcept>
#include <string>

#include "runtime/sleep.h"
#include "tests/runtime/run_loop.h"

namespace loopsan::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

Task<int> Leaf(int value) { co_return value; }

Task<int64_t> AwaitManyLeaves(int count) {
  int64_t sum = 0;
  for (int i = 0; i < count; ++i) sum += co_await Leaf(i);
  co_return sum;
}

Task<int> Deep(int depth) {
  if (depth == 0) co_return 0;
  const int below = co_await Deep(depth - 1);
  co_return below + 1;
}

Task<int> DeepThrow(int depth) {
  if (depth == 0) throw std::runtime_error("from the depth");
  const int below = co_await DeepThrow(depth - 1);
  co_return below;
}

TEST(Task, DoesNotRunBeforeItIsAwaited) {
  bool ran = false;
  const auto body = [&]() -> Task<> {
    ran = true;
    co_return;
  };
  const auto main = [&]() -> Task<> {
    Task<> task = body();
    EXPECT_FALSE(ran);
    co_await std::move(task);
    EXPECT_TRUE(ran);
    EXPECT_FALSE(task.valid());  // NOLINT(bugprone-use-after-move): that is the point
  };
  RunScripted(main());
}

TEST(Task, AMillionAwaitsInALoopDoNotGrowTheStack) {
  EXPECT_EQ(RunScripted(AwaitManyLeaves(1'000'000)), 499'999'500'000);
}

TEST(Task, AChainOfAMillionAwaitsDoesNotGrowTheStack) {
  EXPECT_EQ(RunScripted(Deep(1'000'000)), 1'000'000);
}

TEST(Task, AnExceptionTravelsThroughALongChain) {
  try {
    RunScripted(DeepThrow(10'000));
    FAIL() << "nothing was thrown";
  } catch (const std::runtime_error& error) {
    EXPECT_STREQ(error.what(), "from the depth");
  }
}

TEST(Task, CarriesAMoveOnlyResult) {
  const auto make = []() -> Task<std::unique_ptr<int>> { co_return std::make_unique<int>(5); };
  const auto main = [&]() -> Task<int> {
    const std::unique_ptr<int> made = co_await make();
    co_return *made;
  };
  EXPECT_EQ(RunScripted(main()), 5);
}

TEST(Task, CarriesAReference) {
  int value = 1;
  const auto refer = [&]() -> Task<int&> { co_return value; };
  const auto main = [&]() -> Task<> {
    int& found = co_await refer();
    found = 2;
  };
  RunScripted(main());
  EXPECT_EQ(value, 2);
}

TEST(Task, ThatIsAwaitedTwiceIsAnErrorAndAFinding) {
  const KeptFindings findings;
  const auto main = []() -> Task<> {
    Task<int> task = Leaf(1);
    co_await std::move(task);
    co_await std::move(task);  // NOLINT(bugprone-use-after-move): that is the point
  };
  EXPECT_THROW(RunScripted(main()), UsageError);
  EXPECT_THAT(findings.rules(), ElementsAre("awaited-twice"));
}

TEST(Task, ThatIsNeverAwaitedIsNamedWithItsDefinition) {
  const KeptFindings findings;
  const auto main = []() -> Task<> {
    {
      const Task<int> forgotten = Leaf(1);
    }
    co_return;
  };
  RunScripted(main());
  ASSERT_THAT(findings.rules(), ElementsAre("never-awaited"));
  EXPECT_THAT(findings.all()[0].message, HasSubstr("Leaf(int)"));
  EXPECT_THAT(findings.all()[0].file, HasSubstr("task_test.cc"));
  EXPECT_FALSE(findings.all()[0].stack.empty());
}

TEST(Task, ThatIsAwaitedIsNoFinding) {
  const KeptFindings findings;
  RunScripted(AwaitManyLeaves(3));
  EXPECT_THAT(findings.rules(), ElementsAre());
}

// Out of line: an optimizer would do without what it sees to be unused.
[[gnu::noinline]] void Fill(std::span<char> buffer) {
  for (char& c : buffer) c = 0;
  buffer.back() = 1;
}
[[gnu::noinline]] int Sum(std::span<const char> buffer) {
  int sum = 0;
  for (const char c : buffer) sum += c;
  return sum;
}

TEST(Task, WithAVeryLargeFrameIsReported) {
  const KeptFindings findings;
  const auto large = []() -> Task<int> {
    char buffer[100'000];
    Fill(buffer);
    co_await Yield();
    co_return Sum(buffer);
  };
  // Spawned: clang puts the frame of one that is awaited at once into its awaiter's.
  const auto main = [&]() -> Task<int> {
    const TaskHandle<int> spawned = Spawn(large());
    co_return co_await spawned;
  };
  EXPECT_EQ(RunScripted(main()), 1);
  EXPECT_THAT(findings.rules(), ElementsAre("oversized-frame"));
}

}  // namespace
}  // namespace loopsan::testing
