// What loopsan does not catch, as docs/known-misses.md says. A test here that
// fails may be good news: then the page and the test change together.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/real/harm_run.h"
#include "tests/support/report_search.h"

namespace loopsan::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;

TEST(KnownMisses, ABlockingCallMadeWithoutTheLibrary) {
  const Watched watched = RunWatched({{"harm_missed", "make_a_raw_system_call"}, {}, {}});
  EXPECT_GT(TurnsIn(watched.report), 0u);
  EXPECT_THAT(FindingsThat(watched.report, {.rule = "blocking-call"}), IsEmpty());
}

TEST(KnownMisses, ALoopThatWaitsWithPoll) {
  const Watched watched = RunWatched({{"harm_missed", "run_a_loop_on_poll"}, {}, {}});
  EXPECT_EQ(TurnsIn(watched.report), 0u);
}

TEST(KnownMisses, AConditionVariableFromBeforeGlibc232) {
  const Watched watched = RunWatched({{"harm_old_condition"}, {}, {"--calls=strict"}});
  EXPECT_THAT(FindingsThat(watched.report, {.calls = {"pthread_join"}}), ::testing::SizeIs(1));
  EXPECT_THAT(
      FindingsThat(watched.report, {.calls = {"pthread_cond_wait", "pthread_cond_timedwait"}}),
      IsEmpty());
}

TEST(KnownMisses, CallsOfAPluginThatIsBoundToLibcItself) {
  const Watched watched = RunWatched({{"harm_plugin_host", HARM_PLUGIN}, {}, {"--calls=strict"}});
  uint64_t sleeps = 0;
  for (const Json& finding :
       FindingsThat(watched.report, {.calls = {"nanosleep"}, .function = "PluginRead"})) {
    sleeps += finding["count"].get<uint64_t>();
  }
  EXPECT_LE(sleeps, 40u) << "of 120 calls, two thirds by RTLD_DEEPBIND";
}

TEST(KnownMisses, ALoopUnderALimitOfAddressSpace) {
  const Watched watched = RunWatched(
      {{"/bin/sh", "-c", "ulimit -v 4000000; exec " + ProgramPath("harm_missed") + " block"},
       {},
       {}});
  EXPECT_EQ(watched.seen.status, 3);
  EXPECT_EQ(TurnsIn(watched.report), 0u);
}

TEST(KnownMisses, TheEnvironmentOfTheProgramIsNotWhatItWas) {
  const Watched watched = RunWatched({{"/usr/bin/env"}, {}, {}});
  EXPECT_THAT(watched.seen.out, HasSubstr("LD_PRELOAD="));
  EXPECT_THAT(watched.seen.out, HasSubstr("LOOPSAN_SESSION="));
}

TEST(KnownMisses, WhoAChildIsThatWasClonedPastTheLibrary) {
  const Watched watched =
      RunWatched({{"harm_processes", kDirectory, "clone_without_the_library"}, {}, {}});
  ASSERT_THAT(watched.report["processes"], ::testing::SizeIs(2));
  EXPECT_EQ(watched.report["processes"][0]["pid"], watched.report["processes"][1]["pid"]);
}

TEST(KnownMisses, APreloadedProgramThatAdoptsOrphans) {
  const Finished finished = RunCommand(
      {{ProgramPath("harm_processes"), "/", "gather_orphans"}, {"LD_PRELOAD=" + ProbePath()}, {}});
  EXPECT_EQ(finished.exit_code, 3);
  EXPECT_EQ(finished.err, "");
}

TEST(KnownMisses, APreloadedProgramThatGivesUpItsPrivilegesBeforeItLoops) {
  const TemporaryDirectory directory;
  const Finished finished =
      RunCommand({{ProgramPath("harm_sandbox"), directory.path(), "filter_before_the_first_wait"},
                  {"LD_PRELOAD=" + ProbePath()},
                  {}});
  EXPECT_EQ(finished.exit_code, 4);
  EXPECT_EQ(finished.err, "");
}

}  // namespace
}  // namespace loopsan::testing
