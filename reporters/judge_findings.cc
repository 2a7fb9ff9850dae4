// Findings: merged by stack, counted, ranked.
#include <algorithm>
#include <tuple>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "instrument/blocking_calls.h"
#include "reporters/finding_facts.h"
#include "reporters/internal/finding_place.h"
#include "reporters/internal/judge_private.h"
#include "reporters/reporter.h"
#include "reporters/wording.h"

namespace loopsan {

using namespace judging;  // NOLINT: the judge's own words

namespace {

// A loop whose function is not known by name needs this many turns, or several
// descriptors, before its findings are told as certain.
constexpr uint64_t kManyTurns = 100;

std::string_view SourceName(StackSource source) {
  switch (source) {
    case StackSource::kNone:
      return "none";
    case StackSource::kSnapshot:
      return "snapshot";
    case StackSource::kHookRegisters:
      return "hook-registers";
    case StackSource::kSyscallFile:
      return "syscall-file";
    case StackSource::kPerfEvent:
      return "perf-event";
    case StackSource::kSignal:
      return "signal";
  }
  return "none";
}

void NameSite(const Finding& finding, MetricSite& site) {
  const SourcePlace place = PlaceToAnnotate(finding);
  const ReportFrame* const own = OwnFrame(finding.stack);
  site.rule = LabelText(finding.rule);
  site.function =
      LabelText(place.function.empty() && own != nullptr ? own->function : place.function);
  if (!place.file.empty()) {
    site.location = LabelText(absl::StrCat(FileLabel(place.file), ":", place.line));
  }
}

// Of a call by its name; the others have one by their rule.
std::string_view RemedyOf(const Finding& finding) {
  for (const BlockingCallRow& row : kBlockingCalls) {
    if (!finding.call.empty() && finding.call == row.name) return row.remedy;
  }
  return "";
}

}  // namespace

const std::string& Judge::Private::Name(Process& process, const StackFrame& frame) {
  return process.stacks->FunctionName(frame);
}

std::vector<ReportFrame> Judge::Private::SymbolizeStack(Process& process,
                                                        const UnwoundStack& stack) {
  std::vector<ReportFrame> result;
  for (const StackFrame& frame : stack.frames) {
    for (ReportFrame& one : process.stacks->Symbolize(frame)) {
      result.push_back(std::move(one));
    }
  }
  return result;
}

std::string Judge::Private::StackKey(Process& process, const UnwoundStack& stack, size_t begin,
                                     size_t end) {
  std::string key;
  for (size_t i = begin; i < end && i < stack.frames.size(); ++i) {
    const std::string place = process.stacks->ModuleOffset(stack.frames[i]);
    absl::StrAppend(&key, place.empty() ? Name(process, stack.frames[i]) + "?" : place, ";");
  }
  return key;
}

// A computation is met at another instruction each time: its functions name it.
std::string Judge::Private::FunctionKey(Process& process, const UnwoundStack& stack, size_t begin,
                                        size_t end) {
  std::string key;
  for (size_t i = begin; i < end && i < stack.frames.size(); ++i) {
    const std::string& name = Name(process, stack.frames[i]);
    absl::StrAppend(&key, name.empty() ? StackKey(process, stack, i, i + 1) : name, ";");
  }
  return key;
}

judging::FindingEntry& Judge::Private::Merge(Process& process, uint32_t cell,
                                             const std::string& key, Finding finding,
                                             const UnwoundStack& stack, std::string_view remedy) {
  const auto [it, inserted] = findings_.try_emplace(key);
  FindingEntry& entry = it->second;
  if (inserted) {
    entry.remedy = remedy;
    entry.finding = std::move(finding);
    Finding& made = entry.finding;
    made.stack = SymbolizeStack(process, stack);
    NoteModules(process, made.stack);
    made.stack_source = SourceName(stack.source);
    if (!stack.complete && !stack.frames.empty()) {
      absl::StrAppend(&made.note, made.note.empty() ? "" : "; ",
                      "the stack is partial: ", stack.stopped_because);
    }
    made.pid = process.pid;
    made.executable = process.executable;
    made.fingerprint = Fingerprint(made);
  }
  entry.loops.insert({process.key, cell});
  return entry;
}

void Judge::Private::NoteModules(Process& process, const std::vector<ReportFrame>& stack) {
  std::set<std::string> paths;
  for (const ReportFrame& frame : stack) {
    if (frame.module.starts_with('/')) paths.insert(frame.module);
  }
  for (const std::string& path : paths) {
    std::string build_id = process.stacks->BuildId(path);
    const auto [known, inserted] = build_ids_.try_emplace(path, build_id);
    if (!inserted && known->second != build_id) known->second.clear();
  }
}

void Judge::Private::Count(FindingEntry& entry, const Process& process, uint32_t cell,
                           double seconds) {
  Finding& finding = entry.finding;
  ++finding.count;
  finding.total_seconds += seconds;
  finding.max_seconds = std::max(finding.max_seconds, seconds);
  FindingEntry::Untaken& untaken = entry.untaken[process.key];
  ++untaken.count;
  untaken.seconds += seconds;
  untaken.worst = std::max(untaken.worst, seconds);
  metrics_.Found(process.key, cell, finding,
                 {1, seconds, seconds >= options_.threshold_seconds,
                  actions_.is_suppressed && actions_.is_suppressed(finding)});
}

void Judge::Private::CountLongTurn(const Process& process, uint32_t cell, Loop& loop,
                                   double seconds) {
  ++loop.long_turns;
  loop.long_total += seconds;
  // Only at the loop's end is it a finding: one for all of them.
  Finding finding;
  finding.rule = "long-turn";
  finding.level = "note";
  finding.cause = "cpu";
  metrics_.Found(process.key, cell, finding, {.count = 1, .seconds = seconds});
}

std::set<std::pair<uint32_t, uint32_t>> Judge::Private::UnprovenNow() const {
  std::set<std::pair<uint32_t, uint32_t>> unproven = unproven_;
  for (const auto& [key, process] : processes_) {
    for (const auto& [cell, loop] : process.loops) {
      if (cell != kNoIndex && !LoopIsProven(loop)) unproven.insert({key, cell});
    }
  }
  return unproven;
}

void Judge::Private::FillMetrics(MetricsSnapshot& snapshot) const {
  const std::set<std::pair<uint32_t, uint32_t>> unproven = UnprovenNow();
  metrics_.FillSnapshot(snapshot, unproven);
  snapshot.buckets = options_.metrics_buckets;
  snapshot.named_sites = options_.metrics_sites;
  struct Place {
    MetricSite site;
    const Finding* finding = nullptr;
  };
  std::map<std::pair<std::string, std::string>, Place> by_identity;  // process, fingerprint
  for (const auto& [key, entry] : findings_) {
    const Finding& finding = entry.finding;
    const bool proven = std::any_of(entry.loops.begin(), entry.loops.end(),
                                    [&](const auto& loop) { return !unproven.contains(loop); });
    const bool suppressed = actions_.is_suppressed && actions_.is_suppressed(finding);
    if (IsNote(finding) || !proven || suppressed) continue;
    Place& place = by_identity[{metrics_.NameOf(finding.executable), finding.fingerprint}];
    place.finding = &finding;
    place.site.count += finding.count;
    place.site.seconds += finding.total_seconds;
  }
  std::vector<Place> places;
  for (auto& [identity, place] : by_identity) {
    std::tie(place.site.process, place.site.fingerprint) = identity;
    places.push_back(std::move(place));
  }
  std::stable_sort(places.begin(), places.end(),
                   [](const Place& a, const Place& b) { return a.site.seconds > b.site.seconds; });
  for (Place& place : places) {
    // Only these are named.
    if (snapshot.sites.size() < snapshot.named_sites) NameSite(*place.finding, place.site);
    snapshot.sites.push_back(std::move(place.site));
  }
  snapshot.dropped = dropped_;
}

bool Judge::Private::LoopIsProven(const Loop& loop) const {
  if (loop.told || loop.epoll_targets >= 2 || loop.turns >= kManyTurns) return true;
  for (const auto& [index, place] : loop.places) {
    if (place.loop_level >= 0 || place.python_level >= 0) return true;
  }
  return false;
}

void Judge::Private::AddOpenStalls(Report& report, std::vector<std::string>& keys) const {
  for (const auto& [key, process] : processes_) {
    for (const auto& [cell, loop] : process.loops) {
      if (!loop.open_stall || !loop.last || !LoopIsProven(loop)) continue;
      const Loop::OpenStall& stall = *loop.open_stall;
      const SegmentCell& now = loop.last->state;
      const uint64_t open_step = now.exact.start != 0 ? now.exact.start : now.step_start;
      if (open_step != stall.step_start || now.state == LoopState::kIdle) continue;
      Finding finding = stall.finding;
      if (const uint64_t end = loop.last->measure.end; end > stall.seen_at) {
        finding.total_seconds += clock_->Seconds(end - stall.seen_at);
        finding.max_seconds = finding.total_seconds;
      }
      finding.id = std::to_string(keys.size());
      keys.push_back(absl::StrCat("open|", key, "|", cell));
      DescribeFinding(finding, RemedyOf(finding));
      report.findings.push_back(std::move(finding));
    }
  }
}

void Judge::Private::FillReport(Report& report) {
  for (auto& [key, process] : processes_) {
    ProcessSummary summary;
    summary.pid = process.pid;
    summary.executable = process.executable;
    for (const LoopDone& done : process.done) {
      summary.loops.push_back(done.summary);
    }
    for (const auto& [cell, loop] : process.loops) {
      if (loop.last) {
        summary.loops.push_back(Summarize(loop, loop.last->state, loop.last->counts));
      }
    }
    report.processes.push_back(std::move(summary));
  }
  const std::set<std::pair<uint32_t, uint32_t>> unproven = UnprovenNow();
  // Until their rank is known, findings carry their place in `keys`.
  std::vector<std::string> keys;
  for (auto& [key, entry] : findings_) {
    Finding finding = entry.finding;
    finding.id = std::to_string(keys.size());
    keys.push_back(key);
    if (!entry.worded) DescribeFinding(finding, entry.remedy);
    const bool proven = std::any_of(entry.loops.begin(), entry.loops.end(),
                                    [&](const auto& loop) { return !unproven.contains(loop); });
    (proven ? report.findings : report.unproven_findings).push_back(std::move(finding));
  }
  AddOpenStalls(report, keys);
  std::map<std::string, std::string> ids;
  const auto rank = [&](std::vector<Finding>& findings, const char* prefix) {
    SortByRank(findings);
    for (size_t i = 0; i < findings.size(); ++i) {
      std::string& id = findings[i].id;
      id = ids[keys[std::stoul(id)]] = absl::StrCat(prefix, i + 1);
    }
  };
  rank(report.findings, "F");
  rank(report.unproven_findings, "U");
  report.timeline = timeline_.Finish(ids);
  for (const auto& [path, build_id] : build_ids_) report.modules.push_back({path, build_id});
  if (descheduled_ > 0) {
    report.warnings.push_back(
        absl::StrFormat("%d calls or steps took up to %s because the machine did not let the "
                        "thread run (other load, "
                        "throttling, or a suspended machine); nobody is accused",
                        descheduled_, FormatSeconds(descheduled_worst_)));
  }
  if (stopped_ > 0) {
    report.warnings.push_back(absl::StrFormat(
        "%d steps were long because the thread was stopped (a debugger or SIGSTOP)", stopped_));
  }
  report.warnings.insert(report.warnings.end(), warnings_.begin(), warnings_.end());
  report.dropped.events += dropped_.events;
  report.dropped.snapshots += dropped_.snapshots;
  report.dropped.sites += dropped_.sites;
  report.dropped.loops += dropped_.loops;
  report.dropped.outside_loop += dropped_.outside_loop;
  report.dropped.unsure += dropped_.unsure;
}

}  // namespace loopsan
