#include "reporters/segment_reader.h"

#include <algorithm>
#include <cstring>

#include "instrument/blocking_calls.h"

namespace loopsan {
namespace {

constexpr auto kRelaxed = std::memory_order_relaxed;

using segment::kNoIndex;

bool IsIndex(uint32_t value, uint32_t limit) { return value < limit || value == kNoIndex; }

bool IsValid(const segment::Event& event) {
  return event.kind >= segment::EventKind::kCall && event.kind <= segment::EventKind::kFinding &&
         (event.cell < segment::kCellsPerSlot ||
          (event.cell == kNoIndex && event.kind == segment::EventKind::kFinding)) &&
         event.call_id < kBlockingCallCount && IsIndex(event.place, segment::kPlacesPerSlot) &&
         IsIndex(event.call_place, segment::kPlacesPerSlot) &&
         IsIndex(event.site, segment::kSitesPerSlot) && event.end >= event.start &&
         event.detail_bytes <= segment::kDetailBytes &&
         event.detail_kind <= segment::DetailKind::kSocketAddress;
}

bool HasSnapshot(const segment::Event& event) {
  return event.first_chunk < segment::kChunksPerSlot && event.snapshot_bytes > 0 &&
         event.snapshot_bytes <=
             (segment::kChunksPerSlot - event.first_chunk) * uint64_t{segment::kChunkBytes} &&
         event.snapshot_bytes <= segment::kMaxSnapshotBytes;
}

bool HasText(const segment::Event& event) {
  return event.text_chunk < segment::kChunksPerSlot && event.text_bytes > 0 &&
         event.text_offset < segment::kChunkBytes &&
         event.text_bytes <= segment::kChunkBytes - event.text_offset;
}

}  // namespace

std::optional<SegmentEvent> SegmentReader::NextEvent() {
  segment::SlotHeader& header = slot_->header;
  for (;;) {
    const uint64_t tail = header.event_tail.load(kRelaxed);
    if (tail == header.event_head.load(std::memory_order_acquire)) {
      return std::nullopt;
    }
    const segment::Event& shared = slot_->events[tail & (segment::kEventsPerSlot - 1)];
    if (shared.published.load(std::memory_order_acquire) != tail + 1) {
      return std::nullopt;  // still being written
    }
    // A copy first: whoever owns the memory may change it between check and use.
    segment::Event event;
    std::memcpy(static_cast<void*>(&event), static_cast<const void*>(&shared), sizeof event);
    SegmentEvent result;
    uint64_t chunks_read = 0;
    if (HasSnapshot(event)) {
      const char* bytes = slot_->chunks[event.first_chunk];
      result.stack.source = StackSource::kSnapshot;
      result.stack.bytes.assign(bytes, bytes + event.snapshot_bytes);
      const uint32_t chunks =
          (event.snapshot_bytes + segment::kChunkBytes - 1) / segment::kChunkBytes;
      const uint64_t run = chunks >= 64 ? ~0ULL : (1ULL << chunks) - 1;
      chunks_read |= run << event.first_chunk;
    }
    if (HasText(event)) {
      const std::string text(slot_->chunks[event.text_chunk] + event.text_offset, event.text_bytes);
      chunks_read |= 1ULL << event.text_chunk;
      result.text = ParseEventText(text);
    }
    if (chunks_read != 0) {
      // Once: what is given back may be another event's at once.
      header.chunks_in_use.fetch_and(~chunks_read, std::memory_order_release);
    }
    // Release: the slot of the ring may be written again.
    header.event_tail.store(tail + 1, std::memory_order_release);
    if (!IsValid(event)) {
      ++invalid_;
      continue;
    }
    result.kind = event.kind;
    result.cell = event.cell;
    result.call_id = event.call_id;
    result.place = event.place;
    result.call_place = event.call_place;
    result.site = event.site;
    result.ready_events = event.ready_events;
    result.start = event.start;
    result.end = event.end;
    result.step_start = event.step_start;
    result.turn = event.turn;
    result.call_ticks = event.call_ticks;
    result.args[0] = event.args[0];
    result.args[1] = event.args[1];
    result.result = event.result;
    result.error = event.error;
    result.detail_kind = event.detail_kind;
    result.detail.assign(event.detail, event.detail_bytes);
    result.stack.registers = {event.rip, event.rsp, event.rbp};
    result.stack.rip_is_return_address = true;
    result.stack.base = event.rsp;
    result.exact_step = event.exact_step;
    result.turn_steps = event.turn_steps;
    result.turn_step_ticks = event.turn_step_ticks;
    result.turn_longest = event.turn_longest;
    TaskReference& task = result.text.context.task;
    task.id = event.task_id;
    if (task.name.empty()) {
      task.name.assign(event.task, strnlen(event.task, sizeof event.task));
    }
    return result;
  }
}

bool SegmentReader::SkipStuckEvent() {
  segment::SlotHeader& header = slot_->header;
  const uint64_t tail = header.event_tail.load(kRelaxed);
  if (tail == header.event_head.load(std::memory_order_acquire) ||
      slot_->events[tail & (segment::kEventsPerSlot - 1)].published.load(
          std::memory_order_acquire) == tail + 1) {
    return false;
  }
  header.event_tail.store(tail + 1, std::memory_order_release);
  ++invalid_;
  return true;
}

static SegmentHistogram Copy(const segment::Histogram& histogram) {
  SegmentHistogram result;
  result.ticks = histogram.ticks.load(kRelaxed);
  for (size_t i = 0; i < result.counts.size(); ++i) {
    result.counts[i] = histogram.counts[i].load(kRelaxed);
  }
  return result;
}

SegmentCell SegmentReader::Cell(uint32_t index) const {
  const segment::LoopCell& cell = slot_->cells[index % segment::kCellsPerSlot];
  SegmentCell result;
  result.tid = cell.tid.load(kRelaxed);
  // Acquire: pairs with the store that opens a step.
  result.state = cell.state.load(std::memory_order_acquire);
  if (result.state > segment::LoopState::kEnded) {
    result.state = segment::LoopState::kUnused;
  }
  result.place = cell.place.load(kRelaxed);
  if (result.place >= segment::kPlacesPerSlot) {
    result.place = kNoIndex;
  }
  result.ready_events = cell.ready_events.load(kRelaxed);
  result.turns = cell.turns.load(kRelaxed);
  result.step_start = cell.step_start.load(kRelaxed);
  result.last_change = cell.last_change.load(kRelaxed);
  result.busy_ticks = cell.busy_ticks.load(kRelaxed);
  result.idle_ticks = cell.idle_ticks.load(kRelaxed);
  result.longest_step = cell.longest_step.load(kRelaxed);
  result.waits_with_timeout = cell.waits_with_timeout.load(kRelaxed);
  result.call_ticks_in_step = cell.call_ticks_in_step.load(kRelaxed);
  const uint32_t told = cell.exact_told.load(std::memory_order_acquire);
  result.told = told != 0;
  result.partial = told == 2;
  if (result.told) {
    char kind[segment::kLoopKindBytes];
    std::memcpy(kind, cell.loop_kind, sizeof kind);
    result.kind.assign(kind, strnlen(kind, sizeof kind));
    result.loop_sp = cell.loop_sp.load(kRelaxed);
    result.exact = Step(index).value_or(ExactStep{});
  }
  return result;
}

SegmentCounts SegmentReader::Counts(uint32_t index) const {
  const segment::LoopCell& cell = slot_->cells[index % segment::kCellsPerSlot];
  return {.steps = Copy(cell.steps),
          .lock_waits = Copy(cell.lock_waits),
          .wake_delays = Copy(cell.wake_delays),
          .probe_ticks = cell.probe_ticks.load(kRelaxed),
          .calls = cell.call_sequence.load(kRelaxed) / 2,
          .exact_steps = cell.exact_sequence.load(kRelaxed) / 2};
}

std::vector<SegmentQueue> SegmentReader::Queues() const {
  std::vector<SegmentQueue> result;
  for (const segment::Queue& queue : slot_->queues) {
    // Acquire: pairs with the release that completes the name.
    if (queue.state.load(std::memory_order_acquire) != 2) continue;
    char name[segment::kQueueNameBytes];
    std::memcpy(name, queue.name, sizeof name);
    result.push_back({std::string(name, strnlen(name, sizeof name)), Copy(queue.delays)});
  }
  return result;
}

std::optional<ExactStep> SegmentReader::Step(uint32_t index) const {
  const segment::LoopCell& cell = slot_->cells[index % segment::kCellsPerSlot];
  ExactStep result;
  // Acquire: pairs with the release that closes a change.
  result.sequence = cell.exact_sequence.load(std::memory_order_acquire);
  result.start = cell.exact_start.load(kRelaxed);
  result.task = cell.exact_task.load(kRelaxed);
  result.task_id = cell.exact_task_id.load(kRelaxed);
  result.origin = cell.exact_origin.load(kRelaxed);
  result.loop = cell.exact_loop.load(kRelaxed);
  result.blocking_allowed = cell.blocking_allowed.load(kRelaxed) != 0;
  // Keeps the loads above before the second look at the sequence.
  std::atomic_thread_fence(std::memory_order_acquire);
  if ((result.sequence & 1) != 0 || cell.exact_sequence.load(kRelaxed) != result.sequence) {
    return std::nullopt;
  }
  return result;
}

std::optional<SegmentPlace> SegmentReader::Place(uint32_t index) const {
  if (index >= segment::kPlacesPerSlot) {
    return std::nullopt;
  }
  const segment::WaitPlace& place = slot_->places[index];
  if (place.state.load(std::memory_order_acquire) == 0) {
    return std::nullopt;
  }
  SegmentPlace result;
  result.call_id = place.call_id.load(kRelaxed);
  result.cell = place.cell.load(kRelaxed);
  if (result.call_id >= kBlockingCallCount || result.cell >= segment::kCellsPerSlot) {
    return std::nullopt;
  }
  result.descriptor = place.descriptor.load(kRelaxed);
  result.registers = {place.rip.load(kRelaxed), place.rsp.load(kRelaxed), place.rbp.load(kRelaxed)};
  result.assumed_idle = place.assumed_idle.load(kRelaxed) != 0;
  result.verdict = place.verdict.load(kRelaxed);
  result.waits = place.waits.load(kRelaxed);
  return result;
}

std::optional<SegmentCall> SegmentReader::CallInProgress(uint32_t index) const {
  const segment::LoopCell& cell = slot_->cells[index % segment::kCellsPerSlot];
  SegmentCall result;
  // Acquire: pairs with the release that marks the call, so its fields are seen.
  result.sequence = cell.call_sequence.load(std::memory_order_acquire);
  if ((result.sequence & 1) == 0) {
    return std::nullopt;
  }
  result.call_id = cell.call_id.load(kRelaxed);
  result.place = cell.call_place.load(kRelaxed);
  result.start = cell.call_start.load(kRelaxed);
  result.registers = {cell.call_rip.load(kRelaxed), cell.call_rsp.load(kRelaxed),
                      cell.call_rbp.load(kRelaxed)};
  result.args[0] = cell.call_args[0].load(kRelaxed);
  result.args[1] = cell.call_args[1].load(kRelaxed);
  // Keeps the loads above before the second look at the sequence.
  std::atomic_thread_fence(std::memory_order_acquire);
  if (cell.call_sequence.load(kRelaxed) != result.sequence ||
      result.call_id >= kBlockingCallCount || !IsIndex(result.place, segment::kPlacesPerSlot)) {
    return std::nullopt;
  }
  return result;
}

SegmentSite SegmentReader::Site(uint32_t index) const {
  if (index >= segment::kSitesPerSlot) {
    return {};
  }
  const segment::CallSite& site = slot_->sites[index];
  return {site.count.load(kRelaxed), site.total_ticks.load(kRelaxed),
          site.worst_ticks.load(kRelaxed)};
}

std::vector<MappedModule> SegmentReader::Modules() const {
  std::vector<MappedModule> result;
  const uint32_t count = std::min(slot_->header.module_count.load(std::memory_order_acquire),
                                  segment::kModulesPerSlot);
  for (uint32_t i = 0; i < count; ++i) {
    segment::Module module;
    std::memcpy(&module, &slot_->modules[i], sizeof module);
    if (module.path_bytes == 0 || module.path_bytes > segment::kModulePathBytes ||
        module.build_id_bytes > sizeof module.build_id || module.start >= module.end) {
      continue;
    }
    result.push_back({std::string(module.path, module.path_bytes),
                      module.start,
                      module.end,
                      module.load_bias,
                      {module.build_id, module.build_id + module.build_id_bytes}});
  }
  return result;
}

}  // namespace loopsan
