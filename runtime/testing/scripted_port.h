// An event port for tests: time is given, descriptors are ready when the script
// says so, and nothing ever really waits.
//
//   auto port = std::make_unique<ScriptedPort>();
//   ScriptedPort& script = *port;
//   EventLoop loop({.port = std::move(port)});
//   loop.RunUntilComplete(SleepsForAnHour());   // at once; script.Now() is an hour later
//
// A wait with a limit moves the clock to its end. A wait without one that nothing
// can end throws std::logic_error: the test has a deadlock.
//
// Threads: the loop's only; its waker may be used from any.
#pragma once

#include <atomic>
#include <condition_variable>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <string>
#include <utility>

#include "runtime/event_port.h"

namespace loopsan::testing {

class ScriptedPort final : public EventPort {
 public:
  // Moves the clock; timers fire at the next look.
  void Advance(Duration by) noexcept { now_ += by; }

  // `fd` will be ready with `events` at the next wait.
  void MakeReady(int fd, uint32_t events) { script_.push_back({fd, events}); }

  // Waits without limit wait for the waker: for tests with other threads.
  void AllowRealWaits() noexcept { real_waits_ = true; }

  size_t watched() const noexcept { return listeners_.size(); }
  size_t waits() const noexcept { return waits_; }

  Time Now() override { return now_; }

  size_t Wait(std::optional<Duration> timeout, std::span<Ready> ready) override {
    ++waits_;
    size_t count = 0;
    while (!script_.empty() && count < ready.size()) {
      const auto [fd, events] = script_.front();
      script_.pop_front();
      const auto found = listeners_.find(fd);
      if (found != listeners_.end()) ready[count++] = {found->second, events};
    }
    if (count != 0 || waker_->TakeWake()) return count;
    if (timeout) {
      now_ += *timeout;
    } else if (real_waits_) {
      waker_->WaitForWake();
    } else {
      throw std::logic_error("the loop waits for ever: nothing is left that could wake it");
    }
    return 0;
  }

  void Add(int fd, uint32_t, DescriptorListener* listener) override { listeners_[fd] = listener; }
  void Modify(int fd, uint32_t, DescriptorListener* listener) override {
    listeners_[fd] = listener;
  }
  void Remove(int fd) noexcept override { listeners_.erase(fd); }
  std::shared_ptr<Waker> waker() override { return waker_; }
  bool IsScripted() const override { return true; }

 private:
  class ScriptedWaker final : public Waker {
   public:
    void Wake() noexcept override {
      {
        const std::lock_guard lock(mutex_);
        woken_ = true;
      }
      changed_.notify_all();
    }
    bool TakeWake() {
      const std::lock_guard lock(mutex_);
      return std::exchange(woken_, false);
    }
    void WaitForWake() {
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [this] { return woken_; });
      woken_ = false;
    }

   private:
    std::mutex mutex_;
    std::condition_variable changed_;
    bool woken_ = false;
  };

  // Not 0: code that forgets to set a time is found.
  Time now_{std::chrono::hours(1)};
  std::map<int, DescriptorListener*> listeners_;
  std::deque<std::pair<int, uint32_t>> script_;
  const std::shared_ptr<ScriptedWaker> waker_ = std::make_shared<ScriptedWaker>();
  bool real_waits_ = false;
  size_t waits_ = 0;
};

}  // namespace loopsan::testing
