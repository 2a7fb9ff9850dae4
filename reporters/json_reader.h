// Reads a report back from version 1 of the JSON format (docs/report-format.md).
// The text is untrusted: whatever is in it, the result is a report that
// json_reporter.cc could have written, or an error.
//
// Threads: any; no state.
#pragma once

#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "reporters/report.h"

namespace loopsan {

// Fields that it does not know are ignored, as a later release may add some. An
// error names the field and what to do.
absl::StatusOr<Report> ReadJsonReport(std::string_view text);

// The same of a file, which the errors name; "-" is standard input.
absl::StatusOr<Report> ReadJsonReportFile(const std::string& path);

}  // namespace loopsan
