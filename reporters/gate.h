// The gate: may this report pass? It decides and says why; what follows from that
// (an exit status) is the caller's.
//
// Threads: any; no state.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "reporters/baseline.h"
#include "reporters/options.h"
#include "reporters/report.h"

namespace loopsan {

struct GateSettings {
  FailOn fail_on = FailOn::kNew;  // kAuto: kNew if there is a baseline, else kNone
  Budgets budgets;
  std::string baseline_file;  // for the advice; empty: none
  std::string report_file;    // likewise: the JSON report that can be recorded; empty: none
  bool names_unseen = true;   // name what the baseline has and the report has not; else count it
};

// All in sentences, printable; the place of a finding is on a second line.
struct GateVerdict {
  std::vector<std::string> failures;  // empty: the gate is passed
  std::vector<std::string> notes;     // what to know or to do although it does not fail
  std::string advice;                 // what to do about the failures

  bool failed() const { return !failures.empty(); }
};

// False if nothing that could be in a report would fail.
bool GateIsOn(const GateSettings& settings, bool has_baseline);

// `comparison` is what CompareWithBaseline() said of this report; null without a
// baseline, when every finding is new.
GateVerdict JudgeGate(const Report& report, const BaselineComparison* comparison,
                      const GateSettings& settings);

// The verdict as people read it, in lines: "loopsan: gate failed: ...".
std::string GateText(const Report& report, const GateVerdict& verdict);

}  // namespace loopsan
