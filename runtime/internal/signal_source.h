// Signals as callbacks of a loop; see EventLoop::AddSignalHandler().
#pragma once

#include <signal.h>

#include <atomic>
#include <functional>
#include <map>
#include <memory>

#include "runtime/context.h"
#include "runtime/event_port.h"
#include "runtime/internal/site.h"

namespace loopsan {
class EventLoop;
}

namespace loopsan::internal {

class SignalSource {
 public:
  SignalSource(EventLoop* loop, std::shared_ptr<Waker> waker)
      : loop_(loop), waker_(std::move(waker)) {}
  ~SignalSource();

  // Throws UsageError if another loop has the signal, std::system_error if it
  // cannot be caught.
  void Add(int signal, std::function<void()> callback, Site created_at);
  bool Remove(int signal);
  size_t size() const noexcept { return targets_.size(); }

  // Makes the callbacks of what has arrived ready.
  void Dispatch() {
    if (pending_.load(std::memory_order_relaxed)) [[unlikely]] {
      DispatchPending();
    }
  }

 private:
  struct Target {
    SignalSource* source;
    std::function<void()> callback;
    Site created_at;
    Context context;
    std::atomic<bool> arrived{false};
    struct sigaction before;
  };

  static void OnSignal(int signal);
  void DispatchPending();

  static std::atomic<Target*> the_targets_[NSIG];

  EventLoop* const loop_;
  const std::shared_ptr<Waker> waker_;
  std::atomic<bool> pending_{false};
  std::map<int, std::unique_ptr<Target>> targets_;
};

}  // namespace loopsan::internal
