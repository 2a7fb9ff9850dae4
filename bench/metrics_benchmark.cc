// What a scrape costs: the metrics of 1,000 loops and 10,000 places as text. The loops
// themselves pay nothing for it: all of this happens in the collector.
#include <benchmark/benchmark.h>

#include <set>
#include <string>

#include "reporters/prometheus_metrics.h"
#include "reporters/run_metrics.h"

namespace loopsan {
namespace {

constexpr uint32_t kLoops = 1'000;
constexpr int kSites = 10'000;
constexpr uint32_t kLoopsOfAProcess = 50;

void Fill(RunMetrics& metrics) {
  for (uint32_t loop = 0; loop < kLoops; ++loop) {
    const ProcessKey process = 1 + loop / kLoopsOfAProcess;
    if (loop % kLoopsOfAProcess == 0) metrics.Begin(process, 1000, "server", "");
    LoopMeasured measured{.process = process,
                          .cell = loop % kLoopsOfAProcess,
                          .thread_name = "loop " + std::to_string(loop)};
    measured.measure.turns = 1;
    for (uint64_t& count : measured.counts.steps.counts) count = loop;
    measured.counts.wake_delays = measured.counts.steps;
    metrics.Measured(measured);
  }
}

void Scrape(benchmark::State& state) {
  const TickClock clock;
  RunMetrics metrics(&clock, HistogramBounds(DefaultMetricsBuckets()), false);
  Fill(metrics);
  std::vector<MetricSite> sites;
  for (int site = 0; site < kSites; ++site) {
    sites.push_back(
        {"server", std::to_string(site), "blocking-call", "Function", "file.cc:1", 1, 1});
  }
  size_t bytes = 0;
  for (auto _ : state) {
    MetricsSnapshot snapshot;
    metrics.FillSnapshot(snapshot, {});
    snapshot.sites = sites;
    bytes = MetricsText(MetricFamilies(snapshot, {})).size();
  }
  state.counters["bytes"] = static_cast<double>(bytes);
}
BENCHMARK(Scrape)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace loopsan
