// What the loop runs next: tasks and callbacks, in the order in which they
// became ready.
#pragma once

#include <cstddef>
#include <cstdint>

#include "instrument/annotate.h"

namespace loopsan::internal {

struct ReadyItem {
  ReadyItem* next_ready = nullptr;
  // Runs one step. The item may be gone when it returns.
  void (*run)(ReadyItem*) = nullptr;
};

class ReadyQueue {
 public:
  bool empty() const noexcept { return head_ == nullptr; }
  size_t size() const noexcept { return size_; }

  void Push(ReadyItem* item) noexcept {
    item->next_ready = nullptr;
    *tail_ = item;
    tail_ = &item->next_ready;
    ++size_;
  }

  ReadyItem* Pop() noexcept {
    ReadyItem* const item = head_;
    head_ = item->next_ready;
    if (head_ == nullptr) tail_ = &head_;
    --size_;
    return item;
  }

 private:
  ReadyItem* head_ = nullptr;
  ReadyItem** tail_ = &head_;
  size_t size_ = 0;
};

}  // namespace loopsan::internal
