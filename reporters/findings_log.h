// The log of `--findings=FILE`: findings as JSON lines while the program runs, for
// pipelines of logs. docs/report-format.md has the fields.
//
// Threads: each object belongs to one.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <ostream>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "reporters/report.h"

namespace loopsan {

class FindingsLog {
 public:
  // The longest line, with its newline.
  static constexpr size_t kMaxLineBytes = size_t{16} << 10;

  // `out` must outlive the log. Each line is written at once and flushed, so that
  // whoever follows the file sees whole lines. If it is a pipe, SIGPIPE must be ignored.
  explicit FindingsLog(std::ostream* out) : out_(out) {}

  enum class Lines { kAll, kNewOnly };

  // Writes a line for each finding of `snapshot`, the report of the run so far, that is
  // new, and for each that was seen more often or longer since its last line; nothing
  // for the others, nor for those on threads that may not be loops. A finding is known
  // by its fingerprint and its program, whatever the process. kNewOnly: the others wait for
  // a later call.
  //
  // An error is returned once, when a line could not be written: the log is over then,
  // and later calls do nothing. The run goes on.
  absl::Status Write(const Report& snapshot, absl::Time now, Lines which = Lines::kAll);

 private:
  struct Sums {
    uint64_t count = 0;
    double total_seconds = 0;
    double max_seconds = 0;
  };
  using Identity = std::pair<std::string, std::string>;  // fingerprint, executable

  bool WriteLine(const Finding& finding, const Sums& sums, const Sums* before, absl::Time now);

  std::ostream* out_;
  bool is_over_ = false;
  std::map<Identity, Sums> written_;  // as the last line of each said
};

}  // namespace loopsan
