// A coroutine type and an event loop as people write them by hand. They know nothing
// of loopsan but the one line that makes the promise an observed one.
#pragma once

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <chrono>
#include <coroutine>
#include <deque>
#include <exception>
#include <map>
#include <optional>
#include <utility>
#include <vector>

#include "instrument/adapters/observed.h"

namespace by_hand {

// Starts when it is awaited, and gives one int.
class [[nodiscard]] Task {
 public:
  struct Promise {
    Task get_return_object() { return Task(std::coroutine_handle<Promise>::from_promise(*this)); }
    std::suspend_always initial_suspend() noexcept { return {}; }
    auto final_suspend() noexcept {
      struct Awaiter {
        bool await_ready() noexcept { return false; }
        std::coroutine_handle<> await_suspend(std::coroutine_handle<Promise> handle) noexcept {
          return handle.promise().continuation;
        }
        void await_resume() noexcept {}
      };
      return Awaiter{};
    }
    void return_value(int result) { value = result; }
    void unhandled_exception() { error = std::current_exception(); }

    std::coroutine_handle<> continuation = std::noop_coroutine();
    std::exception_ptr error;
    int value = 0;
  };
  using promise_type = loopsan::Observed<Promise>;

  Task(Task&& other) noexcept : handle_(std::exchange(other.handle_, nullptr)) {}
  Task& operator=(Task&&) = delete;
  ~Task() {
    if (handle_) handle_.destroy();
  }

  auto operator co_await() noexcept {
    struct Awaiter {
      bool await_ready() noexcept { return false; }
      std::coroutine_handle<> await_suspend(std::coroutine_handle<> awaiting) noexcept {
        handle.promise().continuation = awaiting;
        return handle;
      }
      int await_resume() {
        if (handle.promise().error) std::rethrow_exception(handle.promise().error);
        return handle.promise().value;
      }
      std::coroutine_handle<Promise> handle;
    };
    return Awaiter{handle_};
  }

  std::coroutine_handle<> handle() const { return handle_; }

 private:
  explicit Task(std::coroutine_handle<Promise> handle) : handle_(handle) {}
  std::coroutine_handle<Promise> handle_;
};

// Runs tasks until all have ended. With epoll, because a loop watches descriptors, too.
class Loop {
 public:
  using Clock = std::chrono::steady_clock;

  Loop() : epoll_(epoll_create1(EPOLL_CLOEXEC)), event_(eventfd(0, EFD_CLOEXEC)) {
    epoll_event event{};
    event.events = EPOLLIN;
    epoll_ctl(epoll_, EPOLL_CTL_ADD, event_, &event);
  }
  Loop(const Loop&) = delete;
  ~Loop() {
    close(event_);
    close(epoll_);
  }

  void Spawn(Task task) {
    tasks_.push_back(std::move(task));
    ready_.push_back(tasks_.back().handle());
  }

  auto Sleep(std::chrono::milliseconds delay) {
    struct Awaiter {
      bool await_ready() { return false; }
      void await_suspend(std::coroutine_handle<> handle) {
        loop.timers_.emplace(Clock::now() + delay, handle);
      }
      void await_resume() {}
      Loop& loop;
      std::chrono::milliseconds delay;
    };
    return Awaiter{*this, delay};
  }

  [[gnu::noinline]] void Run() {
    while (!ready_.empty() || !timers_.empty()) {
      int wait = 0;
      if (ready_.empty()) {
        const auto left = timers_.begin()->first - Clock::now();
        const auto round_up = std::chrono::ceil<std::chrono::milliseconds>(left).count();
        wait = round_up > 0 ? static_cast<int>(round_up) : 0;
      }
      epoll_event event;
      epoll_wait(epoll_, &event, 1, wait);
      while (!timers_.empty() && timers_.begin()->first <= Clock::now()) {
        ready_.push_back(timers_.begin()->second);
        timers_.erase(timers_.begin());
      }
      for (size_t left = ready_.size(); left > 0; --left) {
        const std::coroutine_handle<> next = ready_.front();
        ready_.pop_front();
        next.resume();
      }
    }
  }

 private:
  const int epoll_;
  const int event_;
  std::deque<std::coroutine_handle<>> ready_;
  std::multimap<Clock::time_point, std::coroutine_handle<>> timers_;
  std::deque<Task> tasks_;
};

}  // namespace by_hand
