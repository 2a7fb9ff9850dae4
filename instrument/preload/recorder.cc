// Writes events, call sites and stack snapshots into the segment.
//
// Called on loop threads from hooks, after the real call: nothing here enters
// libc, allocates or changes errno.
#include "instrument/blocking_calls.h"
#include "instrument/preload/probe.h"

extern "C" void* __libc_stack_end;  // ld.so: where the main thread's stack began

namespace loopsan::probe {

using segment::Event;
using segment::EventKind;
using segment::kNoIndex;
using segment::Slot;

namespace {

constexpr auto kRelaxed = std::memory_order_relaxed;

// A site's short calls are told the first time and then at powers of four.
bool IsToldAgain(uint64_t count) {
  return (count & (count - 1)) == 0 && (count & 0x5555555555555555ULL) != 0;
}

// Not memcpy: an AddressSanitizer in the program replaces it and would call a
// copy of other functions' frames an overflow.
inline void CopyBytes(void* to, const void* from, size_t bytes) {
  __asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(bytes) : : "memory");
}

void FillCaller(Event& event, const Caller& caller) {
  event.rip = caller.rip;
  event.rsp = caller.rsp;
  event.rbp = caller.rbp;
}

void FillSnapshot(Event& event, const Snapshot& snapshot) {
  event.first_chunk = snapshot.first_chunk;
  event.snapshot_bytes = snapshot.bytes;
}

void CopyText(Event& event, const char* text, uint64_t room = segment::kDetailBytes) {
  uint32_t bytes = 0;
  while (bytes < segment::kDetailBytes && bytes < room && text[bytes] != '\0') {
    event.detail[bytes] = text[bytes];
    ++bytes;
  }
  event.detail_bytes = bytes;
  event.detail_kind = segment::DetailKind::kText;
}

void FillDetail(Event& event, const CallRecord& call) {
  constexpr uint32_t kEfault = 14;
  if (call.result < 0 && call.error == kEfault) {
    return;  // the kernel could not read the argument, neither can we
  }
  switch (kBlockingCalls[call.call_id].detail) {
    case CallDetail::kPath:
    case CallDetail::kText:
      if (call.args[0] != 0) {
        CopyText(event, reinterpret_cast<const char*>(call.args[0]));
      }
      break;
    case CallDetail::kAddress:
      if (call.args[1] != 0) {
        const uint64_t length = AddressLength(call.args[1]);
        const auto* family = reinterpret_cast<const uint16_t*>(AddressPointer(call.args[1]));
        const uint32_t bytes = *family == 2 ? 16 : *family == 10 ? 28 : 2;
        if (length < bytes) {
          break;
        }
        CopyBytes(event.detail, family, bytes);
        event.detail_bytes = bytes;
        event.detail_kind = segment::DetailKind::kSocketAddress;
        if (*family == 1) {  // AF_UNIX: a path follows, which need not end in a 0
          CopyText(event, reinterpret_cast<const char*>(family) + 2, length - 2);
        }
      }
      break;
    case CallDetail::kNone:
    case CallDetail::kFd:
    case CallDetail::kTime:
      break;
  }
}

// Adds to the exact totals of this call at this place and depth.
uint32_t CountSite(Slot& slot, uint32_t cell, const CallRecord& call) {
  const uint64_t ticks = call.end - call.start;
  uint64_t key = call.caller.rip * 0x9e3779b97f4a7c15ULL;
  key ^= (call.caller.rsp + call.call_id + (static_cast<uint64_t>(cell) << 32)) *
         0xc2b2ae3d27d4eb4fULL;
  key |= 1;  // never 0
  for (uint32_t probe = 0; probe < 32; ++probe) {
    const uint32_t index = (key + probe) % segment::kSitesPerSlot;
    segment::CallSite& site = slot.sites[index];
    uint64_t found = site.key.load(std::memory_order_acquire);
    if (found == 0) {
      if (site.key.compare_exchange_strong(found, key, std::memory_order_acq_rel)) {
        site.call_id.store(call.call_id, kRelaxed);
        site.cell.store(cell, kRelaxed);
        site.rip.store(call.caller.rip, kRelaxed);
        site.rsp.store(call.caller.rsp, kRelaxed);
        found = key;
      }
    }
    if (found != key) {
      continue;
    }
    site.count.fetch_add(1, kRelaxed);
    site.total_ticks.fetch_add(ticks, kRelaxed);
    uint64_t worst = site.worst_ticks.load(kRelaxed);
    while (ticks > worst && !site.worst_ticks.compare_exchange_weak(worst, ticks, kRelaxed)) {
    }
    return index;
  }
  slot.header.sites_dropped.fetch_add(1, kRelaxed);
  return kNoIndex;
}

// Up to where the memory above `rsp` is the stack of this thread, which stays
// as long as it runs; 0 if there is no saying. `high`, the end of the mapping,
// was true when the collector looked: behind the stack of a fiber, or one that
// the program provided, may follow what the program has given back since.
uint64_t CertainEnd(uint64_t rsp, uint64_t high) {
  const auto main_end = reinterpret_cast<uint64_t>(__libc_stack_end);
  if (rsp < main_end && main_end <= high) {
    return high;
  }
  // The C library keeps what belongs to a thread at the upper end of its stack,
  // and the main thread's somewhere else.
  const auto thread = reinterpret_cast<uint64_t>(__builtin_thread_pointer());
  return thread != g_process.main_thread && rsp < thread && thread <= high ? thread : 0;
}

}  // namespace

Slot* CurrentSlot() {
  Slot* slot = g_process.slot.load(kRelaxed);
  if (slot == nullptr || g_process.arena->closed.load(kRelaxed) != 0) {
    return nullptr;
  }
  return slot;
}

// Adjacent ones. Returns the first one's index or kNoIndex.
uint32_t TakeChunks(Slot& slot, uint32_t wanted) {
  const uint64_t run = wanted >= 64 ? ~0ULL : (1ULL << wanted) - 1;
  uint64_t in_use = slot.header.chunks_in_use.load(kRelaxed);
  for (uint32_t first = 0; first + wanted <= segment::kChunksPerSlot;) {
    if ((in_use & (run << first)) != 0) {
      ++first;
      continue;
    }
    if (slot.header.chunks_in_use.compare_exchange_weak(in_use, in_use | (run << first),
                                                        std::memory_order_acquire, kRelaxed)) {
      return first;
    }
    first = 0;
  }
  return kNoIndex;
}

Event* ReserveEvent(Slot& slot, uint64_t& number) {
  number = slot.header.event_head.load(kRelaxed);
  do {
    if (number - slot.header.event_tail.load(std::memory_order_acquire) >=
        segment::kEventsPerSlot) {
      slot.header.events_dropped.fetch_add(1, kRelaxed);
      return nullptr;
    }
  } while (!slot.header.event_head.compare_exchange_weak(number, number + 1, kRelaxed));
  return &slot.events[number & (segment::kEventsPerSlot - 1)];
}

void FillCommon(Event& event, const ThreadState* thread, EventKind kind) {
  event.kind = kind;
  event.cell = event.place = kNoIndex;
  event.step_start = event.turn = event.call_ticks = 0;
  event.ready_events = 0;
  if (thread != nullptr) {
    const segment::LoopCell& cell = *thread->cell;
    event.cell = thread->cell_index;
    event.place = cell.place.load(kRelaxed);
    event.step_start = cell.step_start.load(kRelaxed);
    event.turn = cell.turns.load(kRelaxed);
    event.ready_events = cell.ready_events.load(kRelaxed);
    event.call_ticks = cell.call_ticks_in_step.load(kRelaxed);
  }
  event.call_id = 0;
  event.start = event.end = 0;
  event.rip = event.rsp = event.rbp = 0;
  event.args[0] = event.args[1] = 0;
  event.result = 0;
  event.error = 0;
  event.site = kNoIndex;
  event.first_chunk = kNoIndex;
  event.snapshot_bytes = 0;
  event.detail_kind = segment::DetailKind::kNone;
  event.detail_bytes = 0;
  event.call_place = kNoIndex;
  event.exact_step = event.task_id = 0;
  event.turn_steps = event.turn_step_ticks = event.turn_longest = 0;
  event.text_chunk = kNoIndex;
  event.text_offset = event.text_bytes = event.reserved = 0;
  event.task[0] = '\0';
}

void Publish(Event& event, uint64_t number) {
  // Release: a reader that sees the number sees the event.
  event.published.store(number + 1, std::memory_order_release);
}

Snapshot TakeSnapshot(const ThreadState& thread, Slot& slot, uint64_t rsp) {
  const uint64_t low = thread.cell->stack_low.load(kRelaxed);
  const uint64_t high = thread.cell->stack_high.load(kRelaxed);
  if (rsp < low || rsp >= high) {
    return {};
  }
  const uint64_t end = CertainEnd(rsp, high);
  if (end <= rsp) {
    return {};
  }
  uint64_t bytes = end - rsp;
  if (bytes > segment::kMaxSnapshotBytes) {
    bytes = segment::kMaxSnapshotBytes;
  }
  for (uint64_t chunks = (bytes + segment::kChunkBytes - 1) / segment::kChunkBytes; chunks > 0;
       chunks /= 2) {
    const uint32_t first = TakeChunks(slot, static_cast<uint32_t>(chunks));
    if (first == kNoIndex) {
      continue;
    }
    if (bytes > chunks * segment::kChunkBytes) {
      bytes = chunks * segment::kChunkBytes;
    }
    CopyBytes(slot.chunks[first], reinterpret_cast<const void*>(rsp), bytes);
    return {first, static_cast<uint32_t>(bytes)};
  }
  slot.header.snapshots_dropped.fetch_add(1, kRelaxed);
  return {};
}

// What the probe itself takes is told, too.
class CountOwnTime {
 public:
  CountOwnTime(segment::LoopCell& cell, uint64_t start) : cell_(cell), start_(start) {}
  ~CountOwnTime() {
    cell_.probe_ticks.store(cell_.probe_ticks.load(kRelaxed) + (Now() - start_), kRelaxed);
  }
  CountOwnTime(const CountOwnTime&) = delete;
  CountOwnTime& operator=(const CountOwnTime&) = delete;

 private:
  segment::LoopCell& cell_;
  const uint64_t start_;
};

void RecordCall(ThreadState& thread, const CallRecord& call) {
  Slot* slot = CurrentSlot();
  if (slot == nullptr || !InStep(thread)) {
    return;
  }
  segment::LoopCell& cell = *thread.cell;
  cell.call_ticks_in_step.store(cell.call_ticks_in_step.load(kRelaxed) + (call.end - call.start),
                                kRelaxed);
  if (thread.loop != nullptr && cell.blocking_allowed.load(kRelaxed) != 0) {
    return;  // meant; and so is what it adds to the step
  }
  const uint32_t site = CountSite(*slot, thread.cell_index, call);
  // A short call from a place that was told often enough is only counted: stacks
  // are few, and the first ones of other places must find room.
  if (site != kNoIndex && call.end - call.start < g_process.arena->short_ticks &&
      !IsToldAgain(slot->sites[site].count.load(kRelaxed))) {
    return;
  }
  uint64_t number = 0;
  Event* event = ReserveEvent(*slot, number);
  if (event == nullptr) {
    return;
  }
  const CountOwnTime own_time(cell, call.end);
  FillCommon(*event, &thread, EventKind::kCall);
  event->call_id = call.call_id;
  event->call_place = call.call_place;
  event->start = call.start;
  event->end = call.end;
  event->args[0] = call.args[0];
  event->args[1] = call.args[1];
  event->result = call.result;
  event->error = call.error;
  event->site = site;
  FillCaller(*event, call.caller);
  FillDetail(*event, call);
  FillSnapshot(*event, TakeSnapshot(thread, *slot, call.caller.rsp));
  if (IsTold(thread)) {
    FillExact(*slot, thread, *event);
  }
  Publish(*event, number);
}

void RecordEarlyCall(ThreadState& thread, uint32_t call_id, const Caller& caller) {
  segment::LoopCell& cell = *thread.cell;
  const uint64_t turn = cell.turns.load(kRelaxed);
  Slot* slot = CurrentSlot();
  // The snapshot is the point: wait until the collector has given the bounds.
  if (slot == nullptr || !InStep(thread) || turn == thread.early_turn ||
      cell.stack_high.load(kRelaxed) == 0) {
    return;
  }
  thread.early_turn = turn;
  --thread.early_left;
  uint64_t number = 0;
  Event* event = ReserveEvent(*slot, number);
  if (event == nullptr) {
    return;
  }
  const CountOwnTime own_time(cell, Now());
  FillCommon(*event, &thread, EventKind::kEarlyCall);
  event->call_id = call_id;
  FillCaller(*event, caller);
  FillSnapshot(*event, TakeSnapshot(thread, *slot, caller.rsp));
  Publish(*event, number);
}

void RecordTurn(ThreadState& thread, uint64_t start, uint64_t end) {
  Slot* slot = CurrentSlot();
  if (slot == nullptr) {
    return;
  }
  uint64_t number = 0;
  Event* event = ReserveEvent(*slot, number);
  if (event == nullptr) {
    return;
  }
  FillCommon(*event, &thread, EventKind::kTurn);
  event->start = start;
  event->end = end;
  if (thread.loop != nullptr) {
    // Of a partial loop: its steps are told by themselves.
    event->call_ticks += thread.untold_calls + thread.cell->turn_step_ticks.load(kRelaxed);
  }
  Publish(*event, number);
}

void RecordPlace(ThreadState& thread, uint32_t place, const Caller& caller, EventKind kind) {
  Slot* slot = CurrentSlot();
  if (slot == nullptr) {
    return;
  }
  uint64_t number = 0;
  Event* event = ReserveEvent(*slot, number);
  if (event == nullptr) {
    return;
  }
  FillCommon(*event, &thread, kind);
  event->place = place;
  event->start = event->end = Now();
  FillCaller(*event, caller);
  if (kind == EventKind::kPlace) {
    FillSnapshot(*event, TakeSnapshot(thread, *slot, caller.rsp));
  }
  Publish(*event, number);
}

}  // namespace loopsan::probe
