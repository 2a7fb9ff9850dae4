// Datagrams: UDP and Unix.
//
//   DatagramOptions options;
//   options.local_host = "127.0.0.1";
//   DatagramSocket socket = co_await OpenDatagramSocket(options);
//   Datagram got = co_await socket.ReceiveFrom();
//   co_await socket.SendTo(got.bytes, got.from);
//   socket.Close();
//
// One task at a time may receive, and one send: a second gets UsageError. Sending waits
// while the kernel's buffer is full. A socket that is connected to one peer throws what
// the network answers (ECONNREFUSED).
//
// The destructor closes it, and reports that in debug mode unless an exception is on
// its way. Closing it lets those who wait throw ClosedError (runtime/stream.h).
//
// Threads: the loop's only. Cancellation: nothing is lost. Errors: std::system_error,
// DnsError.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <source_location>
#include <string>
#include <string_view>

#include "runtime/address.h"
#include "runtime/task.h"

namespace loopsan {

namespace internal {
class DatagramCore;
}

struct Datagram {
  std::string bytes;
  Address from;
};

struct DatagramOptions {
  // Not an aggregate: g++ 12 destroys a temporary one twice where it co_awaits.
  DatagramOptions() = default;

  // Where it receives; none: the kernel chooses when it first sends.
  std::string local_host;
  uint16_t local_port = 0;
  // The only peer; empty: any.
  std::string remote_host;
  uint16_t remote_port = 0;
  int family = 0;  // AF_INET or AF_INET6; 0: of the first address that is found
  bool reuse_port = false;
  bool broadcast = false;
};

struct UnixDatagramOptions {
  // Not an aggregate: g++ 12 destroys a temporary one twice where it co_awaits.
  UnixDatagramOptions() = default;

  std::string local_path;
  std::string remote_path;
};

class DatagramSocket {
 public:
  static constexpr size_t kLargest = 64 * 1024;

  DatagramSocket() noexcept = default;
  DatagramSocket(DatagramSocket&& other) noexcept = default;
  DatagramSocket& operator=(DatagramSocket&& other) noexcept;
  ~DatagramSocket();

  // What is longer than `most` is cut off.
  Task<Datagram> ReceiveFrom(size_t most = kLargest,
                             std::source_location here = std::source_location::current());
  Task<> SendTo(std::string bytes, Address to,
                std::source_location here = std::source_location::current());
  // To the peer it is connected to.
  Task<> Send(std::string bytes, std::source_location here = std::source_location::current());

  Address local_address() const;
  Address peer_address() const;
  void Close(std::source_location here = std::source_location::current());
  bool is_closed() const noexcept;

  explicit DatagramSocket(std::shared_ptr<internal::DatagramCore> core) noexcept
      : core_(std::move(core)) {}

 private:
  std::shared_ptr<internal::DatagramCore> Use(const char* what, std::source_location here) const;
  std::shared_ptr<internal::DatagramCore> core_;
};

Task<DatagramSocket> OpenDatagramSocket(
    DatagramOptions options = {}, std::source_location here = std::source_location::current());
// A path that begins with '\0' is in Linux' abstract name space. A socket file is not
// removed at the end.
DatagramSocket OpenUnixDatagramSocket(const UnixDatagramOptions& options,
                                      std::source_location here = std::source_location::current());

}  // namespace loopsan
