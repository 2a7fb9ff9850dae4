// `loopsan tasks` on programs whose loop hangs.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <filesystem>

#include "tests/support/loopsan_run.h"
#include "tests/support/process.h"
#include "tests/support/report_search.h"

namespace loopsan::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::SizeIs;

int Line(std::string_view marker) { return FindMarker(LOOPSAN_RUNTIME_FIVE, marker).first; }

std::string PidIn(const std::string& output) { return output.substr(0, output.find(' ')); }

// "main" waits for "worker", which hangs in the innermost of five coroutines.
void ExpectTheTasks(const Json& listing, const std::string& pid) {
  ASSERT_THAT(listing["loops"], SizeIs(1));
  const Json& loop = listing["loops"][0];
  EXPECT_EQ(loop["pid"], std::stoi(pid));
  EXPECT_EQ(loop["kind"], "loopsan");
  EXPECT_TRUE(loop["steady"]) << "a loop that hangs begins no step";
  ASSERT_THAT(loop["tasks"], SizeIs(2));
  const Json& worker = loop["tasks"][0];
  EXPECT_EQ(worker["name"], "worker");
  EXPECT_EQ(worker["state"], "running");
  EXPECT_EQ(worker["spawned_at"]["line"], Line("spawn"));
  std::vector<int> lines;
  for (const Json& frame : worker["stack"]) {
    EXPECT_EQ(std::filesystem::path(frame["file"].get<std::string>()).filename(),
              "runtime_five.cc");
    lines.push_back(frame["line"]);
  }
  ASSERT_THAT(lines, SizeIs(5));
  lines.erase(lines.begin());  // of the one that runs only its definition is known
  EXPECT_THAT(lines, ElementsAre(Line("four"), Line("three"), Line("two"), Line("one")));
  const Json& main = loop["tasks"][1];
  EXPECT_EQ(main["name"], "main");
  EXPECT_EQ(main["state"], "waiting");
  EXPECT_EQ(worker["spawner"], main["id"]);
  EXPECT_EQ(main["awaited_task"], worker["id"]);
}

void ExpectTheTasksOf(const std::string& asked, const std::string& pid) {
  const Finished json = RunLoopsan({"tasks", "--json", asked});
  SCOPED_TRACE(json.out + json.err);
  ASSERT_EQ(json.exit_code, 0);
  ExpectTheTasks(Json::parse(json.out), pid);
  const Finished text = RunLoopsan({"tasks", asked});
  EXPECT_EQ(text.exit_code, 0);
  EXPECT_THAT(text.out, HasSubstr("* "));
  EXPECT_THAT(text.out, HasSubstr("'main' waits for task 'worker'"));
  EXPECT_THAT(text.out, HasSubstr("'worker' is running"));
}

TEST(Tasks, OfAProgramWhoseLoopHangsAreShownFromOutside) {
  LoopsanProcess run({ProgramPath("runtime_five_O2"), "hang"});
  ASSERT_TRUE(run.process().WaitForOutput(" hangs\n"));
  const std::string pid = PidIn(run.process().output());
  ExpectTheTasksOf(pid, pid);
  // All processes of the run, by the number of the run itself.
  ExpectTheTasksOf(std::to_string(run.process().pid()), pid);
  kill(std::stoi(pid), SIGTERM);
  EXPECT_EQ(run.Wait().report["exit_signal"], SIGTERM);
}

TEST(Tasks, OfAProgramThatWatchesItselfAreShown) {
  Process program(
      {.arguments = {ProgramPath("runtime_five_debug"), "hang"}, .environment = {"LOOPSAN=1"}});
  ASSERT_TRUE(program.WaitForOutput(" hangs\n"));
  const std::string pid = PidIn(program.output());
  ExpectTheTasksOf(pid, pid);
  program.Signal(SIGTERM);
  program.Wait();
}

TEST(Tasks, OfAProgramThatIsNotWatchedAreAnErrorThatSaysWhatToDo) {
  Process program({.arguments = {ProgramPath("runtime_five_O2"), "hang"}});
  ASSERT_TRUE(program.WaitForOutput(" hangs\n"));
  const Finished result = RunLoopsan({"tasks", PidIn(program.output())});
  EXPECT_EQ(result.exit_code, 125);
  EXPECT_THAT(result.err, HasSubstr("is not watched; start it with: loopsan run"));
  program.Signal(SIGTERM);
  program.Wait();
}

TEST(Tasks, OfALoopThatTellsNoneAreAnErrorThatSaysWhoDoes) {
  LoopsanProcess run({"sleep", "60"});
  ASSERT_TRUE(run.process().pid() > 0);
  Finished result;
  // Until the run has mapped its memory.
  do {
    result = RunLoopsan({"tasks", std::to_string(run.process().pid())});
  } while (result.err.find("is not watched") != std::string::npos);
  EXPECT_EQ(result.exit_code, 125);
  EXPECT_THAT(result.err, HasSubstr("tells its tasks"));
  run.Signal(SIGTERM);
  run.Wait();
}

TEST(Tasks, OfNobodyAreAnErrorThatNamesTheProcess) {
  const Finished result = RunLoopsan({"tasks", "999999999"});
  EXPECT_EQ(result.exit_code, 125);
  EXPECT_THAT(result.err, HasSubstr("there is no process 999999999"));
}

}  // namespace
}  // namespace loopsan::testing
