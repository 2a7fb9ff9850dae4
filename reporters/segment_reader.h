// Reads a slot that a watched process writes at the same time, or that it was
// killed in the middle of writing. Survives any bytes: every index, length and
// text is checked before it is used, and what comes out is a copy.
//
// Threads: one reader at a time; the writers are the watched process's threads.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "instrument/segment.h"
#include "reporters/process_image.h"
#include "reporters/stack.h"
#include "reporters/step_context.h"

namespace loopsan {

// An event with its snapshot and detail, validated.
struct SegmentEvent {
  segment::EventKind kind{};
  uint32_t cell = 0;
  uint32_t call_id = 0;
  uint32_t place = segment::kNoIndex;
  uint32_t call_place = segment::kNoIndex;
  uint32_t site = segment::kNoIndex;
  uint32_t ready_events = 0;
  uint64_t start = 0;
  uint64_t end = 0;
  uint64_t step_start = 0;
  uint64_t turn = 0;
  uint64_t call_ticks = 0;
  uint64_t args[2] = {0, 0};
  int64_t result = 0;
  uint32_t error = 0;
  segment::DetailKind detail_kind{};
  std::string detail;
  RawStack stack;  // bytes empty if there was no snapshot
  // Of loops that tell their steps:
  uint64_t exact_step = 0;  // 0: in none
  uint64_t turn_steps = 0;
  uint64_t turn_step_ticks = 0;
  uint64_t turn_longest = 0;
  EventText text;
};

struct SegmentPlace {
  uint32_t call_id = 0;
  uint32_t cell = 0;
  int descriptor = -1;
  Registers registers;
  bool assumed_idle = false;
  segment::Verdict verdict{};
  uint64_t waits = 0;
};

struct SegmentHistogram {
  uint64_t ticks = 0;
  std::array<uint64_t, segment::kBuckets> counts{};
};

// What a loop thread has counted so far, beside its cell's times.
struct SegmentCounts {
  SegmentHistogram steps;
  SegmentHistogram lock_waits;
  SegmentHistogram wake_delays;
  uint64_t probe_ticks = 0;
  uint64_t calls = 0;        // hooked, that may have blocked
  uint64_t exact_steps = 0;  // told, or the pauses between them
};

struct SegmentQueue {
  std::string name;
  SegmentHistogram delays;
};

struct SegmentCell {
  uint32_t tid = 0;
  segment::LoopState state{};
  uint32_t place = segment::kNoIndex;
  uint32_t ready_events = 0;
  uint64_t turns = 0;
  uint64_t step_start = 0;
  uint64_t last_change = 0;
  uint64_t busy_ticks = 0;
  uint64_t idle_ticks = 0;
  uint64_t longest_step = 0;
  uint64_t waits_with_timeout = 0;
  uint64_t call_ticks_in_step = 0;
  bool told = false;     // its loop has told steps
  bool partial = false;  // likewise, but not all of them
  std::string kind;      // if so: of the loop
  uint64_t loop_sp = 0;
  ExactStep exact;  // sequence 0 if none could be read
};

// A hooked call in progress.
struct SegmentCall {
  uint64_t sequence = 0;
  uint32_t call_id = 0;
  uint32_t place = segment::kNoIndex;
  uint64_t start = 0;
  Registers registers;
  uint64_t args[2] = {0, 0};
};

struct SegmentSite {
  uint64_t count = 0;
  uint64_t total_ticks = 0;
  uint64_t worst_ticks = 0;
};

class SegmentReader {
 public:
  explicit SegmentReader(segment::Slot* slot) : slot_(slot) {}

  // The next complete event, its snapshot copied and its chunks given back.
  // Invalid events are skipped and counted.
  std::optional<SegmentEvent> NextEvent();

  // An event that was reserved but never completed (its thread was killed or
  // cancelled) would hold up the rest: skips it. Returns true if one was there.
  bool SkipStuckEvent();

  SegmentCell Cell(uint32_t index) const;
  SegmentCounts Counts(uint32_t cell) const;
  std::vector<SegmentQueue> Queues() const;
  // Null while it changes.
  std::optional<ExactStep> Step(uint32_t cell) const;
  std::optional<SegmentPlace> Place(uint32_t index) const;
  // The call in progress, if the mark was stable while it was read.
  std::optional<SegmentCall> CallInProgress(uint32_t cell) const;
  SegmentSite Site(uint32_t index) const;
  std::vector<MappedModule> Modules() const;

  uint64_t invalid_events() const { return invalid_; }
  segment::Slot* slot() const { return slot_; }

 private:
  segment::Slot* slot_;
  uint64_t invalid_ = 0;
};

}  // namespace loopsan
