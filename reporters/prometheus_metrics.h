// The totals of a run as Prometheus metrics; docs/metrics.md has the list.
//
// Threads: any; no state.
#pragma once

#include <vector>

#include "prometheus/metric_family.h"
#include "reporters/run_metrics.h"

namespace loopsan {

// All families, each with a series at least where none needs a label that is not known
// yet. What there is nothing of is 0, so that rates see the first event.
std::vector<prometheus::MetricFamily> MetricFamilies(const MetricsSnapshot& snapshot);

}  // namespace loopsan
