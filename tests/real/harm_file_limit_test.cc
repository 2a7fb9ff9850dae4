// A file size limit of 0 that nobody may lift: loopsan works all the same, and
// leaves nothing behind.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <optional>
#include <sstream>

#include "tests/real/harm_run.h"

namespace loopsan::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

constexpr char kOnlyTheRightToLift[] = "ulimit -f unlimited 2>/dev/null && exit 77; ";

// As somebody without rights, who may write no file.
std::vector<std::string> Limited(std::vector<std::string> command) {
  std::vector<std::string> words;
  if (geteuid() == 0) {
    words = {"setpriv",        "--reuid=65534",       "--regid=65534",
             "--clear-groups", "--bounding-set=-all", "--inh-caps=-all"};
  }
  words.insert(
      words.end(),
      {"sh", "-c", std::string("ulimit -f 0; ") + kOnlyTheRightToLift + "exec \"$@\"", "sh"});
  words.insert(words.end(), command.begin(), command.end());
  return words;
}

std::vector<std::string> UnderLoopsan(std::vector<std::string> command) {
  command.insert(command.begin(), {LOOPSAN_COMMAND, "run", "--color=never", "--"});
  return Limited(std::move(command));
}

// A segment of System V shared memory, as the kernel lists it.
struct Segment {
  int number = -1;
  unsigned mode = 0;
  int attached = 0;
};

std::optional<Segment> SegmentMadeBy(pid_t pid) {
  std::ifstream list("/proc/sysvipc/shm");
  std::string line;
  std::getline(list, line);  // the columns
  while (std::getline(list, line)) {
    std::istringstream fields(line);
    Segment segment;
    long key = 0;
    unsigned long bytes = 0;
    pid_t maker = 0;
    pid_t last = 0;
    fields >> key >> segment.number >> std::oct >> segment.mode >> std::dec >> bytes >> maker >>
        last >> segment.attached;
    if (maker == pid) return segment;
  }
  return std::nullopt;
}

class HardFileSizeLimit : public ::testing::Test {
 protected:
  void SetUp() override {
    std::filesystem::permissions(directory_.path(), std::filesystem::perms::all);
    for (const std::string& program : {ProgramPath("harm_sandbox"), std::string(LOOPSAN_COMMAND)}) {
      if (RunCommand({Limited({"test", "-x", program}), {}, {}}).exit_code != 0) {
        GTEST_SKIP() << "somebody without rights cannot get at " << program;
      }
    }
  }

  std::vector<std::string> Scenario(const char* program, const char* scenario) const {
    return {ProgramPath(program), directory_.path(), scenario};
  }

  const TemporaryDirectory directory_;
};

TEST_F(HardFileSizeLimit, ChangesNothingAndHidesNothing) {
  for (const char* scenario : {"no_file_may_grow", "filter_before_the_first_wait",
                               "close_all_before_the_first_wait", "number_the_first_descriptor"}) {
    const std::vector<std::string> command = Scenario("harm_sandbox", scenario);
    const Finished alone = RunCommand({Limited(command), {}, {}});
    std::filesystem::remove(directory_ / "file");
    const Finished watched = RunCommand({UnderLoopsan(command), {}, {}});
    std::filesystem::remove(directory_ / "file");
    EXPECT_NE(alone.exit_code, 77);
    EXPECT_EQ(watched.exit_code, alone.exit_code) << scenario;
    EXPECT_EQ(watched.out, alone.out) << scenario;
    EXPECT_THAT(watched.err, HasSubstr("BlockForTheReport")) << scenario;
  }
}

TEST_F(HardFileSizeLimit, IsStillWhatKillsAProgramThatWrites) {
  const std::vector<std::string> command = Scenario("harm_sandbox", "writing_is_the_end");
  const Finished alone = RunCommand({Limited(command), {}, {}});
  EXPECT_EQ(alone.signal, SIGXFSZ);
  const Finished watched = RunCommand({UnderLoopsan(command), {}, {}});
  EXPECT_EQ(watched.exit_code, 128 + SIGXFSZ);
  EXPECT_THAT(watched.err, HasSubstr("BlockForTheReport"));
}

TEST_F(HardFileSizeLimit, LetsForkedAndReplacedProcessesBeSeen) {
  for (const char* scenario : {"fork_a_child_with_a_loop", "exec_in_the_loop"}) {
    const std::vector<std::string> command = Scenario("harm_processes", scenario);
    const Finished alone = RunCommand({Limited(command), {}, {}});
    const Finished watched = RunCommand({UnderLoopsan(command), {}, {}});
    EXPECT_EQ(watched.exit_code, alone.exit_code) << scenario;
    EXPECT_EQ(watched.out, alone.out) << scenario;
    EXPECT_THAT(watched.err, HasSubstr("  2 loops, ")) << watched.err;
  }
}

// The segment is gone with the last who has it, whoever that is.
TEST_F(HardFileSizeLimit, LeavesNoSharedMemoryBehindWhenTheCommandIsKilled) {
  Process process({UnderLoopsan(Scenario("harm_processes", "loop_until_told")), {}, {}});
  ASSERT_TRUE(process.WaitForOutput("looping"));
  const std::optional<Segment> segment = SegmentMadeBy(process.pid());
  ASSERT_TRUE(segment.has_value());
  EXPECT_EQ(segment->mode, 01600u) << "its owner's alone, and marked for removal";
  EXPECT_EQ(segment->attached, 2);
  process.Signal(SIGKILL);
  std::ofstream(directory_ / "stop") << "now";
  const Finished finished = process.Wait();
  EXPECT_EQ(finished.out, "looping\nstopped\n");
  EXPECT_FALSE(SegmentMadeBy(process.pid()).has_value());
}

TEST_F(HardFileSizeLimit, LeavesNoSharedMemoryBehindAtTheEnd) {
  Process process({UnderLoopsan(Scenario("harm_sandbox", "no_file_may_grow")), {}, {}});
  EXPECT_EQ(process.Wait().exit_code, 3);
  EXPECT_FALSE(SegmentMadeBy(process.pid()).has_value());
}

TEST_F(HardFileSizeLimit, LetsThePreloadedProbeWork) {
  std::vector<std::string> command = Scenario("harm_processes", "block_once_watched");
  command.insert(command.begin(), {"env", "LD_PRELOAD=" + ProbePath()});
  const Finished finished = RunCommand({Limited(command), {}, {}});
  EXPECT_EQ(finished.exit_code, 3);
  EXPECT_EQ(finished.out, "watched: yes\n");
  EXPECT_THAT(finished.err, HasSubstr("BlockForTheReport"));
}

// The collector must find the mapping of its own arena in the process.
TEST_F(HardFileSizeLimit, LetsTheSamplingSignalWork) {
  const Finished finished = RunCommand(
      {UnderLoopsan(Scenario("victim_epoll_O2", "cpu")), {"LOOPSAN_TEST_NO_PERF=1"}, {}});
  EXPECT_EQ(finished.exit_code, 0);
  EXPECT_THAT(finished.err, HasSubstr("CpuDirect"));
  EXPECT_THAT(finished.err, HasSubstr("taken with a realtime signal"));
}

TEST_F(HardFileSizeLimit, IsSaidWhereThereIsNoOtherSharedMemory) {
  std::vector<std::string> command = {
      "unshare", "-i", "sh", "-c", "echo 0 > /proc/sys/kernel/shmmni || exit 77; exec \"$@\"",
      "sh"};
  const std::vector<std::string> watched = UnderLoopsan({"echo", "ran"});
  command.insert(command.end(), watched.begin(), watched.end());
  const Finished finished = RunCommand({command, {}, {}});
  if (finished.exit_code == 77 || finished.err.find("unshare:") != std::string::npos) {
    GTEST_SKIP() << "only root may forbid it";
  }
  EXPECT_EQ(finished.exit_code, 125);
  EXPECT_EQ(finished.out, "");
  EXPECT_THAT(finished.err, HasSubstr("ulimit -f"));
  EXPECT_THAT(finished.err, HasSubstr("shmget"));
}

// The command leaves the namespace in which the segment has its number.
TEST_F(HardFileSizeLimit, DoesNotHarmAProgramInAnotherNamespace) {
  std::vector<std::string> command = Scenario("harm_sandbox", "no_file_may_grow");
  command.insert(command.begin(), {"unshare", "-Uri"});
  const Finished alone = RunCommand({Limited(command), {}, {}});
  if (alone.exit_code != 3) GTEST_SKIP() << "not allowed here";
  std::filesystem::remove(directory_ / "file");
  const Finished watched = RunCommand({UnderLoopsan(command), {}, {}});
  EXPECT_EQ(watched.exit_code, 3);
  EXPECT_EQ(watched.out, alone.out);
  EXPECT_THAT(watched.err, Not(HasSubstr("BlockForTheReport")));
}

}  // namespace
}  // namespace loopsan::testing
