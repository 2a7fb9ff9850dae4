#include "tools/report_outputs.h"

#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
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

absl::StatusOr<std::unique_ptr<ReportOutputs>> ReportOutputs::Open(
    const Options& options, std::span<const Reporter> reporters) {
  std::unique_ptr<ReportOutputs> outputs(new ReportOutputs(options));
  if (options.output_path.empty()) {
    outputs->text_ = Output::Borrow(STDERR_FILENO, "standard error");
  } else {
    absl::StatusOr<std::unique_ptr<Output>> text = Output::Open(options.output_path);
    if (!text.ok()) return ForFlag("--output", text.status());
    outputs->text_ = *std::move(text);
  }
  if (absl::Status status = outputs->OpenFile("--json", options.json_path, WriteJson);
      !status.ok()) {
    return status;
  }
  for (const Reporter& reporter : reporters) {
    const auto path = options.report_paths.find(std::string(reporter.name));
    if (path == options.report_paths.end()) continue;
    const std::string flag = absl::StrCat("--", path->first);
    if (absl::Status status = outputs->OpenFile(flag, path->second, reporter.write); !status.ok()) {
      return status;
    }
  }
  if (!options.write_suppressions_path.empty()) {
    absl::StatusOr<std::unique_ptr<Output>> proposed =
        Output::Open(options.write_suppressions_path);
    if (!proposed.ok()) return ForFlag("--write-suppressions", proposed.status());
    outputs->proposed_suppressions_ = *std::move(proposed);
    std::vector<const Output*> others{outputs->text_.get()};
    for (const ReportFile& file : outputs->files_) others.push_back(file.output.get());
    for (const Output* other : others) {
      if (!other->SameAs(*outputs->proposed_suppressions_)) continue;
      return absl::InvalidArgumentError(absl::StrCat("--write-suppressions and a report both name ",
                                                     options.write_suppressions_path,
                                                     "; give each a file of its own"));
    }
  }
  return outputs;
}

absl::Status ReportOutputs::OpenFile(const std::string& flag, const std::string& path,
                                     ReporterFunction write) {
  if (path.empty()) return absl::OkStatus();
  absl::StatusOr<std::unique_ptr<Output>> output = Output::Open(path);
  if (!output.ok()) return ForFlag(flag, output.status());
  const auto refuse = [&](absl::string_view other) {
    return absl::InvalidArgumentError(
        absl::StrCat(flag, " and ", other, " both name ", path, "; give each a file of its own"));
  };
  if (!options_.output_path.empty() && (*output)->SameAs(*text_)) return refuse("--output");
  for (const ReportFile& file : files_) {
    if ((*output)->SameAs(*file.output)) return refuse(file.flag);
  }
  files_.push_back({.flag = flag, .write = write, .output = *std::move(output)});
  return absl::OkStatus();
}

void ReportOutputs::PrintLive(const std::string& line) const {
  if (options_.quiet || !options_.output_path.empty()) return;
  Complain(line);
}

absl::Status ReportOutputs::Write(const Report& report) {
  absl::Status first = WriteTextReport(report);
  for (const ReportFile& file : files_) {
    std::ostringstream out;
    file.write(report, {.source_root = options_.source_root}, out);
    first.Update(file.output->Write(out.str()));
  }
  if (proposed_suppressions_ != nullptr) {
    std::ostringstream out;
    WriteProposedSuppressions(report, Today(), out);
    first.Update(proposed_suppressions_->Write(out.str()));
  }
  return first;
}

absl::Status ReportOutputs::WriteTextReport(const Report& report) {
  const bool to_stderr = options_.output_path.empty();
  if (to_stderr && options_.quiet && !HasSomethingToTell(report)) return absl::OkStatus();
  std::ostringstream out;
  WriteText(report, TextOptions(options_, *text_), out);
  const absl::Status status = text_->Write(out.str());
  return to_stderr ? absl::OkStatus() : status;
}

void ReportOutputs::Discard() {
  text_->Discard();
  for (const ReportFile& file : files_) file.output->Discard();
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

ReporterOptions TextOptions(const Options& options, const Output& output) {
  ReporterOptions shown;
  shown.color = UsesColor(options.color, output.IsTerminal(), getenv("NO_COLOR"), getenv("TERM"));
  shown.source_root = options.source_root;
  shown.source_lines = output.IsTerminal() || shown.color;
  utsname machine{};
  if (shown.color && output.IsTerminal() && KnowsLinks(getenv) && uname(&machine) == 0) {
    shown.link_host = machine.nodename;
  }
  return shown;
}

bool KnowsLinks(const std::function<const char*(const char*)>& variable) {
  const auto text = [&](const char* name) {
    const char* const value = variable(name);
    return std::string_view(value == nullptr ? "" : value);
  };
  // The convention of libraries that make links.
  if (const std::string_view forced = text("FORCE_HYPERLINK"); !forced.empty()) {
    return forced != "0";
  }
  if (text("TERM") == "linux" || text("TERM") == "dumb") return false;
  int vte = 0;
  if (const std::string_view version = text("VTE_VERSION");
      std::from_chars(version.data(), version.data() + version.size(), vte).ec == std::errc()) {
    if (vte >= 5000) return true;  // 0.50
  }
  for (const char* name : {"KITTY_WINDOW_ID", "KONSOLE_VERSION", "WT_SESSION", "WEZTERM_PANE"}) {
    if (!text(name).empty()) return true;
  }
  const std::string_view program = text("TERM_PROGRAM");
  return program == "iTerm.app" || program == "vscode" || program == "WezTerm" ||
         program == "ghostty";
}

}  // namespace loopsan
