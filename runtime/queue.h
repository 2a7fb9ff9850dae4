// Queue<T>, PriorityQueue<T>, LifoQueue<T>: hand items from task to task.
//
//   Queue<Job> jobs(100);                       // at most 100 wait in it; 0: any number
//   co_await jobs.Put(std::move(job));
//   Job job = co_await jobs.Get();
//   ...
//   jobs.TaskDone();                            // for who waits in jobs.Join()
//
// As asyncio's, and fair: who waits longest for an item (a place) is woken first, and
// one is kept for it until it runs. So TryGet() may find nothing in a queue that is
// not empty: a task was woken for each item in it.
//
// Threads: the loop's on which it was made or first used; else UsageError (always
// on another loop, on other threads in debug mode). Lifetime: it must outlive the
// calls of its waiters. Cancellation: a cancelled Get() takes no item, a cancelled
// Put() puts none, also if the task was woken already. Errors: QueueShutDown after
// Close(). T must be movable.
#pragma once

#include <algorithm>
#include <coroutine>
#include <cstddef>
#include <deque>
#include <functional>
#include <optional>
#include <source_location>
#include <stdexcept>
#include <type_traits>
#include <utility>
#include <vector>

#include "runtime/internal/intrusive.h"
#include "runtime/internal/loop_bound.h"
#include "runtime/internal/waiter.h"

namespace loopsan {

class QueueShutDown : public std::runtime_error {
 public:
  QueueShutDown() : std::runtime_error("the queue is closed") {}
};

namespace internal {

class QueueBase;

// Waits for an item, or for a place.
class QueueWaiter : public Waiter {
 protected:
  QueueWaiter(QueueBase& queue, bool puts) noexcept : queue_(&queue), puts_(puts) {}
  ~QueueWaiter();

  bool BeginWait(std::source_location here);
  void Line() noexcept;

  // What await_resume does first. Throws CancelledError or QueueShutDown.
  void Granted();

 private:
  friend class QueueBase;
  void OnAbandoned() noexcept override;

  QueueBase* const queue_;
  const bool puts_;
  bool promised_ = false;
};

// Waits until all items are done.
class QueueJoinAwaiter final : public Waiter {
 public:
  explicit QueueJoinAwaiter(QueueBase& queue) noexcept : queue_(&queue) {}
  bool await_ready(std::source_location here = std::source_location::current());
  template <typename P>
  void await_suspend(std::coroutine_handle<P> handle);
  void await_resume() { Resumed(); }

 private:
  QueueBase* const queue_;
};

// Everything but the items.
class QueueBase {
 public:
  QueueBase(const QueueBase&) = delete;
  QueueBase& operator=(const QueueBase&) = delete;

  size_t size() const noexcept { return size_; }
  bool empty() const noexcept { return size_ == 0; }
  size_t max_size() const noexcept { return max_size_; }
  bool full() const noexcept { return max_size_ != 0 && size_ >= max_size_; }
  bool is_closed() const noexcept { return closed_; }

  // One item that was got has been dealt with. Throws UsageError if there is none.
  void TaskDone(std::source_location here = std::source_location::current());
  // Until TaskDone() was called for each item that was put.
  [[nodiscard]] QueueJoinAwaiter Join() noexcept { return QueueJoinAwaiter(*this); }
  // How many items were put and are not done.
  size_t unfinished() const noexcept { return unfinished_; }

  // Nothing can be put any more: Put() throws, also for those who wait in it. What
  // is in the queue may be got; then Get() throws.
  void Close(std::source_location here = std::source_location::current());

 protected:
  explicit QueueBase(size_t max_size) noexcept : max_size_(max_size) {}
  ~QueueBase() = default;

  void Check(const char* what, std::source_location here) { bound_.Check(what, here); }
  bool HasItem() const noexcept { return size_ > promised_items_; }
  bool HasPlace() const noexcept { return max_size_ == 0 || size_ + promised_places_ < max_size_; }
  // An item was put; the next who waits for one is told.
  void Added() noexcept;
  // An item was got; the next who waits for its place is told.
  void Removed() noexcept;
  // All were thrown away.
  void Cleared() noexcept;
  [[noreturn]] static void ThrowShutDown();

 private:
  friend class QueueWaiter;
  friend class QueueJoinAwaiter;

  void TellGetters() noexcept;
  void TellPutters() noexcept;
  void EndGetters() noexcept;
  void Promise(QueueWaiter* waiter) noexcept;
  void TakePromise(QueueWaiter* waiter) noexcept;
  void Finished(size_t count) noexcept;

  LoopBound bound_;
  // If one waits, every item (every place) is promised to somebody.
  List<QueueWaiter> getters_;
  List<QueueWaiter> putters_;
  // Who was woken, and has not run yet. Whoever is destroyed while it stands here
  // passes its promise on.
  List<QueueWaiter> woken_;
  List<Waiter> joiners_;
  const size_t max_size_;
  size_t size_ = 0;
  size_t promised_items_ = 0;
  size_t promised_places_ = 0;
  size_t unfinished_ = 0;
  bool closed_ = false;
};

template <typename P>
void QueueJoinAwaiter::await_suspend(std::coroutine_handle<P> handle) {
  queue_->joiners_.PushBack(this);
  Suspend(handle, "queue to be done", queue_);
}

// First in, first out.
template <typename T>
class FifoItems {
 public:
  using value_type = T;
  void Push(T item) { items_.push_back(std::move(item)); }
  T Pop() {
    T item = std::move(items_.front());
    items_.pop_front();
    return item;
  }
  void Clear() noexcept { items_.clear(); }

 private:
  std::deque<T> items_;
};

template <typename T>
class LifoItems {
 public:
  using value_type = T;
  void Push(T item) { items_.push_back(std::move(item)); }
  T Pop() {
    T item = std::move(items_.back());
    items_.pop_back();
    return item;
  }
  void Clear() noexcept { items_.clear(); }

 private:
  std::vector<T> items_;
};

// The least first, by Less.
template <typename T, typename Less>
class HeapItems {
 public:
  using value_type = T;
  void Push(T item) {
    items_.push_back(std::move(item));
    std::push_heap(items_.begin(), items_.end(), later_);
  }
  T Pop() {
    std::pop_heap(items_.begin(), items_.end(), later_);
    T item = std::move(items_.back());
    items_.pop_back();
    return item;
  }
  void Clear() noexcept { items_.clear(); }

 private:
  struct Later {
    bool operator()(const T& a, const T& b) const { return Less()(b, a); }
  };
  [[no_unique_address]] Later later_;
  std::vector<T> items_;
};

}  // namespace internal

// Use Queue, PriorityQueue or LifoQueue.
template <typename Items>
class BasicQueue : public internal::QueueBase {
 public:
  using value_type = typename Items::value_type;

  class GetAwaiter;
  class PutAwaiter;

  // `max_size` 0: any number of items.
  explicit BasicQueue(size_t max_size = 0) noexcept : QueueBase(max_size) {}

  // `co_await` gives the item.
  [[nodiscard]] GetAwaiter Get() noexcept { return GetAwaiter(*this); }
  // Waits for a place.
  [[nodiscard]] PutAwaiter Put(value_type item) { return PutAwaiter(*this, std::move(item)); }

  // At once, or nothing. Throws QueueShutDown if it is closed and empty.
  std::optional<value_type> TryGet(std::source_location here = std::source_location::current()) {
    Check("Queue::TryGet", here);
    if (HasItem()) return Take();
    if (is_closed() && empty()) ThrowShutDown();
    return std::nullopt;
  }
  // False if there is no place; `item` is untouched then. Throws QueueShutDown if
  // it is closed.
  template <typename U>
    requires std::is_constructible_v<value_type, U&&>
  bool TryPut(U&& item, std::source_location here = std::source_location::current()) {
    Check("Queue::TryPut", here);
    if (is_closed()) ThrowShutDown();
    if (!HasPlace()) return false;
    Add(value_type(std::forward<U>(item)));
    return true;
  }

  // Close(), and throws away what is in it; those items count as done.
  void CloseNow(std::source_location here = std::source_location::current()) {
    Close(here);
    items_.Clear();
    Cleared();
  }

 private:
  value_type Take() {
    value_type item = items_.Pop();
    Removed();
    return item;
  }
  void Add(value_type item) {
    items_.Push(std::move(item));
    Added();
  }

  Items items_;
};

template <typename Items>
class BasicQueue<Items>::GetAwaiter final : public internal::QueueWaiter {
 public:
  explicit GetAwaiter(BasicQueue& queue) noexcept : QueueWaiter(queue, false), queue_(queue) {}

  bool await_ready(std::source_location here = std::source_location::current()) {
    return BeginWait(here);
  }
  template <typename P>
  void await_suspend(std::coroutine_handle<P> handle) {
    Line();
    Suspend(handle, "queue item", &queue_);
  }
  value_type await_resume() {
    Granted();
    return queue_.Take();
  }

 private:
  BasicQueue& queue_;
};

template <typename Items>
class BasicQueue<Items>::PutAwaiter final : public internal::QueueWaiter {
 public:
  PutAwaiter(BasicQueue& queue, value_type&& item)
      : QueueWaiter(queue, true), queue_(queue), item_(std::move(item)) {}

  bool await_ready(std::source_location here = std::source_location::current()) {
    return BeginWait(here);
  }
  template <typename P>
  void await_suspend(std::coroutine_handle<P> handle) {
    Line();
    Suspend(handle, "place in a queue", &queue_);
  }
  void await_resume() {
    Granted();
    queue_.Add(std::move(item_));
  }

 private:
  BasicQueue& queue_;
  value_type item_;
};

template <typename T>
using Queue = BasicQueue<internal::FifoItems<T>>;

// The least item first; equal ones in any order.
template <typename T, typename Less = std::less<T>>
using PriorityQueue = BasicQueue<internal::HeapItems<T, Less>>;

// The newest item first.
template <typename T>
using LifoQueue = BasicQueue<internal::LifoItems<T>>;

}  // namespace loopsan
