#include "tests/support/report_search.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <stdexcept>

namespace loopsan::testing {
namespace {

int OnlyLineEndingIn(const std::string& file, const std::string& text) {
  std::ifstream source(file);
  int found = 0;
  std::string line;
  for (int number = 1; std::getline(source, line); ++number) {
    if (!line.ends_with(text)) continue;
    if (found != 0) throw std::runtime_error(file + " has more than one line " + text);
    found = number;
  }
  return found;
}

bool Matches(const Json& frame, const FindingQuery& query) {
  if (!query.function.empty() &&
      frame.value("function", "").find(query.function) == std::string::npos) {
    return false;
  }
  if (query.lines.file.empty()) return true;
  const std::filesystem::path wanted(query.lines.file);
  const std::filesystem::path file(frame.value("file", ""));
  const int line = frame.value("line", 0);
  return file.filename() == wanted.filename() && query.lines.first <= line &&
         line <= query.lines.last;
}

bool Matches(const FindingQuery& query, const Json& finding) {
  if (!query.rule.empty() && finding.value("rule", "") != query.rule) return false;
  if (!query.calls.empty() && std::ranges::count(query.calls, finding.value("call", "")) == 0) {
    return false;
  }
  if (!query.detail.empty() &&
      finding.value("detail", "").find(query.detail) == std::string::npos) {
    return false;
  }
  return (query.function.empty() && query.lines.file.empty()) ||
         !FrameThat(finding, query).is_null();
}

}  // namespace

MarkedLines FindMarker(const std::string& file, std::string_view marker) {
  const std::string text = "// BLOCK: " + std::string(marker);
  MarkedLines lines{file, OnlyLineEndingIn(file, text), 0};
  lines.last = lines.first;
  if (lines.first == 0) {
    lines.first = OnlyLineEndingIn(file, text + ".begin");
    lines.last = OnlyLineEndingIn(file, text + ".end");
  }
  if (lines.first == 0 || lines.last == 0) throw std::runtime_error(file + " has no line " + text);
  return lines;
}

std::vector<Json> FindingsThat(const Json& report, const FindingQuery& query) {
  std::vector<Json> found;
  for (const Json& finding : report.value("findings", Json::array())) {
    if (Matches(query, finding)) found.push_back(finding);
  }
  return found;
}

Json FrameThat(const Json& finding, const FindingQuery& query) {
  for (const Json& frame : finding.value("stack", Json::array())) {
    if (Matches(frame, query)) return frame;
  }
  return nullptr;
}

uint64_t TurnsIn(const Json& report) {
  uint64_t turns = 0;
  for (const Json& process : report.value("processes", Json::array())) {
    for (const Json& loop : process.value("loops", Json::array())) {
      turns += loop.value("turns", uint64_t{0});
    }
  }
  return turns;
}

::testing::AssertionResult AccusesNobody(const Json& report) {
  if (TurnsIn(report) == 0) {
    return ::testing::AssertionFailure() << "no loop was seen, so nobody could be accused";
  }
  for (const char* rule : {"blocking-call", "stall"}) {
    for (const Json& finding : FindingsThat(report, {.rule = rule})) {
      return ::testing::AssertionFailure() << "accused: " << finding.dump(2);
    }
  }
  for (const Json& finding : report.value("unproven_findings", Json::array())) {
    return ::testing::AssertionFailure() << "accused, if unproven: " << finding.dump(2);
  }
  return ::testing::AssertionSuccess();
}

std::string Describe(const LoopsanResult& result) {
  std::ostringstream text;
  text << "exit code " << result.exit_code << ", signal " << result.signal << ", " << result.seconds
       << " s\n--- stdout\n"
       << result.out << "--- stderr\n"
       << result.err << "--- findings\n";
  for (const Json& finding : FindingsThat(result.report, {})) text << finding.dump(1) << "\n";
  return text.str();
}

}  // namespace loopsan::testing
