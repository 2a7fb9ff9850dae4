#include "runtime/server.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <exception>
#include <memory>
#include <system_error>
#include <utility>

#include "runtime/dns.h"
#include "runtime/internal/findings.h"
#include "runtime/internal/loop_private.h"
#include "runtime/internal/socket.h"
#include "runtime/sleep.h"
#include "runtime/spawn.h"

namespace loopsan {

namespace internal {

namespace {
// So many connections are taken before others get their turn.
constexpr int kAcceptBatch = 64;
}  // namespace

class ServerCore;

// One connection of a server: in its list as long as its task has it, which may
// be cancelled before it begins.
struct Connection : ListNode {
  Connection(RefPtr<ServerCore> the_server, StreamRef the_stream);
  ~Connection();
  const RefPtr<ServerCore> server;
  const StreamRef stream;
  AnyTaskHandle task;
};

class ServerCore : public RefCounted<ServerCore>, private LoopResource {
 public:
  ServerCore(EventLoop& loop, ServerOptions options, Site made_at)
      : options_(std::move(options)), loop_(&loop), made_at_(made_at) {
    LoopPrivate::resources(loop).PushBack(this);
  }
  virtual ~ServerCore() = default;

  void CheckUse(const char* what, std::source_location here) const {
    if (loop_ == nullptr) {
      throw UsageError(std::string(what) + ": the event loop of this server is closed");
    }
    LoopPrivate::CheckUse(*loop_, what, here);
  }

  // REQUIRES: the socket is bound.
  void Listen(Descriptor socket);
  void StartAccepting();

  std::vector<Address> addresses() const;
  bool is_serving() const noexcept { return !closed_; }
  size_t connections() const noexcept { return count_; }

  void Close() noexcept;
  void CloseClients() noexcept;
  void AbortClients() noexcept;
  void CancelClients() noexcept;
  void Drop() noexcept;
  bool is_over() const noexcept { return closed_ && count_ == 0; }

  // The socket file to be removed at the end.
  void OwnPath(std::string path);

  List<Waiter> waiters;

 protected:
  virtual Task<> Handle(StreamRef stream) = 0;
  virtual void Prepare(const Descriptor& socket) = 0;

 private:
  friend Connection;
  struct Listener {
    Listener(EventLoop& loop, Descriptor socket)
        : readiness(loop, std::move(socket), "connection") {}
    Readiness readiness;
    AnyTaskHandle accepting;
  };

  static Task<> Accept(RefPtr<ServerCore> core, std::shared_ptr<Listener> listener);
  static Task<> Serve(std::unique_ptr<Connection> connection);
  void OnLoopClosed() noexcept override;
  void Begin(Descriptor socket);
  void TellIfOver() noexcept;
  void ReportUnclosed(const char* how) const noexcept;

  const ServerOptions options_;
  EventLoop* loop_;  // null once it is closed
  const Site made_at_;
  std::vector<std::shared_ptr<Listener>> listeners_;
  List<Connection> connections_;
  size_t count_ = 0;
  uint64_t accepted_ = 0;
  bool closed_ = false;
  std::string path_;
  dev_t path_device_ = 0;
  ino_t path_inode_ = 0;
};

void ServerCore::Listen(Descriptor socket) {
  if (listen(socket.get(), options_.backlog) != 0) {
    ThrowErrno("listening on " + LocalAddress(socket.get()).ToString());
  }
  listeners_.push_back(std::make_shared<Listener>(*loop_, std::move(socket)));
}

void ServerCore::StartAccepting() {
  for (const std::shared_ptr<Listener>& listener : listeners_) {
    listener->accepting = loop_->Spawn(Accept(RefPtr<ServerCore>(this), listener), "accept",
                                       std::bit_cast<std::source_location>(made_at_));
  }
}

Task<> ServerCore::Accept(RefPtr<ServerCore> core, std::shared_ptr<Listener> listener) {
  Readiness& readiness = listener->readiness;
  int taken = 0;
  while (readiness.is_open()) {
    Descriptor accepted(accept4(readiness.fd(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
    if (accepted.is_open()) {
      core->Begin(std::move(accepted));
      if (++taken % kAcceptBatch == 0) co_await GiveWay();
      continue;
    }
    const int error = errno;
    if (error == EAGAIN || error == EWOULDBLOCK) {
      readiness.MarkUnreadable();
      co_await readiness.Readable();
      continue;
    }
    if (error == EMFILE || error == ENFILE || error == ENOBUFS || error == ENOMEM) {
      core->loop_->HandleException(
          {"a server can take no more connections for now",
           std::make_exception_ptr(std::system_error(error, std::generic_category(), "accept")),
           core->made_at_->file, core->made_at_->line, "accept"});
      co_await SleepFor(core->options_.accept_pause);
      continue;
    }
    if (error == EBADF || error == EINVAL || error == ENOTSOCK) {
      throw std::system_error(error, std::generic_category(), "accept");
    }
    // Something is wrong with that one connection, or its network (ECONNABORTED,
    // EPERM by a firewall, EPROTO, ...): it is gone from the queue.
    if (++taken % kAcceptBatch == 0) co_await GiveWay();
  }
}

void ServerCore::Begin(Descriptor socket) try {
  Prepare(socket);
  StreamRef stream(new StreamCore(*loop_, std::move(socket), StreamCore::Kind::kSocket, made_at_));
  stream->quiet_drop = true;
  auto connection = std::make_unique<Connection>(RefPtr<ServerCore>(this), std::move(stream));
  Connection* const added = connection.get();
  ++accepted_;
  std::string name;
  if (!options_.name.empty()) name = options_.name + "-" + std::to_string(accepted_);
  added->task = loop_->Spawn(Serve(std::move(connection)), name,
                             std::bit_cast<std::source_location>(made_at_));
} catch (...) {
  loop_->HandleException({"a connection could not be taken", std::current_exception(),
                          made_at_->file, made_at_->line, "accept"});
}

Connection::Connection(RefPtr<ServerCore> the_server, StreamRef the_stream)
    : server(std::move(the_server)), stream(std::move(the_stream)) {
  server->connections_.PushBack(this);
  ++server->count_;
}

Connection::~Connection() {
  Unlink();
  --server->count_;
  server->TellIfOver();
}

Task<> ServerCore::Serve(std::unique_ptr<Connection> connection) {
  ServerCore* const core = connection->server.get();
  const StreamRef stream = connection->stream;
  bool cancelled = false;
  try {
    co_await core->Handle(stream);
  } catch (const CancelledError&) {
    cancelled = true;
  } catch (...) {
    core->loop_->HandleException({"a connection's handler failed", std::current_exception(),
                                  core->made_at_->file, core->made_at_->line,
                                  CurrentTask().name()});
  }
  if (cancelled) {
    stream->Close();
    throw CancelledError();
  }
  // What the handler moved elsewhere is open, and no longer ours.
  if (!stream->is_closing() || stream->is_closed()) co_return;
  try {
    StreamWait closed(stream, StreamWait::For::kClosed);
    co_await closed;
  } catch (const CancelledError&) {
    stream->Abort();
    throw;
  } catch (const std::system_error&) {
    // The peer has left before it got everything.
  }
}

std::vector<Address> ServerCore::addresses() const {
  std::vector<Address> addresses;
  for (const auto& listener : listeners_) {
    if (listener->readiness.is_open()) {
      addresses.push_back(LocalAddress(listener->readiness.fd()));
    }
  }
  return addresses;
}

void ServerCore::OwnPath(std::string path) {
  struct stat found{};
  if (path.empty() || path[0] == '\0' || stat(path.c_str(), &found) != 0) return;
  path_ = std::move(path);
  path_device_ = found.st_dev;
  path_inode_ = found.st_ino;
}

void ServerCore::Close() noexcept {
  if (closed_) return;
  closed_ = true;
  for (const auto& listener : listeners_) {
    listener->readiness.Close();
    // It may be pausing.
    if (listener->accepting.valid() && loop_ != nullptr && !loop_->is_closed()) {
      listener->accepting.state()->Cancel();
    }
  }
  struct stat found{};
  // Not if another server has its own there by now.
  if (!path_.empty() && stat(path_.c_str(), &found) == 0 && found.st_dev == path_device_ &&
      found.st_ino == path_inode_) {
    unlink(path_.c_str());
  }
  TellIfOver();
}

void ServerCore::CloseClients() noexcept {
  Connection* next = nullptr;
  for (Connection* each = connections_.front(); each != nullptr; each = next) {
    next = connections_.After(each);
    each->stream->Close();
  }
}

void ServerCore::AbortClients() noexcept {
  Connection* next = nullptr;
  for (Connection* each = connections_.front(); each != nullptr; each = next) {
    next = connections_.After(each);
    each->stream->Abort();
  }
}

void ServerCore::CancelClients() noexcept {
  Connection* next = nullptr;
  for (Connection* each = connections_.front(); each != nullptr; each = next) {
    next = connections_.After(each);
    if (each->task.valid() && each->task.state() != t_runner.task) each->task.state()->Cancel();
  }
}

void ServerCore::TellIfOver() noexcept {
  if (!is_over()) return;
  while (Waiter* const waiter = waiters.front()) waiter->Wake();
}

void ServerCore::Drop() noexcept {
  if (closed_) return;
  // While an exception unwinds the stack, closing is what the destructor is for.
  if (std::uncaught_exceptions() == 0) ReportUnclosed("was destroyed without having been closed");
  Close();
}

void ServerCore::OnLoopClosed() noexcept {
  if (!closed_) ReportUnclosed("was still open when its loop was closed");
  Close();
  loop_ = nullptr;
}

void ServerCore::ReportUnclosed(const char* how) const noexcept try {
  if (loop_ == nullptr || !loop_->debug()) return;
  Found found{.rule = Rule::kUnclosedServer, .message = {}};
  found.where = made_at_;
  found.task = t_runner.task;
  found.message = std::string("a server ") + how;
  Report(found);
} catch (...) {
  // Out of memory: the report is lost.
}

namespace {

class TcpServerCore final : public ServerCore {
 public:
  TcpServerCore(EventLoop& loop, ServerOptions options, Site made_at,
                std::function<Task<>(TcpStream)> handler)
      : ServerCore(loop, std::move(options), made_at), handler_(std::move(handler)) {}

 private:
  Task<> Handle(StreamRef stream) override { return handler_(TcpStream(std::move(stream))); }
  void Prepare(const Descriptor& socket) override {
    // A peer that has reset is no reason to complain: reading will say it.
    const int on = 1;
    setsockopt(socket.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  }
  const std::function<Task<>(TcpStream)> handler_;
};

class UnixServerCore final : public ServerCore {
 public:
  UnixServerCore(EventLoop& loop, ServerOptions options, Site made_at,
                 std::function<Task<>(UnixStream)> handler)
      : ServerCore(loop, std::move(options), made_at), handler_(std::move(handler)) {}

 private:
  Task<> Handle(StreamRef stream) override { return handler_(UnixStream(std::move(stream))); }
  void Prepare(const Descriptor&) override {}
  const std::function<Task<>(UnixStream)> handler_;
};

}  // namespace

ServerWait::ServerWait(RefPtr<ServerCore> core) noexcept : core_(std::move(core)) {}
ServerWait::~ServerWait() = default;

bool ServerWait::await_ready(std::source_location here) noexcept {
  Begin(here);
  return core_->is_over();
}

void ServerWait::Link() noexcept { core_->waiters.PushBack(this); }

}  // namespace internal

using internal::Descriptor;
using internal::RefPtr;
using internal::ServerCore;
using internal::SiteOf;

Server::Server() noexcept = default;
Server::Server(RefPtr<ServerCore> core) noexcept : core_(std::move(core)) {}
Server::Server(Server&& other) noexcept = default;
Server& Server::operator=(Server&& other) noexcept {
  if (this != &other) {
    if (core_) core_->Drop();
    core_ = std::move(other.core_);
  }
  return *this;
}
Server::~Server() {
  if (core_) core_->Drop();
}

ServerCore& Server::Use(const char* what, std::source_location here) const {
  if (!core_) throw UsageError(std::string(what) + ": the server was moved from");
  core_->CheckUse(what, here);
  return *core_;
}

std::vector<Address> Server::addresses() const { return core_->addresses(); }
bool Server::is_serving() const noexcept { return core_ && core_->is_serving(); }
size_t Server::connections() const noexcept { return core_->connections(); }
void Server::Close(std::source_location here) { Use("Server::Close", here).Close(); }
void Server::CloseClients(std::source_location here) {
  Use("Server::CloseClients", here).CloseClients();
}
void Server::AbortClients(std::source_location here) {
  Use("Server::AbortClients", here).AbortClients();
}
void Server::CancelClients(std::source_location here) {
  Use("Server::CancelClients", here).CancelClients();
}
internal::ServerWait Server::WaitClosed(std::source_location here) const {
  return internal::ServerWait(RefPtr<ServerCore>(&Use("Server::WaitClosed", here)));
}

Task<Server> StartServer(std::function<Task<>(TcpStream)> handler, std::string host, uint16_t port,
                         ServerOptions options, std::source_location here) {
  EventLoop& loop = EventLoop::Running();
  internal::LoopPrivate::CheckUse(loop, "StartServer", here);
  AddressOptions wanted;
  wanted.family = options.family;
  wanted.passive = true;
  const std::vector<Address> addresses = co_await GetAddressInfo(host, port, wanted, here);
  const RefPtr<internal::TcpServerCore> core(
      new internal::TcpServerCore(loop, options, SiteOf(here), std::move(handler)));
  uint16_t chosen = port;
  size_t listening = 0;
  for (size_t i = 0; i < addresses.size(); ++i) {
    const Address& address = addresses[i];
    Descriptor socket;
    try {
      socket = internal::MakeSocket(address.family(), SOCK_STREAM);
    } catch (const std::system_error& error) {
      // A kernel without IPv6; as long as there is another address.
      if (error.code().value() != EAFNOSUPPORT || (i + 1 == addresses.size() && listening == 0)) {
        throw;
      }
      continue;
    }
    if (options.reuse_address) internal::SetOption(socket, SOL_SOCKET, SO_REUSEADDR, 1);
    if (options.reuse_port) internal::SetOption(socket, SOL_SOCKET, SO_REUSEPORT, 1);
    if (address.family() == AF_INET6) internal::SetOption(socket, IPPROTO_IPV6, IPV6_V6ONLY, 1);
    Address here_too = address;
    // All on the port that the first was given.
    if (port == 0 && chosen != 0) here_too = *Address::Parse(address.host(), chosen);
    internal::Bind(socket, here_too);
    chosen = internal::LocalAddress(socket.get()).port();
    core->Listen(std::move(socket));
    ++listening;
  }
  core->StartAccepting();
  co_return Server(RefPtr<ServerCore>(core.get()));
}

Task<Server> StartUnixServer(std::function<Task<>(UnixStream)> handler, std::string path,
                             ServerOptions options, std::source_location here) {
  EventLoop& loop = EventLoop::Running();
  internal::LoopPrivate::CheckUse(loop, "StartUnixServer", here);
  const Address address = Address::Path(path);
  Descriptor socket = internal::MakeSocket(AF_UNIX, SOCK_STREAM);
  struct stat found{};
  if (!path.empty() && path[0] != '\0' && lstat(path.c_str(), &found) == 0 &&
      S_ISSOCK(found.st_mode)) {
    unlink(path.c_str());
  }
  internal::Bind(socket, address);
  const RefPtr<internal::UnixServerCore> core(
      new internal::UnixServerCore(loop, options, SiteOf(here), std::move(handler)));
  core->Listen(std::move(socket));
  core->OwnPath(std::move(path));
  core->StartAccepting();
  co_return Server(RefPtr<ServerCore>(core.get()));
}

}  // namespace loopsan
