// Dashboard and alerts on a real Prometheus with a real Alertmanager.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "tests/reporters/golden.h"
#include "tests/support/dashboard_queries.h"
#include "tests/support/http_client.h"
#include "tests/support/loopsan_run.h"
#include "tests/support/prometheus.h"

namespace loopsan::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;

std::map<std::string, DocumentedSeries> Documented() {
  return DocumentedMetrics(ReadFile(LOOPSAN_SOURCE_DIR "/docs/metrics.md"));
}

std::vector<DashboardQuery> DashboardQueries() {
  return QueriesOf(Json::parse(ReadFile(LOOPSAN_SOURCE_DIR "/tools/grafana/loopsan.json")));
}

// The rules as they are shipped, but alerts fire at once.
std::string ImpatientRules() {
  std::string rules = ReadFile(LOOPSAN_SOURCE_DIR "/tools/prometheus/loopsan_rules.yml");
  for (size_t at = rules.find("        for: "); at != std::string::npos;
       at = rules.find("        for: ", at)) {
    rules.erase(at, rules.find('\n', at) + 1 - at);
  }
  return rules;
}

// Something that serves every series in docs/metrics.md.
class EverySeries {
 public:
  EverySeries() : process_(Start(directory_ / "series.json")) {
    EXPECT_TRUE(process_->WaitForOutput("\n")) << process_->error();
    port_ = std::stoi(process_->output());
  }

  int port() const { return port_; }

 private:
  static std::unique_ptr<Process> Start(const std::string& path) {
    Json series;
    for (const auto& [name, one] : Documented()) {
      series[name] = {{"type", one.type}, {"labels", one.labels}};
    }
    std::ofstream(path) << series.dump();
    return std::make_unique<Process>(
        Command{.arguments = {"python3", ScriptPath("python/serve_metrics.py"), path}});
  }

  const TemporaryDirectory directory_;
  std::unique_ptr<Process> process_;
  int port_ = 0;
};

// The queries of the dashboard that have no data after a while; none of `but`, a panel.
std::vector<std::string> QueriesWithoutData(Prometheus& prometheus, const std::string& but = "-") {
  std::vector<std::string> without;
  for (const DashboardQuery& query : DashboardQueries()) {
    if (query.place.starts_with(but)) continue;
    const std::string expression = WithEverythingSelected(query.expression, "10s", "1m");
    // No series, and series of nothing but NaN, are alike for who looks at the panel.
    if (!prometheus.WaitForData("(" + expression + ") >= 0", Seconds(15))) {
      without.push_back(query.place + ": " + expression);
    }
  }
  return without;
}

// Empty, and a test failure, if it does not come.
Json WaitForAlert(Alertmanager& alertmanager, const std::string& name) {
  Json found = Json::object();
  EXPECT_TRUE(WaitUntil([&] {
    for (const Json& alert : alertmanager.Alerts()) {
      if (alert["labels"]["alertname"] == name) found = alert;
    }
    return !found.empty();
  })) << "Alertmanager has not heard of "
      << name;
  return found;
}

TEST(Dashboard, HasDataInEveryPanelWhereEverySeriesIs) {
  const EverySeries everything;
  Prometheus prometheus({.ports = {everything.port()}, .rules = ImpatientRules()});
  EXPECT_THAT(QueriesWithoutData(prometheus), IsEmpty());
}

TEST(DocumentedSeries, PassTheLintOfPromtool) {
  const EverySeries everything;
  const TemporaryDirectory directory;
  std::ofstream(directory / "scrape") << FetchPage(everything.port(), "/metrics").body;
  const Finished lint = RunCommand({.arguments = {"sh", "-c", "promtool check metrics < scrape"},
                                    .directory = directory.path()});
  EXPECT_EQ(lint.exit_code, 0) << lint.out << lint.err;
}

TEST(Alerts, ReachAlertmanagerWithALinkToTheDashboard) {
  const EverySeries everything;
  Alertmanager alertmanager;
  Prometheus prometheus({.ports = {everything.port()},
                         .rules = ImpatientRules(),
                         .alertmanager = alertmanager.port()});
  const Json saturated = WaitForAlert(alertmanager, "LoopsanLoopSaturated");
  ASSERT_FALSE(saturated.empty());
  EXPECT_EQ(saturated["labels"]["severity"], "warning");
  EXPECT_EQ(saturated["labels"]["process"], "process 1");
  EXPECT_THAT(saturated["annotations"].value("description", ""), HasSubstr("\nNext: "));
  EXPECT_EQ(saturated["annotations"].value("dashboard", ""),
            "http://localhost:3000/d/loopsan/"
            "loopsan?viewPanel=11&var-process=process+1&var-loop=loop+1");
}

}  // namespace
}  // namespace loopsan::testing
