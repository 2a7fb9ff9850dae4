// The totals of a run as Prometheus metrics; docs/metrics.md has the list.
//
// Threads: any; no state.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "prometheus/metric_family.h"
#include "reporters/options.h"
#include "reporters/run_metrics.h"

namespace loopsan {

struct MetricsSettings {
  std::vector<double> buckets = DefaultMetricsBuckets();  // some of the snapshot's bounds
  size_t sites = 20;                                      // that are named
};

MetricsSettings MetricsSettingsOf(const Options& options);

// All families, each with a series at least where none needs a label that is not known
// yet. What there is nothing of is 0, so that rates see the first event.
std::vector<prometheus::MetricFamily> MetricFamilies(const MetricsSnapshot& snapshot,
                                                     const MetricsSettings& settings);

// In the text format that Prometheus scrapes.
std::string MetricsText(const std::vector<prometheus::MetricFamily>& families);
inline constexpr char kMetricsContentType[] = "text/plain; version=0.0.4; charset=utf-8";

}  // namespace loopsan
