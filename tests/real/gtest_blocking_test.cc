// A team's GoogleTest program that includes the listener: the tests fail in which a loop was
// blocked, and no others.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <regex>
#include <set>
#include <string>
#include <vector>

#include "tests/support/loopsan_run.h"
#include "tests/support/process.h"
#include "tests/support/report_search.h"

namespace loopsan::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

// Those that the program itself lists.
std::vector<std::string> FailedTests(const std::string& output) {
  std::vector<std::string> failed;
  const std::regex line(R"(\[  FAILED  \] (\w+\.\w+) \()");
  for (std::sregex_iterator at(output.begin(), output.end(), line), end; at != end; ++at) {
    failed.push_back((*at)[1]);
  }
  return failed;
}

std::vector<std::string> Program(const std::string& filter) {
  return {ProgramPath("gtest_loops"), "--gtest_filter=" + filter};
}

TEST(GoogleTestListener, FailsTheTestsInWhichALoopWasBlocked) {
  const LoopsanResult result = RunUnderLoopsan(Program("*"));
  SCOPED_TRACE(Describe(result) + result.out);
  EXPECT_EQ(result.exit_code, 1) << "as GoogleTest ends when a test failed";
  EXPECT_THAT(FailedTests(result.out),
              ElementsAre("Loop.IsBlocked", "NoBlocking.FailsForLongCalls",
                          "NoBlocking.LeavesWhatCameBeforeToItsTest", "Blocking.FailsWithoutAny"));
  EXPECT_THAT(result.out, HasSubstr("loopsan: blocking-call: usleep"));
  EXPECT_THAT(result.out, HasSubstr("BlockBriefly at gtest_loops.cc:"));
  EXPECT_THAT(result.out,
              HasSubstr("RunLoop(BlockLong): blocked an event loop for 0.1 s or longer:\n"));
}

TEST(GoogleTestListener, SeesWhatItsOwnProcessDidWhereTestsRunInParallel) {
  // Two shards of one program, at once.
  const std::string program = ProgramPath("gtest_loops");
  const LoopsanResult result =
      RunUnderLoopsan({"sh", "-c",
                       program + " --gtest_filter=Loop.IsBlocked & " + program +
                           " --gtest_filter=Loop.IsFree --gtest_repeat=20 && wait"});
  SCOPED_TRACE(Describe(result) + result.out);
  EXPECT_THAT(FailedTests(result.out), ElementsAre("Loop.IsBlocked"));
}

TEST(GoogleTestListener, WorksWithAPreloadedProbeAlone) {
  // The collector comes up while the first loops run: how many of them it misses is the
  // machine's affair.
  std::vector<std::string> arguments = Program("Loop.*");
  arguments.push_back("--gtest_repeat=20");
  const Finished result =
      Process({.arguments = arguments, .environment = {std::string("LD_PRELOAD=") + LOOPSAN_PROBE}})
          .Wait();
  const std::vector<std::string> failed = FailedTests(result.out);
  EXPECT_THAT(std::set<std::string>(failed.begin(), failed.end()), ElementsAre("Loop.IsBlocked"))
      << result.out << result.err;
}

TEST(GoogleTestListener, ChangesNothingWhereNobodyWatches) {
  const Finished result = Process({.arguments = Program("*")}).Wait();
  EXPECT_EQ(result.exit_code, 0) << result.out;
  EXPECT_THAT(FailedTests(result.out), IsEmpty());
  EXPECT_THAT(result.err, HasSubstr("nobody watches this program"));
}

}  // namespace
}  // namespace loopsan::testing
