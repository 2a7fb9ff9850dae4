// The functions behind instrument/annotate.h, but for findings (findings.cc).
//
// A step costs one clock read and some stores into the thread's cell; all that
// takes longer happens only for steps over the threshold, reported calls and
// findings. The collector reads tasks and coroutine frames from the program's
// memory while a step goes on. What has ended is copied as text (exact_records.cc).
#include "instrument/annotate.h"

#include <errno.h>

#include "instrument/preload/findings.h"
#include "instrument/preload/probe.h"
#include "instrument/preload/queues.h"
#include "instrument/preload/text_writer.h"

namespace loopsan::probe {

using segment::LoopCell;
using segment::LoopState;
using segment::Slot;

namespace {

constexpr auto kRelaxed = std::memory_order_relaxed;

// A step below this part of the threshold cannot matter to a turn that is over it.
constexpr uint64_t kNotablePart = 1 << 16;

// ---- Steps ------------------------------------------------------------------

void AddToTurn(LoopCell& cell, uint64_t ticks) {
  const uint64_t site = cell.exact_origin.load(kRelaxed);
  segment::TurnShare* smallest = nullptr;
  segment::TurnShare* share = nullptr;
  for (segment::TurnShare& one : cell.turn_shares) {
    const uint64_t steps = one.steps.load(kRelaxed);
    if (steps == 0 || one.site.load(kRelaxed) == site) {
      share = &one;
      break;
    }
    if (smallest == nullptr || one.ticks.load(kRelaxed) < smallest->ticks.load(kRelaxed)) {
      smallest = &one;
    }
  }
  if (share == nullptr) {
    if (smallest->ticks.load(kRelaxed) >= ticks) {
      return;
    }
    smallest->steps.store(0, kRelaxed);
    share = smallest;
  }
  const uint64_t before = share->steps.load(kRelaxed);
  if (before == 0) {
    share->site.store(site, kRelaxed);
    share->ticks.store(0, kRelaxed);
    share->longest.store(0, kRelaxed);
  }
  share->ticks.store(share->ticks.load(kRelaxed) + ticks, kRelaxed);
  if (ticks > share->longest.load(kRelaxed)) {
    share->longest.store(ticks, kRelaxed);
    share->task.store(cell.exact_task_id.load(kRelaxed), kRelaxed);
  }
  share->steps.store(before + 1, kRelaxed);
}

[[gnu::noinline]] void HandleNotable(ThreadState& thread, uint64_t start, uint64_t end) {
  LoopCell& cell = *thread.cell;
  const uint64_t ticks = end - start;
  AddToTurn(cell, ticks);
  if (ticks > cell.turn_longest.load(kRelaxed)) {
    cell.turn_longest.store(ticks, kRelaxed);
  }
  thread.turn_call_ticks += cell.call_ticks_in_step.load(kRelaxed);
  if (ticks >= g_process.arena->threshold_ticks) {
    RecordExactStep(thread, start, end);
  }
}

inline void CloseStep(ThreadState& thread, uint64_t now) {
  LoopCell& cell = *thread.cell;
  const uint64_t start = cell.exact_start.load(kRelaxed);
  if (start == 0) {
    return;
  }
  const uint64_t ticks = now > start ? now - start : 0;
  CountStep(cell, ticks);
  cell.turn_steps.store(cell.turn_steps.load(kRelaxed) + 1, kRelaxed);
  cell.turn_step_ticks.store(cell.turn_step_ticks.load(kRelaxed) + ticks, kRelaxed);
  if (ticks >= thread.notable_ticks) [[unlikely]] {
    HandleNotable(thread, start, now);
  }
}

// The reader believes the fields if the sequence is even and the same before and after.
inline uint64_t BeginChange(LoopCell& cell) {
  const uint64_t sequence = cell.exact_sequence.load(kRelaxed) + 1;
  cell.exact_sequence.store(sequence, kRelaxed);
  // Release: who sees a field of the new step sees the odd number, too.
  std::atomic_thread_fence(std::memory_order_release);
  return sequence;
}

inline void EndChange(LoopCell& cell, uint64_t sequence) {
  // Release: who sees the even number sees the fields.
  cell.exact_sequence.store(sequence + 1, std::memory_order_release);
}

void ClearStep(LoopCell& cell) {
  const uint64_t sequence = BeginChange(cell);
  cell.exact_start.store(0, kRelaxed);
  cell.exact_task.store(0, kRelaxed);
  cell.exact_task_id.store(0, kRelaxed);
  cell.exact_origin.store(0, kRelaxed);
  EndChange(cell, sequence);
}

// ---- Loops ------------------------------------------------------------------

// Gives the calling thread a cell, if it has none, and the loop to the cell.
bool TakeUp(ThreadState& thread, loopsan_loop* loop) {
  if (LoopThread() == nullptr && (!Connect() || !ClaimCell(thread))) {
    return false;
  }
  LoopCell& cell = *thread.cell;
  thread.loop = loop;
  thread.partial = (loop->flags & LOOPSAN_LOOP_PARTIAL) != 0;
  if (!thread.partial) {
    thread.early_left = 0;  // the judge needs no evidence of where steps run
  }
  thread.notable_ticks = g_process.arena->threshold_ticks / kNotablePart;
  ClearStep(cell);
  const Words kind = Measure(loop->kind, segment::kLoopKindBytes - 1);
  for (uint32_t i = 0; i < kind.bytes; ++i) {
    cell.loop_kind[i] = kind.text[i];
  }
  cell.loop_kind[kind.bytes] = '\0';
  cell.blocking_allowed.store(0, kRelaxed);
  cell.loop_sp.store(reinterpret_cast<uint64_t>(__builtin_frame_address(0)), kRelaxed);
  cell.exact_told.store(thread.partial ? 2 : 1, kRelaxed);
  // Release: who sees the loop sees its kind.
  cell.exact_loop.store(reinterpret_cast<uint64_t>(loop), std::memory_order_release);
  loop->probe = thread.cell;
  loop->ticks_per_second = g_process.arena->ticks_per_second;
  loop->threshold_ticks = g_process.arena->threshold_ticks;
  if (!thread.partial) {
    BeginTurn(thread, Now(), 0);
  } else if (cell.state.load(kRelaxed) == LoopState::kUnused) {
    // Its first wait begins its first turn: what comes before is no step.
    cell.state.store(LoopState::kEnded, std::memory_order_release);
  }
  return true;
}

// Whether the thread may be given to this loop.
bool IsFreeFor(const loopsan_loop* loop) {
  if ((loop->flags & LOOPSAN_LOOP_IF_KNOWN) == 0) {
    return true;
  }
  const ThreadState* const thread = LoopThread();
  return thread != nullptr && (thread->loop == nullptr || thread->loop == loop);
}

int LoopBegin(loopsan_loop* loop) {
  const int saved_errno = errno;
  const bool taken = IsFreeFor(loop) && ConnectPatiently() && TakeUp(t_state, loop);
  errno = saved_errno;
  return taken ? 1 : 0;
}

// A thread that is not known to run this loop: it was forked, or another loop ran
// on it in between. False if it cannot be watched now.
[[gnu::noinline]] bool FindLoop(ThreadState& thread, loopsan_loop* loop) {
  if (!IsFreeFor(loop)) {
    return false;
  }
  if (LoopThread() == nullptr) {
    // A thread that got no cell asks again ever more rarely.
    const uint32_t attempt = ++thread.claim_attempts;
    if ((attempt & (attempt - 1)) != 0 && attempt % 65536 != 0) {
      return false;
    }
  }
  const int saved_errno = errno;
  const bool taken = TakeUp(thread, loop);
  errno = saved_errno;
  return taken;
}

inline bool Knows(const ThreadState& thread, const loopsan_loop* loop) {
  return thread.loop == loop && g_process.generation_page->load(kRelaxed) == thread.generation;
}

// A step begins in the middle of what the loop does not tell.
void LeaveUntold(ThreadState& thread, LoopCell& cell) {
  if (!IsExactStepOpen(thread)) {
    thread.untold_calls += cell.call_ticks_in_step.load(kRelaxed);
  }
  // Looks before and behind the step do not show one callback.
  cell.shallowest_sp.store(UINT64_MAX, kRelaxed);
}

uint64_t Step(loopsan_loop* loop, const loopsan_task* task, const loopsan_source* created_at) {
  const uint64_t now = Now();
  ThreadState& thread = t_state;
  if (!Knows(thread, loop)) [[unlikely]] {
    if (!FindLoop(thread, loop)) {
      return now;
    }
  }
  CloseStep(thread, now);
  LoopCell& cell = *thread.cell;
  if (const LoopState state = cell.state.load(kRelaxed); state != LoopState::kInStep) [[unlikely]] {
    BeginTurn(thread, now, 0);  // behind a wait that no hook saw
  }
  if (thread.partial) {
    LeaveUntold(thread, cell);
  } else if (g_process.arena->metrics_wanted.load(kRelaxed) != 0) [[unlikely]] {
    const uint64_t woken = cell.step_start.load(kRelaxed);
    segment::CountDuration(*g_process.arena, cell.wake_delays, now > woken ? now - woken : 0);
  }
  const uint64_t sequence = BeginChange(cell);
  cell.exact_start.store(now, kRelaxed);
  cell.exact_task.store(reinterpret_cast<uint64_t>(task), kRelaxed);
  if (task != nullptr) {
    // Now: the task may be gone when its step ends.
    cell.exact_task_id.store(task->id, kRelaxed);
    cell.exact_origin.store(reinterpret_cast<uint64_t>(task->spawned_at), kRelaxed);
  } else {
    cell.exact_task_id.store(0, kRelaxed);
    cell.exact_origin.store(reinterpret_cast<uint64_t>(created_at), kRelaxed);
  }
  cell.call_ticks_in_step.store(0, kRelaxed);
  EndChange(cell, sequence);
  return now;
}

uint64_t Idle(loopsan_loop* loop) {
  const uint64_t now = Now();
  ThreadState& thread = t_state;
  if (!Knows(thread, loop)) [[unlikely]] {
    if (!FindLoop(thread, loop)) {
      return now;
    }
  }
  CloseStep(thread, now);
  ClearStep(*thread.cell);
  thread.told_until = now;
  if (thread.partial) {
    thread.cell->call_ticks_in_step.store(0, kRelaxed);
  }
  if (thread.place == segment::kNoIndex) {
    // It does not wait with epoll, as far as is known: nothing else ends its turns.
    EndTurn(thread, now, LoopState::kIdle);
    return now;
  }
  const Slot& slot = *g_process.slot.load(kRelaxed);
  if (slot.header.sample_wanted.load(kRelaxed) != 0) [[unlikely]] {
    AcceptSignals(thread);
  }
  return now;
}

void LoopEnd(loopsan_loop* loop) {
  ThreadState& thread = t_state;
  if (LoopThread() == nullptr || thread.loop != loop) {
    return;
  }
  const uint64_t now = Now();
  CloseStep(thread, now);
  ClearStep(*thread.cell);
  EndTurn(thread, now, LoopState::kEnded);
  thread.cell->exact_loop.store(0, kRelaxed);
  thread.loop = nullptr;
  thread.partial = false;
  loop->probe = nullptr;
}

void AllowBlocking(loopsan_loop* loop, int change) {
  ThreadState& thread = t_state;
  if (LoopThread() == nullptr || thread.loop != loop) {
    return;
  }
  auto& allowed = thread.cell->blocking_allowed;
  const int64_t now = static_cast<int64_t>(allowed.load(kRelaxed)) + change;
  allowed.store(now > 0 ? static_cast<uint32_t>(now) : 0, kRelaxed);
}

uint64_t NowForOthers() { return Now(); }

loopsan_loop* ThisLoop() {
  const ThreadState* const thread = LoopThread();
  return thread != nullptr ? thread->loop : nullptr;
}

constexpr loopsan_annotations kAnnotations = {
    LOOPSAN_ANNOTATIONS_VERSION,
    sizeof(loopsan_annotations),
    LoopBegin,
    LoopEnd,
    Step,
    Idle,
    NowForOthers,
    ReportFinding,
    AllowBlocking,
    ThisLoop,
    TakeFindings,
    CountQueueDelay,
};

}  // namespace

extern "C" __attribute__((visibility("default"))) const loopsan_annotations*
loopsan_annotations_v1() {
  const bool watched = g_process.arena != nullptr || g_process.plain;
  return watched ? &kAnnotations : nullptr;
}

}  // namespace loopsan::probe
