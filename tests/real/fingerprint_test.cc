// Fingerprints of one program that is built again: other compilers, flags and lines. A
// baseline is worth as much as they are the same.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>
#include <string>
#include <vector>

#include "tests/support/loopsan_run.h"
#include "tests/support/process.h"
#include "tests/support/report_search.h"

namespace loopsan::testing {
namespace {

using ::testing::SizeIs;

std::vector<std::string> Words(const std::string& line) {
  std::vector<std::string> words;
  for (size_t at = 0; at < line.size();) {
    const size_t end = std::min(line.find(' ', at), line.size());
    words.push_back(line.substr(at, end - at));
    at = end + 1;
  }
  return words;
}

class Rebuilt : public ::testing::Test {
 protected:
  // The two places in which the program blocks.
  std::set<std::string> Fingerprints(const std::string& compiler_and_flags) {
    SCOPED_TRACE(compiler_and_flags);
    const std::string program = folder_ / "rebuilt";
    std::vector<std::string> build = Words(compiler_and_flags);
    build.insert(build.end(), {"-std=c++20", "-g", LOOPSAN_REBUILT, "-o", program});
    const Finished built = RunCommand({.arguments = build});
    EXPECT_EQ(built.exit_code, 0) << built.err;
    const LoopsanResult result = RunUnderLoopsan({program});
    std::set<std::string> fingerprints;
    for (const Json& finding : FindingsThat(result.report, {.rule = "blocking-call"})) {
      fingerprints.insert(finding["fingerprint"]);
    }
    EXPECT_THAT(fingerprints, SizeIs(2)) << Describe(result);
    return fingerprints;
  }

  const TemporaryDirectory folder_;
};

TEST_F(Rebuilt, ProgramsHaveTheSameFingerprints) {
  const std::set<std::string> first = Fingerprints("g++ -O0");
  for (const char* build :
       {"g++ -O0 -DLINES", "g++ -O1", "g++ -O2", "g++ -O2 -DLINES -DALIAS", "g++ -O3",
        "g++ -O2 -flto", "g++ -O2 -no-pie -fno-pie",
        "g++ -O2 -fno-inline -fno-optimize-sibling-calls", "g++ -O2 -gdwarf-4", "g++ -Os"}) {
    EXPECT_EQ(Fingerprints(build), first) << build;
  }
  if (!IsInstalled("clang++-19")) GTEST_SKIP() << "no clang++-19 to build with, too";
  for (const char* build : {"clang++-19 -O0", "clang++-19 -O2", "clang++-19 -O3 -DLINES"}) {
    EXPECT_EQ(Fingerprints(build), first) << build;
  }
}

}  // namespace
}  // namespace loopsan::testing
