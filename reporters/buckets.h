// The bounds of the histograms that the probe fills and the metrics show.
#pragma once

#include <vector>

#include "absl/status/status.h"

namespace loopsan {

// 10 us to 10 s, three a decade: what metrics show unless somebody asks for others.
std::vector<double> DefaultMetricsBuckets();

// Ascending, more than 0, and few enough that the probe can count them: else an error
// that says which.
absl::Status CheckMetricsBuckets(const std::vector<double>& bounds);

// What the probe counts: the bounds of the metrics, and others below and above them, for
// the report. Seconds, ascending, fewer than segment::kBuckets.
std::vector<double> HistogramBounds(const std::vector<double>& metrics_buckets);

}  // namespace loopsan
