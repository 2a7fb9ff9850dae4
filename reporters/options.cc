#include "reporters/options.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <iterator>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "reporters/did_you_mean.h"

namespace loopsan {
namespace {

constexpr double kLongestDuration = 86400;
constexpr uint64_t kLargestNumber = 1000;

// Reporters that have an option of their own in options.inc: the text's is "output".
constexpr std::string_view kListedReporters[] = {"text", "json"};

// Never destroyed: programs that are watched from within read it when they exit.
const std::vector<OptionInfo>& AllOptions() {
  static const auto& options = *[] {
    auto* all = new std::vector<OptionInfo>{
#define LOOPSAN_OPTION(name, field, kind, default_text, help) \
  {#name, OptionKind::kind, default_text, help},
#include "reporters/options.inc"
#undef LOOPSAN_OPTION
    };
    for (OptionInfo& option : ReportFileOptions(Reporters())) all->push_back(std::move(option));
    return all;
  }();
  return options;
}

// Debian's absl::string_view is not std::string_view.
absl::string_view Absl(std::string_view text) { return {text.data(), text.size()}; }

absl::Status BadValue(std::string_view value, std::string_view expected) {
  return absl::InvalidArgumentError(
      absl::StrCat("bad value '", Absl(value), "'; expected ", Absl(expected)));
}

absl::Status Parse(std::string_view text, double& value) { return ParseDuration(text, value); }

absl::Status Parse(std::string_view text, std::string& value) {
  // The file is opened with C functions, which would stop at the NUL.
  if (text.find('\0') != std::string_view::npos) return BadValue(text, "a file name");
  value = std::string(text);
  return absl::OkStatus();
}

absl::Status Parse(std::string_view text, std::vector<std::string>& values) {
  if (text.empty()) values.clear();
  while (!text.empty()) {
    const std::string_view part = text.substr(0, text.find(','));
    text.remove_prefix(std::min(part.size() + 1, text.size()));
    std::string value;
    if (absl::Status status = Parse(part, value); !status.ok()) return status;
    if (!value.empty()) values.push_back(std::move(value));
  }
  return absl::OkStatus();
}

absl::Status Parse(std::string_view text, std::vector<double>& values) {
  std::vector<double> parsed;
  if (text.empty()) parsed = DefaultMetricsBuckets();
  while (!text.empty()) {
    const std::string_view part = text.substr(0, text.find(','));
    text.remove_prefix(std::min(part.size() + 1, text.size()));
    parsed.emplace_back();
    if (absl::Status status = ParseDuration(part, parsed.back()); !status.ok()) return status;
  }
  if (absl::Status status = CheckMetricsBuckets(parsed); !status.ok()) return status;
  values = std::move(parsed);
  return absl::OkStatus();
}

absl::Status Parse(std::string_view text, uint64_t& value) {
  uint64_t number = 0;
  const char* const end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, number);
  if (error != std::errc() || rest != end || number > kLargestNumber) {
    return BadValue(text, absl::StrCat("a number of at most ", kLargestNumber));
  }
  value = number;
  return absl::OkStatus();
}

absl::Status Parse(std::string_view text, bool& value) {
  if (text == "1" || text == "true" || text == "yes" || text == "on") {
    value = true;
  } else if (text == "0" || text == "false" || text == "no" || text == "off") {
    value = false;
  } else {
    return BadValue(text, "true or false (also 1, 0, yes, no, on, off)");
  }
  return absl::OkStatus();
}

absl::Status Parse(std::string_view text, CallsMode& value) {
  if (text == "floor") {
    value = CallsMode::kFloor;
  } else if (text == "strict") {
    value = CallsMode::kStrict;
  } else if (text == "off") {
    value = CallsMode::kOff;
  } else {
    return BadValue(text, "floor, strict or off");
  }
  return absl::OkStatus();
}

absl::Status Parse(std::string_view text, FailOn& value) { return ParseFailOn(text, value); }

absl::Status Parse(std::string_view text, Budgets& value) { return ParseBudget(text, value); }

absl::Status Parse(std::string_view text, ColorMode& value) {
  if (text == "auto") {
    value = ColorMode::kAuto;
  } else if (text == "always") {
    value = ColorMode::kAlways;
  } else if (text == "never") {
    value = ColorMode::kNever;
  } else {
    return BadValue(text, "auto, always or never");
  }
  return absl::OkStatus();
}

std::string Print(double seconds) {
  if (seconds >= 1) return absl::StrCat(seconds, "s");
  if (seconds >= 1e-3) return absl::StrCat(seconds * 1e3, "ms");
  return absl::StrCat(seconds * 1e6, "us");
}
std::string Print(const std::string& path) { return path; }
std::string Print(const std::vector<std::string>& values) { return absl::StrJoin(values, ","); }
std::string Print(const std::vector<double>& seconds) {
  std::vector<std::string> durations;
  for (const double one : seconds) durations.push_back(Print(one));
  return absl::StrJoin(durations, ",");
}
std::string Print(uint64_t number) { return absl::StrCat(number); }
std::string Print(bool on) { return on ? "true" : "false"; }
std::string Print(CallsMode mode) {
  switch (mode) {
    case CallsMode::kFloor:
      return "floor";
    case CallsMode::kStrict:
      return "strict";
    case CallsMode::kOff:
      return "off";
  }
  return "";
}
std::string Print(ColorMode mode) {
  switch (mode) {
    case ColorMode::kAuto:
      return "auto";
    case ColorMode::kAlways:
      return "always";
    case ColorMode::kNever:
      return "never";
  }
  return "";
}

std::string Print(FailOn fail_on) {
  switch (fail_on) {
    case FailOn::kAuto:
      return "auto";
    case FailOn::kNew:
      return "new";
    case FailOn::kError:
      return "error";
    case FailOn::kWarning:
      return "warning";
    case FailOn::kNone:
      return "none";
  }
  return "";
}
std::string Print(const Budgets& budgets) {
  std::vector<std::string> set;
  const auto add = [&set](absl::string_view name, const std::optional<double>& seconds) {
    if (seconds) set.push_back(absl::StrCat(name, "=", Print(*seconds)));
  };
  add("worst-stall", budgets.worst_stall_seconds);
  add("blocked-total", budgets.blocked_total_seconds);
  add("longest-step", budgets.longest_step_seconds);
  add("p99-step", budgets.p99_step_seconds);
  if (budgets.findings) set.push_back(absl::StrCat("findings=", *budgets.findings));
  return absl::StrJoin(set, " ");
}

std::vector<std::string> OptionNames() {
  std::vector<std::string> names;
  for (const OptionInfo& option : AllOptions()) names.emplace_back(option.name);
  return names;
}

bool IsSeparator(char c) {
  return c == ':' || c == ',' || c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\v' ||
         c == '\f';
}

// Takes one "key=value" from the front of `text`, which starts with neither a
// separator nor its end.
absl::Status TakeSetting(std::string_view& text, std::string_view& key, std::string_view& value) {
  size_t end = 0;
  while (end < text.size() && text[end] != '=' && !IsSeparator(text[end])) ++end;
  key = text.substr(0, end);
  if (end == text.size() || text[end] != '=') {
    return absl::InvalidArgumentError(
        absl::StrCat("'", Absl(key), "' has no value; expected name=value with one of ",
                     absl::StrJoin(OptionNames(), ", ")));
  }
  text.remove_prefix(end + 1);
  if (!text.empty() && (text[0] == '"' || text[0] == '\'')) {
    const size_t close = text.find(text[0], 1);
    if (close == std::string_view::npos) {
      return absl::InvalidArgumentError(
          absl::StrCat(Absl(key), ": the quote ", Absl(text.substr(0, 1)), " is never closed"));
    }
    value = text.substr(1, close - 1);
    text.remove_prefix(close + 1);
    if (!text.empty() && !IsSeparator(text[0])) {
      return absl::InvalidArgumentError(
          absl::StrCat(Absl(key), ": text follows the closing quote; separate settings with ':'"));
    }
  } else {
    end = 0;
    while (end < text.size() && !IsSeparator(text[end])) ++end;
    value = text.substr(0, end);
    text.remove_prefix(end);
  }
  return absl::OkStatus();
}

}  // namespace

std::string OptionInfo::Flag() const {
  return absl::StrCat("--", absl::StrReplaceAll(Absl(name), {{"_", "-"}}));
}

std::string_view OptionInfo::ValueSyntax() const {
  switch (kind) {
    case OptionKind::kDuration:
      return "DURATION";
    case OptionKind::kCalls:
      return "floor|strict|off";
    case OptionKind::kFile:
      return "FILE";
    case OptionKind::kDirectory:
      return "DIR";
    case OptionKind::kAddress:
      return "ADDRESS:PORT";
    case OptionKind::kDurationList:
      return "DURATION,...";
    case OptionKind::kNumber:
      return "NUMBER";
    case OptionKind::kFileList:
      return "FILE,...";
    case OptionKind::kNameList:
      return "NAME,...";
    case OptionKind::kSwitch:
      return "true|false";
    case OptionKind::kColor:
      return "auto|always|never";
    case OptionKind::kFailOn:
      return "new|error|warning|none";
    case OptionKind::kBudget:
      return "KEY=VALUE";
  }
  return "";
}

std::span<const OptionInfo> OptionList() { return AllOptions(); }

std::vector<OptionInfo> ReportFileOptions(std::span<const Reporter> reporters) {
  std::vector<OptionInfo> options;
  for (const Reporter& reporter : reporters) {
    if (std::find(std::begin(kListedReporters), std::end(kListedReporters), reporter.name) !=
        std::end(kListedReporters)) {
      continue;
    }
    options.push_back({.name = reporter.name,
                       .kind = OptionKind::kFile,
                       .default_text = "",
                       .help = absl::StrCat("also write the report as ", Absl(reporter.name),
                                            " to FILE: ", Absl(reporter.description))});
  }
  return options;
}

absl::Status ParseOptions(std::string_view text, Options& options) {
  while (true) {
    while (!text.empty() && IsSeparator(text[0])) text.remove_prefix(1);
    if (text.empty()) return absl::OkStatus();
    std::string_view key, value;
    if (absl::Status status = TakeSetting(text, key, value); !status.ok()) return status;
    if (absl::Status status = SetOption(key, value, options); !status.ok()) return status;
  }
}

absl::Status SetOption(std::string_view name, std::string_view value, Options& options) {
  const std::string key = absl::StrReplaceAll(Absl(name), {{"-", "_"}});
  absl::Status status;
  if (!value.empty() && (key == "metrics" || key == "pushgateway")) {
    Address address;
    Gateway gateway;
    status = key == "metrics" ? ParseListenAddress(value, address) : ParseGateway(value, gateway);
    if (!status.ok()) return absl::Status(status.code(), absl::StrCat(key, ": ", status.message()));
  }
#define LOOPSAN_OPTION(option, field, kind, default_text, help)                        \
  if (key == #option) {                                                                \
    status = Parse(value, options.field);                                              \
    if (status.ok()) return status;                                                    \
    return absl::Status(status.code(), absl::StrCat(#option, ": ", status.message())); \
  }
#include "reporters/options.inc"
#undef LOOPSAN_OPTION
  for (const OptionInfo& option : ReportFileOptions(Reporters())) {
    if (key != option.name) continue;
    status = Parse(value, options.report_paths[key]);
    if (status.ok()) return status;
    return absl::Status(status.code(), absl::StrCat(key, ": ", status.message()));
  }
  const std::vector<std::string> names = OptionNames();
  return absl::InvalidArgumentError(absl::StrCat("unknown option '", Absl(name), "'",
                                                 DidYouMean(name, names), "; the options are ",
                                                 absl::StrJoin(names, ", ")));
}

absl::Status ParseDuration(std::string_view text, double& seconds) {
  constexpr std::string_view kExpected = "a duration such as 100ms, 0.5s, 250us or 2 (seconds)";
  double number = 0;
  const char* end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, number, std::chars_format::fixed);
  if (error != std::errc()) return BadValue(text, kExpected);
  const std::string_view unit(rest, static_cast<size_t>(end - rest));
  if (unit == "us") {
    number /= 1e6;  // not times 1e-6: 9 ms are 0.009 s, to the last digit
  } else if (unit == "ms") {
    number /= 1e3;
  } else if (unit != "s" && !unit.empty()) {
    return BadValue(text, kExpected);
  }
  // The negation refuses NaN too.
  if (!(number > 0 && number <= kLongestDuration)) {
    return BadValue(text, "a duration of more than 0 and at most 86400 seconds");
  }
  seconds = number;
  return absl::OkStatus();
}

absl::Status ParseListenAddress(std::string_view text, Address& address) {
  constexpr std::string_view kExpected =
      "a port, or an address and a port: 127.0.0.1:9464 (in LOOPSAN_OPTIONS with quotes: "
      "metrics='127.0.0.1:9464')";
  const size_t colon = text.rfind(':');
  const std::string_view port_text =
      colon == std::string_view::npos ? text : text.substr(colon + 1);
  std::string_view host = colon == std::string_view::npos ? "" : text.substr(0, colon);
  int port = 0;
  const char* const end = port_text.data() + port_text.size();
  const auto [rest, error] = std::from_chars(port_text.data(), end, port);
  if (error != std::errc() || rest != end || port < 0 || port > 65535) {
    return BadValue(text, kExpected);
  }
  if (host == "localhost" || host.empty()) host = "127.0.0.1";
  // Of an IPv6 address the colons are its own.
  const bool bracketed = host.starts_with('[') && host.ends_with(']');
  const std::string_view allowed = bracketed ? "[]0123456789abcdefABCDEF:." : "0123456789.";
  if (host.find_first_not_of(allowed) != std::string_view::npos) return BadValue(text, kExpected);
  address = {std::string(host), port};
  return absl::OkStatus();
}

absl::Status ParseGateway(std::string_view text, Gateway& gateway) {
  constexpr std::string_view kExpected = "HOST:PORT or HOST:PORT/JOB, without http://";
  const size_t slash = text.find('/');
  const std::string_view address = text.substr(0, slash);
  const size_t colon = address.rfind(':');
  if (colon == std::string_view::npos || colon == 0) return BadValue(text, kExpected);
  const std::string_view port_text = address.substr(colon + 1);
  const char* const end = port_text.data() + port_text.size();
  int port = 0;
  const auto [rest, error] = std::from_chars(port_text.data(), end, port);
  if (port_text.empty() || rest != end) return BadValue(text, kExpected);
  if (error != std::errc() || port < 1 || port > 65535) {
    return BadValue(text, "HOST:PORT, a port of 1 to 65535");
  }
  Gateway parsed{{std::string(address.substr(0, colon)), port}};
  if (slash != std::string_view::npos) {
    parsed.job = text.substr(slash + 1);
    const bool is_plain = std::all_of(parsed.job.begin(), parsed.job.end(), [](char c) {
      return absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '_' || c == '-' || c == '.';
    });
    if (parsed.job.empty() || !is_plain) {
      return BadValue(text, "behind HOST:PORT/ a job of letters, digits, '_', '-' and '.'");
    }
  }
  gateway = std::move(parsed);
  return absl::OkStatus();
}

absl::Status ParseFailOn(std::string_view text, FailOn& fail_on) {
  for (const FailOn one :
       {FailOn::kNew, FailOn::kError, FailOn::kWarning, FailOn::kNone, FailOn::kAuto}) {
    if (text != Print(one)) continue;
    fail_on = one;
    return absl::OkStatus();
  }
  return BadValue(text, "new, error, warning or none");
}

absl::Status ParseBudget(std::string_view text, Budgets& budgets) {
  if (text.empty()) {
    budgets = {};
    return absl::OkStatus();
  }
  const size_t equals = text.find('=');
  const std::string_view key = text.substr(0, equals);
  const std::string_view value =
      equals == std::string_view::npos ? std::string_view() : text.substr(equals + 1);
  if (key == "findings") {
    uint64_t number = 0;
    const char* end = value.data() + value.size();
    const auto [rest, error] = std::from_chars(value.data(), end, number);
    if (error != std::errc() || rest != end) return BadValue(text, "findings=NUMBER");
    budgets.findings = number;
    return absl::OkStatus();
  }
  std::optional<double>* const limit = key == "worst-stall"     ? &budgets.worst_stall_seconds
                                       : key == "blocked-total" ? &budgets.blocked_total_seconds
                                       : key == "longest-step"  ? &budgets.longest_step_seconds
                                       : key == "p99-step"      ? &budgets.p99_step_seconds
                                                                : nullptr;
  if (limit == nullptr) {
    return BadValue(text,
                    "worst-stall=TIME, blocked-total=TIME, longest-step=TIME, p99-step=TIME or "
                    "findings=NUMBER");
  }
  double seconds = 0;
  if (const absl::Status status = ParseDuration(value, seconds); !status.ok()) {
    return absl::Status(status.code(), absl::StrCat(Absl(key), ": ", status.message()));
  }
  *limit = seconds;
  return absl::OkStatus();
}

void PrintOptions(const Options& options, std::ostream& out) {
  out << "Options of loopsan, as flags of `loopsan run` or in "
         "LOOPSAN_OPTIONS=name=value:name=value\n"
         "(quote a value that contains ':', ',' or a space), with the values in effect:\n";
  const auto print = [&out](const OptionInfo& option, const std::string& value) {
    out << "  " << option.name << '=' << value << "  [" << option.ValueSyntax() << "]\n      "
        << option.help << '\n';
  };
  const std::vector<OptionInfo>& all = AllOptions();
  size_t index = 0;
#define LOOPSAN_OPTION(name, field, kind, default_text, help) \
  print(all[index++], Print(options.field));
#include "reporters/options.inc"
#undef LOOPSAN_OPTION
  for (; index < all.size(); ++index) {
    const auto path = options.report_paths.find(std::string(all[index].name));
    print(all[index], path == options.report_paths.end() ? "" : path->second);
  }
}

void PrintOptionsTable(std::ostream& out) {
  out << "| `LOOPSAN_OPTIONS` | flag | values | default | meaning |\n| --- | --- | --- | --- | --- "
         "|\n";
  const auto cell = [](std::string_view text) {
    return absl::StrReplaceAll(Absl(text), {{"|", "\\|"}});
  };
  for (const OptionInfo& option : AllOptions()) {
    const std::string flag = option.Flag();
    out << "| `" << option.name << "` | `" << flag << "` | " << cell(option.ValueSyntax()) << " | "
        << (option.default_text.empty() ? "none" : cell(option.default_text)) << " | "
        << cell(option.help) << " |\n";
  }
}

}  // namespace loopsan
