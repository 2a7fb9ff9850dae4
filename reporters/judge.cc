#include "reporters/judge.h"

#include <algorithm>
#include <array>
#include <utility>

#include "absl/strings/str_cat.h"
#include "instrument/blocking_calls.h"
#include "reporters/internal/judge_private.h"
#include "reporters/loop_functions.h"

namespace loopsan {

using namespace judging;  // NOLINT: the judge's own words

namespace {

// The shortest that the longest hundredth of the steps can have been.
double SecondsOfP99(const SegmentHistogram& steps, const std::vector<double>& bounds) {
  uint64_t count = 0;
  for (const uint64_t one : steps.counts) count += one;
  uint64_t longer = 0;
  for (size_t i = steps.counts.size(); i-- > 0;) {
    longer += steps.counts[i];
    if (longer > 0 && longer >= count / 100) {
      return i == 0 || bounds.empty() ? 0 : bounds[std::min(i, bounds.size()) - 1];
    }
  }
  return 0;
}

}  // namespace

Judge::Judge(const Options& options, const TickClock* ticks, MakeStackInterpreter interpreters,
             Actions actions)
    : private_(
          std::make_unique<Private>(options, ticks, std::move(interpreters), std::move(actions))) {}
Judge::~Judge() = default;

void Judge::Handle(const Observation& observation) {
  std::visit([this](const auto& one) { private_->Handle(one); }, observation);
}

void Judge::SetTimelineOrigin(uint64_t ticks) { private_->SetTimelineOrigin(ticks); }

void Judge::SetClockReadSeconds(double seconds) { private_->SetClockReadSeconds(seconds); }

void Judge::FillMetrics(MetricsSnapshot& snapshot) const { private_->FillMetrics(snapshot); }

void Judge::FillReport(Report& report) { private_->FillReport(report); }

judging::Process* Judge::Private::Find(ProcessKey key) {
  const auto found = processes_.find(key);
  return found == processes_.end() ? nullptr : &found->second;
}

void Judge::Private::Handle(const ProcessFound& found) {
  Process& process = processes_[found.process];
  process.key = found.process;
  process.slot = found.slot;
  process.pid = found.pid;
  process.executable = found.executable;
  process.stacks = interpreters_(found);
  metrics_.Begin(process.key, process.pid, process.executable, found.started_as);
}

void Judge::Private::Handle(const EventSeen& seen) {
  Process* process = Find(seen.process);
  if (process == nullptr) return;
  const SegmentEvent& event = seen.event;
  if (event.kind == EventKind::kFinding) {
    HandleFinding(*process, seen);
    return;
  }
  Loop& loop = process->loops[event.cell];
  if (seen.tid != 0) {
    loop.tid = seen.tid;
    loop.thread_name = seen.thread_name;
  }
  loop.epoll_targets = std::max(loop.epoll_targets, seen.epoll_targets);
  loop.turns = std::max(loop.turns, event.turn);
  if (event.kind == EventKind::kTurn || event.kind == EventKind::kStep) {
    loop.open_stall.reset();
    timeline_.AddSpan(TimelineId(*process, loop), loop.thread_name,
                      event.kind == EventKind::kTurn ? "turn" : "step", event.start, event.end);
  }
  switch (event.kind) {
    case EventKind::kPlace:
      if (seen.place) {
        NewPlace(*process, loop, event.place, *seen.place);
        if (seen.place->assumed_idle) {
          loop.current = event.place;
        }
        if (!event.stack.bytes.empty()) {
          SetWaitStack(*process, event.cell, loop, event.place, event.stack);
        }
      }
      return;
    case EventKind::kLoopEnd:
      FlushClosed(*process, event.cell, loop, event.turn + 1);
      if (loop.current == event.place) {
        loop.current = kNoIndex;
      }
      return;
    case EventKind::kEarlyCall: {
      FlushClosed(*process, event.cell, loop, event.turn);
      const auto place = loop.places.find(event.place);
      if (event.stack.bytes.empty()) return;
      if (place == loop.places.end() || !place->second.has_stack) {
        if (loop.early.size() < kMaxPending) loop.early.emplace_back(event.place, event);
        return;
      }
      const UnwoundStack stack = process->stacks->Unwind(event.stack);
      Learn(*process, event.cell, loop, event.place, event.turn,
            PlaceStack(*process, loop, event.place, stack));
      return;
    }
    case EventKind::kCall:
      loop.open_stall.reset();
      if (loop.calls_turn != event.turn) {
        loop.calls_turn = event.turn;
        loop.turn_calls.clear();
      }
      if (loop.turn_calls.size() < kMaxPending) {
        loop.turn_calls.emplace_back(event.start, event.end);
      }
      if (SiteSeen& site = process->sites[event.site]; event.site != kNoIndex) {
        ++site.events;
        site.ticks += event.end - event.start;
        site.cell = event.cell;
      }
      FlushClosed(*process, event.cell, loop, event.turn);
      HandleCall(*process, event.cell, loop, seen);
      return;
    case EventKind::kTurn:
      FlushClosed(*process, event.cell, loop, event.turn + 1);
      HandleTurn(*process, event.cell, loop, seen);
      return;
    case EventKind::kStep:
      HandleStep(*process, event.cell, loop, seen);
      return;
    case EventKind::kFinding:
      return;
  }
}

void Judge::Private::Handle(const LoopMeasured& measured) {
  Process* process = Find(measured.process);
  if (process == nullptr) return;
  timeline_.AddMeasure({process->key, process->pid, measured.tid}, measured.thread_name,
                       measured.measure);
  metrics_.Measured(measured);
  Loop& loop = process->loops[measured.cell];
  loop.tid = measured.tid;
  loop.thread_name = measured.thread_name;
  loop.told = loop.told || measured.state.told;
  loop.turns = std::max(loop.turns, measured.state.turns);
  loop.epoll_targets = std::max(loop.epoll_targets, measured.epoll_targets);
  loop.last = measured;
}

void Judge::Private::Handle(const SitesCounted& counted) {
  if (Process* const process = Find(counted.process)) Credit(*process, counted.sites);
}

LoopSummary Judge::Private::Summarize(const Loop& loop, const SegmentCell& cell,
                                      const SegmentCounts& counts) const {
  LoopSummary summary;
  summary.thread_id = loop.tid;
  summary.thread_name = loop.thread_name;
  summary.kind = cell.told && !cell.kind.empty() ? cell.kind : "epoll";
  for (const auto& [index, place] : loop.places) {
    if (place.verdict == Verdict::kIdle && !place.function.empty() &&
        (summary.function.empty() || place.loop_level >= 0)) {
      summary.function = place.function;
    }
  }
  summary.turns = cell.turns;
  summary.busy_seconds = clock_->Seconds(cell.busy_ticks);
  summary.idle_seconds = clock_->Seconds(cell.idle_ticks);
  summary.longest_step_seconds = clock_->Seconds(cell.longest_step);
  summary.p99_step_seconds = SecondsOfP99(counts.steps, bounds_);
  summary.proven = LoopIsProven(loop);
  return summary;
}

void Judge::Private::Handle(const LoopWaited& waited) {
  const Process* process = Find(waited.process);
  if (process == nullptr) return;
  timeline_.AddWait({process->key, process->pid, waited.tid}, waited.thread_name, waited.wait);
}

void Judge::Private::Handle(const LoopGone& gone) {
  Process* process = Find(gone.process);
  if (process == nullptr) return;
  Loop& loop = process->loops[gone.cell_index];
  loop.tid = gone.tid;
  loop.thread_name = gone.thread_name;
  loop.epoll_targets = std::max(loop.epoll_targets, gone.epoll_targets);
  loop.turns = std::max(loop.turns, gone.cell.turns);
  loop.slept = loop.slept || gone.cell.waits_with_timeout > 0;
  // The step that was open: its call, then itself.
  FlushClosed(*process, gone.cell_index, loop, gone.cell.turns);
  dropped_.outside_loop += std::exchange(loop.until_closed, {}).size();
  loop.told = loop.told || gone.cell.told;
  JudgeOpenStep(*process, gone, loop);
  if (gone.cell.state == LoopState::kInStep && gone.at > gone.cell.step_start &&
      (gone.cell.exact.loop == 0 || (gone.cell.partial && gone.cell.exact.start == 0))) {
    uint64_t call_ticks = gone.cell.call_ticks_in_step;
    if (gone.call && gone.at > gone.call->start) {
      for (const Sample& sample : loop.samples) {
        if (!sample.call || sample.call->start != gone.call->start ||
            sample.placement.standing != Standing::kInStep || options_.calls == CallsMode::kOff) {
          continue;
        }
        const BlockingCallRow& row = kBlockingCalls[gone.call->call_id];
        JudgedCall call;
        call.call_id = gone.call->call_id;
        call.turn = gone.cell.turns;
        call.place = gone.cell.place;
        call.start = gone.call->start;
        call.end = gone.at;
        call.category = CategoryName(row.category);
        call.stack = sample.stack;
        call.placement = sample.placement;
        call.in_progress = true;
        const bool idle_wait = row.category == Category::kWait && gone.call->place != kNoIndex &&
                               loop.places[gone.call->place].verdict == Verdict::kIdle;
        if (!idle_wait && !(row.category == Category::kLock &&
                            IsPoolWaitFunction(Name(*process, sample.stack.frames[0])))) {
          AcceptCall(*process, gone.cell_index, loop, call);
        }
        break;
      }
      call_ticks += gone.at - gone.call->start;
      loop.turn_calls.emplace_back(gone.call->start, gone.at);
    }
    if (loop.sample_turn == gone.cell.turns) {
      StepSeen step;
      step.turn = gone.cell.turns;
      step.start = gone.cell.step_start;
      step.end = gone.at;
      step.call_ticks = call_ticks;
      step.ready = gone.cell.ready_events;
      step.place = gone.cell.place;
      step.open = true;
      JudgeStep(*process, gone.cell_index, loop, step);
    }
  }
  dropped_.unsure += loop.pending.size() + loop.waiting.size();
  if (loop.long_turns > 0 && !(loop.told && process->reports_long_turns)) {
    Finding finding;
    finding.rule = "long-turn";
    finding.level = "note";
    finding.cause = "cpu";
    finding.thread_id = loop.tid;
    finding.thread_name = loop.thread_name;
    FindingEntry& entry = Merge(*process, gone.cell_index,
                                absl::StrCat("long|", process->executable, "|", loop.thread_name),
                                std::move(finding), loop.long_stack, "");
    entry.finding.count += loop.long_turns;
    entry.finding.total_seconds += loop.long_total;
    entry.finding.max_seconds = std::max(entry.finding.max_seconds, loop.long_worst);
    if (loop.long_steps > 0) {
      entry.finding.detail = absl::StrCat(loop.long_steps, " steps in the longest of them");
      entry.finding.note = loop.long_shares.empty()
                               ? ""
                               : absl::StrCat("most of the longest turn: ", loop.long_shares);
    } else {
      entry.finding.detail =
          absl::StrCat("up to ", loop.long_ready, " ready descriptors in a turn");
      entry.finding.note = absl::StrCat(loop.long_turns, " turns; up to ", loop.long_ready,
                                        " descriptors were ready at once, each with its callback");
    }
  }
  LoopDone done;
  done.summary = Summarize(loop, gone.cell, gone.counts);
  done.proven = done.summary.proven;
  if (!done.proven) {
    unproven_.insert({process->key, gone.cell_index});
  }
  metrics_.End(process->key, gone.cell_index, done.proven);
  process->done.push_back(std::move(done));
  process->loops.erase(gone.cell_index);
}

void Judge::Private::Handle(const ProcessGone& gone) {
  Process* process = Find(gone.process);
  if (process == nullptr) return;
  Credit(*process, gone.sites);
  // Nobody is left to ask.
  for (auto& [key, entry] : findings_) entry.untaken.erase(process->key);
  dropped_.events += gone.events_dropped;
  dropped_.snapshots += gone.snapshots_dropped;
  dropped_.sites += gone.sites_dropped;
  dropped_.loops += gone.loops_dropped;
  for (const std::string& warning : process->stacks->Warnings()) {
    if (std::find(warnings_.begin(), warnings_.end(), warning) == warnings_.end()) {
      warnings_.push_back(warning);
    }
  }
  metrics_.End(process->key);
  process->stacks.reset();
  actions_.release_slot(process->slot);
}

}  // namespace loopsan
