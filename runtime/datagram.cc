#include "runtime/datagram.h"

#include <errno.h>
#include <sys/socket.h>

#include <algorithm>
#include <exception>
#include <utility>
#include <vector>

#include "runtime/dns.h"
#include "runtime/internal/findings.h"
#include "runtime/internal/loop_private.h"
#include "runtime/internal/readiness.h"
#include "runtime/internal/socket.h"
#include "runtime/internal/stream_core.h"
#include "runtime/stream.h"

namespace loopsan {

using internal::Descriptor;
using internal::SiteOf;

namespace internal {

class DatagramCore {
 public:
  DatagramCore(EventLoop& loop, Descriptor socket, Site made_at)
      : readiness(loop, std::move(socket), "datagram socket"), made_at_(made_at) {
    readiness.object = this;
    readiness.on_loop_closed = [](void* object, bool debug) noexcept {
      auto* const core = static_cast<DatagramCore*>(object);
      if (debug) core->ReportUnclosed("was still open when its loop was closed");
    };
  }

  void Drop() noexcept {
    if (!readiness.is_open()) return;
    // While an exception unwinds the stack, closing is what the destructor is for.
    if (readiness.loop()->debug() && std::uncaught_exceptions() == 0) {
      ReportUnclosed("was destroyed without having been closed");
    }
    readiness.Close();
  }

  Readiness readiness;
  uint8_t calls = 0;

 private:
  void ReportUnclosed(const char* how) const noexcept try {
    Found found{.rule = Rule::kUnclosedStream, .message = {}};
    found.where = made_at_;
    found.task = t_runner.task;
    found.message = std::string("a datagram socket ") + how;
    Report(found);
  } catch (...) {
    // Out of memory: the report is lost.
  }

  const Site made_at_;
};

}  // namespace internal

namespace {

using CorePtr = std::shared_ptr<internal::DatagramCore>;

bool IsTurnOver(internal::DatagramCore& core) { return ++core.calls % 64 == 0; }

Task<Datagram> Receive(CorePtr core, size_t most) {
  if (IsTurnOver(*core)) co_await internal::GiveWay();
  std::string large;  // only for those that ask for more than fits into the scratch
  for (;;) {
    if (!core->readiness.is_open()) throw ClosedError();
    std::span<char> room = internal::StreamCore::Scratch();
    if (most > room.size()) {
      large.resize(most);
      room = large;
    }
    sockaddr_storage from{};
    socklen_t bytes = sizeof from;
    auto* const address = reinterpret_cast<sockaddr*>(&from);
    const ssize_t got = recvfrom(core->readiness.fd(), room.data(), std::min(most, room.size()), 0,
                                 address, &bytes);
    if (got >= 0) {
      Datagram datagram;
      datagram.bytes.assign(room.data(), static_cast<size_t>(got));
      datagram.from = Address(address, bytes);
      co_return datagram;
    }
    if (errno == EINTR) continue;
    if (errno != EAGAIN && errno != EWOULDBLOCK) internal::ThrowErrno("receiving a datagram");
    core->readiness.MarkUnreadable();
    co_await core->readiness.Readable();
  }
}

Task<> SendOne(CorePtr core, std::string bytes, Address to) {
  if (IsTurnOver(*core)) co_await internal::GiveWay();
  for (;;) {
    if (!core->readiness.is_open()) throw ClosedError();
    const sockaddr* const address = to.size() != 0 ? to.data() : nullptr;
    const ssize_t sent =
        sendto(core->readiness.fd(), bytes.data(), bytes.size(), MSG_NOSIGNAL, address, to.size());
    if (sent >= 0) co_return;
    if (errno == EINTR) continue;
    if (errno != EAGAIN && errno != EWOULDBLOCK) {
      internal::ThrowErrno("sending a datagram" +
                           (to.size() != 0 ? " to " + to.ToString() : std::string()));
    }
    core->readiness.MarkUnwritable();
    co_await core->readiness.Writable();
  }
}

void Connect(const Descriptor& socket, const Address& to) {
  if (connect(socket.get(), to.data(), to.size()) != 0) {
    internal::ThrowErrno("connecting a datagram socket to " + to.ToString());
  }
}

}  // namespace

DatagramSocket& DatagramSocket::operator=(DatagramSocket&& other) noexcept {
  if (this != &other) {
    if (core_) core_->Drop();
    core_ = std::move(other.core_);
  }
  return *this;
}

DatagramSocket::~DatagramSocket() {
  if (core_) core_->Drop();
}

CorePtr DatagramSocket::Use(const char* what, std::source_location here) const {
  if (!core_) throw UsageError(std::string(what) + ": the datagram socket was moved from");
  EventLoop* const loop = core_->readiness.loop();
  if (loop == nullptr) {
    throw UsageError(std::string(what) + ": the event loop of this datagram socket is closed");
  }
  internal::LoopPrivate::CheckUse(*loop, what, here);
  return core_;
}

Task<Datagram> DatagramSocket::ReceiveFrom(size_t most, std::source_location here) {
  return Receive(Use("DatagramSocket::ReceiveFrom", here), most);
}

Task<> DatagramSocket::SendTo(std::string bytes, Address to, std::source_location here) {
  return SendOne(Use("DatagramSocket::SendTo", here), std::move(bytes), to);
}

Task<> DatagramSocket::Send(std::string bytes, std::source_location here) {
  return SendOne(Use("DatagramSocket::Send", here), std::move(bytes), Address());
}

Address DatagramSocket::local_address() const {
  return internal::LocalAddress(core_->readiness.fd());
}
Address DatagramSocket::peer_address() const {
  return internal::PeerAddress(core_->readiness.fd());
}

void DatagramSocket::Close(std::source_location here) {
  if (is_closed()) return;
  Use("DatagramSocket::Close", here)->readiness.Close();
}

bool DatagramSocket::is_closed() const noexcept {
  return core_ == nullptr || !core_->readiness.is_open();
}

Task<DatagramSocket> OpenDatagramSocket(DatagramOptions options, std::source_location here) {
  EventLoop& loop = EventLoop::Running();
  internal::LoopPrivate::CheckUse(loop, "OpenDatagramSocket", here);
  AddressOptions wanted;
  wanted.family = options.family;
  wanted.type = SOCK_DGRAM;
  Address remote;
  if (!options.remote_host.empty()) {
    const std::vector<Address> found =
        co_await GetAddressInfo(options.remote_host, options.remote_port, wanted, here);
    remote = found.front();
    wanted.family = remote.family();
  }
  Address local;
  if (!options.local_host.empty() || options.local_port != 0) {
    wanted.passive = true;
    const std::vector<Address> found =
        co_await GetAddressInfo(options.local_host, options.local_port, wanted, here);
    local = found.front();
  }
  int family = options.family != 0 ? options.family : AF_INET;
  if (remote.size() != 0) family = remote.family();
  if (local.size() != 0) family = local.family();
  Descriptor socket = internal::MakeSocket(family, SOCK_DGRAM);
  if (options.reuse_port) internal::SetOption(socket, SOL_SOCKET, SO_REUSEPORT, 1);
  if (options.broadcast) internal::SetOption(socket, SOL_SOCKET, SO_BROADCAST, 1);
  if (local.size() != 0) internal::Bind(socket, local);
  if (remote.size() != 0) Connect(socket, remote);
  co_return DatagramSocket(
      std::make_shared<internal::DatagramCore>(loop, std::move(socket), SiteOf(here)));
}

DatagramSocket OpenUnixDatagramSocket(const UnixDatagramOptions& options,
                                      std::source_location here) {
  EventLoop& loop = EventLoop::Running();
  internal::LoopPrivate::CheckUse(loop, "OpenUnixDatagramSocket", here);
  Descriptor socket = internal::MakeSocket(AF_UNIX, SOCK_DGRAM);
  if (!options.local_path.empty()) internal::Bind(socket, Address::Path(options.local_path));
  if (!options.remote_path.empty()) Connect(socket, Address::Path(options.remote_path));
  return DatagramSocket(
      std::make_shared<internal::DatagramCore>(loop, std::move(socket), SiteOf(here)));
}

}  // namespace loopsan
