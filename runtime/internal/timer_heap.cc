#include "runtime/internal/timer_heap.h"

namespace loopsan::internal {

void TimerHeap::Add(TimerNode* node) {
  nodes_.push_back(node);
  node->order = next_order_++;
  SiftUp(nodes_.size() - 1, node);
}

void TimerHeap::Remove(TimerNode* node) noexcept {
  const size_t index = node->index;
  TimerNode* const last = nodes_.back();
  nodes_.pop_back();
  node->index = TimerNode::kNotInHeap;
  if (last == node) return;
  if (index > 0 && Before(*last, *nodes_[(index - 1) / 2])) {
    SiftUp(index, last);
  } else {
    SiftDown(index, last);
  }
}

void TimerHeap::SiftUp(size_t index, TimerNode* node) noexcept {
  while (index > 0) {
    const size_t parent = (index - 1) / 2;
    if (!Before(*node, *nodes_[parent])) break;
    Put(index, nodes_[parent]);
    index = parent;
  }
  Put(index, node);
}

void TimerHeap::SiftDown(size_t index, TimerNode* node) noexcept {
  for (;;) {
    size_t child = 2 * index + 1;
    if (child >= nodes_.size()) break;
    if (child + 1 < nodes_.size() && Before(*nodes_[child + 1], *nodes_[child])) ++child;
    if (!Before(*nodes_[child], *node)) break;
    Put(index, nodes_[child]);
    index = child;
  }
  Put(index, node);
}

}  // namespace loopsan::internal
