// A summary in Markdown, for job pages ($GITHUB_STEP_SUMMARY) and comments: the
// verdict, a table of findings, and each finding in full behind a fold.
//
// Text of the program stands in <code> and <pre> only, with everything escaped that
// could begin HTML or Markdown: no link, picture or mention comes out of it.
#include <algorithm>

#include "reporters/internal/finding_place.h"
#include "reporters/internal/finding_text.h"
#include "reporters/internal/text_paper.h"
#include "reporters/reporter.h"

namespace loopsan {

using namespace text;  // NOLINT: the words of reports for people

namespace {

constexpr size_t kMaxRows = 50;
constexpr size_t kMaxTableBytes = 30'000;
constexpr size_t kMaxCellBytes = 300;
constexpr size_t kMaxDetailBytes = 8'000;
// A comment on GitHub has 65,536 characters; the table and the end need some.
constexpr size_t kMaxBytes = 60'000;

bool IsAlphanumeric(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

// Every character of ASCII that Markdown or HTML could take for its own as &#N;, and
// what makes http:// and www. links.
std::string Escaped(std::string_view printable) {
  static constexpr std::string_view kHarmless = " -.,:;/()=+%?'\"";
  std::string text;
  for (size_t i = 0; i < printable.size(); ++i) {
    const char c = printable[i];
    const auto byte = static_cast<unsigned char>(c);
    const bool in_link = printable.substr(i).starts_with(":/") ||
                         (c == '.' && i > 0 && (printable[i - 1] | 0x20) == 'w');
    const bool harmless =
        byte >= 0x80 || IsAlphanumeric(c) || kHarmless.find(c) != std::string_view::npos;
    if (harmless && !in_link) {
      text += c;
    } else {
      AppendAll(text, "&#", static_cast<int>(byte), ";");
    }
  }
  return text;
}

std::string Code(std::string_view untrusted) {
  const std::string printable = Printable(Clipped(untrusted, kMaxCellBytes));
  return printable.empty() ? "" : Concat("<code>", Escaped(printable), "</code>");
}

// In <pre> nothing is Markdown; newlines stay.
std::string Preformatted(std::string_view lines) {
  std::string text;
  for (const char c : lines) {
    switch (c) {
      case '&':
        text += "&amp;";
        break;
      case '<':
        text += "&lt;";
        break;
      case '>':
        text += "&gt;";
        break;
      default:
        text += c;
    }
  }
  return Concat("<pre>\n", text, "</pre>\n");
}

bool HasBaseline(const Report& report) {
  return std::any_of(report.findings.begin(), report.findings.end(),
                     [](const Finding& finding) { return !finding.baseline_state.empty(); });
}

void AddVerdict(const Report& report, std::string& text) {
  const std::string verdict = VerdictText(report);
  const size_t end = verdict.find('\n');
  AppendAll(text, "### ", Escaped(verdict.substr(0, end)), "\n");
  const std::string rest = verdict.substr(std::min(end + 1, verdict.size()));
  if (!rest.empty()) AppendAll(text, "\n", Preformatted(rest));
}

std::string WhereCell(const Finding& finding, const ReporterOptions& options) {
  SourcePlace place = PlaceToAnnotate(finding);
  // A program without debug information has no file, but functions.
  if (place.file.empty()) {
    const std::string where = MainPlaceText(finding);
    return where.empty() ? "" : Code(where);
  }
  place.file = NameFrom(options.source_root, place.file).path;
  place.function.clear();
  return Code(LineText(place));
}

std::string_view BaselineCell(const Finding& finding) {
  if (IsKnown(finding)) return "known";
  return finding.baseline_state == "new" ? "**new**" : "";
}

void AddRow(const Finding& finding, const ReporterOptions& options, bool with_baseline,
            std::string& text) {
  AppendAll(text, "| ", Code(finding.id), " | ", Code(finding.level), " | ");
  if (with_baseline) AppendAll(text, BaselineCell(finding), " | ");
  AppendAll(text, Code(finding.message), " | ", WhereCell(finding, options), " | ",
            std::to_string(finding.count), " | ");
  const bool took_time = !IsOfALibrary(finding);
  AppendAll(text, took_time ? FormatSeconds(finding.total_seconds) : "", " | ",
            took_time ? FormatSeconds(finding.max_seconds) : "", " |\n");
}

void AddTable(const Report& report, const ReporterOptions& options, std::string& text) {
  if (report.findings.empty()) return;
  const bool with_baseline = HasBaseline(report);
  AppendAll(text, "\n| | level | ", with_baseline ? "baseline | " : "",
            "finding | where | times | total | worst |\n| --- | --- | ",
            with_baseline ? "--- | " : "", "--- | --- | ---: | ---: | ---: |\n");
  size_t rows = 0;
  for (const Finding& finding : report.findings) {
    if (rows == kMaxRows || text.size() > kMaxTableBytes) break;
    AddRow(finding, options, with_baseline, text);
    ++rows;
  }
  if (const size_t rest = report.findings.size() - rows; rest > 0) {
    AppendAll(text, "\nand ", Count(rest, "more finding"), " with less time lost\n");
  }
}

std::string Fold(const std::string& summary, std::string_view lines) {
  return Concat("\n<details><summary>", summary, "</summary>\n\n", Preformatted(lines),
                "</details>\n");
}

void AddDetails(const Report& report, std::string& text) {
  for (const Finding& finding : report.findings) {
    std::string lines = Clipped(FindingText(finding), kMaxDetailBytes);
    if (!lines.ends_with('\n')) lines += '\n';
    const std::string fold = Fold(Concat(Code(finding.id), " ", Code(finding.message)), lines);
    if (text.size() + fold.size() > kMaxBytes) {
      AppendAll(text, "\nThe stacks of the other findings are in the full report.\n");
      return;
    }
    text += fold;
  }
}

void AddLimits(const Report& report, std::string& text) {
  std::string lines;
  for (const std::string& limit : LimitsText(report)) {
    AppendAll(lines, "- ", Clipped(limit, kMaxCellBytes), "\n");
  }
  if (!lines.empty()) {
    text += Fold("Not everything could be seen", Clipped(lines, kMaxDetailBytes));
  }
}

}  // namespace

void WriteMarkdown(const Report& report, const ReporterOptions& options, std::ostream& out) {
  std::string text;
  AddVerdict(report, text);
  AddTable(report, options, text);
  AddLimits(report, text);
  AddDetails(report, text);
  out.write(text.data(), static_cast<std::streamsize>(text.size()));
}

}  // namespace loopsan
