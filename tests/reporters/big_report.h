// A report as large as they come, of believable content.
#pragma once

#include <cstddef>

#include "reporters/report.h"

namespace loopsan {

// `findings` findings with stacks of 12 frames, and a timeline of `events` spans and
// as many intervals, on two loops. The same each time.
Report BigReport(size_t findings, size_t events);

}  // namespace loopsan
