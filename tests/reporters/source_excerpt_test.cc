#include "reporters/source_excerpt.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>

namespace loopsan {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

class SourceReaderTest : public testing::Test {
 protected:
  SourceReaderTest() {
    std::string pattern = testing::TempDir() + "/source_excerpt.XXXXXX";
    directory_ = mkdtemp(pattern.data());
  }
  ~SourceReaderTest() override { std::filesystem::remove_all(directory_); }

  std::string File(const std::string& name, const std::string& text) {
    const std::string path = directory_ + "/" + name;
    std::ofstream(path, std::ios::binary) << text;
    return path;
  }

  std::string directory_;
  SourceReader reader_;
};

TEST_F(SourceReaderTest, ReadsTheLineAndItsNeighbours) {
  const std::string file = File("a.cc", "one\ntwo\r\nthree\nfour\nfive");
  const SourceExcerpt middle = reader_.Read(file, 3, 1);
  EXPECT_EQ(middle.first_line, 2);
  EXPECT_THAT(middle.lines, ElementsAre("two", "three", "four"));
  EXPECT_THAT(reader_.Read(file, 1, 1).lines, ElementsAre("one", "two"));
  EXPECT_THAT(reader_.Read(file, 5, 1).lines, ElementsAre("four", "five"));
  EXPECT_THAT(reader_.Read(file, 5, 0).lines, ElementsAre("five"));
}

TEST_F(SourceReaderTest, HasNothingForALineThatTheFileDoesNotHave) {
  const std::string file = File("a.cc", "one\n");
  EXPECT_THAT(reader_.Read(file, 2, 3).lines, IsEmpty());
  EXPECT_THAT(reader_.Read(file, 0, 3).lines, IsEmpty());
  EXPECT_THAT(reader_.Read(file, -1, 3).lines, IsEmpty());
  EXPECT_THAT(reader_.Read(directory_ + "/none.cc", 1, 3).lines, IsEmpty());
  EXPECT_THAT(reader_.Read("", 1, 3).lines, IsEmpty());
}

TEST_F(SourceReaderTest, ReadsNoFileThatIsNoSource) {
  EXPECT_THAT(reader_.Read(File("shadow", "secret\n"), 1, 3).lines, IsEmpty());
  EXPECT_THAT(reader_.Read(File("key.pem", "secret\n"), 1, 3).lines, IsEmpty());
  EXPECT_THAT(reader_.Read("relative.cc", 1, 3).lines, IsEmpty());
}

TEST_F(SourceReaderTest, DoesNotWaitForAFifo) {
  const std::string fifo = directory_ + "/fifo.cc";
  ASSERT_EQ(mkfifo(fifo.c_str(), 0600), 0);
  EXPECT_THAT(reader_.Read(fifo, 1, 3).lines, IsEmpty());
}

TEST_F(SourceReaderTest, CutsLinesThatNobodyReads) {
  const std::string file = File("bundle.js", std::string(100'000, 'x') + "\nnext\n");
  EXPECT_EQ(reader_.Read(file, 1, 0).lines.at(0).size(), 300u);
  EXPECT_THAT(reader_.Read(file, 2, 0).lines, ElementsAre("next"));
}

TEST_F(SourceReaderTest, LeavesHugeFilesAlone) {
  const std::string file = File("huge.cc", std::string(5 << 20, '\n'));
  EXPECT_THAT(reader_.Read(file, 1, 0).lines, IsEmpty());
}

}  // namespace
}  // namespace loopsan
