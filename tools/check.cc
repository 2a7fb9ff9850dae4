// `loopsan check FILE`
#include <unistd.h>

#include <iostream>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "reporters/baseline.h"
#include "reporters/gate.h"
#include "reporters/json_reader.h"
#include "tools/command_flags.h"
#include "tools/exit_status.h"
#include "tools/output.h"
#include "tools/report_outputs.h"
#include "tools/subcommand.h"
#include "tools/suppression_files.h"

namespace loopsan {
namespace {

constexpr char kFooter[] =
    R"(Fails if the report has an error or a warning that the baseline does not know (notes never count),
or if a budget is exceeded, and says what to do. A known finding that has become much worse, and
entries of the baseline that were not seen any more, are told but do not fail.

Examples:
  loopsan run --json=report.json -- ./tests
  loopsan check report.json                            no findings at all
  loopsan check report.json --baseline=loopsan-baseline.json   none but those
  loopsan check report.json --fail-on=none --budget=worst-stall=200ms --budget=findings=3

To do both in one step: loopsan run --baseline=loopsan-baseline.json -- ./tests

Exit status: 0 if the report passes, 66 if it does not; 125 if a file cannot be read.)";

}  // namespace

int CheckReport(const std::vector<std::string>& arguments) {
  std::string file;
  Options options;
  options.fail_on = FailOn::kNew;
  CommandFlags flags("check", "FILE [FLAG...]", "Decides whether a JSON report may pass.", kFooter);
  flags.AddFile("FILE", file, "the JSON report; '-': standard input");
  flags.AddOption("baseline", options);
  flags.AddOption(
      "fail_on", options,
      "new = errors and warnings that the baseline does not know, which is the default; "
      "error = errors, warning = errors and warnings, known or not; none = no finding, "
      "only budgets");
  flags.AddOption("budget", options,
                  "what must not be exceeded; may be given several times: worst-stall=TIME, "
                  "blocked-total=TIME, longest-step=TIME, p99-step=TIME, findings=NUMBER");
  flags.AddOption("suppressions", options);
  flags.AddOption("rule_pack", options);
  int exit_status = 0;
  if (!ParseOrExit(flags, "check", arguments, exit_status)) return exit_status;

  if (WantsRulePackList(options)) {
    PrintRulePacks(RulePackFolders(), std::cout);
    return 0;
  }
  absl::StatusOr<Report> report = ReadJsonReportFile(file);
  if (!report.ok()) return FailCommand(report.status());
  const absl::StatusOr<Suppressions> suppressions = ReadSuppressions(options, RulePackFolders());
  if (!suppressions.ok()) return FailCommand(suppressions.status());
  ApplySuppressions(*report, *suppressions, Today());
  for (const SuppressionRemark& remark : report->suppression_remarks) {
    if (remark.level == "warning") {
      Complain(absl::StrCat(remark.file, ":", remark.line, ": ", remark.message));
    }
  }
  std::optional<BaselineComparison> comparison;
  if (!options.baseline_path.empty()) {
    const absl::StatusOr<Baseline> baseline = ReadBaselineFile(options.baseline_path);
    if (!baseline.ok()) return FailCommand(baseline.status());
    comparison = CompareWithBaseline(*report, *baseline);
  }
  const GateVerdict verdict = JudgeGate(*report, comparison ? &*comparison : nullptr,
                                        {.fail_on = options.fail_on,
                                         .budgets = options.budgets,
                                         .baseline_file = options.baseline_path,
                                         .report_file = file == "-" ? "" : file});
  WriteAll(STDOUT_FILENO, GateText(*report, verdict));
  return verdict.failed() ? kExitGateFailed : 0;
}

}  // namespace loopsan
