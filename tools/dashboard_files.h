// What `loopsan dashboard` prints, from tools/grafana/ and tools/prometheus/: in the
// command itself.
#pragma once

#include <string_view>

namespace loopsan {

extern const std::string_view kGrafanaDashboard;
extern const std::string_view kPrometheusRules;
extern const std::string_view kPrometheusRulesTest;
extern const std::string_view kPrometheusConfig;
extern const std::string_view kAlertmanagerConfig;

}  // namespace loopsan
