// Lists whose links lie in their elements: nothing is allocated, an element
// leaves in constant time, and one that is destroyed has left.
#pragma once

#include <cstddef>

namespace loopsan::internal {

class ListNode {
 public:
  ListNode() = default;
  ListNode(const ListNode&) = delete;
  ListNode& operator=(const ListNode&) = delete;
  ~ListNode() { Unlink(); }

  bool is_linked() const noexcept { return next_ != nullptr; }

  void Unlink() noexcept {
    if (next_ != nullptr) {
      previous_->next_ = next_;
      next_->previous_ = previous_;
      next_ = previous_ = nullptr;
    }
  }

 private:
  template <typename T>
  friend class List;
  ListNode* next_ = nullptr;
  ListNode* previous_ = nullptr;
};

// First in, first out. T derives from ListNode. A list that is destroyed lets
// its elements go.
template <typename T>
class List {
 public:
  List() noexcept { end_.next_ = end_.previous_ = &end_; }
  List(const List&) = delete;
  List& operator=(const List&) = delete;
  ~List() {
    while (!empty()) end_.next_->Unlink();
    end_.next_ = end_.previous_ = nullptr;
  }

  bool empty() const noexcept { return end_.next_ == &end_; }
  T* front() const noexcept { return empty() ? nullptr : static_cast<T*>(end_.next_); }
  // The element behind `element`, or null.
  T* After(T* element) const noexcept {
    ListNode* const next = static_cast<ListNode*>(element)->next_;
    return next == &end_ ? nullptr : static_cast<T*>(next);
  }

  void PushBack(T* element) noexcept {
    ListNode* const node = element;
    node->previous_ = end_.previous_;
    node->next_ = &end_;
    end_.previous_->next_ = node;
    end_.previous_ = node;
  }

  T* PopFront() noexcept {
    T* const first = front();
    if (first != nullptr) static_cast<ListNode*>(first)->Unlink();
    return first;
  }

  size_t CountSlowly() const noexcept {
    size_t count = 0;
    for (const ListNode* node = end_.next_; node != &end_; node = node->next_) ++count;
    return count;
  }

 private:
  ListNode end_;
};

}  // namespace loopsan::internal
