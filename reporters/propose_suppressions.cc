// Proposes suppressions for what a run has found.
#include <set>

#include "reporters/internal/text_paper.h"
#include "reporters/reporter.h"
#include "reporters/suppressions.h"
#include "reporters/wording.h"

namespace loopsan {

using text::AppendAll;
using text::BaseName;
using text::Concat;

namespace {

constexpr auto kGoodFor = std::chrono::days(90);
constexpr size_t kMaxPatternBytes = 200;

// A pattern for the whole of a text that may hold anything: what is special or may not
// stand in a file becomes '*'. "" if nothing of it could be kept.
std::string PatternFor(std::string_view text, bool anchored = true) {
  std::string pattern;
  bool says_something = false;
  for (const char c : text.substr(0, kMaxPatternBytes)) {
    const bool plain =
        c > ' ' && c < 0x7f && c != '"' && c != '\'' && c != '*' && c != '^' && c != '$';
    if (plain) {
      pattern += c;
      says_something = true;
    } else if (!pattern.ends_with('*')) {
      pattern += '*';
    }
  }
  if (!says_something) return "";
  const bool cut = text.size() > kMaxPatternBytes;
  return anchored ? Concat("^", pattern, cut ? "*" : "$") : Concat(pattern, cut ? "*" : "");
}

// " function=^Reload$", or nothing.
std::string Condition(std::string_view key, std::string_view text) {
  const std::string pattern = PatternFor(text);
  return pattern.empty() ? "" : Concat(" ", key, "=", pattern);
}

// Where the finding is, in the words of a suppression.
std::string PlaceConditions(std::string_view function, std::string_view file,
                            std::string_view module) {
  const std::string name = Condition("function", WithoutReturnType(BareName(function)));
  if (!name.empty()) return name;
  const std::string source = Condition("source", BaseName(file));
  return source.empty() ? Condition("module", BaseName(module)) : source;
}

std::string PlaceConditions(const Finding& finding) {
  const SourcePlace none;
  const SourcePlace* place = &finding.where;
  if (*place == none) {
    if (const ReportFrame* own = OwnFrame(finding.stack)) {
      return PlaceConditions(own->function, own->file, own->module);
    }
    place = finding.async_stack.empty() ? &none : &finding.async_stack.front();
  }
  return PlaceConditions(place->function, place->file, "");
}

// A report that was read from a file may have any rule.
std::string RuleFor(std::string_view rule) {
  std::string name(rule);
  for (char& c : name) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
    if (!plain) c = '*';
  }
  return name.empty() ? "*" : name;
}

std::string EntryFor(const Finding& finding) {
  std::string conditions = PlaceConditions(finding);
  // Calls are whole names without anchors.
  const std::string call = PatternFor(finding.call, /*anchored=*/false);
  if (!call.empty()) AppendAll(conditions, " call=", call);
  if (conditions.empty()) conditions = Condition("process", BaseName(finding.executable));
  if (conditions.empty()) return "";
  return Concat(RuleFor(finding.rule), ":", std::string_view(conditions).substr(1));
}

}  // namespace

void WriteProposedSuppressions(const Report& report, Date today, std::ostream& out) {
  const std::string until = FormatDate(std::chrono::sys_days(today) + kGoodFor);
  std::string text =
      "# Suppressions that loopsan proposes. Each entry needs a reason before it is accepted:\n"
      "# write why this may block the loop instead of the TODO, and remove what is to be fixed.\n";
  std::set<std::string> written;
  for (const std::vector<Finding>* findings : {&report.findings, &report.unproven_findings}) {
    for (const Finding& finding : *findings) {
      const std::string entry = EntryFor(finding);
      AppendAll(text, "\n# ", Printable(finding.id), ": ", Printable(finding.message), "\n");
      if (entry.empty()) {
        text += "# (nothing is known of its place that an entry could name)\n";
      } else if (!written.insert(entry).second) {
        text += "# (as above)\n";
      } else {
        AppendAll(text, entry, " until=", until, "  # reason: TODO say why\n");
      }
    }
  }
  // Not operator<<: it obeys the stream's width and locale.
  out.write(text.data(), static_cast<std::streamsize>(text.size()));
}

}  // namespace loopsan
