#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "reporters/rules.h"
#include "tests/reporters/format_report.h"
#include "tests/reporters/json_schema.h"
#include "tests/reporters/sample_report.h"

namespace loopsan {
namespace {

using nlohmann::json;

json Write(const Report& report, const std::string& source_root = "/srv/src") {
  return json::parse(WriteAs("sarif", report, {.source_root = source_root}));
}

json ResultOf(const Finding& finding, const std::string& source_root = "/srv/src") {
  Report report = CleanReport();
  report.findings = {finding};
  return Write(report, source_root)["runs"][0]["results"][0];
}

JsonSchema Schema() { return JsonSchema(LOOPSAN_SCHEMA_DIR "/sarif-2.1.0.json"); }

TEST(Sarif, FitsThePublicSchema) {
  JsonSchema schema = Schema();
  for (const Report& report :
       {SampleReport(), HostileReport(), SleepReport(), CleanReport(), Report()}) {
    EXPECT_TRUE(schema.Fits(Write(report)));
    EXPECT_TRUE(schema.Fits(Write(report, "")));
  }
}

TEST(Sarif, WouldNoticeWhatDoesNotFit) {
  JsonSchema schema = Schema();
  for (const char* at : {"/runs/0/results/0/level", "/runs/0/results/0/baselineState",
                         "/runs/0/results/0/locations/0/physicalLocation/region/startLine"}) {
    json log = Write(SleepReport());
    log[json::json_pointer(at)] = "nonsense";
    EXPECT_FALSE(schema.Accepts(log)) << at;
  }
}

TEST(Sarif, ListsEveryRuleWithHelp) {
  const json rules = Write(CleanReport())["runs"][0]["tool"]["driver"]["rules"];
  ASSERT_EQ(rules.size(), Rules().size());
  for (const json& rule : rules) {
    for (const char* text : {"shortDescription", "fullDescription", "help"}) {
      EXPECT_FALSE(rule[text]["text"].get<std::string>().empty()) << rule["id"];
    }
  }
}

TEST(Sarif, PointsEachResultToItsRule) {
  Report report = SampleReport();
  report.findings[0].rule = "my-own-rule";
  const json run = Write(report)["runs"][0];
  for (const json& result : run["results"]) {
    const size_t index = result["ruleIndex"];
    EXPECT_EQ(run["tool"]["driver"]["rules"][index]["id"], result["ruleId"]);
  }
}

TEST(Sarif, NamesFilesOfTheRepositoryByTheSourceRoot) {
  const json artifact =
      ResultOf(SleepFinding(), "/srv")["locations"][0]["physicalLocation"]["artifactLocation"];
  EXPECT_EQ(artifact["uri"], "src/serve.cc");
  EXPECT_EQ(artifact["uriBaseId"], "SRCROOT");
  const json run = Write(SleepReport(), "/srv/my src")["runs"][0];
  EXPECT_EQ(run["originalUriBaseIds"]["SRCROOT"]["uri"], "file:///srv/my%20src/");
}

TEST(Sarif, NamesOtherFilesAbsolutely) {
  const json artifact = ResultOf(
      SleepFinding(), "/elsewhere")["locations"][0]["physicalLocation"]["artifactLocation"];
  EXPECT_EQ(artifact["uri"], "file:///srv/src/serve.cc");
  EXPECT_FALSE(artifact.contains("uriBaseId"));
}

TEST(Sarif, EncodesWhatIsNoUri) {
  Finding finding = SleepFinding();
  finding.stack[0].file = "/srv/src/a b#?%\xff:\u00e9.cc";
  EXPECT_EQ(ResultOf(finding)["locations"][0]["physicalLocation"]["artifactLocation"]["uri"],
            "a%20b%23%3F%25%FF%3A%C3%A9.cc");
}

TEST(Sarif, HasARegionWithColumns) {
  EXPECT_EQ(ResultOf(SleepFinding())["locations"][0]["physicalLocation"]["region"],
            (json{{"startLine", 12}, {"startColumn", 1}, {"endLine", 12}, {"endColumn", 2}}));
}

TEST(Sarif, PointsToTheProgramIfNoLineIsKnown) {
  Finding finding = SleepFinding();
  for (ReportFrame& frame : finding.stack) frame.file = "";
  const json result = ResultOf(finding);
  const json& physical = result["locations"][0]["physicalLocation"];
  EXPECT_EQ(physical["artifactLocation"]["uri"], "file:///srv/bin/server");
  EXPECT_EQ(physical["region"]["startLine"], 1);
  EXPECT_FALSE(result.contains("codeFlows"));
  EXPECT_EQ(result["stacks"][0]["frames"].size(), 2u);
}

TEST(Sarif, TellsAMergedStackAsStackAndAsFlow) {
  Finding finding = SleepFinding();
  finding.async_stack = {{"app::Task app::Read()", "/srv/src/read.cc", 5}};
  finding.task.spawned_at = {"main", "/srv/src/main.cc", 1};
  const json result = ResultOf(finding);
  std::vector<std::string> stack;
  for (const json& frame : result["stacks"][0]["frames"]) {
    stack.push_back(frame["location"]["physicalLocation"]["artifactLocation"]["uri"]);
  }
  EXPECT_THAT(stack, testing::ElementsAre("serve.cc", "main.cc", "read.cc", "main.cc"));
  std::vector<std::pair<int, int>> flow;  // order and line
  for (const json& step : result["codeFlows"][0]["threadFlows"][0]["locations"]) {
    flow.emplace_back(step["executionOrder"],
                      step["location"]["physicalLocation"]["region"]["startLine"]);
  }
  EXPECT_THAT(flow, testing::ElementsAre(testing::Pair(1, 1), testing::Pair(2, 5),
                                         testing::Pair(3, 3), testing::Pair(4, 12)));
  EXPECT_EQ(result["relatedLocations"][0]["message"]["text"], "spawned here");
}

TEST(Sarif, KeepsTheFingerprintAndTheBaselineState) {
  Finding finding = SleepFinding();
  EXPECT_EQ(ResultOf(finding)["partialFingerprints"]["loopsanFingerprint/v1"], "0123456789abcdef");
  EXPECT_FALSE(ResultOf(finding).contains("baselineState"));
  for (const char* state : {"new", "unchanged"}) {
    finding.baseline_state = state;
    EXPECT_EQ(ResultOf(finding)["baselineState"], state);
  }
}

TEST(Sarif, MapsLevelsAndTakesUnknownOnesForWarnings) {
  Finding finding = SleepFinding();
  for (const char* level : {"error", "warning", "note"}) {
    finding.level = level;
    EXPECT_EQ(ResultOf(finding)["level"], level);
  }
  finding.level = "fatal";
  EXPECT_EQ(ResultOf(finding)["level"], "warning");
}

TEST(Sarif, MakesNoLinkOutOfAMessage) {
  Finding finding = SleepFinding();
  finding.message = "see [this](http://evil) and operator[]";
  EXPECT_THAT(ResultOf(finding)["message"]["text"].get<std::string>(),
              testing::StartsWith("see \\[this\\](http://evil) and operator\\[\\]"));
}

TEST(Sarif, StaysBelowTheLimitsOfCodeScanning) {
  Report report = CleanReport();
  Finding finding = SleepFinding();
  finding.stack.assign(5'000, finding.stack[0]);
  finding.async_stack.assign(5'000, {"app::Read()", "/srv/src/read.cc", 5});
  report.findings = {finding};
  const json result = Write(report)["runs"][0]["results"][0];
  EXPECT_LE(result["codeFlows"][0]["threadFlows"][0]["locations"].size(), 1'000u);
  finding = SleepFinding();
  finding.stack.clear();
  report.findings.assign(25'003, finding);
  const json run = Write(report)["runs"][0];
  EXPECT_EQ(run["results"].size(), 25'000u);
  EXPECT_THAT(run["invocations"][0]["toolExecutionNotifications"].dump(),
              testing::HasSubstr("3 findings with less time lost left out"));
}

TEST(Sarif, HasStacksForTheWorstFindingsOnly) {
  const json results = Write(LargeReport())["runs"][0]["results"];
  EXPECT_TRUE(results[999].contains("stacks"));
  EXPECT_TRUE(results[999].contains("codeFlows"));
  EXPECT_FALSE(results[1'000].contains("stacks"));
  EXPECT_TRUE(results[9'999].contains("locations"));
}

TEST(Sarif, TellsWhatCouldNotBeSeen) {
  Report report = SleepReport();
  report.warnings = {"the clock jumped"};
  EXPECT_EQ(
      Write(
          report)["runs"][0]["invocations"][0]["toolExecutionNotifications"][0]["message"]["text"],
      "the clock jumped");
}

}  // namespace
}  // namespace loopsan
