#include "tools/output.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <sstream>
#include <thread>

#include "tests/support/process.h"

namespace loopsan {
namespace {

using ::testing::HasSubstr;
using testing::TemporaryDirectory;

std::string Contents(const std::string& path) {
  std::ostringstream text;
  text << std::ifstream(path).rdbuf();
  return text.str();
}

std::string OpenError(const std::string& path) {
  return std::string(Output::Open(path).status().message());
}

TEST(Output, LeavesAnOldReportAloneUntilTheNewOneIsWritten) {
  const TemporaryDirectory directory;
  const std::string path = directory / "report";
  std::ofstream(path) << "a longer report from before";
  auto output = Output::Open(path);
  ASSERT_TRUE(output.ok()) << output.status();
  EXPECT_EQ(Contents(path), "a longer report from before");
  ASSERT_TRUE((*output)->Write("new").ok());
  EXPECT_EQ(Contents(path), "new");
}

TEST(Output, LeavesAnOldReportAloneIfTheRunFails) {
  const TemporaryDirectory directory;
  const std::string path = directory / "report";
  std::ofstream(path) << "old";
  {
    auto output = Output::Open(path);
  }
  EXPECT_EQ(Contents(path), "old");
}

TEST(Output, RemovesAFileThatItMadeForNothing) {
  const TemporaryDirectory directory;
  const std::string path = directory / "report";
  {
    auto output = Output::Open(path);
    EXPECT_TRUE(std::filesystem::exists(path));
  }
  EXPECT_FALSE(std::filesystem::exists(path));
}

TEST(Output, KeepsWhatItHasWritten) {
  const TemporaryDirectory directory;
  const std::string path = directory / "report";
  {
    auto output = Output::Open(path);
    ASSERT_TRUE(output.ok() && (*output)->Write("text").ok());
    (*output)->Discard();
  }
  EXPECT_EQ(Contents(path), "text");
}

TEST(Output, WritesThroughASymbolicLink) {
  const TemporaryDirectory directory;
  std::ofstream(directory / "target") << "old";
  std::filesystem::create_symlink("target", directory / "link");
  auto output = Output::Open(directory / "link");
  ASSERT_TRUE(output.ok() && (*output)->Write("new").ok());
  EXPECT_EQ(Contents(directory / "target"), "new");
  EXPECT_TRUE(std::filesystem::is_symlink(directory / "link"));
}

TEST(Output, NamesTheFileTheReasonAndARemedy) {
  EXPECT_EQ(OpenError("/nonexistent/r.json"),
            "cannot write /nonexistent/r.json: No such file or directory; make its directory "
            "first, or use - for standard output");
  const TemporaryDirectory directory;
  EXPECT_EQ(OpenError(directory.path()), "cannot write " + directory.path() +
                                             ": Is a directory; name a file in it, or use - for "
                                             "standard output");
}

TEST(Output, SaysThatADiskIsFull) {
  auto output = Output::Open("/dev/full");
  ASSERT_TRUE(output.ok()) << output.status();
  EXPECT_THAT(std::string((*output)->Write("text").message()),
              HasSubstr("cannot write /dev/full: No space left on device; free some space"));
}

TEST(Output, KnowsItsOwnFileUnderAnotherName) {
  const TemporaryDirectory directory;
  auto one = Output::Open(directory / "report");
  auto same = Output::Open(directory.path() + "/./report");
  auto other = Output::Open(directory / "other");
  ASSERT_TRUE(one.ok() && same.ok() && other.ok());
  EXPECT_TRUE((*one)->SameAs(**same));
  EXPECT_FALSE((*one)->SameAs(**other));
}

// node and others make the descriptors that they share with us non-blocking.
TEST(WriteAll, WaitsForRoomInANonBlockingPipe) {
  int pipe_fds[2];
  ASSERT_EQ(pipe2(pipe_fds, O_NONBLOCK), 0);
  const std::string text(1 << 20, 'x');
  std::string received;
  std::thread reader([&] {
    fcntl(pipe_fds[0], F_SETFL, 0);
    char buffer[4096];
    for (ssize_t got; (got = read(pipe_fds[0], buffer, sizeof buffer)) > 0;) {
      received.append(buffer, static_cast<size_t>(got));
    }
  });
  EXPECT_EQ(WriteAll(pipe_fds[1], text), 0);
  close(pipe_fds[1]);
  reader.join();
  close(pipe_fds[0]);
  EXPECT_EQ(received, text);
}

TEST(WriteAll, ReturnsTheReasonOfAFailure) { EXPECT_EQ(WriteAll(-1, "text"), EBADF); }

}  // namespace
}  // namespace loopsan
