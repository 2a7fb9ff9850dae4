// How other threads give a loop something to run.
//
// Threads: Push() any, the rest the loop's only. Shared by the loop and everybody
// who may post to it, so it outlives the loop.
#pragma once

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <utility>

#include "runtime/event_port.h"
#include "runtime/internal/look_for.h"
#include "runtime/internal/ready_queue.h"

namespace loopsan::internal {

class RemoteQueue {
 public:
  explicit RemoteQueue(std::shared_ptr<Waker> waker) : waker_(std::move(waker)) {}

  // False if the loop is closed; the item stays the caller's then.
  bool Push(ReadyItem* item) noexcept {
    ReadyItem* head = head_.load(std::memory_order_relaxed);
    do {
      if (head == Closed()) return false;
      item->next_ready = head;
      // seq_cst, as in PrepareToSleep(): either the loop sees the item or this
      // thread sees that it sleeps.
    } while (!head_.compare_exchange_weak(head, item, std::memory_order_seq_cst,
                                          std::memory_order_relaxed));
    if (sleeping_.load(std::memory_order_seq_cst) &&
        sleeping_.exchange(false, std::memory_order_relaxed)) {
      waker_->Wake();
    }
    return true;
  }

  // Moves what has come to `ready`, oldest first.
  void MoveTo(ReadyQueue& ready) noexcept {
    if (head_.load(std::memory_order_relaxed) == nullptr) return;
    // Acquire: the items' contents.
    ReadyItem* item = head_.exchange(nullptr, std::memory_order_acquire);
    ReadyItem* oldest = nullptr;
    while (item != nullptr) {
      ReadyItem* const next = item->next_ready;
      item->next_ready = oldest;
      oldest = item;
      item = next;
    }
    while (oldest != nullptr) {
      ReadyItem* const next = oldest->next_ready;
      ready.Push(oldest);
      oldest = next;
    }
  }

  // Before PrepareToSleep(). Where an item ended the last sleep, the next may come at once:
  // looks for it, and each time in vain twice as many such sleeps begin without a look. Returns
  // whether it looked.
  bool LookForItem() noexcept {
    if (!item_ended_sleep_) return false;
    if (looks_to_skip_ > 0) {
      --looks_to_skip_;
      return false;
    }
    const bool came = LookFor([this] { return head_.load(std::memory_order_relaxed) != nullptr; });
    skips_after_a_look_ = came ? 0 : std::min(2 * skips_after_a_look_ + 1, kMostSkips);
    looks_to_skip_ = skips_after_a_look_;
    return true;
  }
  // Returns false if something has come: do not sleep then.
  bool PrepareToSleep() noexcept {
    sleeping_.store(true, std::memory_order_seq_cst);
    if (head_.load(std::memory_order_seq_cst) == nullptr) return true;
    sleeping_.store(false, std::memory_order_relaxed);
    return false;
  }
  // Something has come meanwhile.
  bool HasItem() const noexcept { return head_.load(std::memory_order_seq_cst) != nullptr; }
  void Awake() noexcept {
    sleeping_.store(false, std::memory_order_relaxed);
    item_ended_sleep_ = head_.load(std::memory_order_relaxed) != nullptr;
  }

  // Nothing is taken any more. What had come goes to `ready`.
  void Close(ReadyQueue& ready) noexcept {
    MoveTo(ready);
    ReadyItem* head = nullptr;
    while (!head_.compare_exchange_strong(head, Closed(), std::memory_order_acq_rel)) {
      MoveTo(ready);
      head = nullptr;
    }
  }

  // Threads: any. True once the loop is closed, and ever after.
  bool closed() const noexcept { return head_.load(std::memory_order_acquire) == Closed(); }

  // The loop begins to run, stops, or is about to be closed.
  void NoteRunning() noexcept { stopped_since_.store(kRunning, std::memory_order_release); }
  void NoteStopped() noexcept {
    stopped_since_.store(Clock::now().time_since_epoch().count(), std::memory_order_release);
  }
  void NoteClosing() noexcept { stopped_since_.store(kClosing, std::memory_order_release); }

  // Threads: any. For how long nobody has run the loop: 0 while somebody does, the longest
  // time there is if nobody will any more.
  Duration StoppedFor() const noexcept {
    const Duration::rep since = stopped_since_.load(std::memory_order_acquire);
    if (since == kRunning) return Duration::zero();
    if (since == kClosing) return Duration::max();
    return std::max(Duration::zero(), Clock::now() - Time(Duration(since)));
  }

  const std::shared_ptr<Waker>& waker() const noexcept { return waker_; }

 private:
  static ReadyItem* Closed() noexcept {
    static ReadyItem closed;
    return &closed;
  }

  static constexpr uint32_t kMostSkips = 1023;
  static constexpr Duration::rep kRunning = INT64_MAX;
  static constexpr Duration::rep kClosing = INT64_MIN;

  const std::shared_ptr<Waker> waker_;
  std::atomic<ReadyItem*> head_{nullptr};
  std::atomic<bool> sleeping_{false};
  // The loop's alone.
  bool item_ended_sleep_ = false;
  uint32_t looks_to_skip_ = 0;
  uint32_t skips_after_a_look_ = 0;
  // By the clock, also where the loop's own time is given: it is others who ask.
  std::atomic<Duration::rep> stopped_since_{Clock::now().time_since_epoch().count()};
};

}  // namespace loopsan::internal
