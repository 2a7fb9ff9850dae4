// Intent: an epoll loop that sleeps in one of its steps.
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

namespace {

[[gnu::noinline]] void Serve(int step) {
  if (step == 5) usleep(150'000);
}

}  // namespace

int main() {
  const int epoll = epoll_create1(0);
  int ready[2];
  for (int& one : ready) {
    one = eventfd(1, 0);  // stays readable
    epoll_event event{};
    event.events = EPOLLIN;
    epoll_ctl(epoll, EPOLL_CTL_ADD, one, &event);
  }
  for (int step = 0; step < 200; ++step) {
    epoll_event events[2];
    if (epoll_wait(epoll, events, 2, -1) <= 0) return 1;
    Serve(step);
  }
  return 0;
}
