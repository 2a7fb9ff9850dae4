#include "runtime/address.h"

#include <arpa/inet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stddef.h>
#include <string.h>
#include <sys/un.h>

#include <algorithm>
#include <charconv>
#include <stdexcept>

namespace loopsan {

namespace {

// getnameinfo() and getaddrinfo() would do, too; but they may load libraries, and
// a watched program would be told that its loop asks for names.
std::optional<uint32_t> ParseScope(const std::string& scope) {
  uint32_t number = 0;
  const auto [end, error] = std::from_chars(scope.data(), scope.data() + scope.size(), number);
  if (error == std::errc() && end == scope.data() + scope.size()) return number;
  const unsigned index = if_nametoindex(scope.c_str());
  return index != 0 ? std::optional<uint32_t>(index) : std::nullopt;
}

}  // namespace

Address::Address(const sockaddr* address, socklen_t bytes) noexcept
    : bytes_(std::min<socklen_t>(bytes, sizeof storage_)) {
  memcpy(&storage_, address, bytes_);
}

std::optional<Address> Address::Parse(std::string_view host, uint16_t port) {
  std::string text(host);
  sockaddr_in v4{};
  if (inet_pton(AF_INET, text.c_str(), &v4.sin_addr) == 1) {
    v4.sin_family = AF_INET;
    v4.sin_port = htons(port);
    return Address(reinterpret_cast<const sockaddr*>(&v4), sizeof v4);
  }
  sockaddr_in6 v6{};
  const size_t percent = text.find('%');
  if (percent != std::string::npos) {
    const std::optional<uint32_t> scope = ParseScope(text.substr(percent + 1));
    if (!scope) return std::nullopt;
    v6.sin6_scope_id = *scope;
    text.resize(percent);
  }
  if (inet_pton(AF_INET6, text.c_str(), &v6.sin6_addr) != 1) return std::nullopt;
  v6.sin6_family = AF_INET6;
  v6.sin6_port = htons(port);
  return Address(reinterpret_cast<const sockaddr*>(&v6), sizeof v6);
}

Address Address::Path(std::string_view path) {
  sockaddr_un address{};
  if (path.size() >= sizeof address.sun_path) {
    throw std::invalid_argument("the path of a Unix socket may have " +
                                std::to_string(sizeof address.sun_path - 1) + " bytes, this has " +
                                std::to_string(path.size()) + ": " + std::string(path));
  }
  address.sun_family = AF_UNIX;
  memcpy(address.sun_path, path.data(), path.size());
  const bool ends_with_nul = !path.empty() && path[0] != '\0';
  const size_t bytes = offsetof(sockaddr_un, sun_path) + path.size() + (ends_with_nul ? 1 : 0);
  return Address(reinterpret_cast<const sockaddr*>(&address), static_cast<socklen_t>(bytes));
}

uint16_t Address::port() const noexcept {
  if (family() == AF_INET) return ntohs(reinterpret_cast<const sockaddr_in*>(&storage_)->sin_port);
  if (family() == AF_INET6) {
    return ntohs(reinterpret_cast<const sockaddr_in6*>(&storage_)->sin6_port);
  }
  return 0;
}

std::string Address::host() const {
  char text[INET6_ADDRSTRLEN] = "";
  if (family() == AF_INET) {
    inet_ntop(AF_INET, &reinterpret_cast<const sockaddr_in*>(&storage_)->sin_addr, text,
              sizeof text);
  } else if (family() == AF_INET6) {
    const auto* const v6 = reinterpret_cast<const sockaddr_in6*>(&storage_);
    inet_ntop(AF_INET6, &v6->sin6_addr, text, sizeof text);
    if (v6->sin6_scope_id != 0) return std::string(text) + "%" + std::to_string(v6->sin6_scope_id);
  }
  return text;
}

std::string Address::path() const {
  constexpr size_t kHeader = offsetof(sockaddr_un, sun_path);
  if (family() != AF_UNIX || bytes_ <= kHeader) return {};
  const char* const text = reinterpret_cast<const sockaddr_un*>(&storage_)->sun_path;
  const size_t bytes = bytes_ - kHeader;
  return std::string(text, text[0] == '\0' ? bytes : strnlen(text, bytes));
}

std::string Address::ToString() const {
  if (family() == AF_INET) return host() + ":" + std::to_string(port());
  if (family() == AF_INET6) return "[" + host() + "]:" + std::to_string(port());
  std::string text = path();
  if (text.empty()) return "unnamed";
  if (text[0] == '\0') text[0] = '@';
  return text;
}

bool Address::operator==(const Address& other) const noexcept {
  return bytes_ == other.bytes_ && memcmp(&storage_, &other.storage_, bytes_) == 0;
}

}  // namespace loopsan
