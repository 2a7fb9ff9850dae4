#include "runtime/queue.h"

#include <algorithm>
#include <utility>

#include "runtime/errors.h"

namespace loopsan::internal {

QueueWaiter::~QueueWaiter() {
  // Destroyed with its loop, after it was woken and before it ran; if the queue
  // went first, its list let this one go.
  if (!is_waiting() && is_linked()) OnAbandoned();
}

bool QueueWaiter::BeginWait(std::source_location here) {
  Begin(here);
  QueueBase& queue = *queue_;
  queue.Check(puts_ ? "Queue::Put" : "Queue::Get", here);
  if (puts_) {
    if (queue.closed_) QueueBase::ThrowShutDown();
    if (!queue.HasPlace()) return false;
    ++queue.promised_places_;
  } else {
    if (!queue.HasItem()) {
      if (queue.closed_ && queue.empty()) QueueBase::ThrowShutDown();
      return false;
    }
    ++queue.promised_items_;
  }
  promised_ = true;
  return true;
}

void QueueWaiter::Line() noexcept { (puts_ ? queue_->putters_ : queue_->getters_).PushBack(this); }

void QueueWaiter::Granted() {
  Resumed();
  QueueBase& queue = *queue_;
  const bool kept = promised_;
  queue.TakePromise(this);
  // Woken by Close(), or the queue was closed since.
  const bool refused = puts_ ? !kept || queue.closed_ : kept ? queue.empty() : !queue.HasItem();
  if (refused) QueueBase::ThrowShutDown();
}

void QueueWaiter::OnAbandoned() noexcept {
  const bool kept = promised_;
  queue_->TakePromise(this);
  if (!kept) return;
  if (puts_) {
    queue_->TellPutters();
  } else {
    queue_->TellGetters();
  }
}

bool QueueJoinAwaiter::await_ready(std::source_location here) {
  Begin(here);
  queue_->Check("Queue::Join", here);
  return queue_->unfinished_ == 0;
}

void QueueBase::ThrowShutDown() { throw QueueShutDown(); }

void QueueBase::Promise(QueueWaiter* waiter) noexcept {
  ++(waiter->puts_ ? promised_places_ : promised_items_);
  waiter->promised_ = true;
  waiter->Wake();
  woken_.PushBack(waiter);  // after it was woken, which takes it out of its list
}

void QueueBase::TakePromise(QueueWaiter* waiter) noexcept {
  waiter->Unlink();
  if (!std::exchange(waiter->promised_, false)) return;
  --(waiter->puts_ ? promised_places_ : promised_items_);
}

void QueueBase::TellGetters() noexcept {
  while (HasItem() && !getters_.empty()) Promise(getters_.front());
}

void QueueBase::TellPutters() noexcept {
  while (HasPlace() && !putters_.empty()) Promise(putters_.front());
}

void QueueBase::Added() noexcept {
  ++size_;
  ++unfinished_;
  TellGetters();
}

void QueueBase::Removed() noexcept {
  --size_;
  TellPutters();
  if (closed_ && empty()) EndGetters();
}

// Those who wait find out by themselves: an item may yet be given back for one.
void QueueBase::EndGetters() noexcept {
  while (QueueWaiter* const waiter = getters_.front()) waiter->Wake();
}

void QueueBase::Cleared() noexcept {
  Finished(std::min(size_, unfinished_));
  size_ = 0;
}

void QueueBase::Finished(size_t count) noexcept {
  unfinished_ -= count;
  if (unfinished_ != 0) return;
  while (Waiter* const waiter = joiners_.front()) waiter->Wake();
}

void QueueBase::TaskDone(std::source_location here) {
  Check("Queue::TaskDone", here);
  if (unfinished_ == 0) {
    throw UsageError("Queue::TaskDone was called more often than items were put");
  }
  Finished(1);
}

void QueueBase::Close(std::source_location here) {
  Check("Queue::Close", here);
  closed_ = true;
  while (QueueWaiter* const waiter = putters_.front()) waiter->Wake();
  EndGetters();
}

}  // namespace loopsan::internal
