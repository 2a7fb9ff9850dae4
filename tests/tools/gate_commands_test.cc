// The commands over reports, run as a person runs them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "reporters/reporter.h"
#include "tests/reporters/golden.h"
#include "tests/reporters/sample_report.h"
#include "tests/support/process.h"

namespace loopsan {
namespace {

using ::testing::AllOf;
using testing::Finished;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::StartsWith;

class GateCommands : public ::testing::Test {
 protected:
  Finished Loopsan(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), FAKE_LOOPSAN);
    return testing::RunCommand({.arguments = arguments,
                                .environment = {"LOOPSAN_OPTIONS="},
                                .directory = directory_.path()});
  }

  // Writes a file into the directory in which the commands run.
  void WriteReport(const std::string& name, const Report& report) {
    std::ofstream file(directory_ / name, std::ios::binary);
    WriteJson(report, {}, file);
  }

  std::string Contents(const std::string& name) { return ReadFile(directory_ / name); }

  static Report Clean() {
    Report report = SampleReport();
    report.findings.clear();
    report.unproven_findings.clear();
    return report;
  }

  const testing::TemporaryDirectory directory_;
};

TEST_F(GateCommands, TeachWithExamples) {
  for (const char* command : {"report", "check", "baseline", "diff", "merge"}) {
    const Finished help = Loopsan({command, "--help"});
    EXPECT_EQ(help.exit_code, 0) << command;
    EXPECT_THAT(help.out, AllOf(HasSubstr(std::string("Usage: loopsan ") + command),
                                HasSubstr("Examples:"), HasSubstr("Exit status: 0")));
    EXPECT_THAT(Loopsan({"--help"}).out, HasSubstr(std::string("\n  ") + command + " "));
  }
}

TEST_F(GateCommands, RefuseMisuse) {
  for (const char* command : {"report", "check", "baseline", "diff", "merge"}) {
    EXPECT_EQ(Loopsan({command}).exit_code, 125) << command;
    const Finished unknown = Loopsan({command, "--speed=1", "a.json", "b.json"});
    EXPECT_EQ(unknown.exit_code, 125) << command;
    EXPECT_THAT(unknown.err, AllOf(HasSubstr("--speed=1"),
                                   HasSubstr(std::string("Try 'loopsan ") + command + " --help'")));
  }
}

TEST_F(GateCommands, GuessWhatAMisspeltFlagMeans) {
  EXPECT_THAT(Loopsan({"merge", "a.json", "--ouput=b.json"}).err,
              HasSubstr("--ouput=b.json (did you mean '--output'?)\n"));
  EXPECT_THAT(Loopsan({"report", "a.json", "--formt", "text"}).err,
              HasSubstr("(did you mean '--format'?)\n"));
  EXPECT_THAT(Loopsan({"merge", "a.json", "--speed=1"}).err, Not(HasSubstr("did you mean")));
  EXPECT_THAT(Loopsan({"reprot", "a.json"}).err,
              HasSubstr("unknown command 'reprot' (did you mean 'report'?); to watch"));
  EXPECT_THAT(Loopsan({"merge", "a.json", "b.json", "c.json"}).err, Not(HasSubstr("did you mean")));
}

TEST_F(GateCommands, NameAFileThatIsNoReport) {
  std::ofstream(directory_ / "a.json") << "[";
  std::vector<std::vector<std::string>> commands = {{"report", "a.json"},
                                                    {"check", "a.json"},
                                                    {"baseline", "a.json"},
                                                    {"diff", "a.json", "a.json"},
                                                    {"merge", "a.json", "--output=m.json"}};
  for (const std::vector<std::string>& command : commands) {
    const Finished result = Loopsan(command);
    EXPECT_EQ(result.exit_code, 125) << command[0];
    EXPECT_THAT(result.err, StartsWith("loopsan: a.json: no report of loopsan: not JSON"));
  }
  EXPECT_FALSE(std::filesystem::exists(directory_ / "m.json"));
  EXPECT_FALSE(std::filesystem::exists(directory_ / "loopsan-baseline.json"));
}

TEST_F(GateCommands, ReportShowsTheReportInEachFormat) {
  WriteReport("r.json", SampleReport());
  EXPECT_THAT(Loopsan({"report", "r.json"}).out, HasSubstr("F1 error: nanosleep blocked"));
  EXPECT_EQ(Loopsan({"report", "r.json", "--format=json"}).out, Contents("r.json"));
  EXPECT_EQ(Loopsan({"report", "r.json", "--format=json", "--output=o.json"}).out, "");
  EXPECT_EQ(Contents("o.json"), Contents("r.json"));
  EXPECT_THAT(Loopsan({"report", "r.json", "--color=always"}).out, HasSubstr("\033[1;31m"));
  for (const Reporter& reporter : Reporters()) {
    const Finished result = Loopsan({"report", "r.json", "--format", std::string(reporter.name)});
    EXPECT_EQ(result.exit_code, 0) << reporter.name;
    EXPECT_THAT(result.out, Not(IsEmpty())) << reporter.name;
  }
  EXPECT_THAT(Loopsan({"report", "r.json", "--format=spedscope"}).err,
              HasSubstr("unknown format 'spedscope' (did you mean 'speedscope'?); the formats"));
  EXPECT_THAT(Loopsan({"report", "r.json", "--format=pdf"}).err,
              HasSubstr("unknown format 'pdf'; the formats are text, json"));
}

TEST_F(GateCommands, ReadStandardInput) {
  WriteReport("r.json", SampleReport());
  const Finished result = testing::RunCommand(
      {.arguments = {"sh", "-c",
                     FAKE_LOOPSAN " merge - --output=- < r.json | " FAKE_LOOPSAN " report -"},
       .directory = directory_.path()});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_THAT(result.out, HasSubstr("error: deadlock: 3 wait for each other"));
}

TEST_F(GateCommands, CheckFailsOnFindingsUntilTheyAreRecorded) {
  WriteReport("r.json", SampleReport());
  const Finished failed = Loopsan({"check", "r.json"});
  EXPECT_EQ(failed.exit_code, 66);
  EXPECT_THAT(failed.out, AllOf(HasSubstr("the gate failed"), HasSubstr("F7 new error: deadlock"),
                                HasSubstr("/srv/src/server.cc:42 in app::Server::Handle"),
                                HasSubstr("fix it, or record it: loopsan baseline r.json")));
  EXPECT_EQ(Loopsan({"check", "r.json", "--fail-on=none"}).exit_code, 0);

  const Finished recorded = Loopsan({"baseline", "r.json"});
  EXPECT_EQ(recorded.out, "loopsan: loopsan-baseline.json: 6 findings: 6 added, 0 known before\n");
  const Finished passed = Loopsan({"check", "r.json", "--baseline=loopsan-baseline.json"});
  EXPECT_EQ(passed.exit_code, 0);
  EXPECT_THAT(passed.out, HasSubstr("the gate is passed: 6 findings of the baseline"));
  EXPECT_EQ(
      Loopsan({"check", "r.json", "--baseline=loopsan-baseline.json", "--fail-on=error"}).exit_code,
      66);
}

TEST_F(GateCommands, CheckHoldsBudgets) {
  WriteReport("r.json", SampleReport());
  EXPECT_EQ(Loopsan({"check", "r.json", "--fail-on=none", "--budget=findings=6",
                     "--budget=worst-stall=1s"})
                .exit_code,
            0);
  const Finished failed = Loopsan({"check", "r.json", "--fail-on=none", "--budget", "findings=5",
                                   "--budget=longest-step=300ms"});
  EXPECT_EQ(failed.exit_code, 66);
  EXPECT_THAT(failed.out, AllOf(HasSubstr("budget findings exceeded: 6 where 5 are allowed"),
                                HasSubstr("budget longest-step exceeded")));
  EXPECT_THAT(Loopsan({"check", "r.json", "--budget=speed=1"}).err,
              HasSubstr("--budget: bad value 'speed=1'; expected worst-stall=TIME"));
}

TEST_F(GateCommands, CheckSaysHowToMakeAMissingBaseline) {
  WriteReport("r.json", Clean());
  const Finished result = Loopsan({"check", "r.json", "--baseline=b.json"});
  EXPECT_EQ(result.exit_code, 125);
  EXPECT_THAT(result.err, HasSubstr("loopsan baseline report.json --output=b.json"));
}

TEST_F(GateCommands, BaselineKeepsReasonsAndRemovesOnlyWhenPruned) {
  WriteReport("r.json", SampleReport());
  WriteReport("clean.json", Clean());
  Loopsan({"baseline", "r.json"});
  std::string text = Contents("loopsan-baseline.json");
  const std::string reason = "\"reason\": \"\"";
  ASSERT_NE(text.find(reason), std::string::npos);
  text.replace(text.find(reason), reason.size(), "\"reason\": \"start-up\"");
  std::ofstream(directory_ / "loopsan-baseline.json") << text;

  EXPECT_THAT(
      Loopsan({"baseline", "clean.json"}).out,
      HasSubstr("6 findings: 0 added, 0 known before, 6 not seen in this report and kept; if "
                "it is of everything, --prune removes them"));
  EXPECT_THAT(Contents("loopsan-baseline.json"), HasSubstr("\"reason\": \"start-up\""));
  EXPECT_THAT(Loopsan({"baseline", "clean.json", "--prune"}).out,
              HasSubstr("0 findings: 0 added, 0 known before, 6 not seen any more and removed"));
}

TEST_F(GateCommands, BaselineDoesNotOverwriteWhatItCannotRead) {
  WriteReport("r.json", SampleReport());
  std::ofstream(directory_ / "loopsan-baseline.json") << "{ precious";
  const Finished result = Loopsan({"baseline", "r.json"});
  EXPECT_EQ(result.exit_code, 125);
  EXPECT_THAT(result.err, HasSubstr("loopsan-baseline.json: no baseline of loopsan: not JSON"));
  EXPECT_EQ(Contents("loopsan-baseline.json"), "{ precious");
}

TEST_F(GateCommands, DiffExitsWithOneOnlyIfAskedTo) {
  WriteReport("a.json", SampleReport());
  WriteReport("b.json", Clean());
  const Finished same = Loopsan({"diff", "a.json", "a.json", "--exit-code"});
  EXPECT_EQ(same.exit_code, 0);
  EXPECT_EQ(same.out, "loopsan: no difference\n");
  const Finished different = Loopsan({"diff", "a.json", "b.json"});
  EXPECT_EQ(different.exit_code, 0);
  EXPECT_THAT(different.out, HasSubstr("0 new, 6 gone, 0 worse, 0 better"));
  EXPECT_EQ(Loopsan({"diff", "b.json", "a.json", "--exit-code"}).exit_code, 1);
}

TEST_F(GateCommands, MergeNeedsAPlaceToWriteTo) {
  WriteReport("a.json", SampleReport());
  const Finished result = Loopsan({"merge", "a.json"});
  EXPECT_EQ(result.exit_code, 125);
  EXPECT_THAT(result.err, HasSubstr("merge needs to know where to write: --output=FILE"));
}

TEST_F(GateCommands, MergeCountsAReportOnceThatIsGivenTwice) {
  WriteReport("a.json", SampleReport());
  WriteReport("copy.json", SampleReport());
  WriteReport("b.json", Clean());
  const Finished twice = Loopsan({"merge", "a.json", "b.json", "a.json", "--output=ab.json"});
  EXPECT_EQ(twice.exit_code, 0);
  EXPECT_EQ(twice.err, "loopsan: a.json is given twice; it is counted once\n");
  const Finished copied = Loopsan({"merge", "a.json", "copy.json", "b.json", "--output=c.json"});
  EXPECT_EQ(copied.exit_code, 0);
  EXPECT_EQ(copied.err, "loopsan: copy.json and a.json are the same report; it is counted once\n");
  const Finished once = Loopsan({"merge", "a.json", "b.json", "--output=once.json"});
  EXPECT_EQ(once.err, "");
  EXPECT_EQ(Contents("ab.json"), Contents("once.json"));
  EXPECT_EQ(Contents("c.json"), Contents("once.json"));
}

TEST_F(GateCommands, MergeGivesTheSameInAnyOrder) {
  WriteReport("a.json", SampleReport());
  WriteReport("b.json", Clean());
  EXPECT_EQ(Loopsan({"merge", "a.json", "b.json", "--output=ab.json"}).exit_code, 0);
  EXPECT_EQ(Loopsan({"merge", "--output", "ba.json", "b.json", "a.json"}).exit_code, 0);
  EXPECT_EQ(Contents("ab.json"), Contents("ba.json"));
  EXPECT_EQ(Loopsan({"diff", "a.json", "ab.json", "--exit-code"}).exit_code, 0);
}

}  // namespace
}  // namespace loopsan
