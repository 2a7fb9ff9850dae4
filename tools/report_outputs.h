// Where the reports of a run go, and what is printed there.
//
// Threads: one thread, but Discard() may be called from any.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "reporters/options.h"
#include "reporters/report.h"
#include "reporters/reporter.h"
#include "tools/output.h"

namespace loopsan {

class ReportOutputs {
 public:
  // Opens what the options name. An error names the flag, the file and a remedy.
  // `reporters` outlive the object.
  static absl::StatusOr<std::unique_ptr<ReportOutputs>> Open(
      const Options& options, std::span<const Reporter> reporters = Reporters());

  // Prints one line about a stall at once, where the options want that. From the
  // collector's thread.
  void PrintLive(const std::string& line) const;

  // Writes all reports, also the others if one cannot be written; returns the first
  // error. Standard error that nobody reads is no error.
  absl::Status Write(const Report& report);

  // For a run that gives up: removes the files that Open() made.
  void Discard();

 private:
  explicit ReportOutputs(const Options& options) : options_(options) {}

  // A report that goes to a file of its own.
  struct ReportFile {
    std::string flag;
    ReporterFunction write;
    std::unique_ptr<Output> output;
  };

  absl::Status OpenFile(const std::string& flag, const std::string& path, ReporterFunction write);
  absl::Status WriteTextReport(const Report& report);

  const Options options_;
  std::unique_ptr<Output> text_;                   // never null
  std::vector<ReportFile> files_;                  // beside the text
  std::unique_ptr<Output> proposed_suppressions_;  // null: none
};

// Prints "loopsan: MESSAGE" to standard error.
void Complain(std::string_view message);

// Decides ColorMode::kAuto. The arguments are values of the environment's NO_COLOR
// and TERM, null if unset.
bool UsesColor(ColorMode mode, bool terminal, const char* no_color, const char* term);

// How a text report is shown on `output`.
ReporterOptions TextOptions(const Options& options, const Output& output);

// True if the terminal of this environment is known to make links of OSC 8. Takes a
// function like getenv().
bool KnowsLinks(const std::function<const char*(const char*)>& variable);

}  // namespace loopsan
