#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "tests/reporters/format_report.h"
#include "tests/reporters/sample_report.h"

namespace loopsan {
namespace {

using nlohmann::json;

json Write(const Report& report) {
  return json::parse(WriteAs("gitlab", report, {.source_root = "/srv"}));
}

TEST(Gitlab, WritesWhatCodeQualityReads) {
  EXPECT_EQ(Write(SleepReport()),
            (json{{{"description",
                    "nanosleep blocked the event loop for 0.500 s in app::Serve(). "
                    "Instead: await a timer"},
                   {"check_name", "blocking-call"},
                   {"fingerprint", "0123456789abcdef"},
                   {"severity", "major"},
                   {"location", {{"path", "src/serve.cc"}, {"lines", {{"begin", 12}}}}}}}));
}

TEST(Gitlab, WritesAnEmptyListIfNothingBlocked) {
  EXPECT_EQ(WriteAs("gitlab", CleanReport()), "[]\n");
}

TEST(Gitlab, GivesEachIssueAPathAndALine) {
  for (const Report& report : {SampleReport(), HostileReport()}) {
    for (const json& issue : Write(report)) {
      EXPECT_FALSE(issue["location"]["path"].get<std::string>().empty());
      EXPECT_GE(issue["location"]["lines"]["begin"].get<int>(), 1);
    }
  }
  Report report = SleepReport();
  report.findings[0].stack.clear();
  EXPECT_EQ(Write(report)[0]["location"]["path"], "bin/server");
}

TEST(Gitlab, RanksByLevel) {
  Report report = SleepReport();
  report.findings[0].level = "warning";
  EXPECT_EQ(Write(report)[0]["severity"], "minor");
  report.findings[0].level = "note";
  EXPECT_EQ(Write(report)[0]["severity"], "info");
}

}  // namespace
}  // namespace loopsan
