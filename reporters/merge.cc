#include "reporters/merge.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <set>
#include <sstream>
#include <string>
#include <tuple>
#include <utility>

#include "reporters/finding_facts.h"
#include "reporters/reporter.h"
#include "reporters/wording.h"

namespace loopsan {
namespace {

constexpr char kSeveralCommands[] = "(several commands)";

// Whole nanoseconds, as reports hold them: sums of fractions would depend on their
// order. The most that a report may hold is the most that a sum can be.
constexpr int64_t kMostNanoseconds = 1'000'000'000'000'000'000;

int64_t Nanoseconds(double seconds) {
  if (!(seconds > 0)) return 0;
  const double nanoseconds = seconds * 1e9;
  return nanoseconds >= static_cast<double>(kMostNanoseconds) ? kMostNanoseconds
                                                              : std::llround(nanoseconds);
}

void AddTime(double& sum, double seconds) {
  const int64_t total = std::min(kMostNanoseconds, Nanoseconds(sum) + Nanoseconds(seconds));
  sum = static_cast<double>(total) / 1e9;
}

void AddCount(uint64_t& sum, uint64_t number) {
  sum = number > std::numeric_limits<uint64_t>::max() - sum ? std::numeric_limits<uint64_t>::max()
                                                            : sum + number;
}

// Any total order of findings and processes that looks at all of them serves: the
// bytes of their JSON.
std::string Bytes(const Finding& finding) {
  Report report;
  report.findings.push_back(finding);
  std::ostringstream out;
  WriteJson(report, {}, out);
  return out.str();
}

std::string Bytes(const ProcessSummary& process) {
  Report report;
  report.processes.push_back(process);
  std::ostringstream out;
  WriteJson(report, {}, out);
  return out.str();
}

std::string Bytes(const LoopTimeline& loop) {
  Report report;
  report.timeline.loops.push_back(loop);
  std::ostringstream out;
  WriteJson(report, {}, out);
  return out.str();
}

// The message tells the times, so it has to be told again with those of all.
bool CanBeWordedAgain(const Finding& finding) {
  return !finding.cause.empty() && (finding.rule == "blocking-call" || finding.rule == "stall");
}

int Severity(const Finding& finding) {
  if (finding.level == "error") return 2;
  return finding.level == "warning" ? 1 : 0;
}

// "new" outweighs "unchanged", and that nothing.
std::string Graver(const std::string& a, const std::string& b) {
  if (a == "new" || b.empty()) return a;
  return b;
}

// All findings with one fingerprint.
class MergedFinding {
 public:
  void Add(const Finding& finding, bool proven) {
    proven_ = proven_ || proven;
    AddCount(count_, finding.count);
    AddTime(total_seconds_, finding.total_seconds);
    in_progress_ = in_progress_ || finding.in_progress;
    if (Severity(finding) > severity_ || number_ == 0) level_ = finding.level;
    severity_ = std::max(severity_, Severity(finding));
    baseline_state_ = Graver(baseline_state_, finding.baseline_state);
    // The order looks only at what merging keeps.
    Finding kept = finding;
    kept.id = kept.level = kept.baseline_state = "";
    kept.count = 0;
    kept.total_seconds = 0;
    kept.in_progress = false;
    if (CanBeWordedAgain(finding)) kept.message = "";
    auto key = std::make_pair(Nanoseconds(finding.max_seconds), Bytes(kept));
    if (++number_ > 1 && key <= key_) return;
    key_ = std::move(key);
    worst_ = finding;
  }

  bool proven() const { return proven_; }

  Finding Result() const {
    Finding result = worst_;
    result.count = count_;
    result.total_seconds = total_seconds_;
    result.in_progress = in_progress_;
    result.level = level_;
    result.baseline_state = baseline_state_;
    if (number_ > 1 && CanBeWordedAgain(result)) DescribeFinding(result, worst_.remedy);
    return result;
  }

 private:
  Finding worst_;
  std::pair<int64_t, std::string> key_;  // of worst_
  size_t number_ = 0;
  bool proven_ = false;
  uint64_t count_ = 0;
  double total_seconds_ = 0;
  bool in_progress_ = false;
  int severity_ = 0;
  std::string level_;
  std::string baseline_state_;
};

void MergeFindings(const std::vector<Report>& reports, Report& merged) {
  std::map<std::string, MergedFinding> by_fingerprint;
  for (const Report& report : reports) {
    for (const Finding& finding : report.findings) {
      by_fingerprint[finding.fingerprint].Add(finding, /*proven=*/true);
    }
    for (const Finding& finding : report.unproven_findings) {
      by_fingerprint[finding.fingerprint].Add(finding, /*proven=*/false);
    }
  }
  for (const auto& [fingerprint, finding] : by_fingerprint) {
    (finding.proven() ? merged.findings : merged.unproven_findings).push_back(finding.Result());
  }
  RankFindings(merged.findings, "F");
  RankFindings(merged.unproven_findings, "U");
}

void MergeProcesses(std::vector<Report>& reports, Report& merged) {
  std::multimap<std::pair<pid_t, std::string>, ProcessSummary> sorted;
  for (Report& report : reports) {
    for (ProcessSummary& process : report.processes) {
      auto key = std::make_pair(process.pid, Bytes(process));
      sorted.emplace(std::move(key), std::move(process));
    }
  }
  for (auto& [key, process] : sorted) merged.processes.push_back(std::move(process));
}

// What the processes did stays theirs; the findings have got other numbers.
void MergeTimelines(std::vector<Report>& reports, Report& merged) {
  std::map<std::string, std::string> ids;  // by fingerprint
  for (const auto* findings : {&merged.findings, &merged.unproven_findings}) {
    for (const Finding& finding : *findings) ids[finding.fingerprint] = finding.id;
  }
  std::multimap<std::tuple<pid_t, int, std::string>, LoopTimeline> sorted;
  for (Report& report : reports) {
    std::map<std::string, std::string> new_ids;
    for (const auto* findings : {&report.findings, &report.unproven_findings}) {
      for (const Finding& finding : *findings) new_ids[finding.id] = ids[finding.fingerprint];
    }
    for (LoopTimeline& loop : report.timeline.loops) {
      for (TimelineSpan& span : loop.spans) span.finding_id = new_ids[span.finding_id];
      auto key = std::make_tuple(loop.pid, loop.thread_id, Bytes(loop));
      sorted.emplace(std::move(key), std::move(loop));
    }
    AddCount(merged.timeline.dropped_spans, report.timeline.dropped_spans);
    AddCount(merged.timeline.dropped_waits, report.timeline.dropped_waits);
    AddCount(merged.timeline.dropped_loops, report.timeline.dropped_loops);
  }
  for (auto& [key, loop] : sorted) merged.timeline.loops.push_back(std::move(loop));
}

// An entry is unused only if it was in every shard.
void MergeSuppressions(const std::vector<Report>& reports, Report& merged) {
  using Entry = std::tuple<std::string, int, std::string, std::string>;
  std::map<Entry, SuppressedFindings> used;
  for (const Report& report : reports) {
    for (const SuppressedFindings& one : report.suppressed) {
      const Entry key{one.file, one.line, one.entry, one.reason};
      const auto [it, inserted] = used.try_emplace(key, one);
      if (inserted) continue;
      AddCount(it->second.findings, one.findings);
      AddCount(it->second.count, one.count);
      AddTime(it->second.total_seconds, one.total_seconds);
      it->second.max_seconds = std::max(it->second.max_seconds, one.max_seconds);
    }
  }
  std::set<std::tuple<std::string, int, std::string>> used_lines;
  for (auto& [key, one] : used) {
    used_lines.emplace(one.file, one.line, one.entry);
    merged.suppressed.push_back(std::move(one));
  }
  std::map<std::tuple<std::string, int, std::string, std::string>, SuppressionRemark> remarks;
  for (const Report& report : reports) {
    for (const SuppressionRemark& one : report.suppression_remarks) {
      const bool unused = one.level == "note";
      if (unused && used_lines.contains({one.file, one.line, one.entry})) continue;
      remarks.try_emplace({one.file, one.line, one.entry, one.message}, one);
    }
  }
  for (auto& [key, one] : remarks) merged.suppression_remarks.push_back(std::move(one));
}

// Where shards had different files at one path, it has no build-id.
void MergeModules(const std::vector<Report>& reports, Report& merged) {
  std::map<std::string, std::string> build_ids;
  for (const Report& report : reports) {
    for (const ReportModule& module : report.modules) {
      const auto [known, inserted] = build_ids.try_emplace(module.path, module.build_id);
      if (!inserted && known->second != module.build_id) known->second.clear();
    }
  }
  for (auto& [path, build_id] : build_ids) merged.modules.push_back({path, std::move(build_id)});
}

// A way to a stack is as good as where it was worst.
void MergeCapabilities(const std::vector<Report>& reports, Report& merged) {
  std::map<std::string, Capability> by_name;
  for (const Report& report : reports) {
    for (const Capability& capability : report.capabilities) {
      const auto [it, inserted] = by_name.try_emplace(capability.name, capability);
      if (inserted) continue;
      Capability& all = it->second;
      AddCount(all.used, capability.used);
      const bool reason_first = all.reason.empty() || capability.reason < all.reason;
      if (!capability.reason.empty() && reason_first) all.reason = capability.reason;
      all.available = all.available && capability.available;
    }
  }
  for (auto& [name, capability] : by_name) merged.capabilities.push_back(std::move(capability));
}

void MergeWarnings(const std::vector<Report>& reports, Report& merged) {
  std::set<std::string> warnings;
  for (const Report& report : reports) {
    warnings.insert(report.warnings.begin(), report.warnings.end());
  }
  merged.warnings.assign(warnings.begin(), warnings.end());
}

void MergeNumbers(const std::vector<Report>& reports, Report& merged) {
  for (const Report& report : reports) {
    std::tie(merged.exit_code, merged.exit_signal) =
        std::max(std::make_tuple(merged.exit_code, merged.exit_signal),
                 std::make_tuple(report.exit_code, report.exit_signal));
    AddTime(merged.duration_seconds, report.duration_seconds);
    merged.threshold_seconds = std::max(merged.threshold_seconds, report.threshold_seconds);
    AddCount(merged.processes_started, report.processes_started);
    AddCount(merged.dropped.events, report.dropped.events);
    AddCount(merged.dropped.snapshots, report.dropped.snapshots);
    AddCount(merged.dropped.sites, report.dropped.sites);
    AddCount(merged.dropped.loops, report.dropped.loops);
    AddCount(merged.dropped.outside_loop, report.dropped.outside_loop);
    AddCount(merged.dropped.unsure, report.dropped.unsure);
    if (report.command != merged.command) merged.command = {kSeveralCommands};
  }
}

}  // namespace

Report MergeReports(std::vector<Report> reports) {
  Report merged;
  if (reports.empty()) return merged;
  merged.command = reports.front().command;
  MergeNumbers(reports, merged);
  MergeFindings(reports, merged);
  MergeCapabilities(reports, merged);
  MergeWarnings(reports, merged);
  MergeProcesses(reports, merged);
  MergeModules(reports, merged);
  MergeSuppressions(reports, merged);
  MergeTimelines(reports, merged);
  return merged;
}

}  // namespace loopsan
