#include "reporters/perf_map.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

namespace loopsan {
namespace {

using namespace std::string_view_literals;

PerfMap MapOf(std::string_view text) {
  PerfMap map;
  map.Append(text);
  return map;
}

TEST(PerfMap, FindsTheFirstAndTheLastByteOfARange) {
  const PerfMap map = MapOf("1000 20 work\n");
  EXPECT_EQ(map.Find(0x1000), "work");
  EXPECT_EQ(map.Find(0x101f), "work");
}

TEST(PerfMap, FindsNothingBesideARange) {
  const PerfMap map = MapOf("1000 20 work\n");
  EXPECT_EQ(map.Find(0xfff), "");
  EXPECT_EQ(map.Find(0x1020), "");
}

TEST(PerfMap, FindsNothingInAnEmptyMap) { EXPECT_EQ(PerfMap().Find(0), ""); }

TEST(PerfMap, KeepsSpacesInNames) {
  EXPECT_EQ(MapOf("1000 20 JS:*work /srv/my app.js:3:1\n").Find(0x1000),
            "JS:*work /srv/my app.js:3:1");
}

TEST(PerfMap, TakesAddressesWithAPrefix) {
  EXPECT_EQ(MapOf("0x1000 0x20 work\n").Find(0x1010), "work");
}

TEST(PerfMap, TakesLinesThatEndWithACarriageReturn) {
  EXPECT_EQ(MapOf("1000 20 work\r\n").Find(0x1000), "work");
}

TEST(PerfMap, IgnoresALineWithoutASize) { EXPECT_EQ(MapOf("1000 work\n").size(), 0); }

TEST(PerfMap, IgnoresALineWithoutAName) {
  EXPECT_EQ(MapOf("1000 20\n").size(), 0);
  EXPECT_EQ(MapOf("1000 20 \n").size(), 0);
}

TEST(PerfMap, IgnoresALineThatIsNotHexadecimal) {
  EXPECT_EQ(MapOf("hello 20 work\n1000 -5 work\n+1000 20 work\n").size(), 0);
}

TEST(PerfMap, IgnoresARangeOfSizeZero) { EXPECT_EQ(MapOf("1000 0 work\n").size(), 0); }

TEST(PerfMap, IgnoresARangeThatWrapsAround) {
  EXPECT_EQ(MapOf("ffffffffffffff00 200 work\n").size(), 0);
}

TEST(PerfMap, IgnoresNumbersOfMoreThan64Bits) {
  EXPECT_EQ(MapOf("10000000000000000 20 work\n1000 10000000000000000 work\n").size(), 0);
}

TEST(PerfMap, GoesOnAfterALineItCannotRead) {
  EXPECT_EQ(MapOf("\0\xff\n\n \n2000 10 next\n"sv).Find(0x2000), "next");
}

TEST(PerfMap, WaitsForTheEndOfALine) {
  PerfMap map = MapOf("1000 20 wo");
  EXPECT_EQ(map.Find(0x1000), "");
  map.Append("rk\n");
  EXPECT_EQ(map.Find(0x1000), "work");
}

TEST(PerfMap, ReadsTheSameOneByteAtATime) {
  PerfMap map;
  for (const char c : std::string("1000 20 old\n1010 8 new\n")) map.Append({&c, 1});
  EXPECT_EQ(map.Find(0x100f), "old");
  EXPECT_EQ(map.Find(0x1010), "new");
  EXPECT_EQ(map.Find(0x1018), "old");
}

TEST(PerfMap, PrefersTheNewerOfTwoEqualRanges) {
  EXPECT_EQ(MapOf("1000 20 old\n1000 20 new\n").Find(0x1000), "new");
}

TEST(PerfMap, KeepsBothSidesOfAnOlderRange) {
  const PerfMap map = MapOf("1000 30 old\n1010 10 new\n");
  EXPECT_EQ(map.Find(0x100f), "old");
  EXPECT_EQ(map.Find(0x1010), "new");
  EXPECT_EQ(map.Find(0x101f), "new");
  EXPECT_EQ(map.Find(0x1020), "old");
  EXPECT_EQ(map.Find(0x102f), "old");
  EXPECT_EQ(map.Find(0x1030), "");
}

TEST(PerfMap, ReplacesAllOlderRangesBelowANewerOne) {
  const PerfMap map = MapOf("1000 10 a\n1010 10 b\n1020 10 c\n1008 20 new\n");
  EXPECT_EQ(map.Find(0x1007), "a");
  EXPECT_EQ(map.Find(0x1008), "new");
  EXPECT_EQ(map.Find(0x1015), "new");
  EXPECT_EQ(map.Find(0x1027), "new");
  EXPECT_EQ(map.Find(0x1028), "c");
  EXPECT_EQ(map.size(), 3);
}

TEST(PerfMap, StopsAtItsLimit) {
  PerfMap map;
  map.Append("1000 20 first\n");
  const std::string line(1 << 20, '#');
  for (size_t bytes = 0; bytes <= PerfMap::kMaxBytes; bytes += line.size()) map.Append(line);
  map.Append("\n2000 20 late\n");
  EXPECT_TRUE(map.truncated());
  EXPECT_EQ(map.Find(0x1000), "first");
  EXPECT_EQ(map.Find(0x2000), "");
}

class PerfMapFile : public testing::Test {
 protected:
  void SetUp() override {
    std::string name = testing::TempDir() + "perf_map_XXXXXX";
    ASSERT_NE(mkdtemp(name.data()), nullptr);
    directory_ = name;
    path_ = directory_ + "/perf.map";
  }
  void TearDown() override { std::filesystem::remove_all(directory_); }

  void Write(const std::string& text, std::ios::openmode mode = std::ios::trunc) {
    std::ofstream(path_, std::ios::binary | mode) << text;
  }

  std::string directory_;
  std::string path_;
};

TEST_F(PerfMapFile, IsReadOnRefresh) {
  Write("1000 20 work\n");
  PerfMap map(path_, geteuid());
  EXPECT_EQ(map.Find(0x1000), "");
  map.Refresh();
  EXPECT_EQ(map.Find(0x1000), "work");
}

TEST_F(PerfMapFile, IsReadOnWhereItGrew) {
  Write("1000 20 one\n2000 2");
  PerfMap map(path_, geteuid());
  map.Refresh();
  Write("0 two\n", std::ios::app);
  map.Refresh();
  EXPECT_EQ(map.Find(0x1000), "one");
  EXPECT_EQ(map.Find(0x2000), "two");
}

TEST_F(PerfMapFile, IsReadAgainWhenItWasReplaced) {
  Write("1000 20 old\n");
  PerfMap map(path_, geteuid());
  map.Refresh();
  std::filesystem::rename(path_, directory_ + "/kept so that the inode is not reused");
  Write("2000 20 a longer one\n");
  map.Refresh();
  EXPECT_EQ(map.Find(0x1000), "");
  EXPECT_EQ(map.Find(0x2000), "a longer one");
}

TEST_F(PerfMapFile, IsReadAgainWhenItWasCut) {
  Write("1000 20 old\n1100 20 older\n");
  PerfMap map(path_, geteuid());
  map.Refresh();
  Write("2000 20 new\n");
  map.Refresh();
  EXPECT_EQ(map.Find(0x1000), "");
  EXPECT_EQ(map.Find(0x2000), "new");
}

TEST_F(PerfMapFile, IsKeptWhenItGoesAway) {
  Write("1000 20 work\n");
  PerfMap map(path_, geteuid());
  map.Refresh();
  std::filesystem::remove(path_);
  map.Refresh();
  EXPECT_EQ(map.Find(0x1000), "work");
}

TEST_F(PerfMapFile, IsNotReadThroughASymbolicLink) {
  Write("1000 20 work\n");
  const std::string link = directory_ + "/link";
  std::filesystem::create_symlink(path_, link);
  PerfMap map(link, geteuid());
  map.Refresh();
  EXPECT_EQ(map.size(), 0);
}

TEST_F(PerfMapFile, IsNotWaitedForIfItIsAFifo) {
  ASSERT_EQ(mkfifo(path_.c_str(), 0600), 0);
  PerfMap map(path_, geteuid());
  map.Refresh();
  EXPECT_EQ(map.size(), 0);
}

TEST_F(PerfMapFile, IsNotBelievedFromAStranger) {
  if (geteuid() != 0) GTEST_SKIP() << "only root can give a file away";
  Write("1000 20 work\n");
  ASSERT_EQ(chown(path_.c_str(), 12345, 12345), 0);
  PerfMap map(path_, 54321);
  map.Refresh();
  EXPECT_EQ(map.size(), 0);
  PerfMap owners(path_, 12345);
  owners.Refresh();
  EXPECT_EQ(owners.Find(0x1000), "work");
}

}  // namespace
}  // namespace loopsan
