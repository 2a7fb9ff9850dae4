#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <sstream>

#include "tests/reporters/format_report.h"
#include "tests/reporters/sample_report.h"

namespace loopsan {
namespace {

struct Line {
  std::vector<std::string> frames;
  uint64_t weight = 0;
};

// As flamegraph.pl does: the last space ends the stack. Fails at what is no line.
std::vector<Line> Parse(const std::string& text) {
  std::vector<Line> lines;
  std::istringstream input(text);
  for (std::string line; std::getline(input, line);) {
    const size_t space = line.rfind(' ');
    if (space == std::string::npos || space + 1 == line.size() ||
        line.find_first_not_of("0123456789", space + 1) != std::string::npos) {
      ADD_FAILURE() << "no weight: " << line;
      continue;
    }
    Line parsed{.frames = {}, .weight = std::stoull(line.substr(space + 1))};
    std::istringstream stack(line.substr(0, space));
    for (std::string frame; std::getline(stack, frame, ';');) {
      EXPECT_FALSE(frame.empty()) << line;
      parsed.frames.push_back(frame);
    }
    lines.push_back(parsed);
  }
  return lines;
}

std::string FoldedOf(const Finding& finding) {
  Report report = CleanReport();
  report.findings = {finding};
  return WriteAs("folded", report);
}

TEST(Folded, BeginsAtTheProcessAndEndsAtTheCall) {
  EXPECT_EQ(WriteAs("folded", SleepReport()), "server;io;main;app::Serve();nanosleep 500000\n");
}

TEST(Folded, HasOneStackALine) {
  for (const Report& report : {SampleReport(), HostileReport(), LargeReport()}) {
    for (const Line& line : Parse(WriteAs("folded", report))) {
      EXPECT_GE(line.frames.size(), 3u);
      EXPECT_GT(line.weight, 0u);
    }
  }
}

TEST(Folded, CallsSomethingElseThanTheSemicolonASemicolon) {
  Finding finding = SleepFinding();
  finding.stack[0].function = "a;b c;d\n";
  finding.thread_name = ";";
  EXPECT_EQ(FoldedOf(finding), "server;:;main;a:b c:d\\n;nanosleep 500000\n");
}

TEST(Folded, PutsCoroutinesBelowWhatTheyWaitFor) {
  Finding finding = SleepFinding();
  finding.async_stack = {{"app::Task<int> app::Read(int)", "read.cc", 5},
                         {"app::Task<void> app::Main()", "main.cc", 9}};
  EXPECT_EQ(
      FoldedOf(finding),
      "server;io;[co_await] app::Main();[co_await] app::Read(int);main;app::Serve();nanosleep "
      "500000\n");
}

TEST(Folded, NamesTheModuleWhereTheFunctionIsUnknown) {
  Finding finding = SleepFinding();
  finding.stack[0].function = "";
  finding.stack[1] = {};
  EXPECT_EQ(FoldedOf(finding), "server;io;[unknown];[server];nanosleep 500000\n");
}

TEST(Folded, HasNoFrameOfLoopsan) {
  Finding finding = SleepFinding();
  finding.stack.insert(finding.stack.begin(),
                       {.function = "hook", .module = "/usr/lib/libloopsan.so"});
  EXPECT_EQ(FoldedOf(finding), WriteAs("folded", SleepReport()));
}

TEST(Folded, DoesNotNameTheCallTwice) {
  Finding finding = SleepFinding();
  finding.stack.insert(finding.stack.begin(), {.function = "clock_nanosleep",
                                               .module = "/usr/lib/x86_64-linux-gnu/libc.so.6"});
  EXPECT_EQ(FoldedOf(finding), "server;io;main;app::Serve();clock_nanosleep 500000\n");
}

TEST(Folded, CountsOnlyTimeThatALoopLost) {
  Finding finding = SleepFinding();
  for (const double seconds : {std::numeric_limits<double>::quiet_NaN(),
                               std::numeric_limits<double>::infinity(), -1.0, 0.0}) {
    finding.total_seconds = seconds;
    EXPECT_EQ(FoldedOf(finding), "") << seconds;
  }
  finding = SleepFinding();
  finding.level = "note";
  EXPECT_EQ(FoldedOf(finding), "");
  finding = SleepFinding();
  finding.call = finding.cause = "";  // a library's own finding
  EXPECT_EQ(FoldedOf(finding), "");
}

TEST(Folded, KeepsTheShortestAndTheLongestTime) {
  Finding finding = SleepFinding();
  finding.total_seconds = 1e-9;
  EXPECT_EQ(Parse(FoldedOf(finding)).at(0).weight, 1u);
  finding.total_seconds = 1e300;
  EXPECT_EQ(Parse(FoldedOf(finding)).at(0).weight, 1'000'000'000'000'000u);
}

TEST(Folded, BoundsTheDepth) {
  Finding finding = SleepFinding();
  finding.stack.assign(100'000, finding.stack[0]);
  EXPECT_LE(Parse(FoldedOf(finding)).at(0).frames.size(), 502u);
}

}  // namespace
}  // namespace loopsan
