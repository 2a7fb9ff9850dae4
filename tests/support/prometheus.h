// Debian's prometheus and alertmanager, started for a test on ports and in
// directories of their own.
//
//   Alertmanager alertmanager;
//   Prometheus prometheus({.ports = {port}, .alertmanager = alertmanager.port()});
//   EXPECT_TRUE(prometheus.WaitForData("up == 1"));
//
// Threads: as Process.
#pragma once

#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tests/support/process.h"

namespace loopsan::testing {

// What an HTTP server on 127.0.0.1 has at `path`; "" and `status` 0 if nobody answers.
struct HttpAnswer {
  int status = 0;
  std::string body;
};
HttpAnswer FetchPage(int port, const std::string& path);

// Asks until `condition` holds; false when the time is up.
bool WaitUntil(const std::function<bool()>& condition, Seconds timeout = kLongEnough);

class Alertmanager {
 public:
  Alertmanager();

  int port() const { return port_; }
  // Active alerts: an array of {"labels", "annotations", ...}.
  nlohmann::json Alerts();

 private:
  const int port_;
  const TemporaryDirectory directory_;
  std::unique_ptr<Process> process_;
};

struct PrometheusSettings {
  std::string job = "loopsan";
  std::vector<int> ports;  // of 127.0.0.1, which is scraped each half second
  std::string rules;       // text of a rule file, evaluated as often; "" for none
  int alertmanager = 0;    // port of one on 127.0.0.1; 0 for none
};

class Prometheus {
 public:
  explicit Prometheus(const PrometheusSettings& settings);

  // The samples of an instant query: an array of {"metric", "value"}. An error is a
  // test failure.
  nlohmann::json Query(const std::string& expression);
  // True once the query has samples.
  bool WaitForData(const std::string& expression, Seconds timeout = kLongEnough);
  // The value of the only sample; NaN if there is another number of them.
  double Value(const std::string& expression);

 private:
  const int port_;
  const TemporaryDirectory directory_;
  std::unique_ptr<Process> process_;
};

}  // namespace loopsan::testing
