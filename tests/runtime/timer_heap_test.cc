#include "runtime/internal/timer_heap.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <map>
#include <random>
#include <vector>

namespace loopsan::internal {
namespace {

using Time = std::chrono::steady_clock::time_point;

Time At(int seconds) { return Time(std::chrono::seconds(seconds)); }

TEST(TimerHeap, GivesTheEarliestFirst) {
  TimerHeap heap;
  TimerNode late{.deadline = At(2)};
  TimerNode early{.deadline = At(1)};
  heap.Add(&late);
  heap.Add(&early);
  EXPECT_EQ(heap.first(), &early);
  heap.Remove(&early);
  EXPECT_FALSE(early.is_set());
  EXPECT_EQ(heap.first(), &late);
  heap.Remove(&late);
  EXPECT_TRUE(heap.empty());
}

TEST(TimerHeap, KeepsTheOrderOfEqualDeadlines) {
  TimerHeap heap;
  std::vector<TimerNode> nodes(50, TimerNode{.deadline = At(1)});
  for (TimerNode& node : nodes) heap.Add(&node);
  for (TimerNode& node : nodes) {
    ASSERT_EQ(heap.first(), &node);
    heap.Remove(&node);
  }
}

TEST(TimerHeap, ANodeThatIsSetAgainGoesBehindItsEquals) {
  TimerHeap heap;
  TimerNode first{.deadline = At(1)};
  TimerNode second{.deadline = At(1)};
  heap.Add(&first);
  heap.Add(&second);
  heap.Remove(&first);
  heap.Add(&first);
  EXPECT_EQ(heap.first(), &second);
}

// The model: a multimap keeps equal keys in the order in which they came.
class TimerHeapUnderRandomUse : public ::testing::TestWithParam<uint32_t> {};

TEST_P(TimerHeapUnderRandomUse, IsWhatAMultimapIs) {
  std::mt19937 random(GetParam());
  TimerHeap heap;
  std::multimap<Time, TimerNode*> model;
  std::vector<TimerNode> nodes(200);
  for (int i = 0; i < 5000; ++i) {
    TimerNode& node = nodes[random() % nodes.size()];
    const bool pops = random() % 4 == 0 && !model.empty();
    TimerNode* const removed = pops ? heap.first() : &node;
    if (removed->is_set()) {
      heap.Remove(removed);
      const auto [begin, end] = model.equal_range(removed->deadline);
      auto found = begin;
      while (found != end && found->second != removed) ++found;
      ASSERT_NE(found, end);
      model.erase(found);
    } else {
      node.deadline = At(static_cast<int>(random() % 40));
      heap.Add(&node);
      model.emplace(node.deadline, &node);
    }
    ASSERT_EQ(heap.size(), model.size());
    ASSERT_EQ(heap.empty(), model.empty());
    if (!model.empty()) {
      ASSERT_EQ(heap.first(), model.begin()->second) << "after operation " << i;
    }
  }
  for (const auto& [deadline, node] : model) {
    ASSERT_EQ(heap.first(), node);
    heap.Remove(node);
  }
  EXPECT_TRUE(heap.empty());
}

INSTANTIATE_TEST_SUITE_P(Seeds, TimerHeapUnderRandomUse, ::testing::Range(1u, 21u));

}  // namespace
}  // namespace loopsan::internal
