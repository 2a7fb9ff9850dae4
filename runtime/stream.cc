#include "runtime/stream.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <algorithm>
#include <utility>

#include "runtime/dns.h"
#include "runtime/internal/loop_private.h"
#include "runtime/internal/socket.h"

namespace loopsan {

using internal::Descriptor;
using internal::GiveWay;
using internal::SiteOf;
using internal::StreamCore;
using internal::StreamRef;
using internal::StreamWait;

IncompleteReadError::IncompleteReadError(std::string partial, size_t expected)
    : std::runtime_error("the stream ended after " + std::to_string(partial.size()) +
                         (expected != 0 ? " of " + std::to_string(expected) + " bytes"
                                        : " bytes without the separator")),
      partial_(std::move(partial)),
      expected_(expected) {}

namespace {

std::string Take(StreamCore& core, size_t bytes) {
  std::string taken(core.in.view().substr(0, bytes));
  core.in.Consume(taken.size());
  return taken;
}

Task<size_t> ReceiveInto(StreamRef core, std::span<char> to) {
  if (core->IsTurnOver()) co_await GiveWay();
  if (to.empty()) co_return 0;
  for (;;) {
    if (!core->in.empty()) {
      const size_t bytes = core->in.view().copy(to.data(), to.size());
      core->in.Consume(bytes);
      co_return bytes;
    }
    const ssize_t got = core->TryReceive(to.data(), to.size());
    if (got >= 0) co_return static_cast<size_t>(got);
    co_await core->readiness.Readable();
  }
}

Task<std::string> Receive(StreamRef core, size_t most) {
  if (core->IsTurnOver()) co_await GiveWay();
  for (;;) {
    if (!core->in.empty()) co_return Take(*core, most);
    if (most == 0) co_return std::string();
    const std::span<char> scratch = StreamCore::Scratch();
    const ssize_t got = core->TryReceive(scratch.data(), std::min(most, scratch.size()));
    if (got >= 0) co_return std::string(scratch.data(), static_cast<size_t>(got));
    co_await core->readiness.Readable();
  }
}

// Until there is something more in core->in: false at the end.
Task<bool> Fill(StreamRef core, size_t bytes) {
  for (;;) {
    const ssize_t got = core->TryFill(bytes);
    if (got >= 0) co_return got > 0;
    co_await core->readiness.Readable();
  }
}

Task<std::string> ReceiveAll(StreamRef core) {
  for (;;) {
    if (core->IsTurnOver()) co_await GiveWay();
    const bool more = co_await Fill(core, StreamCore::Scratch().size());
    if (!more) co_return Take(*core, std::string::npos);
  }
}

Task<std::string> ReceiveExactly(StreamRef core, size_t bytes) {
  if (core->IsTurnOver()) co_await GiveWay();
  while (core->in.size() < bytes) {
    const bool more = co_await Fill(core, bytes - core->in.size());
    if (!more) {
      std::string partial = Take(*core, std::string::npos);
      throw IncompleteReadError(std::move(partial), bytes);
    }
    if (core->in.size() < bytes && core->IsTurnOver()) co_await GiveWay();
  }
  co_return Take(*core, bytes);
}

Task<std::string> ReceiveUntil(StreamRef core, std::string separator, size_t limit) {
  if (separator.empty()) {
    throw std::invalid_argument("the separator must have at least one byte");
  }
  if (core->IsTurnOver()) co_await GiveWay();
  size_t looked = 0;  // the separator does not begin before
  for (;;) {
    const size_t found = core->in.view().find(separator, looked);
    if (found != std::string_view::npos) {
      if (found > limit) {
        throw LimitOverrunError("the separator is there, but behind the limit", found);
      }
      co_return Take(*core, found + separator.size());
    }
    if (core->in.size() >= separator.size()) looked = core->in.size() + 1 - separator.size();
    if (looked > limit) {
      throw LimitOverrunError("the separator does not come within the limit", looked);
    }
    const bool more = co_await Fill(core, 1);
    if (!more) {
      std::string partial = Take(*core, std::string::npos);
      throw IncompleteReadError(std::move(partial), 0);
    }
  }
}

Task<std::string> ReceiveLine(StreamRef core, size_t limit) {
  std::string partial;
  try {
    co_return co_await ReceiveUntil(core, "\n", limit);
  } catch (IncompleteReadError& error) {
    partial = error.partial();
  } catch (const LimitOverrunError& error) {
    const std::string_view rest = core->in.view().substr(error.consumed());
    const size_t end_of_line = !rest.empty() && rest.front() == '\n' ? 1 : 0;
    core->in.Consume(end_of_line != 0 ? error.consumed() + end_of_line : core->in.size());
    throw;
  }
  co_return partial;
}

Task<> SendAll(StreamRef core, std::string_view bytes) {
  if (core->IsTurnOver()) co_await GiveWay();
  {
    StreamWait idle(core, StreamWait::For::kIdle);
    co_await idle;
  }
  if (core->is_closing()) throw ClosedError();
  core->Write({});  // checks whether it may be written to
  struct Direct {
    explicit Direct(StreamCore& core) : core_(core) { core_.BeginDirect(); }
    ~Direct() { core_.EndDirect(); }
    StreamCore& core_;
  };
  const Direct direct(*core);
  for (;;) {
    while (!bytes.empty()) {
      const ssize_t sent = core->TrySend(bytes);
      if (core->error() != 0) core->ThrowError();
      if (sent < 0) break;
      bytes.remove_prefix(static_cast<size_t>(sent));
    }
    if (bytes.empty()) co_return;
    const bool open = co_await core->readiness.Writable();
    if (!open || core->is_closing()) throw ClosedError();
  }
}

Task<TcpStream> Connected(EventLoop& loop, std::string host, uint16_t port, ConnectOptions options,
                          std::source_location here) {
  AddressOptions wanted;
  wanted.family = options.family;
  std::vector<Address> addresses = co_await GetAddressInfo(host, port, wanted, here);
  Descriptor socket = co_await internal::ConnectToAny(loop, std::move(addresses), options.local);
  internal::SetOption(socket, IPPROTO_TCP, TCP_NODELAY, 1);
  co_return TcpStream(
      StreamRef(new StreamCore(loop, std::move(socket), StreamCore::Kind::kSocket, SiteOf(here))));
}

Task<UnixStream> UnixConnected(EventLoop& loop, std::string path, std::source_location here) {
  const Address address = Address::Path(path);
  Descriptor socket = co_await internal::Connect(loop, address, Address());
  co_return UnixStream(
      StreamRef(new StreamCore(loop, std::move(socket), StreamCore::Kind::kSocket, SiteOf(here))));
}

}  // namespace

// Stream ------------------------------------------------------------------------------

Stream& Stream::operator=(Stream&& other) noexcept {
  if (this != &other) {
    if (core_) core_->Drop();
    core_ = std::move(other.core_);
  }
  return *this;
}

Stream::~Stream() {
  if (core_) core_->Drop();
}

const StreamRef& Stream::Use(const char* what, std::source_location here) const {
  if (!core_) throw UsageError(std::string(what) + ": the stream was moved from");
  core_->CheckUse(what, here);
  return core_;
}

Task<std::string> Stream::Read(size_t most, std::source_location here) {
  Use("Stream::Read", here)->CheckReads();
  return Receive(core_, most);
}

Task<size_t> Stream::ReadInto(std::span<char> to, std::source_location here) {
  Use("Stream::ReadInto", here)->CheckReads();
  return ReceiveInto(core_, to);
}

Task<std::string> Stream::ReadAll(std::source_location here) {
  Use("Stream::ReadAll", here)->CheckReads();
  return ReceiveAll(core_);
}

Task<std::string> Stream::ReadExactly(size_t bytes, std::source_location here) {
  Use("Stream::ReadExactly", here)->CheckReads();
  return ReceiveExactly(core_, bytes);
}

Task<std::string> Stream::ReadUntil(std::string separator, size_t limit,
                                    std::source_location here) {
  Use("Stream::ReadUntil", here)->CheckReads();
  return ReceiveUntil(core_, std::move(separator), limit);
}

Task<std::string> Stream::ReadLine(size_t limit, std::source_location here) {
  Use("Stream::ReadLine", here)->CheckReads();
  return ReceiveLine(core_, limit);
}

void Stream::Write(std::string_view bytes, std::source_location here) {
  Use("Stream::Write", here)->Write(bytes);
}

StreamWait Stream::Drain(std::source_location here) const {
  return StreamWait(Use("Stream::Drain", here), StreamWait::For::kDrain);
}

Task<> Stream::WriteAll(std::string_view bytes, std::source_location here) {
  return SendAll(Use("Stream::WriteAll", here), bytes);
}

void Stream::WriteEof(std::source_location here) { Use("Stream::WriteEof", here)->WriteEof(); }

void Stream::Close(std::source_location here) {
  if (core_ && core_->is_closing()) return;
  Use("Stream::Close", here)->Close();
}

void Stream::Abort(std::source_location here) {
  if (core_ && core_->is_closed()) return;
  Use("Stream::Abort", here)->Abort();
}

StreamWait Stream::WaitClosed(std::source_location here) const {
  return StreamWait(Use("Stream::WaitClosed", here), StreamWait::For::kClosed);
}

// Sockets -----------------------------------------------------------------------------

Address TcpStream::local_address() const { return internal::LocalAddress(descriptor()); }
Address TcpStream::peer_address() const { return internal::PeerAddress(descriptor()); }

void TcpStream::SetNoDelay(bool on) {
  const int value = on ? 1 : 0;
  if (setsockopt(descriptor(), IPPROTO_TCP, TCP_NODELAY, &value, sizeof value) != 0) {
    internal::ThrowErrno("setting TCP_NODELAY");
  }
}

Address UnixStream::local_address() const { return internal::LocalAddress(descriptor()); }
Address UnixStream::peer_address() const { return internal::PeerAddress(descriptor()); }

UnixStream UnixStream::Adopt(int socket, std::source_location here) {
  Descriptor descriptor(socket);
  EventLoop& loop = EventLoop::Running();
  internal::SetNonBlocking(socket);
  return UnixStream(StreamRef(
      new StreamCore(loop, std::move(descriptor), StreamCore::Kind::kSocket, SiteOf(here))));
}

Task<TcpStream> OpenConnection(std::string host, uint16_t port, ConnectOptions options,
                               std::source_location here) {
  EventLoop& loop = EventLoop::Running();
  internal::LoopPrivate::CheckUse(loop, "OpenConnection", here);
  return Connected(loop, std::move(host), port, options, here);
}

Task<UnixStream> OpenUnixConnection(std::string path, std::source_location here) {
  EventLoop& loop = EventLoop::Running();
  internal::LoopPrivate::CheckUse(loop, "OpenUnixConnection", here);
  return UnixConnected(loop, std::move(path), here);
}

}  // namespace loopsan
