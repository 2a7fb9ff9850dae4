// The HTML report in a browser. With LOOPSAN_SCREENSHOTS=DIRECTORY it leaves
// pictures there, to look at.
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>

#include "reporters/reporter.h"
#include "tests/reporters/big_report.h"
#include "tests/reporters/sample_report.h"
#include "tests/support/process.h"

namespace loopsan::testing {
namespace {

std::string WritePage(const std::string& path, const Report& report) {
  std::ofstream file(path, std::ios::binary);
  WriteHtml(report, {}, file);
  EXPECT_TRUE(file.good()) << path;
  return path;
}

TEST(HtmlReport, CanBeUsedInABrowser) {
  for (const char* needed : {"chromium", "node"}) {
    if (!IsInstalled(needed)) GTEST_SKIP() << needed << " is not installed";
  }
  const TemporaryDirectory directory;
  const std::string sample = WritePage(directory / "sample.html", SampleReport());
  const std::string big = WritePage(directory / "big.html", BigReport(10'000, 1'000'000));
  Command command;
  command.arguments = {"node", LOOPSAN_USE_REPORT, "chromium", sample, big};
  if (const char* screenshots = std::getenv("LOOPSAN_SCREENSHOTS")) {
    command.arguments.emplace_back(screenshots);
  }
  const Finished finished = RunCommand(command, Seconds(150));
  EXPECT_EQ(finished.exit_code, 0) << finished.out << finished.err;
}

}  // namespace
}  // namespace loopsan::testing
