#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <sstream>

#include "reporters/reporter.h"
#include "tests/reporters/golden.h"
#include "tests/reporters/json_schema.h"
#include "tests/reporters/sample_report.h"

namespace loopsan {
namespace {

using nlohmann::json;

std::string Write(const Report& report) {
  std::ostringstream out;
  WriteJson(report, {}, out);
  return out.str();
}

class ReportSchema : public JsonSchema {
 public:
  ReportSchema() : JsonSchema(LOOPSAN_REPORT_SCHEMA) {}
};

// Calls `visit` with a pointer to every member of every object, and to every
// element of every array, in `value`.
template <typename Visit>
void ForEachMember(const json& value, const json::json_pointer& at, const Visit& visit) {
  if (!value.is_structured()) return;
  for (const auto& item : value.items()) {
    const json::json_pointer member =
        value.is_array() ? at / std::stoul(item.key()) : at / item.key();
    visit(member, value.is_object());
    ForEachMember(item.value(), member, visit);
  }
}

TEST(JsonReporter, WritesTheSameBytesInAGermanLocale) {
  const std::string expected = Write(SampleReport());
  const GermanNumbers german;
  EXPECT_EQ(Write(SampleReport()), expected);
}

TEST(JsonReporter, IgnoresTheWidthAndFlagsOfTheStream) {
  std::ostringstream out;
  out << std::hex << std::showbase;
  out.width(5000);
  WriteJson(Report(), {}, out);
  EXPECT_EQ(out.str(), Write(Report()));
}

TEST(JsonReporter, FitsItsSchemaWithEverythingInIt) {
  EXPECT_TRUE(ReportSchema().Accepts(json::parse(Write(SampleReport()))));
}

TEST(JsonReporter, FitsItsSchemaWithNothingInIt) {
  EXPECT_TRUE(ReportSchema().Accepts(json::parse(Write(Report()))));
}

TEST(JsonReporter, WritesZeroForTimesThatAreNoNumbers) {
  Report report = SampleReport();
  report.findings.resize(1);
  for (const double value : {std::nan(""), std::numeric_limits<double>::infinity(),
                             std::numeric_limits<double>::max(), -1.0, -0.0}) {
    report.findings[0].total_seconds = value;
    const json finding = json::parse(Write(report))["findings"][0];
    EXPECT_EQ(finding["total_seconds"].dump(), "0.0") << value;
  }
}

TEST(JsonReporter, RoundsTimesToNanoseconds) {
  Report report;
  report.duration_seconds = 0.1 + 0.2;
  EXPECT_NE(Write(report).find("\"duration_seconds\": 0.3,"), std::string::npos);
}

TEST(JsonReporter, KeepsAll64BitsOfAnOffset) {
  Report report = SampleReport();
  report.findings[0].stack[0].offset = 0xffffffffffffffff;
  EXPECT_EQ(json::parse(Write(report))["findings"][0]["stack"][0]["offset"].get<uint64_t>(),
            0xffffffffffffffff);
}

TEST(JsonReporter, KeepsHostileTextAsItIs) {
  Report report = SampleReport();
  const std::string hostile = "\"\\\n\r\t\x1b[31m\x01</script>\u2028\u00e9";
  report.findings[0].detail = hostile;
  EXPECT_EQ(json::parse(Write(report))["findings"][0]["detail"], hostile);
}

TEST(JsonReporter, ReplacesBytesThatAreNotUtf8) {
  Report report;
  report.command = {
      "a\xff"
      "b"};
  EXPECT_EQ(json::parse(Write(report))["command"][0], "a\ufffdb");
}

TEST(ReportSchema, NoticesEachMissingField) {
  ReportSchema schema;
  const json report = json::parse(Write(SampleReport()));
  int fields = 0;
  ForEachMember(report, json::json_pointer(), [&](const json::json_pointer& at, bool is_field) {
    if (!is_field) return;
    json changed = report;
    changed[at.parent_pointer()].erase(at.back());
    EXPECT_FALSE(schema.Accepts(changed)) << at.to_string();
    ++fields;
  });
  EXPECT_GT(fields, 100);
}

TEST(ReportSchema, NoticesEachFieldOfAnotherType) {
  ReportSchema schema;
  const json report = json::parse(Write(SampleReport()));
  ForEachMember(report, json::json_pointer(), [&](const json::json_pointer& at, bool) {
    json changed = report;
    changed[at] = report[at].is_string() ? json(1) : json("text");
    EXPECT_FALSE(schema.Accepts(changed)) << at.to_string();
    changed[at] = nullptr;
    EXPECT_FALSE(schema.Accepts(changed)) << at.to_string();
  });
}

TEST(ReportSchema, NoticesAnUnknownFieldInEachObject) {
  ReportSchema schema;
  const json report = json::parse(Write(SampleReport()));
  ForEachMember(report, json::json_pointer(), [&](const json::json_pointer& at, bool) {
    if (!report[at].is_object()) return;
    json changed = report;
    changed[at]["surprise"] = 1;
    EXPECT_FALSE(schema.Accepts(changed)) << at.to_string();
  });
  json changed = report;
  changed["surprise"] = 1;
  EXPECT_FALSE(schema.Accepts(changed));
}

TEST(ReportSchema, NoticesValuesThatNoReportHas) {
  ReportSchema schema;
  const json report = json::parse(Write(SampleReport()));
  const std::pair<const char*, json> wrong[] = {
      {"/schema", 2},
      {"/findings/0/rule", "No Rule"},
      {"/findings/0/level", "fatal"},
      {"/findings/0/fingerprint", "0123"},
      {"/findings/0/count", -1},
      {"/findings/0/count", 1.5},
      {"/findings/0/total_seconds", -0.5},
      {"/findings/0/message", ""},
  };
  for (const auto& [at, value] : wrong) {
    json changed = report;
    changed[json::json_pointer(at)] = value;
    EXPECT_FALSE(schema.Accepts(changed)) << at << " " << value;
  }
}

}  // namespace
}  // namespace loopsan
