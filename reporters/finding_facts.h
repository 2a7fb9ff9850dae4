// What several readers of a report ask of a finding: what it counts as, how much
// it took from its loop, where to look first.
//
// Threads: any; no state.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "reporters/report.h"

namespace loopsan {

// Nothing to fix by itself; every other finding can make a gate fail.
bool IsNote(const Finding& finding);

// A library reported it by itself; its times, if any, were not taken from a loop.
bool IsOfALibrary(const Finding& finding);

// The worst and the whole time that it took from its loop; 0 for notes, for what
// libraries report by themselves, and for what is no finite time.
double WorstBlocked(const Finding& finding);
double TotalBlocked(const Finding& finding);

// Where to look first: where a library says, else the user's own frame nearest to
// what blocked, else the innermost coroutine. The place has no function and no
// file if nothing is known.
SourcePlace MainPlace(const Finding& finding);
// The same as people read it, "src/a.cc:12 in Serve()"; also "(server+0x1f00)".
std::string MainPlaceText(const Finding& finding);

// What took most from a loop first and notes last.
void SortByRank(std::vector<Finding>& findings);
// The same, and numbers the findings: F1, F2, ...
void RankFindings(std::vector<Finding>& findings, std::string_view prefix);

// Something was watched that is an event loop for sure: without one, no finding is no
// clean bill.
bool HasProvenLoop(const Report& report);

// Of the form that a fingerprint has: 16 hexadecimal digits in lower case.
bool IsFingerprint(std::string_view text);

}  // namespace loopsan
