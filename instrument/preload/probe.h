// The probe: what a hooked call does in a watched process. It measures and
// leaves its marks in the segment; it decides nothing that needs a symbol or an
// unwound stack.
//
// It lives in a stranger's process. The rules, each with a scar behind it:
//   - libc only; no allocation, no lock, no system call of its own in a hook.
//   - errno, arguments and results are the program's: the real call happens
//     once and is passed through. Nothing between it and the return to the
//     program calls into libc.
//   - no clean-ups: pthread_cancel and siglongjmp leave hooks without notice,
//     so the call mark carries a sequence number instead of being unset.
//   - the mapping is made before main (attach.cc): later the process may have
//     closed its descriptors, changed its user, its root or its system call filter.
#pragma once

#include <atomic>
#include <cstdint>

#include "instrument/annotate.h"
#include "instrument/segment.h"

namespace loopsan::probe {

// The caller's registers as they are when the hook returns to it.
struct Caller {
  uint64_t rip;
  uint64_t rsp;
  uint64_t rbp;
};

// Must be expanded in the hook itself: the compiler keeps a frame pointer in a
// function that asks for its frame address.
#define LOOPSAN_CALLER()                                                                        \
  ([](const uint64_t* frame) {                                                                  \
    return ::loopsan::probe::Caller{frame[1], reinterpret_cast<uint64_t>(frame + 2), frame[0]}; \
  }(static_cast<const uint64_t*>(__builtin_frame_address(0))))

// What a thread knows about itself. Zero on every thread that runs no loop.
struct ThreadState {
  segment::LoopCell* cell;
  uint64_t generation;  // of the process that `cell` belongs to
  uint32_t cell_index;
  // The wait place that is the loop's own, as far as is known: the fast path.
  uint32_t place;
  uint64_t place_rip;
  uint64_t place_rsp;
  int place_descriptor;
  uint32_t claim_attempts;
  uint32_t slots_at_attempt;  // that were ready at the last of them
  uint32_t early_left;        // evidence still to be taken for the judge
  uint64_t early_turn;        // at most one a turn
  bool signalled;             // the sampling signal may be sent to this thread
  uint32_t execs;             // exec hooks entered, not left: a vfork child's, if we are elsewhere
  // Of a loop that tells its steps; null: this thread's does not.
  loopsan_loop* loop;
  bool partial;              // LOOPSAN_LOOP_PARTIAL
  uint64_t told_until;       // when the last step ended before the loop's own work
  uint64_t notable_ticks;    // shorter steps are only counted
  uint64_t turn_call_ticks;  // reported calls of the open turn
  uint64_t untold_calls;     // likewise, of a partial loop: those outside its steps
};
extern thread_local constinit ThreadState t_state __attribute__((tls_model("initial-exec")));

// What the process knows. Written before main or once under `claiming`.
struct ProcessState {
  segment::ArenaHeader* arena;
  std::atomic<segment::Slot*> slot;
  std::atomic<uint32_t> claiming;
  // One page that the kernel clears in a forked child (MADV_WIPEONFORK) and
  // keeps in a vfork child. Holds the generation; 0 means: I am a fork.
  std::atomic<uint64_t>* generation_page;
  uint64_t generation;
  segment::ClockKind clock;
  std::atomic<uint32_t> helper_started;
  std::atomic<int> helper_pid;
  std::atomic<uint32_t> sandboxed;  // system calls may be deadly from now on
  uint64_t main_thread;             // the thread pointer of the thread that ran main
  uint32_t pid;                     // 0 in a forked child, which does not ask for it
  bool plain;                       // preloaded without `loopsan run`
  // The collector of this process, if it was linked with one; asked at most once
  // per process, on a loop's thread.
  segment::ArenaHeader* (*collector)();
  char executable[segment::kModulePathBytes];
  uint32_t executable_bytes;
};
extern ProcessState g_process;

inline uint64_t Now();

// The calling thread's state if it runs a loop, else null. The first thing
// every hook asks.
inline ThreadState* LoopThread();

void ForgetForkedState(ThreadState& thread);  // attach.cc
bool MakeGenerationPage();                    // attach.cc; false if the kernel is too old

// attach.cc: gives this thread a cell; false if there is none to be had now.
bool ClaimCell(ThreadState& thread);
// attach.cc: the process's slot, claimed if it has none; null if there is none
// to be had now. REQUIRES: an arena.
segment::Slot* ClaimSlot();
// The calling thread's id, without a system call.
uint32_t ThreadId();
// attach.cc: finds a collector for a program that was not started by `loopsan
// run`: one in this process, if it was linked with one, else the helper. Allocates
// in the former case. False if there is none yet.
bool Connect();
// attach.cc: Connect(), and waits for a collector that has been started.
bool ConnectPatiently();

// exact_records.cc: what the steps of the turn that has ended were.
void RecordExactTurn(ThreadState& thread, uint64_t start, uint64_t end);

// helper.cc: starts the collector for a plainly preloaded program, once.
void StartHelper();
// attach.cc: maps the arena of the helper if it is ready.
void AttachToHelper();

// recorder.cc
struct CallRecord {
  uint32_t call_id;
  uint32_t call_place = segment::kNoIndex;
  Caller caller;
  uint64_t start;
  uint64_t end;
  uint64_t args[2];
  int64_t result;
  uint32_t error;
};
void RecordCall(ThreadState& thread, const CallRecord& call);
void RecordEarlyCall(ThreadState& thread, uint32_t call_id, const Caller& caller);
void RecordTurn(ThreadState& thread, uint64_t start, uint64_t end);
void RecordPlace(ThreadState& thread, uint32_t place, const Caller& caller,
                 segment::EventKind kind);

// loop_waits.cc
void BeginTurn(ThreadState& thread, uint64_t now, int ready);
void EndTurn(ThreadState& thread, uint64_t now, segment::LoopState next);

// What exact_records.cc and findings.cc need of the recorder. CurrentSlot() is null once nobody
// listens; TakeChunks() and ReserveEvent() fail when the collector lags behind.
segment::Slot* CurrentSlot();
uint32_t TakeChunks(segment::Slot& slot, uint32_t wanted);
segment::Event* ReserveEvent(segment::Slot& slot, uint64_t& number);
// `thread` is null on a thread without a loop.
void FillCommon(segment::Event& event, const ThreadState* thread, segment::EventKind kind);
void Publish(segment::Event& event, uint64_t number);

// exact_records.cc: copies task, origin and chain of the running step.
void FillExact(segment::Slot& slot, const ThreadState& thread, segment::Event& event);
// exact_records.cc: a step over the threshold that has just ended. REQUIRES: the
// cell still says whose it was.
void RecordExactStep(ThreadState& thread, uint64_t start, uint64_t end);

// Copies the stack from `rsp` to its end. The bounds come from the collector,
// which read them in /proc/PID/maps: a thread on a fiber is outside of them and
// gets no snapshot. May interrupt itself (the sampling handler).
struct Snapshot {
  uint32_t first_chunk = segment::kNoIndex;
  uint32_t bytes = 0;
};
Snapshot TakeSnapshot(const ThreadState& thread, segment::Slot& slot, uint64_t rsp);

// sampling_signal.cc; see segment::SignalRequest.
// At the end of a step, if the collector wants it: installs the handler.
void AcceptSignals(ThreadState& thread);
// Around each real call of a thread that accepts signals: none arrives in
// between. Returns what ReleaseSignals() wants back.
segment::SignalGuard HoldSignals(ThreadState& thread);
void ReleaseSignals(segment::SignalGuard before);
// Around an exec, for the whole process. BeginExec returns false if there is
// nothing to undo.
bool BeginExec();
void EndExec();

// ---- inline -----------------------------------------------------------------

uint64_t MonotonicNanoseconds();  // attach.cc; through the vdso, keeps errno

inline uint64_t Now() {
  if (g_process.clock == segment::ClockKind::kTsc) [[likely]] {
    return __builtin_ia32_rdtsc();
  }
  return MonotonicNanoseconds();
}

inline ThreadState* LoopThread() {
  ThreadState& thread = t_state;
  if (thread.cell == nullptr) [[likely]] {
    return nullptr;
  }
  if (g_process.generation_page->load(std::memory_order_relaxed) != thread.generation)
      [[unlikely]] {
    ForgetForkedState(thread);
    return nullptr;
  }
  return &thread;
}

inline bool IsExactStepOpen(const ThreadState& thread) {
  return thread.cell->exact_start.load(std::memory_order_relaxed) != 0;
}

// Nothing needs to be proven now: the loop tells all its steps, or one is open.
inline bool IsTold(const ThreadState& thread) {
  return thread.loop != nullptr && (!thread.partial || IsExactStepOpen(thread));
}

inline bool InStep(const ThreadState& thread) {
  if (IsTold(thread)) {
    return IsExactStepOpen(thread);
  }
  return thread.cell->state.load(std::memory_order_relaxed) == segment::LoopState::kInStep;
}

// Notes that a hook was reached from this depth, for calls that cannot block too.
inline void NoteReached(ThreadState& thread, uint32_t call_id, const Caller& caller) {
  segment::LoopCell& cell = *thread.cell;
  if (caller.rsp > cell.shallowest_sp.load(std::memory_order_relaxed)) {
    cell.shallowest_sp.store(caller.rsp, std::memory_order_relaxed);
  }
  if (thread.early_left != 0) [[unlikely]] {
    RecordEarlyCall(thread, call_id, caller);
  }
}

// Marks a call in progress. Returns its sequence number, or 0 if it happens
// inside another hooked call (a name service module, a signal handler): that
// one is the call the program made.
inline uint64_t EnterCall(ThreadState& thread, uint32_t call_id, const Caller& caller,
                          uint64_t arg0, uint64_t arg1, uint32_t call_place, uint64_t now) {
  NoteReached(thread, call_id, caller);
  segment::LoopCell& cell = *thread.cell;
  uint64_t sequence = cell.call_sequence.load(std::memory_order_relaxed);
  if ((sequence & 1) != 0) [[unlikely]] {
    // Deeper than a call that never returned: nested in it, or it was left by
    // siglongjmp. The next idle wait clears the mark of the latter.
    if (caller.rsp < cell.call_rsp.load(std::memory_order_relaxed)) {
      return 0;
    }
    cell.call_sequence.store(++sequence, std::memory_order_release);
  }
  cell.call_id.store(call_id, std::memory_order_relaxed);
  cell.call_place.store(call_place, std::memory_order_relaxed);
  cell.call_start.store(now, std::memory_order_relaxed);
  cell.call_rip.store(caller.rip, std::memory_order_relaxed);
  cell.call_rsp.store(caller.rsp, std::memory_order_relaxed);
  cell.call_rbp.store(caller.rbp, std::memory_order_relaxed);
  cell.call_args[0].store(arg0, std::memory_order_relaxed);
  cell.call_args[1].store(arg1, std::memory_order_relaxed);
  // Release: a reader that sees the odd number sees the fields above.
  cell.call_sequence.store(sequence + 1, std::memory_order_release);
  return sequence + 1;
}

// Into the histogram.
inline void CountStep(segment::LoopCell& cell, uint64_t ticks) {
  constexpr auto kRelaxed = std::memory_order_relaxed;
  if (ticks > cell.longest_step.load(kRelaxed)) {
    cell.longest_step.store(ticks, kRelaxed);
  }
  segment::CountDuration(*g_process.arena, cell.steps, ticks);
}

// A socket address is kept with its length in the byte that no address of a
// program has: what lies behind it may not be mapped.
inline uint64_t PackAddress(const void* address, uint64_t length) {
  return reinterpret_cast<uint64_t>(address) | (length < 255 ? length : 255) << 56;
}
inline uint64_t AddressPointer(uint64_t packed) { return packed & ~(0xffULL << 56); }
inline uint64_t AddressLength(uint64_t packed) { return packed >> 56; }

inline uint64_t FloorTicks(uint32_t category) { return g_process.arena->floor_ticks[category]; }

}  // namespace loopsan::probe
