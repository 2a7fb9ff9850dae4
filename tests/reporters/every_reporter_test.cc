// What holds for each format, whatever it looks like.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <nlohmann/json.hpp>
#include <sstream>
#include <vector>

#include "absl/strings/str_replace.h"
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

// A line for each value, so that a golden file can be read.
std::string Indented(const std::string& json) {
  return nlohmann::ordered_json::parse(json).dump(1) + "\n";
}

// What stands between the first `begin` and the `end` behind it becomes `text`.
void ReplaceBetween(std::string& page, const std::string& begin, const std::string& end,
                    const std::string& text) {
  const size_t from = page.find(begin);
  ASSERT_NE(from, std::string::npos) << begin;
  const size_t to = page.find(end, from + begin.size());
  ASSERT_NE(to, std::string::npos) << end;
  page.replace(from + begin.size(), to - from - begin.size(), text);
}

// The page without its script and style, which are the same in all reports, and its
// data indented.
std::string PageSkeleton(std::string page) {
  ReplaceBetween(page, "<style>\n", "</style>", "");
  ReplaceBetween(page, "<script>\n", "</script>", "");
  const std::string island = "<script type=\"application/json\" id=\"report\">";
  const size_t from = page.find(island) + island.size();
  const std::string data = Indented(page.substr(from, page.find("</script>", from) - from));
  ReplaceBetween(page, island, "</script>", absl::StrReplaceAll("\n" + data, {{"<", "\\u003c"}}));
  return page;
}

TEST_P(EveryReporter, WritesTheGoldenFile) {
  static const std::map<std::string_view, std::string> kFiles = {
      {"text", "report.txt"},
      {"json", "report.json"},
      {"sarif", "report.sarif"},
      {"junit", "report_junit.xml"},
      {"github", "report_github.txt"},
      {"gitlab", "report_gitlab.json"},
      {"markdown", "report.md"},
      {"folded", "report.folded"},
      {"speedscope", "report.speedscope.json"},
      {"trace", "report.trace.json"},
      {"html", "report.html"}};
  std::string text = WriteAs(GetParam().name, SampleReport(), {.source_root = "/srv/src"});
  if (GetParam().name == "trace") text = Indented(text);
  if (GetParam().name == "html") text = PageSkeleton(text);
  ExpectGolden(kFiles.at(GetParam().name), text);
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
  std::string text = Write(HostileReport());
  if (GetParam().name == "html") text = PageSkeleton(text);  // the script has such words
  for (const char* none : {"nan,", "inf,", " nan ", " inf ", "\"nan\"", "\"inf\"", "null"}) {
    EXPECT_THAT(text, Not(HasSubstr(none)));
  }
}

class EveryBoundedReporter : public EveryReporter {};

TEST_P(EveryBoundedReporter, BoundsWhatOneFindingTakes) {
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

constexpr auto kNameOfTest = [](const testing::TestParamInfo<Reporter>& test) {
  return std::string(test.param.name);
};

// The JSON report has everything.
std::vector<Reporter> BoundedReporters() {
  std::vector<Reporter> reporters(Reporters().begin(), Reporters().end());
  std::erase_if(reporters, [](const Reporter& reporter) { return reporter.name == "json"; });
  return reporters;
}

INSTANTIATE_TEST_SUITE_P(All, EveryReporter,
                         testing::ValuesIn(Reporters().begin(), Reporters().end()), kNameOfTest);
INSTANTIATE_TEST_SUITE_P(All, EveryBoundedReporter, testing::ValuesIn(BoundedReporters()),
                         kNameOfTest);

}  // namespace
}  // namespace loopsan
