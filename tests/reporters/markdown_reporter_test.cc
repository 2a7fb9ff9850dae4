#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <regex>
#include <sstream>

#include "tests/reporters/format_report.h"
#include "tests/reporters/sample_report.h"

namespace loopsan {
namespace {

using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

std::string Write(const Report& report) {
  return WriteAs("markdown", report, {.source_root = "/srv"});
}

size_t Occurrences(const std::string& text, const std::string& part) {
  size_t number = 0;
  for (size_t at = 0; (at = text.find(part, at)) != std::string::npos; ++at) ++number;
  return number;
}

TEST(Markdown, BeginsWithTheVerdict) {
  EXPECT_THAT(Write(SleepReport()),
              StartsWith("### loopsan: 1 finding: the event loop was blocked for 0.500 s "
                         "in 2.00 s\n"));
  EXPECT_THAT(Write(CleanReport()), StartsWith("### loopsan: no blocking found in 1 loop"));
  EXPECT_THAT(Write(Report()), HasSubstr("this is no clean bill"));
}

TEST(Markdown, HasARowForEachFinding) {
  EXPECT_THAT(
      Write(SleepReport()),
      HasSubstr("| <code>F1</code> | <code>error</code> | <code>nanosleep blocked the event "
                "loop for 0.500 s in app::Serve()</code> | "
                "<code>src/serve.cc:12</code> | 2 | 0.500 s | 0.300 s |\n"));
}

TEST(Markdown, HasTheStackBehindAFold) {
  EXPECT_THAT(Write(SleepReport()), HasSubstr("<details><summary><code>F1</code>"));
  EXPECT_THAT(Write(SleepReport()), HasSubstr("      #0 app::Serve() /srv/src/serve.cc:12\n"));
}

TEST(Markdown, ShowsTheBaselineIfThereIsOne) {
  Report report = SleepReport();
  EXPECT_THAT(Write(report), Not(HasSubstr("baseline")));
  report.findings[0].baseline_state = "new";
  EXPECT_THAT(Write(report), HasSubstr("| **new** |"));
  report.findings[0].baseline_state = "unchanged";
  EXPECT_THAT(Write(report), HasSubstr("| known |"));
}

// All that is left of HTML are the elements that this reporter writes.
TEST(Markdown, LetsNoMarkupOfTheProgramThrough) {
  for (const Report& report : {HostileReport(), SampleReport()}) {
    const std::string text = Write(report);
    const std::string rest =
        std::regex_replace(text, std::regex("</?(details|summary|code|pre)>"), "");
    EXPECT_THAT(rest, Not(HasSubstr("<")));
    EXPECT_EQ(Occurrences(text, "<pre>"), Occurrences(text, "</pre>"));
    EXPECT_EQ(Occurrences(text, "<code>"), Occurrences(text, "</code>"));
  }
}

// Outside of <pre>, where nothing counts but HTML.
TEST(Markdown, LetsNoMarkdownOfTheProgramThrough) {
  std::istringstream text(Write(HostileReport()));
  bool in_pre = false;
  int rows = 0;
  for (std::string line; std::getline(text, line);) {
    if (line == "<pre>") in_pre = true;
    if (line == "</pre>") in_pre = false;
    if (in_pre) continue;
    for (const char* markup : {"](", "`", "@", "~", "!", "_", "\\", "http:"}) {
      EXPECT_THAT(line, Not(HasSubstr(markup)));
    }
    if (line.starts_with("| <code>")) {
      ++rows;
      EXPECT_EQ(std::count(line.begin(), line.end(), '|'), 9) << line;
    }
  }
  EXPECT_GT(rows, 0);
}

TEST(Markdown, FitsAComment) {
  for (const Report& report : {LargeReport(), HostileReport()}) {
    EXPECT_LT(Write(report).size(), 65'536u);
  }
  EXPECT_THAT(Write(LargeReport()), HasSubstr("and 9,950 more findings with less time lost"));
  EXPECT_THAT(Write(LargeReport()), HasSubstr("in the full report"));
}

}  // namespace
}  // namespace loopsan
