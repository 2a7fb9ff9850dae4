// Intent: no suppression file may crash the parser, and what it accepts can be held
// against findings with hostile names, also those that were proposed for them.
#include <cstdint>
#include <cstdlib>
#include <sstream>
#include <string>

#include "reporters/suppressions.h"

namespace {

loopsan::Report ReportOf(const std::string& text) {
  loopsan::Finding finding;
  finding.rule = "stall";
  finding.message = finding.detail = text;
  finding.executable = "/bin/victim";
  finding.stack = {{.function = text, .file = text, .module = text}};
  loopsan::Report report;
  report.findings = {finding};
  return report;
}

constexpr loopsan::Date kToday{std::chrono::year(2026), std::chrono::month(11),
                               std::chrono::day(28)};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  loopsan::Suppressions suppressions;
  (void)suppressions.Add(text, "fuzz.supp");
  loopsan::Report report = ReportOf(text.substr(0, 300));
  loopsan::ApplySuppressions(report, suppressions, kToday);
  if (report.findings.size() + report.suppressed.size() != 1) std::abort();

  report = ReportOf(text.substr(0, 300));
  std::ostringstream proposed;
  loopsan::WriteProposedSuppressions(report, kToday, proposed);
  std::string file = proposed.str();
  const std::string todo = "TODO say why\n";
  const size_t at = file.rfind(todo);
  if (at == std::string::npos) std::abort();
  file.replace(at, todo.size(), "known\n");
  loopsan::Suppressions accepted;
  if (!accepted.Add(file, "proposed.supp").ok()) std::abort();
  loopsan::ApplySuppressions(report, accepted, kToday);
  if (!report.findings.empty()) std::abort();
  return 0;
}
