// `loopsan merge FILE... --output=FILE`
#include "reporters/merge.h"

#include <algorithm>
#include <functional>
#include <map>
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
#include "tools/report_outputs.h"
#include "tools/subcommand.h"

namespace loopsan {
namespace {

constexpr char kFooter[] =
    R"(Findings with the same fingerprint become one, with the sum of their counts and times; the one that
was worst gives its stack. The result depends neither on the order of the files nor on their grouping.
A report that is given twice, also by another name, is counted once, with a warning.

Examples:
  loopsan merge shard-*.json --output=report.json      the shards of a CI run
  loopsan check report.json --baseline=loopsan-baseline.json
  loopsan merge a.json b.json --output=- | loopsan report -

Exit status: 0; 125 if a file cannot be read or written.)";

std::string AsJson(const Report& report) {
  std::ostringstream text;
  WriteJson(report, {}, text);
  return text.str();
}

// A report that is given twice (two patterns match it, or it was copied) would count
// twice. Two runs never give the same: their times have nanoseconds.
absl::StatusOr<std::vector<Report>> ReadEachOnce(const std::vector<std::string>& files) {
  std::vector<Report> reports;
  std::vector<std::string> names;
  std::multimap<size_t, size_t> known;  // hash of a report, its index
  for (const std::string& file : files) {
    absl::StatusOr<Report> report = ReadJsonReportFile(file);
    if (!report.ok()) return report.status();
    const std::string text = AsJson(*report);
    const size_t hash = std::hash<std::string>()(text);
    const auto [begin, end] = known.equal_range(hash);
    const auto same = std::find_if(
        begin, end, [&](const auto& entry) { return AsJson(reports[entry.second]) == text; });
    if (same != end) {
      const std::string& other = names[same->second];
      Complain(file == other ? absl::StrCat(file, " is given twice; it is counted once")
                             : absl::StrCat(file, " and ", other,
                                            " are the same report; it is counted once"));
      continue;
    }
    known.emplace(hash, reports.size());
    names.push_back(file);
    reports.push_back(*std::move(report));
  }
  return reports;
}

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

  absl::StatusOr<std::vector<Report>> reports = ReadEachOnce(files);
  if (!reports.ok()) return FailCommand(reports.status());
  const absl::StatusOr<std::unique_ptr<Output>> output = Output::Open(options.output_path);
  if (!output.ok()) return FailCommand(output.status());
  std::ostringstream text;
  WriteJson(MergeReports(*std::move(reports)), {}, text);
  const absl::Status written = (*output)->Write(text.str());
  return written.ok() ? 0 : FailCommand(written);
}

}  // namespace loopsan
