// `loopsan diff A B`
#include "reporters/diff.h"

#include <unistd.h>

#include <string>
#include <vector>

#include "reporters/json_reader.h"
#include "tools/command_flags.h"
#include "tools/exit_status.h"
#include "tools/output.h"
#include "tools/subcommand.h"

namespace loopsan {
namespace {

constexpr char kFooter[] =
    R"(Findings are the same if they have the same fingerprint: the same call in the same functions, whatever
the line, build or process. Worse and better is what took more than twice as long at worst, or less
than half, and by more than the threshold of the reports. Notes are not compared.

Examples:
  loopsan run --json=before.json -- ./tests
  loopsan run --json=after.json -- ./tests             with a change
  loopsan diff before.json after.json
  loopsan diff before.json after.json --exit-code && echo the same

Exit status: 0; with --exit-code 1 if there is a difference; 125 if a file cannot be read.)";

}  // namespace

int DiffFiles(const std::vector<std::string>& arguments) {
  std::string before_file;
  std::string after_file;
  bool exit_code = false;
  CommandFlags flags("diff", "BEFORE AFTER [FLAG...]",
                     "Tells what is new, gone, worse and better in the second JSON report.",
                     kFooter);
  flags.AddFile("BEFORE", before_file, "the first JSON report");
  flags.AddFile("AFTER", after_file, "the second");
  flags.AddSwitch("--exit-code", exit_code, "exit with status 1 if there is a difference");
  int exit_status = 0;
  if (!ParseOrExit(flags, "diff", arguments, exit_status)) return exit_status;

  const absl::StatusOr<Report> before = ReadJsonReportFile(before_file);
  if (!before.ok()) return FailCommand(before.status());
  const absl::StatusOr<Report> after = ReadJsonReportFile(after_file);
  if (!after.ok()) return FailCommand(after.status());
  const ReportDiff diff = DiffReports(*before, *after);
  WriteAll(STDOUT_FILENO, DiffText(diff));
  return exit_code && !diff.empty() ? kExitDifferent : 0;
}

}  // namespace loopsan
