#include "tools/report_outputs.h"

#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <sstream>

#include "absl/strings/str_cat.h"
#include "reporters/reporter.h"
#include "reporters/suppressions.h"

namespace loopsan {
namespace {

absl::Status ForFlag(absl::string_view flag, const absl::Status& status) {
  return absl::Status(status.code(), absl::StrCat(flag, ": ", status.message()));
}

bool HasSomethingToTell(const Report& report) {
  return !report.findings.empty() || !report.unproven_findings.empty() ||
         std::any_of(report.suppression_remarks.begin(), report.suppression_remarks.end(),
                     [](const SuppressionRemark& remark) { return remark.level == "warning"; });
}

}  // namespace

absl::StatusOr<std::unique_ptr<ReportOutputs>> ReportOutputs::Open(const Options& options) {
  std::unique_ptr<ReportOutputs> outputs(new ReportOutputs(options));
  if (options.output_path.empty()) {
    outputs->text_ = Output::Borrow(STDERR_FILENO, "standard error");
  } else {
    absl::StatusOr<std::unique_ptr<Output>> text = Output::Open(options.output_path);
    if (!text.ok()) return ForFlag("--output", text.status());
    outputs->text_ = *std::move(text);
  }
  if (!options.json_path.empty()) {
    absl::StatusOr<std::unique_ptr<Output>> json = Output::Open(options.json_path);
    if (!json.ok()) return ForFlag("--json", json.status());
    outputs->json_ = *std::move(json);
    if (!options.output_path.empty() && outputs->json_->SameAs(*outputs->text_)) {
      return absl::InvalidArgumentError(absl::StrCat(
          "--json and --output both name ", options.json_path, "; give each a file of its own"));
    }
  }
  if (!options.write_suppressions_path.empty()) {
    absl::StatusOr<std::unique_ptr<Output>> proposed =
        Output::Open(options.write_suppressions_path);
    if (!proposed.ok()) return ForFlag("--write-suppressions", proposed.status());
    outputs->proposed_suppressions_ = *std::move(proposed);
    for (const Output* other : {outputs->text_.get(), outputs->json_.get()}) {
      if (other == nullptr || !other->SameAs(*outputs->proposed_suppressions_)) continue;
      return absl::InvalidArgumentError(absl::StrCat("--write-suppressions and a report both name ",
                                                     options.write_suppressions_path,
                                                     "; give each a file of its own"));
    }
  }
  return outputs;
}

void ReportOutputs::PrintLive(const std::string& line) const {
  if (options_.quiet || !options_.output_path.empty()) return;
  Complain(line);
}

absl::Status ReportOutputs::Write(const Report& report) {
  absl::Status status = WriteTextReport(report);
  if (json_ != nullptr) {
    std::ostringstream out;
    WriteJson(report, {}, out);
    status.Update(json_->Write(out.str()));
  }
  if (proposed_suppressions_ != nullptr) {
    std::ostringstream out;
    WriteProposedSuppressions(report, Today(), out);
    status.Update(proposed_suppressions_->Write(out.str()));
  }
  return status;
}

absl::Status ReportOutputs::WriteTextReport(const Report& report) {
  const bool to_stderr = options_.output_path.empty();
  if (to_stderr && options_.quiet && !HasSomethingToTell(report)) return absl::OkStatus();
  std::ostringstream out;
  const bool color =
      UsesColor(options_.color, text_->IsTerminal(), getenv("NO_COLOR"), getenv("TERM"));
  WriteText(report, {.color = color}, out);
  const absl::Status status = text_->Write(out.str());
  return to_stderr ? absl::OkStatus() : status;
}

void ReportOutputs::Discard() {
  text_->Discard();
  if (json_ != nullptr) json_->Discard();
  if (proposed_suppressions_ != nullptr) proposed_suppressions_->Discard();
}

void Complain(std::string_view message) {
  // In one piece: the command writes there, too.
  std::string line = "loopsan: ";
  line += message;
  line += '\n';
  WriteAll(STDERR_FILENO, line);
}

bool UsesColor(ColorMode mode, bool terminal, const char* no_color, const char* term) {
  if (mode != ColorMode::kAuto) return mode == ColorMode::kAlways;
  if (no_color != nullptr && *no_color != '\0') return false;
  return terminal && term != nullptr && std::strcmp(term, "dumb") != 0;
}

}  // namespace loopsan
