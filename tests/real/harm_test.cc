// Programs that stress what a preloaded library must not disturb do the same
// with and without loopsan.
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <fstream>

#include "tests/real/harm_run.h"
#include "tests/support/report_search.h"

namespace loopsan::testing {
namespace {

enum class Needs { kNothing, kRoot, kUserNamespace };

struct Case {
  const char* program;
  const char* scenario;
  Needs needs = Needs::kNothing;
  // The helper inherits what the program has done to itself, and says so.
  bool helper_complains = false;
};

void PrintTo(const Case& test_case, std::ostream* out) { *out << test_case.scenario; }

bool IsPossible(Needs needs) {
  if (needs == Needs::kRoot) return geteuid() == 0;
  if (needs == Needs::kUserNamespace)
    return RunCommand({{"unshare", "-Ur", "true"}, {}, {}}).exit_code == 0;
  return true;
}

HarmProgram ProgramOf(const Case& test_case) {
  return {{test_case.program, kDirectory, test_case.scenario}, {}, {}};
}

class Harm : public ::testing::TestWithParam<Case> {
 protected:
  void SetUp() override {
    if (!IsPossible(GetParam().needs)) GTEST_SKIP() << "not allowed here";
  }
};

TEST_P(Harm, IsNoneUnderTheCommand) {
  const Watched watched = RunWatched(ProgramOf(GetParam()));
  EXPECT_EQ(watched.seen, RunAlone(ProgramOf(GetParam())));
  EXPECT_GT(TurnsIn(watched.report), 0u) << "it was not watched, so this proves nothing";
}

// Every hook on a loop thread then records, whatever it took.
TEST_P(Harm, IsNoneWhenEveryCallIsRecorded) {
  HarmProgram program = ProgramOf(GetParam());
  program.flags = {"--calls=strict"};
  EXPECT_EQ(RunWatched(program).seen, RunAlone(program));
}

TEST_P(Harm, IsNoneFromThePreloadedProbeAlone) {
  Seen preloaded = RunPreloaded(ProgramOf(GetParam()));
  const Seen alone = RunAlone(ProgramOf(GetParam()));
  if (GetParam().helper_complains) preloaded.err = alone.err;
  EXPECT_EQ(preloaded, alone);
}

const Case kCases[] = {
    {"harm_sandbox", "filter_before_the_first_wait"},
    {"harm_sandbox", "filter_after_the_first_wait"},
    {"harm_sandbox", "filter_in_a_later_step"},
    {"harm_sandbox", "filter_and_stall"},
    {"harm_sandbox", "no_file_may_grow", Needs::kNothing, true},
    {"harm_sandbox", "writing_is_the_end", Needs::kNothing, true},
    {"harm_sandbox", "close_all_descriptors"},
    {"harm_sandbox", "close_each_descriptor"},
    {"harm_sandbox", "close_all_before_the_first_wait"},
    {"harm_sandbox", "close_standard_error"},
    {"harm_sandbox", "allow_few_descriptors"},
    {"harm_sandbox", "allow_no_more_descriptors"},
    {"harm_sandbox", "allow_little_memory"},
    {"harm_sandbox", "number_the_first_descriptor"},
    {"harm_sandbox", "change_root", Needs::kRoot},
    {"harm_sandbox", "change_user", Needs::kRoot},
    {"harm_sandbox", "change_user_before_the_first_wait", Needs::kRoot},
    {"harm_sandbox", "unshare_user", Needs::kUserNamespace},
    {"harm_sandbox", "fill_the_shared_memory", Needs::kRoot, true},
    {"harm_sandbox", "count_threads_and_handlers"},

    {"harm_processes", "fork_a_child_with_a_loop"},
    {"harm_processes", "fork_in_the_loop"},
    {"harm_processes", "fork_a_child_that_execs"},
    {"harm_processes", "fork_on_another_thread"},
    {"harm_processes", "clone_without_the_library"},
    {"harm_processes", "vfork_and_exec"},
    {"harm_processes", "vfork_and_fail"},
    {"harm_processes", "spawn"},
    {"harm_processes", "become_a_daemon"},
    {"harm_processes", "exec_in_the_loop"},
    {"harm_processes", "exec_from_another_thread"},
    {"harm_processes", "wait_for_any_child"},
    {"harm_processes", "gather_orphans"},
    {"harm_processes", "kill_itself"},
    {"harm_processes", "abort"},

    {"harm_signals", "interrupt_idle_waits"},
    {"harm_signals", "interrupt_idle_waits_on_another_stack"},
    {"harm_signals", "interrupt_calls"},
    {"harm_signals", "interrupt_calls_on_another_stack"},
    {"harm_signals", "jump_out_of_calls"},
    {"harm_signals", "jump_out_of_waits"},

    {"harm_memory", "start_threads_that_wait_once"},
    {"harm_memory", "start_threads_on_stacks_of_many_sizes"},
    {"harm_memory", "run_a_hundred_loops"},
    {"harm_memory", "run_a_hundred_loops_at_once"},
    {"harm_memory", "run_a_loop_on_a_fiber"},
    {"harm_memory", "run_a_loop_on_a_fiber_of_a_thread"},
    {"harm_memory", "run_a_loop_on_a_stack_of_its_own"},
    {"harm_memory", "pass_arguments_at_the_end_of_a_page"},
};

INSTANTIATE_TEST_SUITE_P(All, Harm, ::testing::ValuesIn(kCases),
                         [](const auto& info) { return std::string(info.param.scenario); });

// ---- what the report must still say ----

Watched RunScenario(const char* program, const char* scenario) {
  return RunWatched({{program, kDirectory, scenario}, {}, {}});
}

TEST(HarmReport, NamesWhatBlocksBehindAFilterOfSystemCalls) {
  for (const char* scenario : {"filter_before_the_first_wait", "filter_after_the_first_wait"}) {
    EXPECT_EQ(ReportedBlocks(RunScenario("harm_sandbox", scenario).report).size(), 1u) << scenario;
  }
}

TEST(HarmReport, NamesWhatBlocksWhenAllDescriptorsHaveBeenClosed) {
  const Watched watched = RunScenario("harm_sandbox", "close_all_before_the_first_wait");
  EXPECT_EQ(ReportedBlocks(watched.report).size(), 1u);
}

TEST(HarmReport, SeesTheParentAndTheChildThatWasForkedInAStep) {
  const Watched watched = RunScenario("harm_processes", "fork_a_child_with_a_loop");
  ASSERT_EQ(watched.report["processes"].size(), 2u);
  // The same line of the same program: one finding.
  const auto blocks = ReportedBlocks(watched.report);
  ASSERT_EQ(blocks.size(), 1u);
  EXPECT_GE(blocks[0]["count"], 2) << "the parent blocks once, the child three times";
}

TEST(HarmReport, CountsTheTurnsOfAParentWithoutThoseOfItsChild) {
  const Watched watched = RunScenario("harm_processes", "fork_a_child_with_a_loop");
  const Json parent = watched.report["processes"][0];
  ASSERT_EQ(parent["loops"].size(), 1u);
  EXPECT_EQ(parent["loops"][0]["turns"], 200);
}

TEST(HarmReport, SeesTheProgramBeforeAndBehindAnExecInAStep) {
  const Watched watched = RunScenario("harm_processes", "exec_in_the_loop");
  ASSERT_EQ(watched.report["processes"].size(), 2u);
  EXPECT_EQ(watched.report["processes"][0]["pid"], watched.report["processes"][1]["pid"]);
}

TEST(HarmReport, KeepsNothingOfACallThatWasLeftByALongJump) {
  const Watched watched = RunScenario("harm_signals", "jump_out_of_calls");
  const auto sleeps = FindingsThat(watched.report, {.calls = {"nanosleep", "clock_nanosleep"}});
  ASSERT_EQ(sleeps.size(), 1u) << watched.report.dump(1);
  EXPECT_EQ(ReportedBlocks(watched.report).size(), 1u) << "a later block was lost";
}

TEST(HarmReport, ComesAfterTheProgramWasKilled) {
  const Watched watched = RunScenario("harm_processes", "kill_itself");
  EXPECT_EQ(ReportedBlocks(watched.report).size(), 1u);
}

// ---- programs with arguments of their own ----

void ExpectNoHarm(const HarmProgram& program) {
  const Seen alone = RunAlone(program);
  const Watched watched = RunWatched(program);
  EXPECT_EQ(watched.seen, alone);
  EXPECT_GT(TurnsIn(watched.report), 0u);
  EXPECT_EQ(RunPreloaded(program), alone);
}

TEST(OldConditionVariable, IsUsedAsItWas) { ExpectNoHarm({{"harm_old_condition"}, {}, {}}); }

TEST(Plugin, WorksHoweverItsSymbolsAreBound) {
  ExpectNoHarm({{"harm_plugin_host", HARM_PLUGIN}, {}, {}});
}

TEST(HookedCalls, KeepResultsAndErrno) {
  for (const char* calls : {"--calls=floor", "--calls=strict"}) {
    ExpectNoHarm({{"harm_errno", kDirectory}, {}, {calls}});
  }
}

TEST(Unshare, MakesAUserNamespaceOfItsOwn) {
  const HarmProgram program{{"/usr/bin/unshare", "-Ur", "true"}, {}, {}};
  const Seen alone = RunAlone(program);
  if (alone.status != 0) GTEST_SKIP() << "not allowed here";
  EXPECT_EQ(RunWatched(program).seen, alone);
  EXPECT_EQ(RunPreloaded(program), alone);
}

TEST(FileSizeLimit, OfTheCommandItselfIsTheProgramsAlso) {
  const TemporaryDirectory directory;
  const auto limited = [&](const std::string& prefix) {
    return RunCommand({{"sh", "-c",
                        "ulimit -S -f 0; exec " + prefix + ProgramPath("harm_sandbox") + " " +
                            directory.path() + " no_file_may_grow"},
                       {"LOOPSAN_OPTIONS=quiet=1"},
                       {}});
  };
  const Finished alone = limited("");
  // The report cannot be written to a file then.
  const Finished watched = limited(std::string(LOOPSAN_COMMAND) + " run -- ");
  EXPECT_EQ(watched.exit_code, alone.exit_code);
  EXPECT_EQ(watched.out, alone.out);
  EXPECT_NE(watched.err.find("BlockForTheReport"), std::string::npos) << watched.err;
}

TEST(TinyTmpfs, IsEnoughForTheCommand) {
  if (geteuid() != 0) GTEST_SKIP() << "only root may mount";
  const auto in_small_space = [](const std::string& prefix) {
    return RunCommand({{"unshare", "-m", "sh", "-c",
                        "for where in /dev/shm /run; do mount -t tmpfs -o size=4k tmpfs $where && "
                        "dd if=/dev/zero of=$where/full bs=4k count=2 2>/dev/null; done; exec " +
                            prefix + ProgramPath("harm_processes") + " / loop"},
                       {},
                       {}});
  };
  const Finished alone = in_small_space("");
  const Finished watched = in_small_space(std::string(LOOPSAN_COMMAND) + " run -- ");
  EXPECT_EQ(watched.exit_code, alone.exit_code);
  EXPECT_EQ(watched.out, alone.out);
  EXPECT_NE(watched.err.find("BlockForTheReport"), std::string::npos) << watched.err;
}

TEST(WatchedProgram, GoesOnWhenTheCommandIsKilled) {
  const TemporaryDirectory directory;
  Process process({{LOOPSAN_COMMAND, "run", "--calls=strict", "--", ProgramPath("harm_processes"),
                    directory.path(), "loop_until_told"},
                   {},
                   {}});
  ASSERT_TRUE(process.WaitForOutput("looping"));
  process.Signal(SIGKILL);
  std::ofstream(directory / "stop") << "now";
  const Finished finished = process.Wait();
  EXPECT_EQ(finished.signal, SIGKILL);
  EXPECT_EQ(finished.out, "looping\nstopped\n");
}

class SanitizedHost : public ::testing::TestWithParam<const char*> {};

TEST_P(SanitizedHost, HasNothingToReport) {
  const std::string sanitizer = GetParam();
  // The sanitizer insists on being first, which no preloaded library lets it be.
  const std::vector<std::string> environment = {"ASAN_OPTIONS=verify_asan_link_order=0"};
  for (const char* scenario : {"interrupt_calls", "interrupt_calls_on_another_stack"}) {
    ExpectNoHarm({{"harm_signals_" + sanitizer, kDirectory, scenario}, environment, {}});
  }
  for (const char* scenario : {"fork_a_child_with_a_loop", "vfork_and_exec", "spawn"}) {
    ExpectNoHarm({{"harm_processes_" + sanitizer, kDirectory, scenario}, environment, {}});
  }
}

INSTANTIATE_TEST_SUITE_P(All, SanitizedHost, ::testing::Values("address", "thread"),
                         [](const auto& info) { return std::string(info.param); });

}  // namespace
}  // namespace loopsan::testing
