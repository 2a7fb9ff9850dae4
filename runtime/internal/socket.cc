#include "runtime/internal/socket.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <exception>
#include <system_error>

#include "runtime/internal/loop_private.h"
#include "runtime/sleep.h"

namespace loopsan::internal {

void ThrowErrno(const std::string& what) {
  throw std::system_error(errno, std::generic_category(), what);
}

Descriptor MakeSocket(int family, int type) {
  Descriptor made(socket(family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!made.is_open()) ThrowErrno("making a socket");
  return made;
}

void Bind(const Descriptor& socket, const Address& address) {
  if (bind(socket.get(), address.data(), address.size()) != 0) {
    ThrowErrno("binding a socket to " + address.ToString());
  }
}

void SetOption(const Descriptor& socket, int level, int option, int value) {
  if (setsockopt(socket.get(), level, option, &value, sizeof value) != 0) {
    ThrowErrno("setting a socket option");
  }
}

void SetNonBlocking(int fd) {
  const int flags = fcntl(fd, F_GETFL);
  if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) != 0) {
    ThrowErrno("making descriptor " + std::to_string(fd) + " non-blocking");
  }
}

namespace {

Address AddressBy(int (*get)(int, sockaddr*, socklen_t*), int socket) noexcept {
  sockaddr_storage storage{};
  socklen_t bytes = sizeof storage;
  auto* const address = reinterpret_cast<sockaddr*>(&storage);
  return get(socket, address, &bytes) == 0 ? Address(address, bytes) : Address();
}

}  // namespace

Address LocalAddress(int socket) noexcept { return AddressBy(&getsockname, socket); }
Address PeerAddress(int socket) noexcept { return AddressBy(&getpeername, socket); }

Task<Descriptor> Connect(EventLoop& loop, Address to, Address from) {
  Descriptor made = MakeSocket(to.family(), SOCK_STREAM);
  if (from.size() != 0) Bind(made, from);
  const int fd = made.get();
  // A Unix socket whose queue is full refuses with EAGAIN, and tells nobody when
  // there is room again.
  Duration pause = std::chrono::milliseconds(1);
  int error = 0;
  for (;;) {
    error = connect(fd, to.data(), to.size()) == 0 ? 0 : errno;
    if (error != EAGAIN) break;
    co_await SleepFor(pause);
    pause = std::min<Duration>(pause * 2, std::chrono::milliseconds(50));
  }
  if (error == EINPROGRESS || error == EINTR) {
    Readiness readiness(loop, std::move(made), "socket to be connected");
    readiness.MarkUnwritable();
    co_await readiness.Writable();
    made = readiness.Release();
    socklen_t bytes = sizeof error;
    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &bytes) != 0) error = errno;
  }
  if (error != 0) {
    errno = error;
    ThrowErrno("connecting to " + to.ToString());
  }
  co_return made;
}

Task<Descriptor> ConnectToAny(EventLoop& loop, std::vector<Address> addresses, Address from) {
  std::string failures;
  std::error_code last;
  for (const Address& address : addresses) {
    if (from.size() != 0 && from.family() != address.family()) continue;
    try {
      Descriptor connected = co_await Connect(loop, address, from);
      co_return connected;
    } catch (const std::system_error& error) {
      failures += (failures.empty() ? "" : "; ") + std::string(error.what());
      last = error.code();
    }
  }
  if (failures.empty()) {
    throw std::system_error(EADDRNOTAVAIL, std::generic_category(),
                            "no address is of the family of the local one");
  }
  // The text of the code is in each already, and comes once more at the end.
  const std::string text = ": " + last.message();
  if (failures.ends_with(text)) failures.resize(failures.size() - text.size());
  throw std::system_error(last, failures);
}

}  // namespace loopsan::internal
