// What changed between two reports of the same program: before and after a fix, of
// two branches, of two days.
//
// Threads: any; no state.
#pragma once

#include <string>
#include <vector>

#include "reporters/report.h"

namespace loopsan {

struct ChangedFinding {
  Finding before;
  Finding after;
};

// Findings are the same if their fingerprints are. Notes are not compared: whether a
// turn becomes long is up to the load. A finding whose thread may be no loop in one
// of the two reports is neither new nor gone. Worse and better are beyond chance: see
// IsMuchLonger().
struct ReportDiff {
  std::vector<Finding> added;  // in the order of rank
  std::vector<Finding> gone;
  std::vector<ChangedFinding> worse;
  std::vector<ChangedFinding> better;

  bool empty() const { return added.empty() && gone.empty() && worse.empty() && better.empty(); }
};

ReportDiff DiffReports(const Report& before, const Report& after);

// As people read it: a line for the result, then one or two for each change.
std::string DiffText(const ReportDiff& diff);

}  // namespace loopsan
