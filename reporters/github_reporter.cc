// Workflow commands that make GitHub annotate lines:
//
//   ::error file=src/a.cc,line=12,endLine=12,title=loopsan blocking-call::message
//
// GitHub shows ten errors and ten warnings a step, so those that cost the most time
// are written, and how many are left out. What the baseline knows is not annotated.
#include "absl/strings/str_replace.h"
#include "reporters/internal/finding_place.h"
#include "reporters/internal/finding_text.h"
#include "reporters/internal/text_paper.h"
#include "reporters/reporter.h"

namespace loopsan {

using namespace text;  // NOLINT: the words of reports for people

namespace {

constexpr size_t kMaxOfALevel = 10;
constexpr size_t kMaxTextBytes = 4'000;

std::string Data(std::string_view text) {
  return absl::StrReplaceAll(absl::string_view(text.data(), text.size()),
                             {{"%", "%25"}, {"\r", "%0D"}, {"\n", "%0A"}});
}

std::string Property(std::string_view text) {
  return absl::StrReplaceAll(Data(text), {{":", "%3A"}, {",", "%2C"}});
}

std::string Safe(std::string_view untrusted) {
  return Printable(Clipped(untrusted, kMaxTextBytes));
}

std::string MessageOf(const Finding& finding) {
  std::string message = Safe(finding.message);
  AppendAll(message, "\n", Count(finding.count, "time"));
  if (!IsOfALibrary(finding)) {
    AppendAll(message, ", ", FormatSeconds(finding.total_seconds), " in total, ",
              FormatSeconds(finding.max_seconds), " at worst");
  }
  if (!finding.remedy.empty()) AppendAll(message, "\ninstead: ", Safe(finding.remedy));
  if (!finding.note.empty()) AppendAll(message, "\nnote: ", Safe(finding.note));
  return message;
}

void AddFinding(const Finding& finding, const ReporterOptions& options, std::string& text) {
  const SourcePlace place = PlaceToAnnotate(finding);
  AppendAll(text, finding.level == "error" ? "::error " : "::warning ");
  if (!place.file.empty()) {
    AppendAll(text, "file=", Property(Safe(NameFrom(options.source_root, place.file).path)), ",");
    if (place.line > 0) AppendAll(text, "line=", place.line, ",endLine=", place.line, ",");
  }
  AppendAll(text, "title=", Property(Concat("loopsan ", Safe(finding.rule))),
            "::", Data(MessageOf(finding)), "\n");
}

std::string FirstLine(const std::string& text) { return text.substr(0, text.find('\n')); }

}  // namespace

void WriteGithub(const Report& report, const ReporterOptions& options, std::ostream& out) {
  std::string text;
  size_t errors = 0;
  size_t warnings = 0;
  size_t left_out = 0;
  if (report.findings.empty() && !HasProvenLoop(report)) {
    AppendAll(text, "::warning title=loopsan::", Data(FirstLine(VerdictText(report))), "\n");
  }
  for (const Finding& finding : report.findings) {
    if (IsNote(finding) || IsKnown(finding)) continue;
    size_t& number = finding.level == "error" ? errors : warnings;
    if (++number > kMaxOfALevel) {
      ++left_out;
      continue;
    }
    AddFinding(finding, options, text);
  }
  if (left_out > 0) {
    AppendAll(text, "::notice title=loopsan::", Count(left_out, "more finding"),
              " with less time lost, not annotated: GitHub shows ten of a kind\n");
  }
  out.write(text.data(), static_cast<std::streamsize>(text.size()));
}

}  // namespace loopsan
