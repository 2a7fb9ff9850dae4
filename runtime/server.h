// Servers: a task for each connection that comes.
//
//   const auto serve = [](TcpStream stream) -> Task<> {
//     std::string line = co_await stream.ReadLine();
//     co_await stream.WriteAll(line);
//   };
//   Server server = co_await StartServer(serve, "127.0.0.1", 8080);
//   ...
//   server.Close();
//   server.CloseClients();
//   co_await server.WaitClosed();
//
// The handler runs in a task of its own; what it does not move elsewhere is closed
// when it is done, in whatever way. What it throws goes to the loop's exception handler. Where the
// handler is a lambda, it is kept as long as the server and its connections.
//
// A process that has no descriptors left (EMFILE, ENFILE, ENOBUFS, ENOMEM) accepts nothing for
// `accept_pause`, tells the loop's exception handler so, and goes on.
//
// The destructor closes the server, not its connections, and reports it in debug
// mode unless an exception is on its way.
//
// Threads: the loop's only. Cancellation: WaitClosed() stops waiting, nothing else.
// Errors: std::system_error, DnsError.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <source_location>
#include <string>
#include <vector>

#include "runtime/address.h"
#include "runtime/internal/ref.h"
#include "runtime/stream.h"
#include "runtime/task.h"

namespace loopsan {

namespace internal {
class ServerCore;

// The end of the server and of its connections.
class ServerWait final : public Waiter {
 public:
  explicit ServerWait(RefPtr<ServerCore> core) noexcept;
  ~ServerWait();

  bool await_ready(std::source_location here = std::source_location::current()) noexcept;
  template <typename P>
  void await_suspend(std::coroutine_handle<P> handle) {
    Link();
    Suspend(handle, "server to be closed", core_.get());
  }
  void await_resume() { Resumed(); }

 private:
  void Link() noexcept;
  const RefPtr<ServerCore> core_;
};
}  // namespace internal

struct ServerOptions {
  // Not an aggregate: g++ 12 destroys a temporary one twice where it co_awaits.
  ServerOptions() = default;

  int backlog = 100;
  int family = 0;  // AF_INET or AF_INET6; 0: both
  bool reuse_address = true;
  bool reuse_port = false;
  Duration accept_pause = std::chrono::seconds(1);
  std::string name;  // of the connections' tasks, with a number behind it
};

class Server {
 public:
  Server() noexcept;
  Server(Server&& other) noexcept;
  Server& operator=(Server&& other) noexcept;
  ~Server();

  bool valid() const noexcept { return static_cast<bool>(core_); }

  // Where it listens; empty once it is closed.
  std::vector<Address> addresses() const;
  bool is_serving() const noexcept;
  // Handlers that run, and what they have written and not sent.
  size_t connections() const noexcept;

  // Accepts no more. The connections go on.
  void Close(std::source_location here = std::source_location::current());
  // Closes the connections' streams: their readers see the end.
  void CloseClients(std::source_location here = std::source_location::current());
  // The same, and drops what they have not sent.
  void AbortClients(std::source_location here = std::source_location::current());
  // Cancels the connections' tasks, and aborts what is left of their connections.
  void CancelClients(std::source_location here = std::source_location::current());
  // Returns when it is closed and its last connection is over.
  [[nodiscard("it waits only when it is awaited")]] internal::ServerWait WaitClosed(
      std::source_location here = std::source_location::current()) const;

  explicit Server(internal::RefPtr<internal::ServerCore> core) noexcept;

 private:
  internal::ServerCore& Use(const char* what, std::source_location here) const;
  internal::RefPtr<internal::ServerCore> core_;
};

// Listens on each address of `host` (empty: every address of this machine). Port 0:
// one that is free, see addresses().
Task<Server> StartServer(std::function<Task<>(TcpStream)> handler, std::string host, uint16_t port,
                         ServerOptions options = {},
                         std::source_location here = std::source_location::current());

// A socket that is left at `path` by an earlier server is replaced; the own one is
// removed by Close().
Task<Server> StartUnixServer(std::function<Task<>(UnixStream)> handler, std::string path,
                             ServerOptions options = {},
                             std::source_location here = std::source_location::current());

}  // namespace loopsan
