// `loopsan report FILE`
#include <memory>
#include <sstream>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "reporters/did_you_mean.h"
#include "reporters/json_reader.h"
#include "reporters/reporter.h"
#include "reporters/resymbolize.h"
#include "tools/command_flags.h"
#include "tools/output.h"
#include "tools/report_outputs.h"
#include "tools/subcommand.h"

namespace loopsan {
namespace {

constexpr char kFooter[] =
    R"(Examples:
  loopsan run --json=report.json -- ./tests
  loopsan report report.json                           as it was printed at the end of the run
  loopsan report report.json --format=json --output=copy.json
  ssh ci cat report.json | loopsan report -            of standard input
  loopsan report report.json --sysroot=/srv/image      of a stripped program, where its symbols are

Exit status: 0, also if there are findings (see loopsan check); 125 if it cannot be read or written.)";

std::vector<std::string> FormatNames() {
  std::vector<std::string> names;
  for (const Reporter& reporter : Reporters()) names.emplace_back(reporter.name);
  return names;
}

}  // namespace

int ShowReport(const std::vector<std::string>& arguments) {
  std::string file;
  std::string format = "text";
  Options options;
  options.output_path = "-";
  CommandFlags flags("report", "FILE [FLAG...]",
                     "Shows a JSON report that loopsan run --json has written.", kFooter);
  flags.AddFile("FILE", file, "the JSON report; '-': standard input");
  flags.AddValue("--format", format, absl::StrJoin(FormatNames(), "|"),
                 "how to show it (default text)");
  flags.AddOption("output", options,
                  "write it to FILE ('-': standard output, which is the default)");
  SymbolSources symbols;
  flags.AddValue(
      "--sysroot", symbols.sysroot, "DIR",
      "name the stacks anew, with the programs and libraries below DIR, which lie there as "
      "on the machine of the run");
  flags.AddValue(
      "--debug-dir", symbols.debug_root, "DIR",
      "likewise, with debug files DIR/.build-id/xx/rest.debug (default with --sysroot: its "
      "usr/lib/debug)");
  flags.AddOption("source_root", options);
  flags.AddOption("color", options);
  int exit_status = 0;
  if (!ParseOrExit(flags, "report", arguments, exit_status)) return exit_status;

  const Reporter* const reporter = FindReporter(format);
  if (reporter == nullptr) {
    const std::vector<std::string> names = FormatNames();
    return FailCommand(absl::InvalidArgumentError(
        absl::StrCat("unknown format '", format, "'", DidYouMean(format, names),
                     "; the formats are ", absl::StrJoin(names, ", "))));
  }
  absl::StatusOr<Report> report = ReadJsonReportFile(file);
  if (!report.ok()) return FailCommand(report.status());
  if (!symbols.sysroot.empty() || !symbols.debug_root.empty()) {
    for (const std::string& complaint : Resymbolize(*report, symbols)) Complain(complaint);
  }
  const absl::StatusOr<std::unique_ptr<Output>> output = Output::Open(options.output_path);
  if (!output.ok()) return FailCommand(output.status());
  std::ostringstream text;
  reporter->write(*report, TextOptions(options, **output), text);
  const absl::Status written = (*output)->Write(text.str());
  return written.ok() ? 0 : FailCommand(written);
}

}  // namespace loopsan
