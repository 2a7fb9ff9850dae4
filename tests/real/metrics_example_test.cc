// examples/metrics: one endpoint with the program's own metrics and loopsan's.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <csignal>
#include <cstdlib>
#include <string>

#include "tests/support/http_client.h"
#include "tests/support/process.h"

namespace loopsan::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

class MeasuredServer {
 public:
  explicit MeasuredServer(const std::vector<std::string>& environment)
      : process_({.arguments = {LOOPSAN_MEASURED_SERVER, "0", "0"}, .environment = environment}) {
    EXPECT_TRUE(process_.WaitForOutput("/metrics\n"));
    const std::string told = process_.output();
    port_ = NumberBehind(told, "http://127.0.0.1:");
    metrics_port_ = NumberBehind(told, "metrics: http://127.0.0.1:");
  }

  std::string Get(const std::string& path) { return HttpGet(port_, path); }
  std::string Metrics() { return HttpGet(metrics_port_, "/metrics"); }

  Finished Stop() {
    process_.Signal(SIGTERM);
    return process_.Wait();
  }

 private:
  static int NumberBehind(const std::string& text, const std::string& words) {
    const size_t at = text.find(words);
    return at == std::string::npos ? 0 : std::atoi(text.c_str() + at + words.size());
  }

  Process process_;
  int port_ = 0;
  int metrics_port_ = 0;
};

// The value of the series whose name and labels contain both; -1 if there is none.
double ValueOf(const std::string& metrics, const std::string& name, const std::string& label) {
  size_t begin = 0;
  while (begin < metrics.size()) {
    const size_t end = std::min(metrics.find('\n', begin), metrics.size());
    const std::string line = metrics.substr(begin, end - begin);
    if (line.starts_with(name + "{") && line.find(label) != std::string::npos) {
      return std::atof(line.c_str() + line.rfind(' ') + 1);
    }
    begin = end + 1;
  }
  return -1;
}

TEST(MetricsExample, ShowsBothSetsInOneEndpoint) {
  MeasuredServer server({"LOOPSAN=1"});
  for (int i = 0; i < 4; ++i) {
    EXPECT_THAT(server.Get("/"), HasSubstr("hello"));
    EXPECT_THAT(server.Get("/report"), HasSubstr("report"));
  }
  std::string metrics;
  // The collector is told of a call a moment after it.
  for (int i = 0; i < 50 && ValueOf(metrics, "loopsan_blocking_seconds_total", "sleep") < 0.2;
       ++i) {
    server.Get("/");
    metrics = server.Metrics();
  }
  EXPECT_EQ(ValueOf(metrics, "server_requests_total", "/report"), 4);
  EXPECT_NEAR(ValueOf(metrics, "loopsan_blocking_seconds_total", "sleep"), 0.2, 0.05) << metrics;
  EXPECT_GT(ValueOf(metrics, "loopsan_turns_total", "measured_server"), 8);
  const Finished finished = server.Stop();
  EXPECT_EQ(finished.exit_code, 0);
  EXPECT_THAT(finished.err, HasSubstr("nanosleep blocked the event loop of measured_server"));
}

TEST(MetricsExample, HasItsOwnMetricsOnlyWhereNobodyWatches) {
  MeasuredServer server({"LOOPSAN=0"});
  server.Get("/");
  const std::string metrics = server.Metrics();
  EXPECT_EQ(ValueOf(metrics, "server_requests_total", "\"/\""), 1);
  EXPECT_THAT(metrics, Not(HasSubstr("loopsan_turns_total{")));
  EXPECT_EQ(server.Stop().exit_code, 0);
}

}  // namespace
}  // namespace loopsan::testing
