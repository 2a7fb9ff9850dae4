// What a program other than ours makes of the profiles: speedscope imports all three
// formats for flame graphs. It is a page, so a browser opens it.
#include <gtest/gtest.h>

#include <fstream>

#include "reporters/reporter.h"
#include "tests/reporters/sample_report.h"
#include "tests/support/process.h"

namespace loopsan::testing {
namespace {

void WriteProfile(const std::string& path, std::string_view format) {
  std::ofstream file(path, std::ios::binary);
  FindReporter(format)->write(SampleReport(), {}, file);
  EXPECT_TRUE(file.good()) << path;
}

TEST(Speedscope, ShowsTheFramesOfEachFormat) {
  for (const char* needed : {"chromium", "node"}) {
    if (!IsInstalled(needed)) GTEST_SKIP() << needed << " is not installed";
  }
  const TemporaryDirectory directory;
  WriteProfile(directory / "report.speedscope.json", "speedscope");
  WriteProfile(directory / "report.folded", "folded");
  WriteProfile(directory / "report.trace.json", "trace");
  const Finished finished = RunCommand(
      {.arguments = {"node", LOOPSAN_USE_SPEEDSCOPE, "chromium", directory.path()}}, Seconds(120));
  EXPECT_EQ(finished.exit_code, 0) << finished.out << finished.err;
}

}  // namespace
}  // namespace loopsan::testing
