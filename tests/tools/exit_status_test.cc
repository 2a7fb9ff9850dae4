#include "tools/exit_status.h"

#include <gtest/gtest.h>

namespace loopsan {
namespace {

TEST(ExitStatus, IsTheCommandsOwn) {
  EXPECT_EQ(ExitStatusOf(CommandEnd{.exit_code = 3}, RunVerdict{}), 3);
  EXPECT_EQ(ExitStatusOf(CommandEnd{}, RunVerdict{}), 0);
}

TEST(ExitStatus, Is128PlusTheSignalThatEndedTheCommand) {
  EXPECT_EQ(ExitStatusOf(CommandEnd{.signal = 9}, RunVerdict{}), 137);
}

TEST(ExitStatus, Is67WhenTheLoopIsMissing) {
  EXPECT_EQ(ExitStatusOf(CommandEnd{}, RunVerdict{.loop_missing = true}), 67);
}

TEST(ExitStatus, PrefersTheCommandsFailureToAMissingLoop) {
  EXPECT_EQ(ExitStatusOf(CommandEnd{.exit_code = 1}, RunVerdict{.loop_missing = true}), 1);
  EXPECT_EQ(ExitStatusOf(CommandEnd{.signal = 11}, RunVerdict{.loop_missing = true}), 139);
}

TEST(ExitStatus, Is125WhenAReportIsLostThoughTheCommandSucceeded) {
  EXPECT_EQ(ExitStatusOf(CommandEnd{}, RunVerdict{.report_failed = true, .loop_missing = true}),
            125);
}

TEST(ExitStatus, PrefersTheCommandsFailureToALostReport) {
  EXPECT_EQ(ExitStatusOf(CommandEnd{.exit_code = 2}, RunVerdict{.report_failed = true}), 2);
}

TEST(ExitStatus, Is66WhenTheGateFailed) {
  EXPECT_EQ(ExitStatusOf(CommandEnd{}, RunVerdict{.gate_failed = true}), 66);
}

TEST(ExitStatus, PrefersEverythingElseToTheGate) {
  EXPECT_EQ(ExitStatusOf(CommandEnd{.exit_code = 1}, RunVerdict{.gate_failed = true}), 1);
  EXPECT_EQ(ExitStatusOf(CommandEnd{.signal = 6}, RunVerdict{.gate_failed = true}), 134);
  EXPECT_EQ(ExitStatusOf(CommandEnd{}, RunVerdict{.report_failed = true, .gate_failed = true}),
            125);
  EXPECT_EQ(ExitStatusOf(CommandEnd{}, RunVerdict{.loop_missing = true, .gate_failed = true}), 67);
}

TEST(ExitStatus, TellsWhyACommandWasNotStarted) {
  EXPECT_EQ(ExitStatusOf(absl::NotFoundError("")), 127);
  EXPECT_EQ(ExitStatusOf(absl::PermissionDeniedError("")), 126);
  EXPECT_EQ(ExitStatusOf(absl::FailedPreconditionError("")), 125);
  EXPECT_EQ(ExitStatusOf(absl::UnavailableError("")), 125);
}

}  // namespace
}  // namespace loopsan
