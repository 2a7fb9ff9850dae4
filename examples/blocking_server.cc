// A small server on epoll. One of its handlers blocks: while it waits for a
// report to be made, nobody else is served. Try it with
//
//   loopsan run build/bin/blocking_server
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <string>
#include <string_view>
#include <thread>

std::string MakeReport() {
  std::this_thread::sleep_for(std::chrono::milliseconds(300));  // stands for a slow query
  return "report\n";
}

std::string Answer(std::string_view request) {
  const bool wants_report = request.starts_with("GET /report");
  const std::string body = wants_report ? MakeReport() : "hello\n";
  return "HTTP/1.0 200 OK\r\n\r\n" + body;
}

void Serve(int connection) {
  char request[1024];
  const ssize_t bytes = recv(connection, request, sizeof request, 0);
  if (bytes > 0) {
    const std::string answer = Answer({request, static_cast<size_t>(bytes)});
    send(connection, answer.data(), answer.size(), MSG_NOSIGNAL);
  }
  close(connection);
}

// The server's only client, on a thread of its own: what blocks here hurts nobody.
void Ask(sockaddr_in address, int count) {
  for (int i = 0; i < count; ++i) {
    const int connection = socket(AF_INET, SOCK_STREAM, 0);
    connect(connection, reinterpret_cast<sockaddr*>(&address), sizeof address);
    const std::string request = i == count / 2 ? "GET /report\r\n\r\n" : "GET /\r\n\r\n";
    send(connection, request.data(), request.size(), 0);
    char answer[1024];
    while (recv(connection, answer, sizeof answer, 0) > 0) continue;
    close(connection);
  }
}

int main() {
  const int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  bind(listener, reinterpret_cast<sockaddr*>(&address), size);
  listen(listener, 16);
  getsockname(listener, reinterpret_cast<sockaddr*>(&address), &size);

  const int loop = epoll_create1(0);
  epoll_event event{.events = EPOLLIN, .data = {.fd = listener}};
  epoll_ctl(loop, EPOLL_CTL_ADD, listener, &event);

  constexpr int kRequests = 200;
  std::thread client(Ask, address, kRequests);
  for (int served = 0; served < kRequests;) {
    epoll_wait(loop, &event, 1, -1);
    const int ready = event.data.fd;
    if (ready == listener) {
      event.data.fd = accept4(listener, nullptr, nullptr, SOCK_NONBLOCK);
      epoll_ctl(loop, EPOLL_CTL_ADD, event.data.fd, &event);
    } else {
      Serve(ready);
      ++served;
    }
  }
  client.join();
  std::printf("served %d requests\n", kRequests);
}
