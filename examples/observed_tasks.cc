// A coroutine type of one's own, and the loop that runs it. One line makes it observed:
//
//   loopsan run build/bin/observed_tasks
//
// then says which co_await led to the line that holds up the loop.
#include <sys/epoll.h>
#include <unistd.h>

#include <chrono>
#include <coroutine>
#include <cstdio>
#include <exception>
#include <map>
#include <string>
#include <thread>
#include <utility>

#include "instrument/adapters/observed.h"

using namespace std::chrono_literals;

class Task {
 public:
  struct Promise {
    Task get_return_object() { return Task(std::coroutine_handle<Promise>::from_promise(*this)); }
    std::suspend_always initial_suspend() noexcept { return {}; }
    auto final_suspend() noexcept {
      struct Awaiter {
        bool await_ready() noexcept { return false; }
        std::coroutine_handle<> await_suspend(std::coroutine_handle<Promise> handle) noexcept {
          return handle.promise().awaiting;
        }
        void await_resume() noexcept {}
      };
      return Awaiter{};
    }
    void return_value(std::string value) { result = std::move(value); }
    void unhandled_exception() { std::terminate(); }

    std::coroutine_handle<> awaiting = std::noop_coroutine();
    std::string result;
  };
  using promise_type = loopsan::Observed<Promise>;  // the one line

  Task(Task&& other) noexcept : handle_(std::exchange(other.handle_, nullptr)) {}
  ~Task() {
    if (handle_) handle_.destroy();
  }
  void Start() { handle_.resume(); }

  bool await_ready() { return false; }
  std::coroutine_handle<> await_suspend(std::coroutine_handle<> awaiting) {
    handle_.promise().awaiting = awaiting;
    return handle_;
  }
  std::string await_resume() { return std::move(handle_.promise().result); }

 private:
  explicit Task(std::coroutine_handle<Promise> handle) : handle_(handle) {}
  std::coroutine_handle<Promise> handle_;
};

using Clock = std::chrono::steady_clock;
std::multimap<Clock::time_point, std::coroutine_handle<>> g_timers;

struct Sleep {
  bool await_ready() { return false; }
  void await_suspend(std::coroutine_handle<> handle) {
    g_timers.emplace(Clock::now() + delay, handle);
  }
  void await_resume() {}
  std::chrono::milliseconds delay;
};

void RunLoop() {
  const int epoll = epoll_create1(EPOLL_CLOEXEC);
  while (!g_timers.empty()) {
    const auto left =
        std::chrono::ceil<std::chrono::milliseconds>(g_timers.begin()->first - Clock::now());
    epoll_event event;
    epoll_wait(epoll, &event, 1, left > 0ms ? static_cast<int>(left.count()) : 0);
    while (!g_timers.empty() && g_timers.begin()->first <= Clock::now()) {
      g_timers.extract(g_timers.begin()).mapped().resume();
    }
  }
  close(epoll);
}

Task LoadTemplate() {
  co_await Sleep{1ms};
  std::this_thread::sleep_for(150ms);  // nobody else is served meanwhile
  co_return "Dear %s";
}

Task Render() {
  std::string text = co_await LoadTemplate();
  co_return text + ",";
}

Task Serve() {
  co_await Sleep{1ms};
  const std::string letter = co_await Render();
  std::printf("%s\n", letter.c_str());
  Render();  // forgotten: it never runs
  co_return "";
}

int main() {
  Task serve = Serve();
  serve.Start();
  RunLoop();
}
