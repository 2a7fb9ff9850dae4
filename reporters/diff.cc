#include "reporters/diff.h"

#include <algorithm>
#include <map>
#include <string_view>

#include "reporters/baseline.h"
#include "reporters/finding_facts.h"
#include "reporters/internal/text_paper.h"
#include "reporters/reporter.h"

namespace loopsan {

using text::AppendAll;
using text::Concat;

namespace {

struct Compared {
  const Finding* first = nullptr;  // the one that ranks highest of those with this fingerprint
  bool proven = false;
  bool note = true;
  double worst = 0;
};

std::map<std::string_view, Compared> ByFingerprint(const Report& report) {
  std::map<std::string_view, Compared> all;
  for (const auto* findings : {&report.findings, &report.unproven_findings}) {
    for (const Finding& finding : *findings) {
      Compared& one = all[finding.fingerprint];
      if (one.first == nullptr) one.first = &finding;
      one.proven = one.proven || findings == &report.findings;
      one.note = one.note && IsNote(finding);
      one.worst = std::max(one.worst, finding.max_seconds);
    }
  }
  return all;
}

// What is in the first report, and not at all in the second, by rank.
std::vector<Finding> OnlyIn(const Report& report, const std::map<std::string_view, Compared>& mine,
                            const std::map<std::string_view, Compared>& others) {
  std::vector<Finding> only;
  for (const Finding& finding : report.findings) {
    const Compared& one = mine.at(finding.fingerprint);
    if (one.note || one.first != &finding || others.contains(finding.fingerprint)) continue;
    only.push_back(finding);
  }
  return only;
}

std::string Place(const Finding& finding) {
  const std::string where = MainPlaceText(finding);
  return where.empty() ? "" : Concat("          at ", where, "\n");
}

void AddFindings(std::string_view word, const std::vector<Finding>& findings, std::string& out) {
  for (const Finding& finding : findings) {
    AppendAll(out, "  ", word, " ", Printable(finding.id), " ", Printable(finding.level), ": ",
              Printable(finding.message), "\n", Place(finding));
  }
}

void AddChanges(std::string_view word, const std::vector<ChangedFinding>& changes,
                std::string& out) {
  for (const auto& [before, after] : changes) {
    AppendAll(out, "  ", word, " ", FormatSeconds(before.max_seconds), " -> ",
              FormatSeconds(after.max_seconds), " at worst: ", Printable(after.id), " ",
              Printable(after.level), ": ", Printable(after.message), "\n", Place(after));
  }
}

}  // namespace

ReportDiff DiffReports(const Report& before, const Report& after) {
  const auto old_ones = ByFingerprint(before);
  const auto new_ones = ByFingerprint(after);
  const double threshold = std::max(before.threshold_seconds, after.threshold_seconds);
  ReportDiff diff;
  diff.added = OnlyIn(after, new_ones, old_ones);
  diff.gone = OnlyIn(before, old_ones, new_ones);
  for (const Finding& finding : after.findings) {
    const Compared& now = new_ones.at(finding.fingerprint);
    const auto was = old_ones.find(finding.fingerprint);
    if (now.note || now.first != &finding || was == old_ones.end()) continue;
    const ChangedFinding change{.before = *was->second.first, .after = finding};
    if (IsMuchLonger(was->second.worst, now.worst, threshold)) diff.worse.push_back(change);
    if (IsMuchLonger(now.worst, was->second.worst, threshold)) diff.better.push_back(change);
  }
  return diff;
}

std::string DiffText(const ReportDiff& diff) {
  if (diff.empty()) return "loopsan: no difference\n";
  std::string out = Concat("loopsan: ", diff.added.size(), " new, ", diff.gone.size(), " gone, ",
                           diff.worse.size(), " worse, ", diff.better.size(), " better\n");
  AddFindings("new   ", diff.added, out);
  AddFindings("gone  ", diff.gone, out);
  AddChanges("worse ", diff.worse, out);
  AddChanges("better", diff.better, out);
  return out;
}

}  // namespace loopsan
