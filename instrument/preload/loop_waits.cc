// The waits that make a thread an event loop, and what ends one: its descriptor is closed.
//
// A wait is the loop's own (idle) or inside a step (nested): a nested uv_run
// waits at the same call site as the outer one. So a place is call site, stack
// depth and descriptor together; the collector unwinds each new place once and
// says which it is. Until then only the first place of a loop counts as idle.
#include <errno.h>
#include <signal.h>
#include <sys/epoll.h>

#include "instrument/preload/call_ids.h"
#include "instrument/preload/hook.h"

namespace loopsan::probe {

using segment::EventKind;
using segment::kNoIndex;
using segment::LoopState;
using segment::Verdict;
using segment::WaitPlace;

namespace {

constexpr auto kRelaxed = std::memory_order_relaxed;

enum PlaceState : uint32_t { kNever = 0, kComplete = 1, kClosed = 2, kBeingWritten = 3 };

uint32_t FindPlace(const ThreadState& thread, segment::Slot& slot, int fd, const Caller& caller) {
  for (uint32_t index = 0; index < segment::kPlacesPerSlot; ++index) {
    const WaitPlace& place = slot.places[index];
    const uint32_t state = place.state.load(std::memory_order_acquire);
    if (state == kNever) {
      break;
    }
    if (state == kComplete && place.rip.load(kRelaxed) == caller.rip &&
        place.rsp.load(kRelaxed) == caller.rsp && place.descriptor.load(kRelaxed) == fd &&
        place.cell.load(kRelaxed) == thread.cell_index) {
      return index;
    }
  }
  return kNoIndex;
}

uint32_t AddPlace(ThreadState& thread, segment::Slot& slot, uint32_t call_id, int fd,
                  const Caller& caller, bool assumed_idle) {
  for (uint32_t index = 0; index < segment::kPlacesPerSlot; ++index) {
    WaitPlace& place = slot.places[index];
    uint32_t state = place.state.load(kRelaxed);
    if ((state != kNever && state != kClosed) ||
        !place.state.compare_exchange_strong(state, kBeingWritten, std::memory_order_acq_rel)) {
      continue;
    }
    place.cell.store(thread.cell_index, kRelaxed);
    place.call_id.store(call_id, kRelaxed);
    place.descriptor.store(fd, kRelaxed);
    place.rip.store(caller.rip, kRelaxed);
    place.rsp.store(caller.rsp, kRelaxed);
    place.rbp.store(caller.rbp, kRelaxed);
    place.verdict.store(Verdict::kUnknown, kRelaxed);
    place.assumed_idle.store(assumed_idle ? 1 : 0, kRelaxed);
    place.waits.store(0, kRelaxed);
    place.state.store(kComplete, std::memory_order_release);
    RecordPlace(thread, index, caller, EventKind::kPlace);
    return index;
  }
  slot.header.places_dropped.fetch_add(1, kRelaxed);
  return kNoIndex;
}

void MakeOwnPlace(ThreadState& thread, uint32_t index, int fd, const Caller& caller) {
  thread.place = index;
  thread.place_rip = caller.rip;
  thread.place_rsp = caller.rsp;
  thread.place_descriptor = fd;
  thread.cell->place.store(index, kRelaxed);
}

bool IsIdlePlace(const segment::Slot& slot, uint32_t index) {
  const WaitPlace& place = slot.places[index];
  const Verdict verdict = place.verdict.load(kRelaxed);
  return verdict == Verdict::kIdle ||
         (verdict == Verdict::kUnknown && place.assumed_idle.load(kRelaxed) != 0);
}

// The steps of the turn before are of no interest any more.
void ForgetSteps(ThreadState& thread, segment::LoopCell& cell) {
  thread.turn_call_ticks = thread.untold_calls = 0;
  cell.turn_steps.store(0, kRelaxed);
  cell.turn_step_ticks.store(0, kRelaxed);
  cell.turn_longest.store(0, kRelaxed);
  for (segment::TurnShare& share : cell.turn_shares) {
    if (share.steps.load(kRelaxed) == 0) break;
    share.steps.store(0, kRelaxed);
  }
}

}  // namespace

void BeginTurn(ThreadState& thread, uint64_t now, int ready) {
  segment::LoopCell& cell = *thread.cell;
  const uint64_t since = cell.last_change.load(kRelaxed);
  if (cell.state.load(kRelaxed) == LoopState::kIdle && now > since) {
    cell.idle_ticks.store(cell.idle_ticks.load(kRelaxed) + (now - since), kRelaxed);
  }
  cell.ready_events.store(ready > 0 ? static_cast<uint32_t>(ready) : 0, kRelaxed);
  cell.call_ticks_in_step.store(0, kRelaxed);
  if (thread.loop != nullptr) {
    ForgetSteps(thread, cell);
  }
  cell.turns.store(cell.turns.load(kRelaxed) + 1, kRelaxed);
  cell.step_start.store(now, kRelaxed);
  cell.last_change.store(now, kRelaxed);
  // Release: who sees the step sees its start and its turn number.
  cell.state.store(LoopState::kInStep, std::memory_order_release);
}

void EndTurn(ThreadState& thread, uint64_t now, LoopState next) {
  segment::LoopCell& cell = *thread.cell;
  const uint64_t sequence = cell.call_sequence.load(kRelaxed);
  if ((sequence & 1) != 0) [[unlikely]] {
    cell.call_sequence.store(sequence + 1, std::memory_order_release);  // left by siglongjmp
  }
  if (cell.state.load(kRelaxed) == LoopState::kInStep) {
    const uint64_t start = cell.step_start.load(kRelaxed);
    const uint64_t ticks = now > start ? now - start : 0;
    cell.busy_ticks.store(cell.busy_ticks.load(kRelaxed) + ticks, kRelaxed);
    const uint64_t told = thread.loop != nullptr ? cell.turn_step_ticks.load(kRelaxed) : 0;
    const uint64_t untold = ticks > told ? ticks - told : 0;
    const bool judged = thread.loop == nullptr || thread.partial;
    if (judged && (told == 0 || untold >= thread.notable_ticks)) {
      CountStep(cell, untold);
    }
    if (ticks >= g_process.arena->threshold_ticks) [[unlikely]] {
      if (judged && untold >= g_process.arena->threshold_ticks) {
        RecordTurn(thread, start, now);
      }
      if (thread.loop != nullptr) {
        RecordExactTurn(thread, start, now);
      }
    }
  }
  cell.last_change.store(now, kRelaxed);
  cell.state.store(next, std::memory_order_release);
  const segment::Slot& slot = *g_process.slot.load(kRelaxed);
  if (slot.header.sample_wanted.load(kRelaxed) != 0) [[unlikely]] {
    AcceptSignals(thread);
  }
}

namespace {

// Called when a thread without a cell has come back from a wait.
[[gnu::noinline]] void Discover(ThreadState& thread, uint32_t call_id, int fd, const Caller& caller,
                                int ready) {
  // A thread that got no cell asks again when there are more, else ever more rarely.
  const segment::ArenaHeader* const arena = g_process.arena;
  const uint32_t slots = arena != nullptr ? arena->slots_ready.load(kRelaxed) : 0;
  const uint32_t attempt = ++thread.claim_attempts;
  if (slots == thread.slots_at_attempt && (attempt & (attempt - 1)) != 0 && attempt % 256 != 0) {
    return;
  }
  thread.slots_at_attempt = slots;
  const int saved_errno = errno;
  if (Connect() && ClaimCell(thread)) {
    segment::Slot* slot = g_process.slot.load(kRelaxed);
    const uint32_t index = AddPlace(thread, *slot, call_id, fd, caller, true);
    if (index != kNoIndex) {
      MakeOwnPlace(thread, index, fd, caller);
    }
    BeginTurn(thread, Now(), ready);
  }
  errno = saved_errno;
}

template <typename Call>
[[gnu::always_inline]] inline int Wait(uint32_t call_id, int fd, bool may_sleep,
                                       const Caller& caller, const Call& call) {
  ThreadState* const thread = LoopThread();
  if (thread == nullptr) {
    const int ready = call();
    if (ready >= 0 && (g_process.arena != nullptr || g_process.plain)) {
      Discover(t_state, call_id, fd, caller, ready);
    }
    return ready;
  }
  segment::Slot& slot = *g_process.slot.load(kRelaxed);
  uint32_t place = thread->place;
  const bool own = thread->place_rip == caller.rip && thread->place_rsp == caller.rsp &&
                   thread->place_descriptor == fd;
  // A loop that tells its steps has said whether this wait is in one.
  const bool told = IsTold(*thread);
  bool idle = told && !IsExactStepOpen(*thread);
  if (!own) [[unlikely]] {
    const bool between_loops =
        told ? idle
             : thread->cell->state.load(kRelaxed) == LoopState::kEnded || thread->place == kNoIndex;
    place = FindPlace(*thread, slot, fd, caller);
    if (place == kNoIndex && (may_sleep || between_loops)) {
      place = AddPlace(*thread, slot, call_id, fd, caller, between_loops);
    }
  }
  if (!told) {
    idle = place != kNoIndex && IsIdlePlace(slot, place);
  }
  if (idle) [[likely]] {
    if (!own && place != kNoIndex) {
      MakeOwnPlace(*thread, place, fd, caller);
    }
    if (may_sleep) {
      auto& waits = thread->cell->waits_with_timeout;
      waits.store(waits.load(kRelaxed) + 1, kRelaxed);
    }
    // A loop that tells all its steps and only looks, because more is to be done, does not
    // wait: its next turn begins where the last step ended, and no clock is read.
    const bool looks =
        !may_sleep && told && !thread->partial && thread->cell->turn_steps.load(kRelaxed) != 0;
    const uint64_t begin = looks ? thread->told_until : Now();
    EndTurn(*thread, begin, LoopState::kIdle);
    const int ready = Undisturbed(*thread, call);
    if (LoopThread() != nullptr) {
      BeginTurn(*thread, looks ? begin : Now(), ready);
    }
    return ready;
  }
  auto& nested = thread->cell->nested_waits;
  nested.store(nested.load(kRelaxed) + 1, kRelaxed);
  if (place != kNoIndex) {
    auto& waits = slot.places[place].waits;
    waits.store(waits.load(kRelaxed) + 1, kRelaxed);
  }
  if (!may_sleep) {
    NoteReached(*thread, call_id, caller);
    return Undisturbed(*thread, call);
  }
  const uint64_t start = Now();
  const uint64_t kept = static_cast<uint64_t>(fd);
  const uint64_t sequence = EnterCall(*thread, call_id, caller, kept, 0, place, start);
  const int ready = Finish<int>(*thread, sequence, segment::Category::kWait, call_id, caller, start,
                                kept, 0, call, place);
  if (!told && place != kNoIndex && LoopThread() != nullptr && IsIdlePlace(slot, place)) {
    // Meanwhile the collector has found out that this was the loop's own.
    EndTurn(*thread, start, LoopState::kIdle);
    MakeOwnPlace(*thread, place, fd, caller);
    BeginTurn(*thread, Now(), ready);
  }
  return ready;
}

// The descriptor is gone: waits on its number are other waits from now on.
void ForgetDescriptor(ThreadState& thread, int fd) {
  segment::Slot& slot = *g_process.slot.load(kRelaxed);
  for (uint32_t index = 0; index < segment::kPlacesPerSlot; ++index) {
    WaitPlace& place = slot.places[index];
    const uint32_t state = place.state.load(std::memory_order_acquire);
    if (state == kNever) {
      break;
    }
    if (state == kComplete && place.descriptor.load(kRelaxed) == fd &&
        place.cell.load(kRelaxed) == thread.cell_index) {
      RecordPlace(thread, index, Caller{}, EventKind::kLoopEnd);
      place.state.store(kClosed, std::memory_order_release);
    }
  }
  if (fd == thread.place_descriptor) {
    EndTurn(thread, Now(), LoopState::kEnded);
    thread.place = kNoIndex;
    thread.place_descriptor = -1;
  }
}

// Whoever closes without close() (libuv makes the system call itself) is found out when
// the number is given to a new epoll instance.
int NoteCreated(int fd) {
  ThreadState* const thread = fd >= 0 ? LoopThread() : nullptr;
  if (thread != nullptr) [[unlikely]] {
    ForgetDescriptor(*thread, fd);
  }
  return fd;
}

}  // namespace

LOOPSAN_HOOK int hook_epoll_create(int) __asm__("epoll_create");
LOOPSAN_HOOK int hook_epoll_create(int size) {
  static constinit RealFunction real{"epoll_create", nullptr};
  return NoteCreated(real.As<int(int)>()(size));
}

LOOPSAN_HOOK int hook_epoll_create1(int) __asm__("epoll_create1");
LOOPSAN_HOOK int hook_epoll_create1(int flags) {
  static constinit RealFunction real{"epoll_create1", nullptr};
  return NoteCreated(real.As<int(int)>()(flags));
}

LOOPSAN_HOOK int hook_epoll_wait(int, epoll_event*, int, int) __asm__("epoll_wait");
LOOPSAN_HOOK int hook_epoll_wait(int fd, epoll_event* events, int room, int timeout) {
  static constinit RealFunction real{"epoll_wait", nullptr};
  auto* const call = real.As<int(int, epoll_event*, int, int)>();
  return Wait(kId_epoll_wait, fd, timeout != 0, LOOPSAN_CALLER(),
              [&]() { return call(fd, events, room, timeout); });
}

LOOPSAN_HOOK int hook_epoll_pwait(int, epoll_event*, int, int,
                                  const sigset_t*) __asm__("epoll_pwait");
LOOPSAN_HOOK int hook_epoll_pwait(int fd, epoll_event* events, int room, int timeout,
                                  const sigset_t* mask) {
  static constinit RealFunction real{"epoll_pwait", nullptr};
  auto* const call = real.As<int(int, epoll_event*, int, int, const sigset_t*)>();
  return Wait(kId_epoll_pwait, fd, timeout != 0, LOOPSAN_CALLER(),
              [&]() { return call(fd, events, room, timeout, mask); });
}

LOOPSAN_HOOK int hook_epoll_pwait2(int, epoll_event*, int, const timespec*,
                                   const sigset_t*) __asm__("epoll_pwait2");
LOOPSAN_HOOK int hook_epoll_pwait2(int fd, epoll_event* events, int room, const timespec* timeout,
                                   const sigset_t* mask) {
  static constinit RealFunction real{"epoll_pwait2", nullptr};
  auto* const call = real.As<int(int, epoll_event*, int, const timespec*, const sigset_t*)>();
  if (call == nullptr) {  // glibc before 2.35: the program asked whether it exists
    errno = ENOSYS;
    return -1;
  }
  const bool may_sleep = timeout == nullptr || timeout->tv_sec != 0 || timeout->tv_nsec != 0;
  return Wait(kId_epoll_pwait2, fd, may_sleep, LOOPSAN_CALLER(),
              [&]() { return call(fd, events, room, timeout, mask); });
}

LOOPSAN_HOOK int hook_close(int fd) __asm__("close");
LOOPSAN_HOOK int hook_close(int fd) {
  static constinit RealFunction real{"close", nullptr};
  auto* const call = real.As<int(int)>();
  ThreadState* const thread = LoopThread();
  if (thread == nullptr) [[likely]] {
    return call(fd);
  }
  const Caller caller = LOOPSAN_CALLER();
  const uint64_t start = Now();
  const uint64_t kept = static_cast<uint64_t>(fd);
  // Before the close: another thread may get the number the moment it is free.
  ForgetDescriptor(*thread, fd);
  const uint64_t sequence = EnterCall(*thread, kId_close, caller, kept, 0, kNoIndex, start);
  return Finish<int>(*thread, sequence, segment::Category::kFile, kId_close, caller, start, kept, 0,
                     [&]() { return call(fd); });
}

}  // namespace loopsan::probe
