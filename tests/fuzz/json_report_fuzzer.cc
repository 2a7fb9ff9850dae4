// Intent: no text may crash the reader of reports, and what it accepts can be
// written, read again, ranked, judged and merged.
#include <cstdint>
#include <cstdlib>
#include <sstream>
#include <string_view>

#include "reporters/baseline.h"
#include "reporters/diff.h"
#include "reporters/gate.h"
#include "reporters/json_reader.h"
#include "reporters/merge.h"
#include "reporters/reporter.h"

namespace loopsan {
namespace {

void Try(std::string_view text) {
  (void)ReadBaseline(text);
  absl::StatusOr<Report> report = ReadJsonReport(text);
  if (!report.ok()) return;
  std::ostringstream out;
  WriteJson(*report, {}, out);
  const absl::StatusOr<Report> again = ReadJsonReport(out.str());
  if (!again.ok() || again->findings.size() != report->findings.size()) std::abort();
  if (!DiffReports(*report, *again).empty()) std::abort();
  Baseline baseline;
  UpdateBaseline(*report, "", /*prune=*/false, baseline);
  if (!ReadBaseline(WriteBaseline(baseline)).ok()) std::abort();
  const BaselineComparison comparison = CompareWithBaseline(*report, baseline);
  if (JudgeGate(*report, &comparison, {}).failed()) std::abort();
  std::ostringstream merged;
  WriteJson(MergeReports({*report, *again}), {}, merged);
  if (!ReadJsonReport(merged.str()).ok()) std::abort();
}

}  // namespace
}  // namespace loopsan

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  loopsan::Try({reinterpret_cast<const char*>(data), size});
  return 0;
}
