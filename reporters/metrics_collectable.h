// loopsan's metrics in a program's own Prometheus endpoint.
//
//   auto loops = loopsan::MetricsCollectable();   // keep it: the exposer does not
//   exposer.RegisterCollectable(loops);
//
// Link loopsan::prometheus, and start the program with LOOPSAN=1: it then watches itself
// (loopsan::debug), and docs/metrics.md has the list of what is shown. Without LOOPSAN=1,
// and under `loopsan run`, whose own endpoint has them, there is nothing to collect.
#pragma once

#include <memory>

#include "prometheus/collectable.h"
#include "prometheus/metric_family.h"  // which the former only names

namespace loopsan {

// Threads: Collect() on any but a loop's, several at a time: it waits for a fresh look at the
// loops, for some milliseconds. A scrape costs the loops nothing.
std::shared_ptr<prometheus::Collectable> MetricsCollectable();

}  // namespace loopsan
