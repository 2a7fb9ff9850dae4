// Unmodified Node.js.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>

#include "tests/support/http_client.h"
#include "tests/support/loopsan_run.h"
#include "tests/support/report_search.h"

namespace loopsan::testing {
namespace {

using ::testing::IsEmpty;

LoopsanResult RunNode(const std::string& script, std::vector<std::string> arguments = {},
                      std::vector<std::string> node_flags = {}) {
  std::vector<std::string> command = {"node"};
  command.insert(command.end(), node_flags.begin(), node_flags.end());
  command.push_back(ScriptPath("node/" + script));
  command.insert(command.end(), arguments.begin(), arguments.end());
  return RunUnderLoopsan(command);
}

TEST(Node, AComputationInATimerIsAStallWithCauseCpu) {
  const LoopsanResult result = RunNode("cpu_loop.js");
  SCOPED_TRACE(Describe(result));
  EXPECT_EQ(result.exit_code, 0);

  const auto stalls = FindingsThat(result.report, {.rule = "stall"});
  ASSERT_EQ(stalls.size(), 1u);
  EXPECT_EQ(stalls[0]["cause"], "cpu");
  EXPECT_EQ(stalls[0]["count"], 1);
  // Date.now() counts whole milliseconds: the loop may end 1 ms early.
  EXPECT_GE(stalls[0]["max_seconds"], 0.249);
  EXPECT_LE(stalls[0]["max_seconds"], 2.0);
  EXPECT_FALSE(stalls[0]["stack"].empty());
  EXPECT_THAT(FindingsThat(result.report, {.rule = "blocking-call"}), IsEmpty());
}

TEST(Node, APerfMapNamesTheJavaScriptFunctionThatStalled) {
  const LoopsanResult result =
      RunNode("cpu_loop.js", {}, {"--perf-basic-prof", "--interpreted-frames-native-stack"});
  SCOPED_TRACE(Describe(result));
  const auto stalls = FindingsThat(result.report, {.rule = "stall", .function = "burnCpu"});
  EXPECT_EQ(stalls.size(), 1u);
  for (const Json& process : result.report.value("processes", Json::array())) {
    std::filesystem::remove("/tmp/perf-" + std::to_string(process["pid"].get<int>()) + ".map");
  }
}

TEST(Node, ExecSyncIsANestedWaitThatLastsAsLongAsItsCommand) {
  const LoopsanResult result = RunNode("exec_sync.js");
  SCOPED_TRACE(Describe(result));
  EXPECT_EQ(result.exit_code, 0);

  const auto waits = FindingsThat(
      result.report, {.rule = "blocking-call", .calls = {"epoll_pwait", "epoll_wait"}});
  ASSERT_EQ(waits.size(), 1u);
  EXPECT_EQ(waits[0]["category"], "wait");
  // The shell that runs the sleep is started before the wait and may be ahead of it.
  EXPECT_GE(waits[0]["total_seconds"], 0.25);
  EXPECT_LE(waits[0]["total_seconds"], 2.0);
  EXPECT_THAT(FindingsThat(result.report, {.rule = "stall"}), IsEmpty())
      << "the wait explains the slow step";
}

TEST(Node, ReadFileSyncOfAFifoNamesTheFifo) {
  TemporaryDirectory directory;
  const std::string fifo = directory / "orders.fifo";
  ASSERT_EQ(mkfifo(fifo.c_str(), 0600), 0);
  const LoopsanResult result = RunNode("fifo_read.js", {fifo});
  SCOPED_TRACE(Describe(result));
  EXPECT_EQ(result.exit_code, 0);

  const auto findings = FindingsThat(result.report, {.rule = "blocking-call", .detail = fifo});
  ASSERT_EQ(findings.size(), 1u);
  EXPECT_THAT(findings[0]["call"], ::testing::AnyOf("open", "open64", "read"));
  EXPECT_GE(findings[0]["max_seconds"], 0.15);
  EXPECT_LE(findings[0]["max_seconds"], 2.0);
  EXPECT_THAT(FindingsThat(result.report, {.rule = "stall"}), IsEmpty());
}

TEST(Node, AProgramThatNeverBlocksItsLoopIsNotAccused) {
  const LoopsanResult result = RunNode("clean.js");
  SCOPED_TRACE(Describe(result));
  EXPECT_EQ(result.exit_code, 0);
  EXPECT_TRUE(AccusesNobody(result.report));
}

TEST(Node, LongTurnsOfManyShortCallbacksAreNoStall) {
  LoopsanProcess server({"node", ScriptPath("node/busy_server.js")});
  ASSERT_TRUE(server.process().WaitForOutput(" \n"));
  const std::string port = server.process().output().substr(5);
  const Finished load = RunCommand(
      {{"node", ScriptPath("node/load.js"), std::to_string(std::stoi(port)), "200", "4000"},
       {},
       {}});
  ASSERT_EQ(load.out, "answered 4000\n") << load.err;
  HttpGet(std::stoi(port), "/quit");
  const LoopsanResult result = server.Wait();
  SCOPED_TRACE(Describe(result));
  EXPECT_EQ(result.exit_code, 0);

  const size_t at = result.out.find("longest turn ");
  ASSERT_NE(at, std::string::npos);
  ASSERT_GE(std::stoi(result.out.substr(at + 13)), 110) << "the load made no long turn";
  EXPECT_TRUE(AccusesNobody(result.report));
  for (const Json& note : FindingsThat(result.report, {.rule = "long-turn"})) {
    EXPECT_THAT(note["message"].get<std::string>(), ::testing::HasSubstr("callbacks"));
  }
}

}  // namespace
}  // namespace loopsan::testing
