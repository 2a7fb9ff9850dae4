// Intent: a loop that is held up for exactly as long as its client wants: it accepts a
// connection and then waits for its first bytes, as no loop should.
//
// It prints its port. "quit" as the first bytes of a connection ends it.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <cstdio>
#include <string_view>

namespace {

constexpr long kTickNanoseconds = 20'000'000;  // so that the loop turns also when nobody comes

void Watch(int loop, int fd) {
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.fd = fd;
  epoll_ctl(loop, EPOLL_CTL_ADD, fd, &event);
}

int Listen() {
  const int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  bind(listener, reinterpret_cast<sockaddr*>(&address), size);
  listen(listener, 16);
  getsockname(listener, reinterpret_cast<sockaddr*>(&address), &size);
  std::printf("port %d\n", ntohs(address.sin_port));
  std::fflush(stdout);
  return listener;
}

// False if the client wants the program to end.
bool WaitForClient(int connection) {
  char bytes[64];
  const ssize_t size = recv(connection, bytes, sizeof bytes, 0);  // HELD HERE
  close(connection);
  return size < 0 || std::string_view(bytes, static_cast<size_t>(size)) != "quit";
}

// Not in main(): what runs behind a loop in main() looks like a step until the loop waits again.
[[gnu::noinline]] void RunLoop(int listener, int ticks) {
  const int loop = epoll_create1(EPOLL_CLOEXEC);
  Watch(loop, listener);
  Watch(loop, ticks);
  for (bool goes_on = true; goes_on;) {
    epoll_event event{};
    if (epoll_wait(loop, &event, 1, -1) != 1) continue;
    if (event.data.fd == listener) {
      goes_on = WaitForClient(accept(listener, nullptr, nullptr));
    } else {
      uint64_t times = 0;
      while (read(ticks, &times, sizeof times) > 0) continue;
    }
  }
}

}  // namespace

int main() {
  const int listener = Listen();
  const int ticks = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
  const itimerspec often{{0, kTickNanoseconds}, {0, kTickNanoseconds}};
  timerfd_settime(ticks, 0, &often, nullptr);
  RunLoop(listener, ticks);
}
