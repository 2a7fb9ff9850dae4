// What a program that watches itself (loopsan::debug) knows about itself.
#pragma once

#include "reporters/run_metrics.h"

namespace loopsan {

// The totals so far; empty before the first loop was met, and where nobody watches. Any
// thread.
MetricsSnapshot DebugMetrics();

}  // namespace loopsan
