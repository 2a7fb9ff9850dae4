// Small programs on four kinds of event loop, each built as real programs are,
// that do one blocking thing in one known line.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "tests/support/loopsan_run.h"
#include "tests/support/report_search.h"

namespace loopsan::testing {
namespace {

using ::testing::IsEmpty;

const char* const kVictims[] = {"victim_epoll_O0",           "victim_epoll_O2",
                                "victim_epoll_fortified",    "victim_libuv_O2",
                                "victim_libevent_fortified", "victim_asio_O2"};

struct Expectation {
  const char* scenario;
  const char* function;  // CamelCase of the scenario, as scenarios.h names it
  std::vector<std::string> calls;
  const char* category;
  double at_least;  // seconds; less than the time slept where a helper's sleep starts earlier
  double at_most;
};

const Expectation kBlockingCalls[] = {
    {"sleep_for", "SleepFor", {"nanosleep", "clock_nanosleep"}, "sleep", 0.2, 2},
    {"getaddrinfo", "Getaddrinfo", {"getaddrinfo"}, "dns", 0, 2},
    {"mutex", "Mutex", {"pthread_mutex_lock"}, "lock", 0.15, 2},
    {"fsync", "Fsync", {"fsync"}, "file", 0, 10},
    {"ifstream_fifo", "IfstreamFifo", {"fopen", "fopen64"}, "stdio", 0.15, 2},
    {"join", "Join", {"pthread_join"}, "thread", 0.15, 2},
    {"system", "System", {"system"}, "process", 0.2, 2},
};

LoopsanResult RunVictim(const std::string& victim, const std::string& scenario,
                        LoopsanSettings settings = {}) {
  TemporaryDirectory directory;
  return RunUnderLoopsan({ProgramPath(victim), directory.path(), scenario}, std::move(settings));
}

Finished RunVictimAlone(const std::string& victim, const std::string& scenario) {
  TemporaryDirectory directory;
  return RunCommand({{ProgramPath(victim), directory.path(), scenario}, {}, {}});
}

MarkedLines Lines(const std::string& marker) { return FindMarker(LOOPSAN_SCENARIOS, marker); }

class Victims : public ::testing::TestWithParam<const char*> {};

void ExpectBlockingCall(const LoopsanResult& result, const Expectation& expected) {
  const std::string name = expected.scenario;
  const std::string function = expected.function;
  const FindingQuery direct{.rule = "blocking-call",
                            .calls = expected.calls,
                            .function = function + "Direct",
                            .lines = Lines(name + ".direct")};
  const FindingQuery inlined{.rule = "blocking-call",
                             .calls = expected.calls,
                             .function = function + "Inlined",
                             .lines = Lines(name + ".inlined")};
  const FindingQuery caller{.function = function + "Caller", .lines = Lines(name + ".caller")};

  for (const FindingQuery& query : {direct, inlined}) {
    const auto findings = FindingsThat(result.report, query);
    EXPECT_EQ(findings.size(), 1u) << query.function;
    if (findings.size() != 1) continue;
    const Json& finding = findings[0];
    EXPECT_EQ(finding["count"], 1);
    EXPECT_GE(finding["max_seconds"], expected.at_least);
    EXPECT_LE(finding["max_seconds"], expected.at_most);
    EXPECT_EQ(finding["category"], expected.category);
  }
  for (const Json& finding : FindingsThat(result.report, inlined)) {
    EXPECT_EQ(FrameThat(finding, inlined)["inlined"], true);
    EXPECT_FALSE(FrameThat(finding, caller).is_null())
        << "the function it was inlined into is missing";
  }
  EXPECT_THAT(FindingsThat(result.report, {.rule = "stall"}), IsEmpty())
      << "a blocking call that explains a stall is one finding";
}

TEST_P(Victims, HaveEveryBlockingCallFoundWithItsLine) {
  for (const Expectation& expected : kBlockingCalls) {
    // How long a flush takes is the disk's business; with strict it is
    // reported all the same.
    LoopsanSettings settings;
    if (expected.at_least == 0) settings.flags = {"--calls=strict"};
    const LoopsanResult result = RunVictim(GetParam(), expected.scenario, settings);
    SCOPED_TRACE(Describe(result));
    EXPECT_EQ(result.exit_code, 0);
    ExpectBlockingCall(result, expected);
  }
}

TEST_P(Victims, HaveALookupReportedHoweverShort) {
  const LoopsanResult result = RunVictim(GetParam(), "getaddrinfo");
  SCOPED_TRACE(Describe(result));
  const auto lookups =
      FindingsThat(result.report, {.rule = "blocking-call", .calls = {"getaddrinfo"}});
  EXPECT_EQ(lookups.size(), 2u);
  for (const Json& lookup : lookups) {
    EXPECT_THAT(lookup["detail"].get<std::string>(), ::testing::HasSubstr("localhost"));
  }
}

TEST_P(Victims, HaveAComputationReportedAsAStallWithItsLine) {
  const LoopsanResult result = RunVictim(GetParam(), "cpu");
  SCOPED_TRACE(Describe(result));
  EXPECT_EQ(result.exit_code, 0);
  for (const char* variant : {"direct", "inlined"}) {
    const std::string function = variant == std::string("direct") ? "CpuDirect" : "CpuInlined";
    const auto stalls = FindingsThat(
        result.report,
        {.rule = "stall", .function = function, .lines = Lines("cpu." + std::string(variant))});
    EXPECT_EQ(stalls.size(), 1u) << function;
    for (const Json& stall : stalls) {
      EXPECT_EQ(stall["cause"], "cpu");
      EXPECT_EQ(stall["count"], 1);
      EXPECT_GE(stall["max_seconds"], 0.25);
      EXPECT_LE(stall["max_seconds"], 2.0);
    }
  }
  EXPECT_THAT(FindingsThat(result.report, {.rule = "blocking-call"}), IsEmpty());
}

TEST_P(Victims, AreNotAccusedOfWhatOtherThreadsDo) {
  const LoopsanResult result = RunVictim(GetParam(), "all@worker");
  SCOPED_TRACE(Describe(result));
  EXPECT_EQ(result.exit_code, 0);
  EXPECT_TRUE(AccusesNobody(result.report));
}

TEST_P(Victims, AreNotAccusedWithoutTheirBlockingLines) {
  const LoopsanResult result = RunVictim(GetParam(), "none");
  SCOPED_TRACE(Describe(result));
  EXPECT_EQ(result.exit_code, 0);
  EXPECT_TRUE(AccusesNobody(result.report));
  EXPECT_GE(TurnsIn(result.report), 200u);
}

TEST_P(Victims, AreNotAccusedOfWorkBetweenTwoRunsOfTheirLoop) {
  const LoopsanResult result = RunVictim(GetParam(), "run_compute_run");
  SCOPED_TRACE(Describe(result));
  EXPECT_EQ(result.exit_code, 0);
  EXPECT_TRUE(AccusesNobody(result.report));
}

TEST_P(Victims, SayAndReturnTheSameWithoutLoopsan) {
  for (const char* scenario : {"none", "sleep_for", "system", "no_such_scenario"}) {
    const Finished alone = RunVictimAlone(GetParam(), scenario);
    const LoopsanResult watched = RunVictim(GetParam(), scenario);
    EXPECT_EQ(watched.out, alone.out) << scenario;
    EXPECT_EQ(watched.exit_code, alone.exit_code) << scenario;
  }
}

INSTANTIATE_TEST_SUITE_P(All, Victims, ::testing::ValuesIn(kVictims),
                         [](const auto& info) { return std::string(info.param).substr(7); });

// One by one, so that a failure names the call.
TEST(EpollVictim, HasNoCallOfAnotherThreadReported) {
  for (const char* scenario :
       {"sleep_for", "getaddrinfo", "mutex", "fsync", "ifstream_fifo", "join", "system", "cpu"}) {
    const LoopsanResult result = RunVictim("victim_epoll_O2", std::string(scenario) + "@worker",
                                           {.flags = {"--calls=floor"}});
    SCOPED_TRACE(Describe(result));
    EXPECT_EQ(result.exit_code, 0);
    EXPECT_TRUE(AccusesNobody(result.report)) << scenario;
  }
}

}  // namespace
}  // namespace loopsan::testing
