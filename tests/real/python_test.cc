// Unmodified CPython with asyncio.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <vector>

#include "tests/support/loopsan_run.h"
#include "tests/support/report_search.h"

namespace loopsan::testing {
namespace {

using ::testing::IsEmpty;

// The distribution's, whose names are the ones expected here; without writing
// byte code next to the scripts.
LoopsanResult RunPython(const std::string& script) {
  return RunUnderLoopsan({"/usr/bin/python3", "-B", ScriptPath("python/" + script)});
}

constexpr char kEvalFrame[] = "_PyEval_EvalFrameDefault";

TEST(Asyncio, TimeSleepInACoroutineIsABlockingCall) {
  const LoopsanResult result = RunPython("time_sleep.py");
  SCOPED_TRACE(Describe(result));
  EXPECT_EQ(result.exit_code, 0);

  const auto sleeps =
      FindingsThat(result.report,
                   {.rule = "blocking-call", .calls = {"clock_nanosleep"}, .function = kEvalFrame});
  ASSERT_EQ(sleeps.size(), 1u);
  EXPECT_EQ(sleeps[0]["category"], "sleep");
  EXPECT_EQ(sleeps[0]["count"], 1);
  EXPECT_GE(sleeps[0]["max_seconds"], 0.2);
  EXPECT_LE(sleeps[0]["max_seconds"], 2.0);
  EXPECT_THAT(FindingsThat(result.report, {.rule = "stall"}), IsEmpty());
}

TEST(Asyncio, TheTraceHasItsWaitsBesideWhatBlocked) {
  const TemporaryDirectory directory;
  const std::string path = directory / "trace.json";
  const LoopsanResult result = RunUnderLoopsan(
      {"/usr/bin/python3", "-B", ScriptPath("python/waits.py")}, {.flags = {"--trace=" + path}});
  SCOPED_TRACE(Describe(result));
  std::ifstream file(path);
  const Json trace = Json::parse(file);
  struct Slice {
    double begin;
    double end;
  };
  std::vector<Slice> waits;
  std::vector<Slice> turns;
  for (const Json& event : trace["traceEvents"]) {
    if (event["ph"] != "X") continue;
    EXPECT_EQ(event["tid"], result.report["timeline"]["loops"][0]["thread_id"]);
    const double begin = event["ts"];
    const Slice slice{begin, begin + event["dur"].get<double>()};
    if (event["name"] == "turn") turns.push_back(slice);
    // asyncio also polls; and a starved machine makes more waits of one.
    if (event["name"] == "wait" && slice.end - slice.begin > 100'000) waits.push_back(slice);
  }
  ASSERT_GE(turns.size(), 1u);
  ASSERT_EQ(waits.size(), 3u);
  double waited = 0;
  for (const Slice& wait : waits) {
    waited += wait.end - wait.begin;
    for (const Slice& turn : turns) {
      EXPECT_TRUE(wait.end <= turn.begin + 0.001 || turn.end <= wait.begin + 0.001)
          << wait.begin << " to " << wait.end << ", " << turn.begin << " to " << turn.end;
    }
  }
  EXPECT_LE(waited / 1e6, result.report["processes"][0]["loops"][0]["idle_seconds"]);
  EXPECT_EQ(result.report["timeline"]["dropped_waits"], 0);
}

TEST(Asyncio, ABlockingRecvIsABlockingCall) {
  const LoopsanResult result = RunPython("socket_recv.py");
  SCOPED_TRACE(Describe(result));
  EXPECT_EQ(result.exit_code, 0);

  const auto receives =
      FindingsThat(result.report, {.rule = "blocking-call", .calls = {"recv", "__recv_chk"}});
  ASSERT_EQ(receives.size(), 1u);
  EXPECT_EQ(receives[0]["category"], "socket");
  EXPECT_GE(receives[0]["max_seconds"], 0.15);  // the other thread may be ahead
  EXPECT_LE(receives[0]["max_seconds"], 2.0);
  EXPECT_THAT(FindingsThat(result.report, {.calls = {"clock_nanosleep"}}), IsEmpty())
      << "the sleep was on another thread";
  EXPECT_THAT(FindingsThat(result.report, {.rule = "stall"}), IsEmpty());
}

TEST(Asyncio, SubprocessRunIsABlockingCall) {
  const LoopsanResult result = RunPython("subprocess_run.py");
  SCOPED_TRACE(Describe(result));
  EXPECT_EQ(result.exit_code, 0);

  const auto waits =
      FindingsThat(result.report, {.rule = "blocking-call", .calls = {"waitpid", "wait4"}});
  ASSERT_EQ(waits.size(), 1u);
  EXPECT_EQ(waits[0]["category"], "process");
  EXPECT_GE(waits[0]["max_seconds"], 0.15);  // the child starts before the wait does
  EXPECT_LE(waits[0]["max_seconds"], 2.0);
  EXPECT_THAT(FindingsThat(result.report, {.rule = "stall"}), IsEmpty());
}

TEST(Asyncio, EachOfTwoRunsHasItsBlockingCallFound) {
  const LoopsanResult result = RunPython("two_runs.py");
  SCOPED_TRACE(Describe(result));
  EXPECT_EQ(result.exit_code, 0);

  int count = 0;
  double total = 0;
  for (const Json& sleep :
       FindingsThat(result.report, {.rule = "blocking-call", .calls = {"clock_nanosleep"}})) {
    count += sleep["count"].get<int>();
    total += sleep["total_seconds"].get<double>();
  }
  EXPECT_EQ(count, 2);
  EXPECT_GE(total, 0.4);
  EXPECT_THAT(FindingsThat(result.report, {.rule = "stall"}), IsEmpty());
}

TEST(Asyncio, WorkBetweenAndAfterRunsIsNotReported) {
  const LoopsanResult result = RunPython("work_after_run.py");
  SCOPED_TRACE(Describe(result));
  EXPECT_EQ(result.exit_code, 0);
  EXPECT_TRUE(AccusesNobody(result.report));
}

TEST(Asyncio, AComputationInACoroutineIsAStallWithCauseCpu) {
  const LoopsanResult result = RunPython("cpu_loop.py");
  SCOPED_TRACE(Describe(result));
  EXPECT_EQ(result.exit_code, 0);

  const auto stalls = FindingsThat(result.report, {.rule = "stall", .function = kEvalFrame});
  ASSERT_EQ(stalls.size(), 1u);
  EXPECT_EQ(stalls[0]["cause"], "cpu");
  EXPECT_GE(stalls[0]["max_seconds"], 0.25);
  EXPECT_LE(stalls[0]["max_seconds"], 2.0);
}

TEST(Asyncio, TheSameCallsElsewhereAreNotReported) {
  const LoopsanResult result = RunPython("clean.py");
  SCOPED_TRACE(Describe(result));
  EXPECT_EQ(result.exit_code, 0);
  EXPECT_TRUE(AccusesNobody(result.report));
}

}  // namespace
}  // namespace loopsan::testing
