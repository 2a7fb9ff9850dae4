// What holds for each format, whatever it looks like.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <nlohmann/json.hpp>
#include <sstream>

#include "reporters/reporter.h"
#include "tests/reporters/format_report.h"
#include "tests/reporters/golden.h"
#include "tests/reporters/sample_report.h"

namespace loopsan {

// Else the names of the tests have its bytes, with addresses.
void PrintTo(const Reporter& reporter, std::ostream* out) { *out << reporter.name; }

namespace {

using testing::HasSubstr;
using testing::Not;

class EveryReporter : public testing::TestWithParam<Reporter> {
 protected:
  static std::string Write(const Report& report) { return WriteAs(GetParam().name, report); }
};

// The goldens of text and JSON have tests of their own.
TEST_P(EveryReporter, WritesTheGoldenFile) {
  static const std::map<std::string_view, std::string> kFiles = {
      {"sarif", "report.sarif"},
      {"junit", "report_junit.xml"},
      {"github", "report_github.txt"},
      {"gitlab", "report_gitlab.json"},
      {"markdown", "report.md"},
      {"folded", "report.folded"},
      {"speedscope", "report.speedscope.json"}};
  const auto file = kFiles.find(GetParam().name);
  if (file == kFiles.end()) GTEST_SKIP() << "tested with its reporter";
  ExpectGolden(file->second, WriteAs(GetParam().name, SampleReport(), {.source_root = "/srv/src"}));
}

TEST_P(EveryReporter, SaysInALineWhatItIsFor) {
  EXPECT_THAT(GetParam().description, Not(testing::IsEmpty()));
  EXPECT_LE(GetParam().description.size(), 70u);
}

TEST_P(EveryReporter, WritesTheSameBytesInAGermanLocale) {
  const std::string expected = Write(SampleReport()) + Write(HostileReport());
  const GermanNumbers german;
  EXPECT_EQ(Write(SampleReport()) + Write(HostileReport()), expected);
}

TEST_P(EveryReporter, IgnoresTheWidthAndFlagsOfTheStream) {
  std::ostringstream out;
  out << std::hex << std::showbase;
  out.width(5000);
  GetParam().write(SleepReport(), {}, out);
  std::ostringstream plain;
  GetParam().write(SleepReport(), {}, plain);
  EXPECT_EQ(out.str(), plain.str());
}

TEST_P(EveryReporter, WritesNothingButValidUtf8AndLines) {
  for (const std::string& text : {Write(HostileReport()), Write(SampleReport())}) {
    EXPECT_NO_THROW(nlohmann::json(text).dump());  // throws at invalid UTF-8
    for (const char c : text) {
      EXPECT_TRUE(c == '\n' || static_cast<unsigned char>(c) >= 0x20) << int{c};
    }
  }
}

TEST_P(EveryReporter, WritesNoNumberThatIsNone) {
  if (GetParam().name == "html") GTEST_SKIP() << "has a script; see html_reporter_test.cc";
  const std::string text = Write(HostileReport());
  for (const char* none : {"nan,", "inf,", " nan ", " inf ", "\"nan\"", "\"inf\"", "null"}) {
    EXPECT_THAT(text, Not(HasSubstr(none)));
  }
}

TEST_P(EveryReporter, BoundsWhatOneFindingTakes) {
  if (GetParam().name == "json") GTEST_SKIP() << "has everything";
  EXPECT_LT(Write(HostileReport()).size(), 30 * 100'000u);
}

TEST_P(EveryReporter, WritesTenThousandFindings) {
  const std::string text = Write(LargeReport());
  EXPECT_LT(text.size(), 100'000'000u);
  // The trace is of the timeline, not of the findings.
  if (GetParam().name != "trace") {
    EXPECT_NE(text.find("Serve0()"), std::string::npos);
  }
}

INSTANTIATE_TEST_SUITE_P(All, EveryReporter,
                         testing::ValuesIn(Reporters().begin(), Reporters().end()),
                         [](const auto& test) { return std::string(test.param.name); });

}  // namespace
}  // namespace loopsan
