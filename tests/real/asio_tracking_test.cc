// Asio programs that were compiled with the tracking header and nothing else: each handler is a
// step with the name of what created it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/loopsan_run.h"
#include "tests/support/report_search.h"

namespace loopsan::testing {
namespace {

using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

class AsioTracking : public ::testing::TestWithParam<const char*> {
 protected:
  LoopsanResult Run(const std::string& scenario) {
    LoopsanResult result = RunUnderLoopsan({ProgramPath(GetParam()), scenario});
    EXPECT_EQ(result.exit_code, 0);
    EXPECT_THAT(result.out, EndsWith("done\n"));
    return result;
  }
};

MarkedLines Lines(const char* marker) { return FindMarker(LOOPSAN_ASIO_TRACKED, marker); }

std::vector<Json> Sleeps(const LoopsanResult& result, const char* marker) {
  return FindingsThat(result.report,
                      {.rule = "blocking-call", .calls = {"usleep"}, .lines = Lines(marker)});
}

TEST_P(AsioTracking, NamesASlowHandlerByTheOperationThatCreatedIt) {
  const LoopsanResult result = Run("slow_handler");
  SCOPED_TRACE(Describe(result));
  const auto sleeps = Sleeps(result, "handler");
  ASSERT_THAT(sleeps, SizeIs(1));
  EXPECT_EQ(sleeps[0]["task"]["name"], "deadline_timer.async_wait");
  EXPECT_EQ(sleeps[0]["task"]["spawner"], "deadline_timer.async_wait")
      << "the first timer's handler";
}

TEST_P(AsioTracking, TellsAHandlerThatWaitedForOthers) {
  const LoopsanResult result = Run("late_handler");
  SCOPED_TRACE(Describe(result));
  const auto delays = FindingsThat(result.report, {.rule = "handler-delay"});
  ASSERT_THAT(delays, SizeIs(1));
  EXPECT_THAT(std::string(delays[0]["message"]), HasSubstr("was ready for"));
}

// What short handlers create is given the time when they began.
TEST_P(AsioTracking, TellsTheDelayOfWhatAShortHandlerCreated) {
  const LoopsanResult result = Run("late_behind_short");
  SCOPED_TRACE(Describe(result));
  EXPECT_THAT(FindingsThat(result.report, {.rule = "handler-delay"}), SizeIs(1));
}

TEST_P(AsioTracking, TakesNoDelayFromAHandlerThatWasLongForTheFirstTime) {
  const LoopsanResult result = Run("first_long");
  SCOPED_TRACE(Describe(result));
  EXPECT_THAT(FindingsThat(result.report, {.rule = "handler-delay"}), IsEmpty());
  EXPECT_THAT(FindingsThat(result.report, {.rule = "blocking-call", .calls = {"usleep"}}),
              SizeIs(1));
}

TEST_P(AsioTracking, ReadsTheClockForAKindOfHandlerOfWhichOneWasLong) {
  const LoopsanResult result = Run("second_long");
  SCOPED_TRACE(Describe(result));
  EXPECT_THAT(FindingsThat(result.report, {.rule = "handler-delay"}), SizeIs(1));
}

TEST_P(AsioTracking, CallsATimerStormALongTurnAtMost) {
  const LoopsanResult result = Run("timer_storm");
  SCOPED_TRACE(Describe(result));
  EXPECT_TRUE(AccusesNobody(result.report));
}

TEST_P(AsioTracking, AccusesNobodyOfWhatIsDoneOutsideOfHandlers) {
  for (const char* scenario : {"clean", "throwing", "early_post", "cancelled"}) {
    const LoopsanResult result = Run(scenario);
    SCOPED_TRACE(Describe(result));
    EXPECT_TRUE(AccusesNobody(result.report));
    EXPECT_THAT(FindingsThat(result.report, {.rule = "handler-delay"}), IsEmpty());
  }
}

TEST_P(AsioTracking, LetsThreadPoolsBlock) {
  const LoopsanResult result = Run("thread_pool");
  SCOPED_TRACE(Describe(result));
  EXPECT_THAT(result.report["findings"], IsEmpty());
}

TEST_P(AsioTracking, CountsTheDestructionOfAHandlerAsItsStep) {
  const LoopsanResult result = Run("slow_destructor");
  SCOPED_TRACE(Describe(result));
  EXPECT_THAT(Sleeps(result, "destructor"), SizeIs(1));
}

TEST_P(AsioTracking, FollowsStrandsOnSeveralThreads) {
  const LoopsanResult result = Run("pool");
  SCOPED_TRACE(Describe(result));
  EXPECT_THAT(result.out, HasSubstr("200 in the strand"));
  const auto sleeps = Sleeps(result, "strand");
  ASSERT_THAT(sleeps, SizeIs(1));
  EXPECT_EQ(sleeps[0]["task"]["name"], "strand_executor.execute");
}

TEST_P(AsioTracking, ChangesNothingWhileNobodyWatches) {
  const Finished finished = RunCommand({{ProgramPath(GetParam()), "clean"}, {}, {}});
  EXPECT_EQ(finished.exit_code, 0);
  EXPECT_THAT(finished.err, IsEmpty());
}

INSTANTIATE_TEST_SUITE_P(Built, AsioTracking,
                         ::testing::Values("victim_asio_tracked_boost", "victim_asio_tracked_cpp14",
                                           "victim_asio_tracked_standalone"),
                         [](const auto& info) {
                           return std::string(info.param + sizeof "victim_asio_tracked_" - 1);
                         });

// Boost 1.74 does not say where.
TEST(AsioTrackingOfCoroutines, NamesTheLineOfTheCoAwait) {
  const LoopsanResult result =
      RunUnderLoopsan({ProgramPath("victim_asio_tracked_standalone"), "coroutine"});
  SCOPED_TRACE(Describe(result));
  const auto sleeps = Sleeps(result, "coroutine");
  ASSERT_THAT(sleeps, SizeIs(1));
  EXPECT_EQ(sleeps[0]["task"]["spawned_at"]["line"], Lines("await").first);
  EXPECT_THAT(std::string(sleeps[0]["task"]["spawner"]), HasSubstr("io_context.execute"));
}

TEST(AsioTrackingOfCoroutines, FindsTheSlowOneAlsoWhereAsioDoesNotSayWhere) {
  const LoopsanResult result =
      RunUnderLoopsan({ProgramPath("victim_asio_tracked_boost"), "coroutine"});
  SCOPED_TRACE(Describe(result));
  EXPECT_THAT(Sleeps(result, "coroutine"), SizeIs(1));
}

}  // namespace
}  // namespace loopsan::testing
