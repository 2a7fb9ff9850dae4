// Just enough TCP to talk to the servers that the tests start on 127.0.0.1.
#pragma once

#include <string>
#include <string_view>

#include "tests/support/process.h"

namespace loopsan::testing {

// A port that was free a moment ago.
int PickFreePort();

// Of a server that says "listening on HOST:PORT": waits for it.
std::string PortSaidBy(Process& server);

// Connects until it is accepted; false when the time is up.
bool WaitForPort(int port, Seconds timeout = kLongEnough);

class TcpClient {
 public:
  explicit TcpClient(int port);  // throws if nobody listens
  TcpClient(const TcpClient&) = delete;
  TcpClient& operator=(const TcpClient&) = delete;
  ~TcpClient();

  void Send(std::string_view text);

  // Everything received up to and including `end`, or up to the close or the
  // timeout.
  std::string ReadUntil(std::string_view end, Seconds timeout = kLongEnough);

 private:
  int fd_ = -1;
};

// Sends "GET path" and returns the whole answer.
std::string HttpGet(int port, std::string_view path);

}  // namespace loopsan::testing
