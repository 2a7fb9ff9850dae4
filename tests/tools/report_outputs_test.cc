#include "tools/report_outputs.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <map>
#include <string>

#include "tests/support/process.h"

namespace loopsan {
namespace {

using ::testing::HasSubstr;
using testing::TemporaryDirectory;

TEST(ReportOutputs, NamesTheFlagWhoseFileCannotBeWritten) {
  Options options;
  options.json_path = "/nonexistent/r.json";
  EXPECT_THAT(std::string(ReportOutputs::Open(options).status().message()),
              HasSubstr("--json: cannot write /nonexistent/r.json: "));
  options = {};
  options.output_path = "/nonexistent/r.txt";
  EXPECT_THAT(std::string(ReportOutputs::Open(options).status().message()),
              HasSubstr("--output: cannot write /nonexistent/r.txt: "));
}

TEST(ReportOutputs, RefusesOneFileForTwoReports) {
  const TemporaryDirectory directory;
  Options options;
  options.json_path = options.output_path = directory / "report";
  EXPECT_THAT(std::string(ReportOutputs::Open(options).status().message()),
              HasSubstr("--json and --output both name"));
  EXPECT_FALSE(std::filesystem::exists(directory / "report"));
}

TEST(ReportOutputs, WritesProposedSuppressionsToAFileOfTheirOwn) {
  const TemporaryDirectory directory;
  Options options;
  options.json_path = options.write_suppressions_path = directory / "r.json";
  EXPECT_THAT(std::string(ReportOutputs::Open(options).status().message()),
              HasSubstr("--write-suppressions and a report both name"));
  options.write_suppressions_path = directory / "r.supp";
  auto outputs = ReportOutputs::Open(options);
  ASSERT_TRUE(outputs.ok()) << outputs.status();
  EXPECT_TRUE((*outputs)->Write(Report{}).ok());
  EXPECT_GT(std::filesystem::file_size(options.write_suppressions_path), 0u);
}

TEST(ReportOutputs, WritesBothReports) {
  const TemporaryDirectory directory;
  Options options;
  options.json_path = directory / "r.json";
  options.output_path = directory / "r.txt";
  auto outputs = ReportOutputs::Open(options);
  ASSERT_TRUE(outputs.ok()) << outputs.status();
  EXPECT_TRUE((*outputs)->Write(Report{}).ok());
  EXPECT_GT(std::filesystem::file_size(options.json_path), 0u);
  EXPECT_GT(std::filesystem::file_size(options.output_path), 0u);
}

constexpr Reporter kReporters[] = {
    {"text", "", WriteText}, {"json", "", WriteJson}, {"sarif", "", WriteJson}};

TEST(ReportOutputs, WritesAFileForEachReporterThatTheOptionsName) {
  const TemporaryDirectory directory;
  Options options;
  options.output_path = directory / "r.txt";
  options.json_path = directory / "r.json";
  options.report_paths["sarif"] = directory / "r.sarif";
  auto outputs = ReportOutputs::Open(options, kReporters);
  ASSERT_TRUE(outputs.ok()) << outputs.status();
  EXPECT_TRUE((*outputs)->Write(Report{}).ok());
  EXPECT_GT(std::filesystem::file_size(options.report_paths["sarif"]), 0u);
  EXPECT_EQ(std::filesystem::file_size(options.report_paths["sarif"]),
            std::filesystem::file_size(options.json_path));
}

TEST(ReportOutputs, OpensNoFileThatIsNotAskedFor) {
  Options options;
  options.report_paths["sarif"] = "";
  EXPECT_TRUE(ReportOutputs::Open(options, kReporters).ok());
}

TEST(ReportOutputs, NamesTheFlagOfAReporter) {
  const TemporaryDirectory directory;
  Options options;
  options.report_paths["sarif"] = "/nonexistent/r.sarif";
  EXPECT_THAT(std::string(ReportOutputs::Open(options, kReporters).status().message()),
              HasSubstr("--sarif: cannot write /nonexistent/r.sarif: "));
  options.json_path = options.report_paths["sarif"] = directory / "r";
  EXPECT_THAT(std::string(ReportOutputs::Open(options, kReporters).status().message()),
              HasSubstr("--sarif and --json both name"));
}

TEST(ReportOutputs, WritesTheJsonAlthoughTheTextCannotBeWritten) {
  const TemporaryDirectory directory;
  Options options;
  options.json_path = directory / "r.json";
  options.output_path = "/dev/full";
  auto outputs = ReportOutputs::Open(options);
  ASSERT_TRUE(outputs.ok()) << outputs.status();
  EXPECT_THAT(std::string((*outputs)->Write(Report{}).message()), HasSubstr("/dev/full"));
  EXPECT_GT(std::filesystem::file_size(options.json_path), 0u);
}

TEST(UsesColor, OnATerminalThatCanShowIt) {
  EXPECT_TRUE(UsesColor(ColorMode::kAuto, true, nullptr, "xterm"));
  EXPECT_TRUE(UsesColor(ColorMode::kAuto, true, "", "xterm"));
  EXPECT_FALSE(UsesColor(ColorMode::kAuto, true, nullptr, "dumb"));
  EXPECT_FALSE(UsesColor(ColorMode::kAuto, true, nullptr, nullptr));
  EXPECT_FALSE(UsesColor(ColorMode::kAuto, true, "1", "xterm"));
  EXPECT_FALSE(UsesColor(ColorMode::kAuto, false, nullptr, "xterm"));
}

TEST(KnowsLinks, OnTerminalsThatSayWhoTheyAre) {
  std::map<std::string, std::string> environment;
  const auto variable = [&](const char* name) -> const char* {
    const auto found = environment.find(name);
    return found == environment.end() ? nullptr : found->second.c_str();
  };
  EXPECT_FALSE(KnowsLinks(variable));
  environment = {{"TERM", "xterm-256color"}, {"VTE_VERSION", "7001"}};
  EXPECT_TRUE(KnowsLinks(variable));
  environment["VTE_VERSION"] = "4602";
  EXPECT_FALSE(KnowsLinks(variable));
  environment["VTE_VERSION"] = "new";
  EXPECT_FALSE(KnowsLinks(variable));
  environment = {{"TERM_PROGRAM", "vscode"}};
  EXPECT_TRUE(KnowsLinks(variable));
  environment["TERM"] = "dumb";
  EXPECT_FALSE(KnowsLinks(variable));
  environment["FORCE_HYPERLINK"] = "1";
  EXPECT_TRUE(KnowsLinks(variable));
  environment = {{"TERM_PROGRAM", "vscode"}, {"FORCE_HYPERLINK", "0"}};
  EXPECT_FALSE(KnowsLinks(variable));
}

TEST(UsesColor, AsAskedFor) {
  EXPECT_TRUE(UsesColor(ColorMode::kAlways, false, "1", "dumb"));
  EXPECT_FALSE(UsesColor(ColorMode::kNever, true, nullptr, "xterm"));
}

}  // namespace
}  // namespace loopsan
