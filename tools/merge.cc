// `loopsan merge FILE... --output=FILE`
#include "reporters/merge.h"

#include <memory>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "reporters/json_reader.h"
#include "reporters/reporter.h"
#include "tools/command_flags.h"
#include "tools/output.h"
#include "tools/subcommand.h"

namespace loopsan {
namespace {

constexpr char kFooter[] =
    R"(Findings with the same fingerprint become one, with the sum of their counts and times; the one that
was worst gives its stack. The result depends neither on the order of the files nor on their grouping.

Examples:
  loopsan merge shard-*.json --output=report.json      the shards of a CI run
  loopsan check report.json --baseline=loopsan-baseline.json
  loopsan merge a.json b.json --output=- | loopsan report -

Exit status: 0; 125 if a file cannot be read or written.)";

}  // namespace

int MergeFiles(const std::vector<std::string>& arguments) {
  std::vector<std::string> files;
  Options options;
  CommandFlags flags("merge", "FILE... --output=FILE", "Makes one JSON report of many.", kFooter);
  flags.AddFiles("FILE", files, 1, "the JSON reports");
  flags.AddOption("output", options, "the merged JSON report ('-': standard output)");
  int exit_status = 0;
  if (!ParseOrExit(flags, "merge", arguments, exit_status)) return exit_status;
  if (options.output_path.empty()) {
    return FailCommand(absl::InvalidArgumentError(
        "merge needs to know where to write: --output=FILE, or --output=- for standard output"));
  }

  std::vector<Report> reports;
  for (const std::string& file : files) {
    absl::StatusOr<Report> report = ReadJsonReportFile(file);
    if (!report.ok()) return FailCommand(report.status());
    reports.push_back(*std::move(report));
  }
  const absl::StatusOr<std::unique_ptr<Output>> output = Output::Open(options.output_path);
  if (!output.ok()) return FailCommand(output.status());
  std::ostringstream text;
  WriteJson(MergeReports(std::move(reports)), {}, text);
  const absl::Status written = (*output)->Write(text.str());
  return written.ok() ? 0 : FailCommand(written);
}

}  // namespace loopsan
