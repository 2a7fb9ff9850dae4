// Coroutines of other people's types whose promise is observed
// (instrument/adapters/observed.h): one by hand, and Asio's.
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

struct Program {
  const char* name;
  const char* source;
  std::vector<const char*> waiting;  // markers of the co_awaits, innermost first
  const char* running;
  const char* task;
};

void PrintTo(const Program& program, std::ostream* out) { *out << program.name; }

class ObservedCoroutines : public ::testing::TestWithParam<Program> {
 protected:
  LoopsanResult Run(const std::string& scenario) {
    LoopsanResult result = RunUnderLoopsan({ProgramPath(GetParam().name), scenario});
    EXPECT_EQ(result.exit_code, 0);
    return result;
  }

  std::string Source() const { return std::string(LOOPSAN_PROGRAM_SOURCES) + GetParam().source; }

  void ExpectPlace(const Json& place, std::string_view marker) {
    EXPECT_EQ(std::filesystem::path(place.value("file", "")).filename(), GetParam().source);
    EXPECT_EQ(place.value("line", 0), FindMarker(Source(), marker).first) << marker;
  }

  // All that await, the task, and nothing of what resumed it.
  void ExpectTheChain(const Json& finding) {
    const Program& program = GetParam();
    ASSERT_GE(finding["async_stack"].size(), program.waiting.size());
    for (size_t i = 0; i < program.waiting.size(); ++i) {
      ExpectPlace(finding["async_stack"][i], program.waiting[i]);
    }
    EXPECT_THAT(finding["stack"].back()["function"].get<std::string>(), HasSubstr(program.running));
    EXPECT_EQ(finding["task"]["name"], program.task);
    EXPECT_FALSE(FrameThat(finding, {.function = "BlockForAWhile"}).is_null());
  }
};

TEST_P(ObservedCoroutines, HaveABlockingCallReportedWithAllThatAwaitIt) {
  const LoopsanResult result = Run("sleep");
  SCOPED_TRACE(Describe(result));
  const auto findings = FindingsThat(result.report, {});
  ASSERT_THAT(findings, SizeIs(1));
  EXPECT_EQ(findings[0]["call"], "usleep");
  ExpectTheChain(findings[0]);
  EXPECT_EQ(result.report["processes"][0]["loops"][0]["kind"], "coroutines");
}

TEST_P(ObservedCoroutines, AreNotAccusedWhenTheyDoNotBlock) {
  const LoopsanResult result = Run("nothing");
  SCOPED_TRACE(Describe(result));
  EXPECT_THAT(FindingsThat(result.report, {}), IsEmpty());
  EXPECT_GE(TurnsIn(result.report), 3u);
}

TEST_P(ObservedCoroutines, HaveOneReportedThatWasNeverAwaited) {
  const LoopsanResult result = Run("forget");
  SCOPED_TRACE(Describe(result));
  const auto findings = FindingsThat(result.report, {});
  ASSERT_THAT(findings, SizeIs(1));
  EXPECT_EQ(findings[0]["rule"], "never-awaited");
  EXPECT_EQ(findings[0]["message"], "coroutine Forgotten was never awaited: none of it ran");
  EXPECT_FALSE(FrameThat(findings[0], {.lines = FindMarker(Source(), "creation")}).is_null());
}

TEST_P(ObservedCoroutines, RunAloneWithoutAProbe) {
  for (const char* scenario : {"sleep", "forget"}) {
    const Finished finished = RunCommand({{ProgramPath(GetParam().name), scenario}, {}, {}});
    EXPECT_EQ(finished.exit_code, 0);
    EXPECT_EQ(finished.err, "");
  }
}

const std::vector<const char*> kFive = {"four", "three", "two", "one"};

INSTANTIATE_TEST_SUITE_P(
    Of, ObservedCoroutines,
    ::testing::Values(Program{"observed_task_O0", "observed_task.cc", kFive, "Five", "One"},
                      Program{"observed_task_O2", "observed_task.cc", kFive, "Five", "One"},
                      Program{
                          "observed_asio_O2", "observed_asio.cc", {"two", "one"}, "Three", "One"}),
    [](const auto& tested) { return std::string(tested.param.name); });

LoopsanResult RunTask(const std::string& scenario) {
  LoopsanResult result = RunUnderLoopsan({ProgramPath("observed_task_O2"), scenario});
  EXPECT_EQ(result.exit_code, 0);
  return result;
}

TEST(Observed, HasAComputationReportedAsOneStep) {
  const LoopsanResult result = RunTask("cpu");
  SCOPED_TRACE(Describe(result));
  const auto findings = FindingsThat(result.report, {.rule = "stall"});
  ASSERT_THAT(findings, SizeIs(1));
  EXPECT_EQ(findings[0]["task"]["name"], "One");
  EXPECT_THAT(findings[0]["async_stack"], SizeIs(4));
}

TEST(Observed, EndsAStepThatAnExceptionEnds) {
  const LoopsanResult result = RunTask("throw");
  SCOPED_TRACE(Describe(result));
  EXPECT_THAT(FindingsThat(result.report, {}), IsEmpty()) << "an open step would block the loop";
}

TEST(Observed, HandsAStepOnByATransferBetweenCoroutines) {
  const LoopsanResult result = RunTask("transfers");
  SCOPED_TRACE(Describe(result));
  const auto findings = FindingsThat(result.report, {});
  ASSERT_THAT(findings, SizeIs(1));
  EXPECT_EQ(findings[0]["rule"], "stall") << "three coroutines, one step";
  EXPECT_GE(findings[0]["max_seconds"], 0.2);
}

TEST(Observed, AccusesNoThreadThatRunsNoLoop) {
  const LoopsanResult result = RunTask("pool");
  SCOPED_TRACE(Describe(result));
  EXPECT_THAT(FindingsThat(result.report, {}), IsEmpty());
}

TEST(Observed, MayTakeTurnsOnAPoolOfLoops) {
  const LoopsanResult result = RunUnderLoopsan({ProgramPath("observed_asio_O2"), "two_threads"});
  SCOPED_TRACE(Describe(result));
  EXPECT_EQ(result.exit_code, 0);
  const auto findings = FindingsThat(result.report, {});
  ASSERT_THAT(findings, SizeIs(1));
  EXPECT_EQ(findings[0]["call"], "usleep");
  EXPECT_EQ(findings[0]["task"]["name"], "One");
}

}  // namespace
}  // namespace loopsan::testing
