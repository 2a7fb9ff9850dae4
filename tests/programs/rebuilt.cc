// Intent: a program that is built again and again by fingerprint_test.cc, with other
// compilers, flags and lines, and blocks its loop in the same two places. LINES moves what
// is below it, ALIAS changes a template's argument to another name of the same type.
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cstdint>

#if LINES
// One.

// Two.

static int g_unrelated = 0;
#endif

namespace app {

#if ALIAS
using Number = std::int32_t;
#else
using Number = int;
#endif

// Counted, so that the sleep is no tail call.
int g_paused = 0;

inline void Pause(int milliseconds) {
  usleep(static_cast<useconds_t>(milliseconds) * 1000);
  ++g_paused;
}

template <typename T>
class Handler {
 public:
  // Small: inlined where the compiler optimizes.
  void Handle(T step) {
    if (step == 5) Load(step);
    if (step == 7) Store(step);
  }

 private:
  void Load(T step) {
    Pause(60);
    done_ += step;
  }
  [[gnu::noinline]] void Store(T step) {
    Pause(40);
    done_ += step;
  }

  T done_ = 0;
};

template <typename T>
[[gnu::noinline]] int RunLoop(int epoll, Handler<T>& handler) {
#if LINES
  ++g_unrelated;
#endif
  for (T step = 0; step < 200; ++step) {
    epoll_event events[2];
    if (epoll_wait(epoll, events, 2, -1) <= 0) return 1;
    handler.Handle(step);
  }
  return 0;
}

}  // namespace app

int main() {
  const int epoll = epoll_create1(0);
  for (int i = 0; i < 2; ++i) {
    epoll_event event{};
    event.events = EPOLLIN;
    epoll_ctl(epoll, EPOLL_CTL_ADD, eventfd(1, 0), &event);
  }
  app::Handler<app::Number> handler;
  return app::RunLoop<app::Number>(epoll, handler);
}
