// The helper process with a collector that plays a part (fake_collector.cc).
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <string>

#include "instrument/segment.h"
#include "tests/support/process.h"

namespace loopsan {
namespace {

using testing::Finished;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::Process;

// A program whose end is ours to decide.
class Host {
 public:
  Host() : process_({.arguments = {"sh", "-c", "echo ready; exec sleep 1000"}}) {
    EXPECT_TRUE(process_.WaitForOutput("ready"));
  }
  std::string Flag() { return "--pid=" + std::to_string(process_.pid()); }
  void End() {
    process_.Signal(SIGKILL);
    process_.Wait();
  }

 private:
  Process process_;
};

// A set of /proc/PID/status, without the two signals that glibc keeps to itself.
uint64_t SignalSet(const std::string& proc, const std::string& name) {
  std::ifstream status(proc + "/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with(name + ":")) {
      return std::stoull(line.substr(name.size() + 1), nullptr, 16) & ~uint64_t{0x180000000};
    }
  }
  ADD_FAILURE() << "no " << name;
  return 0;
}

TEST(Collect, ReportsWhenTheProgramEnds) {
  Host host;
  Process helper({.arguments = {FAKE_LOOPSAN, "collect", host.Flag()},
                  .environment = {"LOOPSAN_FAKE=live,loop,finding"}});
  ASSERT_TRUE(helper.WaitForError("has not moved"));
  const std::string before = helper.error();
  host.End();
  const Finished result = helper.Wait();
  EXPECT_EQ(result.exit_code, 0);
  EXPECT_GT(result.err.size(), before.size());
  EXPECT_THAT(result.out, IsEmpty());
}

TEST(Collect, ReportsOnAProgramThatIsGoneAlready) {
  Host host;
  const std::string flag = host.Flag();
  host.End();
  const Finished result = testing::RunCommand(
      {.arguments = {FAKE_LOOPSAN, "collect", flag}, .environment = {"LOOPSAN_FAKE=loop,finding"}});
  EXPECT_EQ(result.exit_code, 0);
  EXPECT_FALSE(result.err.empty());
}

TEST(Collect, ShowsTheArenaAndHoldsNothingOfTheProgram) {
  Host host;
  // Descriptors 3 and 9, an ignored and a blocked signal, and few descriptors allowed.
  Process helper(
      {.arguments = {"sh", "-c",
                     "exec 3</dev/zero 9</dev/zero; ulimit -S -n 80; exec env "
                     "--ignore-signal=USR1 --block-signal=USR2 " FAKE_LOOPSAN " collect " +
                         host.Flag()},
       .environment = {"LOOPSAN_FAKE=live,loop"}});
  ASSERT_TRUE(helper.WaitForError("has not moved"));
  const std::string proc = "/proc/" + std::to_string(helper.pid());
  EXPECT_THAT(std::filesystem::read_symlink(proc + "/fd/" + std::to_string(segment::kHelperArenaFd))
                  .string(),
              HasSubstr("memfd:loopsan-fake"));
  EXPECT_EQ(std::filesystem::read_symlink(proc + "/fd/0"), "/dev/null");
  EXPECT_EQ(std::filesystem::read_symlink(proc + "/fd/1"), "/dev/null");
  for (const auto& entry : std::filesystem::directory_iterator(proc + "/fd")) {
    EXPECT_NE(std::filesystem::read_symlink(entry.path()), "/dev/zero") << entry.path();
  }
  EXPECT_EQ(SignalSet(proc, "SigBlk"), 0u);
  uint64_t ignored = 0;
  for (int number : {SIGHUP, SIGINT, SIGQUIT, SIGPIPE, SIGTERM, SIGXFSZ}) {
    ignored |= uint64_t{1} << (number - 1);
  }
  EXPECT_EQ(SignalSet(proc, "SigIgn"), ignored);
  host.End();
  helper.Wait();
}

TEST(Collect, OutlivesWhatEndsTheProgramsGroup) {
  Host host;
  Process helper({.arguments = {FAKE_LOOPSAN, "collect", host.Flag()},
                  .environment = {"LOOPSAN_FAKE=live,loop,finding"}});
  ASSERT_TRUE(helper.WaitForError("has not moved"));
  for (int number : {SIGINT, SIGQUIT, SIGTERM, SIGHUP, SIGPIPE}) kill(helper.pid(), number);
  host.End();
  EXPECT_EQ(helper.Wait().exit_code, 0);
}

TEST(Collect, NamesABadSettingInTheEnvironment) {
  const Finished result = testing::RunCommand(
      {.arguments = {FAKE_LOOPSAN, "collect", "--pid=1"}, .environment = {"LOOPSAN_OPTIONS=x=1"}});
  EXPECT_EQ(result.exit_code, 125);
  EXPECT_THAT(result.err, HasSubstr("loopsan: LOOPSAN_OPTIONS: unknown option 'x'"));
}

TEST(Collect, WantsAProcess) {
  for (const char* bad : {"--pid=", "--pid=x", "--pid=-1", "--pid=0", "5"}) {
    EXPECT_EQ(testing::RunCommand({.arguments = {FAKE_LOOPSAN, "collect", bad}}).exit_code, 125)
        << bad;
  }
}

}  // namespace
}  // namespace loopsan
