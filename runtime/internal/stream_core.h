// What the Streams of one connection share with the coroutines that read and
// write it. See runtime/stream.h.
//
// Threads: the loop's only.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <span>
#include <string_view>

#include "runtime/internal/byte_buffer.h"
#include "runtime/internal/frame_pool.h"
#include "runtime/internal/readiness.h"
#include "runtime/internal/ref.h"
#include "runtime/internal/site.h"

namespace loopsan::internal {

class StreamCore final : public RefCounted<StreamCore>, public Pooled {
 public:
  enum class Kind : uint8_t { kSocket, kReadPipe, kWritePipe };

  StreamCore(EventLoop& loop, Descriptor descriptor, Kind kind, Site made_at);
  ~StreamCore();

  // Throws UsageError on the wrong thread, and once the loop is closed.
  void CheckUse(const char* what, std::source_location here) const;
  void CheckReads() const;

  // True once in a while: the caller gives way.
  bool IsTurnOver() noexcept { return (++calls_ & (kCallsPerTurn - 1)) == 0; }

  // What there is, at once. 0: the end; -1: nothing yet. Throws std::system_error.
  ssize_t TryReceive(char* to, size_t bytes);
  // The same into `in`, as much as comes or at most `bytes`.
  ssize_t TryFill(size_t bytes);
  // How many bytes went out; -1: none at the moment; else Break() was called and it
  // says that all is sent.
  ssize_t TrySend(std::string_view bytes) noexcept;

  void Write(std::string_view bytes);
  void WriteEof();
  void Flush() noexcept;
  void Close() noexcept;
  void Abort() noexcept;
  // The connection is of no more use for writing.
  void Break(int error) noexcept;

  // Of the Stream that owns it: it is destroyed.
  void Drop() noexcept;

  // A WriteAll() that sends its own bytes past the buffer has begun, or ended.
  void BeginDirect() noexcept { direct_ = true; }
  void EndDirect() noexcept;

  bool is_closing() const noexcept { return closing_; }
  bool is_closed() const noexcept { return !readiness.is_open(); }
  bool is_paused() const noexcept { return paused_; }
  bool is_idle() const noexcept { return out.empty() && !direct_; }
  int error() const noexcept { return error_; }
  [[noreturn]] void ThrowError() const;
  void SetLimits(size_t high, size_t low) noexcept;

  static std::span<char> Scratch();

  Readiness readiness;
  ByteBuffer in;
  ByteBuffer out;
  bool at_end = false;      // the peer has sent its last byte
  bool quiet_drop = false;  // being dropped unclosed is in order: somebody closes it
  List<Waiter> drainers;
  List<Waiter> idle_waiters;  // for `out` to be empty and no WriteAll() under way
  List<Waiter> close_waiters;

 private:
  static constexpr uint8_t kCallsPerTurn = 64;

  void ScheduleFlush();
  void WakeAll(List<Waiter>& waiters) noexcept;
  void FinishClose() noexcept;
  void ReportUnclosed(const char* how) const noexcept;

  const Kind kind_;
  bool direct_ = false;
  bool paused_ = false;
  bool closing_ = false;
  bool ends_writes_ = false;  // WriteEof() was called
  bool flush_queued_ = false;
  uint8_t calls_ = 0;
  int error_ = 0;
  int read_error_ = 0;
  uint32_t high_ = 64 * 1024;
  uint32_t low_ = 16 * 1024;
  const Site made_at_;
  RefPtr<StreamCore> self_;  // while it is closing, and has something to send
};

using StreamRef = RefPtr<StreamCore>;

}  // namespace loopsan::internal
