// An unmodified redis-server, busy with other clients.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <algorithm>
#include <chrono>

#include "tests/support/http_client.h"
#include "tests/support/loopsan_run.h"
#include "tests/support/report_search.h"

namespace loopsan::testing {
namespace {

class Redis : public ::testing::Test {
 protected:
  Redis()
      : server_({"redis-server", "--port", port(), "--bind", "127.0.0.1", "--save", "",
                 "--appendonly", "no", "--dir", directory_.path(), "--enable-debug-command",
                 "yes"}) {
    EXPECT_TRUE(server_.process().WaitForOutput("Ready to accept connections"));
  }

  std::string port() const { return std::to_string(port_); }

  LoopsanResult Stop() {
    server_.Signal(SIGTERM);
    return server_.Wait();
  }

  const int port_ = PickFreePort();
  TemporaryDirectory directory_;
  LoopsanProcess server_;
};

TEST_F(Redis, DebugSleepIsOneNanosleepInDebugCommandThatLastsItsFullTime) {
  Process load(
      {{"redis-benchmark", "-p", port(), "-c", "20", "-t", "set,get", "-l", "-q"}, {}, {}});
  ASSERT_TRUE(load.WaitForOutput("requests per second"));

  TcpClient client(port_);
  const auto asked_at = std::chrono::steady_clock::now();
  client.Send("DEBUG SLEEP 0.3\r\n");
  EXPECT_EQ(client.ReadUntil("\r\n"), "+OK\r\n");
  const Seconds answered_after = std::chrono::steady_clock::now() - asked_at;
  EXPECT_GE(answered_after.count(), 0.3);

  load.Signal(SIGKILL);
  load.Wait();
  const LoopsanResult result = Stop();
  SCOPED_TRACE(Describe(result));
  EXPECT_EQ(result.exit_code, 0);

  const auto sleeps = FindingsThat(result.report, {.calls = {"nanosleep"}});
  ASSERT_EQ(sleeps.size(), 1u);
  const Json& sleep = sleeps[0];
  EXPECT_EQ(sleep["rule"], "blocking-call");
  EXPECT_EQ(sleep["category"], "sleep");
  EXPECT_EQ(sleep["cause"], "blocking-call");
  EXPECT_EQ(sleep["count"], 1);
  EXPECT_FALSE(FrameThat(sleep, {.function = "debugCommand"}).is_null());
  EXPECT_GE(sleep["max_seconds"], 0.30);
  // Not longer than the client saw it: 0.30 to 0.33 s but on a starved machine.
  EXPECT_LE(sleep["max_seconds"], std::max(0.33, answered_after.count()));
  EXPECT_THAT(FindingsThat(result.report, {.rule = "stall"}), ::testing::IsEmpty());
}

TEST_F(Redis, UnderLoadIsNotAccused) {
  const Finished load = RunCommand({{"redis-benchmark", "-p", port(), "-c", "50", "-n", "50000",
                                     "-t", "ping_inline,set,get,incr,lpush,mset", "-q"},
                                    {},
                                    {}});
  ASSERT_EQ(load.exit_code, 0) << load.out << load.err;

  const LoopsanResult result = Stop();
  SCOPED_TRACE(Describe(result));
  EXPECT_EQ(result.exit_code, 0);
  EXPECT_TRUE(AccusesNobody(result.report));
  EXPECT_GE(TurnsIn(result.report), 1000u);
}

}  // namespace
}  // namespace loopsan::testing
