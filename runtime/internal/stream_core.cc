#include "runtime/internal/stream_core.h"

#include <errno.h>
#include <signal.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <memory>
#include <string>
#include <system_error>

#include "runtime/internal/findings.h"
#include "runtime/internal/loop_private.h"

namespace loopsan::internal {

namespace {

constexpr size_t kScratchBytes = 64 * 1024;

const char* NameOf(StreamCore::Kind kind) {
  return kind == StreamCore::Kind::kSocket ? "socket" : "pipe";
}

// write() to a pipe that nobody reads raises SIGPIPE, and no flag prevents it. The
// signal goes to this thread: it is held back, and taken if it was not there before.
ssize_t WriteWithoutSignal(int fd, const char* bytes, size_t count) noexcept {
  sigset_t sigpipe;
  sigset_t before;
  sigset_t pending;
  sigemptyset(&sigpipe);
  sigaddset(&sigpipe, SIGPIPE);
  sigpending(&pending);
  const bool was_pending = sigismember(&pending, SIGPIPE) == 1;
  pthread_sigmask(SIG_BLOCK, &sigpipe, &before);
  const ssize_t written = write(fd, bytes, count);
  const int error = errno;
  if (written < 0 && error == EPIPE && !was_pending) {
    constexpr timespec kAtOnce{};
    while (sigtimedwait(&sigpipe, nullptr, &kAtOnce) < 0 && errno == EINTR) {
    }
  }
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  errno = error;
  return written;
}

}  // namespace

StreamCore::StreamCore(EventLoop& loop, Descriptor descriptor, Kind kind, Site made_at)
    : readiness(loop, std::move(descriptor), NameOf(kind)), kind_(kind), made_at_(made_at) {
  readiness.object = this;
  readiness.on_writable = [](void* object) noexcept {
    auto* const core = static_cast<StreamCore*>(object);
    if (!core->out.empty() && !core->direct_) core->ScheduleFlush();
  };
  readiness.on_loop_closed = [](void* object, bool debug) noexcept {
    auto* const core = static_cast<StreamCore*>(object);
    if (debug && !core->closing_ && !core->quiet_drop) {
      core->ReportUnclosed("was still open when its loop was closed");
    }
    core->closing_ = true;
    core->out.Clear();
    core->self_ = StreamRef();  // may delete it
  };
}

StreamCore::~StreamCore() = default;

void StreamCore::CheckUse(const char* what, std::source_location here) const {
  if (readiness.loop() == nullptr) {
    throw UsageError(std::string(what) + ": the event loop of this stream is closed");
  }
  LoopPrivate::CheckUse(*readiness.loop(), what, here);
}

void StreamCore::CheckReads() const {
  if (kind_ == Kind::kWritePipe) throw UsageError("this end of a pipe is only written to");
}

std::span<char> StreamCore::Scratch() {
  thread_local const std::unique_ptr<char[]> scratch =
      std::make_unique_for_overwrite<char[]>(kScratchBytes);
  return {scratch.get(), kScratchBytes};
}

void StreamCore::ThrowError() const {
  throw std::system_error(error_, std::generic_category(), "writing to a stream");
}

void StreamCore::SetLimits(size_t high, size_t low) noexcept {
  constexpr size_t kMost = ~uint32_t{0};
  high_ = static_cast<uint32_t>(std::min(high, kMost));
  low_ = static_cast<uint32_t>(std::min({low, high, kMost}));
  if (out.size() > high_) paused_ = true;
}

// Reading ---------------------------------------------------------------------------

ssize_t StreamCore::TryReceive(char* to, size_t bytes) {
  if (at_end || closing_) return 0;
  if (read_error_ == 0) {
    if (!readiness.readable()) return -1;
    ssize_t got = 0;
    do {
      got = kind_ == Kind::kSocket ? recv(readiness.fd(), to, bytes, 0)
                                   : read(readiness.fd(), to, bytes);
    } while (got < 0 && errno == EINTR);
    if (got > 0) {
      if (static_cast<size_t>(got) < bytes && kind_ == Kind::kSocket) readiness.NoteShortRead();
      return got;
    }
    if (got == 0) {
      at_end = true;
      return 0;
    }
    if (errno == EAGAIN || errno == EWOULDBLOCK) {
      readiness.MarkUnreadable();
      return -1;
    }
    read_error_ = errno;
  }
  throw std::system_error(read_error_, std::generic_category(), "reading from a stream");
}

ssize_t StreamCore::TryFill(size_t bytes) {
  const std::span<char> scratch = Scratch();
  if (bytes >= scratch.size()) {
    // Straight into place; little by little, as the peer keeps its promise.
    const size_t room = std::min<size_t>(bytes, std::max<size_t>(scratch.size(), in.size()));
    const ssize_t got = TryReceive(in.Room(room), room);
    if (got > 0) in.Added(static_cast<size_t>(got));
    return got;
  }
  const ssize_t got = TryReceive(scratch.data(), scratch.size());
  if (got > 0) in.Append({scratch.data(), static_cast<size_t>(got)});
  return got;
}

// Writing ---------------------------------------------------------------------------

ssize_t StreamCore::TrySend(std::string_view bytes) noexcept {
  for (;;) {
    const ssize_t sent = kind_ == Kind::kSocket
                             ? send(readiness.fd(), bytes.data(), bytes.size(), MSG_NOSIGNAL)
                             : WriteWithoutSignal(readiness.fd(), bytes.data(), bytes.size());
    if (sent >= 0) return sent;
    if (errno == EINTR) continue;
    if (errno == EAGAIN || errno == EWOULDBLOCK) {
      readiness.MarkUnwritable();
      return -1;
    }
    Break(errno);
    return static_cast<ssize_t>(bytes.size());
  }
}

void StreamCore::Write(std::string_view bytes) {
  if (kind_ == Kind::kReadPipe) throw UsageError("this end of a pipe is only read from");
  if (closing_) throw UsageError("a stream is written to after it was closed");
  if (ends_writes_) throw UsageError("a stream is written to after WriteEof()");
  while (!bytes.empty() && error_ == 0 && is_idle()) {
    const ssize_t sent = TrySend(bytes);
    if (sent < 0) break;
    bytes.remove_prefix(static_cast<size_t>(sent));
  }
  if (bytes.empty() || error_ != 0) return;  // Drain() says that it is broken
  out.Append(bytes);
  if (out.size() > high_) paused_ = true;
}

void StreamCore::ScheduleFlush() {
  if (flush_queued_) return;
  flush_queued_ = true;
  const auto flush = [core = StreamRef(this)] {
    core->flush_queued_ = false;
    core->Flush();
  };
  LoopPrivate::ready(*readiness.loop())
      .Push(new CallbackOf(readiness.loop(), made_at_, std::move(flush)));
}

void StreamCore::Flush() noexcept {
  if (direct_ || is_closed()) return;
  while (!out.empty()) {
    const ssize_t sent = TrySend(out.view());
    if (error_ != 0) return;
    if (sent < 0) break;
    out.Consume(static_cast<size_t>(sent));
  }
  if (paused_ && out.size() <= low_) {
    paused_ = false;
    WakeAll(drainers);
  }
  if (!out.empty()) return;
  WakeAll(idle_waiters);
  if (closing_) {
    FinishClose();
  } else if (ends_writes_) {
    shutdown(readiness.fd(), SHUT_WR);
  }
}

void StreamCore::EndDirect() noexcept {
  direct_ = false;
  const StreamRef alive(this);
  Flush();
}

void StreamCore::WriteEof() {
  if (kind_ == Kind::kReadPipe) throw UsageError("this end of a pipe is only read from");
  if (closing_ || ends_writes_) return;
  if (kind_ == Kind::kWritePipe) {
    Close();
    return;
  }
  ends_writes_ = true;
  if (is_idle() && error_ == 0) shutdown(readiness.fd(), SHUT_WR);
}

void StreamCore::Break(int error) noexcept {
  if (error_ == 0) error_ = error;
  out.Clear();
  paused_ = false;
  WakeAll(drainers);
  WakeAll(idle_waiters);
  if (closing_) FinishClose();
}

// Ending ----------------------------------------------------------------------------

void StreamCore::WakeAll(List<Waiter>& waiters) noexcept {
  while (Waiter* const waiter = waiters.front()) waiter->Wake();
}

void StreamCore::Close() noexcept {
  if (closing_) return;
  closing_ = true;
  readiness.EndReads();
  if (is_idle() || error_ != 0) {
    FinishClose();
  } else if (readiness.loop() == nullptr || readiness.loop()->is_closed()) {
    Flush();  // once more, for what it is worth
    FinishClose();
  } else {
    self_ = StreamRef(this);
  }
}

void StreamCore::Abort() noexcept {
  const StreamRef alive(this);
  closing_ = true;
  out.Clear();
  FinishClose();
}

void StreamCore::FinishClose() noexcept {
  const StreamRef self = std::move(self_);
  readiness.Close();
  WakeAll(drainers);
  WakeAll(idle_waiters);
  WakeAll(close_waiters);
}

void StreamCore::Drop() noexcept {
  if (closing_) return;
  // While an exception unwinds the stack, closing is what the destructor is for.
  const bool debug = readiness.loop() != nullptr && readiness.loop()->debug();
  if (debug && !quiet_drop && std::uncaught_exceptions() == 0) {
    ReportUnclosed("was destroyed without having been closed");
  }
  Close();
}

void StreamCore::ReportUnclosed(const char* how) const noexcept try {
  Found found{.rule = Rule::kUnclosedStream, .message = {}};
  found.where = made_at_;
  found.task = t_runner.task;
  found.message = std::string("a stream (") + NameOf(kind_) + ") " + how;
  Report(found);
} catch (...) {
  // Out of memory: the report is lost.
}

}  // namespace loopsan::internal
