// Dashboard and alerts on a real Prometheus with a real Alertmanager.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

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
#include "tests/support/report_search.h"

namespace loopsan::testing {
namespace {

using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

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

// The queries of the dashboard that have no data after a while.
std::vector<std::string> QueriesWithoutData(Prometheus& prometheus) {
  std::vector<std::string> without;
  for (const DashboardQuery& query : DashboardQueries()) {
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

// `loopsan run --metrics`, and where it serves them.
class WatchedRun {
 public:
  explicit WatchedRun(const std::vector<std::string>& command)
      : run_(command, {.flags = {"--metrics=127.0.0.1:0", "--threshold=20ms"}}) {
    const std::string before = "http://127.0.0.1:";
    EXPECT_TRUE(run_.process().WaitForError(before)) << run_.process().error();
    EXPECT_TRUE(run_.process().WaitForError("/metrics")) << run_.process().error();
    const std::string said = run_.process().error();
    metrics_port_ = std::stoi(said.substr(said.find(before) + before.size()));
  }

  int metrics_port() const { return metrics_port_; }
  Process& process() { return run_.process(); }

  LoopsanResult Stop() {
    run_.Signal(SIGTERM);
    return run_.Wait();
  }

 private:
  LoopsanProcess run_;
  int metrics_port_ = 0;
};

// The chat server, and a client who says something every second. `archive` is how
// the server keeps messages: "direct" takes 50 ms of the loop for each.
class WatchedChat {
 public:
  explicit WatchedChat(const std::string& archive)
      : run_({LOOPSAN_CHAT_SERVER, "--port", "0", "--archive", archive}),
        load_({.arguments = {LOOPSAN_CHAT_LOAD, "--port", PortSaidBy(run_.process()), "--clients",
                             "1", "--room", "1", "--messages", "60", "--seconds", "60"}}) {}

  int metrics_port() const { return run_.metrics_port(); }

  void StopLoad() {
    load_.Signal(SIGKILL);
    load_.Wait();
  }
  LoopsanResult Stop() { return run_.Stop(); }

 private:
  WatchedRun run_;
  Process load_;
};

TEST(Dashboard, HasDataInItsPanelsForARunUnderLoad) {
  WatchedChat blocked("direct");
  WatchedChat bridged("bridge");
  WatchedRun locked({"python3", ScriptPath("python/waits_for_a_lock.py")});
  Prometheus prometheus(
      {.ports = {blocked.metrics_port(), bridged.metrics_port(), locked.metrics_port()},
       .rules = ImpatientRules()});
  EXPECT_THAT(QueriesWithoutData(prometheus), IsEmpty());
}

TEST(Metrics, AreThoseThatAreDocumented) {
  WatchedChat chat("direct");
  Prometheus prometheus({.ports = {chat.metrics_port()}});
  ASSERT_TRUE(prometheus.WaitForData("loopsan_site_blocks_total > 1"));

  const std::map<std::string, DocumentedSeries> documented = Documented();
  static const std::set<std::string> everywhere = {"__name__", "job", "instance", "le"};
  for (const Json& series : prometheus.Query("{__name__=~\"loopsan_.*\"}")) {
    const Json& labels = series["metric"];
    const std::string name = MetricOf(labels["__name__"], documented);
    ASSERT_TRUE(documented.contains(name)) << name << " is not in docs/metrics.md";
    for (const auto& [label, value] : labels.items()) {
      EXPECT_TRUE(everywhere.contains(label) || documented.at(name).labels.contains(label))
          << label << " of " << name;
    }
  }
  // One loop, two executors at most: as docs/metrics.md counts.
  EXPECT_LE(prometheus.Value("count({__name__=~\"loopsan_.*\"})"),
            246 + 2 * 22 + (3 + 10) + 9 + 5 + 2 * 20);
}

TEST(Metrics, LeadFromAnAlertToTheLineOfCode) {
  WatchedChat chat("direct");
  Alertmanager alertmanager;
  Prometheus prometheus({.ports = {chat.metrics_port()},
                         .rules = ImpatientRules(),
                         .alertmanager = alertmanager.port()});
  const Json blocking = WaitForAlert(alertmanager, "LoopsanBlockingCalls");
  ASSERT_EQ(blocking["labels"].value("process", ""), "chat_server");
  EXPECT_THAT(blocking["annotations"].value("dashboard", ""), HasSubstr("var-process=chat_server"));

  // The panel "Top sites", for the process of the alert.
  const Json sites = prometheus.Query(
      "topk(1, sum by (function, location) "
      "(loopsan_site_blocked_seconds_total{process=\"chat_server\"}))");
  ASSERT_THAT(sites, SizeIs(1));
  const LoopsanResult result = chat.Stop();
  SCOPED_TRACE(Describe(result));
  const auto found =
      FindingsThat(result.report, {.rule = "blocking-call", .function = "KeepArchive"});
  ASSERT_THAT(found, SizeIs(1));
  const Json store = FrameThat(found[0], {.function = "Store"});
  EXPECT_EQ(sites[0]["metric"].value("function", ""), "Store");
  EXPECT_THAT(sites[0]["metric"].value("location", ""),
              EndsWith("chat_server.cc:" + std::to_string(store.value("line", 0))));
}

// What blocks_each_second.py says its first `count` blocks took.
double SecondsThatTook(const std::string& output, int count) {
  const std::string before = "blocked " + std::to_string(count) + " ";
  const size_t line = output.find(before);
  EXPECT_NE(line, std::string::npos) << before << "in: " << output;
  return line == std::string::npos ? 0 : std::stod(output.substr(line + before.size()));
}

// Four programs under one `loopsan run`; the chat and Python block 50 ms each second.
TEST(Metrics, AreTrueForRedisNodePythonAndACoroutineServerInOneRun) {
  const TemporaryDirectory directory;
  const std::string redis_port = std::to_string(PickFreePort());
  const char* script =
      R"(redis-server --port "$1" --bind 127.0.0.1 --save '' --appendonly no --dir "$2" > /dev/null &
    children=$!
    node "$3" &
    children="$children $!"
    python3 "$5" &
    children="$children $!"
    "$4" --port 0 --archive direct &
    trap "kill $children $!" TERM
    wait
    wait)";
  WatchedRun run({"sh", "-c", script, "sh", redis_port, directory.path(),
                  ScriptPath("node/asks_itself.js"), LOOPSAN_CHAT_SERVER,
                  ScriptPath("python/blocks_each_second.py")});
  ASSERT_TRUE(WaitForPort(std::stoi(redis_port)));
  Process redis_load({.arguments = {"redis-benchmark", "-p", redis_port, "-c", "5", "-t", "set,get",
                                    "-r", "1000", "-l", "-q"}});
  Process chat_load(
      {.arguments = {LOOPSAN_CHAT_LOAD, "--port", PortSaidBy(run.process()), "--clients", "1",
                     "--room", "1", "--messages", "60", "--seconds", "60"}});
  Prometheus prometheus({.ports = {run.metrics_port()}});
  Prometheus other({.ports = {run.metrics_port()}});
  const std::string blocks = "sum(loopsan_site_blocks_total{process=\"chat_server\"})";
  // Over 20 s: that a scrape is answered some milliseconds after its time is not 1 % then.
  for (const std::string process : {"redis-server", "node", "python3", "chat_server"}) {
    const std::string of_process = "{process=\"" + process + "\"}";
    ASSERT_TRUE(prometheus.WaitForData("loopsan_turns_total" + of_process +
                                       " and loopsan_turns_total" + of_process + " offset 21s"))
        << process;
    EXPECT_NEAR(prometheus.Value("sum(rate(loopsan_loop_busy_seconds_total" + of_process +
                                 "[20s]) + rate(loopsan_idle_seconds_total" + of_process +
                                 "[20s])) / sum(loopsan_loops" + of_process + ")"),
                1, 0.01)
        << process << ": a loop is busy or idle, always";
  }
  const double p99 = prometheus.Value(
      "histogram_quantile(0.99, sum by (le) "
      "(rate(loopsan_step_seconds_bucket{process=\"python3\"}[20s])))");
  EXPECT_TRUE(p99 >= 0.05 && p99 <= 0.1) << p99 << ": its blocks of 50 ms, one each second";
  const std::string chat_steps = "rate(loopsan_step_seconds_bucket{process=\"chat_server\"}[8s])";
  const double longest_step =
      prometheus.Value("histogram_quantile(1, sum by (le) (" + chat_steps + "))");
  EXPECT_EQ(longest_step, 0.1) << "the end of the bucket that 50 ms are in";
  EXPECT_GT(prometheus.Value("sum(rate(loopsan_turns_total{process=\"redis-server\"}[8s]))"), 100);
  for (const char* innocent : {"redis-server", "node"}) {
    EXPECT_LT(prometheus.Value("sum(rate(loopsan_blocking_seconds_total{process=\"" +
                               std::string(innocent) + "\"}[8s]))"),
              0.01)
        << innocent;
  }

  // When it is quiet, both see the same, and no counter has ever gone back.
  for (Process* load : {&redis_load, &chat_load}) {
    load->Signal(SIGKILL);
    load->Wait();
  }
  EXPECT_TRUE(WaitUntil([&] { return prometheus.Value(blocks) == other.Value(blocks); }));
  for (Prometheus* one : {&prometheus, &other}) {
    for (const Json& name :
         one->Query("group by (__name__) ({__name__=~\"loopsan_.*_(total|count|sum|bucket)\"})")) {
      const std::string counter = name["metric"]["__name__"];
      EXPECT_THAT(one->Query("resets(" + counter + "[5m]) > 0"), IsEmpty()) << counter;
    }
  }

  // Count and time of the same scrape.
  std::map<std::string, double> sleeps;
  for (const Json& sample :
       prometheus.Query("{__name__=~\"loopsan_blocking_(calls|seconds)_total\","
                        "process=\"python3\",category=\"sleep\"}")) {
    sleeps[sample["metric"]["__name__"]] = std::stod(sample["value"][1].get<std::string>());
  }
  const double python_count = sleeps["loopsan_blocking_calls_total"];
  EXPECT_GE(python_count, 5);
  const double truth = SecondsThatTook(run.process().output(), static_cast<int>(python_count));
  EXPECT_NEAR(sleeps["loopsan_blocking_seconds_total"], truth, 0.05 * truth);

  const double chat_count = prometheus.Value(blocks);
  EXPECT_GE(prometheus.Value("sum(loopsan_blocking_seconds_total{process=\"chat_server\"})"),
            0.05 * chat_count);
  const LoopsanResult result = run.Stop();
  SCOPED_TRACE(Describe(result));
  const auto found =
      FindingsThat(result.report, {.rule = "blocking-call", .function = "KeepArchive"});
  ASSERT_THAT(found, SizeIs(1));
  EXPECT_EQ(found[0]["count"], chat_count);
}

}  // namespace
}  // namespace loopsan::testing
