#include "reporters/json_reader.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "reporters/reporter.h"
#include "tests/reporters/golden.h"
#include "tests/reporters/sample_report.h"
#include "tests/support/process.h"

namespace loopsan {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;
using ::testing::StartsWith;

std::string Write(const Report& report) {
  std::ostringstream out;
  WriteJson(report, {}, out);
  return out.str();
}

std::string Error(const std::string& text) {
  const absl::StatusOr<Report> report = ReadJsonReport(text);
  EXPECT_FALSE(report.ok());
  return std::string(report.status().message());
}

// What is said of the sample with one value replaced.
std::string ErrorWith(const char* at, const json& value) {
  json document = json::parse(Write(SampleReport()));
  document[json::json_pointer(at)] = value;
  return Error(document.dump());
}

std::string ErrorWithout(const char* at) {
  json document = json::parse(Write(SampleReport()));
  const json::json_pointer pointer(at);
  document[pointer.parent_pointer()].erase(pointer.back());
  return Error(document.dump());
}

TEST(ReadJsonReport, GivesTheSameBytesWhenWrittenAgain) {
  Report sample = SampleReport();
  sample.findings[0].baseline_state = "new";
  sample.findings[1].baseline_state = "unchanged";
  for (const Report& original : {sample, Report()}) {
    const std::string text = Write(original);
    const absl::StatusOr<Report> report = ReadJsonReport(text);
    ASSERT_TRUE(report.ok()) << report.status();
    EXPECT_EQ(Write(*report), text);
  }
}

TEST(ReadJsonReport, ReadsTheSameInAGermanLocale) {
  const std::string text = Write(SampleReport());
  const GermanNumbers german;
  const absl::StatusOr<Report> report = ReadJsonReport(text);
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_EQ(Write(*report), text);
}

TEST(ReadJsonReport, KeepsAll64BitsOfAnOffset) {
  Report original = SampleReport();
  original.findings[0].stack[0].offset = 0xffffffffffffffff;
  const absl::StatusOr<Report> report = ReadJsonReport(Write(original));
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_EQ(report->findings[0].stack[0].offset, 0xffffffffffffffff);
}

TEST(ReadJsonReport, IgnoresFieldsThatItDoesNotKnow) {
  json document = json::parse(Write(SampleReport()));
  document["later"] = {{"a", 1}};
  document["findings"][0]["later"] = json::array({1, 2});
  const absl::StatusOr<Report> report = ReadJsonReport(document.dump());
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_EQ(Write(*report), Write(SampleReport()));
}

TEST(ReadJsonReport, ReadsReportsFromBeforeThereWereBaselines) {
  json document = json::parse(Write(SampleReport()));
  for (json& finding : document["findings"]) finding.erase("baseline_state");
  const absl::StatusOr<Report> report = ReadJsonReport(document.dump());
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_EQ(report->findings[0].baseline_state, "");
}

TEST(ReadJsonReport, RefusesEachMissingField) {
  const json sample = json::parse(Write(SampleReport()));
  for (const auto& [name, value] : sample.items()) {
    if (name == "tool") continue;
    EXPECT_THAT(ErrorWithout(("/" + name).c_str()), HasSubstr(name + ": is missing"));
  }
  for (const auto& [name, value] : sample["findings"][0].items()) {
    if (name == "baseline_state") continue;
    EXPECT_THAT(ErrorWithout(("/findings/0/" + name).c_str()),
                HasSubstr("findings[0]." + name + ": is missing"));
  }
}

TEST(ReadJsonReport, RefusesEachFieldOfAnotherType) {
  const json sample = json::parse(Write(SampleReport()));
  for (const auto& [name, value] : sample["findings"][6].items()) {
    const std::string at = "/findings/6/" + name;
    EXPECT_THAT(ErrorWith(at.c_str(), nullptr), HasSubstr("findings[6]." + name + ": expected "));
    EXPECT_THAT(ErrorWith(at.c_str(), value.is_string() ? json(1) : json("text")),
                HasSubstr("findings[6]." + name + ": expected "));
  }
}

TEST(ReadJsonReport, NamesTheWayToAFieldAndWhatToDo) {
  EXPECT_EQ(ErrorWith("/findings/2/stack/1/line", "12"),
            "no report of loopsan: findings[2].stack[1].line: expected a whole number, found a "
            "string; make the report anew with loopsan run --json=FILE -- COMMAND");
  EXPECT_THAT(ErrorWith("/processes/0/loops/1", json::array()),
              HasSubstr("processes[0].loops[1]: expected an object, found an array"));
  EXPECT_THAT(Error("[]"), HasSubstr("the document: expected an object, found an array"));
}

TEST(ReadJsonReport, RefusesValuesThatNoReportHas) {
  const struct {
    const char* at;
    json value;
    const char* complaint;
  } cases[] = {
      {"/findings/0/rule", "No Rule", "findings[0].rule: expected 1 to 64 of a-z"},
      {"/findings/0/level", "fatal", "findings[0].level: expected \"error\", \"warning\""},
      {"/findings/0/fingerprint", "0123", "findings[0].fingerprint: expected 16 hexadecimal"},
      {"/findings/0/fingerprint", "0123456789ABCDEF", "expected 16 hexadecimal"},
      {"/findings/0/baseline_state", "old", "findings[0].baseline_state: expected \"new\""},
      {"/findings/0/count", -1, "expected a whole number from 0 to 2^64 - 1, found a negative"},
      {"/findings/0/count", 1.5, "found a number with a fraction"},
      {"/findings/0/total_seconds", -0.5, "expected 0 to 1000000000 seconds"},
      {"/duration_seconds", 1e300, "duration_seconds: is no length of time"},
      {"/findings/0/pid", 4294967296, "findings[0].pid: is out of range"},
      {"/findings/0/pid", -4294967296, "findings[0].pid: is out of range"},
  };
  for (const auto& [at, value, complaint] : cases) {
    EXPECT_THAT(ErrorWith(at, value), HasSubstr(complaint)) << at;
  }
}

TEST(ReadJsonReport, RefusesAnotherSchemaBeforeAnythingElse) {
  EXPECT_EQ(Error(R"({"schema": 2})"),
            "schema: is 2, but this loopsan reads 1; use the release that wrote the report");
}

TEST(ReadJsonReport, SaysWhereATextStopsBeingJson) {
  EXPECT_THAT(Error("{\n  \"schema\": 1,\n  \"tool\" }"),
              HasSubstr("not JSON from line 3, column"));
  EXPECT_THAT(Error(""), HasSubstr("not JSON from line 1, column 1"));
  EXPECT_THAT(Error("\xff\x1b[2J"), HasSubstr("not JSON from line 1, column 1"));
  const std::string text = Write(SampleReport());
  EXPECT_THAT(Error(text.substr(0, text.size() / 2)), HasSubstr("not JSON from line"));
}

TEST(ReadJsonReport, RefusesNumbersThatAreTooLargeForAnyType) {
  EXPECT_THAT(Error(R"({"schema": 1e999})"), HasSubstr("a number is too large"));
  EXPECT_THAT(Error(R"({"schema": 18446744073709551616})"), HasSubstr("schema: expected"));
}

TEST(ReadJsonReport, RefusesDeepNesting) {
  const std::string deep(1'000'000, '[');
  EXPECT_THAT(Error(deep), HasSubstr("nested more than 64 deep"));
  EXPECT_THAT(Error(R"({"later": )" + deep), HasSubstr("nested more than 64 deep"));
}

TEST(ReadJsonReport, DoesNotRepeatHostileNames) {
  json document = json::parse(Write(SampleReport()));
  document["findings"] = json::object({{"\x1b[2J", 1}});
  EXPECT_THAT(Error(document.dump()), HasSubstr("findings: expected an array, found an object"));
}

TEST(ReadJsonReportFile, NamesTheFile) {
  const testing::TemporaryDirectory directory;
  const std::string path = directory / "r.json";
  EXPECT_EQ(ReadJsonReportFile(path).status().message(),
            "cannot read " + path +
                ": No such file or directory; make it with loopsan run --json=" + path +
                " -- COMMAND");
  std::ofstream(path) << "{";
  EXPECT_THAT(std::string(ReadJsonReportFile(path).status().message()),
              StartsWith(path + ": no report of loopsan: not JSON"));
  EXPECT_THAT(std::string(ReadJsonReportFile(directory.path()).status().message()),
              HasSubstr("Is a directory"));
  std::ofstream(path) << Write(SampleReport());
  EXPECT_TRUE(ReadJsonReportFile(path).ok());
}

}  // namespace
}  // namespace loopsan
