// Steps that never end, and programs that are stopped or killed.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <time.h>

#include <chrono>
#include <string>

#include "tests/support/loopsan_run.h"
#include "tests/support/report_search.h"

namespace loopsan::testing {
namespace {

constexpr double kThreshold = 0.1;  // the default
constexpr Seconds kReportedWithin{kThreshold + 0.5};

MarkedLines Lines(const std::string& marker) { return FindMarker(LOOPSAN_SCENARIOS, marker); }

class Hang : public ::testing::Test {
 protected:
  explicit Hang(const std::string& scenario)
      : victim_({ProgramPath("victim_epoll_O2"), directory_.path(), scenario}) {}

  // Waits until the step has begun and its stall is on standard error; returns after how long.
  Seconds WaitForLiveLine(const std::string& function) {
    EXPECT_TRUE(victim_.process().WaitForOutput("hanging\n"));
    const auto since = std::chrono::steady_clock::now();
    EXPECT_TRUE(victim_.process().WaitForError(function, Seconds(10))) << victim_.process().error();
    return std::chrono::steady_clock::now() - since;
  }

  TemporaryDirectory directory_;
  LoopsanProcess victim_;
};

// Time is what the victim has computed: where the machine is busy with others, a step is
// rightly taken for theirs.
class HangInCpu : public Hang {
 protected:
  HangInCpu() : Hang("hang_cpu") {}

  void ExpectLiveLine() {
    WaitForLiveLine("HangInCpu");
    const std::string error = victim_.process().error();
    const size_t bracket = error.find('[');
    ASSERT_NE(bracket, std::string::npos) << error;
    ASSERT_EQ(clock_getcpuclockid(std::stoi(error.substr(bracket + 1)), &computed_), 0) << error;
    timespec now;
    ASSERT_EQ(clock_gettime(computed_, &now), 0);
    EXPECT_LE(Seconds(static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9),
              kReportedWithin);
    const timespec until{now.tv_sec, now.tv_nsec + static_cast<long>(1.5e9 * kThreshold)};
    WaitUntil(until);
  }

 private:
  void WaitUntil(timespec computed) const {
    computed.tv_sec += computed.tv_nsec / 1'000'000'000;
    computed.tv_nsec %= 1'000'000'000;
    EXPECT_EQ(clock_nanosleep(computed_, TIMER_ABSTIME, &computed, nullptr), 0);
  }

  clockid_t computed_ = 0;
};

class HangInRead : public Hang {
 protected:
  HangInRead() : Hang("hang_read") {}
};

TEST_F(HangInCpu, IsOnStandardErrorAtOnceAndInTheReportAfterAnInterrupt) {
  ExpectLiveLine();
  victim_.Signal(SIGINT);
  const LoopsanResult result = victim_.Wait();
  SCOPED_TRACE(Describe(result));

  const auto stalls = FindingsThat(
      result.report, {.rule = "stall", .function = "HangInCpu", .lines = Lines("hang_cpu")});
  ASSERT_EQ(stalls.size(), 1u);
  EXPECT_EQ(stalls[0]["cause"], "cpu");
  EXPECT_GE(stalls[0]["max_seconds"], kThreshold);
  EXPECT_EQ(result.exit_code, 128 + SIGINT);
}

TEST_F(HangInRead, IsOnStandardErrorAtOnceAndInTheReportAfterTermination) {
  EXPECT_LE(WaitForLiveLine("HangInRead"), kReportedWithin);
  victim_.Signal(SIGTERM);
  const LoopsanResult result = victim_.Wait();
  SCOPED_TRACE(Describe(result));

  const auto reads = FindingsThat(result.report, {.rule = "blocking-call",
                                                  .calls = {"read", "__read_chk"},
                                                  .function = "HangInRead",
                                                  .lines = Lines("hang_read")});
  ASSERT_EQ(reads.size(), 1u);
  EXPECT_GE(reads[0]["max_seconds"], kThreshold);
  EXPECT_EQ(result.exit_code, 128 + SIGTERM);
}

TEST_F(HangInCpu, IsReportedAfterTheWholeGroupWasInterruptedAsATerminalDoes) {
  ExpectLiveLine();
  kill(-victim_.process().pid(), SIGINT);
  const LoopsanResult result = victim_.Wait();
  SCOPED_TRACE(Describe(result));
  EXPECT_EQ(FindingsThat(result.report, {.rule = "stall", .function = "HangInCpu"}).size(), 1u);
}

class KilledVictim : public ::testing::TestWithParam<const char*> {};

TEST_P(KilledVictim, HasItsFindingsReported) {
  TemporaryDirectory directory;
  const LoopsanResult result =
      RunUnderLoopsan({ProgramPath(GetParam()), directory.path(), "killed"});
  SCOPED_TRACE(Describe(result));

  EXPECT_EQ(FindingsThat(result.report, {.rule = "blocking-call",
                                         .calls = {"nanosleep", "clock_nanosleep"},
                                         .function = "SleepForDirect",
                                         .lines = Lines("sleep_for.direct")})
                .size(),
            1u);
  EXPECT_EQ(result.exit_code, 128 + SIGKILL);
}

INSTANTIATE_TEST_SUITE_P(All, KilledVictim,
                         ::testing::Values("victim_epoll_O0", "victim_epoll_O2", "victim_libuv_O2",
                                           "victim_libevent_fortified", "victim_asio_O2"),
                         [](const auto& info) { return std::string(info.param).substr(7); });

}  // namespace
}  // namespace loopsan::testing
