#include "reporters/run_metrics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "reporters/buckets.h"

namespace loopsan {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Key;
using ::testing::SizeIs;

class RunMetricsTest : public ::testing::Test {
 protected:
  static std::vector<double> Bounds() { return HistogramBounds(DefaultMetricsBuckets()); }

  // The loop of `process` in cell 0 has worked for a second more, in `turns` turns.
  void Measure(ProcessKey process, uint64_t turns, const std::string& thread = "server") {
    LoopMeasured measured{.process = process, .tid = 7, .thread_name = thread};
    measured.measure.busy = clock_.Ticks(1);
    measured.measure.turns = turns;
    measured.counts.steps.counts[3] = turns_[process] += turns;
    metrics_.Measured(measured);
  }

  MetricsSnapshot Snapshot(const std::set<RunMetrics::CellId>& unproven = {}) const {
    MetricsSnapshot snapshot;
    metrics_.FillSnapshot(snapshot, unproven);
    return snapshot;
  }

  static Finding Stall() {
    Finding finding;
    finding.rule = "stall";
    finding.level = "error";
    finding.cause = "cpu";
    return finding;
  }

  const TickClock clock_;
  RunMetrics metrics_{&clock_, Bounds(), false};
  std::map<ProcessKey, uint64_t> turns_;
};

TEST_F(RunMetricsTest, AddsEqualProcessesUpAndKeepsThoseThatEnded) {
  metrics_.Begin(1, 101, "/usr/sbin/nginx", "");
  metrics_.Begin(2, 102, "/usr/sbin/nginx", "nginx");
  Measure(1, 10);
  Measure(2, 20);
  const LoopLabels nginx{"nginx", "server", 0};
  ASSERT_THAT(Snapshot().loops, ElementsAre(Key(nginx)));
  EXPECT_EQ(Snapshot().loops[nginx].turns, 30u);
  EXPECT_EQ(Snapshot().loops[nginx].alive, 2u);
  metrics_.End(1, 0, true);
  metrics_.End(1);
  EXPECT_EQ(Snapshot().loops[nginx].turns, 30u);
  EXPECT_EQ(Snapshot().loops[nginx].alive, 1u);
  metrics_.Begin(3, 103, "/usr/sbin/nginx", "nginx");
  Measure(3, 5);
  const LoopTotals all = Snapshot().loops[nginx];
  EXPECT_EQ(all.turns, 35u);
  EXPECT_EQ(all.steps.counts[3], 35u);
  EXPECT_NEAR(all.busy_seconds, 3, 0.001);
}

TEST_F(RunMetricsTest, ForgetsLoopsThatWereNone) {
  metrics_.Begin(1, 101, "worker", "");
  Measure(1, 10);
  EXPECT_THAT(Snapshot({{1, 0}}).loops, IsEmpty());
  metrics_.End(1, 0, false);
  EXPECT_THAT(Snapshot().loops, IsEmpty());
}

TEST_F(RunMetricsTest, NamesProcessesAsTheyWereStarted) {
  metrics_.Begin(1, 101, "/usr/bin/redis-check-rdb", "/usr/bin/redis-server");
  Measure(1, 1);
  EXPECT_EQ(Snapshot().loops.begin()->first.process, "redis-server");
  EXPECT_EQ(metrics_.NameOf("/usr/bin/redis-check-rdb"), "redis-server");
  EXPECT_EQ(metrics_.NameOf("/somewhere/else"), "else");
}

TEST_F(RunMetricsTest, BoundsLabelsThatProgramsMakeUp) {
  for (ProcessKey process = 1; process <= 3 * RunMetrics::kMaxLabels; ++process) {
    metrics_.Begin(process, 1, "server", "");
    Measure(process, 1, "thread " + std::to_string(process));
    metrics_.End(process, 0, true);
    metrics_.End(process);
  }
  const MetricsSnapshot snapshot = Snapshot();
  EXPECT_LE(snapshot.loops.size(), RunMetrics::kMaxLabels + 1);
  uint64_t turns = 0;
  for (const auto& [labels, totals] : snapshot.loops) turns += totals.turns;
  EXPECT_EQ(turns, 3 * RunMetrics::kMaxLabels);
}

TEST_F(RunMetricsTest, KeepsHostileNamesShortAndPrintable) {
  metrics_.Begin(1, 101, "/tmp/" + std::string(5000, 'x') + "\n\"", "");
  Measure(1, 1, "a\x1b[31m\xff\"\\\n");
  const LoopLabels labels = Snapshot().loops.begin()->first;
  EXPECT_LE(labels.process.size(), 64u);
  for (const char c : labels.loop) {
    EXPECT_TRUE(c >= ' ' && c <= '~') << labels.loop;
  }
}

TEST_F(RunMetricsTest, CountsOnlyTheTimeOfCallsThatAreMeant) {
  metrics_.Begin(1, 101, "server", "");
  Measure(1, 1);
  Finding call = Stall();
  call.rule = "blocking-call";
  call.category = "sleep";
  metrics_.Found(1, 0, call, {.count = 2, .seconds = 0.5, .suppressed = true});
  metrics_.Found(1, 0, Stall(), {.count = 1, .seconds = 0.3, .is_stall = true});
  const LoopTotals totals = Snapshot().loops.begin()->second;
  EXPECT_EQ(totals.blocking.at("sleep").count, 2u);
  EXPECT_DOUBLE_EQ(totals.blocking.at("sleep").seconds, 0.5);
  EXPECT_DOUBLE_EQ(totals.inflicted_seconds, 0.3);
  ASSERT_THAT(totals.findings, SizeIs(1));
  EXPECT_EQ(totals.findings.begin()->first.rule, "stall");
  EXPECT_DOUBLE_EQ(totals.stalls.at("cpu").seconds, 0.3);
}

TEST_F(RunMetricsTest, SplitsByProcessIfAsked) {
  RunMetrics by_pid(&clock_, Bounds(), true);
  by_pid.Begin(1, 101, "nginx", "");
  by_pid.Begin(2, 102, "nginx", "");
  by_pid.Measured({.process = 1, .thread_name = "nginx"});
  by_pid.Measured({.process = 2, .thread_name = "nginx"});
  MetricsSnapshot snapshot;
  by_pid.FillSnapshot(snapshot, {});
  EXPECT_THAT(snapshot.loops, ElementsAre(Key(LoopLabels{"nginx", "nginx", 101}),
                                          Key(LoopLabels{"nginx", "nginx", 102})));
}

TEST_F(RunMetricsTest, KeepsTheQueuesOfExecutors) {
  metrics_.Begin(1, 101, "server", "");
  SegmentQueue queue{"pool", {}};
  queue.delays.counts[2] = 4;
  metrics_.Measured(QueuesMeasured{1, {queue}});
  queue.delays.counts[2] = 6;
  metrics_.Measured(QueuesMeasured{1, {queue}});
  const ExecutorLabels pool{"server", "pool"};
  EXPECT_EQ(Snapshot().executors[pool].counts[2], 6u);
  metrics_.End(1);
  EXPECT_EQ(Snapshot().executors[pool].counts[2], 6u);
}

TEST(HistogramBounds, HoldsWhatMetricsAskFor) {
  for (const std::vector<double>& asked :
       {DefaultMetricsBuckets(), std::vector<double>{0.003, 0.3}, std::vector<double>{}}) {
    const std::vector<double> bounds = HistogramBounds(asked);
    EXPECT_TRUE(std::is_sorted(bounds.begin(), bounds.end()));
    EXPECT_LT(bounds.size(), segment::kBuckets);
    for (const double one : asked) {
      EXPECT_TRUE(std::find(bounds.begin(), bounds.end(), one) != bounds.end()) << one;
    }
  }
}

}  // namespace
}  // namespace loopsan
