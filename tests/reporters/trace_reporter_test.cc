#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>
#include <sstream>

#include "reporters/reporter.h"
#include "tests/reporters/golden.h"
#include "tests/reporters/sample_report.h"

namespace loopsan {
namespace {

using nlohmann::json;

std::string Write(const Report& report) {
  std::ostringstream out;
  WriteTrace(report, {}, out);
  return out.str();
}

std::vector<json> EventsOf(const Report& report, const std::string& phase) {
  std::vector<json> events;
  const json trace = json::parse(Write(report));
  for (const json& event : trace["traceEvents"]) {
    if (event["ph"] == phase) events.push_back(event);
  }
  return events;
}

TEST(TraceReporter, WritesTheSameBytesInAGermanLocale) {
  const std::string expected = Write(SampleReport());
  const GermanNumbers german;
  EXPECT_EQ(Write(SampleReport()), expected);
}

TEST(TraceReporter, HasWhatEveryViewerAsksOfAnEvent) {
  const json trace = json::parse(Write(SampleReport()));
  for (const json& event : trace["traceEvents"]) {
    SCOPED_TRACE(event.dump());
    EXPECT_TRUE(event["name"].is_string());
    EXPECT_TRUE(event["pid"].is_number_integer());
    if (event["ph"] == "M") continue;
    EXPECT_TRUE(std::isfinite(event["ts"].get<double>()));
    EXPECT_GE(event["ts"].get<double>(), 0);
    if (event["ph"] == "X") {
      EXPECT_GE(event["dur"].get<double>(), 0);
      EXPECT_TRUE(event["tid"].is_number_integer());
    } else {
      EXPECT_EQ(event["ph"], "C");
      for (const json& value : event["args"]) EXPECT_TRUE(value.is_number());
    }
  }
}

TEST(TraceReporter, ShowsWhatBlockedInsideItsTurn) {
  const std::vector<json> slices = EventsOf(SampleReport(), "X");
  ASSERT_EQ(slices.size(), 4u);
  EXPECT_EQ(slices[1]["name"], "turn");
  EXPECT_EQ(slices[2]["name"], "nanosleep");
  EXPECT_EQ(slices[2]["args"]["finding"], "F1");
  EXPECT_EQ(slices[2]["args"]["function"], "app::Server::Handle(std::string const&)");
  EXPECT_EQ(slices[2]["tid"], slices[1]["tid"]);
  EXPECT_GE(slices[2]["ts"], slices[1]["ts"]);
  EXPECT_DOUBLE_EQ(slices[2]["ts"].get<double>(), 251'000) << "microseconds";
  EXPECT_DOUBLE_EQ(slices[2]["dur"].get<double>(), 300'000);
}

TEST(TraceReporter, ShowsWaitsOnTheTrackOfTheLoop) {
  const std::vector<json> slices = EventsOf(SampleReport(), "X");
  EXPECT_EQ(slices[0]["name"], "wait");
  EXPECT_EQ(slices[0]["cat"], "wait");
  EXPECT_EQ(slices[0]["tid"], slices[1]["tid"]);
  EXPECT_DOUBLE_EQ(slices[0]["ts"].get<double>() + slices[0]["dur"].get<double>(),
                   slices[1]["ts"].get<double>());
}

// Rounded by itself, the duration would reach a nanosecond into the turn.
TEST(TraceReporter, LetsNoSliceReachIntoTheNext) {
  Report report;
  const double turn_start = 10.4e-9;
  report.timeline.loops = {
      {.spans = {{.kind = "wait", .start_seconds = 1.8e-9, .duration_seconds = turn_start - 1.8e-9},
                 {.kind = "turn", .start_seconds = turn_start, .duration_seconds = 1}}}};
  const std::vector<json> slices = EventsOf(report, "X");
  ASSERT_EQ(slices.size(), 2u);
  EXPECT_EQ(slices[0]["ts"], 0.002);
  EXPECT_EQ(slices[0]["dur"], 0.008) << "8.6 ns";
  EXPECT_EQ(slices[1]["ts"], 0.01);
}

TEST(TraceReporter, NamesEachTrackAndCountsForIt) {
  std::vector<std::string> tracks;
  for (const json& event : EventsOf(SampleReport(), "M")) {
    if (event["name"] == "thread_name") tracks.push_back(event["args"]["name"]);
  }
  EXPECT_THAT(tracks, testing::ElementsAre("loop io \"main\"", "loop </script>\\x1b[2J\\xff"));
  const std::vector<json> counters = EventsOf(SampleReport(), "C");
  ASSERT_EQ(counters.size(), 9u);
  EXPECT_EQ(counters[3]["name"], "loop delay 4712");
  EXPECT_NEAR(counters[3]["args"]["ms"].get<double>(), 300.1, 0.1);
  EXPECT_EQ(counters[4]["args"]["busy"], 0.875);
  EXPECT_EQ(counters[5]["args"]["share"], 0.05);
}

TEST(TraceReporter, IsValidWithNothingInIt) {
  EXPECT_TRUE(json::parse(Write(Report()))["traceEvents"].empty());
}

}  // namespace
}  // namespace loopsan
