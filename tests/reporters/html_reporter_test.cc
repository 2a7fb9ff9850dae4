// The page as text; tests/real/html_report_test.cc opens it in a browser.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <sstream>

#include "reporters/reporter.h"
#include "tests/reporters/big_report.h"
#include "tests/reporters/golden.h"
#include "tests/reporters/sample_report.h"

namespace loopsan {
namespace {

using nlohmann::json;
using testing::HasSubstr;
using testing::Not;

std::string Write(const Report& report) {
  std::ostringstream out;
  WriteHtml(report, {}, out);
  return out.str();
}

std::string Between(const std::string& text, const std::string& begin, const std::string& end) {
  const size_t from = text.find(begin);
  EXPECT_NE(from, std::string::npos) << begin;
  if (from == std::string::npos) return "";
  const size_t to = text.find(end, from + begin.size());
  EXPECT_NE(to, std::string::npos) << end;
  return text.substr(from + begin.size(), to - from - begin.size());
}

std::string DataText(const std::string& page) {
  return Between(page, "<script type=\"application/json\" id=\"report\">", "</script>");
}

json Data(const Report& report) { return json::parse(DataText(Write(report))); }

size_t CountOf(const std::string& text, const std::string& part) {
  size_t count = 0;
  for (size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++count;
  return count;
}

// The page without the script and style of the report, which are ours.
std::string WithoutAssets(std::string page) {
  const size_t style = page.find("<style>");
  page.erase(style, page.find("</style>") - style);
  const size_t script = page.rfind("<script>");
  page.erase(script, page.rfind("</script>") - script);
  return page;
}

TEST(HtmlReporter, SaysTheVerdictFirst) {
  Report report = SampleReport();
  report.findings.resize(1);
  const std::string page = Write(report);
  EXPECT_EQ(Between(page, "<h1 id=\"verdict\">", "</h1>"),
            "loopsan: 1 finding, 4 suppressed: the event loop was blocked for 0.300 s in 3.10 s");
  EXPECT_THAT(page, HasSubstr("<title>loopsan: 1 finding"));
}

TEST(HtmlReporter, HasDataThatAPersonCouldReadInTheTextReport) {
  const json data = Data(SampleReport());
  EXPECT_EQ(data["findings"].size(), 8u) << "unproven ones, too";
  const json& first = data["findings"][0];
  EXPECT_EQ(first["id"], "F1");
  EXPECT_EQ(first["call"], "nanosleep");
  EXPECT_EQ(first["place"], "/srv/src/server.cc:42 in app::Server::Handle(std::string const&)");
  EXPECT_EQ(first["own"], 2);
  EXPECT_EQ(first["stack"].size(), 11u);
  const json& frame = data["frames"][first["stack"][2].get<size_t>()];
  EXPECT_EQ(data["strings"][frame[2].get<size_t>()], "/srv/src/server.cc");
  EXPECT_EQ(frame[3], 42);
  EXPECT_EQ(frame[5], "0x1f00");
  EXPECT_EQ(data["findings"][7]["unproven"], true);
  EXPECT_EQ(data["loops"].size(), 2u);
  EXPECT_EQ(data["loops"][0]["intervals"]["longest"][1], 0.300123);
  EXPECT_EQ(data["loops"][0]["spans"][2], json({"blocking-call", 0.251, 0.3, 0}));
  EXPECT_EQ(data["hidden_spans"], 5);
  EXPECT_EQ(data["hidden_waits"], 7);
}

TEST(HtmlReporter, CannotBeLeftByHostileText) {
  const std::string page = Write(SampleReport());
  // Ours: the data and the program.
  EXPECT_EQ(CountOf(page, "<script"), 2u);
  EXPECT_EQ(CountOf(page, "</script"), 2u);
  EXPECT_EQ(DataText(page).find('<'), std::string::npos);
}

TEST(HtmlReporter, EscapesTextOutsideItsDataToo) {
  Report report;
  report.processes_started = 1;
  const std::string page = WithoutAssets(Write(report));
  EXPECT_THAT(page, Not(HasSubstr("<loop")));
  report = SampleReport();
  report.exit_signal = 9;
  EXPECT_EQ(CountOf(WithoutAssets(Write(report)), "<h1"), 1u);
}

TEST(HtmlReporter, ShowsWhatCannotBeSeen) {
  const json data = Data(SampleReport());
  const std::string note = data["findings"][1]["note"];
  EXPECT_THAT(note, HasSubstr("invalid: \\xff\\xfe"));
  EXPECT_THAT(note, HasSubstr("NUL: \\x00"));
  EXPECT_EQ(data["findings"][1]["thread"], "\\x1b]0;owned\\x07");
  EXPECT_THAT(data["findings"][1]["remedy"].get<std::string>(), HasSubstr("\\u{202e}"));
}

TEST(HtmlReporter, HasNumbersOnly) {
  const std::string data = DataText(Write(SampleReport()));
  EXPECT_THAT(data, Not(HasSubstr("null")));
  const json parsed = json::parse(data);
  EXPECT_EQ(parsed["findings"][1]["total"], 0.0);
  EXPECT_EQ(parsed["loops"][1]["intervals"]["start"][0], 0.0);
  EXPECT_EQ(parsed["loops"][1]["spans"][0][2], 0.0);
}

TEST(HtmlReporter, LoadsNothing) {
  const std::string page = Write(SampleReport());
  EXPECT_THAT(page, HasSubstr("default-src 'none'"));
  for (const char* loads : {"src=", "@import", "url(", "fetch(", "XMLHttpRequest", "WebSocket(",
                            "sendBeacon", "importScripts", "new Worker"}) {
    EXPECT_THAT(page, Not(HasSubstr(loads)));
  }
  // The addresses in the page are XML's namespaces and those in licences.
  const size_t licences = page.rfind("/*!");
  ASSERT_NE(licences, std::string::npos);
  std::string code = page.substr(0, licences);
  for (size_t at = code.find("http://www.w3.org/"); at != std::string::npos;
       at = code.find("http://www.w3.org/")) {
    code.erase(at, 18);
  }
  EXPECT_THAT(code, Not(HasSubstr("http://")));
  EXPECT_THAT(code, Not(HasSubstr("https://")));
}

TEST(HtmlReporter, BringsTheLicencesOfItsLibraries) {
  const std::string page = Write(Report());
  for (const char* library : {"d3-flame-graph", "d3-selection", "uplot"}) {
    EXPECT_THAT(page, HasSubstr(std::string("==== ") + library));
  }
  EXPECT_THAT(page, HasSubstr("Apache License"));
}

TEST(HtmlReporter, WritesTheSameBytesInAGermanLocaleAndWhateverTheStreamsFlags) {
  const std::string expected = Write(SampleReport());
  const GermanNumbers german;
  std::ostringstream out;
  out << std::hex << std::showbase;
  out.width(5000);
  WriteHtml(SampleReport(), {}, out);
  EXPECT_EQ(out.str(), expected);
}

TEST(HtmlReporter, ShowsTheSourceAroundALineIfTheFileIsThere) {
  Report report;
  Finding finding;
  finding.id = "F1";
  // __FILE__ need not be absolute.
  const std::string here = LOOPSAN_GOLDEN_DIR "/../html_reporter_test.cc";
  finding.stack = {{.function = "Here", .file = here, .line = 2}};
  report.findings = {finding};
  const json data = Data(report);
  ASSERT_EQ(data["excerpts"].size(), 1u);
  const json excerpt = data["excerpts"].front();
  EXPECT_EQ(excerpt["first"], 1);
  EXPECT_EQ(excerpt["lines"].size(), 5u);
  EXPECT_EQ(excerpt["lines"][1], "#include <gmock/gmock.h>");
}

TEST(HtmlReporter, ShowsWhatTookLongHoweverManyWaitsThereAre) {
  Report report = SampleReport();
  report.timeline.dropped_spans = report.timeline.dropped_waits = 0;
  std::vector<TimelineSpan>& spans = report.timeline.loops[0].spans;
  spans.assign(20'000, {.kind = "wait", .duration_seconds = 5});
  spans.push_back({.kind = "stall", .duration_seconds = 0.1});
  const json data = Data(report);
  EXPECT_EQ(data["loops"][0]["spans"].size(), 10'001u);
  EXPECT_EQ(data["loops"][0]["spans"].back()[0], "stall");
  EXPECT_EQ(data["hidden_waits"], 10'000);
  EXPECT_EQ(data["hidden_spans"], 0);
}

TEST(HtmlReporter, BoundsWhatABrowserHasToOpen) {
  const Report report = BigReport(10'000, 1'000'000);
  const std::string page = Write(report);
  EXPECT_LT(page.size(), size_t{16} << 20);
  const json data = json::parse(DataText(page));
  EXPECT_EQ(data["findings"].size(), 10'000u);
  size_t spans = 0;
  double busy = 0;
  double longest = 0;
  for (const json& loop : data["loops"]) {
    spans += loop["spans"].size();
    EXPECT_LE(loop["intervals"]["start"].size(), 2000u);
    for (const json& one : loop["intervals"]["busy"]) busy += one.get<double>();
    for (const json& one : loop["intervals"]["longest"])
      longest = std::max(longest, one.get<double>());
  }
  EXPECT_EQ(spans, 40'000u);
  EXPECT_EQ(data["hidden_spans"], 960'000u);
  const std::vector<LoopSummary>& loops = report.processes[0].loops;
  EXPECT_NEAR(busy, loops[0].busy_seconds + loops[1].busy_seconds, 0.01);
  EXPECT_NEAR(longest, std::max(loops[0].longest_step_seconds, loops[1].longest_step_seconds),
              1e-6);
}

}  // namespace
}  // namespace loopsan
