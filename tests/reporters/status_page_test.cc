// The page's data and text; tests/real/status_page_test.cc opens it in a browser.
#include "reporters/status_page.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <nlohmann/json.hpp>

#include "tests/reporters/golden.h"
#include "tests/reporters/sample_report.h"

namespace loopsan {
namespace {

using nlohmann::json;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::SizeIs;

json Status(const Report& report) { return json::parse(StatusJson(report)); }

Report OneLoop() {
  Report report;
  report.duration_seconds = 20;
  report.threshold_seconds = 0.1;
  report.processes = {{.pid = 1,
                       .executable = "/srv/server",
                       .loops = {{.thread_id = 2, .thread_name = "io", .kind = "epoll"}}}};
  report.timeline.loops = {{.pid = 1, .thread_id = 2, .thread_name = "io"}};
  return report;
}

void AddInterval(Report& report, double busy_share, uint64_t turns = 10,
                 double longest_step_seconds = 0.001) {
  auto& intervals = report.timeline.loops.back().intervals;
  intervals.push_back({.start_seconds = 0.1 * static_cast<double>(intervals.size()),
                       .duration_seconds = 0.1,
                       .busy_seconds = 0.1 * busy_share,
                       .idle_seconds = 0.1 * (1 - busy_share),
                       .longest_step_seconds = longest_step_seconds,
                       .turns = turns});
}

Finding Sleep(double total, const std::string& id) {
  Finding finding;
  finding.id = id;
  finding.rule = "blocking-call";
  finding.level = "error";
  finding.call = "nanosleep";
  finding.cause = "blocking-call";
  finding.pid = 1;
  finding.thread_id = 2;
  finding.count = 1;
  finding.total_seconds = total;
  finding.max_seconds = total;
  finding.stack = {{.function = "Serve()", .file = "/srv/src/serve.cc", .line = 12}};
  return finding;
}

TEST(StatusJson, IsWhatAPersonWantsToKnowFirst) {
  ExpectGolden("status.json", Status(SampleReport()).dump(2) + "\n");
}

TEST(StatusJson, HasNumbersOnly) {
  EXPECT_THAT(StatusJson(SampleReport()), Not(HasSubstr("null")));
  EXPECT_THAT(StatusJson(Report()), Not(HasSubstr("null")));
}

TEST(StatusJson, HasNothingToTellOfAnEmptyReport) {
  const json status = Status(Report());
  EXPECT_EQ(status["proven_loops"], 0);
  EXPECT_THAT(status["loops"], IsEmpty());
  EXPECT_THAT(status["stalls"], IsEmpty());
  EXPECT_THAT(status["sites"], IsEmpty());
}

TEST(StatusJson, TellsTheLastIntervalsOfALoop) {
  Report report = OneLoop();
  for (int i = 0; i < 100; ++i) AddInterval(report, i < 40 ? 1 : 0.25);
  const json loop = Status(report)["loops"][0];
  EXPECT_EQ(loop["utilisation"], json(std::vector<double>(60, 0.25)));
  EXPECT_EQ(loop["utilisation_mean"], 0.25);
  EXPECT_EQ(loop["utilisation_seconds"], 6.0);
}

TEST(StatusJson, WeighsIntervalsByTheirLength) {
  Report report = OneLoop();
  AddInterval(report, 1);
  report.timeline.loops[0].intervals.push_back({.duration_seconds = 0.3, .turns = 1});
  EXPECT_EQ(Status(report)["loops"][0]["utilisation_mean"], 0.25);
}

TEST(StatusJson, TellsALoopThatHasNoTimelineYet) {
  Report report = OneLoop();
  report.timeline.loops.clear();
  const json loop = Status(report)["loops"][0];
  EXPECT_THAT(loop["utilisation"], IsEmpty());
  EXPECT_EQ(loop["utilisation_mean"], 0.0);
}

TEST(StatusJson, TellsWhatHoldsALoopUpAndForHowLong) {
  Report report = OneLoop();
  report.duration_seconds = 0.1;
  AddInterval(report, 1, /*turns=*/0, /*longest_step_seconds=*/1.25);
  report.findings = {Sleep(7, "F1"), Sleep(5, "F2")};
  report.findings[1].in_progress = true;
  const json status = Status(report);
  EXPECT_EQ(status["stalled_loops"], 1);
  ASSERT_THAT(status["stalls"], SizeIs(1));
  EXPECT_EQ(status["stalls"][0]["id"], "F2");
  EXPECT_EQ(status["stalls"][0]["stalled_seconds"], 1.25) << "not 5 s, which others took, too";
  EXPECT_EQ(status["stalls"][0]["line"], 12);
  EXPECT_EQ(status["loops"][0]["stalled"], true);
  EXPECT_EQ(status["loops"][0]["stalled_by"], "F2");
  EXPECT_EQ(status["loops"][0]["stalled_seconds"], 1.25);
}

TEST(StatusJson, TellsThatALoopIsLateThoughNobodyKnowsWhy) {
  Report report = OneLoop();
  report.duration_seconds = 0.2;
  AddInterval(report, 1, /*turns=*/3, /*longest_step_seconds=*/2);
  AddInterval(report, 1, /*turns=*/0, /*longest_step_seconds=*/1.25);
  EXPECT_EQ(Status(report)["late_loops"], 1);
  EXPECT_EQ(Status(report)["loops"][0]["late_seconds"], 1.25);
  EXPECT_EQ(Status(report)["loops"][0]["stalled"], false);
  report.threshold_seconds = 1.5;
  EXPECT_EQ(Status(report)["late_loops"], 0) << "not longer than the threshold";
  report.threshold_seconds = 0.1;
  report.duration_seconds = 5;
  EXPECT_EQ(Status(report)["late_loops"], 0) << "the loop is gone";
  report.duration_seconds = 0.3;
  AddInterval(report, 1, /*turns=*/1, /*longest_step_seconds=*/1.35);
  EXPECT_EQ(Status(report)["late_loops"], 0) << "it came back";
}

TEST(StatusJson, TakesTheFindingsTimeWhereTheTimelineDoesNotKnow) {
  Report report = OneLoop();
  report.timeline.loops.clear();
  report.findings = {Sleep(5, "F1")};
  report.findings[0].in_progress = true;
  EXPECT_EQ(Status(report)["stalls"][0]["stalled_seconds"], 5.0);
}

TEST(StatusJson, SaysNothingOfAStallThatHasEnded) {
  Report report = OneLoop();
  AddInterval(report, 1, /*turns=*/0, /*longest_step_seconds=*/1.25);
  report.findings = {Sleep(7, "F1")};
  const json status = Status(report);
  EXPECT_EQ(status["stalled_loops"], 0);
  EXPECT_THAT(status["stalls"], IsEmpty());
  EXPECT_EQ(status["loops"][0]["stalled"], false);
}

TEST(StatusJson, RanksSitesByTheTimeTheyTook) {
  Report report = OneLoop();
  Finding note = Sleep(100, "N");
  note.level = "note";
  Finding never_awaited = Sleep(50, "L");
  never_awaited.call = never_awaited.cause = "";
  report.findings = {note, never_awaited, Sleep(1, "A"), Sleep(3, "B")};
  for (int i = 0; i < 30; ++i) report.findings.push_back(Sleep(0.5, "C"));
  const json status = Status(report);
  ASSERT_THAT(status["sites"], SizeIs(20));
  EXPECT_EQ(status["sites"][0]["id"], "B");
  EXPECT_EQ(status["sites"][1]["id"], "A");
  EXPECT_EQ(status["sites"][2]["id"], "C");
  EXPECT_EQ(status["hidden_sites"], 14);
  EXPECT_EQ(status["blocked_seconds"], 19.0);
}

TEST(StatusJson, ShowsTheBusiestOfManyLoops) {
  Report report;
  report.processes = {{.pid = 1, .executable = "/srv/server"}};
  for (int i = 0; i < 1000; ++i) {
    report.processes[0].loops.push_back({.thread_id = i, .busy_seconds = 1000.0 - i});
    report.timeline.loops.push_back({.pid = 1, .thread_id = i});
    AddInterval(report, i == 900 ? 0.9 : 0.1);
  }
  report.processes[0].loops[950].proven = false;
  report.findings = {Sleep(1, "F1")};
  report.findings[0].thread_id = 990;
  report.findings[0].in_progress = true;
  const json status = Status(report);
  EXPECT_EQ(status["proven_loops"], 999);
  ASSERT_THAT(status["loops"], SizeIs(200));
  EXPECT_EQ(status["hidden_loops"], 800);
  EXPECT_EQ(status["loops"][0]["thread_id"], 990) << "is stalled";
  EXPECT_EQ(status["loops"][1]["thread_id"], 900) << "is busy now";
  EXPECT_EQ(status["loops"][2]["thread_id"], 0) << "was busy";
}

TEST(StatusJson, IsBoundedWhateverTheNames) {
  for (const char* piece :
       {"\x01", "\\", "\"", "\xff", "\xe2\x80\xae", "\U0001F600", "</script>"}) {
    std::string hostile = "/";
    while (hostile.size() < 20'000) hostile += piece;
    Report report;
    report.command = {hostile, hostile};
    report.duration_seconds = std::numeric_limits<double>::infinity();
    report.processes.resize(1);
    report.processes[0].executable = hostile;
    for (int i = 0; i < 300; ++i) {
      report.processes[0].loops.push_back({.thread_id = i,
                                           .thread_name = hostile,
                                           .kind = hostile,
                                           .turns = std::numeric_limits<uint64_t>::max(),
                                           .busy_seconds = 1e300,
                                           .idle_seconds = 0.123456789});
      report.timeline.loops.push_back({.pid = 0, .thread_id = i});
      for (int j = 0; j < 100; ++j) AddInterval(report, 0.123456789);
    }
    for (int i = 0; i < 50; ++i) {
      Finding finding = Sleep(1e300, hostile);
      finding.thread_id = i;
      finding.pid = 0;
      finding.in_progress = true;
      for (std::string* text :
           {&finding.rule, &finding.level, &finding.cause, &finding.call, &finding.fingerprint,
            &finding.executable, &finding.thread_name, &finding.message, &finding.remedy,
            &finding.stack[0].function, &finding.stack[0].file}) {
        *text = hostile;
      }
      report.findings.push_back(std::move(finding));
    }
    const std::string status = StatusJson(report);
    EXPECT_LE(status.size(), size_t{512} << 10) << piece;
    EXPECT_EQ(json::parse(status)["hidden_stalls"], 30);
  }
}

TEST(StatusJson, KeepsTheEndOfALongPath) {
  Report report = OneLoop();
  report.findings = {Sleep(1, "F1")};
  report.findings[0].stack[0].file = "/" + std::string(1000, 'x') + "/serve.cc";
  const std::string file = Status(report)["sites"][0]["file"];
  EXPECT_THAT(file, testing::StartsWith("...x"));
  EXPECT_THAT(file, testing::EndsWith("/serve.cc"));
}

TEST(StatusJson, IsTheSameInAGermanLocale) {
  const std::string expected = StatusJson(SampleReport());
  const GermanNumbers german;
  EXPECT_EQ(StatusJson(SampleReport()), expected);
}

TEST(StatusPage, IsTheSameForEveryProgramAndNeedsNothingElse) {
  const std::string page = StatusPage();
  EXPECT_THAT(page, HasSubstr("default-src 'none'"));
  EXPECT_THAT(page, HasSubstr("connect-src 'self'"));
  for (const char* loads :
       {"src=", "@import", "url(", "https://", "XMLHttpRequest", "WebSocket(", "sendBeacon",
        "innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval("}) {
    EXPECT_THAT(page, Not(HasSubstr(loads)));
  }
  EXPECT_LT(page.size(), size_t{32} << 10);
}

TEST(StatusPage, LinksToWhatIsBesideIt) {
  EXPECT_THAT(StatusPage(), HasSubstr("<a href=\"metrics\">"));
  EXPECT_THAT(StatusPage(), HasSubstr("<a href=\"report.json\">"));
}

}  // namespace
}  // namespace loopsan
