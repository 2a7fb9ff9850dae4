// `loopsan dashboard NAME`
#include <algorithm>
#include <iterator>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/strip.h"
#include "reporters/reporter.h"
#include "tools/command_flags.h"
#include "tools/dashboard_files.h"
#include "tools/output.h"
#include "tools/subcommand.h"

namespace loopsan {
namespace {

constexpr char kFooter[] =
    R"(NAME is
  grafana       the dashboard: in Grafana, Dashboards, New, Import
  rules         recording and alerting rules for Prometheus
  rules-test    their unit tests, for promtool test rules; they lie beside loopsan_rules.yml
  prometheus    an example configuration of Prometheus that scrapes 127.0.0.1:9464
  alertmanager  an example configuration of Alertmanager

From nothing to dashboard and alerts:
  loopsan run --metrics=127.0.0.1:9464 -- ./server
  loopsan dashboard rules > loopsan_rules.yml; loopsan dashboard prometheus > prometheus.yml; prometheus
  loopsan dashboard grafana > loopsan.json             and import it

More:
  loopsan dashboard rules --grafana=https://grafana.example.com    alerts link to your Grafana

Exit status: 0; 125 if there is no such file, or it cannot be written.)";

// Where the rules say that Grafana is.
constexpr std::string_view kGrafanaOfTheRules = "http://localhost:3000/";

struct File {
  std::string_view name;
  // Not a copy: when this table is made, it may not yet be.
  const std::string_view& text;
};

constexpr File kFiles[] = {
    {"grafana", kGrafanaDashboard},        {"rules", kPrometheusRules},
    {"rules-test", kPrometheusRulesTest},  {"prometheus", kPrometheusConfig},
    {"alertmanager", kAlertmanagerConfig},
};

std::string FileNames() {
  std::string names;
  for (const File& file : kFiles) {
    absl::StrAppend(&names, names.empty() ? "" : ", ", std::string(file.name));
  }
  return names;
}

// It goes between quotes of YAML, into a template, and into links.
absl::Status CheckGrafanaUrl(const std::string& url) {
  const bool web = absl::StartsWith(url, "https://") || absl::StartsWith(url, "http://");
  const bool plain = std::all_of(url.begin(), url.end(), [](unsigned char byte) {
    return byte > ' ' && byte < 0x7f &&
           std::string_view("'\"{}<>\\?#").find(static_cast<char>(byte)) == std::string_view::npos;
  });
  if (web && plain) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("--grafana: '", Printable(url),
                   "' is no address of a Grafana; expected one such as "
                   "https://grafana.example.com or https://example.com/grafana"));
}

}  // namespace

int PrintDashboard(const std::vector<std::string>& arguments) {
  std::string name;
  std::string grafana;
  Options options;
  options.output_path.assign(1, '-');  // g++ 12 warns of an overlap that is none in: = "-"
  CommandFlags flags("dashboard", "NAME [FLAG...]",
                     "Prints the Grafana dashboard and the Prometheus rules for loopsan run "
                     "--metrics.",
                     kFooter);
  flags.AddFile("NAME", name, FileNames());
  flags.AddValue("--grafana", grafana, "URL",
                 "where the links of the alerts lead (default http://localhost:3000)");
  flags.AddOption("output", options,
                  "write it to FILE ('-': standard output, which is the default)");
  int exit_status = 0;
  // Nobody knows the names by heart.
  const std::vector<std::string> words =
      arguments.empty() ? std::vector<std::string>{"--help"} : arguments;
  if (!ParseOrExit(flags, "dashboard", words, exit_status)) return exit_status;

  const File* const file = std::find_if(std::begin(kFiles), std::end(kFiles),
                                        [&name](const File& one) { return one.name == name; });
  if (file == std::end(kFiles)) {
    return FailCommand(absl::InvalidArgumentError(
        absl::StrCat("there is no '", Printable(name), "' to print; there are ", FileNames())));
  }
  std::string text(file->text);
  if (!grafana.empty()) {
    if (const absl::Status status = CheckGrafanaUrl(grafana); !status.ok()) {
      return FailCommand(status);
    }
    const std::string base = absl::StrCat(absl::StripSuffix(grafana, "/"), "/");
    text = absl::StrReplaceAll(text, {{std::string(kGrafanaOfTheRules), base}});
  }
  const absl::StatusOr<std::unique_ptr<Output>> output = Output::Open(options.output_path);
  if (!output.ok()) return FailCommand(output.status());
  const absl::Status written = (*output)->Write(text);
  return written.ok() ? 0 : FailCommand(written);
}

}  // namespace loopsan
