#include "reporters/prometheus_metrics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>
#include <sstream>

#include "prometheus/text_serializer.h"
#include "reporters/buckets.h"
#include "reporters/metrics_text.h"
#include "tests/reporters/golden.h"

namespace loopsan {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

DurationCounts Durations(std::initializer_list<std::pair<size_t, uint64_t>> counts,
                         double seconds) {
  DurationCounts result;
  for (const auto& [bucket, count] : counts) result.counts[bucket] = count;
  result.seconds = seconds;
  return result;
}

MetricsSnapshot SampleSnapshot() {
  MetricsSnapshot snapshot;
  snapshot.buckets = DefaultMetricsBuckets();
  snapshot.bounds = HistogramBounds(snapshot.buckets);
  snapshot.named_sites = 20;
  LoopTotals& loop = snapshot.loops[{"server", "main", 0}];
  loop.alive = 1;
  loop.busy_seconds = 1.5;
  loop.idle_seconds = 8.5;
  loop.cpu_seconds = 1.25;
  loop.turns = 1000;
  // 1 us, 100 us, 50 ms, more than any bound.
  loop.steps = Durations({{0, 990}, {6, 7}, {14, 2}, {segment::kBuckets - 1, 1}}, 1.5);
  loop.blocking["sleep"] = {2, 0.1};
  loop.stalls["blocking-call"] = Durations({{15, 1}}, 0.1);
  loop.findings[{"blocking-call", "blocking-call"}] = 2;
  loop.findings[{"never-awaited", ""}] = 3;
  loop.inflicted_seconds = 0.1;
  loop.probe_seconds = 0.0001;
  snapshot.executors[{"server", "pool"}] = Durations({{4, 5}}, 0.00015);
  snapshot.sites = {{"server", "0123456789abcdef", "blocking-call", "Pause", "server.cc:7", 2, 0.1},
                    {"server", "fedcba9876543210", "stall", "Count", "", 1, 0.05}};
  snapshot.tasks[{"server", "main", 0}] = {1, 0, 12};
  snapshot.capabilities = {{.name = "signal to a running thread", .available = true}};
  snapshot.dropped.events = 4;
  snapshot.processes_started = 2;
  snapshot.collector_cpu_seconds = 0.5;
  return snapshot;
}

std::string TextOf(const MetricsSnapshot& snapshot) {
  return MetricsText(MetricFamilies(snapshot));
}

// Few buckets and one named site: short enough to be read.
MetricsSnapshot ShortSnapshot() {
  MetricsSnapshot snapshot = SampleSnapshot();
  snapshot.buckets = {0.001, 0.1, 1};
  snapshot.named_sites = 1;
  return snapshot;
}

std::vector<std::string> LinesWith(const std::string& text, const std::string& start) {
  std::vector<std::string> lines;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) {
    if (line.starts_with(start)) lines.push_back(line);
  }
  return lines;
}

TEST(PrometheusMetrics, IsTheGoldenText) {
  std::string text = TextOf(ShortSnapshot());
  const std::string version = "version=\"" LOOPSAN_VERSION "\"";
  text.replace(text.find(version), version.size(), "version=\"1.2.3\"");
  ExpectGolden("metrics.prom", text);
}

// The number behind the last space, and what stands before it.
std::map<std::string, double> SamplesOf(const std::string& text) {
  std::map<std::string, double> samples;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) {
    const size_t space = line.rfind(' ');
    samples[line.substr(0, space)] = line.starts_with('#') ? 0 : std::stod(line.substr(space + 1));
  }
  return samples;
}

TEST(PrometheusMetrics, AreWhatTheLibraryWrites) {
  MetricsSnapshot snapshot = SampleSnapshot();
  snapshot.loops[{"a\"b\\c\nd", "", 42}] = snapshot.loops.begin()->second;
  snapshot.loops[{"a\"b\\c\nd", "loop", 42}].busy_seconds = std::nan("");
  const auto families = MetricFamilies(snapshot);
  const auto ours = SamplesOf(MetricsText(families));
  const auto theirs = SamplesOf(prometheus::TextSerializer().Serialize(families));
  ASSERT_EQ(ours.size(), theirs.size());
  auto their = theirs.begin();
  for (const auto& [name, value] : ours) {
    EXPECT_EQ(name, their->first);
    const bool both_are_none = std::isnan(value) && std::isnan(their->second);
    EXPECT_TRUE(both_are_none || value == their->second) << name << ": " << value;
    ++their;
  }
}

TEST(PrometheusMetrics, CumulatesBuckets) {
  const std::string text = TextOf(ShortSnapshot());
  EXPECT_THAT(LinesWith(text, "loopsan_step_seconds_bucket"),
              ElementsAre(HasSubstr("le=\"0.001\"} 997"), HasSubstr("le=\"0.1\"} 999"),
                          HasSubstr("le=\"1\"} 999"), HasSubstr("le=\"+Inf\"} 1000")));
}

TEST(PrometheusMetrics, NamesOnlySoManySites) {
  MetricsSnapshot snapshot = SampleSnapshot();
  snapshot.sites.clear();
  for (int i = 0; i < 100'000; ++i) {
    snapshot.sites.push_back(
        {"server", std::to_string(i), "stall", "f", "a.cc:1", 1, 1000.0 / (i + 1)});
  }
  snapshot.named_sites = 5;
  const std::string text = TextOf(snapshot);
  EXPECT_EQ(LinesWith(text, "loopsan_site_blocked_seconds_total{").size(), 5u);
  EXPECT_EQ(LinesWith(text, "loopsan_site_blocks_total{").size(), 5u);
  EXPECT_THAT(text, HasSubstr("loopsan_other_sites_blocks 99995\n"));
}

TEST(PrometheusMetrics, GivesNoSeriesTwice) {
  std::set<std::string> seen;
  std::istringstream stream(TextOf(SampleSnapshot()));
  for (std::string line; std::getline(stream, line);) {
    if (line.starts_with('#')) continue;
    EXPECT_TRUE(seen.insert(line.substr(0, line.rfind(' '))).second) << line;
  }
  EXPECT_GT(seen.size(), 100u);
}

TEST(PrometheusMetrics, EscapesLabels) {
  MetricsSnapshot snapshot = SampleSnapshot();
  snapshot.loops.clear();
  snapshot.loops[{"a\"b\\c\nd", "main", 0}].turns = 1;
  const std::string text = TextOf(snapshot);
  EXPECT_THAT(text, HasSubstr(R"(loopsan_turns_total{process="a\"b\\c\nd",loop="main"} 1)"));
}

TEST(PrometheusMetrics, HaveABoundForEachLoop) {
  MetricsSnapshot one = SampleSnapshot();
  MetricsSnapshot many = one;
  const auto lines = [](const MetricsSnapshot& snapshot) {
    const std::string text = TextOf(snapshot);
    return std::count(text.begin(), text.end(), '\n');
  };
  LoopTotals everything = one.loops.begin()->second;
  everything.wake_delays = everything.lock_waits = everything.steps;
  for (const char* cause :
       {"blocking-call", "lock", "cpu", "page-fault", "descheduled", "stopped", "unknown"}) {
    everything.stalls[cause] = Durations({{15, 1}}, 0.1);
  }
  many.loops[{"server", "another", 0}] = everything;
  // docs/metrics.md promises this number.
  EXPECT_LE(lines(many) - lines(one), 260);
}

TEST(PrometheusMetrics, OfNothingIsLittleAndValid) {
  const std::string text = TextOf({});
  EXPECT_THAT(text, HasSubstr("loopsan_build_info{"));
  EXPECT_THAT(text, Not(HasSubstr("nan")));
}

}  // namespace
}  // namespace loopsan
