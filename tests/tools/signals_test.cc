#include "tools/signals.h"

#include <gtest/gtest.h>
#include <sys/types.h>
#include <unistd.h>

namespace loopsan {
namespace {

TEST(MustForward, PassesOnWhatSomebodySentToLoopsan) {
  for (int number : {SIGINT, SIGTERM, SIGHUP, SIGUSR1, SIGUSR2, SIGCONT, SIGTSTP, SIGWINCH}) {
    EXPECT_TRUE(MustForward({number, SI_USER, false})) << number;
  }
  EXPECT_TRUE(MustForward({SIGRTMIN + 1, SI_QUEUE, false}));
}

TEST(MustForward, KeepsWhatTheTerminalSentToTheWholeGroup) {
  for (int number : {SIGINT, SIGQUIT, SIGTSTP, SIGHUP, SIGWINCH, SIGCONT}) {
    EXPECT_FALSE(MustForward({number, SI_KERNEL, false})) << number;
  }
}

TEST(MustForward, SendsNothingBackToItsSender) {
  EXPECT_FALSE(MustForward({SIGTERM, SI_USER, true}));
}

TEST(MustForward, KeepsWhatLoopsansOwnChildrenAndWritesCause) {
  EXPECT_FALSE(MustForward({SIGCHLD, CLD_EXITED, false}));
  EXPECT_FALSE(MustForward({SIGPIPE, SI_USER, false}));
  EXPECT_FALSE(MustForward({SIGXFSZ, SI_USER, false}));
}

TEST(StopMirror, StopsWhenTheTerminalStoppedTheCommandToo) {
  StopMirror mirror;
  mirror.OnSignal(SIGTSTP);
  EXPECT_EQ(mirror.TakeStop(), 0);
  mirror.OnCommandStopped(SIGTSTP);
  EXPECT_EQ(mirror.TakeStop(), SIGTSTP);
  EXPECT_EQ(mirror.TakeStop(), 0);
}

TEST(StopMirror, DoesNotCareWhichNewsComesFirst) {
  StopMirror mirror;
  mirror.OnCommandStopped(SIGTTIN);
  mirror.OnSignal(SIGTTIN);
  EXPECT_EQ(mirror.TakeStop(), SIGTTIN);
}

TEST(StopMirror, GoesOnWhenTheCommandIgnoresTheTerminal) {
  StopMirror mirror;
  mirror.OnSignal(SIGTSTP);
  mirror.OnSignal(SIGCONT);
  mirror.OnCommandStopped(SIGTSTP);
  EXPECT_EQ(mirror.TakeStop(), 0);
}

TEST(StopMirror, GoesOnWhenSomebodyStoppedTheCommandAlone) {
  StopMirror mirror;
  mirror.OnCommandStopped(SIGSTOP);
  mirror.OnSignal(SIGTSTP);
  EXPECT_EQ(mirror.TakeStop(), 0);
}

TEST(LeavesReport, AtCtrlC) {
  EXPECT_TRUE(LeavesReport(SIGINT, SI_KERNEL, 0));
  EXPECT_TRUE(LeavesReport(SIGQUIT, SI_KERNEL, 0));
}

TEST(LeavesReport, AtASecondRequestButNotAtTheEchoOfTheFirst) {
  EXPECT_FALSE(LeavesReport(SIGTERM, SI_USER, 0.01));
  EXPECT_TRUE(LeavesReport(SIGTERM, SI_USER, 1));
}

TEST(LeavesReport, NotAtWhatSaysNothingAboutLeaving) {
  EXPECT_FALSE(LeavesReport(SIGHUP, SI_KERNEL, 1));
  EXPECT_FALSE(LeavesReport(SIGUSR1, SI_USER, 1));
  EXPECT_FALSE(LeavesReport(SIGCHLD, CLD_EXITED, 1));
}

TEST(IsDescendant, FollowsTheParents) {
  EXPECT_TRUE(IsDescendant(getpid(), getpid()));
  EXPECT_TRUE(IsDescendant(getpid(), getppid()));
  EXPECT_FALSE(IsDescendant(getppid(), getpid()));
}

TEST(IsDescendant, KnowsNothingOfAProcessThatIsGone) {
  EXPECT_FALSE(IsDescendant(0, getpid()));
  EXPECT_FALSE(IsDescendant(0x7fffffff, getpid()));
}

}  // namespace
}  // namespace loopsan
