// JUnit XML, as Jenkins (junit-10.xsd) and GitLab read it: a test case for each
// finding, and one that passes for each loop, so that a clean run is not "no tests".
//
// Names are the same in every run, because CI systems compare tests by them, and
// unique, because GitLab drops duplicates. GitLab shows only the text of a failure,
// so everything is in it.
#include <map>

#include "absl/strings/str_replace.h"
#include "reporters/internal/finding_place.h"
#include "reporters/internal/finding_text.h"
#include "reporters/internal/text_paper.h"
#include "reporters/reporter.h"

namespace loopsan {

using namespace text;  // NOLINT: the words of reports for people

namespace {

constexpr size_t kMaxTextBytes = 20'000;  // GitLab reads 30 MB a file
constexpr size_t kMaxNameBytes = 200;
constexpr double kMaxSeconds = 1e9;

// REQUIRES: the text is printable, so that no byte is left that XML forbids.
std::string Escaped(std::string_view printable) {
  return absl::StrReplaceAll(
      absl::string_view(printable.data(), printable.size()),
      {{"&", "&amp;"}, {"<", "&lt;"}, {">", "&gt;"}, {"\"", "&quot;"}, {"'", "&apos;"}});
}

// " name=\"value\"", from text that may be anything.
std::string Attribute(std::string_view name, std::string_view untrusted) {
  return Concat(" ", name, "=\"", Escaped(Printable(Clipped(untrusted, kMaxTextBytes))), "\"");
}

// Jenkins takes no more than three digits.
std::string TimeAttribute(double seconds) {
  return Attribute("time", seconds > 0 && seconds < kMaxSeconds ? Fixed(seconds, 3) : "0");
}

struct Cases {
  std::string xml;
  size_t tests = 0;
  size_t failures = 0;
  size_t skipped = 0;
};

std::string NameOf(const Finding& finding) {
  const SourcePlace place = PlaceToAnnotate(finding);
  std::string name = Printable(finding.call.empty() ? finding.rule : finding.call);
  const std::string function = CoroutineText(place);
  if (!function.empty()) AppendAll(name, " in ", function);
  return Concat(Clipped(name, kMaxNameBytes), " [", Printable(finding.fingerprint), "]");
}

void AddFinding(const Finding& finding, const ReporterOptions& options, Cases& cases) {
  ++cases.tests;
  const SourcePlace place = PlaceToAnnotate(finding);
  AppendAll(cases.xml, "    <testcase", Attribute("classname", Concat("loopsan.", finding.rule)),
            Attribute("name", NameOf(finding)));
  if (!place.file.empty()) {
    AppendAll(cases.xml, Attribute("file", NameFrom(options.source_root, place.file).path));
  }
  AppendAll(cases.xml, TimeAttribute(finding.total_seconds), ">\n");
  const std::string text = Escaped(Clipped(FindingText(finding), kMaxTextBytes));
  if (IsNote(finding)) {
    AppendAll(cases.xml, "      <system-out>", text, "</system-out>\n");
  } else if (IsKnown(finding)) {
    ++cases.skipped;
    AppendAll(cases.xml, "      <skipped", Attribute("message", "known: it is in the baseline"),
              "/>\n      <system-out>", text, "</system-out>\n");
  } else {
    ++cases.failures;
    AppendAll(cases.xml, "      <failure", Attribute("type", finding.rule),
              Attribute("message", finding.message), ">", text, "</failure>\n");
  }
  AppendAll(cases.xml, "    </testcase>\n");
}

void AddLoops(const Report& report, Cases& cases) {
  std::map<std::string, int> names;
  for (const ProcessSummary& process : report.processes) {
    for (const LoopSummary& loop : process.loops) {
      if (!loop.proven) continue;
      ++cases.tests;
      std::string name =
          Clipped(Printable(Concat("event loop of ", BaseName(process.executable),
                                   loop.thread_name.empty() ? "" : ", thread ", loop.thread_name)),
                  kMaxNameBytes);
      if (const int number = ++names[name]; number > 1) AppendAll(name, " #", number);
      AppendAll(cases.xml, "    <testcase", Attribute("classname", "loopsan.loop"),
                Attribute("name", name), TimeAttribute(loop.busy_seconds), ">\n      <system-out>",
                Count(loop.turns, "turn"), ", longest step ",
                FormatSeconds(loop.longest_step_seconds), "</system-out>\n    </testcase>\n");
    }
  }
}

// A run that watched nothing has not passed.
void AddNoLoop(const Report& report, Cases& cases) {
  ++cases.tests;
  ++cases.skipped;
  AppendAll(cases.xml, "    <testcase", Attribute("classname", "loopsan.loop"),
            Attribute("name", "an event loop is watched"), Attribute("time", "0"),
            ">\n      <skipped", Attribute("message", "no event loop was watched"),
            "/>\n      <system-out>", Escaped(VerdictText(report)),
            "</system-out>\n    </testcase>\n");
}

std::string Totals(const Cases& cases, const Report& report) {
  return Concat(Attribute("tests", std::to_string(cases.tests)),
                Attribute("failures", std::to_string(cases.failures)), Attribute("errors", "0"),
                TimeAttribute(report.duration_seconds));
}

}  // namespace

void WriteJunit(const Report& report, const ReporterOptions& options, std::ostream& out) {
  Cases cases;
  AddLoops(report, cases);
  if (cases.tests == 0) AddNoLoop(report, cases);
  for (const Finding& finding : report.findings) AddFinding(finding, options, cases);
  const std::string totals = Totals(cases, report);
  std::string text =
      Concat("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites",
             Attribute("name", "loopsan"), totals, ">\n  <testsuite", Attribute("name", "loopsan"),
             totals, Attribute("skipped", std::to_string(cases.skipped)), ">\n", cases.xml);
  std::string limits;
  for (const std::string& limit : LimitsText(report)) AppendAll(limits, "  - ", limit, "\n");
  if (!limits.empty()) {
    AppendAll(text, "    <system-out>Not everything could be seen:\n", Escaped(limits),
              "</system-out>\n");
  }
  AppendAll(text, "  </testsuite>\n</testsuites>\n");
  out.write(text.data(), static_cast<std::streamsize>(text.size()));
}

}  // namespace loopsan
