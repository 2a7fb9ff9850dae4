// Holds the entries of suppression files against the findings of a report.
#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "reporters/internal/suppression.h"
#include "reporters/internal/text_paper.h"
#include "reporters/reporter.h"
#include "reporters/suppressions.h"
#include "reporters/wording.h"

namespace loopsan {

using text::AppendAll;
using text::BaseName;
using text::Concat;
using text::Count;

namespace {

// What the patterns for one frame are held against. '^' and '$' are useful only if
// more than the full text is tried: a name without return type and arguments, and
// the last part of a path.
struct FrameTexts {
  explicit FrameTexts(const ReportFrame& frame)
      : functions(NamesOf(frame.function)), file(frame.file), module(frame.module) {}
  explicit FrameTexts(const SourcePlace& place)
      : functions(NamesOf(place.function)), file(place.file) {}

  static std::vector<std::string> NamesOf(const std::string& function) {
    std::vector<std::string> names;
    const auto add = [&names](std::string_view name) {
      if (!name.empty() && (names.empty() || names.back() != name)) names.emplace_back(name);
    };
    add(function);
    add(WithoutReturnType(function));
    add(WithoutReturnType(BareName(function)));
    return names;
  }

  std::vector<std::string> functions;
  std::string file;
  std::string module;
};

bool MatchesName(const TextPattern& pattern, const std::vector<std::string>& names) {
  return std::any_of(names.begin(), names.end(),
                     [&pattern](const std::string& name) { return pattern.Matches(name); });
}

bool MatchesPath(const TextPattern& pattern, std::string_view path) {
  // Where the path begins matters to '^' only.
  return pattern.Matches(path) || (pattern.IsTiedToStart() && pattern.Matches(BaseName(path)));
}

// "read" for the twins that a program built otherwise calls: __read_chk, pread64.
std::string_view PlainCall(std::string_view call) {
  for (const std::string_view ending : {"_chk", "_2"}) {
    if (!call.starts_with("__") || !call.ends_with(ending)) continue;
    call.remove_prefix(2);
    call.remove_suffix(ending.size());
    break;
  }
  if (call.ends_with("64")) call.remove_suffix(2);
  return call;
}

// The texts of one finding, gathered once for all entries.
class FindingTexts {
 public:
  explicit FindingTexts(const Finding& finding) : finding_(finding) {
    AddStack(finding.stack);
    if (place_.empty() && finding.where == SourcePlace() && !finding.async_stack.empty()) {
      place_.emplace_back(finding.async_stack.front());
    }
    for (const SourcePlace& place : finding.async_stack) stack_.emplace_back(place);
    AddPlace(finding.where);
    for (const FindingMember& member : finding.members) {
      AddPlace(member.where);
      AddStack(member.stack);
    }
  }

  bool Match(const Suppression& entry) const {
    return entry.rule.Matches(finding_.rule) && PlaceMatches(entry) &&
           std::all_of(entry.conditions.begin(), entry.conditions.end(),
                       [this](const SuppressionCondition& condition) { return Holds(condition); });
  }

 private:
  // The frames from what blocked out to the user's own code are the place.
  void AddStack(const std::vector<ReportFrame>& stack) {
    const ReportFrame* const own = OwnFrame(stack);
    bool in_place = own != nullptr;
    bool own_passed = false;
    for (const ReportFrame& frame : stack) {
      FrameTexts& texts = stack_.emplace_back(frame);
      if (in_place) place_.push_back(texts);
      own_passed |= &frame == own;
      // What a function was inlined into is the same place: inlining changes with
      // every build.
      if (own_passed && !frame.inlined) in_place = false;
    }
  }

  void AddPlace(const SourcePlace& place) {
    if (place == SourcePlace()) return;
    stack_.emplace_back(place);
    place_.emplace_back(place);
  }

  static bool IsForPlace(const SuppressionCondition& condition) {
    return condition.scope == SuppressionScope::kFunction ||
           condition.scope == SuppressionScope::kSource ||
           condition.scope == SuppressionScope::kModule;
  }

  static bool HoldsFor(const FrameTexts& frame, const SuppressionCondition& condition) {
    switch (condition.scope) {
      case SuppressionScope::kFunction:
        return MatchesName(condition.pattern, frame.functions);
      case SuppressionScope::kSource:
        return MatchesPath(condition.pattern, frame.file);
      case SuppressionScope::kModule:
        return MatchesPath(condition.pattern, frame.module);
      default:
        return true;
    }
  }

  // All conditions for a place must hold for the same frame.
  bool PlaceMatches(const Suppression& entry) const {
    const auto& conditions = entry.conditions;
    return std::none_of(conditions.begin(), conditions.end(), IsForPlace) ||
           std::any_of(place_.begin(), place_.end(), [&conditions](const FrameTexts& frame) {
             return std::all_of(conditions.begin(), conditions.end(),
                                [&frame](const auto& one) { return HoldsFor(frame, one); });
           });
  }

  bool Holds(const SuppressionCondition& condition) const {
    const TextPattern& pattern = condition.pattern;
    switch (condition.scope) {
      case SuppressionScope::kFunction:
      case SuppressionScope::kSource:
      case SuppressionScope::kModule:
        return true;  // PlaceMatches() has asked
      case SuppressionScope::kStack:
        return std::any_of(stack_.begin(), stack_.end(), [&pattern](const FrameTexts& frame) {
          return MatchesName(pattern, frame.functions) || MatchesPath(pattern, frame.file) ||
                 MatchesPath(pattern, frame.module);
        });
      case SuppressionScope::kCall:
        return pattern.Matches(finding_.call) || pattern.Matches(PlainCall(finding_.call));
      case SuppressionScope::kDetail:
        return pattern.Matches(finding_.detail);
      case SuppressionScope::kProcess:
        return MatchesPath(pattern, finding_.executable);
    }
    return false;
  }

  const Finding& finding_;
  std::vector<FrameTexts> stack_;
  std::vector<FrameTexts> place_;
};

double Positive(double seconds) { return std::isfinite(seconds) && seconds > 0 ? seconds : 0; }

uint64_t AddUp(uint64_t a, uint64_t b) {
  return a > std::numeric_limits<uint64_t>::max() - b ? std::numeric_limits<uint64_t>::max()
                                                      : a + b;
}

std::string PlaceOf(const Suppression& entry) { return Concat(entry.file, ":", entry.line); }

bool IsExpired(const Suppression& entry, Date today) {
  return entry.until.has_value() && *entry.until < today;
}

bool IsTooLong(const Finding& finding, const Suppression& entry) {
  // The negation holds for NaN too.
  return entry.max_seconds.has_value() && !(finding.max_seconds <= *entry.max_seconds);
}

// What became of one entry.
struct Use {
  SuppressedFindings suppressed;
  uint64_t matched_in_vain = 0;  // findings that it would suppress if it were not expired
  bool matched = false;
};

class Application {
 public:
  Application(const Suppressions& suppressions, Date today)
      : entries_(suppressions.entries()), today_(today), uses_(entries_.size()) {}

  // True if the finding is suppressed; its note may have become longer if not.
  bool Suppress(Finding& finding) {
    const FindingTexts texts(finding);
    std::string notes;
    bool suppressed = false;
    for (size_t i = 0; i < entries_.size(); ++i) {
      const Suppression& entry = entries_[i];
      Use& use = uses_[i];
      // An entry that was of use need not be tried for the sake of its remark.
      if ((suppressed && use.matched) || !texts.Match(entry)) continue;
      use.matched = true;
      if (suppressed) continue;
      if (IsExpired(entry, today_)) {
        ++use.matched_in_vain;
        AppendAll(notes, notes.empty() ? "" : "; ", "its suppression ", PlaceOf(entry),
                  " has expired");
      } else if (IsTooLong(finding, entry)) {
        AppendAll(notes, notes.empty() ? "" : "; ", "not suppressed by ", PlaceOf(entry), ": ",
                  FormatSeconds(finding.max_seconds), " is longer than its max of ",
                  FormatSeconds(*entry.max_seconds));
      } else {
        Add(finding, use.suppressed);
        suppressed = true;
      }
    }
    if (!suppressed && !notes.empty()) {
      AppendAll(finding.note, finding.note.empty() ? "" : "; ", notes);
    }
    return suppressed;
  }

  void Tell(Report& report) const {
    for (size_t i = 0; i < entries_.size(); ++i) {
      const Suppression& entry = entries_[i];
      const Use& use = uses_[i];
      if (use.suppressed.findings > 0) {
        SuppressedFindings& told = report.suppressed.emplace_back(use.suppressed);
        told.entry = entry.text;
        told.reason = entry.reason;
        told.file = entry.file;
        told.line = entry.line;
      }
      if (IsExpired(entry, today_)) {
        std::string message = Concat("this suppression expired on ", FormatDate(*entry.until));
        if (use.matched_in_vain > 0) {
          AppendAll(message, ", so ",
                    Count(use.matched_in_vain, "finding counts", "findings count"), " again");
        }
        Remark(
            entry, "warning",
            Concat(message, "; look whether it is still right, then change the date or remove it"),
            report);
      } else if (!use.matched && entry.origin == SuppressionOrigin::kUser) {
        Remark(entry, "note",
               "this suppression matched nothing in this run; remove it if that stays so", report);
      }
    }
  }

 private:
  static void Add(const Finding& finding, SuppressedFindings& sum) {
    ++sum.findings;
    sum.count = AddUp(sum.count, finding.count);
    sum.total_seconds += Positive(finding.total_seconds);
    sum.max_seconds = std::max(sum.max_seconds, Positive(finding.max_seconds));
  }

  static void Remark(const Suppression& entry, std::string level, std::string message,
                     Report& report) {
    report.suppression_remarks.push_back({.level = std::move(level),
                                          .message = std::move(message),
                                          .entry = entry.text,
                                          .file = entry.file,
                                          .line = entry.line});
  }

  const std::vector<Suppression>& entries_;
  const Date today_;
  std::vector<Use> uses_;
};

}  // namespace

bool Suppresses(const Suppressions& suppressions, const Finding& finding, Date today) {
  const FindingTexts texts(finding);
  return std::any_of(
      suppressions.entries().begin(), suppressions.entries().end(), [&](const Suppression& entry) {
        return !IsExpired(entry, today) && !IsTooLong(finding, entry) && texts.Match(entry);
      });
}

void ApplySuppressions(Report& report, const Suppressions& suppressions, Date today) {
  if (suppressions.entries().empty()) return;
  Application application(suppressions, today);
  for (std::vector<Finding>* findings : {&report.findings, &report.unproven_findings}) {
    std::vector<Finding> kept;
    for (Finding& finding : *findings) {
      if (!application.Suppress(finding)) kept.push_back(std::move(finding));
    }
    *findings = std::move(kept);
  }
  application.Tell(report);
}

}  // namespace loopsan
