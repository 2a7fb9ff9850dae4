// Live tasks as people and programs read them. Names and files come from the
// watched process and are escaped.
//
// Threads: any; no state.
#pragma once

#include <ostream>
#include <vector>

#include "reporters/live_tasks.h"

namespace loopsan {

// Each task below the one that spawned it, the oldest first.
void WriteTaskListing(const std::vector<LiveLoop>& loops, bool color, std::ostream& out);

// {"schema": 1, "loops": [...]}; docs/report-format.md describes it.
void WriteTaskListingJson(const std::vector<LiveLoop>& loops, std::ostream& out);

}  // namespace loopsan
