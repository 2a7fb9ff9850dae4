// The settings of a run. One list, reporters/options.inc, gives each its name,
// default and help; the command's flags and LOOPSAN_OPTIONS are made from it.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <ostream>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "reporters/buckets.h"
#include "reporters/reporter.h"

namespace loopsan {

enum class CallsMode { kFloor, kStrict, kOff };
enum class ColorMode { kAuto, kAlways, kNever };
// Which findings make the gate fail. kAuto: the new ones if there is a baseline,
// else none; kError and kWarning do not ask whether a finding is new.
enum class FailOn { kAuto, kNew, kError, kWarning, kNone };

// What a run may cost, for the gate; unset: any.
struct Budgets {
  std::optional<double> worst_stall_seconds;    // the longest time of one finding
  std::optional<double> blocked_total_seconds;  // of all findings together
  std::optional<double> longest_step_seconds;   // of any proven loop
  std::optional<double> p99_step_seconds;       // likewise
  std::optional<uint64_t> findings;             // errors and warnings
  friend bool operator==(const Budgets&, const Budgets&) = default;
};

struct Options {
  double threshold_seconds = 0.1;  // a step that lasts longer is a stall
  CallsMode calls = CallsMode::kFloor;
  std::string json_path;    // "" none, "-" standard output
  std::string output_path;  // text report; "" standard error, "-" standard output
  // Files of the other reporters, by the reporter's name: "" none, "-" standard output.
  std::map<std::string, std::string> report_paths;
  std::string source_root;  // files below it are named relative to it; "" as they are
  bool require_loop = false;
  std::string metrics_address;  // "ADDRESS:PORT", as ParseListenAddress() takes it; "" none
  std::string metrics_path;     // "" none
  std::string pushgateway;      // "HOST:PORT[/JOB]"; "" none
  std::vector<double> metrics_buckets = DefaultMetricsBuckets();  // seconds
  uint64_t metrics_sites = 20;                                    // places that metrics name
  bool metrics_pid = false;                                       // label `pid`
  std::string findings_path;  // JSON lines; "" none, "-" standard output
  FailOn fail_on = FailOn::kAuto;
  std::string baseline_path;  // "" none
  Budgets budgets;
  bool quiet = false;
  ColorMode color = ColorMode::kAuto;
  std::vector<std::string> suppression_files;
  std::vector<std::string> rule_packs;  // names
  std::string write_suppressions_path;  // "" none, "-" standard output
  bool help = false;

  bool WantsMetrics() const {
    return !metrics_address.empty() || !metrics_path.empty() || !pushgateway.empty();
  }
};

// Of the lists each setting adds to the one before; an empty value empties them.
enum class OptionKind {
  kDuration,
  kCalls,
  kFile,
  kAddress,
  kDurationList,
  kNumber,
  kFileList,
  kNameList,
  kDirectory,
  kSwitch,
  kColor,
  kFailOn,
  kBudget,  // may be given several times
};

struct OptionInfo {
  std::string_view name;  // as in LOOPSAN_OPTIONS: "require_loop"
  OptionKind kind;
  std::string_view default_text;
  std::string help;

  bool IsList() const { return kind == OptionKind::kFileList || kind == OptionKind::kNameList; }
  std::string Flag() const;  // "--require-loop"
  std::string_view ValueSyntax()
      const;  // "DURATION", "floor|strict|off"; "true|false" for a switch
};

// All options: those of options.inc in its order, then a file for each reporter that
// has none there.
std::span<const OptionInfo> OptionList();

// The options that come from a table of reporters.
std::vector<OptionInfo> ReportFileOptions(std::span<const Reporter> reporters);

// Reads "key=value:key=value" as the sanitizers do: separators are ':', ',',
// white space; values may be quoted with ' or ". An unknown key, a bad value or
// a word without '=' is an error that names it and lists what is possible;
// options before the bad one have been set then.
absl::Status ParseOptions(std::string_view text, Options& options);

// Sets one option by its name, as both the flags and ParseOptions() do; '-' in
// the name counts as '_'.
absl::Status SetOption(std::string_view name, std::string_view value, Options& options);

// Durations: "100ms", "0.1s", "250us", "2"; a bare number is seconds. More than
// 0 and at most a day. `seconds` keeps its value on error.
absl::Status ParseDuration(std::string_view text, double& seconds);

// Sets one budget: "worst-stall=200ms", "blocked-total=1s", "longest-step=0.5s" or
// "findings=3". Empty text removes all. `budgets` keep their values on error.
absl::Status ParseBudget(std::string_view text, Budgets& budgets);

struct Address {
  std::string address;  // or, of a gateway, its name
  int port = 0;
};

struct Gateway {
  Address address;
  std::string job = "loopsan";
};

// "127.0.0.1:9464", "[::1]:9464", ":9464" or "9464"; port 0 is any that is free. Without an
// address it is 127.0.0.1.
absl::Status ParseListenAddress(std::string_view text, Address& address);

// "HOST:PORT" or "HOST:PORT/JOB".
absl::Status ParseGateway(std::string_view text, Gateway& gateway);

// "new", "error", "warning", "none" or "auto".
absl::Status ParseFailOn(std::string_view text, FailOn& fail_on);

// The list with current values, for help=1.
void PrintOptions(const Options& options, std::ostream& out);

// The list as a Markdown table, for the documentation.
void PrintOptionsTable(std::ostream& out);

}  // namespace loopsan
