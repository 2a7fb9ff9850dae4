// `loopsan baseline FILE`
#include <unistd.h>

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "reporters/baseline.h"
#include "reporters/internal/text_paper.h"
#include "reporters/json_reader.h"
#include "tools/command_flags.h"
#include "tools/output.h"
#include "tools/subcommand.h"

namespace loopsan {
namespace {

using text::Concat;
using text::Count;

constexpr char kFooter[] =
    R"(Makes the baseline, or updates it: errors and warnings of the report are added. What a person has
written as "reason" is kept. Entries that the report does not have are kept too, because a run that
did not come there says nothing about them; --prune removes them, after a run of everything.

Examples:
  loopsan run --json=report.json -- ./tests
  loopsan baseline report.json                         makes or updates loopsan-baseline.json
  loopsan baseline report.json --prune                 and removes what was not seen any more
  loopsan run --baseline=loopsan-baseline.json -- ./tests   fails on new findings only

Exit status: 0; 125 if a file cannot be read or written.)";

std::string Summary(const std::string& path, const Baseline& baseline, const BaselineUpdate& update,
                    bool prune) {
  std::string text =
      Concat("loopsan: ", path, ": ", Count(baseline.entries.size(), "finding"), ": ", update.added,
             " added, ", update.kept + update.changed, " known before");
  if (update.changed > 0) {
    text::AppendAll(text, " (", update.changed, " with new times, because they are much longer or ",
                    "shorter)");
  }
  if (update.unseen > 0 && prune) {
    text::AppendAll(text, ", ", update.unseen, " not seen any more and removed");
  } else if (update.unseen > 0) {
    text::AppendAll(text, ", ", update.unseen,
                    " not seen in this report and kept; if it is of everything, --prune removes ",
                    update.unseen == 1 ? "it" : "them");
  }
  return text + "\n";
}

// What is there already. A baseline that cannot be understood is not overwritten.
absl::StatusOr<Baseline> ReadIfThere(const std::string& path) {
  if (path == "-") return Baseline();
  absl::StatusOr<Baseline> baseline = ReadBaselineFile(path);
  if (absl::IsNotFound(baseline.status())) return Baseline();
  return baseline;
}

}  // namespace

int RecordBaseline(const std::vector<std::string>& arguments) {
  std::string file;
  bool prune = false;
  Options options;
  options.output_path = kBaselineFile;
  std::error_code error;
  options.source_root = std::filesystem::current_path(error).string();
  CommandFlags flags("baseline", "FILE [FLAG...]",
                     "Records the findings of a JSON report as known.", kFooter);
  flags.AddFile("FILE", file, "the JSON report; '-': standard input");
  flags.AddOption("output", options,
                  absl::StrCat("the baseline (default ", kBaselineFile, "; '-': standard output)"));
  flags.AddSwitch("--prune", prune, "remove entries that this report does not have");
  flags.AddOption("source_root", options,
                  "record files below DIR relative to it (default: the current directory)");
  int exit_status = 0;
  if (!ParseOrExit(flags, "baseline", arguments, exit_status)) return exit_status;

  const absl::StatusOr<Report> report = ReadJsonReportFile(file);
  if (!report.ok()) return FailCommand(report.status());
  absl::StatusOr<Baseline> baseline = ReadIfThere(options.output_path);
  if (!baseline.ok()) return FailCommand(baseline.status());
  const absl::StatusOr<std::unique_ptr<Output>> output = Output::Open(options.output_path);
  if (!output.ok()) return FailCommand(output.status());
  const BaselineUpdate update = UpdateBaseline(*report, options.source_root, prune, *baseline);
  const absl::Status written = (*output)->Write(WriteBaseline(*baseline));
  if (!written.ok()) return FailCommand(written);
  const bool to_stdout = options.output_path == "-";
  WriteAll(to_stdout ? STDERR_FILENO : STDOUT_FILENO,
           Summary(to_stdout ? "standard output" : options.output_path, *baseline, update, prune));
  return 0;
}

}  // namespace loopsan
