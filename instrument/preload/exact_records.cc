// What a loop that tells its steps leaves behind of a step, a turn or a call: its
// task and its coroutines, copied as text, because the program may be gone before
// anybody reads it. Only for what was long enough to be told.
#include <cstdint>

#include "instrument/preload/probe.h"
#include "instrument/preload/text_writer.h"

namespace loopsan::probe {

using segment::Event;
using segment::EventKind;
using segment::LoopCell;
using segment::Slot;
using segment::TextKind;

namespace {

constexpr auto kRelaxed = std::memory_order_relaxed;

// A program may have a million tasks, and the list has no index.
constexpr int kTasksSearched = 4096;

// The task with this id if it is still in the loop's list, else null.
const loopsan_task* FindTask(const loopsan_loop& loop, uint64_t id) {
  const loopsan_task* task = id != 0 ? loop.first_task : nullptr;
  for (int i = 0; task != nullptr && i < kTasksSearched; ++i) {
    if (task->id == id) {
      return task;
    }
    task = task->next;
  }
  return nullptr;
}

// The task of the open or just ended step, or null: it may have been destroyed in
// its own step.
const loopsan_task* StepTask(const ThreadState& thread) {
  const uint64_t address = thread.cell->exact_task.load(kRelaxed);
  const auto* task = reinterpret_cast<const loopsan_task*>(address);
  if (task == nullptr || task == thread.loop->current) {
    return task;
  }
  return FindTask(*thread.loop, thread.cell->exact_task_id.load(kRelaxed)) == task ? task : nullptr;
}

void AddTask(TextWriter& text, const loopsan_loop& loop, const loopsan_task& task) {
  text.AddText(TextKind::kTaskName, task.name);
  if (task.spawner != 0) {
    text.AddNumber(TextKind::kSpawner, task.spawner);
    if (const loopsan_task* spawner = FindTask(loop, task.spawner); spawner != nullptr) {
      text.AddText(TextKind::kSpawnerName, spawner->name);
    }
  }
}

void AddChain(TextWriter& text, const loopsan_async_frame* frame) {
  for (uint32_t i = 0; frame != nullptr; ++i) {
    if (i == segment::kChainLimit) {
      text.Add(TextKind::kCutChain);
      return;
    }
    const bool running = i == 0 && frame->root != nullptr;
    text.Add(running ? TextKind::kRunningFrame : TextKind::kWaitingFrame);
    text.AddSource(TextKind::kAwaitingAt, frame->awaiting_at);
    text.AddSource(TextKind::kDefinedAt, frame->defined_at);
    frame = frame->parent;
  }
}

// The coroutines from the innermost outwards: those that run, else where the task waits.
void AddCoroutines(TextWriter& text, const loopsan_loop& loop, const loopsan_task* task) {
  const loopsan_async_root* root = loop.root;
  if (root != nullptr && root->top_frame != nullptr) {
    text.AddNumber(TextKind::kResumer, reinterpret_cast<uint64_t>(root->stack_frame));
    AddChain(text, root->top_frame);
  } else if (task != nullptr) {
    AddChain(text, task->innermost);
  }
}

void CopyName(Event& event, const loopsan_task* task) {
  const Words name = Measure(task != nullptr ? task->name : nullptr, segment::kTaskNameBytes);
  for (uint32_t i = 0; i < name.bytes; ++i) {
    event.task[i] = name.text[i];
  }
  if (name.bytes < segment::kTaskNameBytes) {
    event.task[name.bytes] = '\0';
  }
}

}  // namespace

void RecordExactStep(ThreadState& thread, uint64_t start, uint64_t end) {
  Slot* slot = CurrentSlot();
  uint64_t number = 0;
  Event* event = slot != nullptr ? ReserveEvent(*slot, number) : nullptr;
  if (event == nullptr) {
    return;
  }
  FillCommon(*event, &thread, EventKind::kStep);
  event->start = start;
  event->end = end;
  const LoopCell& cell = *thread.cell;
  event->exact_step = cell.exact_sequence.load(kRelaxed);
  event->task_id = cell.exact_task_id.load(kRelaxed);
  // Not StepTask(): `current` may be the next step's already.
  const loopsan_task* task = FindTask(*thread.loop, event->task_id);
  CopyName(*event, task);
  WriteText(*slot, *event, [&](TextWriter& text) {
    text.AddSource(TextKind::kSpawnedAt,
                   reinterpret_cast<const loopsan_source*>(cell.exact_origin.load(kRelaxed)));
    if (task != nullptr) {
      AddTask(text, *thread.loop, *task);
      AddChain(text, task->innermost);
    }
  });
  Publish(*event, number);
}

void FillExact(Slot& slot, const ThreadState& thread, Event& event) {
  const LoopCell& cell = *thread.cell;
  event.exact_step = cell.exact_sequence.load(kRelaxed);
  event.task_id = cell.exact_task_id.load(kRelaxed);
  const loopsan_task* const task = StepTask(thread);
  CopyName(event, task);
  WriteText(slot, event, [&](TextWriter& text) {
    text.AddSource(TextKind::kSpawnedAt,
                   reinterpret_cast<const loopsan_source*>(cell.exact_origin.load(kRelaxed)));
    if (task != nullptr) {
      AddTask(text, *thread.loop, *task);
    }
    AddCoroutines(text, *thread.loop, task);
  });
}

void RecordExactTurn(ThreadState& thread, uint64_t start, uint64_t end) {
  const LoopCell& cell = *thread.cell;
  // The steps that were stalls, or blocked, have been told; so has what the loop
  // did while no step was open, if nothing else did.
  if (cell.turn_longest.load(kRelaxed) >= g_process.arena->threshold_ticks) {
    return;
  }
  Slot* slot = CurrentSlot();
  uint64_t number = 0;
  Event* event = slot != nullptr ? ReserveEvent(*slot, number) : nullptr;
  if (event == nullptr) {
    return;
  }
  FillCommon(*event, &thread, EventKind::kTurn);
  event->start = start;
  event->end = end;
  event->exact_step = cell.exact_sequence.load(kRelaxed);
  event->call_ticks = thread.turn_call_ticks;
  event->turn_steps = cell.turn_steps.load(kRelaxed);
  event->turn_step_ticks = cell.turn_step_ticks.load(kRelaxed);
  event->turn_longest = cell.turn_longest.load(kRelaxed);
  WriteText(*slot, *event, [&](TextWriter& text) {
    for (const segment::TurnShare& share : cell.turn_shares) {
      const uint64_t steps = share.steps.load(kRelaxed);
      if (steps == 0) break;
      const uint64_t numbers[] = {share.ticks.load(kRelaxed), share.longest.load(kRelaxed), steps};
      text.Add(TextKind::kShare, numbers, sizeof numbers);
      if (const loopsan_task* task = FindTask(*thread.loop, share.task.load(kRelaxed));
          task != nullptr) {
        text.AddText(TextKind::kShareName, task->name);
      }
      text.AddSource(TextKind::kShareSite,
                     reinterpret_cast<const loopsan_source*>(share.site.load(kRelaxed)));
    }
  });
  Publish(*event, number);
}

}  // namespace loopsan::probe
