// Suppressions: files that say which findings are meant, and why.
//
//   # loop.supp
//   blocking-call:function=ConfigReload call=read max=50ms until=2027-01-31  # reason: once at
//   start
//
// docs/suppressions.md describes the format. Each entry must give its reason; it
// may end on a day and be limited to findings of a length. What is suppressed stays
// in the report as a count, beside the entries that are expired or match nothing.
//
// Threads: any, one at a time for each object.
#pragma once

#include <chrono>
#include <ostream>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "reporters/report.h"

namespace loopsan {

using Date = std::chrono::year_month_day;

// The day it is, in UTC, so that all machines of a CI agree.
Date Today();

// "2027-01-31", the only form that is read and written.
bool ParseDate(std::string_view text, Date& date);
std::string FormatDate(Date date);

// Who wrote a file.
enum class SuppressionOrigin {
  kUser,      // an entry that matches nothing is told
  kRulePack,  // nobody's program does all that a runtime may do
};

struct Suppression;

class Suppressions {
 public:
  Suppressions();
  Suppressions(Suppressions&& other) noexcept;
  Suppressions& operator=(Suppressions&& other) noexcept;
  ~Suppressions();

  // Adds the entries of `text`; `file` is the name that people are told. An error
  // tells of all bad lines, each as "FILE:LINE: what is wrong and what to write
  // instead", and adds nothing.
  absl::Status Add(std::string_view text, const std::string& file,
                   SuppressionOrigin origin = SuppressionOrigin::kUser);

  // Add() for a file, of at most 1 MiB. Errors name it.
  absl::Status AddFile(const std::string& path,
                       SuppressionOrigin origin = SuppressionOrigin::kUser);

  const std::vector<Suppression>& entries() const { return entries_; }

 private:
  std::vector<Suppression> entries_;
};

// Moves the findings that an entry matches out of `findings` and
// `unproven_findings` into `suppressed`, and fills `suppression_remarks`. The first
// entry that suppresses a finding counts it. A finding that an entry would suppress
// were it not expired or limited stays, and says so in its note. Findings keep
// their ids.
void ApplySuppressions(Report& report, const Suppressions& suppressions, Date today);

// Whether ApplySuppressions() would suppress the finding, as it is known so far.
bool Suppresses(const Suppressions& suppressions, const Finding& finding, Date today);

// Entries for all findings of the report, good for 90 days, as a file that can be
// used once a person has put a reason for each "TODO".
void WriteProposedSuppressions(const Report& report, Date today, std::ostream& out);

}  // namespace loopsan
