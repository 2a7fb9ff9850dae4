#include "reporters/gate.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

#include "tests/reporters/sample_report.h"

namespace loopsan {
namespace {

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;

Finding Of(const std::string& id, const std::string& level, double max_seconds = 0.3) {
  Finding finding;
  finding.id = id;
  finding.rule = "blocking-call";
  finding.level = level;
  finding.call = "nanosleep";
  finding.cause = "blocking-call";
  finding.message = "nanosleep blocked the loop";
  finding.total_seconds = 2 * max_seconds;
  finding.max_seconds = max_seconds;
  finding.fingerprint = "000000000000000" + id.substr(1, 1);
  finding.stack = {{.function = "Handle()", .file = "/src/a.cc", .line = 7}};
  return finding;
}

Report Of(std::vector<Finding> findings) {
  Report report;
  report.threshold_seconds = 0.1;
  report.processes = {{.loops = {{.longest_step_seconds = 0.4, .p99_step_seconds = 0.01}}}};
  report.findings = std::move(findings);
  return report;
}

GateVerdict Judge(const Report& report, const GateSettings& settings) {
  return JudgeGate(report, nullptr, settings);
}

GateVerdict JudgeBudget(const Report& report, std::string_view text) {
  Budgets budgets;
  const absl::Status status = ParseBudget(text, budgets);
  EXPECT_TRUE(status.ok()) << status;
  return Judge(report, {.fail_on = FailOn::kNone, .budgets = budgets});
}

TEST(JudgeGate, PassesAReportWithoutFindings) {
  const GateVerdict verdict = Judge(Of(std::vector<Finding>()), {});
  EXPECT_FALSE(verdict.failed());
  EXPECT_THAT(verdict.notes, IsEmpty());
}

TEST(JudgeGate, FailsOnEachFindingWithoutABaseline) {
  const GateVerdict verdict = Judge(Of({Of("F1", "error"), Of("F2", "warning")}), {});
  EXPECT_THAT(
      verdict.failures,
      ElementsAre("F1 new error: nanosleep blocked the loop\n      at /src/a.cc:7 in Handle()",
                  HasSubstr("F2 new warning")));
  EXPECT_EQ(
      verdict.advice,
      "fix it, or record it: loopsan run --json=report.json, then loopsan baseline report.json");
}

TEST(JudgeGate, NeverFailsOnNotes) {
  for (const FailOn fail_on : {FailOn::kNew, FailOn::kError, FailOn::kWarning}) {
    EXPECT_FALSE(Judge(Of({Of("F1", "note")}), {.fail_on = fail_on}).failed());
  }
}

TEST(JudgeGate, FailsOnLevelsWhateverTheBaselineKnows) {
  Report report = Of({Of("F1", "warning")});
  report.findings[0].baseline_state = "unchanged";
  EXPECT_FALSE(Judge(report, {.fail_on = FailOn::kNew}).failed());
  EXPECT_FALSE(Judge(report, {.fail_on = FailOn::kError}).failed());
  EXPECT_TRUE(Judge(report, {.fail_on = FailOn::kWarning}).failed());
  EXPECT_FALSE(Judge(report, {.fail_on = FailOn::kNone}).failed());
}

TEST(JudgeGate, LeavesItToTheBaselineWhatFailsByDefault) {
  Report report = Of({Of("F1", "error")});
  EXPECT_FALSE(GateIsOn({.fail_on = FailOn::kAuto}, false));
  EXPECT_TRUE(GateIsOn({.fail_on = FailOn::kAuto}, true));
  EXPECT_FALSE(Judge(report, {.fail_on = FailOn::kAuto}).failed());
  const BaselineComparison comparison = CompareWithBaseline(report, {});
  EXPECT_TRUE(JudgeGate(report, &comparison, {.fail_on = FailOn::kAuto}).failed());
}

TEST(JudgeGate, SaysHowToRecordWhatIsNew) {
  Report report = Of({Of("F1", "error")});
  const BaselineComparison comparison = CompareWithBaseline(report, {});
  EXPECT_EQ(
      JudgeGate(report, &comparison, {.baseline_file = "b.json", .report_file = "r.json"}).advice,
      "fix it, or record it: loopsan baseline r.json --output=b.json");
}

TEST(JudgeGate, TellsThatAKnownFindingIsWorseButDoesNotFail) {
  Report report = Of({Of("F1", "error", 0.5)});
  Baseline baseline;
  UpdateBaseline(Of({Of("F1", "error", 0.2)}), "", false, baseline);
  const BaselineComparison comparison = CompareWithBaseline(report, baseline);
  const GateVerdict verdict = JudgeGate(report, &comparison, {});
  EXPECT_FALSE(verdict.failed());
  EXPECT_THAT(verdict.notes,
              ElementsAre(HasSubstr("worse than the baseline, where it took 0.200 s")));
  const GateVerdict with_budget =
      JudgeGate(report, &comparison, {.budgets = {.worst_stall_seconds = 0.4}});
  EXPECT_TRUE(with_budget.failed());
}

TEST(JudgeGate, TellsThatTheBaselineCanShrink) {
  Report report = Of(std::vector<Finding>());
  Baseline baseline;
  UpdateBaseline(Of({Of("F1", "error")}), "", false, baseline);
  const BaselineComparison comparison = CompareWithBaseline(report, baseline);
  const GateVerdict verdict = JudgeGate(report, &comparison, {.report_file = "r.json"});
  EXPECT_FALSE(verdict.failed());
  EXPECT_THAT(verdict.notes, Contains(AllOf(HasSubstr("not seen any more: blocking-call nanosleep"),
                                            HasSubstr("/src/a.cc"))));
  EXPECT_THAT(verdict.notes, Contains(HasSubstr("loopsan baseline r.json "
                                                "--output=loopsan-baseline.json --prune")));
}

TEST(JudgeGate, CountsWhatWasNotSeenIfNamesAreNotWanted) {
  Report report = Of(std::vector<Finding>());
  Baseline baseline;
  UpdateBaseline(Of({Of("F1", "error"), Of("F2", "error")}), "", false, baseline);
  const BaselineComparison comparison = CompareWithBaseline(report, baseline);
  EXPECT_THAT(JudgeGate(report, &comparison, {.names_unseen = false}).notes,
              ElementsAre("2 findings of the baseline not seen in this run"));
}

TEST(JudgeGate, KnowsNoCleanBillWithoutALoop) {
  EXPECT_THAT(Judge(Report(), {}).notes, ElementsAre(HasSubstr("no event loop was seen")));
}

TEST(JudgeGate, HoldsEachBudgetThatIsKept) {
  const Report report = Of({Of("F1", "error", 0.3), Of("F2", "note", 9)});
  for (std::string_view budget : {"worst-stall=300ms", "blocked-total=600ms", "longest-step=400ms",
                                  "p99-step=10ms", "findings=1"}) {
    EXPECT_FALSE(JudgeBudget(report, budget).failed()) << budget;
  }
}

TEST(JudgeGate, FailsOnEachBudgetThatIsExceeded) {
  const Report report = Of({Of("F1", "error", 0.3)});
  EXPECT_THAT(
      JudgeBudget(report, "worst-stall=299ms").failures,
      ElementsAre("budget worst-stall exceeded: 0.300 s where 0.299 s is allowed; F1 error: "
                  "nanosleep blocked the loop\n      at /src/a.cc:7 in Handle()"));
  EXPECT_THAT(JudgeBudget(report, "blocked-total=599ms").failures,
              ElementsAre("budget blocked-total exceeded: 0.600 s where 0.599 s is allowed"));
  EXPECT_THAT(JudgeBudget(report, "longest-step=399ms").failures,
              ElementsAre("budget longest-step exceeded: 0.400 s where 0.399 s is allowed"));
  EXPECT_THAT(JudgeBudget(report, "p99-step=9ms").failures,
              ElementsAre("budget p99-step exceeded: 10.0 ms where 9.00 ms is allowed (at least so "
                          "long)"));
  EXPECT_THAT(JudgeBudget(report, "findings=0").failures,
              ElementsAre("budget findings exceeded: 1 where 0 are allowed"));
}

TEST(JudgeGate, DoesNotMeasureLoopsThatMayBeNone) {
  Report report = Of(std::vector<Finding>());
  report.processes[0].loops[0].proven = false;
  EXPECT_FALSE(JudgeBudget(report, "longest-step=1ms").failed());
}

TEST(JudgeGate, TakesTimesThatAreNoNumbersForNone) {
  Report report = Of({Of("F1", "error", std::numeric_limits<double>::quiet_NaN())});
  report.processes[0].loops[0].longest_step_seconds = std::numeric_limits<double>::quiet_NaN();
  for (std::string_view budget : {"worst-stall=1us", "blocked-total=1us", "longest-step=1us"}) {
    EXPECT_FALSE(JudgeBudget(report, budget).failed()) << budget;
  }
}

TEST(JudgeGate, ListsTenFindingsAndCountsTheRest) {
  Report report = Of(std::vector<Finding>(10'000, Of("F1", "error")));
  const GateVerdict verdict = Judge(report, {});
  ASSERT_THAT(verdict.failures, SizeIs(11));
  EXPECT_EQ(verdict.failures.back(), "and 9990 more like these");
}

TEST(GateText, TellsWhyInLines) {
  Report report = Of({Of("F1", "error")});
  const GateVerdict failed = Judge(report, {.report_file = "r.json"});
  EXPECT_EQ(GateText(report, failed),
            "loopsan: the gate failed\n"
            "  - F1 new error: nanosleep blocked the loop\n"
            "      at /src/a.cc:7 in Handle()\n"
            "  fix it, or record it: loopsan baseline r.json\n");
  report.findings[0].baseline_state = "unchanged";
  EXPECT_EQ(GateText(report, Judge(report, {})),
            "loopsan: the gate is passed: 1 finding of the baseline\n");
  report = Of(std::vector<Finding>());
  EXPECT_EQ(GateText(report, Judge(report, {})), "loopsan: the gate is passed: no findings\n");
}

TEST(GateText, ShowsHostileTextAsText) {
  const Report report = SampleReport();
  const std::string text = GateText(report, Judge(report, {}));
  EXPECT_THAT(text,
              AllOf(HasSubstr("F2 new warning"), Not(HasSubstr("\033")), Not(HasSubstr("\xff"))));
}

}  // namespace
}  // namespace loopsan
