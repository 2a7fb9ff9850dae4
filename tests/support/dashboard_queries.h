// The PromQL in the Grafana dashboard, and the series that docs/metrics.md lists.
#pragma once

#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <vector>

namespace loopsan::testing {

struct DashboardQuery {
  std::string place;       // "Loop lag A", "variable process", "annotation Alerts"
  std::string expression;  // with Grafana's variables
};

// Of panels, variables and annotations. A variable's label_values(SERIES, LABEL)
// becomes a query that has data when the variable has values.
std::vector<DashboardQuery> QueriesOf(const nlohmann::json& dashboard);

// As Grafana sends it when everything is selected. A variable that is not known
// stays, so that Prometheus refuses it.
std::string WithEverythingSelected(const std::string& expression, const std::string& interval,
                                   const std::string& range);

struct DocumentedSeries {
  std::string type;  // "gauge", "counter" or "histogram"
  std::set<std::string> labels;
};

// By name, from the table in `page`, the text of docs/metrics.md.
std::map<std::string, DocumentedSeries> DocumentedMetrics(const std::string& page);

// The metric that a series belongs to: of a histogram without _bucket, _sum or _count.
std::string MetricOf(const std::string& series,
                     const std::map<std::string, DocumentedSeries>& documented);

}  // namespace loopsan::testing
