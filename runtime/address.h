// Address: where a socket is: IPv4, IPv6 or a path.
//
// Threads: a value, used from any.
#pragma once

#include <sys/socket.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace loopsan {

class Address {
 public:
  Address() noexcept = default;
  // REQUIRES: `bytes` <= sizeof(sockaddr_storage).
  Address(const sockaddr* address, socklen_t bytes) noexcept;

  // A numeric IPv4 or IPv6 address, the latter also with a scope ("fe80::1%eth0");
  // none if it is a name.
  static std::optional<Address> Parse(std::string_view host, uint16_t port);
  // A path that begins with '\0' is in Linux' abstract name space. Throws std::invalid_argument if
  // it is longer than 107 bytes.
  static Address Path(std::string_view path);

  int family() const noexcept { return storage_.ss_family; }  // AF_UNSPEC by default
  uint16_t port() const noexcept;                             // 0 for paths
  std::string host() const;                                   // numeric; empty for paths
  std::string path() const;                                   // empty unless AF_UNIX

  // "127.0.0.1:80", "[::1]:80", the path, or "unnamed".
  std::string ToString() const;

  const sockaddr* data() const noexcept { return reinterpret_cast<const sockaddr*>(&storage_); }
  socklen_t size() const noexcept { return bytes_; }
  bool operator==(const Address& other) const noexcept;

 private:
  sockaddr_storage storage_{};
  socklen_t bytes_ = 0;
};

}  // namespace loopsan
