// Intent: a libuv program blocks in its callbacks, and where, is found.
#include <uv.h>

#include "tests/programs/victim.h"

namespace {

class UvLoop {
 public:
  UvLoop() { uv_loop_init(&loop_); }

  void OnReadable(int fd, std::function<void()> callback) {
    auto* poll = new Handle<uv_poll_t>{{}, std::move(callback)};
    poll->handle.data = poll;
    uv_poll_init(&loop_, &poll->handle, fd);
    uv_poll_start(&poll->handle, UV_READABLE, [](uv_poll_t* ready, int, int) {
      static_cast<Handle<uv_poll_t>*>(ready->data)->callback();
    });
  }

  void After(std::chrono::milliseconds delay, std::function<void()> callback) {
    auto* timer = new Handle<uv_timer_t>{{}, std::move(callback)};
    timer->handle.data = timer;
    uv_timer_init(&loop_, &timer->handle);
    uv_timer_start(&timer->handle, Fire, static_cast<uint64_t>(delay.count()), 0);
  }

  void Run() { uv_run(&loop_, UV_RUN_DEFAULT); }
  void Stop() { uv_stop(&loop_); }

 private:
  template <typename T>
  struct Handle {
    T handle;
    std::function<void()> callback;
  };

  static void Fire(uv_timer_t* handle) {
    auto* timer = static_cast<Handle<uv_timer_t>*>(handle->data);
    timer->callback();
    uv_close(reinterpret_cast<uv_handle_t*>(handle),
             [](uv_handle_t* closed) { delete static_cast<Handle<uv_timer_t>*>(closed->data); });
  }

  uv_loop_t loop_;
};

}  // namespace

int main(int argc, char** argv) { return victim::VictimMain<UvLoop>(argc, argv); }
