#include "reporters/merge.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <random>
#include <sstream>

#include "reporters/json_reader.h"
#include "reporters/reporter.h"
#include "tests/reporters/sample_report.h"

namespace loopsan {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

std::string Write(const Report& report) {
  std::ostringstream out;
  WriteJson(report, {}, out);
  return out.str();
}

// As a file gives it: without NaN and infinity.
Report Sample() { return *ReadJsonReport(Write(SampleReport())); }

// What one process of a test run found. The places are met by several processes; the
// one that is met in process 40 took longest there.
Finding FindingOf(int process, int place) {
  Finding finding = Sample().findings[0];
  finding.fingerprint = "00000000000000" + std::to_string(10 + place);
  finding.pid = process;
  finding.count = 1 + process % 3;
  finding.max_seconds = 0.1 + 0.001 * ((process * 7 + place) % 50) + (process == 40 ? 1 : 0);
  finding.total_seconds = finding.max_seconds + 0.05;
  finding.message = "";
  return finding;
}

// The shard of a run in which the processes from `begin` to before `end` ran.
Report ShardOf(int begin, int end) {
  Report report = Sample();
  report.findings.clear();
  report.unproven_findings.clear();
  report.processes.clear();
  report.command = {"./tests"};
  report.processes_started = end - begin;
  report.duration_seconds = 0.25 * (end - begin);
  for (Capability& capability : report.capabilities) capability.used = end - begin;
  report.dropped = {.events = static_cast<uint64_t>(end - begin)};
  report.warnings = {"the machine was busy"};
  report.suppressed = {{.entry = "stall:Compact",
                        .reason = "nightly",
                        .file = "a.supp",
                        .line = 3,
                        .findings = static_cast<uint64_t>(end - begin),
                        .count = static_cast<uint64_t>(end - begin),
                        .total_seconds = 0.25 * (end - begin),
                        .max_seconds = 0.25}};
  report.suppression_remarks.clear();
  report.timeline = {};
  std::map<int, Finding> findings;
  for (int process = begin; process < end; ++process) {
    report.processes.push_back(
        {.pid = process, .executable = "/bin/tests", .loops = {{.turns = 5}}});
    report.processes.back().loops[0].kind = "epoll";
    report.timeline.loops.push_back(
        {.pid = process, .intervals = {{.duration_seconds = 0.1, .turns = 5}}});
    for (int place : {process % 7, 7 + process % 3}) {
      const Finding one = FindingOf(process, place);
      const auto [it, inserted] = findings.try_emplace(place, one);
      if (inserted) continue;
      Finding worst = one.max_seconds > it->second.max_seconds ? one : it->second;
      worst.count = one.count + it->second.count;
      worst.total_seconds = one.total_seconds + it->second.total_seconds;
      it->second = worst;
    }
  }
  for (const auto& [place, finding] : findings) report.findings.push_back(finding);
  return report;
}

TEST(MergeReports, MakesOfFiftyShardsTheReportOfEverything) {
  std::vector<Report> shards;
  for (int i = 0; i < 50; ++i) shards.push_back(ShardOf(i * 4, i * 4 + 4));
  // Alone it is ranked and sorted as merged reports are.
  const Report everything = MergeReports({ShardOf(0, 200)});
  Report merged = MergeReports(shards);
  EXPECT_THAT(merged.findings, SizeIs(10));
  // In one report every message was worded by the run itself.
  for (Finding& finding : merged.findings) finding.message = "";
  EXPECT_EQ(Write(merged), Write(everything));
}

TEST(MergeReports, DoesNotDependOnTheOrderOrTheGrouping) {
  std::vector<Report> shards = {Sample(), Sample()};
  for (int i = 0; i < 6; ++i) shards.push_back(ShardOf(i * 5, i * 5 + 5));
  shards[1].findings[1].level = "error";
  shards[1].findings[1].baseline_state = "new";
  shards[1].unproven_findings[0].detail = "fd 10 -> /var/lib/y";
  shards[1].findings.push_back(shards[1].unproven_findings[0]);
  shards[1].exit_code = 138;
  const std::string expected = Write(MergeReports(shards));
  std::mt19937 random(5);
  for (int round = 0; round < 20; ++round) {
    std::shuffle(shards.begin(), shards.end(), random);
    EXPECT_EQ(Write(MergeReports(shards)), expected);
    const auto middle = shards.begin() + 1 + static_cast<int>(random() % (shards.size() - 1));
    const Report left = MergeReports({shards.begin(), middle});
    const Report right = MergeReports({middle, shards.end()});
    // Also by way of the file.
    EXPECT_EQ(Write(MergeReports({*ReadJsonReport(Write(left)), right})), expected);
  }
}

TEST(MergeReports, KeepsSpansWithTheirFindings) {
  Report first = ShardOf(0, 1);
  first.findings = {FindingOf(1, 1), FindingOf(1, 2)};
  first.findings[0].id = "F1";
  first.findings[1].id = "F2";
  first.timeline.loops[0].spans = {{.kind = "stall", .duration_seconds = 1, .finding_id = "F2"}};
  Report second = ShardOf(1, 2);
  second.findings = {FindingOf(40, 2)};
  second.findings[0].id = "F1";
  second.timeline.loops[0].spans = {{.kind = "stall", .duration_seconds = 1, .finding_id = "F1"}};
  const Report merged = MergeReports({first, second});
  ASSERT_THAT(merged.findings, SizeIs(2));
  EXPECT_EQ(merged.findings[0].fingerprint, second.findings[0].fingerprint);
  ASSERT_THAT(merged.timeline.loops, SizeIs(2));
  for (const LoopTimeline& loop : merged.timeline.loops) {
    EXPECT_EQ(loop.spans.at(0).finding_id, "F1") << loop.pid;
  }
}

TEST(MergeReports, TellsAnEntryUnusedOnlyIfNoShardUsedIt) {
  Report used = ShardOf(0, 1);
  Report unused = ShardOf(1, 2);
  unused.suppressed.clear();
  unused.suppression_remarks = {
      {.level = "note", .message = "unused", .entry = "stall:Compact", .file = "a.supp", .line = 3},
      {.level = "note", .message = "unused", .entry = "stall:X", .file = "a.supp", .line = 4}};
  const Report merged = MergeReports({unused, used, unused});
  ASSERT_THAT(merged.suppression_remarks, SizeIs(1));
  EXPECT_EQ(merged.suppression_remarks[0].entry, "stall:X");
  ASSERT_THAT(merged.suppressed, SizeIs(1));
  EXPECT_EQ(merged.suppressed[0].count, 1u);
}

TEST(MergeReports, TellsNoBuildIdOfAPathWithTwo) {
  Report first = ShardOf(0, 1);
  Report second = ShardOf(1, 2);
  first.modules = {{"/bin/tests", "aa"}, {"/lib/a.so", "bb"}};
  second.modules = {{"/bin/tests", "aa"}, {"/lib/a.so", "cc"}};
  const Report merged = MergeReports({first, second});
  ASSERT_THAT(merged.modules, SizeIs(2));
  EXPECT_EQ(merged.modules[0].build_id, "aa");
  EXPECT_EQ(merged.modules[1].build_id, "");
}

TEST(MergeReports, AddsAndTakesTheWorst) {
  Report first = ShardOf(0, 1);
  Report second = ShardOf(40, 41);
  first.findings = {FindingOf(1, 1)};
  second.findings = {FindingOf(40, 1)};
  second.findings[0].level = "warning";
  const Report merged = MergeReports({first, second});
  ASSERT_THAT(merged.findings, SizeIs(1));
  const Finding& finding = merged.findings[0];
  EXPECT_EQ(finding.count, first.findings[0].count + second.findings[0].count);
  EXPECT_EQ(finding.max_seconds, second.findings[0].max_seconds);
  EXPECT_EQ(finding.pid, 40);
  EXPECT_EQ(finding.level, "error");
  EXPECT_THAT(finding.message, HasSubstr(FormatSeconds(finding.total_seconds) + " in all"));
  EXPECT_EQ(merged.processes_started, 2u);
  EXPECT_DOUBLE_EQ(merged.duration_seconds, 0.5);
  EXPECT_EQ(merged.dropped.events, 2u);
  EXPECT_EQ(merged.capabilities[0].used, 2u);
  EXPECT_THAT(merged.warnings, ElementsAre("the machine was busy"));
  EXPECT_THAT(merged.command, ElementsAre("./tests"));
}

TEST(MergeReports, BelievesTheReportInWhichTheLoopWasProven) {
  Report first;
  first.unproven_findings = {FindingOf(1, 1)};
  Report second;
  second.findings = {FindingOf(2, 1)};
  const Report merged = MergeReports({first, second});
  EXPECT_THAT(merged.findings, SizeIs(1));
  EXPECT_THAT(merged.unproven_findings, IsEmpty());
}

TEST(MergeReports, SaysThatThereWereSeveralCommands) {
  Report first, second;
  first.command = {"./a"};
  second.command = {"./b"};
  EXPECT_THAT(MergeReports({first, second}).command, ElementsAre("(several commands)"));
}

TEST(MergeReports, LosesAWayToAStackThatOneMachineForbids) {
  Report first = Sample();
  Report second = Sample();
  first.capabilities[1].available = true;
  first.capabilities[1].reason = "";
  const Report merged = MergeReports({first, second});
  ASSERT_EQ(merged.capabilities[1].name, second.capabilities[1].name);
  EXPECT_FALSE(merged.capabilities[1].available);
  EXPECT_EQ(merged.capabilities[1].reason, second.capabilities[1].reason);
}

TEST(MergeReports, DoesNotOverflow) {
  Report report = Sample();
  report.findings[0].count = std::numeric_limits<uint64_t>::max();
  report.findings[0].total_seconds = 1e9;
  const Report merged = MergeReports({report, report});
  EXPECT_EQ(merged.findings[0].count, std::numeric_limits<uint64_t>::max());
  EXPECT_EQ(merged.findings[0].total_seconds, 1e9);
  EXPECT_TRUE(ReadJsonReport(Write(merged)).ok());
}

TEST(MergeReports, MakesNothingOfNothing) { EXPECT_EQ(Write(MergeReports({})), Write(Report())); }

}  // namespace
}  // namespace loopsan
