// GitLab Code Quality (artifacts:reports:codequality). GitLab compares with the
// report of the target branch by fingerprint, so the baseline does not matter here.
#include <algorithm>

#include "reporters/internal/finding_place.h"
#include "reporters/internal/json_text.h"
#include "reporters/internal/text_paper.h"
#include "reporters/reporter.h"

namespace loopsan {
namespace {

constexpr size_t kMaxTextBytes = 4'000;

std::string Safe(std::string_view untrusted) {
  return Printable(text::Clipped(untrusted, kMaxTextBytes));
}

std::string_view Severity(const Finding& finding) {
  if (finding.level == "error") return "major";
  return finding.level == "note" ? "info" : "minor";
}

// A path is required; without a line there is still the program.
std::string PathOf(const Finding& finding, const SourcePlace& place, std::string_view root) {
  const std::string_view file = place.file.empty() ? finding.executable : place.file;
  return file.empty() ? "unknown" : Safe(NameFrom(root, file).path);
}

Json ToJson(const Finding& finding, std::string_view root) {
  const SourcePlace place = PlaceToAnnotate(finding);
  std::string description = Safe(finding.message);
  if (!finding.remedy.empty()) text::AppendAll(description, ". Instead: ", Safe(finding.remedy));
  return {
      {"description", description},
      {"check_name", Safe(finding.rule)},
      {"fingerprint", Safe(finding.fingerprint)},
      {"severity", Severity(finding)},
      {"location",
       {{"path", PathOf(finding, place, root)}, {"lines", {{"begin", std::max(place.line, 1)}}}}},
  };
}

}  // namespace

void WriteGitlab(const Report& report, const ReporterOptions& options, std::ostream& out) {
  Json issues = Json::array();
  for (const Finding& finding : report.findings) {
    issues.push_back(ToJson(finding, options.source_root));
  }
  WriteJsonText(issues, /*indent=*/1, out);
}

}  // namespace loopsan
