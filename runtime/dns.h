// Names to addresses, without holding up the loop.
//
//   std::vector<Address> found = co_await GetAddressInfo("example.org", 80);
//
// Numeric addresses are answered at once; names are looked up on the loop's
// default executor.
//
// Threads: the loop's only. Cancellation: a lookup that has begun goes on without
// its waiter. Errors: DnsError; std::system_error if the system fails.
#pragma once

#include <sys/socket.h>

#include <cstdint>
#include <source_location>
#include <stdexcept>
#include <string>
#include <vector>

#include "runtime/address.h"
#include "runtime/task.h"

namespace loopsan {

class DnsError : public std::runtime_error {
 public:
  // `code`: one of EAI_...
  DnsError(const std::string& host, int code);
  int code() const noexcept { return code_; }

 private:
  int code_;
};

struct AddressOptions {
  // Not an aggregate: g++ 12 destroys a temporary one twice where it co_awaits.
  AddressOptions() = default;

  int family = AF_UNSPEC;
  int type = SOCK_STREAM;
  // For sockets that listen: an empty host means every address of this machine.
  bool passive = false;
};

// At least one address, in the order in which they should be tried. An empty host
// is this machine.
Task<std::vector<Address>> GetAddressInfo(
    std::string host, uint16_t port, AddressOptions options = {},
    std::source_location here = std::source_location::current());

}  // namespace loopsan
