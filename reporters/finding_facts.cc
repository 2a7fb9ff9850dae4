#include "reporters/finding_facts.h"

#include <algorithm>
#include <cmath>
#include <tuple>

#include "reporters/internal/text_paper.h"
#include "reporters/reporter.h"

namespace loopsan {
namespace {

constexpr size_t kFingerprintBytes = 16;

double Blocked(const Finding& finding, double seconds) {
  if (IsNote(finding) || IsOfALibrary(finding)) return 0;
  return std::isfinite(seconds) && seconds > 0 ? seconds : 0;
}

bool IsHexDigit(char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); }

}  // namespace

bool IsNote(const Finding& finding) { return finding.level == "note"; }

bool IsOfALibrary(const Finding& finding) { return finding.call.empty() && finding.cause.empty(); }

double WorstBlocked(const Finding& finding) { return Blocked(finding, finding.max_seconds); }

double TotalBlocked(const Finding& finding) { return Blocked(finding, finding.total_seconds); }

SourcePlace MainPlace(const Finding& finding) {
  if (!finding.where.file.empty() || !finding.where.function.empty()) return finding.where;
  if (const ReportFrame* own = OwnFrame(finding.stack)) {
    return {.function = own->function, .file = own->file, .line = own->line};
  }
  return finding.async_stack.empty() ? SourcePlace() : finding.async_stack.front();
}

std::string MainPlaceText(const Finding& finding) {
  std::string where = text::WhereText(finding.where);
  if (!where.empty()) return where;
  if (const ReportFrame* own = OwnFrame(finding.stack)) return text::WhereText(*own);
  return finding.async_stack.empty() ? "" : text::WhereText(finding.async_stack.front());
}

void SortByRank(std::vector<Finding>& findings) {
  const auto time = [](const Finding& finding) {
    return std::isfinite(finding.total_seconds) ? finding.total_seconds : 0;
  };
  std::sort(findings.begin(), findings.end(), [&](const Finding& a, const Finding& b) {
    if (IsNote(a) != IsNote(b)) return IsNote(b);
    if (time(a) != time(b)) return time(a) > time(b);
    return std::tie(a.fingerprint, a.message) < std::tie(b.fingerprint, b.message);
  });
}

void RankFindings(std::vector<Finding>& findings, std::string_view prefix) {
  SortByRank(findings);
  size_t rank = 0;
  for (Finding& finding : findings) finding.id = text::Concat(prefix, ++rank);
}

bool HasProvenLoop(const Report& report) {
  for (const ProcessSummary& process : report.processes) {
    for (const LoopSummary& loop : process.loops) {
      if (loop.proven) return true;
    }
  }
  return false;
}

bool IsFingerprint(std::string_view text) {
  return text.size() == kFingerprintBytes && std::all_of(text.begin(), text.end(), IsHexDigit);
}

}  // namespace loopsan
