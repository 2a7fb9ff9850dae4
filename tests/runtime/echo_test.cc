// The echo server and its load (examples/) as processes, with peers that behave and
// peers that do not.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <string>
#include <vector>

#include "runtime/subprocess.h"
#include "tests/runtime/real_loop.h"

namespace loopsan::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

struct Outcome {
  std::string load;
  std::string server;
  ExitStatus load_status;
  ExitStatus server_status;
  double seconds_to_end = 0;  // of the server, from the signal on
};

Task<Outcome> RunBoth(std::vector<std::string> load_options) {
  ProcessOptions options;
  options.out = Redirect::kPipe;
  const std::vector<std::string> server_command{LOOPSAN_ECHO_SERVER, "--port", "0"};
  Process server = co_await CreateProcess(server_command, options);
  const std::string listening = co_await server.out().ReadLine();
  EXPECT_THAT(listening, StartsWith("listening on 127.0.0.1:"));
  const size_t colon = listening.rfind(':');
  std::vector<std::string> load_command{LOOPSAN_ECHO_LOAD, "--hold", "--port",
                                        listening.substr(colon + 1, listening.size() - colon - 2)};
  for (std::string& option : load_options) load_command.push_back(std::move(option));
  Process load = co_await CreateProcess(load_command, options);

  Outcome outcome;
  outcome.load = co_await load.out().ReadLine();
  const std::string holding = co_await load.out().ReadLine();
  EXPECT_EQ(holding, "holding\n");

  const Time signalled = EventLoop::Running().Now();
  server.Terminate();
  outcome.server_status = co_await server.Wait();
  const Duration took = EventLoop::Running().Now() - signalled;
  outcome.seconds_to_end = std::chrono::duration<double>(took).count();
  outcome.server = co_await server.out().ReadAll();
  outcome.load_status = co_await load.Wait();
  server.out().Close();
  load.out().Close();
  co_return outcome;
}

TEST(EchoServer, HoldsPeersThatResetHalfCloseAndStallAndEndsWithinASecond) {
  const Outcome outcome = RunReal(RunBoth({"--connections", "500", "--rounds", "5", "--resets",
                                           "50", "--half-closes", "50", "--stalls", "20"}));
  EXPECT_THAT(outcome.load, HasSubstr("500 connections in"));
  // Those that stall send, and do not count what comes back.
  EXPECT_THAT(outcome.load, HasSubstr(", 2400 echoes in"));
  EXPECT_THAT(outcome.load, HasSubstr(", 0 failures"));
  EXPECT_EQ(outcome.load_status.returncode(), 0);
  EXPECT_EQ(outcome.server_status.returncode(), 0);
  EXPECT_THAT(outcome.server, HasSubstr("served 500 connections"));
  EXPECT_LT(outcome.seconds_to_end, 1.0);
}

TEST(EchoServer, EndsAtOnceWithoutPeersThatStall) {
  const Outcome outcome = RunReal(RunBoth({"--connections", "20"}));
  EXPECT_EQ(outcome.load_status.returncode(), 0);
  EXPECT_EQ(outcome.server_status.returncode(), 0);
  EXPECT_THAT(outcome.server, HasSubstr("served 20 connections"));
  EXPECT_THAT(outcome.server, HasSubstr(" 0 resets"));
}

}  // namespace
}  // namespace loopsan::testing
