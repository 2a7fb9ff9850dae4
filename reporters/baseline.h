// The baseline: the findings that a project knows of and lives with for now, in a
// file that is kept with the sources (loopsan-baseline.json). A gate then fails on
// new findings only, and the file can only shrink.
//
// Threads: any; no state.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "reporters/report.h"

namespace loopsan {

inline constexpr char kBaselineFile[] = "loopsan-baseline.json";

// One known finding. The fingerprint identifies it; the rest is for people.
struct BaselineEntry {
  std::string fingerprint;
  std::string rule;
  std::string call;
  std::string function;
  std::string file;
  uint64_t count = 0;
  double max_seconds = 0;
  std::string reason;  // written by a person; may be empty
  friend bool operator==(const BaselineEntry&, const BaselineEntry&) = default;
};

struct Baseline {
  std::vector<BaselineEntry> entries;  // sorted, one per fingerprint
};

// Reads what WriteBaseline() wrote and people have edited. An error names the
// field and what to do.
absl::StatusOr<Baseline> ReadBaseline(std::string_view text);
// The same of a file, which the errors name; NotFound says how to make one.
absl::StatusOr<Baseline> ReadBaselineFile(const std::string& path);

// The same baseline gives the same bytes.
std::string WriteBaseline(const Baseline& baseline);

// A finding that became this much slower is worth a word although it is known:
// more than twice as long, and by more than the threshold.
bool IsMuchLonger(double recorded_seconds, double seconds, double threshold_seconds);

struct WorseFinding {
  std::string id;  // of the finding
  double recorded_seconds = 0;
};

// What a report has to do with a baseline.
struct BaselineComparison {
  size_t new_findings = 0;  // notes do not count
  size_t known_findings = 0;
  std::vector<WorseFinding> worse;   // known, but much longer than recorded
  std::vector<BaselineEntry> stale;  // not seen in the report
};

// Sets the baseline_state of all findings of the report. A finding on a thread that
// may be no loop is seen, too, but neither new nor known.
BaselineComparison CompareWithBaseline(Report& report, const Baseline& baseline);

struct BaselineUpdate {
  size_t added = 0;
  size_t kept = 0;     // seen again, as recorded
  size_t changed = 0;  // seen again and recorded anew: much longer, or much shorter
  size_t unseen = 0;   // kept, or removed if `prune`
};

// Records what the report found: every finding that is no note. Entries keep what a
// person wrote, and their numbers as long as these are about right, so that an
// update changes few lines. What was not seen stays unless `prune`: it may not have
// been fixed, but not have been run. Files below `source_root` are recorded relative
// to it.
BaselineUpdate UpdateBaseline(const Report& report, std::string_view source_root, bool prune,
                              Baseline& baseline);

}  // namespace loopsan
