// What a suppression file does to a run, from the command line to the exit.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <fstream>
#include <sstream>

#include "absl/strings/str_replace.h"
#include "tests/support/loopsan_run.h"
#include "tests/support/report_search.h"

namespace loopsan::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;

class SuppressedSleep : public ::testing::Test {
 protected:
  // victim_epoll sleeps on its loop, in SleepForDirect and in what was inlined into
  // SleepForCaller.
  LoopsanResult Sleep(std::vector<std::string> flags, std::vector<std::string> environment = {}) {
    return RunUnderLoopsan({ProgramPath("victim_epoll_O2"), directory_.path(), "sleep_for"},
                           {.flags = std::move(flags), .environment = std::move(environment)});
  }

  std::string File(const std::string& text) {
    const std::string path = directory_ / "loop.supp";
    std::ofstream(path) << text;
    return path;
  }

  std::string Read(const std::string& path) {
    std::ostringstream text;
    text << std::ifstream(path).rdbuf();
    return text.str();
  }

  TemporaryDirectory directory_;
};

TEST_F(SuppressedSleep, IsTakenOutOfTheReportAndToldAtItsEnd) {
  const std::string file = File(
      "# The sleeps of the victim\n"
      "blocking-call:source=scenarios.h call=*nanosleep  # reason: that is its work\n"
      "stall:NothingOfTheKind  # reason: none\n");
  const LoopsanResult result = Sleep({"--suppressions=" + file});
  SCOPED_TRACE(Describe(result));
  EXPECT_EQ(result.exit_code, 0);
  EXPECT_THAT(FindingsThat(result.report, {.rule = "blocking-call"}), IsEmpty());
  ASSERT_THAT(result.report["suppressed"], SizeIs(1));
  const Json& suppressed = result.report["suppressed"][0];
  EXPECT_EQ(suppressed["reason"], "that is its work");
  EXPECT_EQ(suppressed["file"], file);
  EXPECT_EQ(suppressed["line"], 2);
  EXPECT_GE(suppressed["findings"], 2);
  EXPECT_GE(suppressed["total_seconds"], 0.4);
  ASSERT_THAT(result.report["suppression_remarks"], SizeIs(1));
  EXPECT_EQ(result.report["suppression_remarks"][0]["level"], "note");
  EXPECT_THAT(result.err, HasSubstr(": that is its work (" + file + ":2)\n"));
  EXPECT_THAT(result.err, HasSubstr("note: " + file + ":3: this suppression matched nothing"));
  EXPECT_THAT(result.err, Not(HasSubstr("has not come back"))) << "nobody wants to know at once";
}

TEST_F(SuppressedSleep, CountsAgainWhenItsSuppressionHasExpired) {
  const std::string file = File(
      "blocking-call:source=scenarios.h call=*nanosleep until=2020-01-31  # reason: for January\n");
  const LoopsanResult result = Sleep({}, {"LOOPSAN_OPTIONS=suppressions='" + file + "'"});
  SCOPED_TRACE(Describe(result));
  const auto sleeps = FindingsThat(result.report, {.rule = "blocking-call"});
  ASSERT_THAT(sleeps, Not(IsEmpty()));
  EXPECT_EQ(sleeps[0]["note"], "its suppression " + file + ":1 has expired");
  EXPECT_THAT(result.report["suppressed"], IsEmpty());
  EXPECT_THAT(result.err,
              HasSubstr("warning: " + file + ":1: this suppression expired on 2020-01-31, so "));
  EXPECT_THAT(result.err, HasSubstr("has not come back"));
}

TEST_F(SuppressedSleep, IsReportedIfItIsLongerThanItsMaximum) {
  const std::string file =
      File("blocking-call:source=scenarios.h call=*nanosleep max=10ms  # reason: short ones\n");
  const LoopsanResult result = Sleep({"--suppressions=" + file});
  SCOPED_TRACE(Describe(result));
  const auto sleeps = FindingsThat(result.report, {.rule = "blocking-call"});
  ASSERT_THAT(sleeps, Not(IsEmpty()));
  EXPECT_THAT(sleeps[0]["note"].get<std::string>(), HasSubstr("longer than its max of 10.0 ms"));
}

TEST_F(SuppressedSleep, IsSuppressedByWhatWasProposedForIt) {
  const std::string file = directory_ / "proposed.supp";
  const LoopsanResult first = Sleep({"--write-suppressions=" + file});
  SCOPED_TRACE(Describe(first));
  const std::string proposed = Read(file);
  EXPECT_THAT(proposed, HasSubstr("blocking-call:function=^"));

  // As it is, it is refused, and the command is not started.
  const Finished refused = RunCommand(
      {{ProgramPath("../../bin/loopsan"), "run", "--suppressions=" + file, "--", "echo", "started"},
       {},
       {}});
  EXPECT_EQ(refused.exit_code, 125);
  EXPECT_EQ(refused.out, "");
  EXPECT_THAT(refused.err, HasSubstr("say why this may block the loop instead of TODO"));

  std::ofstream(file) << absl::StrReplaceAll(proposed, {{"TODO say why", "that is its work"}});
  const LoopsanResult second = Sleep({"--suppressions=" + file});
  SCOPED_TRACE(Describe(second));
  EXPECT_THAT(FindingsThat(second.report, {.rule = "blocking-call"}), IsEmpty());
}

TEST_F(SuppressedSleep, IsNothingThatARulePackKnows) {
  const LoopsanResult result = Sleep({"--rule-pack=glibc,node", "--rule-pack=python,nginx"});
  SCOPED_TRACE(Describe(result));
  EXPECT_THAT(FindingsThat(result.report, {.rule = "blocking-call"}), Not(IsEmpty()));
  EXPECT_THAT(result.report["suppressed"], IsEmpty());
  EXPECT_THAT(result.report["suppression_remarks"], IsEmpty());
}

TEST(RulePack, OfGlibcKnowsThatLocalhostNeedsNoNameServer) {
  const TemporaryDirectory directory;
  const LoopsanResult result =
      RunUnderLoopsan({ProgramPath("victim_epoll_O2"), directory.path(), "getaddrinfo"},
                      {.flags = {"--rule-pack=glibc"}, .environment = {}});
  SCOPED_TRACE(Describe(result));
  // A busy machine may take longer than the rule allows: then the report says so.
  for (const Json& finding : FindingsThat(result.report, {.calls = {"getaddrinfo"}})) {
    EXPECT_THAT(finding["note"].get<std::string>(), HasSubstr("longer than its max"));
  }
  EXPECT_THAT(result.report["suppression_remarks"], IsEmpty());
}

TEST(RulePack, OfNodeKnowsHowLibuvStartsAProcess) {
  const LoopsanResult all = RunUnderLoopsan({"node", ScriptPath("node/spawn.js")},
                                            {.flags = {"--calls=strict"}, .environment = {}});
  SCOPED_TRACE(Describe(all));
  EXPECT_THAT(FindingsThat(all.report, {.function = "uv__signal_lock"}), Not(IsEmpty()));

  const LoopsanResult rest =
      RunUnderLoopsan({"node", ScriptPath("node/spawn.js")},
                      {.flags = {"--calls=strict", "--rule-pack=node"}, .environment = {}});
  SCOPED_TRACE(Describe(rest));
  EXPECT_THAT(FindingsThat(rest.report, {.function = "uv__signal_lock"}), IsEmpty());
  EXPECT_THAT(rest.report["suppressed"], Not(IsEmpty()));
}

// What a script does is its author's, however the pack is applied.
TEST(RulePack, OfNodeDoesNotKnowWhatAScriptReads) {
  const TemporaryDirectory directory;
  const std::string fifo = directory / "fifo";
  ASSERT_EQ(mkfifo(fifo.c_str(), 0600), 0);
  const LoopsanResult result =
      RunUnderLoopsan({"node", ScriptPath("node/fifo_read.js"), fifo},
                      {.flags = {"--rule-pack=node,glibc"}, .environment = {}});
  SCOPED_TRACE(Describe(result));
  EXPECT_THAT(FindingsThat(result.report, {.rule = "blocking-call", .detail = fifo}), SizeIs(1));
}

TEST(RulePack, OfPythonKnowsNeitherSleepNorSubprocesses) {
  for (const std::string script : {"time_sleep.py", "subprocess_run.py", "cpu_loop.py"}) {
    const LoopsanResult result =
        RunUnderLoopsan({"/usr/bin/python3", "-B", ScriptPath("python/" + script)},
                        {.flags = {"--rule-pack=python,glibc"}, .environment = {}});
    SCOPED_TRACE(Describe(result));
    EXPECT_THAT(FindingsThat(result.report, {}), Not(IsEmpty())) << script;
    EXPECT_THAT(result.report["suppressed"], IsEmpty()) << script;
  }
}

}  // namespace
}  // namespace loopsan::testing
