// Programs on the runtime, under loopsan: what blocks is reported with every
// co_await that led to it, whatever the compiler made of the coroutines.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "tests/support/loopsan_run.h"
#include "tests/support/process.h"
#include "tests/support/report_search.h"

namespace loopsan::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::SizeIs;

MarkedLines Marker(std::string_view marker) { return FindMarker(LOOPSAN_RUNTIME_FIVE, marker); }

class FiveCoroutines : public ::testing::TestWithParam<const char*> {};

void ExpectTheChain(const Json& finding) {
  std::vector<int> lines;
  for (const Json& frame : finding["async_stack"]) {
    EXPECT_EQ(std::filesystem::path(frame.value("file", "")).filename(), "runtime_five.cc");
    lines.push_back(frame.value("line", 0));
  }
  EXPECT_THAT(lines, ElementsAre(Marker("four").first, Marker("three").first, Marker("two").first,
                                 Marker("one").first));
  EXPECT_FALSE(FrameThat(finding, {.function = "Five", .lines = Marker("five")}).is_null());
  EXPECT_EQ(finding["task"]["name"], "worker");
  EXPECT_EQ(finding["task"]["spawner"], "main");
  EXPECT_EQ(finding["task"]["spawned_at"]["line"], Marker("spawn").first);
}

TEST_P(FiveCoroutines, HaveABlockingCallReportedWithAllTheirLines) {
  const LoopsanResult result = RunUnderLoopsan({ProgramPath(GetParam()), "sleep"});
  SCOPED_TRACE(Describe(result));
  EXPECT_EQ(result.exit_code, 0);
  const auto findings = FindingsThat(result.report, {});
  ASSERT_THAT(findings, SizeIs(1));
  EXPECT_EQ(findings[0]["rule"], "blocking-call");
  EXPECT_EQ(findings[0]["call"], "usleep");
  EXPECT_GE(findings[0]["max_seconds"], 0.2);
  EXPECT_FALSE(
      FrameThat(findings[0], {.function = "BlockForAWhile", .lines = Marker("usleep")}).is_null());
  ExpectTheChain(findings[0]);
  EXPECT_EQ(result.report["processes"][0]["loops"][0]["kind"], "loopsan");
}

TEST_P(FiveCoroutines, HaveAComputationReportedWithAllTheirLines) {
  const LoopsanResult result = RunUnderLoopsan({ProgramPath(GetParam()), "cpu"});
  SCOPED_TRACE(Describe(result));
  EXPECT_EQ(result.exit_code, 0);
  const auto findings = FindingsThat(result.report, {});
  ASSERT_THAT(findings, SizeIs(1));
  EXPECT_EQ(findings[0]["rule"], "stall");
  EXPECT_GE(findings[0]["max_seconds"], 0.29);
  EXPECT_FALSE(FrameThat(findings[0], {.function = "BlockForAWhile"}).is_null());
  ExpectTheChain(findings[0]);
}

TEST_P(FiveCoroutines, AreNotAccusedWhenTheyDoNotBlock) {
  const LoopsanResult result = RunUnderLoopsan({ProgramPath(GetParam()), "nothing"});
  SCOPED_TRACE(Describe(result));
  EXPECT_EQ(result.exit_code, 0);
  EXPECT_THAT(FindingsThat(result.report, {}), SizeIs(0));
}

TEST_P(FiveCoroutines, HaveAForgottenCoroutineReportedByTheRuntime) {
  const LoopsanResult result = RunUnderLoopsan({ProgramPath(GetParam()), "forget"});
  SCOPED_TRACE(Describe(result));
  EXPECT_EQ(result.exit_code, 0);
  const auto findings = FindingsThat(result.report, {});
  ASSERT_THAT(findings, SizeIs(1));
  EXPECT_EQ(findings[0]["rule"], "never-awaited");
  EXPECT_THAT(findings[0]["message"].get<std::string>(), HasSubstr("Forgotten()"));
  EXPECT_EQ(findings[0]["count"], 1);
  // The collector has told it; the program does not tell it again.
  EXPECT_THAT(result.err, Not(HasSubstr("loopsan: never-awaited: ")));
}

INSTANTIATE_TEST_SUITE_P(Programs, FiveCoroutines,
                         ::testing::Values("runtime_five_O0", "runtime_five_O2",
                                           "runtime_five_nopie", "runtime_five_debug"),
                         [](const auto& tested) { return std::string(tested.param); });

Finished RunAlone(const char* program, const char* mode, const char* loopsan) {
  return RunCommand({{ProgramPath(program), mode}, {loopsan}, {}});
}

size_t CountOf(const std::string& text, std::string_view part) {
  size_t count = 0;
  for (size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++count;
  return count;
}

TEST(DebugMode, WithTheProbeLinkedReportsByItselfEachFindingOnce) {
  const Finished forgets = RunAlone("runtime_five_debug", "forget", "LOOPSAN=1");
  EXPECT_EQ(forgets.exit_code, 0);
  EXPECT_EQ(CountOf(forgets.err, "F1 "), 1u) << forgets.err;
  EXPECT_EQ(CountOf(forgets.err, "F2 "), 0u) << forgets.err;
  EXPECT_THAT(forgets.err, HasSubstr("Forgotten()"));

  const Finished sleeps = RunAlone("runtime_five_debug", "sleep", "LOOPSAN=1");
  EXPECT_EQ(sleeps.exit_code, 0);
  EXPECT_EQ(CountOf(sleeps.err, "F1 error: usleep"), 1u) << sleeps.err;
  EXPECT_EQ(CountOf(sleeps.err, "[co_await]"), 4u) << sleeps.err;
}

TEST(DebugMode, WithoutTheProbePrintsTheRuntimesOwnFindings) {
  const Finished forgets = RunAlone("runtime_five_O2", "forget", "LOOPSAN=1");
  EXPECT_EQ(forgets.exit_code, 0);
  EXPECT_THAT(forgets.err, HasSubstr("loopsan: never-awaited: "));
  const Finished sleeps = RunAlone("runtime_five_O2", "sleep", "LOOPSAN=1");
  EXPECT_THAT(sleeps.err, HasSubstr("loopsan: slow-step: a step of task 'worker' took 2"));
}

TEST(DebugMode, ThatIsOffPrintsNothing) {
  for (const char* program : {"runtime_five_O2", "runtime_five_debug"}) {
    for (const char* off : {"LOOPSAN=0", "LOOPSAN=off", "LOOPSAN="}) {
      const Finished quiet = RunAlone(program, "forget", off);
      EXPECT_EQ(quiet.exit_code, 0);
      EXPECT_EQ(quiet.err, "") << program << " with " << off;
    }
  }
}

TEST(DebugMode, IsOnUnderLoopsanRunWhateverTheVariableSays) {
  const LoopsanResult result =
      RunUnderLoopsan({"env", "LOOPSAN=0", ProgramPath("runtime_five_O2"), "forget"});
  SCOPED_TRACE(Describe(result));
  EXPECT_THAT(FindingsThat(result.report, {}), SizeIs(1));
}

TEST(DebugMode, SaysOnceThatItDoesNotUnderstandTheVariable) {
  for (const char* program : {"runtime_five_O2", "runtime_five_debug"}) {
    const Finished finished = RunAlone(program, "nothing", "LOOPSAN=perhaps");
    EXPECT_NE(finished.exit_code, 0);
    EXPECT_EQ(CountOf(finished.err, "LOOPSAN=perhaps is not understood"), 1u) << finished.err;
  }
}

TEST(DebugMode, WithTheProbeLinkedTellsALostWakeupWhileTheProgramHangs) {
  Process hangs({{ProgramPath("runtime_five_debug"), "lost"}, {"LOOPSAN=1"}, {}});
  EXPECT_TRUE(hangs.WaitForError("lost-wakeup: "));
  EXPECT_TRUE(hangs.WaitForError("waits for an event that nobody is left to give"));
}

}  // namespace
}  // namespace loopsan::testing
