// Streams: bytes to and from a peer, as asyncio's StreamReader and StreamWriter in one.
//
//   TcpStream stream = co_await OpenConnection("example.org", 80);
//   stream.Write("GET / HTTP/1.0\r\n\r\n");
//   co_await stream.Drain();
//   std::string status = co_await stream.ReadLine();
//   stream.Close();
//   co_await stream.WaitClosed();
//
// Reading. One task at a time: a second gets UsageError. A read that finds bytes does
// not wait, but gives way to others after every 64th. Bytes are taken from the kernel
// when somebody reads, not before: so the peer is held back, and its end is known
// only to a reader.
//
// Writing. Write() never waits; what the kernel does not take is kept. `co_await
// Drain()` waits while that is more than the high-water mark (64 KiB), until it is at most the
// low-water mark (16 KiB). A connection that breaks makes Drain(), WriteAll() and
// WaitClosed() throw std::system_error; SIGPIPE is never raised.
//
// Closing. Close() sends what is kept, in the background, and then closes; readers see
// the end at once. The destructor does the same, and reports it in debug mode, unless an
// exception is on its way. A stream may not be destroyed while a task waits for it
// by reference, though nothing bad happens.
//
// Threads: the loop's only, on which it was made; UsageError on others in debug mode.
// Cancellation: a cancelled read loses nothing, the next one gets it; a cancelled
// WriteAll() has sent a part. Errors: std::system_error.
#pragma once

#include <cstddef>
#include <cstdint>
#include <source_location>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>

#include "runtime/address.h"
#include "runtime/internal/stream_core.h"
#include "runtime/task.h"

namespace loopsan {

// The stream ended before that many bytes, or before the separator. What came is
// in partial().
class IncompleteReadError : public std::runtime_error {
 public:
  // `expected`: 0 if a separator was wanted.
  IncompleteReadError(std::string partial, size_t expected);
  const std::string& partial() const noexcept { return partial_; }
  size_t expected() const noexcept { return expected_; }

 private:
  std::string partial_;
  size_t expected_;
};

// The separator does not come within the limit. Nothing was taken.
class LimitOverrunError : public std::runtime_error {
 public:
  LimitOverrunError(const char* message, size_t consumed)
      : std::runtime_error(message), consumed_(consumed) {}
  // So many bytes belong to what is too long, without the separator.
  size_t consumed() const noexcept { return consumed_; }

 private:
  size_t consumed_;
};

// Somebody else closed what this task waits for.
class ClosedError : public std::runtime_error {
 public:
  ClosedError() : std::runtime_error("it was closed while a task waited for it") {}
};

namespace internal {

// Waits in one of a stream's lists until it is woken.
class StreamWait final : public Waiter {
 public:
  enum class For : uint8_t { kDrain, kIdle, kClosed };
  StreamWait(StreamRef core, For what) noexcept : core_(std::move(core)), for_(what) {}

  bool await_ready(std::source_location here = std::source_location::current()) noexcept {
    Begin(here);
    gives_way_ = for_ == For::kDrain && (core_->IsTurnOver() || core_->is_closing());
    return !gives_way_ && IsOver();
  }
  template <typename P>
  void await_suspend(std::coroutine_handle<P> handle) {
    const bool over = IsOver();
    if (!over) list().PushBack(this);
    Suspend(handle, kNames[static_cast<int>(for_)], core_.get());
    if (over) Wake();
  }
  // Throws if the connection is broken.
  void await_resume() {
    Resumed();
    if (core_->error() != 0) core_->ThrowError();
  }

 private:
  static constexpr const char* kNames[] = {"stream to drain", "stream to be written",
                                           "stream to be closed"};
  bool IsOver() const noexcept {
    if (core_->is_closed() || (core_->error() != 0 && for_ != For::kClosed)) return true;
    if (for_ == For::kDrain) return !core_->is_paused();
    return for_ == For::kIdle && core_->is_idle();
  }
  List<Waiter>& list() const noexcept {
    if (for_ == For::kDrain) return core_->drainers;
    return for_ == For::kIdle ? core_->idle_waiters : core_->close_waiters;
  }

  const StreamRef core_;
  const For for_;
  bool gives_way_ = false;
};

}  // namespace internal

class Stream {
 public:
  static constexpr size_t kDefaultLimit = 64 * 1024;

  // Not a stream, until one is moved here.
  Stream() noexcept = default;
  Stream(Stream&& other) noexcept = default;
  Stream& operator=(Stream&& other) noexcept;
  ~Stream();

  bool valid() const noexcept { return static_cast<bool>(core_); }

  // At least one and at most `most` bytes; none at the end.
  Task<std::string> Read(size_t most = kDefaultLimit,
                         std::source_location here = std::source_location::current());
  // The same straight into the caller's memory; returns how many.
  Task<size_t> ReadInto(std::span<char> to,
                        std::source_location here = std::source_location::current());
  // Everything up to the end.
  Task<std::string> ReadAll(std::source_location here = std::source_location::current());
  // Throws IncompleteReadError if the end comes first.
  Task<std::string> ReadExactly(size_t bytes,
                                std::source_location here = std::source_location::current());
  // Up to and with the separator. Throws IncompleteReadError if the end comes first;
  // LimitOverrunError if more than `limit` bytes come before it, which stay readable;
  // std::invalid_argument if the separator is empty.
  Task<std::string> ReadUntil(std::string separator, size_t limit = kDefaultLimit,
                              std::source_location here = std::source_location::current());
  // ReadUntil("\n"), but at the end what there is, maybe nothing. A line that is too
  // long is thrown away, as far as it has come, before LimitOverrunError is thrown.
  Task<std::string> ReadLine(size_t limit = kDefaultLimit,
                             std::source_location here = std::source_location::current());
  // A read has seen the end, and all bytes are taken.
  bool at_eof() const noexcept { return core_->at_end && core_->in.empty(); }

  // Throws UsageError after Close() and WriteEof(). On a broken connection the bytes
  // are dropped, and Drain() throws.
  void Write(std::string_view bytes, std::source_location here = std::source_location::current());
  [[nodiscard("it waits only when it is awaited")]] internal::StreamWait Drain(
      std::source_location here = std::source_location::current()) const;
  // Returns when the kernel has taken all of `bytes`, which are not copied: they must
  // stay until then. Throws ClosedError if the stream is closed meanwhile.
  Task<> WriteAll(std::string_view bytes,
                  std::source_location here = std::source_location::current());
  // Half-close: the peer sees the end after what was written; reading goes on. On a
  // pipe the same as Close().
  void WriteEof(std::source_location here = std::source_location::current());

  // Drain() waits above `high` bytes until there are at most `low`.
  void SetWriteLimits(size_t high, size_t low) noexcept { core_->SetLimits(high, low); }
  // Bytes that were written and not yet taken by the kernel.
  size_t write_buffer_size() const noexcept { return core_->out.size(); }

  void Close(std::source_location here = std::source_location::current());
  // At once: what is kept is lost.
  void Abort(std::source_location here = std::source_location::current());
  bool is_closing() const noexcept { return core_->is_closing(); }
  // After Close(): returns when all is sent and the descriptor is closed.
  [[nodiscard("it waits only when it is awaited")]] internal::StreamWait WaitClosed(
      std::source_location here = std::source_location::current()) const;

  // -1 once it is closed. For looking only.
  int descriptor() const noexcept { return core_->readiness.fd(); }

  explicit Stream(internal::StreamRef core) noexcept : core_(std::move(core)) {}

 protected:
  const internal::StreamRef& core() const noexcept { return core_; }

 private:
  const internal::StreamRef& Use(const char* what, std::source_location here) const;
  internal::StreamRef core_;
};

// Over a connected socket. TCP_NODELAY is set.
class TcpStream : public Stream {
 public:
  using Stream::Stream;

  // Of the socket; default addresses once it is closed, or the peer has left.
  Address local_address() const;
  Address peer_address() const;
  // Small writes may (false) be collected by the kernel.
  void SetNoDelay(bool on);
};

class UnixStream : public Stream {
 public:
  using Stream::Stream;

  Address local_address() const;
  Address peer_address() const;

  // Takes a connected stream socket, and makes it non-blocking. REQUIRES: it belongs
  // to the caller.
  static UnixStream Adopt(int socket, std::source_location here = std::source_location::current());
};

struct ConnectOptions {
  // Not an aggregate: g++ 12 destroys a temporary one twice where it co_awaits.
  ConnectOptions() = default;

  int family = 0;  // AF_INET or AF_INET6; 0: either
  Address local;   // of this side; none: the kernel's choice
};

// Tries each address of `host` in turn. Throws DnsError (runtime/dns.h), or
// std::system_error with what each said.
Task<TcpStream> OpenConnection(std::string host, uint16_t port, ConnectOptions options = {},
                               std::source_location here = std::source_location::current());
// A path that begins with '\0' is in Linux' abstract name space.
Task<UnixStream> OpenUnixConnection(std::string path,
                                    std::source_location here = std::source_location::current());

}  // namespace loopsan
