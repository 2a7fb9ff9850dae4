#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "tests/reporters/format_report.h"
#include "tests/reporters/json_schema.h"
#include "tests/reporters/sample_report.h"

namespace loopsan {
namespace {

using nlohmann::json;

json Write(const Report& report) {
  return json::parse(WriteAs("speedscope", report, {.source_root = "/srv"}));
}

// The names of a sample's frames, outermost first.
std::vector<std::string> NamesOf(const json& file, const json& sample) {
  std::vector<std::string> names;
  for (const size_t index : sample) names.push_back(file["shared"]["frames"].at(index)["name"]);
  return names;
}

TEST(Speedscope, FitsThePublicSchema) {
  JsonSchema schema(LOOPSAN_SCHEMA_DIR "/speedscope.json");
  for (const Report& report :
       {SampleReport(), HostileReport(), SleepReport(), CleanReport(), Report()}) {
    EXPECT_TRUE(schema.Fits(Write(report)));
  }
  json file = Write(SleepReport());
  file["profiles"][0]["unit"] = "furlongs";
  EXPECT_FALSE(schema.Accepts(file));
}

TEST(Speedscope, HasAProfileForEachThread) {
  Report report = CleanReport();
  report.findings = {SleepFinding(), SleepFinding(), SleepFinding()};
  report.findings[1].thread_id = 9;
  report.findings[1].thread_name = "second";
  const json profiles = Write(report)["profiles"];
  ASSERT_EQ(profiles.size(), 2u);
  EXPECT_EQ(profiles[0]["name"], "time lost by server io");
  EXPECT_EQ(profiles[0]["weights"], (json{500'000, 500'000}));
  EXPECT_EQ(profiles[0]["endValue"], 1'000'000);
  EXPECT_EQ(profiles[1]["name"], "time lost by server second");
}

TEST(Speedscope, HasSamplesFromTheOutermostFrameInwards) {
  const json file = Write(SleepReport());
  EXPECT_THAT(NamesOf(file, file["profiles"][0]["samples"][0]),
              testing::ElementsAre("main", "app::Serve()", "nanosleep"));
}

TEST(Speedscope, NamesFilesRelativeToTheSourceRoot) {
  const json frame = Write(SleepReport())["shared"]["frames"][1];
  EXPECT_EQ(frame["file"], "src/serve.cc");
  EXPECT_EQ(frame["line"], 12);
}

TEST(Speedscope, HasEachFrameOnce) {
  Report report = CleanReport();
  report.findings = {SleepFinding(), SleepFinding()};
  EXPECT_EQ(Write(report)["shared"]["frames"].size(), 3u);
}

TEST(Speedscope, HasAProfileEvenIfNothingBlocked) {
  EXPECT_EQ(Write(CleanReport())["profiles"][0]["samples"], json::array());
}

}  // namespace
}  // namespace loopsan
