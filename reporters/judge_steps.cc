// Steps that took too long: one callback, many, or the machine's doing.
#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "instrument/blocking_calls.h"
#include "reporters/internal/judge_private.h"
#include "reporters/loop_functions.h"
#include "reporters/reporter.h"
#include "reporters/wording.h"

namespace loopsan {

using namespace judging;  // NOLINT: the judge's own words

namespace {

constexpr double kWorthANote = 0.25;  // of a step, waiting for a processor
constexpr uint64_t kMajorFaults = 8;
constexpr double kSecondsPerLiveLine = 60;  // of one place
constexpr double kSmallRest = 0.1;          // of a step, between its blocking calls

}  // namespace

// Linux x86-64 numbers.
std::string judging::SystemCallName(long number) {
  switch (number) {
    case 0:
      return "read";
    case 1:
      return "write";
    case 7:
      return "poll";
    case 23:
      return "select";
    case 35:
      return "nanosleep";
    case 45:
      return "recvfrom";
    case 47:
      return "recvmsg";
    case 61:
      return "wait4";
    case 202:
      return "futex";
    case 230:
      return "clock_nanosleep";
    case 232:
      return "epoll_wait";
    case 271:
      return "ppoll";
    case 281:
      return "epoll_pwait";
    case 426:
      return "io_uring_enter";
    default:
      return absl::StrCat("system call ", number);
  }
}

void Judge::Private::Handle(const SampleTaken& taken) {
  Process* process = Find(taken.process);
  if (process == nullptr) return;
  Loop& loop = process->loops[taken.cell];
  loop.tid = taken.tid;
  loop.thread_name = taken.thread_name;
  loop.epoll_targets = std::max(loop.epoll_targets, taken.epoll_targets);
  loop.slept = loop.slept || taken.loop.waits_with_timeout > 0;
  loop.turns = std::max(loop.turns, taken.loop.turns);
  if (taken.loop.exact.start != 0) {
    HandleExactSample(*process, loop, taken);
    return;
  }
  FlushClosed(*process, taken.cell, loop, taken.loop.turns);
  if (loop.sample_turn != taken.loop.turns) {
    loop.sample_turn = taken.loop.turns;
    loop.samples.clear();
  }
  Sample sample;
  sample.at = taken.at;
  sample.call = taken.call;
  sample.system_call = taken.system_call;
  sample.shallowest_sp = taken.shallowest_sp;
  sample.scheduling = taken.scheduling;
  if (taken.stack.source != StackSource::kNone) {
    sample.stack = process->stacks->Unwind(taken.stack);
    sample.placement = PlaceStack(*process, loop, taken.loop.place, sample.stack);
    if (sample.placement.found) {
      sample.callback =
          CallbackFrame(*process, sample.stack, sample.placement.dispatch, sample.has_callback);
    }
  }
  loop.samples.push_back(std::move(sample));
  Live(*process, loop, taken);
}

bool Judge::Private::SamplesShowOneCallback(Process& process, const Sample& first,
                                            const Sample& second) {
  if (first.call && second.call && first.call->start == second.call->start) {
    return true;  // one call, still going on
  }
  if (!first.has_callback || !second.has_callback ||
      first.placement.standing != Standing::kInStep ||
      second.placement.standing != Standing::kInStep) {
    return false;
  }
  return IsOneCallback(first.stack, first.callback, second.stack, second.callback,
                       second.shallowest_sp, SameFunctionIn(process));
}

Finding Judge::Private::MakeStall(Process& process, const Loop& loop, const Sample& sample) {
  Finding finding;
  finding.rule = "stall";
  finding.level = "error";
  finding.thread_id = loop.tid;
  finding.thread_name = loop.thread_name;
  finding.pid = process.pid;
  finding.executable = process.executable;
  finding.cause = "cpu";
  if (sample.system_call && !sample.system_call->running) {
    finding.cause = "blocking-call";
    finding.detail = SystemCallName(sample.system_call->number);
  } else if (sample.call) {
    finding.cause = "blocking-call";
    finding.detail = std::string(kBlockingCalls[sample.call->call_id].name);
  }
  return finding;
}

bool Judge::Private::IsToldNow(const std::string& key, uint64_t at) {
  const auto known = told_.find(key);
  if (known == told_.end()) {
    return told_.size() < kMaxFindings && told_.emplace(key, at).second;
  }
  if (at < known->second || clock_->Seconds(at - known->second) < kSecondsPerLiveLine) return false;
  known->second = at;
  return true;
}

// A loop of a thousand short blocking calls takes a little time itself; no look met it there.
bool Judge::Private::CallsExplain(const std::vector<Sample>& samples, double rest,
                                  double whole) const {
  return options_.calls != CallsMode::kOff && !samples.empty() && rest < kSmallRest * whole &&
         std::all_of(
             samples.begin(), samples.end(),
             [](const Sample& sample) { return sample.call.has_value(); });
}

void Judge::Private::Live(Process& process, Loop& loop, const SampleTaken& taken) {
  const double so_far = clock_->Seconds(taken.at - taken.loop.step_start);
  const Sample& sample = loop.samples.back();
  if (so_far < options_.threshold_seconds || sample.placement.standing != Standing::kInStep ||
      taken.scheduling.state == 'T' || taken.scheduling.state == 't' ||
      taken.watcher_gap_seconds > kMostOfIt * so_far) {
    return;
  }
  const auto place = loop.places.find(taken.loop.place);
  Finding finding;
  double shown = so_far;
  const bool reported_call = sample.call && options_.calls != CallsMode::kOff;
  if (reported_call) {
    const BlockingCallRow& row = kBlockingCalls[sample.call->call_id];
    const double in_call = clock_->Seconds(taken.at - sample.call->start);
    const bool is_file =
        taken.descriptor && !taken.descriptor->target.empty() && taken.descriptor->target[0] == '/';
    if (in_call < kMostOfIt * options_.threshold_seconds ||
        (taken.descriptor && taken.descriptor->nonblocking && !is_file)) {
      return;
    }
    if (row.category == Category::kWait && sample.call->place != kNoIndex) {
      const auto own = loop.places.find(sample.call->place);
      if (sample.placement.dispatch == 0 ||
          (own != loop.places.end() && own->second.verdict == Verdict::kIdle)) {
        return;
      }
    }
    if (row.category == Category::kLock && place != loop.places.end() &&
        place->second.loop_level >= 0 &&
        IsPoolWaitFunction(Name(process, sample.stack.frames[0]))) {
      return;
    }
    finding = MakeStall(process, loop, sample);
    finding.rule = "blocking-call";
    finding.call = row.name;
    finding.category = CategoryName(row.category);
    finding.detail = taken.call_text;
    if (finding.detail.empty() && taken.descriptor) finding.detail = taken.descriptor->target;
    shown = in_call;
  } else {
    const bool proven =
        loop.samples.size() >= 2 &&
        SamplesShowOneCallback(process, loop.samples[loop.samples.size() - 2], sample);
    if (!proven || (place != loop.places.end() && place->second.ends_ambiguously &&
                    sample.placement.dispatch == 0)) {
      return;
    }
    const Cause cause =
        StallCause(loop.samples, taken.at, taken.scheduling, taken.watcher_gap_seconds, so_far);
    if (cause.name == "descheduled" || cause.name == "stopped") {
      return;
    }
    finding = MakeStall(process, loop, sample);
  }
  NoteOpenStall(process, loop, taken, sample.stack, finding, shown);
  const size_t end = sample.placement.dispatch + 1;
  const std::string key =
      absl::StrCat(finding.rule, "|", finding.call, "|",
                   sample.has_callback ? StackKey(process, sample.stack, sample.callback, end)
                                       : StackKey(process, sample.stack, 0, end));
  if (!IsToldNow(key, taken.at)) return;
  finding.stack = SymbolizeStack(process, sample.stack);
  TellLiveStall(finding, so_far);
}

void Judge::Private::NoteOpenStall(Process& process, Loop& loop, const SampleTaken& taken,
                                   const UnwoundStack& stack, Finding finding,
                                   double so_far_seconds) {
  finding.stack = SymbolizeStack(process, stack);
  finding.pid = process.pid;
  finding.executable = process.executable;
  finding.fingerprint = Fingerprint(finding);
  finding.in_progress = true;
  finding.count = 1;
  finding.total_seconds = finding.max_seconds = so_far_seconds;
  const ExactStep& exact = taken.loop.exact;
  loop.open_stall = {exact.start != 0 ? exact.start : taken.loop.step_start, taken.at,
                     std::move(finding)};
}

void Judge::Private::TellLiveStall(Finding& finding, double so_far_seconds) const {
  finding.max_seconds = so_far_seconds;
  if (actions_.is_suppressed && actions_.is_suppressed(finding)) return;
  actions_.on_live_stall(LiveStallLine(finding, so_far_seconds));
}

judging::Cause Judge::Private::StallCause(const std::vector<Sample>& samples, uint64_t end,
                                          const SchedulingState& at_end, double watcher_gap,
                                          double seconds) const {
  if (samples.empty()) {
    return {watcher_gap > kMostOfIt * seconds ? "descheduled" : "cpu"};
  }
  const Sample& first = samples.front();
  const Sample& last = samples.back();
  for (const Sample& sample : samples) {
    if (sample.scheduling.state == 'T' || sample.scheduling.state == 't') return {"stopped"};
  }
  Cause cause{"cpu"};
  // The end was noticed some milliseconds late, but a loop that waits uses no time.
  const SchedulingState& until = at_end.valid ? at_end : last.scheduling;
  const double wall = clock_->Seconds((at_end.valid ? end : last.at) - first.at);
  if (first.scheduling.valid && until.valid && wall > 0) {
    const double waited =
        static_cast<double>(until.wait_nanoseconds - first.scheduling.wait_nanoseconds) * 1e-9;
    const double ran =
        static_cast<double>(until.run_nanoseconds - first.scheduling.run_nanoseconds) * 1e-9;
    // What the thread used of a processor, over the whole step.
    const double used = std::min(ran / wall, 1.0) * seconds;
    if (waited > kMostOfIt * wall && used < options_.threshold_seconds) return {"descheduled"};
    if (waited > kWorthANote * wall) {
      cause.note = absl::StrCat("it had a processor for about ", FormatSeconds(used),
                                " of that time: the machine was busy");
    }
    if (ran < kMostOfIt * wall && waited < kMostOfIt * wall) {
      for (const Sample& sample : samples) {
        if (sample.system_call && !sample.system_call->running) {
          return {"blocking-call", SystemCallName(sample.system_call->number)};
        }
      }
      if (until.major_faults - first.scheduling.major_faults >= kMajorFaults) {
        return {"page-fault"};
      }
      if (last.call) {
        return {"blocking-call", std::string(kBlockingCalls[last.call->call_id].name)};
      }
    }
  }
  if (watcher_gap > kMostOfIt * seconds && cause.note.empty()) return {"descheduled"};
  return cause;
}

void Judge::Private::HandleTurn(Process& process, uint32_t cell, Loop& loop,
                                const EventSeen& seen) {
  const SegmentEvent& event = seen.event;
  if (event.exact_step != 0) {
    HandleExactTurn(process, cell, loop, seen);
    return;
  }
  StepSeen step;
  step.turn = event.turn;
  step.start = event.start;
  step.end = event.end;
  step.ready = event.ready_events;
  step.place = event.place;
  step.at_end = seen.scheduling;
  step.watcher_gap = seen.watcher_gap_seconds;
  step.call_ticks = event.call_ticks;
  JudgeStep(process, cell, loop, step);
}

// A wait that was judged idle only after the step had gone on behind it began a
// loop of its own (CPython calls epoll_wait from several depths): what is left is
// the step that it opened.
void Judge::Private::CutAtLaterIdleWait(Loop& loop, StepSeen& step) {
  bool cut = false;
  for (size_t i = loop.samples.size(); i-- > 0;) {
    const std::optional<SegmentCall>& call = loop.samples[i].call;
    if (!call || call->place == kNoIndex) continue;
    const auto place = loop.places.find(call->place);
    if (place == loop.places.end() || place->second.verdict != Verdict::kIdle) continue;
    step.start = loop.samples[i].at;
    step.place = call->place;
    loop.samples.erase(loop.samples.begin(), loop.samples.begin() + static_cast<long>(i) + 1);
    for (Sample& sample : loop.samples) sample.placement = {};
    cut = true;
    break;
  }
  if (!cut) return;
  step.call_ticks = 0;
  for (const auto& [begin, end] : loop.turn_calls) {
    if (begin >= step.start) step.call_ticks += end - begin;
  }
}

// Places looks that were taken before the wait's stack was known.
void Judge::Private::PlaceSamples(Process& process, Loop& loop, uint32_t place) {
  for (Sample& sample : loop.samples) {
    if (sample.stack.frames.empty() || sample.placement.standing != Standing::kUnsure) continue;
    sample.placement = PlaceStack(process, loop, place, sample.stack);
    if (sample.placement.found) {
      sample.callback =
          CallbackFrame(process, sample.stack, sample.placement.dispatch, sample.has_callback);
    }
  }
}

// The longest run of looks that show one callback: indices of its ends.
std::pair<size_t, size_t> Judge::Private::LongestRun(Process& process,
                                                     const std::vector<Sample>& samples) {
  size_t best_first = 0;
  size_t best_last = 0;
  for (size_t i = 0; i < samples.size();) {
    size_t last = i;
    while (last + 1 < samples.size() &&
           SamplesShowOneCallback(process, samples[last], samples[last + 1])) {
      ++last;
    }
    if (samples[last].at - samples[i].at > samples[best_last].at - samples[best_first].at) {
      best_first = i;
      best_last = last;
    }
    i = last + 1;
  }
  return {best_first, best_last};
}

// What names a computation that was met at another instruction each time: the
// deepest activation that every look shared. Index into the last look's stack.
size_t Judge::Private::SharedFrame(Process& process, const std::vector<Sample>& samples,
                                   size_t first, size_t last) {
  const Sample& shown = samples[last];
  size_t shared = shown.placement.dispatch;
  while (shared > 0) {
    const size_t inner = shared - 1;
    const uint64_t address = FrameAddress(shown.stack, inner);
    const bool in_all = std::all_of(
        samples.begin() + static_cast<long>(first), samples.begin() + static_cast<long>(last),
        [&](const Sample& sample) {
          for (size_t i = 0; i < sample.stack.frames.size(); ++i) {
            if (FrameAddress(sample.stack, i) == address) {
              return SameFunctionIn(process)(sample.stack.frames[i], shown.stack.frames[inner]);
            }
          }
          return false;
        });
    if (!in_all) break;
    shared = inner;
  }
  return shared;
}

void Judge::Private::JudgeStep(Process& process, uint32_t cell, Loop& loop, StepSeen step) {
  if (loop.sample_turn == step.turn) CutAtLaterIdleWait(loop, step);
  const double seconds = clock_->Seconds(step.end - step.start) - clock_->Seconds(step.call_ticks);
  if (seconds < options_.threshold_seconds) {
    return;  // its blocking calls explain it
  }
  const auto place = loop.places.find(step.place);
  if (loop.sample_turn != step.turn || loop.samples.empty() || place == loop.places.end() ||
      !place->second.has_stack) {
    ++dropped_.unsure;
    return;
  }
  PlaceSamples(process, loop, step.place);
  const std::vector<Sample>& samples = loop.samples;
  if (CallsExplain(samples, seconds, clock_->Seconds(step.end - step.start))) return;
  if (std::any_of(samples.begin(), samples.end(), [](const Sample& sample) {
        return sample.placement.standing == Standing::kOutside;
      })) {
    ++dropped_.outside_loop;
    return;
  }
  const Cause cause = StallCause(loop.samples, step.end, step.at_end, step.watcher_gap, seconds);
  if (cause.name == "stopped") {
    ++stopped_;
    return;
  }
  if (cause.name == "descheduled") {
    ++descheduled_;
    descheduled_worst_ = std::max(descheduled_worst_, seconds);
    return;
  }
  const auto [first, last] = LongestRun(process, samples);
  const double shown = clock_->Seconds(samples[last].at - samples[first].at);
  const bool all = first == 0 && last + 1 == samples.size();
  const Sample& sample = samples[last];
  const bool in_step = sample.placement.standing == Standing::kInStep;
  const bool ambiguous_end = step.open && place->second.ends_ambiguously;
  const bool one_callback = shown >= kMostOfIt * options_.threshold_seconds &&
                            (all || shown >= options_.threshold_seconds);
  if (one_callback && in_step && !ambiguous_end) {
    Finding finding = MakeStall(process, loop, sample);
    finding.cause = cause.name;
    finding.detail = cause.detail;
    finding.note = cause.note;
    AcceptStall(process, cell, loop, std::move(finding), sample.stack,
                FunctionKey(process, sample.stack, SharedFrame(process, samples, first, last),
                            sample.placement.dispatch + 1),
                step, all ? seconds : shown, all);
    return;
  }
  if (step.open || !in_step) {
    ++dropped_.unsure;
    return;
  }
  CountLongTurn(process, cell, loop, seconds);
  loop.long_ready = std::max<uint64_t>(loop.long_ready, step.ready);
  if (seconds > loop.long_worst) {
    loop.long_worst = seconds;
    loop.long_steps = 0;
    loop.long_stack = sample.stack;
  }
}

void Judge::Private::AcceptStall(Process& process, uint32_t cell, const Loop& loop, Finding finding,
                                 const UnwoundStack& stack, const std::string& functions,
                                 const StepSeen& step, double seconds, bool whole_step) {
  const std::string key =
      absl::StrCat("stall|", finding.cause, "|", process.executable, "|", functions);
  if (findings_.size() >= kMaxFindings && !findings_.contains(key)) {
    ++dropped_.sites;
    return;
  }
  FindingEntry& entry = Merge(process, cell, key, std::move(finding), stack, "");
  Count(entry, process, cell, seconds);
  entry.finding.in_progress = entry.finding.in_progress || step.open;
  if (!whole_step && entry.finding.note.empty()) {
    entry.finding.note = "at least this long: other callbacks ran in the same turn";
  }
  timeline_.AddSpan(TimelineId(process, loop), loop.thread_name, "stall", step.start, step.end,
                    key);
}

}  // namespace loopsan
