// Timers in the order of their deadlines; equal deadlines in the order in which
// they were added. A binary heap of pointers; each node knows its place, so that
// removing one costs O(log n) and leaves nothing behind.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace loopsan::internal {

struct TimerNode {
  std::chrono::steady_clock::time_point deadline{};
  uint64_t order = 0;
  size_t index = kNotInHeap;
  void (*fire)(TimerNode*) = nullptr;

  static constexpr size_t kNotInHeap = ~size_t{0};
  bool is_set() const noexcept { return index != kNotInHeap; }
};

class TimerHeap {
 public:
  bool empty() const noexcept { return nodes_.empty(); }
  size_t size() const noexcept { return nodes_.size(); }
  TimerNode* first() const noexcept { return nodes_.front(); }

  // REQUIRES: the node is not set; its deadline is.
  void Add(TimerNode* node);
  // REQUIRES: the node is in this heap.
  void Remove(TimerNode* node) noexcept;

 private:
  static bool Before(const TimerNode& a, const TimerNode& b) noexcept {
    return a.deadline != b.deadline ? a.deadline < b.deadline : a.order < b.order;
  }
  void Put(size_t index, TimerNode* node) noexcept {
    nodes_[index] = node;
    node->index = index;
  }
  void SiftUp(size_t index, TimerNode* node) noexcept;
  void SiftDown(size_t index, TimerNode* node) noexcept;

  std::vector<TimerNode*> nodes_;
  uint64_t next_order_ = 0;
};

}  // namespace loopsan::internal
