// A shell script of many short commands: loopsan is in every one of them, and
// nothing of it is left.
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <set>

#include "tests/real/harm_run.h"

namespace loopsan::testing {
namespace {

constexpr int kCommands = 200;
constexpr char kScript[] =
    "i=0; while [ $i -lt 40 ]; do i=$((i+1)); /bin/true; /bin/echo $i; /bin/echo $i | /bin/cat; "
    "/bin/false || /bin/echo failed >&2; done; exit 7";

std::set<std::string> FilesIn(const std::string& directory) {
  std::set<std::string> files;
  std::error_code ignored;
  for (const auto& entry : std::filesystem::directory_iterator(directory, ignored)) {
    files.insert(entry.path().filename());
  }
  return files;
}

// Processes that inherited `variable` from the script.
std::set<std::string> ProcessesWith(const std::string& variable) {
  std::set<std::string> processes;
  for (const std::string& pid : FilesIn("/proc")) {
    std::ifstream file("/proc/" + pid + "/environ", std::ios::binary);
    const std::string environment{std::istreambuf_iterator<char>(file), {}};
    if (environment.find(variable) != std::string::npos) processes.insert(pid);
  }
  return processes;
}

struct Setting {
  const char* name;
  std::vector<std::string> prefix;
  std::vector<std::string> environment;
};

void PrintTo(const Setting& setting, std::ostream* out) { *out << setting.name; }

Finished RunScript(const Setting& setting, const TemporaryDirectory& directory) {
  Command command{setting.prefix, setting.environment, directory.path()};
  command.arguments.insert(command.arguments.end(), {"/bin/sh", "-c", kScript});
  command.environment.push_back("TMPDIR=" + directory.path());
  command.environment.push_back("HARM_DIRECTORY=" + directory.path());
  return RunCommand(command);
}

class ShellScript : public ::testing::TestWithParam<Setting> {};

TEST_P(ShellScript, SaysTheSameAndLeavesNothingBehind) {
  const TemporaryDirectory plain_directory;
  const Finished alone = RunScript({"alone", {}, {}}, plain_directory);
  const TemporaryDirectory directory;
  const Finished watched = RunScript(GetParam(), directory);

  EXPECT_EQ(watched.out, alone.out);
  EXPECT_EQ(watched.err, alone.err);
  EXPECT_EQ(watched.exit_code, 7);
  EXPECT_EQ(FilesIn(directory.path()), std::set<std::string>{});
  for (const std::string& file : FilesIn("/dev/shm")) {
    EXPECT_EQ(file.find("loopsan"), std::string::npos) << file;
  }
  EXPECT_EQ(ProcessesWith("HARM_DIRECTORY=" + directory.path()), std::set<std::string>{});

  const int added = static_cast<int>((watched.seconds - alone.seconds) / kCommands * 1e6);
  RecordProperty("added_microseconds_per_command", added);
}

INSTANTIATE_TEST_SUITE_P(
    All, ShellScript,
    ::testing::Values(Setting{"command", {LOOPSAN_COMMAND, "run", "--quiet", "--"}, {}},
                      Setting{"preload", {}, {std::string("LD_PRELOAD=") + LOOPSAN_PROBE}}),
    [](const auto& info) { return std::string(info.param.name); });

}  // namespace
}  // namespace loopsan::testing
