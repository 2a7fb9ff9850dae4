#include "reporters/diff.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/reporters/sample_report.h"

namespace loopsan {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;

Finding Of(const std::string& fingerprint, double max_seconds = 0.2) {
  Finding finding;
  finding.id = "F1";
  finding.level = "error";
  finding.cause = "cpu";
  finding.message = "a step held the loop";
  finding.fingerprint = fingerprint;
  finding.max_seconds = max_seconds;
  finding.stack = {{.function = "Handle()", .file = "a.cc", .line = 7}};
  return finding;
}

Report Of(std::vector<Finding> findings) {
  Report report;
  report.threshold_seconds = 0.1;
  report.findings = std::move(findings);
  return report;
}

TEST(DiffReports, FindsNothingInTheSameReport) {
  const ReportDiff diff = DiffReports(SampleReport(), SampleReport());
  EXPECT_TRUE(diff.empty());
  EXPECT_EQ(DiffText(diff), "loopsan: no difference\n");
}

TEST(DiffReports, TellsWhatIsNewAndWhatIsGone) {
  const ReportDiff diff = DiffReports(Of({Of("a"), Of("b")}), Of({Of("b"), Of("c")}));
  ASSERT_THAT(diff.added, SizeIs(1));
  EXPECT_EQ(diff.added[0].fingerprint, "c");
  ASSERT_THAT(diff.gone, SizeIs(1));
  EXPECT_EQ(diff.gone[0].fingerprint, "a");
  EXPECT_EQ(DiffText(diff),
            "loopsan: 1 new, 1 gone, 0 worse, 0 better\n"
            "  new    F1 error: a step held the loop\n"
            "          at a.cc:7 in Handle()\n"
            "  gone   F1 error: a step held the loop\n"
            "          at a.cc:7 in Handle()\n");
}

TEST(DiffReports, TellsWhatIsWorseAndWhatIsBetter) {
  const ReportDiff diff =
      DiffReports(Of({Of("a", 0.2), Of("b", 1)}), Of({Of("a", 0.9), Of("b", 0.2)}));
  ASSERT_THAT(diff.worse, SizeIs(1));
  EXPECT_EQ(diff.worse[0].after.fingerprint, "a");
  ASSERT_THAT(diff.better, SizeIs(1));
  EXPECT_THAT(DiffText(diff), AllOf(HasSubstr("worse  0.200 s -> 0.900 s at worst: F1 error"),
                                    HasSubstr("better 1.00 s -> 0.200 s at worst: F1 error")));
}

TEST(DiffReports, OverlooksWhatMayBeChance) {
  EXPECT_TRUE(DiffReports(Of({Of("a", 0.2)}), Of({Of("a", 0.29)})).empty());
  EXPECT_TRUE(DiffReports(Of({Of("a", 0.01)}), Of({Of("a", 0.09)})).empty());
}

TEST(DiffReports, OverlooksNotesAndThreadsThatMayBeNoLoop) {
  Report before = Of({Of("a"), Of("b")});
  before.findings[1].level = "note";
  Report after;
  after.unproven_findings = {Of("a"), Of("c")};
  EXPECT_TRUE(DiffReports(before, after).empty());
  EXPECT_TRUE(DiffReports(after, before).empty());
}

TEST(DiffReports, TellsAPlaceOnceAlthoughItHasTwoFindings) {
  EXPECT_THAT(DiffReports({}, Of({Of("a"), Of("a", 0.3)})).added, SizeIs(1));
  EXPECT_THAT(DiffReports(Of({Of("a", 0.9), Of("a")}), Of({Of("a", 0.9)})).better, IsEmpty());
}

TEST(DiffText, ShowsHostileTextAsText) {
  const std::string text = DiffText(DiffReports({}, SampleReport()));
  EXPECT_THAT(text, AllOf(HasSubstr("F2 warning"), Not(HasSubstr("\033")), Not(HasSubstr("\xff"))));
}

}  // namespace
}  // namespace loopsan
