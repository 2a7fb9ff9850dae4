// Parts of the text report (text_reporter.cc) that other formats show too, and what
// they must agree on.
//
// Threads: any; no state.
#pragma once

#include <string>
#include <vector>

#include "reporters/finding_facts.h"
#include "reporters/report.h"

namespace loopsan::text {

// In the baseline that was given: not to be fixed now.
inline bool IsKnown(const Finding& finding) { return finding.baseline_state == "unchanged"; }

// All of a finding, as lines of printable text: "F1 error: nanosleep blocked ...".
std::string FindingText(const Finding& finding);

// What was found, first line "loopsan: 1 finding: ..."; what it means below.
std::string VerdictText(const Report& report);

// What could not be seen, as printable sentences.
std::vector<std::string> LimitsText(const Report& report);

}  // namespace loopsan::text
