#include "reporters/signal_sampler.h"

#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <fstream>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "reporters/thread_probe.h"

namespace loopsan {
namespace {

using segment::SignalGuard;
using segment::SignalRequest;

constexpr auto kRelaxed = std::memory_order_relaxed;
constexpr auto kTotal = std::memory_order_seq_cst;

// The value behind "\nName:\t", or "".
const char* Field(const std::string& status, const char* name) {
  const std::string key = absl::StrCat("\n", name, ":\t");
  const size_t at = status.find(key);
  return at == std::string::npos ? "" : status.c_str() + at + key.size();
}

// A thread id means another thread in another pid namespace; what maps this
// arena is the process that the slot belongs to.
bool MapsArena(pid_t pid) {
  std::ifstream maps(absl::StrCat("/proc/", pid, "/maps"));
  const std::string arena = absl::StrCat("/memfd:", segment::kMemfdName);
  for (std::string line; std::getline(maps, line);) {
    if (line.find(arena) != std::string::npos) return true;
  }
  return false;
}

void FreeChunks(segment::Slot& slot, uint32_t first, uint32_t chunks) {
  const uint64_t run = chunks >= 64 ? ~0ULL : (1ULL << chunks) - 1;
  // Release: the bytes have been read.
  slot.header.chunks_in_use.fetch_and(~(run << first), std::memory_order_release);
}

}  // namespace

SignalStatus ReadSignalStatus(pid_t pid, pid_t tid) {
  SignalStatus result;
  const std::string status = ReadSmallFile(absl::StrCat("/proc/", pid, "/task/", tid, "/status"));
  const char* const state = Field(status, "State");
  const char* const blocked = Field(status, "SigBlk");
  const char* const caught = Field(status, "SigCgt");
  if (*state == '\0' || *blocked == '\0' || *caught == '\0') {
    return result;
  }
  result.valid = true;
  result.state = *state;
  result.blocked = strtoull(blocked, nullptr, 16);
  result.caught = strtoull(caught, nullptr, 16);
  const char* const filter = Field(status, "Seccomp");
  result.filtered = *filter != '\0' && *filter != '0';  // absent: a kernel without filters
  return result;
}

std::string ReasonAgainstSignal(const SignalStatus& status, uint32_t number) {
  const uint64_t bit = number >= 1 && number <= 64 ? 1ULL << (number - 1) : 0;
  if (!status.valid) return "the thread's status cannot be read";
  if (status.filtered) return "the process runs under a system call filter (seccomp)";
  if ((status.caught & bit) == 0) return "the process has no handler for the signal";
  if ((status.blocked & bit) != 0) return "the thread blocks the signal";
  if (status.state != 'R') return "the thread does not run";
  return "";
}

bool SendSampleSignal(segment::Slot& slot, uint32_t index, pid_t pid, pid_t tid) {
  segment::LoopCell& cell = slot.cells[index];
  const uint32_t number = slot.header.sample_signal.load(std::memory_order_acquire);
  if (number == 0 || number > 64) {
    return false;
  }
  SignalRequest request = SignalRequest::kNone;
  if (!cell.signal_request.compare_exchange_strong(request, SignalRequest::kIntended, kTotal)) {
    return false;  // the last one has not arrived yet
  }
  const bool open = cell.signal_guard.load(kTotal) == SignalGuard::kOpen &&
                    slot.header.signals_forbidden.load(kTotal) == 0 &&
                    slot.header.state.load(kTotal) == segment::SlotState::kClaimed &&
                    cell.state.load(kTotal) == segment::LoopState::kInStep;
  request = SignalRequest::kIntended;
  const auto next = open ? SignalRequest::kSent : SignalRequest::kNone;
  if (!cell.signal_request.compare_exchange_strong(request, next, kTotal) || !open) {
    return false;
  }
  if (syscall(SYS_tgkill, pid, tid, number) != 0) {
    cell.signal_request.store(SignalRequest::kNone, kTotal);
    return false;
  }
  return true;
}

std::optional<RawStack> SignalSampler::Fail(std::string why) {
  error_ = std::move(why);
  return std::nullopt;
}

void SignalSampler::Request() {
  if (checked_) return;
  checked_ = true;
  const SignalStatus status = ReadSignalStatus(pid_, pid_);
  if (!status.valid || status.filtered) {
    error_ = status.valid ? "the process runs under a system call filter (seccomp)"
                          : "the process' status cannot be read";
    return;
  }
  if (!MapsArena(pid_)) {
    error_ = "the process cannot be told from others (it is in another pid namespace)";
    return;
  }
  requested_ = true;
  slot_->header.sample_wanted.store(1, kRelaxed);
}

bool SignalSampler::MayAsk(Thread& thread, uint32_t index, pid_t tid, uint64_t turn,
                           double now_seconds) {
  const segment::SlotHeader& header = slot_->header;
  const segment::LoopCell& cell = slot_->cells[index];
  const uint32_t number = header.sample_signal.load(std::memory_order_acquire);
  if (!requested_) return false;
  if (number == segment::kNoSignal) {
    error_ = "the program handles or ignores every realtime signal itself";
  } else if (number == 0 || number > 64) {
    error_ = "no step has ended since the handler was asked for";
  } else if (header.calls_interrupted.load(kRelaxed) != 0) {
    error_ = "a signal interrupted a call that is not hooked; none was sent since";
  } else if (header.signals_forbidden.load(kTotal) != 0) {
    error_ = "the program is in an exec, or has installed its own handler for the signal";
  } else if (const uint64_t sp = cell.call_rsp.load(kRelaxed);
             sp != 0 &&
             (sp < cell.stack_low.load(kRelaxed) || sp >= cell.stack_high.load(kRelaxed))) {
    error_ = "the thread uses stacks of its own, which may be too small for a signal";
  } else {
    if (thread.turn != turn) {
      thread.turn = turn;
      thread.sent_in_step = 0;
    }
    if (thread.sent_in_step >= kMostPerStep ||
        (thread.last_sent >= 0 && now_seconds - thread.last_sent < kMinimumSeconds)) {
      error_ = "enough signals were sent";
      return false;
    }
    error_ = ReasonAgainstSignal(ReadSignalStatus(pid_, tid), number);
    return error_.empty();
  }
  return false;
}

std::optional<RawStack> SignalSampler::NextAnswer(Thread& thread, uint32_t index) {
  segment::LoopCell& cell = slot_->cells[index];
  // Acquire: pairs with the release that completes an answer.
  const uint64_t answers = cell.answers.load(std::memory_order_acquire);
  if (answers == thread.answers_taken) {
    return std::nullopt;
  }
  thread.answers_taken = answers;
  RawStack stack;
  stack.source = StackSource::kSignal;
  stack.registers = {cell.answer_rip.load(kRelaxed), cell.answer_rsp.load(kRelaxed),
                     cell.answer_rbp.load(kRelaxed)};
  stack.base = stack.registers.rsp;
  const uint32_t first = cell.answer_chunk.load(kRelaxed);
  const uint32_t bytes = std::min(cell.answer_bytes.load(kRelaxed), segment::kMaxSnapshotBytes);
  const uint32_t chunks = (bytes + segment::kChunkBytes - 1) / segment::kChunkBytes;
  if (chunks > 0 && first < segment::kChunksPerSlot && chunks <= segment::kChunksPerSlot - first) {
    stack.bytes.assign(slot_->chunks[first], slot_->chunks[first] + bytes);
    FreeChunks(*slot_, first, chunks);
  }
  return stack;
}

std::optional<RawStack> SignalSampler::Take(uint32_t index, pid_t tid, uint64_t turn,
                                            double now_seconds, int milliseconds) {
  Thread& thread = threads_[index];
  if (!AwaitsAnswer(index, turn, now_seconds)) {
    NextAnswer(thread, index);  // of an earlier step
    thread.awaited = false;
    if (!MayAsk(thread, index, tid, turn, now_seconds)) {
      return std::nullopt;
    }
    if (!SendSampleSignal(*slot_, index, pid_, tid)) {
      return Fail("the thread was in a call, or may not be signalled");
    }
    thread.last_sent = now_seconds;
    thread.awaited = true;
    ++thread.sent_in_step;
  }
  const auto until = std::chrono::steady_clock::now() + std::chrono::milliseconds(milliseconds);
  do {
    if (auto stack = NextAnswer(thread, index)) {
      thread.awaited = false;
      if (stack->bytes.empty()) {
        return Fail("the thread was not on its own stack");
      }
      return stack;
    }
    std::this_thread::sleep_for(std::chrono::microseconds(100));
  } while (std::chrono::steady_clock::now() < until);
  return Fail("the thread did not answer in time");
}

bool SignalSampler::AwaitsAnswer(uint32_t cell, uint64_t turn, double now_seconds) const {
  const auto found = threads_.find(cell);
  return found != threads_.end() && found->second.awaited && found->second.turn == turn &&
         now_seconds - found->second.last_sent < kLatestSeconds;
}

void SignalSampler::Forget(uint32_t cell) {
  NextAnswer(threads_[cell], cell);
  threads_.erase(cell);
}

}  // namespace loopsan
