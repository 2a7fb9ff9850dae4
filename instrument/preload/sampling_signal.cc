// The last way to the stack of a running thread: a realtime signal whose handler
// leaves a copy of it. Nothing here happens unless the collector asks for it,
// which it does when perf_event_open is refused.
//
// Signals change programs. SA_RESTART does not help sleeps and waits, and calling
// one again cannot be made exact: nobody can tell a sleep that our signal ended
// from one that the program's alarm ended just before our signal came. So it is
// kept out of every hooked call instead: segment::SignalRequest says how.
//
// The handler is installed once and stays: without it the next signal would end
// the program.
#include <signal.h>
#include <ucontext.h>

#include "instrument/preload/hook.h"

namespace loopsan::probe {

using segment::SignalGuard;
using segment::SignalRequest;

namespace {

constexpr auto kRelaxed = std::memory_order_relaxed;
constexpr auto kTotal = std::memory_order_seq_cst;

// How often to look for a signal that is on its way: it takes microseconds, but
// its sender may lose the processor in between. 20 to 60 ms.
constexpr int kSpins = 1 << 20;

std::atomic<uint32_t> g_installing{0};

constinit RealFunction g_real_sigaction{"sigaction", nullptr};

int RealSigaction(int number, const struct sigaction* action, struct sigaction* old) {
  return g_real_sigaction.As<int(int, const struct sigaction*, struct sigaction*)>()(number, action,
                                                                                     old);
}

// The kernel has just given up a system call for this signal.
bool InterruptedCall(uint64_t rip, uint64_t rax) {
  constexpr uint64_t kEintr = static_cast<uint64_t>(-EINTR);
  if (rax != kEintr || rip % 4096 < 2) {  // the bytes before a page may be unmapped
    return false;
  }
  const auto* code = reinterpret_cast<const uint8_t*>(rip);
  return code[-2] == 0x0f && code[-1] == 0x05;
}

// No system call and no call into libc. May interrupt the recorder anywhere:
// what both touch is changed by compare and exchange.
void AnswerSignal(int, siginfo_t*, void* context) {
  const ThreadState& thread = t_state;
  segment::Slot* const slot = g_process.slot.load(kRelaxed);
  if (thread.cell == nullptr || slot == nullptr ||
      g_process.generation_page->load(kRelaxed) != thread.generation) {
    return;
  }
  segment::LoopCell& cell = *thread.cell;
  const SignalRequest request = cell.signal_request.load(std::memory_order_acquire);
  if (request != SignalRequest::kSent && request != SignalRequest::kOverdue) {
    return;  // not from the collector
  }
  const auto& registers = static_cast<const ucontext_t*>(context)->uc_mcontext.gregs;
  const auto rip = static_cast<uint64_t>(registers[REG_RIP]);
  const auto rsp = static_cast<uint64_t>(registers[REG_RSP]);
  if (InterruptedCall(rip, static_cast<uint64_t>(registers[REG_RAX]))) {
    slot->header.calls_interrupted.fetch_add(1, kRelaxed);
  }
  const Snapshot snapshot = TakeSnapshot(thread, *slot, rsp);
  cell.answer_rip.store(rip, kRelaxed);
  cell.answer_rsp.store(rsp, kRelaxed);
  cell.answer_rbp.store(static_cast<uint64_t>(registers[REG_RBP]), kRelaxed);
  cell.answer_chunk.store(snapshot.first_chunk, kRelaxed);
  cell.answer_bytes.store(snapshot.bytes, kRelaxed);
  // Release: who sees the number sees the answer.
  cell.answers.store(cell.answers.load(kRelaxed) + 1, std::memory_order_release);
  cell.signal_request.store(SignalRequest::kNone, kTotal);
}

// Calls back a request that is only intended and waits for one that is on its
// way. False if it did not come in time.
bool AwaitSignal(segment::LoopCell& cell) {
  SignalRequest request = cell.signal_request.load(kTotal);
  if (request == SignalRequest::kIntended &&
      cell.signal_request.compare_exchange_strong(request, SignalRequest::kNone, kTotal)) {
    return true;
  }
  for (int spin = 0; spin < kSpins && request == SignalRequest::kSent; ++spin) {
    __builtin_ia32_pause();
    request = cell.signal_request.load(kTotal);
  }
  if (request == SignalRequest::kSent) {
    // Not waited for again: the sender may be stopped or gone.
    cell.signal_request.compare_exchange_strong(request, SignalRequest::kOverdue, kTotal);
  }
  return request == SignalRequest::kNone || request == SignalRequest::kIntended;
}

// The slot whose threads are signalled, now or as soon as another thread has
// installed the handler; or null. In a forked child, which nobody signals, the
// slot is still the parent's.
segment::Slot* SignalledSlot() {
  segment::Slot* const slot = g_process.slot.load(kRelaxed);
  if (slot == nullptr || g_process.generation_page->load(kRelaxed) == 0) {
    return nullptr;
  }
  return slot;
}

// From here on no thread of the process is sent the signal; false if one may
// still be on its way.
bool ForbidSignals(segment::Slot& slot) {
  slot.header.signals_forbidden.fetch_add(1, kTotal);
  bool clear = true;
  for (segment::LoopCell& cell : slot.cells) {
    clear = AwaitSignal(cell) && clear;
  }
  return clear;
}

// The number, installed, or 0. Only a signal that the program has not touched.
int Install() {
  struct sigaction ours{};
  ours.sa_sigaction = AnswerSignal;
  ours.sa_flags = SA_SIGINFO | SA_RESTART | SA_ONSTACK;
  // A handler of the program that ran on top of ours could leave it by siglongjmp.
  sigfillset(&ours.sa_mask);
  for (int number = SIGRTMAX - 1; number > SIGRTMIN; --number) {
    struct sigaction found{};
    if (RealSigaction(number, nullptr, &found) != 0) {
      continue;
    }
    // A forked child inherits the handler.
    const bool inherited = (found.sa_flags & SA_SIGINFO) != 0 && found.sa_sigaction == AnswerSignal;
    const bool untouched = (found.sa_flags & SA_SIGINFO) == 0 && found.sa_handler == SIG_DFL;
    if (inherited || (untouched && RealSigaction(number, &ours, nullptr) == 0)) {
      return number;
    }
  }
  return 0;
}

}  // namespace

void AcceptSignals(ThreadState& thread) {
  segment::Slot& slot = *g_process.slot.load(kRelaxed);
  if (thread.execs != 0) {
    // It ends a step, so it is in no exec hook: those were vfork children's, who
    // ran in this memory and left it by becoming another program.
    slot.header.signals_forbidden.fetch_sub(thread.execs, kTotal);
    thread.execs = 0;
  }
  if (slot.header.sample_signal.load(std::memory_order_acquire) == 0) {
    uint32_t free = 0;
    if (!g_installing.compare_exchange_strong(free, 1, std::memory_order_acq_rel)) {
      return;  // another thread is at it
    }
    if (slot.header.sample_signal.load(kRelaxed) == 0) {
      const int saved_errno = errno;
      const int number = Install();
      errno = saved_errno;
      slot.header.sample_signal.store(
          number == 0 ? segment::kNoSignal : static_cast<uint32_t>(number),
          std::memory_order_release);
    }
    g_installing.store(0, std::memory_order_release);
  }
  if (slot.header.sample_signal.load(kRelaxed) == segment::kNoSignal) {
    return;
  }
  thread.signalled = true;
  // Also opens a guard that a call left by siglongjmp holds.
  thread.cell->signal_guard.store(SignalGuard::kOpen, kTotal);
}

SignalGuard HoldSignals(ThreadState& thread) {
  segment::LoopCell& cell = *thread.cell;
  const SignalGuard before = cell.signal_guard.load(kRelaxed);
  cell.signal_guard.store(SignalGuard::kHeld, kTotal);
  AwaitSignal(cell);
  return before;
}

void ReleaseSignals(SignalGuard before) {
  // The call may have been a fork, made by a handler inside it.
  if (ThreadState* const thread = LoopThread(); thread != nullptr && thread->signalled) {
    thread->cell->signal_guard.store(before, std::memory_order_release);
  }
}

bool BeginExec() {
  segment::Slot* const slot = SignalledSlot();
  if (slot == nullptr) {
    return false;
  }
  if (t_state.execs != 0) {  // as in AcceptSignals
    slot->header.signals_forbidden.fetch_sub(t_state.execs, kTotal);
    t_state.execs = 0;
  }
  if (ForbidSignals(*slot)) {
    ++t_state.execs;
    return true;
  }
  // The sender has been stopped just before it sends, or the thread that has
  // called vfork cannot take the signal. The new program inherits what is
  // ignored, so it survives a late one. Never signalled again if the exec fails.
  struct sigaction ignore{};
  ignore.sa_handler = SIG_IGN;
  RealSigaction(static_cast<int>(slot->header.sample_signal.load(std::memory_order_acquire)),
                &ignore, nullptr);
  return false;
}

void EndExec() {
  segment::Slot* const slot = g_process.slot.load(kRelaxed);
  if (slot != nullptr && t_state.execs != 0) {
    --t_state.execs;
    slot->header.signals_forbidden.fetch_sub(1, kTotal);
  }
}

namespace {

// The program takes the signal for itself: it is no longer ours to send.
void GiveUpSignal(int number) {
  segment::Slot* const slot = SignalledSlot();
  if (slot != nullptr &&
      slot->header.sample_signal.load(kRelaxed) == static_cast<uint32_t>(number)) {
    ForbidSignals(*slot);
  }
}

using Handler = void (*)(int);

}  // namespace

LOOPSAN_HOOK int hook_sigaction(int, const struct sigaction*,
                                struct sigaction*) __asm__("sigaction");
LOOPSAN_HOOK int hook_sigaction(int number, const struct sigaction* action, struct sigaction* old) {
  if (action != nullptr) {
    GiveUpSignal(number);
  }
  return RealSigaction(number, action, old);
}

#define LOOPSAN_SIGNAL_HOOK(name)                                 \
  LOOPSAN_HOOK Handler hook_##name(int, Handler) __asm__(#name);  \
  LOOPSAN_HOOK Handler hook_##name(int number, Handler handler) { \
    static constinit RealFunction real{#name, nullptr};           \
    GiveUpSignal(number);                                         \
    return real.As<Handler(int, Handler)>()(number, handler);     \
  }

LOOPSAN_SIGNAL_HOOK(signal)
LOOPSAN_SIGNAL_HOOK(sigset)
LOOPSAN_SIGNAL_HOOK(sysv_signal)
LOOPSAN_SIGNAL_HOOK(__sysv_signal)

}  // namespace loopsan::probe
