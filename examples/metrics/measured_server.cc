// A small server with metrics of its own, that shows loopsan's beside them in the same
// endpoint. See README.md beside this file.
//
//   LOOPSAN=1 build/bin/measured_server [PORT [METRICS_PORT]]
#include <arpa/inet.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>
#include <thread>

#include "prometheus/counter.h"
#include "prometheus/exposer.h"
#include "prometheus/registry.h"
#include "reporters/metrics_collectable.h"

namespace {

std::string MakeReport() {
  std::this_thread::sleep_for(std::chrono::milliseconds(50));  // stands for a slow query
  return "report\n";
}

int Listen(int port) {
  const int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  const int yes = 1;
  setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (bind(listener, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0 ||
      listen(listener, 16) != 0) {
    std::perror("measured_server: cannot listen");
    std::exit(1);
  }
  return listener;
}

int PortOf(int listener) {
  sockaddr_in address{};
  socklen_t size = sizeof address;
  getsockname(listener, reinterpret_cast<sockaddr*>(&address), &size);
  return ntohs(address.sin_port);
}

void Watch(int loop, int fd) {
  epoll_event event{.events = EPOLLIN, .data = {.fd = fd}};
  epoll_ctl(loop, EPOLL_CTL_ADD, fd, &event);
}

class Server {
 public:
  explicit Server(prometheus::Family<prometheus::Counter>& requests)
      : hellos_(requests.Add({{"path", "/"}})), reports_(requests.Add({{"path", "/report"}})) {}

  void Serve(int connection) {
    char request[1024];
    const ssize_t bytes = recv(connection, request, sizeof request, 0);
    if (bytes > 0) {
      const std::string answer = Answer({request, static_cast<size_t>(bytes)});
      send(connection, answer.data(), answer.size(), MSG_NOSIGNAL);
    }
    close(connection);
  }

 private:
  std::string Answer(std::string_view request) {
    const bool wants_report = request.starts_with("GET /report");
    (wants_report ? reports_ : hellos_).Increment();
    return "HTTP/1.0 200 OK\r\n\r\n" + (wants_report ? MakeReport() : "hello\n");
  }

  prometheus::Counter& hellos_;
  prometheus::Counter& reports_;
};

}  // namespace

int main(int argc, char** argv) {
  const int listener = Listen(argc > 1 ? std::atoi(argv[1]) : 8080);
  const std::string metrics_port = argc > 2 ? argv[2] : "9464";

  // Before the exposer starts its threads: they inherit that it is blocked.
  sigset_t ending;
  sigemptyset(&ending);
  sigaddset(&ending, SIGTERM);
  sigaddset(&ending, SIGINT);
  pthread_sigmask(SIG_BLOCK, &ending, nullptr);

  // As in any program that is measured with prometheus-cpp ...
  const auto registry = std::make_shared<prometheus::Registry>();
  auto& requests = prometheus::BuildCounter()
                       .Name("server_requests_total")
                       .Help("Requests that were answered.")
                       .Register(*registry);
  prometheus::Exposer exposer("127.0.0.1:" + metrics_port, 1);
  exposer.RegisterCollectable(registry);
  // ... and these two lines. The exposer does not keep it alive.
  const std::shared_ptr<prometheus::Collectable> loops = loopsan::MetricsCollectable();
  exposer.RegisterCollectable(loops);

  std::printf("http://127.0.0.1:%d/ and /report; metrics: http://127.0.0.1:%d/metrics\n",
              PortOf(listener), exposer.GetListeningPorts().at(0));
  std::fflush(stdout);

  Server server(requests);
  const int end = signalfd(-1, &ending, SFD_NONBLOCK | SFD_CLOEXEC);
  const int loop = epoll_create1(EPOLL_CLOEXEC);
  Watch(loop, listener);
  Watch(loop, end);
  while (true) {
    epoll_event event{};
    if (epoll_wait(loop, &event, 1, -1) != 1) continue;
    const int ready = event.data.fd;
    if (ready == end) return 0;
    if (ready == listener) {
      const int connection = accept4(listener, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
      if (connection >= 0) Watch(loop, connection);
    } else {
      server.Serve(ready);
    }
  }
}
