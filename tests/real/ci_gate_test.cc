// The story of a project that puts its tests under the gate.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "tests/support/loopsan_run.h"
#include "tests/support/process.h"

namespace loopsan::testing {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr int kPassed = 0;
constexpr int kGateFailed = 66;

// A project, its "tests" (a victim that plays a scenario), and its folder.
class Project {
 public:
  Finished Loopsan(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), LOOPSAN_COMMAND);
    return RunCommand({.arguments = arguments, .directory = folder_.path()});
  }

  // The CI's one step. The run leaves report.json behind.
  Finished Test(const std::string& scenario, const std::vector<std::string>& flags) {
    std::vector<std::string> arguments = {"run", "--json=report.json"};
    arguments.insert(arguments.end(), flags.begin(), flags.end());
    arguments.insert(arguments.end(),
                     {"--", ProgramPath("victim_epoll_O2"), folder_.path(), scenario});
    return Loopsan(arguments);
  }

  // tools/ci/run.sh, as a job of a GitHub workflow runs it.
  Finished RunOnGithub(const std::string& scenario, const std::string& flag) {
    return RunCommand({.arguments = {LOOPSAN_CI_SCRIPT, flag, "--", ProgramPath("victim_epoll_O2"),
                                     folder_.path(), scenario},
                       .environment = {std::string("LOOPSAN=") + LOOPSAN_COMMAND,
                                       "GITHUB_ACTIONS=true", "GITHUB_STEP_SUMMARY=page.md"},
                       .directory = folder_.path()});
  }

  void Write(const std::string& name, const std::string& text) const {
    std::ofstream(folder_.path() + "/" + name) << text;
  }
  std::string Read(const std::string& name) const {
    std::ifstream file(folder_.path() + "/" + name);
    return {std::istreambuf_iterator<char>(file), {}};
  }

 private:
  const TemporaryDirectory folder_;
};

TEST(CiGate, OnlyLetsTheBaselineShrink) {
  Project project;
  const std::vector<std::string> with_baseline = {"--baseline=loopsan-baseline.json"};

  // A clean run is green.
  const Finished clean = project.Test("none", {"--fail-on=new", "--require-loop"});
  EXPECT_EQ(clean.exit_code, kPassed) << clean.err;
  EXPECT_THAT(clean.err, HasSubstr("the gate is passed: no findings"));

  // A block makes it red, with the line and what to do.
  const Finished red = project.Test("sleep_for", {"--fail-on=new"});
  EXPECT_EQ(red.exit_code, kGateFailed) << red.err;
  EXPECT_THAT(red.err, AllOf(HasSubstr("the gate failed"), HasSubstr("new error: nanosleep"),
                             HasSubstr("scenarios.h:"),
                             HasSubstr("fix it, or record it: loopsan baseline report.json")));

  // Recording it makes the next run green.
  const Finished recorded = project.Loopsan({"baseline", "report.json"});
  EXPECT_EQ(recorded.exit_code, kPassed) << recorded.err;
  const Finished known = project.Test("sleep_for", with_baseline);
  EXPECT_EQ(known.exit_code, kPassed) << known.err;
  EXPECT_THAT(known.err, HasSubstr("of the baseline"));

  // Once it is fixed the baseline can shrink, which nobody is forced to do.
  const Finished fixed = project.Test("none", with_baseline);
  EXPECT_EQ(fixed.exit_code, kPassed) << fixed.err;
  EXPECT_THAT(fixed.err, HasSubstr("of the baseline not seen in this run"));
  const Finished checked =
      project.Loopsan({"check", "report.json", "--baseline=loopsan-baseline.json"});
  EXPECT_EQ(checked.exit_code, kPassed) << checked.out;
  EXPECT_THAT(checked.out, AllOf(HasSubstr("not seen any more: blocking-call nanosleep"),
                                 HasSubstr("the baseline can shrink"), HasSubstr("--prune")));
  const Finished pruned = project.Loopsan({"baseline", "report.json", "--prune"});
  EXPECT_EQ(pruned.exit_code, kPassed) << pruned.err;
  EXPECT_THAT(project.Loopsan({"check", "report.json", "--baseline=loopsan-baseline.json"}).out,
              Not(HasSubstr("the baseline can shrink")));

  // Another block is new.
  const Finished red_again = project.Test("join", with_baseline);
  EXPECT_EQ(red_again.exit_code, kGateFailed) << red_again.err;
  EXPECT_THAT(red_again.err, HasSubstr("new error: pthread_join"));
}

TEST(CiGate, HoldsBudgets) {
  Project project;
  const Finished within = project.Test("sleep_for", {"--fail-on=none", "--budget=worst-stall=30s"});
  EXPECT_EQ(within.exit_code, kPassed) << within.err;
  const Finished exceeded =
      project.Test("sleep_for", {"--budget=worst-stall=100ms", "--budget=findings=1000"});
  EXPECT_EQ(exceeded.exit_code, kGateFailed) << exceeded.err;
  EXPECT_THAT(exceeded.err, AllOf(HasSubstr("budget worst-stall exceeded"),
                                  Not(HasSubstr("budget findings exceeded"))));
}

TEST(CiGate, IsPassedByASuppressionUntilThatExpires) {
  Project project;
  const std::string entry = "blocking-call:call=nanosleep until=";
  project.Write("good.supp", entry + "2999-12-31  # reason: this test wants it\n");
  project.Write("expired.supp", entry + "2020-12-31  # reason: this test wants it\n");
  const Finished good = project.Test("sleep_for", {"--fail-on=error", "--suppressions=good.supp"});
  EXPECT_EQ(good.exit_code, kPassed) << good.err;
  EXPECT_THAT(good.err, HasSubstr("suppressed: 2 findings"));
  const Finished expired =
      project.Test("sleep_for", {"--fail-on=error", "--suppressions=expired.supp"});
  EXPECT_EQ(expired.exit_code, kGateFailed) << expired.err;
  EXPECT_THAT(expired.err, HasSubstr("expired on 2020-12-31"));
  // The report can be judged again, by whoever has another file.
  const Finished checked = project.Loopsan({"check", "report.json", "--suppressions=good.supp"});
  EXPECT_EQ(checked.exit_code, kPassed) << checked.out << checked.err;
}

TEST(CiScript, LeavesAReportInEveryFormatAndAnnotatesTheLine) {
  Project project;
  const Finished red = project.RunOnGithub("sleep_for", "--fail-on=error");
  EXPECT_EQ(red.exit_code, kGateFailed) << red.err;
  EXPECT_THAT(red.out, AllOf(HasSubstr("::error file="), HasSubstr("scenarios.h,line=")));
  EXPECT_THAT(project.Read("page.md"), HasSubstr("nanosleep"));
  for (const char* report : {"report.json", "report.sarif", "junit.xml", "codequality.json",
                             "summary.md", "report.html"}) {
    EXPECT_THAT(project.Read(std::string("loopsan-report/") + report), HasSubstr("nanosleep"))
        << report;
  }
  const Finished green = project.RunOnGithub("none", "--fail-on=error");
  EXPECT_EQ(green.exit_code, kPassed) << green.err;
}

TEST(CiGate, SeesNoDifferenceBetweenTwentyRunsOfOneProgram) {
  Project project;
  project.Test("sleep_for", {});
  project.Loopsan({"report", "report.json", "--format=json", "--output=before.json"});
  for (int run = 0; run < 20; ++run) {
    project.Test("sleep_for", {});
    const Finished same = project.Loopsan({"diff", "before.json", "report.json", "--exit-code"});
    EXPECT_EQ(same.exit_code, kPassed) << same.out;
  }
  project.Test("join", {});
  const Finished different = project.Loopsan({"diff", "before.json", "report.json", "--exit-code"});
  EXPECT_EQ(different.exit_code, 1);
  EXPECT_THAT(different.out,
              AllOf(HasSubstr("new    F1 error: pthread_join"), HasSubstr("error: nanosleep")));
}

}  // namespace
}  // namespace loopsan::testing
