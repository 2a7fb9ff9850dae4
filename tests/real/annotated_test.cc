// A program that tells its steps, tasks and coroutines (instrument/annotate.h):
// what it did wrong is reported with the names and lines that it told.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <filesystem>
#include <fstream>

#include "tests/support/loopsan_run.h"
#include "tests/support/report_search.h"

namespace loopsan::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;

class Annotated : public ::testing::TestWithParam<const char*> {
 protected:
  LoopsanResult Run(const std::string& scenario, LoopsanSettings settings = {}) {
    LoopsanResult result =
        RunUnderLoopsan({ProgramPath(GetParam()), scenario}, std::move(settings));
    EXPECT_EQ(result.exit_code, 0);
    EXPECT_EQ(result.out, "watched\n");
    return result;
  }
};

int Line(std::string_view marker) { return FindMarker(LOOPSAN_ANNOTATED, marker).first; }

void ExpectPlace(const Json& place, std::string_view marker, std::string_view function) {
  EXPECT_EQ(std::filesystem::path(place.value("file", "")).filename(), "victim_annotated.cc");
  EXPECT_EQ(place.value("line", 0), Line(marker)) << marker;
  EXPECT_THAT(place.value("function", ""), HasSubstr(function));
}

// The coroutines that wait, the task, and nothing of what resumed it.
void ExpectTheReader(const Json& finding) {
  ASSERT_THAT(finding["async_stack"], SizeIs(4));
  ExpectPlace(finding["async_stack"][0], "four", "Four");
  ExpectPlace(finding["async_stack"][1], "three", "Three");
  ExpectPlace(finding["async_stack"][2], "two", "Two");
  ExpectPlace(finding["async_stack"][3], "one", "One");
  EXPECT_EQ(finding["task"]["name"], "reader");
  EXPECT_EQ(finding["task"]["id"], 2);
  EXPECT_EQ(finding["task"]["spawner"], "acceptor");
  ExpectPlace(finding["task"]["spawned_at"], "spawned", "RunDeep");
  ExpectPlace(finding["stack"].back(), "five", "Five");
}

TEST_P(Annotated, HasABlockingCallReportedWithAllCoroutines) {
  const LoopsanResult result = Run("block");
  SCOPED_TRACE(Describe(result));
  const auto findings = FindingsThat(result.report, {});
  ASSERT_THAT(findings, SizeIs(1));
  EXPECT_EQ(findings[0]["rule"], "blocking-call");
  EXPECT_EQ(findings[0]["call"], "usleep");
  EXPECT_EQ(findings[0]["count"], 1);
  EXPECT_GE(findings[0]["max_seconds"], 0.2);
  EXPECT_FALSE(FrameThat(findings[0],
                         {.function = "Sleep", .lines = FindMarker(LOOPSAN_ANNOTATED, "usleep")})
                   .is_null());
  ExpectTheReader(findings[0]);
  const Json& loop = result.report["processes"][0]["loops"][0];
  EXPECT_EQ(loop["kind"], "by-hand");
  EXPECT_GE(loop["longest_step_seconds"], 0.2);
  EXPECT_EQ(loop["proven"], true);
}

TEST_P(Annotated, HasAComputationReportedWithAllCoroutines) {
  const LoopsanResult result = Run("compute");
  SCOPED_TRACE(Describe(result));
  const auto findings = FindingsThat(result.report, {});
  ASSERT_THAT(findings, SizeIs(1));
  EXPECT_EQ(findings[0]["rule"], "stall");
  EXPECT_EQ(findings[0]["cause"], "cpu");
  EXPECT_GE(findings[0]["max_seconds"], 0.29);
  EXPECT_FALSE(FrameThat(findings[0], {.function = "Compute"}).is_null());
  ExpectTheReader(findings[0]);
  EXPECT_THAT(result.err, HasSubstr("computing in task \"reader\""));
}

TEST_P(Annotated, HasAStepThatNeverEndsReportedWhileItRuns) {
  LoopsanProcess process({ProgramPath(GetParam()), "never_end"});
  ASSERT_TRUE(process.process().WaitForError("has not come back to its event loop"));
  process.Signal(SIGTERM);
  const LoopsanResult result = process.Wait();
  SCOPED_TRACE(Describe(result));
  const auto findings = FindingsThat(result.report, {});
  ASSERT_THAT(findings, SizeIs(1));
  EXPECT_EQ(findings[0]["rule"], "stall");
  EXPECT_EQ(findings[0]["in_progress"], true);
  ExpectTheReader(findings[0]);
}

TEST_P(Annotated, IsNotAccusedOfATurnOfManyShortSteps) {
  const LoopsanResult result = Run("many_steps");
  SCOPED_TRACE(Describe(result));
  const auto findings = FindingsThat(result.report, {});
  ASSERT_THAT(findings, SizeIs(1));
  EXPECT_EQ(findings[0]["rule"], "long-turn");
  EXPECT_EQ(findings[0]["level"], "note");
  EXPECT_GE(findings[0]["max_seconds"], 0.29);
  EXPECT_EQ(findings[0]["detail"], "200 steps in the longest of them");
  EXPECT_THAT(findings[0]["note"].get<std::string>(),
              HasSubstr("task \"chatty\" from victim_annotated.cc:" +
                        std::to_string(Line("chatty")) + " took "));
}

TEST_P(Annotated, IsNotAccusedOfWhatItDoesBetweenItsSteps) {
  const LoopsanResult result = Run("block_outside");
  SCOPED_TRACE(Describe(result));
  EXPECT_THAT(FindingsThat(result.report, {}), IsEmpty());
  EXPECT_GE(TurnsIn(result.report), 3u);
}

TEST_P(Annotated, IsNotAccusedOfBlockingThatItMeans) {
  const LoopsanResult result = Run("allow");
  SCOPED_TRACE(Describe(result));
  EXPECT_THAT(FindingsThat(result.report, {}), IsEmpty());
  EXPECT_THAT(result.err, Not(HasSubstr("stall")));
  EXPECT_GE(result.report["processes"][0]["loops"][0]["longest_step_seconds"], 0.2);
}

TEST_P(Annotated, HasACallbackReportedWithThePlaceThatScheduledIt) {
  const LoopsanResult result = Run("callback");
  SCOPED_TRACE(Describe(result));
  const auto findings = FindingsThat(result.report, {.rule = "blocking-call"});
  ASSERT_THAT(findings, SizeIs(1));
  EXPECT_EQ(findings[0]["task"]["id"], 0);
  ExpectPlace(findings[0]["task"]["spawned_at"], "scheduled", "BlockInACallback");
  EXPECT_THAT(findings[0]["async_stack"], IsEmpty());
}

// A loop that tells a part of its steps.
TEST_P(Annotated, HasAStepReportedThatItTellsAmongOthers) {
  const LoopsanResult result = Run("block_told");
  SCOPED_TRACE(Describe(result));
  const auto findings = FindingsThat(result.report, {});
  ASSERT_THAT(findings, SizeIs(1));
  EXPECT_EQ(findings[0]["call"], "usleep");
  ExpectPlace(findings[0]["task"]["spawned_at"], "told", "RunPartly");
}

TEST_P(Annotated, HasACallbackReportedThatItDoesNotTell) {
  const LoopsanResult result = Run("block_untold");
  SCOPED_TRACE(Describe(result));
  const auto findings = FindingsThat(result.report, {});
  ASSERT_THAT(findings, SizeIs(1));
  EXPECT_EQ(findings[0]["call"], "usleep");
  EXPECT_FALSE(FrameThat(findings[0], {.function = "RunPartly"}).is_null());
  EXPECT_EQ(findings[0]["task"]["spawned_at"]["file"], "");
  EXPECT_EQ(result.report["processes"][0]["loops"][0]["kind"], "by-hand");
}

TEST_P(Annotated, IsNotAccusedOfItsOwnWorkIfItTellsAllSteps) {
  const LoopsanResult result = Run("block_own_work");
  SCOPED_TRACE(Describe(result));
  EXPECT_THAT(FindingsThat(result.report, {}), IsEmpty());
}

TEST_P(Annotated, IsNotAccusedOfAToldAndAnotherShortCallback) {
  const LoopsanResult result = Run("partly_short");
  SCOPED_TRACE(Describe(result));
  EXPECT_TRUE(AccusesNobody(result.report));
}

TEST_P(Annotated, MayWaitWithoutEpoll) {
  const LoopsanResult result = Run("poll");
  SCOPED_TRACE(Describe(result));
  EXPECT_THAT(FindingsThat(result.report, {}), IsEmpty()) << "not even one long turn";
  EXPECT_GE(TurnsIn(result.report), 20u);
}

TEST_P(Annotated, MayBeTheGuestOfALoopThatIsKnown) {
  const LoopsanResult result = Run("if_known");
  SCOPED_TRACE(Describe(result));
  const auto findings = FindingsThat(result.report, {});
  ASSERT_THAT(findings, SizeIs(1));
  EXPECT_EQ(findings[0]["call"], "usleep");
}

TEST_P(Annotated, MayDestroyATaskInItsOwnStep) {
  const LoopsanResult result = Run("destroy_itself");
  SCOPED_TRACE(Describe(result));
  EXPECT_THAT(FindingsThat(result.report, {.rule = "stall", .function = "Compute"}), SizeIs(1));
}

TEST_P(Annotated, HasFindingsOfItsOwnReportedWithTheirStack) {
  const LoopsanResult result = Run("finding");
  SCOPED_TRACE(Describe(result));
  const auto findings = FindingsThat(result.report, {});
  ASSERT_THAT(findings, SizeIs(1)) << "two threads, one place";
  const Json& finding = findings[0];
  EXPECT_EQ(finding["rule"], "never-awaited");
  EXPECT_EQ(finding["level"], "warning");
  EXPECT_EQ(finding["count"], 2);
  EXPECT_EQ(finding["message"], "the coroutine Read was destroyed without having been awaited");
  EXPECT_EQ(finding["remedy"], "co_await it, or spawn it");
  EXPECT_EQ(finding["task"]["name"], "reader");
  ExpectPlace(finding["where"], "finding", "ReportByItself");
  ExpectPlace(finding["task"]["spawned_at"], "finding", "ReportByItself");
  EXPECT_FALSE(FrameThat(finding, {.lines = FindMarker(LOOPSAN_ANNOTATED, "backtrace")}).is_null());
  EXPECT_EQ(finding["stack_source"], "library");
  EXPECT_THAT(result.err, HasSubstr("SUMMARY: loopsan: never-awaited"));
}

TEST_P(Annotated, HasADeadlockReportedWithItsMembers) {
  const LoopsanResult result = Run("deadlock");
  SCOPED_TRACE(Describe(result));
  const auto findings = FindingsThat(result.report, {});
  ASSERT_THAT(findings, SizeIs(1));
  const Json& finding = findings[0];
  EXPECT_EQ(finding["rule"], "deadlock");
  EXPECT_EQ(finding["level"], "error");
  EXPECT_EQ(finding["note"], "");
  ASSERT_THAT(finding["members"], SizeIs(2));
  EXPECT_EQ(finding["members"][0]["what"], "task 'reader' waits for executor 'pool'");
  ExpectPlace(finding["members"][0]["where"], "member", "ReportADeadlock");
  EXPECT_THAT(finding["members"][0]["stack"], IsEmpty());
  const Json& thread = finding["members"][1];
  EXPECT_EQ(thread["what"], "thread pool_0 waits for task 'reader'");
  EXPECT_EQ(thread["where"]["file"], "");
  for (const char* marker : {"stands", "thread"}) {
    EXPECT_FALSE(FrameThat(thread, {.lines = FindMarker(LOOPSAN_ANNOTATED, marker)}).is_null())
        << marker;
  }
  EXPECT_THAT(result.err, HasSubstr("loopsan: deadlock: "));
  EXPECT_THAT(result.err, HasSubstr("    members:\n"
                                    "      task 'reader' waits for executor 'pool' at "));
}

TEST_P(Annotated, MayBeBuiltAgainstAHeaderWithoutMembers) {
  const LoopsanResult result = Run("old_finding");
  SCOPED_TRACE(Describe(result));
  const auto findings = FindingsThat(result.report, {});
  ASSERT_THAT(findings, SizeIs(1));
  EXPECT_EQ(findings[0]["count"], 2);
  EXPECT_THAT(findings[0]["members"], IsEmpty());
}

TEST_P(Annotated, HasAsMuchOfAFindingReportedAsThereIsRoomFor) {
  const LoopsanResult result = Run("large_finding");
  SCOPED_TRACE(Describe(result));
  const auto findings = FindingsThat(result.report, {});
  ASSERT_THAT(findings, SizeIs(1));
  const Json& members = findings[0]["members"];
  ASSERT_GE(members.size(), 2u);
  ASSERT_LE(members.size(), 16u);
  EXPECT_EQ(members[1]["what"], std::string(1024, 'x'));
  EXPECT_EQ(findings[0]["note"], std::to_string(40 - members.size()) + " more members");
}

TEST_P(Annotated, IsWatchedInAForkedChild) {
  const LoopsanResult result = Run("fork");
  SCOPED_TRACE(Describe(result));
  const auto findings = FindingsThat(result.report, {.rule = "blocking-call"});
  ASSERT_THAT(findings, SizeIs(1));
  ExpectTheReader(findings[0]);
  EXPECT_NE(findings[0]["pid"], result.report["processes"][0]["pid"]);
}

TEST_P(Annotated, IsReportedWhereOnlyTheProbeWasPreloaded) {
  const Finished finished = RunCommand(
      {{ProgramPath(GetParam()), "block"}, {std::string("LD_PRELOAD=") + LOOPSAN_PROBE}, {}});
  EXPECT_EQ(finished.exit_code, 0);
  EXPECT_EQ(finished.out, "watched\n");
  EXPECT_THAT(finished.err, HasSubstr("usleep(0.200 s) blocked the event loop"));
  EXPECT_THAT(finished.err,
              HasSubstr("victim_annotated.cc:" + std::to_string(Line("one")) + " [co_await]"));
  EXPECT_THAT(finished.err, HasSubstr("spawned at " + std::string(LOOPSAN_ANNOTATED) + ":" +
                                      std::to_string(Line("spawned"))));
}

TEST_P(Annotated, RunsAloneWithoutAProbe) {
  const Finished finished = RunCommand({{ProgramPath(GetParam()), "block"}, {}, {}});
  EXPECT_EQ(finished.exit_code, 0);
  EXPECT_EQ(finished.out, "not watched\n");
  EXPECT_EQ(finished.err, "");
}

TEST_P(Annotated, MayExitInAStep) {
  const LoopsanResult result = Run("exit_in_step");
  SCOPED_TRACE(Describe(result));
  const auto findings = FindingsThat(result.report, {.rule = "stall"});
  ASSERT_THAT(findings, SizeIs(1));
  ExpectTheReader(findings[0]);
}

INSTANTIATE_TEST_SUITE_P(BuiltAs, Annotated,
                         ::testing::Values("victim_annotated_O0", "victim_annotated_O2"),
                         [](const auto& info) { return std::string(info.param).substr(17); });

// ---- linked with loopsan::debug ---------------------------------------------

Finished RunDebug(const std::string& scenario, std::vector<std::string> environment) {
  return RunCommand({{ProgramPath("victim_annotated_debug"), scenario}, environment, {}});
}

size_t CountOf(const std::string& text, const std::string& part) {
  size_t count = 0;
  for (size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++count;
  return count;
}

TEST(DebugLibrary, ReportsWhatTheProgramDidIfItIsWanted) {
  const Finished finished = RunDebug("block", {"LOOPSAN=1"});
  EXPECT_EQ(finished.exit_code, 0);
  EXPECT_EQ(finished.out, "watched\n");
  EXPECT_THAT(finished.err, HasSubstr("has not come back to its event loop"));
  EXPECT_THAT(finished.err, HasSubstr("usleep(0.200 s) blocked the event loop"));
  for (const char* coroutine : {"four", "three", "two", "one"}) {
    EXPECT_THAT(finished.err, HasSubstr("victim_annotated.cc:" + std::to_string(Line(coroutine)) +
                                        " [co_await]"));
  }
  EXPECT_EQ(CountOf(finished.err, "SUMMARY: loopsan: "), 1u);
}

TEST(DebugLibrary, TakesStacksOfRunningThreadsOfItsOwnProcess) {
  const Finished finished = RunDebug("compute", {"LOOPSAN=true"});
  EXPECT_EQ(finished.exit_code, 0);
  // Or in what it calls to see how long it has computed.
  EXPECT_THAT(finished.err, HasSubstr("computing in "));
  EXPECT_THAT(finished.err, HasSubstr("(anonymous namespace)::Compute(double)"));
}

TEST(DebugLibrary, ShowsTheMembersOfADeadlock) {
  const Finished finished = RunDebug("deadlock", {"LOOPSAN=1"});
  EXPECT_EQ(finished.exit_code, 0);
  EXPECT_THAT(finished.err, HasSubstr("      task 'reader' waits for executor 'pool' at "));
  EXPECT_THAT(finished.err, HasSubstr("      thread pool_0 waits for task 'reader'\n        #0 "));
}

TEST(DebugLibrary, IsSilentIfItIsNotWanted) {
  for (const char* off : {"LOOPSAN=", "LOOPSAN=0", "LOOPSAN=false", "LOOPSAN=NO", "LOOPSAN=off"}) {
    const Finished finished = RunDebug("block", {off});
    EXPECT_EQ(finished.exit_code, 0);
    EXPECT_EQ(finished.out, "not watched\n") << off;
    EXPECT_EQ(finished.err, "") << off;
  }
}

TEST(DebugLibrary, SaysThatItDoesNotUnderstand) {
  const Finished value = RunDebug("block", {"LOOPSAN=2"});
  EXPECT_EQ(value.exit_code, 0);
  EXPECT_EQ(value.out, "not watched\n");
  EXPECT_THAT(value.err, HasSubstr("loopsan: LOOPSAN=2 is not understood"));
  const Finished options = RunDebug("block", {"LOOPSAN=1", "LOOPSAN_OPTIONS=threshhold=1s"});
  EXPECT_EQ(options.out, "not watched\n");
  EXPECT_THAT(options.err, HasSubstr("loopsan: LOOPSAN_OPTIONS: unknown option 'threshhold'"));
}

TEST(DebugLibrary, HonoursTheOptions) {
  TemporaryDirectory directory;
  const Finished finished = RunDebug(
      "block",
      {"LOOPSAN=1", "LOOPSAN_OPTIONS=threshold=150ms:output=" + (directory / "report.txt") +
                        ":json=" + (directory / "report.json")});
  EXPECT_EQ(finished.err, "");
  std::ifstream file(directory / "report.json");
  const Json report = Json::parse(file);
  EXPECT_EQ(report["threshold_seconds"], 0.15);
  EXPECT_EQ(report["command"][1], "block");
  EXPECT_THAT(FindingsThat(report, {.rule = "blocking-call"}), SizeIs(1));
  EXPECT_TRUE(std::filesystem::exists(directory / "report.txt"));
}

TEST(DebugLibrary, LeavesTheReportToLoopsanRun) {
  const LoopsanResult result =
      RunUnderLoopsan({ProgramPath("victim_annotated_debug"), "block"}, {{}, {"LOOPSAN=1"}});
  SCOPED_TRACE(Describe(result));
  EXPECT_EQ(result.out, "watched\n");
  EXPECT_THAT(FindingsThat(result.report, {}), SizeIs(1));
  EXPECT_EQ(CountOf(result.err, "SUMMARY: loopsan: "), 1u);
}

TEST(DebugLibrary, LeavesTheReportToAPreloadedProbe) {
  const Finished finished =
      RunDebug("block", {"LOOPSAN=1", std::string("LD_PRELOAD=") + LOOPSAN_PROBE});
  EXPECT_EQ(finished.out, "watched\n");
  EXPECT_EQ(CountOf(finished.err, "SUMMARY: loopsan: "), 1u);
}

TEST(DebugLibrary, SaysThatItSawNoLoop) {
  const Finished finished = RunDebug("no such scenario", {"LOOPSAN=1"});
  EXPECT_EQ(finished.exit_code, 2);
  EXPECT_THAT(finished.err, HasSubstr("no event loop was seen in 1 process"));
}

TEST(DebugLibrary, ReportsWhenTheProgramExitsInAStep) {
  const Finished finished = RunDebug("exit_in_step", {"LOOPSAN=1"});
  EXPECT_EQ(finished.exit_code, 0);
  EXPECT_THAT(finished.err, HasSubstr("one step in task \"reader\""));
  EXPECT_EQ(CountOf(finished.err, "SUMMARY: loopsan: "), 1u);
}

TEST(DebugLibrary, ReportsForEachForkedChildThatRunsALoop) {
  const Finished finished = RunDebug("fork", {"LOOPSAN=1"});
  EXPECT_EQ(finished.exit_code, 0);
  EXPECT_EQ(CountOf(finished.err, "SUMMARY: loopsan: blocking-call"), 1u) << finished.err;
  EXPECT_EQ(CountOf(finished.err, "loopsan: no blocking found in 1 loop"), 1u) << finished.err;
}

TEST(DebugLibrary, AddsNothingToACrash) {
  const Finished finished = RunDebug("crash", {"LOOPSAN=1"});
  EXPECT_EQ(finished.signal, SIGABRT);
  EXPECT_EQ(finished.err, "");
}

}  // namespace
}  // namespace loopsan::testing
