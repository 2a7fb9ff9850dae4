// What CallSoon, CallLater and CallSoonThreadsafe put into the loop.
//
// Threads: the loop's only, except that a callback may be made on another thread
// before it is handed over.
#pragma once

#include <cstdint>
#include <utility>

#include "runtime/context.h"
#include "runtime/internal/frame_pool.h"
#include "runtime/internal/ready_queue.h"
#include "runtime/internal/site.h"
#include "runtime/internal/timer_heap.h"

namespace loopsan {
class EventLoop;
}

namespace loopsan::internal {

class Callback : public ReadyItem, public TimerNode, public Pooled {
 public:
  Callback(EventLoop* loop, Site created_at) noexcept;
  Callback(const Callback&) = delete;
  Callback& operator=(const Callback&) = delete;

  void Ref() noexcept { ++refs_; }
  void Unref() noexcept {
    if (--refs_ == 0) delete this;
  }

  bool cancelled() const noexcept { return cancelled_; }
  // It will not run. Its function is destroyed when the loop comes to it, a
  // timer's at once.
  void Cancel() noexcept;

  EventLoop* loop;
  const Site created_at;
  Context context;

 protected:
  virtual ~Callback() = default;
  virtual void Invoke() = 0;

 private:
  friend class ::loopsan::EventLoop;
  static void RunStep(ReadyItem* item);
  static void Fire(TimerNode* node);

  uint32_t refs_ = 1;
  bool cancelled_ = false;
};

template <typename F>
class CallbackOf final : public Callback {
 public:
  CallbackOf(EventLoop* its_loop, Site site, F function)
      : Callback(its_loop, site), function_(std::move(function)) {}

 private:
  void Invoke() override { function_(); }
  F function_;
};

}  // namespace loopsan::internal
