// The probe preloaded without the command: its helper reports, and nobody else
// notices it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include "tests/real/harm_run.h"

namespace loopsan::testing {
namespace {

using ::testing::HasSubstr;

Command Preloaded(std::vector<std::string> arguments) {
  return {std::move(arguments), {"LD_PRELOAD=" + ProbePath()}, {}};
}

Command PreloadedScenario(const char* scenario) {
  return Preloaded({ProgramPath("harm_processes"), "/", scenario});
}

// Process::Wait() fails the test if the helper, which holds standard error, does
// not end.

TEST(PreloadedProbe, ReportsToTheStandardErrorOfTheProgram) {
  const Finished finished = RunCommand(PreloadedScenario("block_once_watched"));
  EXPECT_EQ(finished.exit_code, 3);
  EXPECT_EQ(finished.out, "watched: yes\n");
  EXPECT_THAT(finished.err, HasSubstr("BlockForTheReport"));
  EXPECT_THAT(finished.err, HasSubstr("nanosleep"));
}

TEST(PreloadedProbe, ReportsAfterTheProgramWasKilled) {
  Process process(PreloadedScenario("loop_for_ever"));
  ASSERT_TRUE(process.WaitForOutput("watched: yes"));
  process.Signal(SIGKILL);
  const Finished finished = process.Wait();
  EXPECT_EQ(finished.signal, SIGKILL);
  EXPECT_THAT(finished.err, HasSubstr("BlockForTheReport"));
}

TEST(PreloadedProbe, ReportsAfterTheWholeGroupWasInterrupted) {
  Process process(PreloadedScenario("loop_for_ever"));
  ASSERT_TRUE(process.WaitForOutput("watched: yes"));
  kill(-process.pid(), SIGINT);
  const Finished finished = process.Wait();
  EXPECT_EQ(finished.signal, SIGINT);
  EXPECT_THAT(finished.err, HasSubstr("BlockForTheReport"));
}

TEST(PreloadedProbe, SaysNothingOfAProgramWithoutALoop) {
  const Finished finished = RunCommand(Preloaded({"sh", "-c", "echo said; exit 5"}));
  EXPECT_EQ(finished.exit_code, 5);
  EXPECT_EQ(finished.out, "said\n");
  EXPECT_EQ(finished.err, "");
}

// A reader of the program's output sees its end when the program ends.
TEST(PreloadedProbe, KeepsNoPipeOfTheProgramOpen) {
  const Finished finished = RunCommand(Preloaded(
      {"sh", "-c", "\"$0\" / block_once_watched 2>/dev/null | cat; echo the pipe was closed",
       ProgramPath("harm_processes")}));
  EXPECT_EQ(finished.out, "watched: yes\nthe pipe was closed\n");
}

}  // namespace
}  // namespace loopsan::testing
