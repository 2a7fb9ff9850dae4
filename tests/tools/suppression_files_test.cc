#include "tools/suppression_files.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "reporters/internal/suppression.h"
#include "tests/support/process.h"

namespace loopsan {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using ::testing::StartsWith;
using testing::TemporaryDirectory;

std::string Error(const Options& options, const std::vector<std::string>& folders = {}) {
  return std::string(ReadSuppressions(options, folders).status().message());
}

TEST(RulePackFolders, AreTheUsersThenTheInstalledOnes) {
  const std::vector<std::string> folders = RulePackFolders("/a::/b:/a", "/opt/loopsan/bin");
  ASSERT_GE(folders.size(), 4u);
  EXPECT_EQ(folders[0], "/a");
  EXPECT_EQ(folders[1], "/b");
  EXPECT_EQ(folders[2], "/opt/loopsan/share/loopsan/suppressions");
  EXPECT_EQ(folders.back(), "/usr/share/loopsan/suppressions");
}

TEST(RulePackFolders, DoWithoutAVariableAndWithoutACommand) {
  EXPECT_THAT(RulePackFolders(nullptr, ""), Contains("/usr/share/loopsan/suppressions"));
}

TEST(ReadSuppressions, ReadsAllFilesAndPacks) {
  const TemporaryDirectory directory;
  std::ofstream(directory / "a.supp") << "stall:a # reason: x\n";
  std::ofstream(directory / "b.supp") << "stall:b # reason: x\n";
  std::ofstream(directory / "pack.supp") << "# A pack\nstall:c # reason: x\n";
  Options options;
  options.suppression_files = {directory / "a.supp", directory / "b.supp"};
  options.rule_packs = {"pack"};
  const absl::StatusOr<Suppressions> suppressions = ReadSuppressions(options, {directory.path()});
  ASSERT_TRUE(suppressions.ok()) << suppressions.status();
  ASSERT_THAT(suppressions->entries(), SizeIs(3));
  EXPECT_EQ(suppressions->entries()[1].file, directory / "b.supp");
  EXPECT_EQ(suppressions->entries()[1].origin, SuppressionOrigin::kUser);
  EXPECT_EQ(suppressions->entries()[2].origin, SuppressionOrigin::kRulePack);
}

TEST(ReadSuppressions, ReadsNothingIfNothingIsAskedFor) {
  const absl::StatusOr<Suppressions> suppressions = ReadSuppressions({}, {"/nonexistent"});
  ASSERT_TRUE(suppressions.ok());
  EXPECT_THAT(suppressions->entries(), IsEmpty());
}

TEST(ReadSuppressions, TellsOfTheErrorsOfAllFiles) {
  const TemporaryDirectory directory;
  std::ofstream(directory / "a.supp") << "stall:a\n";
  Options options;
  options.suppression_files = {directory / "a.supp", "/nonexistent"};
  EXPECT_EQ(Error(options), "--suppressions: " + directory / "a.supp" +
                                ":1: there is no reason; end the line with '# reason: WHY'\n"
                                "--suppressions: cannot read the suppressions /nonexistent: No "
                                "such file or directory");
}

TEST(ReadSuppressions, NamesThePacksThatThereAre) {
  const TemporaryDirectory directory;
  std::ofstream(directory / "redis.supp") << "# Redis\n";
  std::ofstream(directory / "notes.txt") << "nothing\n";
  std::ofstream(directory / "uv.supp") << "# libuv\n";
  Options options;
  options.rule_packs = {"../etc/passwd"};
  EXPECT_EQ(Error(options, {"/nonexistent", directory.path()}),
            "--rule-pack: there is no rule pack '../etc/passwd'; there are redis, uv; looked in "
            "/nonexistent, " +
                directory.path());
}

TEST(ReadSuppressions, GuessesWhichPackIsMeant) {
  const TemporaryDirectory directory;
  std::ofstream(directory / "redis.supp") << "# Redis\n";
  Options options;
  options.rule_packs = {"reddis"};
  EXPECT_THAT(Error(options, {directory.path()}),
              HasSubstr("there is no rule pack 'reddis' (did you mean 'redis'?); there are redis"));
}

TEST(ReadSuppressions, TakesThePackOfTheFirstFolder) {
  const TemporaryDirectory mine, installed;
  std::ofstream(mine / "uv.supp") << "# mine\nstall:a # reason: mine\n";
  std::ofstream(installed / "uv.supp") << "# theirs\n";
  Options options;
  options.rule_packs = {"uv"};
  const auto suppressions = ReadSuppressions(options, {mine.path(), installed.path()});
  ASSERT_TRUE(suppressions.ok());
  EXPECT_THAT(suppressions->entries(), SizeIs(1));
}

TEST(PrintRulePacks, ShowsTheirDescriptions) {
  const TemporaryDirectory directory;
  std::ofstream(directory / "redis.supp") << "# Redis: \x1b[2J\n";
  std::ofstream(directory / "uv.supp") << "";
  std::ostringstream out;
  PrintRulePacks({directory.path()}, out);
  EXPECT_EQ(out.str(), "redis  Redis: \\x1b[2J\nuv     \n");
}

TEST(PrintRulePacks, SaysWhereThereAreNone) {
  std::ostringstream out;
  PrintRulePacks({"/nonexistent"}, out);
  EXPECT_EQ(out.str(), "there are no rule packs in /nonexistent\n");
}

TEST(RulePacks, OfTheProjectAreAllGood) {
  int packs = 0;
  for (const auto& entry : std::filesystem::directory_iterator(LOOPSAN_RULE_PACKS)) {
    SCOPED_TRACE(entry.path());
    EXPECT_EQ(entry.path().extension(), ".supp");
    Suppressions suppressions;
    const absl::Status status = suppressions.AddFile(entry.path(), SuppressionOrigin::kRulePack);
    EXPECT_TRUE(status.ok()) << status;
    std::string first;
    std::getline(std::ifstream(entry.path()), first);
    EXPECT_THAT(first, StartsWith("# ")) << "which --rule-pack=list shows";
    ++packs;
  }
  EXPECT_GE(packs, 4);
}

}  // namespace
}  // namespace loopsan
