#include "runtime/dns.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>

#include <memory>
#include <optional>
#include <system_error>

#include "runtime/executor.h"
#include "runtime/internal/loop_private.h"

namespace loopsan {

namespace {

std::vector<Address> LookUp(const std::string& host, uint16_t port, const AddressOptions& options) {
  addrinfo hints{};
  hints.ai_family = options.family;
  hints.ai_socktype = options.type;
  addrinfo* list = nullptr;
  const int code = getaddrinfo(host.c_str(), nullptr, &hints, &list);
  if (code == EAI_SYSTEM) {
    throw std::system_error(errno, std::generic_category(), "looking up " + host);
  }
  if (code != 0) throw DnsError(host, code);
  const std::unique_ptr<addrinfo, void (*)(addrinfo*)> owner(list, &freeaddrinfo);
  std::vector<Address> found;
  for (const addrinfo* each = list; each != nullptr; each = each->ai_next) {
    if (each->ai_family == AF_INET) {
      reinterpret_cast<sockaddr_in*>(each->ai_addr)->sin_port = htons(port);
    } else if (each->ai_family == AF_INET6) {
      reinterpret_cast<sockaddr_in6*>(each->ai_addr)->sin6_port = htons(port);
    } else {
      continue;
    }
    const Address address(each->ai_addr, each->ai_addrlen);
    bool known = false;
    for (const Address& earlier : found) known |= earlier == address;
    if (!known) found.push_back(address);
  }
  if (found.empty()) throw DnsError(host, EAI_NODATA);
  return found;
}

std::vector<Address> Numeric(const std::string& host, uint16_t port,
                             const AddressOptions& options) {
  std::vector<Address> found;
  if (host.empty()) {
    const bool any = options.passive;
    if (options.family != AF_INET6)
      found.push_back(*Address::Parse(any ? "0.0.0.0" : "127.0.0.1", port));
    if (options.family != AF_INET) found.push_back(*Address::Parse(any ? "::" : "::1", port));
    return found;
  }
  if (const std::optional<Address> address = Address::Parse(host, port)) {
    if (options.family != AF_UNSPEC && options.family != address->family()) {
      throw DnsError(host, EAI_ADDRFAMILY);
    }
    found.push_back(*address);
  }
  return found;
}

}  // namespace

DnsError::DnsError(const std::string& host, int code)
    : std::runtime_error("cannot find the address of '" + host + "': " + gai_strerror(code)),
      code_(code) {}

Task<std::vector<Address>> GetAddressInfo(std::string host, uint16_t port, AddressOptions options,
                                          std::source_location here) {
  internal::LoopPrivate::CheckUse(EventLoop::Running(), "GetAddressInfo", here);
  std::vector<Address> found = Numeric(host, port, options);
  if (!found.empty()) co_return found;
  const auto look_up = [host, port, options] { return LookUp(host, port, options); };
  auto job = RunInExecutor(look_up, here);
  found = co_await std::move(job);
  co_return found;
}

}  // namespace loopsan
