#include "tests/support/prometheus.h"

#include <gtest/gtest.h>
#include <poll.h>

#include <cstdio>
#include <fstream>
#include <functional>
#include <limits>
#include <stdexcept>

#include "tests/support/http_client.h"

namespace loopsan::testing {
namespace {

using Json = nlohmann::json;

std::string UrlEncoded(const std::string& text) {
  std::string encoded;
  for (const unsigned char byte : text) {
    char hexadecimal[4];
    snprintf(hexadecimal, sizeof hexadecimal, "%%%02X", byte);
    encoded += hexadecimal;
  }
  return encoded;
}

std::string Address(int port) { return "127.0.0.1:" + std::to_string(port); }

std::unique_ptr<Process> StartServer(const std::vector<std::string>& arguments, int port) {
  auto process = std::make_unique<Process>(Command{.arguments = arguments});
  EXPECT_TRUE(WaitUntil([port] { return FetchPage(port, "/-/ready").status == 200; }))
      << arguments[0] << " does not get ready:\n"
      << process->error();
  return process;
}

Json Parsed(const HttpAnswer& answer) {
  Json parsed = Json::parse(answer.body, nullptr, /*allow_exceptions=*/false);
  if (answer.status == 200 && !parsed.is_discarded()) return parsed;
  ADD_FAILURE() << "HTTP status " << answer.status << ": " << answer.body;
  return Json::object();
}

// JSON is YAML.
void WriteConfiguration(const std::string& path, const Json& configuration) {
  std::ofstream(path) << configuration.dump(2);
}

}  // namespace

HttpAnswer FetchPage(int port, const std::string& path) {
  HttpAnswer answer;
  std::string received;
  try {
    TcpClient client(port);
    // In version 1.0 the body ends with the connection, and is in one piece.
    client.Send("GET " + path + " HTTP/1.0\r\nHost: localhost\r\n\r\n");
    received = client.ReadUntil("");
  } catch (const std::runtime_error&) {
    return answer;
  }
  const size_t head_end = received.find("\r\n\r\n");
  if (head_end == std::string::npos ||
      sscanf(received.c_str(), "HTTP/%*s %d", &answer.status) != 1) {
    return {};
  }
  answer.body = received.substr(head_end + 4);
  return answer;
}

bool WaitUntil(const std::function<bool()>& condition, Seconds timeout) {
  const auto deadline = std::chrono::steady_clock::now() + timeout;
  while (!condition()) {
    if (std::chrono::steady_clock::now() >= deadline) return false;
    // Other programs do not tell when they have come so far.
    poll(nullptr, 0, 100);
  }
  return true;
}

Alertmanager::Alertmanager() : port_(PickFreePort()) {
  WriteConfiguration(directory_ / "alertmanager.yml",
                     {{"route", {{"receiver", "nobody"}}}, {"receivers", {{{"name", "nobody"}}}}});
  process_ =
      StartServer({"prometheus-alertmanager", "--config.file=" + directory_ / "alertmanager.yml",
                   "--storage.path=" + directory_ / "data",
                   "--web.listen-address=" + Address(port_), "--cluster.listen-address="},
                  port_);
}

Json Alertmanager::Alerts() { return Parsed(FetchPage(port_, "/api/v2/alerts")); }

Prometheus::Prometheus(const PrometheusSettings& settings) : port_(PickFreePort()) {
  Json targets = Json::array();
  for (const int port : settings.ports) targets.push_back(Address(port));
  Json configuration = {
      {"global",
       {{"scrape_interval", "500ms"},
        {"scrape_timeout", "500ms"},
        {"evaluation_interval", "500ms"}}},
      {"scrape_configs",
       {{{"job_name", settings.job}, {"static_configs", {{{"targets", targets}}}}}}}};
  if (!settings.rules.empty()) {
    std::ofstream(directory_ / "rules.yml") << settings.rules;
    configuration["rule_files"] = {"rules.yml"};
  }
  if (settings.alertmanager != 0) {
    configuration["alerting"]["alertmanagers"] = {
        {{"static_configs", {{{"targets", {Address(settings.alertmanager)}}}}}}};
  }
  WriteConfiguration(directory_ / "prometheus.yml", configuration);
  process_ = StartServer({"prometheus", "--config.file=" + directory_ / "prometheus.yml",
                          "--storage.tsdb.path=" + directory_ / "data",
                          "--web.listen-address=" + Address(port_), "--log.level=warn"},
                         port_);
}

Json Prometheus::Query(const std::string& expression) {
  const Json answer = Parsed(FetchPage(port_, "/api/v1/query?query=" + UrlEncoded(expression)));
  if (answer.value("status", "") == "success") return answer["data"]["result"];
  ADD_FAILURE() << expression << ": " << answer.dump();
  return Json::array();
}

bool Prometheus::WaitForData(const std::string& expression, Seconds timeout) {
  return WaitUntil([&] { return !Query(expression).empty(); }, timeout);
}

double Prometheus::Value(const std::string& expression) {
  const Json samples = Query(expression);
  if (samples.size() != 1) {
    ADD_FAILURE() << expression << " has " << samples.size() << " samples: " << samples.dump();
    return std::numeric_limits<double>::quiet_NaN();
  }
  return std::stod(samples[0]["value"][1].get<std::string>());
}

}  // namespace loopsan::testing
