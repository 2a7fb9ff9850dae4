// Intent: coroutines that are observed, resumed by callbacks of libuv that are steps: one
// report tells both.
#include "instrument/adapters/libuv_steps.h"
#include "tests/programs/observed_task.h"
#include "tests/programs/steps_victim.h"

namespace {

using by_hand::Task;

struct UvSleep {
  bool await_ready() { return false; }
  void await_suspend(std::coroutine_handle<> handle) {
    timer.data = handle.address();
    uv_timer_init(uv_default_loop(), &timer);
    uv_timer_start(&timer, Fire, 2, 0);
  }
  void await_resume() {}

  static void Fire(uv_timer_t* timer) {
    uv_close(reinterpret_cast<uv_handle_t*>(timer), Resume);  // BLOCK: closed
  }
  static void Resume(uv_handle_t* closed) {
    std::coroutine_handle<>::from_address(closed->data).resume();
  }
  uv_timer_t timer{};
};

Task Inner() {
  co_await UvSleep{};
  Sleep();
  co_return 1;
}
Task Outer() {
  co_await UvSleep{};
  const int inner = co_await Inner();  // BLOCK: outer
  co_return inner;
}

}  // namespace

int main() {
  const Task outer = Outer();
  outer.handle().resume();
  uv_run(uv_default_loop(), UV_RUN_DEFAULT);
  return uv_loop_close(uv_default_loop());
}
