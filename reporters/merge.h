// Makes one report of many: the shards of a CI run, the same tests on several
// machines.
//
// Threads: any; no state.
#pragma once

#include <vector>

#include "reporters/report.h"

namespace loopsan {

// The result depends neither on the order of the reports nor on how they are
// grouped: merging merged reports gives the same.
//
// - Findings with the same fingerprint become one. Its count and total are the sums;
//   the rest is that of the one that was worst, with its stack and its longest time.
// - A finding on a thread that may be no loop is one on a loop if any report says so.
// - Processes are put together, counts of what was dropped are added, durations too.
// - A command that is not the same in all becomes "(several commands)"; the exit code
//   and the threshold are the largest.
//
// REQUIRES: times as ReadJsonReport() gives them.
Report MergeReports(std::vector<Report> reports);

}  // namespace loopsan
