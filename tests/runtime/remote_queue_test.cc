#include "runtime/internal/remote_queue.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <vector>

namespace loopsan::internal {
namespace {

using ::testing::ElementsAre;

struct CountingWaker final : Waker {
  void Wake() noexcept override { ++wakes; }
  int wakes = 0;
};

class RemoteQueueTest : public ::testing::Test {
 protected:
  // One sleep of the loop. Returns whether it looked for an item before.
  bool Sleep(ReadyItem* item_meanwhile) {
    const bool looked = queue_.LookForItem();
    EXPECT_TRUE(queue_.PrepareToSleep());
    if (item_meanwhile != nullptr) queue_.Push(item_meanwhile);
    queue_.Awake();
    queue_.MoveTo(ready_);
    while (!ready_.empty()) ready_.Pop();
    return looked;
  }

  const std::shared_ptr<CountingWaker> waker_ = std::make_shared<CountingWaker>();
  RemoteQueue queue_{waker_};
  ReadyQueue ready_;
  ReadyItem item_;
};

TEST_F(RemoteQueueTest, WakesALoopThatSleepsAndOnlyOnce) {
  ReadyItem second;
  queue_.Push(&item_);
  EXPECT_EQ(waker_->wakes, 0);
  queue_.MoveTo(ready_);
  ASSERT_TRUE(queue_.PrepareToSleep());
  queue_.Push(&item_);
  queue_.Push(&second);
  EXPECT_EQ(waker_->wakes, 1);
}

TEST_F(RemoteQueueTest, DoesNotLetALoopSleepThatHasAnItem) {
  queue_.Push(&item_);
  EXPECT_FALSE(queue_.PrepareToSleep());
}

TEST_F(RemoteQueueTest, LooksForNothingWhereNoItemEndedTheLastSleep) {
  EXPECT_FALSE(Sleep(nullptr));
  EXPECT_FALSE(Sleep(&item_));
  EXPECT_TRUE(Sleep(nullptr));
  EXPECT_FALSE(Sleep(nullptr));
}

TEST_F(RemoteQueueTest, LooksMoreSeldomEachTimeInVain) {
  Sleep(&item_);
  std::vector<int> looked_at;
  for (int i = 0; i < 12; ++i) {
    if (Sleep(&item_)) looked_at.push_back(i);
  }
  EXPECT_THAT(looked_at, ElementsAre(0, 2, 6));  // the next: 14
}

TEST_F(RemoteQueueTest, LooksEachTimeAgainOnceItFoundAnItem) {
  for (int i = 0; i < 8; ++i) Sleep(&item_);
  ASSERT_FALSE(Sleep(&item_)) << "it looked in vain and skips a few now";
  queue_.Push(&item_);
  queue_.Awake();
  int skipped = 0;
  while (!queue_.LookForItem()) ASSERT_LT(++skipped, 8);
  EXPECT_TRUE(queue_.LookForItem());
  EXPECT_TRUE(queue_.LookForItem());
}

}  // namespace
}  // namespace loopsan::internal
