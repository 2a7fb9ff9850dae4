#include "reporters/gate.h"

#include <algorithm>

#include "reporters/finding_facts.h"
#include "reporters/internal/text_paper.h"
#include "reporters/reporter.h"

namespace loopsan {

using text::AppendAll;
using text::Concat;
using text::Count;

namespace {

constexpr size_t kMostListed = 10;

std::string At(const Finding& finding) {
  const std::string where = MainPlaceText(finding);
  return where.empty() ? "" : Concat("\n      at ", where);
}

std::string Sentence(const Finding& finding, std::string_view kind) {
  return Concat(Printable(finding.id), " ", kind, ": ", Printable(finding.message), At(finding));
}

// At most kMostListed, so that the last line of a log says what to do.
void AddSome(const std::vector<std::string>& sentences, std::string_view one,
             std::vector<std::string>& to) {
  const size_t shown = std::min(sentences.size(), kMostListed);
  to.insert(to.end(), sentences.begin(), sentences.begin() + static_cast<ptrdiff_t>(shown));
  if (shown < sentences.size()) {
    to.push_back(Concat("and ", sentences.size() - shown, " more ", one));
  }
}

FailOn Decided(FailOn fail_on, bool has_baseline) {
  if (fail_on != FailOn::kAuto) return fail_on;
  return has_baseline ? FailOn::kNew : FailOn::kNone;
}

bool Fails(const Finding& finding, FailOn fail_on) {
  switch (fail_on) {
    case FailOn::kNew:
      return !IsNote(finding) && finding.baseline_state != "unchanged";
    case FailOn::kError:
      return finding.level == "error";
    case FailOn::kWarning:
      return !IsNote(finding);
    case FailOn::kAuto:
    case FailOn::kNone:
      return false;
  }
  return false;
}

void JudgeFindings(const Report& report, FailOn fail_on, GateVerdict& verdict) {
  std::vector<std::string> sentences;
  for (const Finding& finding : report.findings) {
    if (!Fails(finding, fail_on)) continue;
    sentences.push_back(
        Sentence(finding, fail_on == FailOn::kNew ? Concat("new ", finding.level) : finding.level));
  }
  AddSome(sentences, "like these", verdict.failures);
}

struct Measured {
  double worst_stall = 0;
  double blocked_total = 0;
  double longest_step = 0;
  double p99_step = 0;
  uint64_t findings = 0;
  const Finding* worst = nullptr;
};

Measured Measure(const Report& report) {
  Measured measured;
  for (const Finding& finding : report.findings) {
    if (IsNote(finding)) continue;
    ++measured.findings;
    measured.blocked_total += TotalBlocked(finding);
    if (WorstBlocked(finding) <= measured.worst_stall) continue;
    measured.worst_stall = WorstBlocked(finding);
    measured.worst = &finding;
  }
  for (const ProcessSummary& process : report.processes) {
    for (const LoopSummary& loop : process.loops) {
      if (!loop.proven) continue;
      // Not std::max(): what is no number counts as none.
      if (loop.longest_step_seconds > measured.longest_step) {
        measured.longest_step = loop.longest_step_seconds;
      }
      if (loop.p99_step_seconds > measured.p99_step) measured.p99_step = loop.p99_step_seconds;
    }
  }
  return measured;
}

void JudgeBudgets(const Report& report, const Budgets& budgets, GateVerdict& verdict) {
  const Measured measured = Measure(report);
  const auto time = [&](std::string_view name, double seconds, const std::optional<double>& budget,
                        const std::string& who) {
    if (!budget || seconds <= *budget) return;
    verdict.failures.push_back(Concat("budget ", name, " exceeded: ", FormatSeconds(seconds),
                                      " where ", FormatSeconds(*budget), " is allowed", who));
  };
  const std::string worst = measured.worst == nullptr
                                ? ""
                                : Concat("; ", Sentence(*measured.worst, measured.worst->level));
  time("worst-stall", measured.worst_stall, budgets.worst_stall_seconds, worst);
  time("blocked-total", measured.blocked_total, budgets.blocked_total_seconds, "");
  time("longest-step", measured.longest_step, budgets.longest_step_seconds, "");
  time("p99-step", measured.p99_step, budgets.p99_step_seconds, " (at least so long)");
  if (budgets.findings && measured.findings > *budgets.findings) {
    verdict.failures.push_back(Concat("budget findings exceeded: ", measured.findings, " where ",
                                      *budgets.findings, " are allowed"));
  }
}

void NoteChanges(const Report& report, const BaselineComparison& comparison,
                 const GateSettings& settings, GateVerdict& verdict) {
  std::vector<std::string> worse;
  for (const WorseFinding& one : comparison.worse) {
    const auto it = std::find_if(report.findings.begin(), report.findings.end(),
                                 [&](const Finding& finding) { return finding.id == one.id; });
    if (it == report.findings.end()) continue;
    worse.push_back(Concat("worse than the baseline, where it took ",
                           FormatSeconds(one.recorded_seconds),
                           " at worst: ", Sentence(*it, it->level)));
  }
  AddSome(worse, "that are worse", verdict.notes);
  if (comparison.stale.empty()) return;
  if (!settings.names_unseen) {
    verdict.notes.push_back(
        Concat(Count(comparison.stale.size(), "finding"), " of the baseline not seen in this run"));
    return;
  }
  std::vector<std::string> stale;
  for (const BaselineEntry& entry : comparison.stale) {
    stale.push_back(Concat("not seen any more: ", Printable(entry.rule), " ",
                           Printable(entry.call.empty() ? "in" : entry.call), " ",
                           Printable(entry.function), " ", Printable(entry.file), " (",
                           entry.fingerprint, ")"));
  }
  AddSome(stale, "that were not seen", verdict.notes);
  // Else whoever follows the advice would record what has just failed.
  if (verdict.failed()) return;
  verdict.notes.push_back(
      Concat("the baseline can shrink: if this report is of everything, run loopsan baseline ",
             settings.report_file.empty() ? "report.json" : settings.report_file, " --output=",
             settings.baseline_file.empty() ? kBaselineFile : settings.baseline_file, " --prune"));
}

std::string Advice(FailOn fail_on, const GateSettings& settings) {
  if (fail_on != FailOn::kNew) return "fix it, or allow more: --fail-on, --budget";
  const std::string report = settings.report_file.empty() ? "report.json" : settings.report_file;
  const std::string file = settings.baseline_file.empty() ? kBaselineFile : settings.baseline_file;
  return Concat("fix it, or record it: ",
                settings.report_file.empty() ? "loopsan run --json=report.json, then " : "",
                "loopsan baseline ", report,
                file == kBaselineFile ? "" : " --output=", file == kBaselineFile ? "" : file);
}

// What was not counted, and should be known.
void NoteUnproven(const Report& report, GateVerdict& verdict) {
  const size_t uncounted =
      std::count_if(report.unproven_findings.begin(), report.unproven_findings.end(),
                    [](const Finding& finding) { return !IsNote(finding); });
  if (uncounted > 0) {
    verdict.notes.push_back(
        Concat(Count(uncounted, "finding"), " on threads that may be no event loops ",
               uncounted == 1 ? "does" : "do", " not count; the text report has ",
               uncounted == 1 ? "it" : "them"));
  }
  if (!HasProvenLoop(report)) {
    verdict.notes.emplace_back("no event loop was seen for sure, so this is no clean bill");
  }
}

}  // namespace

bool GateIsOn(const GateSettings& settings, bool has_baseline) {
  return Decided(settings.fail_on, has_baseline) != FailOn::kNone || settings.budgets != Budgets();
}

GateVerdict JudgeGate(const Report& report, const BaselineComparison* comparison,
                      const GateSettings& settings) {
  const FailOn fail_on = Decided(settings.fail_on, comparison != nullptr);
  GateVerdict verdict;
  JudgeFindings(report, fail_on, verdict);
  const bool findings_fail = verdict.failed();
  JudgeBudgets(report, settings.budgets, verdict);
  if (comparison != nullptr) NoteChanges(report, *comparison, settings, verdict);
  NoteUnproven(report, verdict);
  if (verdict.failed()) verdict.advice = Advice(findings_fail ? fail_on : FailOn::kNone, settings);
  return verdict;
}

std::string GateText(const Report& report, const GateVerdict& verdict) {
  std::string out;
  if (verdict.failed()) {
    AppendAll(out, "loopsan: the gate failed\n");
  } else {
    size_t known = 0;
    size_t others = 0;
    for (const Finding& finding : report.findings) {
      if (IsNote(finding)) continue;
      ++(finding.baseline_state == "unchanged" ? known : others);
    }
    AppendAll(out, "loopsan: the gate is passed: ");
    if (known > 0) AppendAll(out, Count(known, "finding"), " of the baseline");
    if (known > 0 && others > 0) AppendAll(out, ", ");
    if (others > 0) AppendAll(out, Count(others, "finding"), known > 0 ? " besides" : " allowed");
    if (known + others == 0) AppendAll(out, "no findings");
    uint64_t suppressed = 0;
    for (const SuppressedFindings& one : report.suppressed) suppressed += one.findings;
    if (suppressed > 0) AppendAll(out, ", ", suppressed, " suppressed");
    AppendAll(out, "\n");
  }
  for (const std::string& failure : verdict.failures) AppendAll(out, "  - ", failure, "\n");
  for (const std::string& note : verdict.notes) AppendAll(out, "  note: ", note, "\n");
  if (!verdict.advice.empty()) AppendAll(out, "  ", verdict.advice, "\n");
  return out;
}

}  // namespace loopsan
