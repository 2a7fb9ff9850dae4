// Loops of other libraries whose callbacks are told as steps, each by one line
// (instrument/adapters/), and the example that calls annotate.h itself.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "tests/support/loopsan_run.h"
#include "tests/support/report_search.h"

namespace loopsan::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

LoopsanResult RunProgram(const std::string& program, const std::string& scenario) {
  LoopsanResult result = RunUnderLoopsan({ProgramPath(program), scenario});
  EXPECT_EQ(result.exit_code, 0);
  return result;
}

void ExpectPlace(const Json& place, const std::string& program, const std::string& marker) {
  const std::string source = program + ".c";
  EXPECT_EQ(std::filesystem::path(place.value("file", "")).filename(), source);
  const int line = FindMarker(LOOPSAN_PROGRAM_SOURCES + source, marker).first;
  EXPECT_EQ(place.value("line", 0), line) << marker;
}

class Steps : public ::testing::TestWithParam<const char*> {};

TEST_P(Steps, HaveABlockingCallReportedWithTheLineThatMadeItsCallback) {
  const LoopsanResult result = RunProgram(GetParam(), "slow");
  SCOPED_TRACE(Describe(result));
  const auto findings = FindingsThat(result.report, {});
  ASSERT_THAT(findings, SizeIs(1));
  EXPECT_EQ(findings[0]["call"], "usleep");
  ExpectPlace(findings[0]["task"]["spawned_at"], GetParam(), "created");
}

TEST_P(Steps, HaveAComputationReportedWithTheLineThatMadeItsCallback) {
  const LoopsanResult result = RunProgram(GetParam(), "compute");
  SCOPED_TRACE(Describe(result));
  const auto findings = FindingsThat(result.report, {.rule = "stall", .function = "Compute"});
  ASSERT_THAT(findings, SizeIs(1));
  ExpectPlace(findings[0]["task"]["spawned_at"], GetParam(), "created");
}

TEST_P(Steps, AreNotAccusedOfManyShortOnesInOneTurn) {
  const LoopsanResult result = RunProgram(GetParam(), "many_short");
  SCOPED_TRACE(Describe(result));
  EXPECT_TRUE(AccusesNobody(result.report));
}

TEST_P(Steps, AreNotAccusedWhenTheyDoNotBlock) {
  const LoopsanResult result = RunProgram(GetParam(), "clean");
  SCOPED_TRACE(Describe(result));
  EXPECT_THAT(FindingsThat(result.report, {}), IsEmpty());
  EXPECT_GE(TurnsIn(result.report), 10u);
}

TEST_P(Steps, GiveEveryCallbackItsArguments) {
  const LoopsanResult result = RunProgram(GetParam(), "all");
  SCOPED_TRACE(Describe(result));
  EXPECT_TRUE(AccusesNobody(result.report));
  const Finished alone = RunCommand({{ProgramPath(GetParam()), "all"}, {}, {}});
  EXPECT_EQ(alone.exit_code, 0) << alone.err;
}

INSTANTIATE_TEST_SUITE_P(Of, Steps,
                         ::testing::Values("steps_libuv", "steps_libevent", "steps_glib"),
                         [](const auto& tested) { return std::string(tested.param).substr(6); });

class UntoldCallbacks : public ::testing::TestWithParam<const char*> {};

TEST_P(UntoldCallbacks, AreReportedByTheirStacksAsEver) {
  const LoopsanResult result = RunProgram(GetParam(), "untold");
  SCOPED_TRACE(Describe(result));
  const auto findings = FindingsThat(result.report, {});
  ASSERT_THAT(findings, SizeIs(1));
  EXPECT_EQ(findings[0]["call"], "usleep");
  EXPECT_EQ(findings[0]["task"]["spawned_at"]["file"], "");
}

INSTANTIATE_TEST_SUITE_P(Of, UntoldCallbacks, ::testing::Values("steps_libuv", "steps_libevent"),
                         [](const auto& tested) { return std::string(tested.param).substr(6); });

TEST(LibeventSteps, NameTheLineOfACallbackThatIsMadeForOneCall) {
  const LoopsanResult result = RunProgram("steps_libevent", "once");
  SCOPED_TRACE(Describe(result));
  const auto findings = FindingsThat(result.report, {});
  ASSERT_THAT(findings, SizeIs(1));
  ExpectPlace(findings[0]["task"]["spawned_at"], "steps_libevent", "once");
}

TEST(GlibSteps, AreNotAccusedOfAMainLoopThatACallbackRuns) {
  const LoopsanResult result = RunProgram("steps_glib", "inner");
  SCOPED_TRACE(Describe(result));
  EXPECT_THAT(FindingsThat(result.report, {}), IsEmpty());
}

TEST(LibuvSteps, ShowTheCoroutinesThatTheirCallbacksResume) {
  const LoopsanResult result = RunUnderLoopsan({ProgramPath("steps_coroutine")});
  SCOPED_TRACE(Describe(result));
  EXPECT_EQ(result.exit_code, 0);
  const auto findings = FindingsThat(result.report, {});
  ASSERT_THAT(findings, SizeIs(1));
  EXPECT_EQ(findings[0]["call"], "usleep");
  const std::string source = LOOPSAN_PROGRAM_SOURCES "steps_coroutine.cc";
  EXPECT_EQ(findings[0]["task"]["spawned_at"]["line"], FindMarker(source, "closed").first);
  ASSERT_THAT(findings[0]["async_stack"], SizeIs(1));
  EXPECT_EQ(findings[0]["async_stack"][0]["line"], FindMarker(source, "outer").first);
}

// ---- the examples ---------------------------------------------------------------

TEST(AnnotatedLoopExample, IsReportedAsItsDocumentationShows) {
  const LoopsanResult result = RunUnderLoopsan({LOOPSAN_EXAMPLES "annotated_loop"});
  SCOPED_TRACE(Describe(result));
  EXPECT_EQ(result.exit_code, 0);
  EXPECT_EQ(result.out, "read: one\n");
  const auto findings = FindingsThat(result.report, {});
  ASSERT_THAT(findings, SizeIs(2)) << "and not the call that is meant to block";
  EXPECT_EQ(findings[0]["call"], "usleep");
  EXPECT_FALSE(FrameThat(findings[0], {.function = "parse_line"}).is_null());
  EXPECT_EQ(findings[0]["task"]["name"], "reader");
  EXPECT_EQ(findings[0]["task"]["spawned_at"]["function"], "main");
  EXPECT_EQ(findings[1]["rule"], "second-reader");
  EXPECT_EQ(findings[1]["task"]["name"], "spare reader");
  EXPECT_EQ(result.report["processes"][0]["loops"][0]["kind"], "annotated-example");
}

TEST(AnnotatedLoopExample, TellsItsFindingItselfIfNobodyWatches) {
  const Finished alone = RunCommand({{LOOPSAN_EXAMPLES "annotated_loop"}, {}, {}});
  EXPECT_EQ(alone.exit_code, 0);
  EXPECT_EQ(alone.out, "read: one\n");
  EXPECT_THAT(alone.err, HasSubstr("second-reader: task spare reader: two tasks wait"));
}

TEST(ObservedTasksExample, IsReportedAsItsDocumentationShows) {
  const LoopsanResult result = RunUnderLoopsan({LOOPSAN_EXAMPLES "observed_tasks"});
  SCOPED_TRACE(Describe(result));
  EXPECT_EQ(result.exit_code, 0);
  EXPECT_EQ(result.out, "Dear %s,\n");
  const auto findings = FindingsThat(result.report, {});
  ASSERT_THAT(findings, SizeIs(2));
  EXPECT_EQ(findings[0]["rule"], "blocking-call");
  EXPECT_EQ(findings[0]["task"]["name"], "Serve");
  ASSERT_THAT(findings[0]["async_stack"], SizeIs(2));
  EXPECT_THAT(findings[0]["async_stack"][0]["function"].get<std::string>(), HasSubstr("Render"));
  EXPECT_THAT(findings[0]["async_stack"][1]["function"].get<std::string>(), HasSubstr("Serve"));
  EXPECT_EQ(findings[1]["message"], "coroutine Render was never awaited: none of it ran");
}

}  // namespace
}  // namespace loopsan::testing
