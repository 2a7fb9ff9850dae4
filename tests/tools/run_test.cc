// `loopsan run` with a collector that plays a part (fake_collector.cc).
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "tests/support/process.h"

namespace loopsan {
namespace {

using ::testing::EndsWith;
using testing::Finished;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::StartsWith;
using testing::TemporaryDirectory;

std::string Contents(const std::string& path) {
  std::ostringstream text;
  text << std::ifstream(path).rdbuf();
  return text.str();
}

Finished Loopsan(std::vector<std::string> arguments, const std::string& fake = "",
                 const std::string& options = "") {
  arguments.insert(arguments.begin(), FAKE_LOOPSAN);
  return testing::RunCommand(
      {.arguments = arguments,
       .environment = {"LOOPSAN_FAKE=" + fake, "LOOPSAN_OPTIONS=" + options}});
}

TEST(Loopsan, TeachesWithExamples) {
  const Finished help = Loopsan({"--help"});
  EXPECT_EQ(help.exit_code, 0);
  EXPECT_THAT(help.out, HasSubstr("loopsan run -- ./server"));
  EXPECT_THAT(help.out, Not(HasSubstr("collect")));
  EXPECT_THAT(help.err, IsEmpty());
}

TEST(Loopsan, TellsItsVersion) {
  EXPECT_EQ(Loopsan({"--version"}).out, "loopsan " LOOPSAN_VERSION "\n");
}

TEST(Loopsan, SaysHowToWatchAProgramThatWasGivenAsACommand) {
  const Finished result = Loopsan({"redis-server"});
  EXPECT_EQ(result.exit_code, 125);
  EXPECT_THAT(result.err, HasSubstr("unknown command 'redis-server'; to watch a program: loopsan "
                                    "run -- redis-server"));
}

TEST(Loopsan, PrintsTheRulePacksInTheFoldersThatItWasGiven) {
  const TemporaryDirectory directory;
  std::ofstream(directory / "mine.supp") << "# What my library does on purpose\n";
  const Finished list = testing::RunCommand(
      {.arguments = {FAKE_LOOPSAN, "run", "--rule-pack=list"},
       .environment = {"LOOPSAN_SUPPRESSIONS_PATH=" + directory.path(), "LOOPSAN_OPTIONS="}});
  EXPECT_EQ(list.exit_code, 0);
  EXPECT_THAT(list.out, HasSubstr("mine  What my library does on purpose\n"));
}

TEST(Loopsan, DoesNotStartTheCommandIfASuppressionIsBad) {
  const TemporaryDirectory directory;
  std::ofstream(directory / "a.supp") << "stall:a\n";
  const Finished result =
      Loopsan({"run", "--suppressions=" + directory / "a.supp", "--", "echo", "started"});
  EXPECT_EQ(result.exit_code, 125);
  EXPECT_EQ(result.out, "");
  EXPECT_THAT(result.err, HasSubstr("a.supp:1: there is no reason; end the line with"));
}

TEST(Loopsan, PrintsNothingIfItIsToBeQuietAndAllIsSuppressed) {
  const TemporaryDirectory directory;
  std::ofstream(directory / "a.supp") << "*:call=nanosleep # reason: x\n";
  const std::string flag = "--suppressions=" + directory / "a.supp";
  EXPECT_EQ(Loopsan({"run", "--quiet", flag, "--", "true"}, "loop,finding").err, "");
  std::ofstream(directory / "a.supp") << "*:call=nanosleep until=2020-01-01 # reason: x\n";
  EXPECT_THAT(Loopsan({"run", "--quiet", flag, "--", "true"}, "loop").err,
              HasSubstr("this suppression expired on 2020-01-01;"));
}

TEST(Loopsan, IsMisusedWithoutACommand) {
  const Finished result = Loopsan({});
  EXPECT_EQ(result.exit_code, 125);
  EXPECT_THAT(result.err, HasSubstr("Usage: loopsan COMMAND"));
}

TEST(Run, TeachesEveryFlagWithExamples) {
  const Finished help = Loopsan({"run", "--help"});
  EXPECT_EQ(help.exit_code, 0);
  for (const char* flag : {"--threshold=DURATION", "--calls=floor|strict|off", "--json=FILE",
                           "--output=FILE", "--require-loop", "--quiet",
                           "--color=auto|always|never", "Usage: loopsan run", "Examples:"}) {
    EXPECT_THAT(help.out, HasSubstr(flag));
  }
}

TEST(Run, PassesTheCommandsOwnFlagsOn) {
  const Finished with =
      Loopsan({"run", "--quiet", "--", "printf", "%s;", "--json=x", "--", "[a,b]", ""});
  EXPECT_EQ(with.out, "--json=x;--;[a,b];;");
  const Finished without = Loopsan({"run", "--quiet", "printf", "%s;", "--quiet", "--", "-h"});
  EXPECT_EQ(without.out, "--quiet;--;-h;");
}

TEST(Run, EndsWithTheStatusOfTheCommand) {
  EXPECT_EQ(Loopsan({"run", "--", "sh", "-c", "exit 7"}).exit_code, 7);
  EXPECT_EQ(Loopsan({"run", "--", "sh", "-c", "kill -9 $$"}).exit_code, 137);
}

TEST(Run, ReportsToStandardErrorAndLeavesStandardOutputToTheCommand) {
  const Finished result = Loopsan({"run", "--", "echo", "hello"}, "loop,finding");
  EXPECT_EQ(result.out, "hello\n");
  EXPECT_THAT(result.err, Not(IsEmpty()));
}

TEST(Run, RefusesUnknownFlagsAndBadValues) {
  Finished result = Loopsan({"run", "--treshold=1", "--", "echo", "ran"});
  EXPECT_EQ(result.exit_code, 125);
  EXPECT_THAT(result.err, HasSubstr("--treshold=1"));
  EXPECT_THAT(result.out, IsEmpty());
  result = Loopsan({"run", "--calls=x", "--", "echo", "ran"});
  EXPECT_EQ(result.exit_code, 125);
  EXPECT_THAT(result.err, HasSubstr("--calls: bad value 'x'; expected floor, strict or off"));
  EXPECT_THAT(result.out, IsEmpty());
  result = Loopsan({"run", "--", "echo", "ran"}, "", "speed=1");
  EXPECT_EQ(result.exit_code, 125);
  EXPECT_THAT(result.err, HasSubstr("LOOPSAN_OPTIONS: unknown option 'speed'"));
  EXPECT_THAT(result.out, IsEmpty());
}

TEST(Run, IsMisusedWithoutACommand) {
  const Finished result = Loopsan({"run", "--quiet"});
  EXPECT_EQ(result.exit_code, 125);
  EXPECT_THAT(result.err, HasSubstr("no command was given"));
}

TEST(Run, LetsFlagsWinOverTheEnvironment) {
  const Finished result =
      Loopsan({"run", "--threshold=50ms", "--", "true"}, "", "threshold=2:help=1");
  EXPECT_THAT(result.err, HasSubstr("threshold=50ms"));
  EXPECT_THAT(Loopsan({"run", "--", "true"}, "", "threshold=2:help=1").err,
              HasSubstr("threshold=2s"));
}

TEST(Run, TellsApartWhatIsMissingAndWhatCannotBeExecuted) {
  EXPECT_EQ(Loopsan({"run", "--", "no-such-command"}).exit_code, 127);
  EXPECT_EQ(Loopsan({"run", "--", "/"}).exit_code, 126);
  EXPECT_EQ(Loopsan({"run", "--", "/etc/passwd"}).exit_code, 126);
}

TEST(Run, RefusesAStaticProgramBeforeItRuns) {
  const Finished result = Loopsan({"run", "--", STATIC_PROGRAM});
  EXPECT_EQ(result.exit_code, 125);
  EXPECT_THAT(result.err, StartsWith("loopsan: cannot watch " STATIC_PROGRAM ": it is statically"));
}

TEST(Run, RefusesAnUnwritableReportBeforeTheCommandRuns) {
  for (const char* flag : {"--json=/nonexistent/r", "--output=/nonexistent/r"}) {
    const Finished result = Loopsan({"run", flag, "--", "echo", "ran"});
    EXPECT_EQ(result.exit_code, 125);
    EXPECT_THAT(result.out, IsEmpty());
    EXPECT_THAT(result.err, HasSubstr("cannot write /nonexistent/r: No such file or directory"));
  }
}

TEST(Run, WritesTheReportsToTheirFiles) {
  const TemporaryDirectory directory;
  const Finished result =
      Loopsan({"run", "--json=" + (directory / "j"), "--output", directory / "t", "--", "true"},
              "live,loop,finding");
  EXPECT_EQ(result.exit_code, 0);
  EXPECT_THAT(result.err, IsEmpty());
  EXPECT_THAT(Contents(directory / "j"), StartsWith("{"));
  EXPECT_THAT(Contents(directory / "t"), Not(IsEmpty()));
}

TEST(Run, WritesJsonToStandardOutputBehindTheCommandsOwn) {
  const Finished result = Loopsan({"run", "--quiet", "--json=-", "--", "echo", "hello"});
  EXPECT_THAT(result.out, StartsWith("hello\n{"));
}

TEST(Run, KeepsAnOldReportIfTheCommandCannotBeStarted) {
  const TemporaryDirectory directory;
  std::ofstream(directory / "old") << "old";
  EXPECT_EQ(Loopsan({"run", "--json=" + (directory / "old"), "--", "no-such-command"}).exit_code,
            127);
  EXPECT_EQ(Contents(directory / "old"), "old");
  EXPECT_EQ(Loopsan({"run", "--json=" + (directory / "new"), "--", "true"}, "broken").exit_code,
            125);
  EXPECT_FALSE(std::filesystem::exists(directory / "new"));
}

TEST(Run, FailsWhenAReportIsLostUnlessTheCommandFailedFirst) {
  const Finished lost = Loopsan({"run", "--json=/dev/full", "--", "true"});
  EXPECT_EQ(lost.exit_code, 125);
  EXPECT_THAT(lost.err, HasSubstr("cannot write /dev/full: No space left on device"));
  EXPECT_EQ(Loopsan({"run", "--json=/dev/full", "--", "sh", "-c", "exit 3"}).exit_code, 3);
}

TEST(Run, SurvivesALimitOnFileSizes) {
  const TemporaryDirectory directory;
  const std::string path = directory / "r";
  const Finished result = testing::RunCommand(
      {.arguments = {"sh", "-c",
                     "ulimit -f 0; exec " FAKE_LOOPSAN " run --json=" + path + " true"}});
  EXPECT_EQ(result.exit_code, 125);
  EXPECT_THAT(result.err, HasSubstr("cannot write " + path + ": File too large"));
}

TEST(Run, WantsALoopOnlyIfAskedTo) {
  EXPECT_EQ(Loopsan({"run", "--", "true"}).exit_code, 0);
  const Finished missing = Loopsan({"run", "--require-loop", "--quiet", "--", "true"});
  EXPECT_EQ(missing.exit_code, 67);
  EXPECT_EQ(missing.err,
            "loopsan: no event loop was seen in true, and --require-loop wants one; was it the "
            "right command?\n");
  EXPECT_EQ(Loopsan({"run", "--require-loop", "--", "true"}, "loop").exit_code, 0);
  EXPECT_EQ(Loopsan({"run", "--require-loop", "--", "false"}).exit_code, 1);
}

TEST(Run, PrintsStallsAtOnce) {
  const Finished result = Loopsan({"run", "--", "true"}, "live,loop");
  EXPECT_THAT(result.err, HasSubstr("loopsan: the loop has not moved for 1 s\n"));
}

TEST(Run, IsQuietWhenAskedToUnlessThereAreFindings) {
  EXPECT_THAT(Loopsan({"run", "--quiet", "--", "true"}, "live").err, IsEmpty());
  EXPECT_THAT(Loopsan({"run", "--quiet", "--", "true"}, "live,loop").err, IsEmpty());
  EXPECT_THAT(Loopsan({"run", "--quiet", "--", "true"}, "loop,finding").err, Not(IsEmpty()));
}

TEST(Run, SaysWhyTheCollectorCannotBeMade) {
  const Finished result = Loopsan({"run", "--", "echo", "ran"}, "broken");
  EXPECT_EQ(result.exit_code, 125);
  EXPECT_EQ(result.err, "loopsan: cannot make the arena: no memory\n");
  EXPECT_THAT(result.out, IsEmpty());
}

TEST(Run, SaysWhereItHasLookedForAMissingProbe) {
  const Finished result =
      testing::RunCommand({.arguments = {LOOPSAN_WITHOUT_PROBE, "run", "--", "echo", "ran"}});
  EXPECT_EQ(result.exit_code, 125);
  EXPECT_THAT(result.err, HasSubstr("cannot find the probe libloopsan.so; looked at "));
  EXPECT_THAT(result.out, IsEmpty());
}

TEST(Run, PreloadsTheProbeAndNamesTheSession) {
  const Finished result =
      Loopsan({"run", "--quiet", "--", "sh", "-c",
               "echo $LD_PRELOAD; echo $LOOPSAN_SESSION; grep -c libloopsan.so /proc/$$/maps"});
  EXPECT_THAT(result.out, StartsWith(std::filesystem::canonical(FAKE_PROBE).string() + "\n"));
  EXPECT_THAT(result.out, HasSubstr(":0000000000000001\n"));
  EXPECT_THAT(result.out, Not(EndsWith("\n0\n")));
}

TEST(Run, FailsOnFindingsOnlyIfAskedTo) {
  const std::string fake = "loop,finding";
  EXPECT_EQ(Loopsan({"run", "--", "true"}, fake).exit_code, 0);
  EXPECT_EQ(Loopsan({"run", "--fail-on=none", "--", "true"}, fake).exit_code, 0);
  EXPECT_EQ(Loopsan({"run", "--fail-on=new", "--", "true"}, "loop").exit_code, 0);
  const Finished failed = Loopsan({"run", "--fail-on=new", "--", "true"}, fake);
  EXPECT_EQ(failed.exit_code, 66);
  EXPECT_THAT(failed.err, HasSubstr("loopsan: the gate failed\n"
                                    "  - F1 new error: nanosleep blocked the loop for 0.3 s\n"
                                    "  fix it, or record it: "));
  EXPECT_EQ(Loopsan({"run", "--fail-on=new", "--", "false"}, fake).exit_code, 1);
}

TEST(Run, TakesTheGateFromTheEnvironmentToo) {
  EXPECT_EQ(Loopsan({"run", "--", "true"}, "loop,finding", "fail_on=error").exit_code, 66);
  EXPECT_EQ(Loopsan({"run", "--", "true"}, "loop,finding", "budget=findings=0").exit_code, 66);
  EXPECT_EQ(Loopsan({"run", "--", "true"}, "loop,finding", "budget=findings=1").exit_code, 0);
}

TEST(Run, SaysNothingOfAGateThatIsPassedIfItIsToBeQuiet) {
  EXPECT_THAT(Loopsan({"run", "--quiet", "--fail-on=new", "--", "true"}, "loop").err, IsEmpty());
  EXPECT_THAT(Loopsan({"run", "--quiet", "--fail-on=new", "--", "true"}, "loop,finding").err,
              HasSubstr("the gate failed"));
}

TEST(Run, RefusesAMissingBaselineBeforeTheCommandRuns) {
  const Finished result = Loopsan({"run", "--baseline=/nonexistent/b.json", "--", "echo", "ran"});
  EXPECT_EQ(result.exit_code, 125);
  EXPECT_THAT(result.out, IsEmpty());
  EXPECT_THAT(result.err,
              HasSubstr("cannot read /nonexistent/b.json: No such file or directory; make "
                        "it with loopsan run --json=report.json"));
}

TEST(Run, KnowsTheFindingsOfTheBaseline) {
  const TemporaryDirectory directory;
  const std::string report = directory / "r.json";
  const std::string baseline = directory / "b.json";
  EXPECT_EQ(Loopsan({"run", "--json=" + report, "--", "true"}, "loop,finding").exit_code, 0);
  EXPECT_EQ(Loopsan({"baseline", report, "--output=" + baseline}).exit_code, 0);
  const Finished known =
      Loopsan({"run", "--baseline=" + baseline, "--json=" + report, "--", "true"}, "loop,finding");
  EXPECT_EQ(known.exit_code, 0);
  EXPECT_THAT(known.err, HasSubstr("the gate is passed: 1 finding of the baseline"));
  EXPECT_THAT(Contents(report), HasSubstr("\"baseline_state\": \"unchanged\""));
}

// Descriptors, signals, limits, environment: all that a program can see.
TEST(Run, GivesTheCommandWhatItWasGiven) {
  const std::vector<std::string> inherited = {"sh",
                                              "-c",
                                              "exec \"$@\" 7</dev/zero",
                                              "sh",
                                              "env",
                                              "--ignore-signal=CHLD,HUP,USR2",
                                              "--default-signal=PIPE",
                                              "--block-signal=USR1,WINCH,TERM"};
  std::vector<std::string> plain = inherited;
  plain.push_back(LOOK_AROUND);
  std::vector<std::string> watched = inherited;
  watched.insert(watched.end(),
                 {FAKE_LOOPSAN, "run", "--quiet", "--json=/dev/null", "--", LOOK_AROUND});
  const Finished expected = testing::RunCommand({.arguments = plain});
  const Finished result = testing::RunCommand({.arguments = watched});
  EXPECT_EQ(result.exit_code, 0);
  EXPECT_THAT(expected.out, HasSubstr("fd 7 /dev/zero\n"));
  EXPECT_THAT(expected.out, HasSubstr("signal 10 1 0\n"));  // USR1 blocked
  EXPECT_THAT(expected.out, HasSubstr("signal 17 0 1\n"));  // CHLD ignored
  EXPECT_EQ(result.out, expected.out);
}

TEST(Run, LetsClosedStreamsStayClosed) {
  const TemporaryDirectory directory;
  const std::string path = directory / "r";
  const Finished result = testing::RunCommand(
      {.arguments = {
           "sh", "-c",
           "exec 0<&- 2>&-; exec " FAKE_LOOPSAN " run --json=" + path +
               " -- sh -c 'test -e /proc/$$/fd/0 || test -e /proc/$$/fd/2 || echo closed'"}});
  EXPECT_EQ(result.out, "closed\n");
  EXPECT_THAT(Contents(path), StartsWith("{"));
}

}  // namespace
}  // namespace loopsan
