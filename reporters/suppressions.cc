// Reads suppression files. What they are applied to: apply_suppressions.cc.
#include "reporters/suppressions.h"

#include <errno.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <system_error>

#include "reporters/internal/suppression.h"
#include "reporters/internal/text_paper.h"
#include "reporters/options.h"
#include "reporters/reporter.h"

namespace loopsan {

using text::AppendAll;
using text::Concat;

namespace {

constexpr size_t kMaxFileBytes = 1 << 20;
constexpr size_t kMaxLineBytes = 4096;
constexpr size_t kMaxEntries = 10'000;
constexpr size_t kMaxErrorsTold = 20;
constexpr size_t kMaxQuotedBytes = 80;

constexpr std::string_view kForm =
    "expected RULE:PATTERN or RULE:KEY=PATTERN, then more KEY=VALUE, then # reason: WHY";
constexpr std::string_view kKeys =
    "function, source, module, stack, call, detail, process, max, until";
constexpr std::string_view kReasonForm = "end the line with '# reason: WHY'";

struct ScopeName {
  std::string_view key;
  SuppressionScope scope;
};
constexpr ScopeName kScopes[] = {
    {"function", SuppressionScope::kFunction}, {"source", SuppressionScope::kSource},
    {"module", SuppressionScope::kModule},     {"stack", SuppressionScope::kStack},
    {"call", SuppressionScope::kCall},         {"detail", SuppressionScope::kDetail},
    {"process", SuppressionScope::kProcess},
};

// The names that RealtimeSanitizer has for suppressions of any rule.
struct ForeignRule {
  std::string_view name;
  SuppressionScope scope;
};
constexpr ForeignRule kForeignRules[] = {
    {"call-stack-contains", SuppressionScope::kStack},
    {"function-name-matches", SuppressionScope::kCall},
};

bool IsBlank(char c) { return c == ' ' || c == '\t' || c == '\v' || c == '\f'; }

std::string_view Trim(std::string_view text) {
  while (!text.empty() && IsBlank(text.front())) text.remove_prefix(1);
  while (!text.empty() && IsBlank(text.back())) text.remove_suffix(1);
  return text;
}

std::string Lower(std::string_view text) {
  std::string lower(text);
  for (char& c : lower) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return lower;
}

// Of a file that may hold anything: 'text', printable and short.
std::string Quoted(std::string_view text) {
  const bool cut = text.size() > kMaxQuotedBytes;
  return Concat("'", Printable(text.substr(0, kMaxQuotedBytes)), cut ? "...'" : "'");
}

bool IsRuleName(std::string_view rule) {
  return !rule.empty() && std::all_of(rule.begin(), rule.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '*';
  });
}

// One line, without its end. Each function returns what is wrong, "" if nothing.
class LineReader {
 public:
  explicit LineReader(std::string_view line) : line_(line), rest_(line) {}

  std::string Read(Suppression& entry) {
    std::string problem = ReadRule(entry);
    while (problem.empty() && !AtEnd()) problem = ReadCondition(entry);
    if (!problem.empty()) return problem;
    entry.text = Trim(line_.substr(0, line_.size() - rest_.size()));
    return ReadReason(entry);
  }

 private:
  void SkipBlanks() {
    while (!rest_.empty() && IsBlank(rest_.front())) rest_.remove_prefix(1);
  }

  // At the comment, or the line's end.
  bool AtEnd() {
    SkipBlanks();
    return rest_.empty() || rest_.front() == '#';
  }

  std::string ReadRule(Suppression& entry) {
    SkipBlanks();
    const size_t colon = rest_.find(':');
    const std::string_view rule = rest_.substr(0, colon);
    if (colon == std::string_view::npos || rule.find_first_of(" \t#") != std::string_view::npos) {
      return Concat("there is no rule; ", kForm);
    }
    if (!IsRuleName(rule)) {
      return Concat(Quoted(rule),
                    " is no rule; rules are as in a report ('blocking-call', 'stall', 'long-turn', "
                    "...), '*' is any");
    }
    rest_.remove_prefix(colon + 1);
    if (AtEnd()) return Concat("the rule ", Quoted(rule), " has no pattern; ", kForm);
    for (const ForeignRule& foreign : kForeignRules) {
      if (rule != foreign.name) continue;
      std::string pattern;
      if (std::string problem = ReadValue(rule, pattern); !problem.empty()) return problem;
      return AddCondition(rule, foreign.scope, TextPattern::Reach::kAnywhere, pattern, entry);
    }
    entry.rule = TextPattern(rule, TextPattern::Reach::kWholeText);
    if (!KeyAhead().empty()) return ReadCondition(entry);
    std::string pattern;
    if (std::string problem = ReadValue("pattern", pattern); !problem.empty()) return problem;
    return AddCondition("pattern", SuppressionScope::kStack, TextPattern::Reach::kAnywhere, pattern,
                        entry);
  }

  // The key of "key=value" if the rest begins so, else "".
  std::string_view KeyAhead() const {
    size_t end = 0;
    while (end < rest_.size() &&
           ((rest_[end] >= 'a' && rest_[end] <= 'z') || rest_[end] == '-' || rest_[end] == '_')) {
      ++end;
    }
    return end < rest_.size() && rest_[end] == '=' ? rest_.substr(0, end) : std::string_view();
  }

  std::string ReadCondition(Suppression& entry) {
    const std::string_view key = KeyAhead();
    if (key.empty()) {
      const std::string_view word = rest_.substr(0, rest_.find_first_of(" \t"));
      return Concat(Quoted(word), " has no key; the keys are ", kKeys,
                    "; put a pattern with a space into quotes");
    }
    if (std::find(keys_seen_.begin(), keys_seen_.end(), key) != keys_seen_.end()) {
      return Concat("'", key, "' is given twice; write a line for each, or use '*'");
    }
    keys_seen_.push_back(key);
    rest_.remove_prefix(key.size() + 1);
    std::string value;
    if (std::string problem = ReadValue(key, value); !problem.empty()) return problem;
    if (key == "until") return ReadUntil(value, entry);
    if (key == "max") return ReadMax(value, entry);
    for (const ScopeName& scope : kScopes) {
      if (scope.key != key) continue;
      const auto reach = scope.scope == SuppressionScope::kCall ? TextPattern::Reach::kWholeText
                                                                : TextPattern::Reach::kAnywhere;
      return AddCondition(key, scope.scope, reach, value, entry);
    }
    return Concat("unknown key ", Quoted(key), "; the keys are ", kKeys,
                  "; put a pattern with '=' into quotes");
  }

  // Up to a blank, or what stands in quotes.
  std::string ReadValue(std::string_view key, std::string& value) {
    const char quote = rest_.empty() ? '\0' : rest_.front();
    if (quote != '"' && quote != '\'') {
      const size_t end = std::min(rest_.find_first_of(" \t\v\f"), rest_.size());
      value = rest_.substr(0, end);
      rest_.remove_prefix(end);
      return "";
    }
    const size_t close = rest_.find(quote, 1);
    if (close == std::string_view::npos) return Concat(key, ": the quote is never closed");
    value = rest_.substr(1, close - 1);
    rest_.remove_prefix(close + 1);
    if (!rest_.empty() && !IsBlank(rest_.front())) {
      return Concat(key, ": text follows the closing quote; put a blank between");
    }
    return "";
  }

  static std::string AddCondition(std::string_view key, SuppressionScope scope,
                                  TextPattern::Reach reach, std::string_view value,
                                  Suppression& entry) {
    TextPattern pattern(value, reach);
    if (pattern.MatchesEverything()) {
      return Concat(key, ": the pattern ", Quoted(value),
                    " matches everything; name what is meant, or leave it out");
    }
    entry.conditions.push_back({scope, std::move(pattern)});
    return "";
  }

  static std::string ReadUntil(std::string_view value, Suppression& entry) {
    Date date;
    if (!ParseDate(value, date)) {
      return Concat("until: bad value ", Quoted(value),
                    "; expected the last day as YYYY-MM-DD, such as 2027-01-31");
    }
    entry.until = date;
    return "";
  }

  static std::string ReadMax(std::string_view value, Suppression& entry) {
    double seconds = 0;
    if (!ParseDuration(value, seconds).ok()) {
      return Concat("max: bad value ", Quoted(value),
                    "; expected a duration such as 100ms, 0.5s, 250us or 2 (seconds)");
    }
    entry.max_seconds = seconds;
    return "";
  }

  std::string ReadReason(Suppression& entry) {
    constexpr std::string_view kMark = "reason:";
    if (entry.conditions.empty()) return Concat("nothing says which findings are meant; ", kForm);
    if (rest_.empty()) return Concat("there is no reason; ", kReasonForm);
    std::string_view comment = Trim(rest_.substr(1));
    if (!Lower(comment.substr(0, kMark.size())).starts_with(kMark)) {
      return Concat("the comment ", Quoted(comment), " is no reason; ", kReasonForm);
    }
    const std::string_view reason = Trim(comment.substr(kMark.size()));
    if (reason.empty()) return Concat("the reason is empty; ", kReasonForm);
    if (Lower(reason.substr(0, 4)) == "todo") {
      return "the reason is still to be written; say why this may block the loop instead of TODO";
    }
    entry.reason = reason;
    return "";
  }

  std::string_view line_;
  std::string_view rest_;
  std::vector<std::string_view> keys_seen_;
};

// Takes the next line from the front of `text`.
std::string_view TakeLine(std::string_view& text) {
  const size_t end = std::min(text.find('\n'), text.size());
  std::string_view line = text.substr(0, end);
  text.remove_prefix(std::min(end + 1, text.size()));
  if (line.ends_with('\r')) line.remove_suffix(1);
  return line;
}

std::string ReadLine(std::string_view line, Suppression& entry) {
  if (line.size() > kMaxLineBytes) {
    return Concat("the line is longer than ", kMaxLineBytes, " bytes; shorten it with '*'");
  }
  if (line.find('\0') != std::string_view::npos) {
    return "the line has a NUL byte; is this a text file?";
  }
  return LineReader(line).Read(entry);
}

}  // namespace

Date Today() { return std::chrono::floor<std::chrono::days>(std::chrono::system_clock::now()); }

bool ParseDate(std::string_view text, Date& date) {
  if (text.size() != 10 || text[4] != '-' || text[7] != '-') return false;
  const auto number = [text](size_t at, size_t digits) {
    int value = -1;
    const char* const begin = text.data() + at;
    const auto [rest, error] = std::from_chars(begin, begin + digits, value);
    return error == std::errc() && rest == begin + digits ? value : -1;
  };
  const int year = number(0, 4);
  const int month = number(5, 2);
  const int day = number(8, 2);
  if (year < 0 || month < 0 || day < 0) return false;
  const Date parsed{std::chrono::year(year), std::chrono::month(static_cast<unsigned>(month)),
                    std::chrono::day(static_cast<unsigned>(day))};
  if (!parsed.ok()) return false;
  date = parsed;
  return true;
}

std::string FormatDate(Date date) {
  const auto padded = [](unsigned number, size_t digits) {
    const std::string text = std::to_string(number);
    return text.size() < digits ? std::string(digits - text.size(), '0') + text : text;
  };
  const int year = static_cast<int>(date.year());
  return Concat(padded(static_cast<unsigned>(std::max(year, 0)), 4), "-",
                padded(static_cast<unsigned>(date.month()), 2), "-",
                padded(static_cast<unsigned>(date.day()), 2));
}

Suppressions::Suppressions() = default;
Suppressions::Suppressions(Suppressions&& other) noexcept = default;
Suppressions& Suppressions::operator=(Suppressions&& other) noexcept = default;
Suppressions::~Suppressions() = default;

absl::Status Suppressions::Add(std::string_view text, const std::string& file,
                               SuppressionOrigin origin) {
  if (text.size() > kMaxFileBytes) {
    return absl::InvalidArgumentError(
        Concat(file, ": a suppression file has at most 1 MiB; is this the right file?"));
  }
  constexpr std::string_view kByteOrderMark = "\xef\xbb\xbf";
  if (text.starts_with(kByteOrderMark)) text.remove_prefix(kByteOrderMark.size());
  std::vector<Suppression> entries;
  std::vector<std::string> problems;
  for (int number = 1; !text.empty(); ++number) {
    const std::string_view line = Trim(TakeLine(text));
    if (line.empty() || line.front() == '#') continue;
    Suppression entry{.file = file, .line = number, .origin = origin};
    const std::string problem = ReadLine(line, entry);
    if (!problem.empty()) {
      problems.push_back(Concat(file, ":", number, ": ", problem));
    } else {
      entries.push_back(std::move(entry));
    }
  }
  if (entries_.size() + entries.size() > kMaxEntries) {
    problems.push_back(Concat(file, ": there are more than ", kMaxEntries,
                              " suppressions; use '*', or a baseline"));
  }
  if (problems.empty()) {
    std::move(entries.begin(), entries.end(), std::back_inserter(entries_));
    return absl::OkStatus();
  }
  std::string message;
  for (size_t i = 0; i < problems.size() && i < kMaxErrorsTold; ++i) {
    AppendAll(message, i == 0 ? "" : "\n", problems[i]);
  }
  if (problems.size() > kMaxErrorsTold) {
    AppendAll(message, "\n... and ", problems.size() - kMaxErrorsTold, " more");
  }
  return absl::InvalidArgumentError(message);
}

absl::Status Suppressions::AddFile(const std::string& path, SuppressionOrigin origin) {
  const auto cannot = [&path](std::string_view why) {
    return absl::NotFoundError(Concat("cannot read the suppressions ", Printable(path), ": ", why));
  };
  std::error_code ignored;
  if (std::filesystem::is_directory(path, ignored)) return cannot("it is a folder; name a file");
  std::ifstream file(path, std::ios::binary);
  if (!file.is_open()) return cannot(std::strerror(errno));
  std::string text(kMaxFileBytes + 1, '\0');
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  if (file.bad()) return cannot("reading failed");
  text.resize(static_cast<size_t>(file.gcount()));
  return Add(text, path, origin);
}

}  // namespace loopsan
