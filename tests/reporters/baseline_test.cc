#include "reporters/baseline.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "tests/reporters/golden.h"
#include "tests/reporters/sample_report.h"
#include "tests/support/process.h"

namespace loopsan {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr char kFirst[] = "0000000000000001";
constexpr char kSecond[] = "0000000000000002";
constexpr char kThird[] = "0000000000000003";

Finding Of(const std::string& fingerprint, double max_seconds = 0.2) {
  Finding finding;
  finding.id = "F" + fingerprint.substr(15);
  finding.rule = "blocking-call";
  finding.level = "error";
  finding.call = "nanosleep";
  finding.cause = "blocking-call";
  finding.count = 1;
  finding.total_seconds = finding.max_seconds = max_seconds;
  finding.fingerprint = fingerprint;
  finding.stack = {{.function = "Handle()", .file = "/src/a.cc", .line = 7}};
  return finding;
}

Report Of(std::vector<Finding> findings) {
  Report report;
  report.threshold_seconds = 0.1;
  report.findings = std::move(findings);
  return report;
}

Baseline BaselineOf(const Report& report) {
  Baseline baseline;
  UpdateBaseline(report, "", /*prune=*/false, baseline);
  return baseline;
}

std::vector<std::string> FingerprintsOf(const Baseline& baseline) {
  std::vector<std::string> all;
  for (const BaselineEntry& entry : baseline.entries) all.push_back(entry.fingerprint);
  return all;
}

std::string Error(std::string_view text) {
  const absl::StatusOr<Baseline> baseline = ReadBaseline(text);
  EXPECT_FALSE(baseline.ok());
  return std::string(baseline.status().message());
}

TEST(WriteBaseline, WritesTheGoldenFile) {
  Baseline baseline = BaselineOf(SampleReport());
  baseline.entries[0].reason = "start-up; see the \"tracker\"";
  ExpectGolden("baseline.json", WriteBaseline(baseline));
}

TEST(WriteBaseline, WritesWhatReadBaselineReads) {
  const Baseline baseline = BaselineOf(SampleReport());
  const GermanNumbers german;
  const absl::StatusOr<Baseline> read = ReadBaseline(WriteBaseline(baseline));
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(read->entries, baseline.entries);
}

TEST(WriteBaseline, WritesTheSameBytesInWhateverOrderTheEntriesAre) {
  Baseline baseline = BaselineOf(SampleReport());
  const std::string text = WriteBaseline(baseline);
  std::reverse(baseline.entries.begin(), baseline.entries.end());
  EXPECT_EQ(WriteBaseline(baseline), text);
}

TEST(ReadBaseline, RefusesAMisspeltField) {
  EXPECT_THAT(Error(R"({"version": 1, "findings": [{"reson": "because"}]})"),
              HasSubstr("findings[0]: unknown field \"reson\"; the fields are fingerprint, rule"));
}

TEST(ReadBaseline, NamesWhatIsWrong) {
  EXPECT_THAT(Error("{"), HasSubstr("no baseline of loopsan: not JSON from line 1"));
  EXPECT_THAT(Error("{}"), HasSubstr("version: is missing; correct it, or make it anew"));
  EXPECT_THAT(Error(R"({"version": 2, "findings": []})"), HasSubstr("version: is 2, but this"));
  EXPECT_THAT(Error(R"({"version": 1, "findings": {}})"), HasSubstr("findings: expected an array"));
  EXPECT_THAT(Error(R"({"version": 1, "findings": [1]})"),
              HasSubstr("findings[0]: expected an object"));
}

TEST(ReadBaseline, RefusesAFingerprintThatIsThereTwice) {
  Baseline baseline = BaselineOf(Of({Of(kFirst)}));
  baseline.entries.push_back(baseline.entries[0]);
  EXPECT_THAT(Error(WriteBaseline(baseline)), HasSubstr("findings[1].fingerprint: is there twice"));
}

TEST(ReadBaselineFile, SaysHowToMakeAMissingOne) {
  const testing::TemporaryDirectory directory;
  const std::string path = directory / "b.json";
  EXPECT_THAT(std::string(ReadBaselineFile(path).status().message()),
              HasSubstr("loopsan baseline report.json --output=" + path));
  std::ofstream(path) << "[]";
  EXPECT_THAT(std::string(ReadBaselineFile(path).status().message()),
              HasSubstr(path + ": no base"));
}

TEST(CompareWithBaseline, TellsNewFromKnownAndFromStale) {
  const Baseline baseline = BaselineOf(Of({Of(kFirst), Of(kThird)}));
  Report report = Of({Of(kFirst), Of(kSecond)});
  const BaselineComparison comparison = CompareWithBaseline(report, baseline);
  EXPECT_EQ(comparison.known_findings, 1u);
  EXPECT_EQ(comparison.new_findings, 1u);
  EXPECT_EQ(report.findings[0].baseline_state, "unchanged");
  EXPECT_EQ(report.findings[1].baseline_state, "new");
  ASSERT_THAT(comparison.stale, SizeIs(1));
  EXPECT_EQ(comparison.stale[0].fingerprint, kThird);
  EXPECT_THAT(comparison.worse, IsEmpty());
}

TEST(CompareWithBaseline, DoesNotCallAFindingStaleThatIsOnAThreadThatMayBeNoLoop) {
  const Baseline baseline = BaselineOf(Of({Of(kFirst)}));
  Report report;
  report.unproven_findings = {Of(kFirst), Of(kSecond)};
  const BaselineComparison comparison = CompareWithBaseline(report, baseline);
  EXPECT_THAT(comparison.stale, IsEmpty());
  EXPECT_EQ(comparison.new_findings, 0u);
  EXPECT_EQ(comparison.known_findings, 0u);
}

TEST(CompareWithBaseline, DoesNotCountNotes) {
  Report report = Of({Of(kFirst)});
  report.findings[0].level = "note";
  EXPECT_EQ(CompareWithBaseline(report, {}).new_findings, 0u);
}

TEST(CompareWithBaseline, NoticesAKnownFindingThatGotMuchWorse) {
  const Baseline baseline = BaselineOf(Of({Of(kFirst, 0.2)}));
  Report report = Of({Of(kFirst, 0.5)});
  const BaselineComparison comparison = CompareWithBaseline(report, baseline);
  ASSERT_THAT(comparison.worse, SizeIs(1));
  EXPECT_EQ(comparison.worse[0].id, "F1");
  EXPECT_DOUBLE_EQ(comparison.worse[0].recorded_seconds, 0.2);
  report = Of({Of(kFirst, 0.39)});
  EXPECT_THAT(CompareWithBaseline(report, baseline).worse, IsEmpty());
}

TEST(IsMuchLonger, AsksForTwiceTheTimeAndMoreThanTheThreshold) {
  EXPECT_TRUE(IsMuchLonger(0.1, 0.3, 0.1));
  EXPECT_FALSE(IsMuchLonger(0.01, 0.05, 0.1));
  EXPECT_FALSE(IsMuchLonger(1, 1.5, 0.1));
}

TEST(UpdateBaseline, KeepsWhatAPersonWroteAndNumbersThatAreAboutRight) {
  Baseline baseline = BaselineOf(Of({Of(kFirst, 0.2)}));
  baseline.entries[0].reason = "start-up only";
  const BaselineUpdate update =
      UpdateBaseline(Of({Of(kFirst, 0.21), Of(kSecond)}), "", false, baseline);
  EXPECT_EQ(update.kept, 1u);
  EXPECT_EQ(update.added, 1u);
  EXPECT_EQ(update.changed, 0u);
  ASSERT_THAT(FingerprintsOf(baseline), ElementsAre(kFirst, kSecond));
  EXPECT_EQ(baseline.entries[0].reason, "start-up only");
  EXPECT_DOUBLE_EQ(baseline.entries[0].max_seconds, 0.2);
}

TEST(UpdateBaseline, RecordsTimesThatAreMuchLongerOrShorterAnew) {
  Baseline baseline = BaselineOf(Of({Of(kFirst, 0.2), Of(kSecond, 2)}));
  const BaselineUpdate update =
      UpdateBaseline(Of({Of(kFirst, 1), Of(kSecond, 0.2)}), "", false, baseline);
  EXPECT_EQ(update.changed, 2u);
  EXPECT_DOUBLE_EQ(baseline.entries[0].max_seconds, 1);
  EXPECT_DOUBLE_EQ(baseline.entries[1].max_seconds, 0.2);
}

TEST(UpdateBaseline, RemovesWhatWasNotSeenOnlyIfAskedTo) {
  Baseline baseline = BaselineOf(Of({Of(kFirst), Of(kSecond)}));
  EXPECT_EQ(UpdateBaseline(Of({Of(kSecond)}), "", /*prune=*/false, baseline).unseen, 1u);
  EXPECT_THAT(FingerprintsOf(baseline), ElementsAre(kFirst, kSecond));
  EXPECT_EQ(UpdateBaseline(Of({Of(kSecond)}), "", /*prune=*/true, baseline).unseen, 1u);
  EXPECT_THAT(FingerprintsOf(baseline), ElementsAre(kSecond));
}

TEST(UpdateBaseline, RecordsNeitherNotesNorWhatMayBeNoLoop) {
  Report report = Of({Of(kFirst)});
  report.findings[0].level = "note";
  report.unproven_findings = {Of(kSecond)};
  EXPECT_THAT(BaselineOf(report).entries, IsEmpty());
}

TEST(UpdateBaseline, MakesOneEntryOfTwoFindingsWithOneFingerprint) {
  const Baseline baseline = BaselineOf(Of({Of(kFirst, 0.2), Of(kFirst, 0.3)}));
  ASSERT_THAT(baseline.entries, SizeIs(1));
  EXPECT_EQ(baseline.entries[0].count, 2u);
  EXPECT_DOUBLE_EQ(baseline.entries[0].max_seconds, 0.3);
}

TEST(UpdateBaseline, NamesFilesBelowTheRootRelativeToIt) {
  const auto file_with = [](std::string_view root) {
    Baseline baseline;
    UpdateBaseline(Of({Of(kFirst)}), root, false, baseline);
    return baseline.entries[0].file;
  };
  EXPECT_EQ(file_with("/src"), "a.cc");
  EXPECT_EQ(file_with("/src/"), "a.cc");
  EXPECT_EQ(file_with("/sr"), "/src/a.cc");
  EXPECT_EQ(file_with(""), "/src/a.cc");
}

}  // namespace
}  // namespace loopsan
