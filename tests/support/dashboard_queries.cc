#include "tests/support/dashboard_queries.h"

#include <regex>
#include <sstream>

namespace loopsan::testing {
namespace {

std::string QueryOfVariable(const std::string& query) {
  static const std::regex label_values(R"(label_values\((.*), (\w+)\))");
  return std::regex_replace(query, label_values, "group by ($2) ($1)");
}

void ReplaceAll(std::string& text, std::string_view from, std::string_view to) {
  for (size_t at = text.find(from); at != std::string::npos; at = text.find(from, at + to.size())) {
    text.replace(at, from.size(), to);
  }
}

}  // namespace

std::vector<DashboardQuery> QueriesOf(const nlohmann::json& dashboard) {
  std::vector<DashboardQuery> queries;
  for (const nlohmann::json& variable : dashboard.at("templating").at("list")) {
    if (variable.at("type") != "query") continue;
    queries.push_back({"variable " + variable.at("name").get<std::string>(),
                       QueryOfVariable(variable.at("query"))});
  }
  for (const nlohmann::json& annotation : dashboard.at("annotations").at("list")) {
    queries.push_back(
        {"annotation " + annotation.at("name").get<std::string>(), annotation.at("expr")});
  }
  for (const nlohmann::json& panel : dashboard.at("panels")) {
    if (!panel.contains("targets")) continue;
    for (const nlohmann::json& target : panel.at("targets")) {
      queries.push_back(
          {panel.at("title").get<std::string>() + " " + target.at("refId").get<std::string>(),
           target.at("expr")});
    }
  }
  return queries;
}

std::string WithEverythingSelected(const std::string& expression, const std::string& interval,
                                   const std::string& range) {
  std::string filled = expression;
  ReplaceAll(filled, "$__rate_interval", interval);
  ReplaceAll(filled, "$__range", range);
  for (const char* variable : {"$job", "$process", "$loop"}) ReplaceAll(filled, variable, ".*");
  return filled;
}

std::map<std::string, DocumentedSeries> DocumentedMetrics(const std::string& page) {
  static const std::regex row(R"(\| `(loopsan_\w+)` \| (\w+) \|([^|]*)\|.*)");
  static const std::regex label(R"(`(\w+)`)");
  std::map<std::string, DocumentedSeries> metrics;
  std::istringstream lines(page);
  for (std::string line; std::getline(lines, line);) {
    std::smatch cells;
    if (!std::regex_match(line, cells, row)) continue;
    DocumentedSeries& series = metrics[cells[1]];
    series.type = cells[2];
    const std::string labels = cells[3];
    for (std::sregex_iterator one(labels.begin(), labels.end(), label), end; one != end; ++one) {
      series.labels.insert((*one)[1]);
    }
  }
  return metrics;
}

std::string MetricOf(const std::string& series,
                     const std::map<std::string, DocumentedSeries>& documented) {
  for (const std::string ending : {"_bucket", "_sum", "_count"}) {
    if (!series.ends_with(ending)) continue;
    const auto metric = documented.find(series.substr(0, series.size() - ending.size()));
    if (metric != documented.end() && metric->second.type == "histogram") return metric->first;
  }
  return series;
}

}  // namespace loopsan::testing
