// Metrics in the text format that Prometheus scrapes.
//
// Threads: any; no state.
#pragma once

#include <string>
#include <vector>

#include "prometheus/metric_family.h"

namespace loopsan {

inline constexpr char kMetricsContentType[] = "text/plain; version=0.0.4; charset=utf-8";

// Of counters, gauges and histograms.
std::string MetricsText(const std::vector<prometheus::MetricFamily>& families);

}  // namespace loopsan
