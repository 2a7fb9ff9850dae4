#include "reporters/options.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"

namespace loopsan {
namespace {

constexpr double kLongestDuration = 86400;

constexpr OptionInfo kOptions[] = {
#define LOOPSAN_OPTION(name, field, kind, default_text, help) \
  {#name, OptionKind::kind, default_text, help},
#include "reporters/options.inc"
#undef LOOPSAN_OPTION
};

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

std::string OptionNames() {
  std::vector<absl::string_view> names;
  for (const OptionInfo& option : kOptions) names.push_back(Absl(option.name));
  return absl::StrJoin(names, ", ");
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
    return absl::InvalidArgumentError(absl::StrCat(
        "'", Absl(key), "' has no value; expected name=value with one of ", OptionNames()));
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
    case OptionKind::kFileList:
      return "FILE,...";
    case OptionKind::kNameList:
      return "NAME,...";
    case OptionKind::kSwitch:
      return "true|false";
    case OptionKind::kColor:
      return "auto|always|never";
  }
  return "";
}

std::span<const OptionInfo> OptionList() { return kOptions; }

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
#define LOOPSAN_OPTION(option, field, kind, default_text, help)                        \
  if (key == #option) {                                                                \
    status = Parse(value, options.field);                                              \
    if (status.ok()) return status;                                                    \
    return absl::Status(status.code(), absl::StrCat(#option, ": ", status.message())); \
  }
#include "reporters/options.inc"
#undef LOOPSAN_OPTION
  return absl::InvalidArgumentError(
      absl::StrCat("unknown option '", Absl(name), "'; the options are ", OptionNames()));
}

absl::Status ParseDuration(std::string_view text, double& seconds) {
  constexpr std::string_view kExpected = "a duration such as 100ms, 0.5s, 250us or 2 (seconds)";
  double number = 0;
  const char* end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, number, std::chars_format::fixed);
  if (error != std::errc()) return BadValue(text, kExpected);
  const std::string_view unit(rest, static_cast<size_t>(end - rest));
  if (unit == "us") {
    number *= 1e-6;
  } else if (unit == "ms") {
    number *= 1e-3;
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

void PrintOptions(const Options& options, std::ostream& out) {
  out << "Options of loopsan, as flags of `loopsan run` or in "
         "LOOPSAN_OPTIONS=name=value:name=value\n"
         "(quote a value that contains ':', ',' or a space), with the values in effect:\n";
  const auto print = [&out](const OptionInfo& option, const std::string& value) {
    out << "  " << option.name << '=' << value << "  [" << option.ValueSyntax() << "]\n      "
        << option.help << '\n';
  };
  size_t index = 0;
#define LOOPSAN_OPTION(name, field, kind, default_text, help) \
  print(kOptions[index++], Print(options.field));
#include "reporters/options.inc"
#undef LOOPSAN_OPTION
}

void PrintOptionsTable(std::ostream& out) {
  out << "| `LOOPSAN_OPTIONS` | flag | values | default | meaning |\n| --- | --- | --- | --- | --- "
         "|\n";
  const auto cell = [](std::string_view text) {
    return absl::StrReplaceAll(Absl(text), {{"|", "\\|"}});
  };
  for (const OptionInfo& option : kOptions) {
    const std::string flag = option.Flag();
    out << "| `" << option.name << "` | `" << flag << "` | " << cell(option.ValueSyntax()) << " | "
        << (option.default_text.empty() ? "none" : cell(option.default_text)) << " | "
        << cell(option.help) << " |\n";
  }
}

}  // namespace loopsan
