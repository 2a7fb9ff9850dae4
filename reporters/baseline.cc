#include "reporters/baseline.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <tuple>
#include <utility>

#include "absl/strings/str_cat.h"
#include "reporters/finding_facts.h"
#include "reporters/internal/json_fields.h"
#include "reporters/internal/text_file.h"
#include "reporters/reporter.h"
#include "reporters/step_context.h"

namespace loopsan {
namespace {

using Json = nlohmann::ordered_json;

constexpr uint64_t kVersion = 1;
constexpr size_t kMostFileBytes = 1024;
constexpr char kComment[] =
    "Known findings of loopsan. Say why in \"reason\"; update with: loopsan baseline report.json";

auto SortKey(const BaselineEntry& entry) {
  return std::tie(entry.rule, entry.call, entry.function, entry.file, entry.fingerprint);
}

void Sort(std::vector<BaselineEntry>& entries) {
  std::sort(entries.begin(), entries.end(),
            [](const BaselineEntry& a, const BaselineEntry& b) { return SortKey(a) < SortKey(b); });
}

BaselineEntry ReadEntry(const JsonPlace& from) {
  BaselineEntry entry;
  // A misspelt "reason" would be lost by the next update.
  from.AllowOnly(
      {"fingerprint", "rule", "call", "function", "file", "count", "max_seconds", "reason"});
  from.Field("fingerprint").Read(entry.fingerprint);
  from.Field("rule").Read(entry.rule);
  from.Field("call").Read(entry.call);
  from.Field("function").Read(entry.function);
  from.Field("file").Read(entry.file);
  from.Field("count").Read(entry.count);
  from.Field("max_seconds").ReadSeconds(entry.max_seconds);
  from.OptionalField("reason").Read(entry.reason);
  if (!IsFingerprint(entry.fingerprint)) {
    from.Field("fingerprint").Fail("expected 16 hexadecimal digits in lower case");
  }
  if (!IsRuleName(entry.rule)) from.Field("rule").Fail("expected 1 to 64 of a-z, 0-9 and -");
  return entry;
}

void ReadEntries(const JsonPlace& from, std::vector<BaselineEntry>& entries) {
  std::set<std::string> seen;
  const size_t size = from.Size();
  for (size_t i = 0; i < size; ++i) {
    const JsonPlace place = from.Element(i);
    entries.push_back(ReadEntry(place));
    if (!seen.insert(entries.back().fingerprint).second) {
      place.Field("fingerprint").Fail("is there twice; keep one of the two entries");
    }
  }
}

absl::Status WithRemedy(const absl::Status& status) {
  return absl::Status(status.code(),
                      absl::StrCat("no baseline of loopsan: ", status.message(),
                                   "; correct it, or make it anew with loopsan baseline "
                                   "report.json"));
}

std::string RelativeTo(std::string_view root, std::string_view file) {
  while (!root.empty() && root.back() == '/') root.remove_suffix(1);
  if (!root.empty() && file.size() > root.size() && file.starts_with(root) &&
      file[root.size()] == '/') {
    file.remove_prefix(root.size() + 1);
  }
  return std::string(file);
}

BaselineEntry EntryOf(const Finding& finding, std::string_view source_root) {
  const SourcePlace place = MainPlace(finding);
  return {.fingerprint = finding.fingerprint,
          .rule = finding.rule,
          .call = Printable(finding.call),
          .function = Printable(ShortName(place.function)),
          .file = Printable(RelativeTo(source_root, place.file).substr(0, kMostFileBytes)),
          .count = finding.count,
          .max_seconds = std::isfinite(finding.max_seconds) ? finding.max_seconds : 0,
          .reason = ""};
}

// One entry per fingerprint: two lines of one function that call the same are told
// apart in a report, but not in a baseline.
std::map<std::string, BaselineEntry> EntriesOf(const Report& report, std::string_view source_root) {
  std::map<std::string, BaselineEntry> entries;
  for (const Finding& finding : report.findings) {
    if (IsNote(finding)) continue;
    const BaselineEntry entry = EntryOf(finding, source_root);
    const auto [it, inserted] = entries.try_emplace(finding.fingerprint, entry);
    if (inserted) continue;
    it->second.count += entry.count;
    it->second.max_seconds = std::max(it->second.max_seconds, entry.max_seconds);
  }
  return entries;
}

std::set<std::string> FingerprintsIn(const Report& report) {
  std::set<std::string> seen;
  for (const auto* findings : {&report.findings, &report.unproven_findings}) {
    for (const Finding& finding : *findings) seen.insert(finding.fingerprint);
  }
  return seen;
}

}  // namespace

absl::StatusOr<Baseline> ReadBaseline(std::string_view text) {
  const absl::StatusOr<nlohmann::json> document = ParseJson(text);
  if (!document.ok()) return WithRemedy(document.status());
  absl::Status status;
  const JsonPlace root(*document, status);
  uint64_t version = 0;
  root.Field("version").Read(version);
  if (status.ok() && version != kVersion) {
    return absl::InvalidArgumentError(absl::StrCat("version: is ", version,
                                                   ", but this loopsan reads ", kVersion,
                                                   "; use the release that wrote the baseline"));
  }
  root.AllowOnly({"comment", "version", "findings"});
  Baseline baseline;
  ReadEntries(root.Field("findings"), baseline.entries);
  if (!status.ok()) return WithRemedy(status);
  Sort(baseline.entries);
  return baseline;
}

absl::StatusOr<Baseline> ReadBaselineFile(const std::string& path) {
  const absl::StatusOr<std::string> text = ReadTextFile(path);
  if (!text.ok()) {
    if (!absl::IsNotFound(text.status())) return text.status();
    return absl::NotFoundError(absl::StrCat(
        text.status().message(), "; make it with loopsan run --json=report.json -- COMMAND and ",
        "then loopsan baseline report.json --output=", path));
  }
  absl::StatusOr<Baseline> baseline = ReadBaseline(*text);
  if (baseline.ok()) return baseline;
  return absl::Status(baseline.status().code(),
                      absl::StrCat(path, ": ", baseline.status().message()));
}

std::string WriteBaseline(const Baseline& baseline) {
  std::vector<BaselineEntry> entries = baseline.entries;
  Sort(entries);
  Json findings = Json::array();
  for (const BaselineEntry& entry : entries) {
    findings.push_back({
        {"fingerprint", entry.fingerprint},
        {"rule", entry.rule},
        {"call", entry.call},
        {"function", entry.function},
        {"file", entry.file},
        {"count", entry.count},
        {"max_seconds", entry.max_seconds},
        {"reason", entry.reason},
    });
  }
  const Json document = {{"comment", kComment}, {"version", kVersion}, {"findings", findings}};
  return document.dump(2, ' ', /*ensure_ascii=*/false, Json::error_handler_t::replace) + "\n";
}

bool IsMuchLonger(double recorded_seconds, double seconds, double threshold_seconds) {
  return seconds > 2 * recorded_seconds && seconds - recorded_seconds > threshold_seconds;
}

BaselineComparison CompareWithBaseline(Report& report, const Baseline& baseline) {
  std::map<std::string_view, const BaselineEntry*> known;
  for (const BaselineEntry& entry : baseline.entries) known[entry.fingerprint] = &entry;
  BaselineComparison comparison;
  for (auto* findings : {&report.findings, &report.unproven_findings}) {
    for (Finding& finding : *findings) {
      finding.baseline_state = known.contains(finding.fingerprint) ? "unchanged" : "new";
    }
  }
  for (const Finding& finding : report.findings) {
    if (IsNote(finding)) continue;
    const auto it = known.find(finding.fingerprint);
    ++(it == known.end() ? comparison.new_findings : comparison.known_findings);
    if (it == known.end()) continue;
    const double recorded = it->second->max_seconds;
    if (IsMuchLonger(recorded, finding.max_seconds, report.threshold_seconds)) {
      comparison.worse.push_back({.id = finding.id, .recorded_seconds = recorded});
    }
  }
  const std::set<std::string> seen = FingerprintsIn(report);
  for (const BaselineEntry& entry : baseline.entries) {
    if (!seen.contains(entry.fingerprint)) comparison.stale.push_back(entry);
  }
  return comparison;
}

BaselineUpdate UpdateBaseline(const Report& report, std::string_view source_root, bool prune,
                              Baseline& baseline) {
  BaselineUpdate update;
  std::map<std::string, BaselineEntry> found = EntriesOf(report, source_root);
  const std::set<std::string> seen = FingerprintsIn(report);
  std::vector<BaselineEntry> entries;
  for (BaselineEntry& entry : baseline.entries) {
    const bool unseen = !seen.contains(entry.fingerprint);
    update.unseen += unseen;
    if (unseen && prune) continue;
    if (const auto it = found.find(entry.fingerprint); it != found.end()) {
      const double before = entry.max_seconds;
      const double now = it->second.max_seconds;
      const bool differs = IsMuchLonger(before, now, report.threshold_seconds) ||
                           IsMuchLonger(now, before, report.threshold_seconds);
      ++(differs ? update.changed : update.kept);
      if (differs) {
        entry.count = it->second.count;
        entry.max_seconds = now;
      }
      entry.function = it->second.function;
      entry.file = it->second.file;
      found.erase(it);
    } else if (!unseen) {
      ++update.kept;  // on a thread that may be no loop
    }
    entries.push_back(std::move(entry));
  }
  update.added = found.size();
  for (auto& [fingerprint, entry] : found) entries.push_back(std::move(entry));
  Sort(entries);
  baseline.entries = std::move(entries);
  return update;
}

}  // namespace loopsan
