// Looks at waits and at steps that go on, and the ways to a stack.
#include <string.h>

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "instrument/blocking_calls.h"
#include "reporters/internal/watcher_private.h"

namespace loopsan {
namespace {

using segment::kNoIndex;
using segment::LoopState;

// When a step is looked at, in thresholds. The first look is early: two stacks
// that are most of a threshold apart show whether one callback ran all the time.
constexpr double kLooks[] = {0.25, 1, 1.5, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024};
constexpr size_t kLookCount = sizeof kLooks / sizeof kLooks[0];

// A look that finds no stack is repeated this often: 50 ms of a busy machine.
constexpr size_t kMissedLooks = 10;

constexpr size_t kStackLimit = segment::kMaxSnapshotBytes;
constexpr int kPerfMilliseconds = 6;
constexpr int kSignalMilliseconds = 3;

// The step that is open: the one that its loop tells, else the turn. Exact ones have
// even numbers.
uint64_t StepStart(const SegmentCell& cell) {
  return cell.exact.start != 0 ? cell.exact.start : cell.step_start;
}
uint64_t StepKey(const SegmentCell& cell) {
  return cell.exact.start != 0 ? cell.exact.sequence : 2 * cell.turns + 1;
}

// A loop tells its steps here, and was just about to.
bool IsChanging(const SegmentCell& cell) { return cell.told && cell.exact.sequence == 0; }

}  // namespace

void Watcher::Look(Process& process, Thread& thread, uint64_t now) {
  const SegmentCell cell = process.reader.Cell(thread.cell);
  if (cell.state == LoopState::kUnused) {
    return;
  }
  if (!thread.has_bounds && (cell.place != kNoIndex || cell.told)) {
    const auto place = process.reader.Place(cell.place);
    const uint64_t sp = place ? place->registers.rsp : cell.loop_sp;
    uint64_t low = 0;
    uint64_t high = 0;
    if (sp != 0 && FindMapping(process.pid, sp, low, high)) {
      segment::LoopCell& shared = process.reader.slot()->cells[thread.cell];
      shared.stack_low.store(low, std::memory_order_relaxed);
      shared.stack_high.store(high, std::memory_order_relaxed);
      thread.has_bounds = true;
    }
  }
  if (cell.place != kNoIndex && thread.epoll_targets < 2 && now >= thread.next_target_count) {
    thread.next_target_count = now + clock_->Ticks(0.05);
    if (const auto place = process.reader.Place(cell.place)) {
      thread.epoll_targets =
          std::max(thread.epoll_targets, CountEpollTargets(process.pid, place->descriptor));
    }
  }
  const std::optional<ProcessorTimes> times = thread.probe->Times();
  NoteScheduling(process, thread, times, now);
  Measure(process, thread, cell, times, now, false);
  const bool told = IsChanging(cell) || (cell.exact.loop != 0 && !cell.partial);
  if (cell.exact.start != 0 || (!told && cell.state == LoopState::kInStep)) {
    LookAtStep(process, thread, cell, now);
  } else if (cell.state == LoopState::kIdle) {
    LookAtWait(process, thread, cell);
  }
}

void Watcher::LookAtWait(Process& process, Thread& thread, const SegmentCell& cell) {
  if (cell.place == kNoIndex || thread.places_with_stack.contains(cell.place)) {
    return;
  }
  const auto place = process.reader.Place(cell.place);
  if (!place) {
    return;
  }
  const segment::LoopCell& shared = process.reader.slot()->cells[thread.cell];
  WaitStackTaken taken;
  taken.stack = CopyStack(process.pid, place->registers,
                          shared.stack_high.load(std::memory_order_relaxed), kStackLimit);
  taken.stack.rip_is_return_address = true;
  const SegmentCell after = process.reader.Cell(thread.cell);
  if (taken.stack.bytes.empty() || after.state != LoopState::kIdle || after.turns != cell.turns) {
    return;  // it moved on; the next wait will do
  }
  ++remote_.used;
  thread.places_with_stack.insert(cell.place);
  taken.process = process.key;
  taken.cell = thread.cell;
  taken.place_index = cell.place;
  taken.place = *place;
  taken.epoll_targets = thread.epoll_targets;
  sink_(std::move(taken));
}

void Watcher::LookAtStep(Process& process, Thread& thread, const SegmentCell& cell, uint64_t now) {
  if (StepKey(cell) != thread.looked_step) {
    thread.looked_step = StepKey(cell);
    thread.looks = 0;
    thread.missed_looks = 0;
    // What was told in between ends the callback that a look before it met.
    thread.shallowest_sp = cell.partial ? UINT64_MAX : 0;
  }
  if (cell.exact.start == 0) {
    LookForOtherLoop(process, thread, cell);
  }
  // The descriptor of a call that goes on is read while it is surely open.
  if (const auto call = process.reader.CallInProgress(thread.cell);
      call && call->sequence != thread.described_call && now > call->start &&
      clock_->Seconds(now - call->start) > 0.003) {
    thread.described_call = call->sequence;
    thread.descriptor.reset();
    const CallDetail detail = kBlockingCalls[call->call_id].detail;
    if ((detail == CallDetail::kFd || detail == CallDetail::kAddress) &&
        call->args[0] <= 0x7fffffff) {
      thread.descriptor = ReadDescriptor(process.pid, static_cast<int>(call->args[0]));
      thread.descriptor_call_start = call->start;
    }
  }
  if (AwaitsAnswer(process, thread, cell) && !process.reader.CallInProgress(thread.cell)) {
    TakeSample(process, thread, cell, now);
    return;
  }
  const uint64_t start = StepStart(cell);
  if (thread.looks >= kLookCount || now <= start ||
      clock_->Seconds(now - start) < kLooks[thread.looks] * threshold_) {
    return;
  }
  const size_t look = thread.looks;
  while (thread.looks < kLookCount &&
         clock_->Seconds(now - start) >= kLooks[thread.looks] * threshold_) {
    ++thread.looks;
  }
  if (!TakeSample(process, thread, cell, now) && ++thread.missed_looks < kMissedLooks) {
    thread.looks = look;  // it waits for a processor, perhaps: once more at the next tick
  }
}

void Watcher::LookForOtherLoop(Process& process, Thread& thread, const SegmentCell& cell) {
  if (thread.turn_of_places != cell.turns) {
    thread.turn_of_places = cell.turns;
    thread.place_waits.clear();
    thread.told_waits.clear();
  }
  for (uint32_t index = 0; index < segment::kPlacesPerSlot; ++index) {
    const auto place = process.reader.Place(index);
    if (!place) break;
    if (place->cell != thread.cell || place->verdict != segment::Verdict::kUnknown ||
        place->assumed_idle) {
      continue;
    }
    const uint64_t begun = thread.place_waits.try_emplace(index, place->waits).first->second;
    const uint64_t waits = place->waits - begun;
    uint64_t& told = thread.told_waits[index];
    if (waits >= 4 && waits >= 2 * told) {
      told = waits;
      sink_(PlaceRecurs{process.key, thread.cell, index, waits, cell.turns});
    }
  }
}

void Watcher::ReadCallArguments(Process& process, const SegmentCall& call, SampleTaken& sample) {
  const CallDetail detail = kBlockingCalls[call.call_id].detail;
  if ((detail == CallDetail::kPath || detail == CallDetail::kText) && call.args[0] != 0) {
    char text[segment::kDetailBytes + 1] = {};
    // Up to the end of the page: a string may be the last thing mapped.
    const size_t to_page_end = 4096 - call.args[0] % 4096;
    size_t bytes = CopyMemory(process.pid, call.args[0], text,
                              std::min<size_t>(segment::kDetailBytes, to_page_end));
    if (bytes == to_page_end && strnlen(text, bytes) == bytes) {
      bytes += CopyMemory(process.pid, call.args[0] + bytes, text + bytes,
                          segment::kDetailBytes - bytes);
    }
    sample.call_text.assign(text, strnlen(text, bytes));
  }
}

bool Watcher::TakeSample(Process& process, Thread& thread, const SegmentCell& cell, uint64_t now) {
  SampleTaken sample;
  sample.process = process.key;
  sample.cell = thread.cell;
  sample.tid = thread.probe->tid();
  sample.thread_name = thread.name;
  sample.at = now;
  sample.loop = cell;
  sample.epoll_targets = thread.epoll_targets;
  sample.watcher_gap_seconds = GapSince(StepStart(cell));
  segment::LoopCell& shared = process.reader.slot()->cells[thread.cell];
  thread.shallowest_sp =
      std::max(thread.shallowest_sp, shared.shallowest_sp.load(std::memory_order_relaxed));
  shared.shallowest_sp.store(0, std::memory_order_relaxed);
  sample.shallowest_sp = thread.shallowest_sp;
  sample.scheduling = thread.probe->Scheduling();
  const bool has_stack = FillStack(process, thread, sample);
  if (!has_stack && AwaitsAnswer(process, thread, cell)) {
    return true;  // the next tick takes it
  }
  if (cell.exact.start != 0) {
    sample.context = ReadStepContext(cell.exact, [&](uint64_t address, void* to, size_t bytes) {
      return CopyMemory(process.pid, address, to, bytes);
    });
  }
  const SegmentCell after = process.reader.Cell(thread.cell);
  const bool same_step = cell.exact.start != 0
                             ? after.exact.sequence == cell.exact.sequence
                             : after.turns == cell.turns && after.state == LoopState::kInStep &&
                                   after.exact.start == 0;
  if (!same_step) {
    return true;  // the step has ended meanwhile; the stack may be of another
  }
  if (has_stack || thread.missed_looks + 1 >= kMissedLooks) {
    thread.missed_looks = 0;
    thread.shallowest_sp = 0;
    sink_(std::move(sample));
    return true;
  }
  return false;
}

bool Watcher::AwaitsAnswer(const Process& process, const Thread& thread,
                           const SegmentCell& cell) const {
  return process.signals != nullptr &&
         process.signals->AwaitsAnswer(thread.cell, StepKey(cell), clock_->Seconds(clock_->Now()));
}

bool Watcher::FillStack(Process& process, Thread& thread, SampleTaken& sample) {
  const segment::LoopCell& shared = process.reader.slot()->cells[thread.cell];
  const uint64_t high = shared.stack_high.load(std::memory_order_relaxed);
  std::optional<SystemCallState> system_call = thread.probe->SystemCall();
  // In a hooked call: the hook left the caller's registers.
  if (const auto call = process.reader.CallInProgress(thread.cell)) {
    const bool left_behind =  // by siglongjmp: the thread is now shallower than the mark
        system_call && !system_call->running && system_call->sp > call->registers.rsp;
    if (!left_behind) {
      RawStack stack = CopyStack(process.pid, call->registers, high, kStackLimit);
      stack.rip_is_return_address = true;
      const auto after = process.reader.CallInProgress(thread.cell);
      if (after && after->sequence == call->sequence) {
        sample.call = call;
        if (thread.descriptor_call_start == call->start) {
          sample.descriptor = thread.descriptor;
        }
        ReadCallArguments(process, *call, sample);
        if (!stack.bytes.empty()) {
          ++remote_.used;
          sample.stack = std::move(stack);
          return true;
        }
        ++remote_.failed;
        return false;  // refused: the call's own snapshot will tell
      }
      system_call = thread.probe->SystemCall();
    }
  }
  // In an unhooked system call: the kernel tells its registers but for rbp.
  if (system_call && !system_call->running) {
    const Registers registers{system_call->pc, system_call->sp, 0};
    sample.system_call = system_call;
    RawStack stack = CopyStack(process.pid, registers, high, kStackLimit);
    if (!stack.bytes.empty()) {
      stack.source = StackSource::kSyscallFile;
      stack.rbp_known = false;
      ++syscall_file_.used;
      sample.stack = std::move(stack);
      return true;
    }
    ++syscall_file_.failed;
    return false;
  }
  if (!system_call && syscall_file_.reason.empty()) {
    syscall_file_.reason = absl::StrCat("/proc/", process.pid, "/task/", sample.tid,
                                        "/syscall cannot be read (it needs the right to trace)");
  }
  return FillRunningStack(process, thread, sample);
}

bool Watcher::FillRunningStack(Process& process, Thread& thread, SampleTaken& sample) {
  if (process.signals == nullptr) {
    const uint64_t high =
        process.reader.slot()->cells[thread.cell].stack_high.load(std::memory_order_relaxed);
    std::string error;
    if (auto stack = thread.probe->PerfSample(kPerfMilliseconds, high, error)) {
      ++perf_.used;
      sample.stack = std::move(*stack);
      return true;
    }
    ++perf_.failed;
    if (perf_.reason.empty()) {
      perf_.reason = error;
    }
    return false;
  }
  if (auto stack = process.signals->Take(thread.cell, thread.probe->tid(), StepKey(sample.loop),
                                         clock_->Seconds(clock_->Now()), kSignalMilliseconds)) {
    ++signal_.used;
    sample.stack = std::move(*stack);
    return true;
  }
  ++signal_.failed;
  if (signal_.reason.empty()) {
    signal_.reason = process.signals->error();
  }
  return false;
}

}  // namespace loopsan
