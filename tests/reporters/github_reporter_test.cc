#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sstream>

#include "tests/reporters/format_report.h"
#include "tests/reporters/sample_report.h"

namespace loopsan {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

std::vector<std::string> Lines(const Report& report) {
  std::istringstream text(WriteAs("github", report, {.source_root = "/srv"}));
  std::vector<std::string> lines;
  for (std::string line; std::getline(text, line);) lines.push_back(line);
  return lines;
}

TEST(Github, AnnotatesTheLine) {
  EXPECT_THAT(Lines(SleepReport()),
              testing::ElementsAre(
                  "::error file=src/serve.cc,line=12,endLine=12,title=loopsan blocking-call::"
                  "nanosleep blocked the event loop for 0.500 s in app::Serve()%0A"
                  "2 times, 0.500 s in total, 0.300 s at worst%0Ainstead: await a timer"));
}

TEST(Github, TakesNoCommandFromTheProgram) {
  for (const std::string& line : Lines(HostileReport())) {
    EXPECT_THAT(line, testing::AnyOf(StartsWith("::error "), StartsWith("::warning "),
                                     StartsWith("::notice ")));
  }
}

TEST(Github, EscapesWhatEndsAProperty) {
  Report report = SleepReport();
  report.findings[0].stack[0].file = "/srv/a,b:c%d::.cc";
  report.findings[0].message = "100%: a, b";
  EXPECT_THAT(Lines(report)[0], StartsWith("::error file=a%2Cb%3Ac%25d%3A%3A.cc,line=12,"));
  EXPECT_THAT(Lines(report)[0], HasSubstr("::100%25: a, b%0A"));
}

TEST(Github, AnnotatesTheTenWorstOfEachLevel) {
  Report report = LargeReport();
  for (size_t i = 0; i < report.findings.size(); i += 2) report.findings[i].level = "warning";
  const std::vector<std::string> lines = Lines(report);
  EXPECT_EQ(lines.size(), 21u);
  EXPECT_EQ(std::count_if(lines.begin(), lines.end(),
                          [](const std::string& line) { return line.starts_with("::error "); }),
            10);
  EXPECT_THAT(lines.back(), StartsWith("::notice title=loopsan::9,980 more findings"));
}

TEST(Github, LeavesOutNotesAndWhatTheBaselineKnows) {
  Report report = SleepReport();
  report.findings[0].level = "note";
  EXPECT_TRUE(Lines(report).empty());
  report.findings[0].level = "error";
  report.findings[0].baseline_state = "unchanged";
  EXPECT_TRUE(Lines(report).empty());
  report.findings[0].baseline_state = "new";
  EXPECT_EQ(Lines(report).size(), 1u);
}

TEST(Github, NeedsNoLine) {
  Report report = SleepReport();
  report.findings[0].stack.clear();
  EXPECT_THAT(Lines(report)[0], StartsWith("::error title=loopsan blocking-call::"));
}

TEST(Github, IsSilentIfNothingBlockedButNotIfNothingWasWatched) {
  EXPECT_TRUE(Lines(CleanReport()).empty());
  EXPECT_THAT(Lines(Report()), testing::ElementsAre(HasSubstr("this is no clean bill")));
}

}  // namespace
}  // namespace loopsan
