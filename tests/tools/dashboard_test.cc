// The dashboard, the rules, and the command that prints them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <regex>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "tests/reporters/golden.h"
#include "tests/support/dashboard_queries.h"
#include "tests/support/process.h"

namespace loopsan {
namespace {

using ::testing::AllOf;
using testing::DashboardQuery;
using testing::DocumentedSeries;
using testing::Finished;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using Json = nlohmann::json;

const std::string kPrometheusFolder = LOOPSAN_SOURCE_DIR "/tools/prometheus/";
const std::string kRules = kPrometheusFolder + "loopsan_rules.yml";
const std::string kRulesTest = kPrometheusFolder + "loopsan_rules_test.yml";
const std::string kDashboard = LOOPSAN_SOURCE_DIR "/tools/grafana/loopsan.json";
const std::string kPage = LOOPSAN_SOURCE_DIR "/docs/metrics.md";

Json Dashboard() { return Json::parse(ReadFile(kDashboard)); }
Json Panels() { return Dashboard().at("panels"); }
Json Variables() { return Dashboard().at("templating").at("list"); }

std::map<std::string, DocumentedSeries> Documented() {
  return testing::DocumentedMetrics(ReadFile(kPage));
}

void ExpectSuccess(const std::vector<std::string>& arguments) {
  const Finished finished =
      testing::RunCommand({.arguments = arguments, .directory = kPrometheusFolder});
  EXPECT_EQ(finished.exit_code, 0) << finished.out << finished.err;
}

// Everything that `pattern` matches in `text`: the first group.
std::vector<std::string> All(const std::string& text, const std::string& pattern) {
  std::vector<std::string> found;
  const std::regex regex(pattern);
  for (std::sregex_iterator one(text.begin(), text.end(), regex), end; one != end; ++one) {
    found.push_back((*one)[1]);
  }
  return found;
}

std::set<std::string> AsSet(const std::vector<std::string>& items) {
  return {items.begin(), items.end()};
}

std::vector<std::string> RecordNames() { return All(ReadFile(kRules), "- record: (\\S+)"); }
std::vector<std::string> AlertNames() { return All(ReadFile(kRules), "- alert: (\\S+)"); }

// The text of one alert.
std::string AlertText(const std::string& name) {
  const std::string rules = ReadFile(kRules);
  const size_t begin = rules.find("- alert: " + name + "\n");
  return rules.substr(begin, rules.find("- alert: ", begin + 1) - begin);
}

// Expressions of the rules, without their annotations.
std::string RuleExpressions() {
  std::string text;
  bool in_expression = false;
  std::istringstream lines(ReadFile(kRules));
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with("        expr: ")) {
      in_expression = true;
    } else if (!line.starts_with("          ")) {
      in_expression = false;
    }
    if (in_expression) text += line + "\n";
  }
  return text;
}

std::string DashboardExpressions() {
  std::string text;
  for (const DashboardQuery& query : testing::QueriesOf(Dashboard())) {
    text += query.expression + "\n";
  }
  return text;
}

std::set<std::string> MetricsIn(const std::string& expressions) {
  const auto documented = Documented();
  std::set<std::string> metrics;
  for (const std::string& series : All(expressions, "\\b(loopsan_\\w+)")) {
    metrics.insert(testing::MetricOf(series, documented));
  }
  return metrics;
}

TEST(PrometheusRules, PassPromtool) { ExpectSuccess({"promtool", "check", "rules", kRules}); }

TEST(PrometheusRules, PassTheirUnitTests) {
  ExpectSuccess({"promtool", "test", "rules", kRulesTest});
}

TEST(PrometheusRules, HaveATestEach) {
  const std::string tests = ReadFile(kRulesTest);
  ASSERT_THAT(RecordNames(), Not(IsEmpty()));
  for (const std::string& name : RecordNames()) {
    EXPECT_THAT(tests, HasSubstr("- expr: " + name + "\n"));
  }
  ASSERT_THAT(AlertNames(), Not(IsEmpty()));
  for (const std::string& name : AlertNames()) {
    EXPECT_THAT(
        All(tests, "alertname: " + name + "\n\\s*eval_time: \\S+\n\\s*exp_alerts:( \\[\\])"),
        Not(IsEmpty()))
        << name << " must not fire there";
    EXPECT_THAT(All(tests, "alertname: " + name + "\n\\s*eval_time: \\S+\n\\s*exp_alerts:(\n)"),
                Not(IsEmpty()))
        << name << " must fire there";
  }
}

TEST(PrometheusRules, AreAllInTheDocumentation) {
  const std::string page = ReadFile(kPage);
  for (const std::string& name : RecordNames()) EXPECT_THAT(page, HasSubstr("`" + name + "`"));
  for (const std::string& name : AlertNames()) EXPECT_THAT(page, HasSubstr("| `" + name + "` |"));
}

TEST(PrometheusRules, UseDocumentedSeriesAndRecordedOnes) {
  const auto documented = Documented();
  for (const std::string& metric : MetricsIn(RuleExpressions())) {
    EXPECT_TRUE(documented.contains(metric)) << metric << " is not in docs/metrics.md";
  }
  const std::set<std::string> recorded = AsSet(RecordNames());
  for (const std::string& name : All(RuleExpressions(), "\\b(loopsan:[\\w:]+)")) {
    EXPECT_TRUE(recorded.contains(name)) << name << " is recorded nowhere";
  }
}

TEST(PrometheusRules, SayHowBadWhatItMeansAndWhatToDo) {
  for (const std::string& name : AlertNames()) {
    const std::string text = AlertText(name);
    EXPECT_THAT(text, ::testing::ContainsRegex("severity: (info|warning|critical)\n")) << name;
    EXPECT_THAT(text, AllOf(HasSubstr("\n          summary: '"), HasSubstr("\n            Next: ")))
        << name;
  }
}

TEST(PrometheusRules, LinkToThePanelThatTheyName) {
  std::map<std::string, std::string> titles;
  std::set<std::string> variables;
  for (const Json& panel : Panels()) {
    titles[std::to_string(panel["id"].get<int>())] = panel["title"];
  }
  for (const Json& variable : Variables()) variables.insert(variable["name"]);
  for (const std::string& name : AlertNames()) {
    const std::string text = AlertText(name);
    const auto links =
        All(text, "dashboard: '(http://localhost:3000/d/loopsan/loopsan\\?[^']*)'\n");
    ASSERT_EQ(links.size(), 1u) << text;
    const auto panels = All(links[0], "viewPanel=(\\d+)");
    ASSERT_EQ(panels.size(), 1u) << links[0];
    EXPECT_EQ(All(text, "Panel: \"([^\"]*)\"\\."), std::vector{titles[panels[0]]}) << name;
    for (const std::string& variable : All(links[0], "&var-(\\w+)=")) {
      EXPECT_TRUE(variables.contains(variable)) << name << ": " << variable;
    }
  }
}

TEST(PrometheusConfiguration, PassesPromtoolAndAmtool) {
  ExpectSuccess({"promtool", "check", "config", kPrometheusFolder + "prometheus.yml"});
  ExpectSuccess({"amtool", "check-config", kPrometheusFolder + "alertmanager.yml"});
}

TEST(GrafanaDashboard, HasQueriesThatPrometheusCanParse) {
  Json rules = Json::array();
  for (const DashboardQuery& query : testing::QueriesOf(Dashboard())) {
    const std::string expression = testing::WithEverythingSelected(query.expression, "5m", "1h");
    EXPECT_THAT(expression, Not(HasSubstr("$"))) << query.place;
    rules.push_back(
        {{"record", "dashboard:query" + std::to_string(rules.size())}, {"expr", expression}});
  }
  ASSERT_GE(rules.size(), 30u);
  const Json file = {{"groups", {{{"name", "dashboard"}, {"rules", rules}}}}};
  const testing::TemporaryDirectory directory;
  std::ofstream(directory / "queries.yml") << file.dump(2);  // JSON is YAML
  ExpectSuccess({"promtool", "check", "rules", directory / "queries.yml"});
}

TEST(GrafanaDashboard, ShowsEachDocumentedSeriesAndNoOther) {
  std::set<std::string> documented;
  for (const auto& [name, series] : Documented()) documented.insert(name);
  ASSERT_GE(documented.size(), 25u);
  EXPECT_EQ(MetricsIn(DashboardExpressions()), documented);
}

// Labels that an expression selects or groups by, and that none of its series has.
std::set<std::string> UnknownLabels(const std::string& expression) {
  const auto documented = Documented();
  std::set<std::string> known = {"job", "instance", "le", "alertname", "alertstate"};
  if (expression.starts_with("ALERTS")) known.insert({"process", "loop"});
  for (const std::string& metric : MetricsIn(expression)) {
    const auto& labels = documented.at(metric).labels;
    known.insert(labels.begin(), labels.end());
  }
  std::set<std::string> used = AsSet(All(expression, "(\\w+)=~?\""));
  for (const std::string& list : All(expression, "by \\(([^)]*)\\)")) {
    for (const std::string& label : All(list, "(\\w+)")) used.insert(label);
  }
  for (const std::string& label : known) used.erase(label);
  return used;
}

TEST(GrafanaDashboard, UsesLabelsThatItsSeriesHave) {
  for (const DashboardQuery& query : testing::QueriesOf(Dashboard())) {
    EXPECT_THAT(UnknownLabels(query.expression), IsEmpty()) << query.expression;
  }
}

TEST(PrometheusRules, UseLabelsThatTheirSeriesHave) {
  EXPECT_THAT(UnknownLabels(RuleExpressions()), IsEmpty());
  EXPECT_THAT(UnknownLabels("sum by (category) (loopsan_turns_total{color=\"red\"})"),
              ::testing::ElementsAre("category", "color"));
}

TEST(GrafanaDashboard, HasPanelsThatAreNumberedAndDoNotOverlap) {
  std::set<int> numbers;
  std::set<std::pair<int, int>> cells;
  for (const Json& panel : Panels()) {
    const std::string title = panel.at("title");
    EXPECT_TRUE(numbers.insert(panel.at("id").get<int>()).second) << title;
    const Json& place = panel.at("gridPos");
    const int x = place.at("x");
    const int y = place.at("y");
    const int right = x + place.at("w").get<int>();
    const int bottom = y + place.at("h").get<int>();
    EXPECT_LE(right, 24) << title;
    for (int column = x; column < right; ++column) {
      for (int row = y; row < bottom; ++row) {
        EXPECT_TRUE(cells.insert({column, row}).second) << title << " lies on another panel";
      }
    }
  }
}

TEST(GrafanaDashboard, AsksTheChosenDataSourceAndExplainsEachPanel) {
  const Json source = {{"type", "prometheus"}, {"uid", "${datasource}"}};
  for (const Json& panel : Panels()) {
    if (panel["type"] == "row") continue;
    SCOPED_TRACE(panel["title"].get<std::string>());
    EXPECT_THAT(panel.at("description").get<std::string>(), Not(IsEmpty()));
    EXPECT_EQ(panel.at("datasource"), source);
    std::set<std::string> references;
    for (const Json& target : panel.at("targets")) {
      EXPECT_EQ(target.at("datasource"), source);
      EXPECT_TRUE(references.insert(target.at("refId").get<std::string>()).second);
    }
  }
}

TEST(GrafanaDashboard, LetsJobProcessAndLoopBeChosenManyAtOnce) {
  std::map<std::string, Json> variables;
  for (const Json& variable : Variables()) {
    variables[variable["name"].get<std::string>()] = variable;
  }
  EXPECT_EQ(variables["datasource"]["query"], "prometheus");
  for (const char* name : {"job", "process", "loop"}) {
    EXPECT_EQ(variables[name]["multi"], true) << name;
    EXPECT_EQ(variables[name]["includeAll"], true) << name;
    EXPECT_EQ(variables[name]["allValue"], ".*") << name;
  }
  for (const std::string& used : All(DashboardExpressions(), "\\$(\\w+)")) {
    EXPECT_TRUE(used.starts_with("__") || variables.contains(used)) << used;
  }
}

class DashboardCommand : public ::testing::Test {
 protected:
  Finished Loopsan(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), {FAKE_LOOPSAN, "dashboard"});
    return testing::RunCommand({.arguments = arguments, .directory = directory_.path()});
  }

  const testing::TemporaryDirectory directory_;
};

TEST_F(DashboardCommand, PrintsTheFiles) {
  const std::map<std::string, std::string> files = {
      {"grafana", kDashboard},
      {"rules", kRules},
      {"rules-test", kRulesTest},
      {"prometheus", kPrometheusFolder + "prometheus.yml"},
      {"alertmanager", kPrometheusFolder + "alertmanager.yml"},
  };
  for (const auto& [name, path] : files) {
    const Finished printed = Loopsan({name});
    EXPECT_EQ(printed.exit_code, 0) << printed.err;
    EXPECT_EQ(printed.out, ReadFile(path)) << name;
    EXPECT_THAT(printed.err, IsEmpty());
    EXPECT_THAT(Loopsan({"--help"}).out, HasSubstr("\n  " + name + " "));
  }
}

TEST_F(DashboardCommand, WritesAFile) {
  EXPECT_EQ(Loopsan({"rules", "--output=loopsan_rules.yml"}).exit_code, 0);
  EXPECT_EQ(ReadFile(directory_ / "loopsan_rules.yml"), ReadFile(kRules));
}

TEST_F(DashboardCommand, PutsTheAddressOfGrafanaIntoTheLinksOfTheAlerts) {
  for (const char* url : {"https://example.com/grafana", "https://example.com/grafana/"}) {
    const Finished printed = Loopsan({"rules", std::string("--grafana=") + url});
    EXPECT_THAT(All(printed.out, "dashboard: '(https://example.com/grafana/d/loopsan/loopsan\\?)"),
                ::testing::SizeIs(AlertNames().size()));
    EXPECT_THAT(printed.out, Not(HasSubstr("localhost")));
    std::ofstream(directory_ / "rules.yml") << printed.out;
    ExpectSuccess({"promtool", "check", "rules", directory_ / "rules.yml"});
  }
}

TEST_F(DashboardCommand, RefusesWhatIsNoAddress) {
  for (const char* url : {"grafana.example.com", "javascript:alert(1)", "https://x/'\n  evil: '1",
                          "http://{{ .Labels }}", "https://a b", "https://\x1b[31m"}) {
    const Finished refused = Loopsan({"rules", std::string("--grafana=") + url});
    EXPECT_EQ(refused.exit_code, 125) << url;
    EXPECT_THAT(refused.err,
                AllOf(HasSubstr("--grafana: '"), HasSubstr("https://grafana.example.com"),
                      Not(HasSubstr("\x1b"))));
    EXPECT_THAT(refused.out, IsEmpty());
  }
}

TEST_F(DashboardCommand, NamesWhatThereIs) {
  const Finished unknown = Loopsan({"kibana"});
  EXPECT_EQ(unknown.exit_code, 125);
  EXPECT_THAT(unknown.err,
              AllOf(HasSubstr("'kibana'"),
                    HasSubstr("grafana, rules, rules-test, prometheus, alertmanager")));
}

TEST_F(DashboardCommand, TeachesWithoutArguments) {
  const Finished help = Loopsan({});
  EXPECT_EQ(help.exit_code, 0);
  EXPECT_THAT(help.out, AllOf(HasSubstr("Usage: loopsan dashboard NAME"),
                              HasSubstr("loopsan run --metrics=127.0.0.1:9464 -- ./server"),
                              HasSubstr("loopsan dashboard rules > loopsan_rules.yml"),
                              HasSubstr("loopsan dashboard grafana > loopsan.json")));
}

// What it tells to do in three steps does work: the files find each other.
TEST_F(DashboardCommand, GivesFilesThatFitTogether) {
  for (const auto& [name, file] :
       std::map<std::string, std::string>{{"rules", "loopsan_rules.yml"},
                                          {"rules-test", "loopsan_rules_test.yml"},
                                          {"prometheus", "prometheus.yml"}}) {
    ASSERT_EQ(Loopsan({name, "--output=" + file}).exit_code, 0);
  }
  ExpectSuccess({"promtool", "check", "config", directory_ / "prometheus.yml"});
  ExpectSuccess({"promtool", "test", "rules", directory_ / "loopsan_rules_test.yml"});
}

}  // namespace
}  // namespace loopsan
