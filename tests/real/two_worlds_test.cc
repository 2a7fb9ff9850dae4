// docs/two-worlds.md tells of examples/two_worlds.cc: what it quotes stands in the program, and
// what it shows is what the program, and loopsan, print.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <iterator>
#include <regex>
#include <string>
#include <vector>

#include "tests/support/loopsan_run.h"
#include "tests/support/report_search.h"

namespace loopsan::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;

std::string Contents(const char* path) {
  std::ifstream file(path);
  EXPECT_TRUE(file.is_open()) << path;
  return {std::istreambuf_iterator<char>(file), {}};
}

// The fenced blocks of one language, in their order.
std::vector<std::string> Blocks(const std::string& page, const std::string& language) {
  std::vector<std::string> blocks;
  const std::string begin = "\n```" + language + "\n";
  for (size_t at = page.find(begin); at != std::string::npos; at = page.find(begin, at)) {
    at += begin.size();
    const size_t end = page.find("\n```\n", at - 1);
    EXPECT_NE(end, std::string::npos);
    blocks.push_back(page.substr(at, end + 1 - at));
    at = end;
  }
  return blocks;
}

std::string Joined(const std::vector<std::string>& blocks) {
  std::string all;
  for (const std::string& block : blocks) all += block;
  return all;
}

Finished RunAlone(const std::string& debug) {
  return RunCommand({{LOOPSAN_TWO_WORLDS}, {"LOOPSAN=" + debug}, {}});
}

// Numbers and places that differ from run to run and from machine to machine.
std::string Normalized(std::string text) {
  const std::pair<const char*, const char*> kRules[] = {
      {R"((\d+\.\d+|\d+) (s|ms|us)\b)", "TIME"},
      {R"(\[\d+\])", "[PID]"},
      {R"((thread|process) \d+)", "$1 N"},
      {R"(\d+ turns)", "N turns"},
      {R"([^ \n]*/examples/)", "examples/"},
      {R"( /[^ \n]*/bin/two_worlds)", " build/bin/two_worlds"},
      {R"( /usr/include/[^\n]*\.h:\d+)", " HEADER"},
  };
  for (const auto& [pattern, replacement] : kRules) {
    text = std::regex_replace(text, std::regex(pattern), replacement);
  }
  return text;
}

TEST(TwoWorlds, PageQuotesTheProgram) {
  const std::string source = Contents(LOOPSAN_TWO_WORLDS_SOURCE);
  const std::vector<std::string> quotes = Blocks(Contents(LOOPSAN_TWO_WORLDS_PAGE), "cpp");
  EXPECT_GE(quotes.size(), 6u);
  for (const std::string& quote : quotes) EXPECT_THAT(source, HasSubstr(quote));
}

TEST(TwoWorlds, PrintsWhatThePageShowsWithAndWithoutTheDebugMode) {
  const std::string shown = Joined(Blocks(Contents(LOOPSAN_TWO_WORLDS_PAGE), "text"));
  for (const char* debug : {"0", "1"}) {
    const Finished finished = RunAlone(debug);
    EXPECT_EQ(finished.exit_code, 0);
    EXPECT_EQ(finished.out, shown) << "LOOPSAN=" << debug;
  }
}

TEST(TwoWorlds, SaysNothingToStandardErrorWithoutTheDebugMode) {
  EXPECT_THAT(RunAlone("0").err, IsEmpty());
}

TEST(TwoWorlds, IsReportedAsThePageShows) {
  const LoopsanResult result = RunUnderLoopsan({LOOPSAN_TWO_WORLDS});
  SCOPED_TRACE(Describe(result));
  EXPECT_EQ(result.out, Joined(Blocks(Contents(LOOPSAN_TWO_WORLDS_PAGE), "text")));
  const std::string report = Normalized(result.err);
  const std::vector<std::string> shown = Blocks(Contents(LOOPSAN_TWO_WORLDS_PAGE), "console");
  EXPECT_GE(shown.size(), 1u);
  for (const std::string& block : shown) EXPECT_THAT(report, HasSubstr(Normalized(block)));
}

}  // namespace
}  // namespace loopsan::testing
