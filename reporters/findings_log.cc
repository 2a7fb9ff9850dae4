#include "reporters/findings_log.h"

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstring>
#include <sstream>
#include <string_view>
#include <vector>

#include "reporters/finding_facts.h"
#include "reporters/internal/finding_place.h"
#include "reporters/internal/json_text.h"
#include "reporters/internal/text_paper.h"
#include "reporters/reporter.h"

namespace loopsan {
namespace {

// The texts of a line, even if JSON doubles each of their bytes, are together shorter
// than kMaxLineBytes: 9 names, a function's name and 3 texts.
constexpr size_t kMaxNameBytes = 200;
constexpr size_t kMaxTextBytes = 1000;

std::string Shown(std::string_view untrusted, size_t max_bytes = kMaxNameBytes) {
  return text::PrintableClipped(untrusted, max_bytes);
}

double Positive(double seconds) { return std::isfinite(seconds) && seconds > 0 ? seconds : 0; }

// A line if one is known, else a function.
SourcePlace PlaceOf(const Finding& finding) {
  SourcePlace place = PlaceToAnnotate(finding);
  return place.file.empty() ? MainPlace(finding) : place;
}

}  // namespace

absl::Status FindingsLog::Write(const Report& snapshot, absl::Time now, Lines which) {
  if (is_over_) return absl::OkStatus();
  // Findings of one report may share a fingerprint: two lines of one function.
  std::map<Identity, std::pair<const Finding*, Sums>> seen;
  std::vector<Identity> order;
  for (const Finding& finding : snapshot.findings) {
    Identity identity(finding.fingerprint, finding.executable);
    auto [it, is_new] = seen.try_emplace(identity, &finding, Sums());
    Sums& sums = it->second.second;
    sums.count += finding.count;
    sums.total_seconds += Positive(finding.total_seconds);
    sums.max_seconds = std::max(sums.max_seconds, Positive(finding.max_seconds));
    if (is_new) order.push_back(std::move(identity));
  }
  for (const Identity& identity : order) {
    auto& [finding, sums] = seen.at(identity);
    const auto before = written_.find(identity);
    const bool is_new = before == written_.end();
    if (!is_new && which == Lines::kNewOnly) continue;
    if (!is_new) {
      const Sums& old = before->second;
      if (sums.count <= old.count && Seconds(sums.total_seconds) <= Seconds(old.total_seconds)) {
        continue;
      }
      // A later snapshot may know better and tell less: what is logged never sinks.
      sums.count = std::max(sums.count, old.count);
      sums.total_seconds = std::max(sums.total_seconds, old.total_seconds);
      sums.max_seconds = std::max(sums.max_seconds, old.max_seconds);
    }
    errno = 0;
    if (!WriteLine(*finding, sums, is_new ? nullptr : &before->second, now)) {
      const int error = errno;
      is_over_ = true;
      return absl::DataLossError(
          error == 0 ? "the findings log cannot be written"
                     : text::Concat("the findings log cannot be written: ", std::strerror(error)));
    }
    written_[identity] = sums;
  }
  return absl::OkStatus();
}

bool FindingsLog::WriteLine(const Finding& finding, const Sums& sums, const Sums* before,
                            absl::Time now) {
  const Sums none;
  const Sums& old = before == nullptr ? none : *before;
  const SourcePlace place = PlaceOf(finding);
  const Json line = {
      {"time", absl::FormatTime("%Y-%m-%d%ET%H:%M:%E6SZ", now, absl::UTCTimeZone())},
      {"event", before == nullptr ? "new" : "again"},
      {"fingerprint", Shown(finding.fingerprint)},
      {"rule", Shown(finding.rule)},
      {"level", Shown(finding.level)},
      {"cause", Shown(finding.cause)},
      {"category", Shown(finding.category)},
      {"call", Shown(finding.call)},
      {"process", Shown(text::BaseName(finding.executable))},
      {"pid", finding.pid},
      {"thread", Shown(finding.thread_name)},
      {"message", Shown(finding.message, kMaxTextBytes)},
      {"remedy", Shown(finding.remedy, kMaxTextBytes)},
      {"function", text::CoroutineText(place)},
      {"file", Shown(place.file, kMaxTextBytes)},
      {"line", std::max(0, place.line)},
      {"count", sums.count},
      {"count_delta", sums.count - old.count},
      {"total_seconds", Seconds(sums.total_seconds)},
      {"total_seconds_delta", Seconds(sums.total_seconds - old.total_seconds)},
      {"max_seconds", Seconds(sums.max_seconds)},
      {"task", Shown(finding.task.name)},
  };
  std::ostringstream text;
  WriteJsonText(line, /*indent=*/-1, text);
  const std::string bytes = text.str();
  out_->write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  out_->flush();
  return out_->good();
}

}  // namespace loopsan
