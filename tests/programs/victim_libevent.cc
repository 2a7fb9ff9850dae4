// Intent: a libevent program blocks in its callbacks, and where, is found.
#include <event2/event.h>

#include "tests/programs/victim.h"

namespace {

class LibeventLoop {
 public:
  void OnReadable(int fd, std::function<void()> callback) {
    event* readable = event_new(base_, fd, EV_READ | EV_PERSIST, Call,
                                new std::function<void()>(std::move(callback)));
    event_add(readable, nullptr);
  }

  void After(std::chrono::milliseconds delay, std::function<void()> callback) {
    timeval timeout{};
    timeout.tv_usec = static_cast<suseconds_t>(delay.count()) * 1000;
    event_base_once(base_, -1, EV_TIMEOUT, CallOnce, new std::function<void()>(std::move(callback)),
                    &timeout);
  }

  void Run() { event_base_loop(base_, EVLOOP_NO_EXIT_ON_EMPTY); }
  void Stop() { event_base_loopbreak(base_); }

 private:
  static void Call(evutil_socket_t, short, void* callback) {
    (*static_cast<std::function<void()>*>(callback))();
  }

  static void CallOnce(evutil_socket_t, short, void* argument) {
    const std::unique_ptr<std::function<void()>> callback(
        static_cast<std::function<void()>*>(argument));
    (*callback)();
  }

  event_base* base_ = event_base_new();
};

}  // namespace

int main(int argc, char** argv) { return victim::VictimMain<LibeventLoop>(argc, argv); }
