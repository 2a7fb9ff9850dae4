// Loops that tell their steps through instrument/annotate.h, and libraries that
// report what they find by themselves. No stack has to prove anything here: a step
// is where the loop says it is, and a wait outside of one is the loop's own.
#include <algorithm>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "instrument/blocking_calls.h"
#include "reporters/internal/judge_private.h"
#include "reporters/reporter.h"
#include "reporters/wording.h"

namespace loopsan {

using namespace judging;  // NOLINT: the judge's own words

namespace {

std::string PlaceKey(const SourcePlace& place) {
  return absl::StrCat(place.file, ":", place.line, ":", place.function, ";");
}

// The last word of what stands in front of the parameters: "Five" of both
// "loopsan::Task<int> Five(int)" and "Five(Five(int)::_Z4Fivei.Frame*)". Compilers
// and demanglers have different words for unnamed namespaces.
std::string LastName(std::string_view function) {
  std::string name = BareName(absl::StrReplaceAll(
      absl::string_view(function.data(), function.size()),
      {{"(anonymous namespace)::", ""}, {"{anonymous}::", ""}, {"<unnamed>::", ""}}));
  const size_t space = name.rfind(' ');
  if (space != std::string::npos) name.erase(0, space + 1);
  return name;
}

// One of the names may lack its namespace.
bool IsSameFunction(const std::string& a, const std::string& b) {
  if (a.empty() || b.empty()) return false;
  const std::string& longer = a.size() >= b.size() ? a : b;
  const std::string& shorter = a.size() >= b.size() ? b : a;
  return absl::EndsWith(longer, shorter) &&
         (longer.size() == shorter.size() ||
          absl::EndsWith(longer.substr(0, longer.size() - shorter.size()), "::"));
}

// Where a coroutine stands; where it begins if it does not say.
const SourcePlace& StandsAt(const CoroutineFrame& frame) {
  return frame.awaiting_at.file.empty() && frame.awaiting_at.function.empty() ? frame.defined_at
                                                                              : frame.awaiting_at;
}

std::string_view BaseName(std::string_view path) { return path.substr(path.rfind('/') + 1); }

UnwoundStack StackOf(const std::vector<uint64_t>& return_addresses) {
  UnwoundStack stack;
  for (const uint64_t address : return_addresses) stack.frames.push_back({address, 0, true});
  stack.complete = true;
  return stack;
}

}  // namespace

std::string Judge::Private::ContextKey(const StepContext& context) {
  std::string key = PlaceKey(context.task.spawned_at);
  for (const CoroutineFrame& frame : context.chain) {
    if (!frame.running) key += PlaceKey(StandsAt(frame));
  }
  return key;
}

// Below the running coroutine lies what resumed it, and without optimization the
// coroutines that await it, whose chain tells more.
UnwoundStack Judge::Private::CutAtResumer(Process& process, UnwoundStack stack,
                                          const StepContext& context) {
  size_t keep = stack.frames.size();
  bool cut = false;
  if (context.resumer != 0) {
    for (size_t i = 0; i + 1 < stack.frames.size(); ++i) {
      if (stack.frames[i + 1].sp > context.resumer && stack.frames[i].sp <= context.resumer) {
        keep = i;
        cut = true;
        break;
      }
    }
  }
  if (!context.chain.empty() && context.chain.front().running) {
    const std::string running = LastName(context.chain.front().defined_at.function);
    for (size_t i = 0; i < keep; ++i) {
      if (IsSameFunction(LastName(Name(process, stack.frames[i])), running)) {
        keep = i + 1;
        cut = true;
        break;
      }
    }
  }
  if (cut && keep > 0) {
    stack.frames.resize(keep);
    stack.complete = true;
  }
  return stack;
}

void Judge::Private::TellStep(Process& process, const StepContext& context,
                              const UnwoundStack& stack, Finding& finding) {
  finding.task = context.task;
  finding.async_stack.clear();
  for (const CoroutineFrame& frame : context.chain) {
    if (frame.running) {
      // The physical stack shows it, unless it could not be taken or has no lines.
      const std::vector<ReportFrame> frames = SymbolizeStack(process, stack);
      if (std::any_of(frames.begin(), frames.end(), [&](const ReportFrame& one) {
            return BaseName(one.file) == BaseName(frame.defined_at.file);
          })) {
        continue;
      }
    }
    const SourcePlace& place = frame.running ? frame.defined_at : StandsAt(frame);
    if (!place.file.empty() || !place.function.empty()) finding.async_stack.push_back(place);
  }
  if (context.chain_cut) {
    absl::StrAppend(&finding.note, finding.note.empty() ? "" : "; ", "more coroutines await these");
  }
}

void Judge::Private::HandleExactSample(Process& process, Loop& loop, const SampleTaken& taken) {
  loop.told = true;
  const uint64_t step = taken.loop.exact.sequence;
  if (loop.sample_step != step) {
    loop.sample_step = step;
    loop.step_samples.clear();
  }
  Sample sample;
  sample.at = taken.at;
  sample.call = taken.call;
  sample.system_call = taken.system_call;
  sample.scheduling = taken.scheduling;
  sample.context = taken.context.value_or(StepContext{});
  if (taken.stack.source != StackSource::kNone) {
    sample.stack = CutAtResumer(process, process.stacks->Unwind(taken.stack), sample.context);
  }
  loop.step_samples.push_back(std::move(sample));
  LiveStep(process, loop, taken);
}

void Judge::Private::LiveStep(Process& process, Loop& loop, const SampleTaken& taken) {
  const ExactStep& step = taken.loop.exact;
  const double so_far = clock_->Seconds(taken.at - step.start);
  const Sample& sample = loop.step_samples.back();
  if (so_far < options_.threshold_seconds || taken.scheduling.state == 'T' ||
      taken.scheduling.state == 't' || taken.watcher_gap_seconds > kMostOfIt * so_far) {
    return;
  }
  Finding finding = MakeStall(process, loop, sample);
  double shown = so_far;
  if (sample.call) {
    if (step.blocking_allowed) return;
    const double in_call = clock_->Seconds(taken.at - sample.call->start);
    if (options_.calls != CallsMode::kOff && in_call >= kMostOfIt * options_.threshold_seconds) {
      finding.rule = "blocking-call";
      finding.call = kBlockingCalls[sample.call->call_id].name;
      finding.category = CategoryName(kBlockingCalls[sample.call->call_id].category);
      finding.detail = taken.call_text;
      if (finding.detail.empty() && taken.descriptor) finding.detail = taken.descriptor->target;
      shown = in_call;
    }
  }
  if (finding.rule == "stall") {
    const Cause cause = StallCause(loop.step_samples, taken.at, taken.scheduling,
                                   taken.watcher_gap_seconds, so_far);
    if (cause.name == "descheduled" || cause.name == "stopped") return;
    finding.cause = cause.name;
    finding.detail = cause.detail;
  }
  TellStep(process, sample.context, sample.stack, finding);
  NoteOpenStall(process, loop, taken, sample.stack, finding, shown);
  // A computation stands at another instruction each time; who waits for it does not.
  if (!IsToldNow(absl::StrCat("exact|", finding.call, "|", process.key, "|", loop.tid, "|",
                              ContextKey(sample.context)),
                 taken.at)) {
    return;
  }
  finding.stack = SymbolizeStack(process, sample.stack);
  TellLiveStall(finding, so_far);
}

// Calls need no placement; the frames up to the one that resumed the coroutine
// name them.
void Judge::Private::AcceptExactCall(Process& process, uint32_t cell, Loop& loop, JudgedCall call) {
  loop.told = true;
  call.stack = CutAtResumer(process, std::move(call.stack), *call.context);
  call.placement.standing = Standing::kInStep;
  call.placement.dispatch = call.stack.frames.size();
  AcceptCall(process, cell, loop, call);
}

void Judge::Private::HandleStep(Process& process, uint32_t cell, Loop& loop,
                                const EventSeen& seen) {
  const SegmentEvent& event = seen.event;
  loop.told = true;
  JudgeExactStep(process, cell, loop,
                 {.start = event.start,
                  .end = event.end,
                  .call_ticks = event.call_ticks,
                  .at_end = seen.scheduling,
                  .watcher_gap = seen.watcher_gap_seconds},
                 event.exact_step, event.text.context);
}

// The functions of a computation's innermost frames change from look to look. What
// all looks shared is the outermost, the coroutine; of a plain callback more than that,
// for one line that makes callbacks may make very different ones.
size_t Judge::Private::NamingFrame(Process& process, const std::vector<Sample>& samples,
                                   const Sample& shown) {
  const size_t outermost = shown.stack.frames.size() - 1;
  if (!shown.context.chain.empty()) return outermost;
  std::vector<Sample> looks;
  for (const Sample& sample : samples) {
    if (!sample.stack.frames.empty() && &sample != &shown) looks.push_back(sample);
  }
  if (looks.empty()) return outermost;
  looks.push_back(shown);
  looks.back().placement.dispatch = outermost;
  return SharedFrame(process, looks, 0, looks.size() - 1);
}

void Judge::Private::JudgeExactStep(Process& process, uint32_t cell, Loop& loop,
                                    const StepSeen& step, uint64_t number,
                                    const StepContext& at_end) {
  const double seconds = clock_->Seconds(step.end - step.start) - clock_->Seconds(step.call_ticks);
  if (seconds < options_.threshold_seconds) {
    return;  // its blocking calls explain it
  }
  const std::vector<Sample> none;
  const std::vector<Sample>& samples = loop.sample_step == number ? loop.step_samples : none;
  if (CallsExplain(samples, seconds, clock_->Seconds(step.end - step.start))) return;
  const Cause cause = StallCause(samples, step.end, step.at_end, step.watcher_gap, seconds);
  if (cause.name == "stopped") {
    ++stopped_;
    return;
  }
  if (cause.name == "descheduled") {
    ++descheduled_;
    descheduled_worst_ = std::max(descheduled_worst_, seconds);
    return;
  }
  // The last look that saw a stack, but not one at a call that is told by itself.
  const Sample* shown = nullptr;
  for (const Sample& sample : samples) {
    if (sample.stack.frames.empty()) continue;
    if (shown == nullptr || !sample.call || shown->call) shown = &sample;
  }
  Finding finding;
  UnwoundStack stack;
  if (shown != nullptr) {
    finding = MakeStall(process, loop, *shown);
    stack = shown->stack;
    TellStep(process, shown->context, stack, finding);
    if (finding.task.name.empty()) finding.task.name = at_end.task.name;
  } else {
    finding = MakeStall(process, loop, Sample{});
    TellStep(process, at_end, stack, finding);
    if (!finding.async_stack.empty()) {
      finding.note = "no stack could be taken while it ran; these coroutines wait since";
    }
  }
  finding.cause = cause.name;
  finding.detail = cause.detail;
  if (!cause.note.empty()) {
    absl::StrAppend(&finding.note, finding.note.empty() ? "" : "; ", cause.note);
  }
  const StepContext& context = shown != nullptr ? shown->context : at_end;
  const std::string functions =
      stack.frames.empty()
          ? ""
          : FunctionKey(process, stack, NamingFrame(process, samples, *shown), stack.frames.size());
  AcceptStall(process, cell, loop, std::move(finding), stack,
              absl::StrCat(functions, "|", ContextKey(context)), step, seconds, true);
}

void Judge::Private::HandleExactTurn(const Process& process, uint32_t cell, Loop& loop,
                                     const EventSeen& seen) {
  const SegmentEvent& event = seen.event;
  loop.told = true;
  // The loop was not at it between its steps: it may have been left for a while.
  const double seconds = clock_->Seconds(event.turn_step_ticks) - clock_->Seconds(event.call_ticks);
  if (seconds < options_.threshold_seconds ||
      clock_->Seconds(event.turn_longest) >= options_.threshold_seconds) {
    return;
  }
  if (seen.watcher_gap_seconds > kMostOfIt * seconds) {
    ++descheduled_;
    descheduled_worst_ = std::max(descheduled_worst_, seconds);
    return;
  }
  CountLongTurn(process, cell, loop, seconds);
  if (seconds <= loop.long_worst) {
    return;
  }
  loop.long_worst = seconds;
  loop.long_steps = event.turn_steps;
  std::vector<TurnShareTold> shares = event.text.shares;
  std::sort(shares.begin(), shares.end(),
            [](const TurnShareTold& a, const TurnShareTold& b) { return a.ticks > b.ticks; });
  loop.long_shares.clear();
  for (const TurnShareTold& share : shares) {
    absl::StrAppend(&loop.long_shares, loop.long_shares.empty() ? "" : ", ",
                    DescribeShare(share.task, share.site, share.steps, clock_->Seconds(share.ticks),
                                  clock_->Seconds(share.longest)));
  }
}

namespace {

// The program may hang from now on, and its report be long in coming.
bool MayHangAfter(std::string_view rule) {
  return rule == "deadlock" || rule == "executor-stuck" || rule == "lost-wakeup";
}

}  // namespace

// What a library found by itself.
void Judge::Private::HandleFinding(Process& process, const EventSeen& seen) {
  const EventText& text = seen.event.text;
  if (!IsRuleName(text.rule) || text.message.empty()) {
    return;
  }
  process.reports_long_turns = process.reports_long_turns || text.rule == "long-turn";
  Finding finding;
  finding.rule = text.rule;
  // What waits in a circle waits for ever.
  finding.level = text.rule == "deadlock" ? "error" : "warning";
  finding.message = text.message;
  finding.remedy = text.remedy;
  finding.where = text.where;
  finding.task = text.context.task;
  finding.thread_id = seen.tid;
  finding.thread_name = seen.thread_name;
  if (text.member_count > text.members.size()) {
    const uint64_t more = text.member_count - text.members.size();
    finding.note = absl::StrCat(more, more == 1 ? " more member" : " more members");
  }
  const UnwoundStack stack = StackOf(text.return_addresses);
  std::string key = absl::StrCat("finding|", text.rule, "|", process.executable, "|",
                                 PlaceKey(text.where), PlaceKey(finding.task.spawned_at));
  if (text.where.file.empty()) {
    absl::StrAppend(&key, text.return_addresses.empty()
                              ? text.message
                              : StackKey(process, stack, 0, stack.frames.size()));
  }
  if (findings_.size() >= kMaxFindings && !findings_.contains(key)) {
    ++dropped_.sites;
    return;
  }
  FindingEntry& entry = Merge(process, kNoIndex, key, std::move(finding), stack, "");
  entry.worded = true;
  if (!entry.finding.stack.empty()) entry.finding.stack_source = "library";
  if (entry.finding.count == 0) {
    for (const MemberTold& member : text.members) {
      entry.finding.members.push_back(
          {member.what, member.where, SymbolizeStack(process, StackOf(member.return_addresses))});
      NoteModules(process, entry.finding.members.back().stack);
    }
    const bool is_news = MayHangAfter(entry.finding.rule) &&
                         !(actions_.is_suppressed && actions_.is_suppressed(entry.finding));
    if (is_news) actions_.on_live_stall(LiveFindingLine(entry.finding));
  }
  const double seconds = text.seconds > 0 && text.seconds < 1e9 ? text.seconds : 0;
  Count(entry, process, kNoIndex, seconds);
}

// The step that was open when its thread or process ended: its call, then itself.
void Judge::Private::JudgeOpenStep(Process& process, const LoopGone& gone, Loop& loop) {
  const ExactStep& step = gone.cell.exact;
  if (step.start == 0 || gone.at <= step.start || loop.sample_step != step.sequence) {
    return;
  }
  uint64_t call_ticks = gone.cell.call_ticks_in_step;
  if (gone.call && gone.at > gone.call->start) {
    const auto sample = std::find_if(
        loop.step_samples.begin(), loop.step_samples.end(),
        [&](const Sample& one) { return one.call && one.call->start == gone.call->start; });
    if (sample != loop.step_samples.end() && options_.calls != CallsMode::kOff &&
        !step.blocking_allowed) {
      const BlockingCallRow& row = kBlockingCalls[gone.call->call_id];
      JudgedCall call;
      call.call_id = gone.call->call_id;
      call.start = gone.call->start;
      call.end = gone.at;
      call.category = CategoryName(row.category);
      call.stack = sample->stack;
      call.in_progress = true;
      call.context = sample->context;
      AcceptExactCall(process, gone.cell_index, loop, std::move(call));
    }
    call_ticks += gone.at - gone.call->start;
  }
  JudgeExactStep(process, gone.cell_index, loop,
                 {.start = step.start, .end = gone.at, .call_ticks = call_ticks, .open = true},
                 step.sequence, {});
}

}  // namespace loopsan
