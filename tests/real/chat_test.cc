// The chat example: many connections on one loop, beside code that blocks.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>

#include <fstream>
#include <string>

#include "tests/support/http_client.h"
#include "tests/support/loopsan_run.h"
#include "tests/support/report_search.h"

namespace loopsan::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::SizeIs;

Finished RunLoad(const std::string& port, int clients, int messages, const char* seconds) {
  return RunCommand({{LOOPSAN_CHAT_LOAD, "--port", port, "--clients", std::to_string(clients),
                      "--messages", std::to_string(messages), "--seconds", seconds},
                     {},
                     {}});
}

// The number in front of `unit` in the server's last words.
double LagAtP99(const std::string& out) {
  double median = 0;
  double p99 = -1;
  const size_t at = out.find("the loop was late by");
  EXPECT_NE(at, std::string::npos) << out;
  if (at != std::string::npos) {
    EXPECT_EQ(sscanf(out.c_str() + at, "the loop was late by %lf ms at the median, %lf ms at p99",
                     &median, &p99),
              2);
  }
  return p99;
}

TEST(Chat, IsNotDisturbedByAnArchiveThatBlocksOnAThread) {
  Process server({{LOOPSAN_CHAT_SERVER, "--port", "0"}, {}, {}});
  const Finished load = RunLoad(PortSaidBy(server), 1000, 4, "2");
  EXPECT_EQ(load.exit_code, 0) << load.out << load.err;
  EXPECT_THAT(load.out, HasSubstr("1000 clients heard 40000 lines, 0 failures"));
  server.Signal(SIGTERM);
  const Finished ended = server.Wait();
  EXPECT_EQ(ended.exit_code, 0) << ended.err;
  EXPECT_THAT(ended.out, HasSubstr("1000 connections, 4000 messages, "));
  EXPECT_THAT(ended.out, ::testing::Not(HasSubstr(", 0 of them archived")));
  // On the loop each message would take 50 ms of it.
  EXPECT_LT(LagAtP99(ended.out), 50.0) << ended.out;
}

TEST(Chat, LetsABlockingConsoleAskTheLoop) {
  const TemporaryDirectory directory;
  const std::string console = directory / "console";
  ASSERT_EQ(mkfifo(console.c_str(), 0600), 0);
  Process server(
      {{"sh", "-c", "exec \"$0\" --port 0 --console < " + console, LOOPSAN_CHAT_SERVER}, {}, {}});
  std::ofstream commands(console);
  PortSaidBy(server);
  commands << "rooms\nsay nobody hello\nhelp\n" << std::flush;
  EXPECT_TRUE(server.WaitForOutput("0 heard it\n"));
  EXPECT_TRUE(server.WaitForOutput("commands: rooms, say ROOM TEXT\n"));
  server.Signal(SIGTERM);
  EXPECT_EQ(server.Wait().exit_code, 0) << "the console, which waits for input, was told to end";
}

LoopsanResult RunWatched(const std::string& archive) {
  LoopsanProcess server({LOOPSAN_CHAT_SERVER, "--port", "0", "--archive", archive});
  const Finished load = RunLoad(PortSaidBy(server.process()), 20, 1, "0.2");
  EXPECT_EQ(load.exit_code, 0) << load.out << load.err;
  server.Signal(SIGTERM);
  LoopsanResult result = server.Wait();
  EXPECT_EQ(result.exit_code, 0);
  return result;
}

TEST(Chat, IsFoundToBlockWhereTheArchiveIsCalledWithoutTheBridge) {
  const LoopsanResult result = RunWatched("direct");
  SCOPED_TRACE(Describe(result));
  const auto blocks =
      FindingsThat(result.report, {.rule = "blocking-call",
                                   .calls = {"nanosleep", "clock_nanosleep"},
                                   .function = "KeepArchive",
                                   .lines = FindMarker(LOOPSAN_CHAT_SOURCE, "archive")});
  ASSERT_THAT(blocks, SizeIs(1));
  EXPECT_EQ(blocks[0]["count"], 20);
  EXPECT_EQ(blocks[0]["task"]["name"], "archive");
}

TEST(Chat, IsNotAccusedWithTheBridge) {
  const LoopsanResult result = RunWatched("bridge");
  SCOPED_TRACE(Describe(result));
  EXPECT_TRUE(AccusesNobody(result.report));
}

}  // namespace
}  // namespace loopsan::testing
