#include "tests/support/http_client.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <stdexcept>

namespace loopsan::testing {
namespace {

sockaddr_in Loopback(int port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

int Connect(int port) {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const sockaddr_in address = Loopback(port);
  if (connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0) return fd;
  close(fd);
  return -1;
}

}  // namespace

int PickFreePort() {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address = Loopback(0);
  socklen_t size = sizeof address;
  if (bind(fd, reinterpret_cast<sockaddr*>(&address), size) != 0 ||
      getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size) != 0) {
    throw std::runtime_error("no free port on 127.0.0.1");
  }
  close(fd);
  return ntohs(address.sin_port);
}

std::string PortSaidBy(Process& server) {
  EXPECT_TRUE(server.WaitForOutput("listening on ")) << server.error();
  EXPECT_TRUE(server.WaitForOutput("\n"));
  const std::string out = server.output();
  const size_t line_end = out.find('\n', out.find("listening on "));
  const size_t colon = out.rfind(':', line_end);
  return out.substr(colon + 1, line_end - colon - 1);
}

bool WaitForPort(int port, Seconds timeout) {
  const auto deadline = std::chrono::steady_clock::now() + timeout;
  while (std::chrono::steady_clock::now() < deadline) {
    const int fd = Connect(port);
    if (fd >= 0) {
      close(fd);
      return true;
    }
    // There is nothing to wait on for "somebody else listens now".
    poll(nullptr, 0, 10);
  }
  return false;
}

TcpClient::TcpClient(int port) : fd_(Connect(port)) {
  if (fd_ < 0) throw std::runtime_error("nobody listens on port " + std::to_string(port));
}

TcpClient::~TcpClient() { close(fd_); }

void TcpClient::Send(std::string_view text) {
  while (!text.empty()) {
    const ssize_t sent = send(fd_, text.data(), text.size(), MSG_NOSIGNAL);
    if (sent < 0) throw std::runtime_error(std::string("send: ") + std::strerror(errno));
    text.remove_prefix(static_cast<size_t>(sent));
  }
}

std::string TcpClient::ReadUntil(std::string_view end, Seconds timeout) {
  const auto deadline = std::chrono::steady_clock::now() + timeout;
  std::string received;
  while (end.empty() || received.find(end) == std::string::npos) {
    const Seconds left = deadline - std::chrono::steady_clock::now();
    pollfd readable{fd_, POLLIN, 0};
    if (left.count() <= 0 || poll(&readable, 1, static_cast<int>(left.count() * 1000) + 1) != 1) {
      break;
    }
    char buffer[4096];
    const ssize_t bytes = recv(fd_, buffer, sizeof buffer, 0);
    if (bytes <= 0) break;
    received.append(buffer, static_cast<size_t>(bytes));
  }
  return received;
}

std::string HttpGet(int port, std::string_view path) {
  TcpClient client(port);
  client.Send("GET " + std::string(path) +
              " HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
  return client.ReadUntil("");
}

}  // namespace loopsan::testing
