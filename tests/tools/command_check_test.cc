#include "tools/command_check.h"

#include <elf.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "absl/status/status.h"
#include "tests/support/process.h"

namespace loopsan {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::TemporaryDirectory;

std::string MakeFile(const TemporaryDirectory& directory, const std::string& name,
                     const std::string& contents, mode_t mode = 0755) {
  const std::string path = directory / name;
  std::ofstream(path) << contents;
  chmod(path.c_str(), mode);
  return path;
}

std::string Bytes(const std::string& path) {
  std::ostringstream bytes;
  bytes << std::ifstream(path).rdbuf();
  return bytes.str();
}

TEST(ResolveCommand, TakesAPathAsItIs) {
  EXPECT_EQ(*ResolveCommand("/bin/sh", "/nowhere"), "/bin/sh");
}

TEST(ResolveCommand, TakesTheFirstExecutableInPath) {
  const TemporaryDirectory directory;
  std::filesystem::create_directory(directory / "a");
  std::filesystem::create_directory(directory / "b");
  MakeFile(directory, "a/tool", "#!/bin/sh\n", 0644);
  const std::string tool = MakeFile(directory, "b/tool", "#!/bin/sh\n");
  const std::string path = "/nowhere:" + (directory / "a") + ":" + (directory / "b");
  EXPECT_EQ(*ResolveCommand("tool", path.c_str()), tool);
}

TEST(ResolveCommand, LooksInTheUsualPlacesWithoutPath) {
  EXPECT_EQ(*ResolveCommand("sh", nullptr), "/bin/sh");
}

TEST(ResolveCommand, IsNotFoundAnywhere) {
  const auto found = ResolveCommand("no-such-tool", "/bin:/usr/bin");
  EXPECT_TRUE(absl::IsNotFound(found.status()));
  EXPECT_THAT(std::string(found.status().message()), HasSubstr("no-such-tool"));
  EXPECT_TRUE(absl::IsNotFound(ResolveCommand("/no/such/tool", "/bin").status()));
  EXPECT_TRUE(absl::IsNotFound(ResolveCommand("", "/bin").status()));
}

TEST(ResolveCommand, RefusesWhatIsNotExecutable) {
  const TemporaryDirectory directory;
  const std::string path = MakeFile(directory, "data", "text", 0644);
  EXPECT_TRUE(absl::IsPermissionDenied(ResolveCommand(path, "").status()));
  EXPECT_TRUE(absl::IsPermissionDenied(ResolveCommand("data", directory.path().c_str()).status()));
}

TEST(ResolveCommand, RefusesADirectory) {
  EXPECT_TRUE(absl::IsPermissionDenied(ResolveCommand("/usr", "").status()));
}

TEST(CheckCommand, AcceptsADynamicProgram) {
  const auto checked = CheckCommand({"sh", "-c", "exit"});
  ASSERT_TRUE(checked.ok()) << checked.status();
  EXPECT_THAT(checked->argv, ElementsAre("sh", "-c", "exit"));
}

TEST(CheckCommand, AcceptsAScript) {
  const TemporaryDirectory directory;
  const std::string path = MakeFile(directory, "script", "#! /bin/sh -e\nexit 0\n");
  const auto checked = CheckCommand({path, "x"});
  ASSERT_TRUE(checked.ok()) << checked.status();
  EXPECT_EQ(checked->path, path);
  EXPECT_THAT(checked->argv, ElementsAre(path, "x"));
}

TEST(CheckCommand, GivesATextWithoutAnInterpreterToTheShell) {
  const TemporaryDirectory directory;
  const std::string path = MakeFile(directory, "script", "exit 0\n");
  const auto checked = CheckCommand({path, "x"});
  ASSERT_TRUE(checked.ok()) << checked.status();
  EXPECT_EQ(checked->path, "/bin/sh");
  EXPECT_THAT(checked->argv, ElementsAre("/bin/sh", path, "x"));
}

TEST(CheckCommand, AcceptsTheLoaderItself) {
  const auto shell = ReadProgramFile("/bin/sh");
  ASSERT_TRUE(shell.ok());
  EXPECT_TRUE(CheckCommand({shell->interpreter, "/bin/true"}).ok());
}

TEST(CheckCommand, RefusesAStaticProgram) {
  const auto checked = CheckCommand({STATIC_PROGRAM});
  EXPECT_TRUE(absl::IsFailedPrecondition(checked.status()));
  EXPECT_THAT(std::string(checked.status().message()),
              HasSubstr("cannot watch " STATIC_PROGRAM ": it is statically linked"));
}

TEST(CheckCommand, RefusesAScriptWithAStaticInterpreter) {
  const TemporaryDirectory directory;
  const std::string path = MakeFile(directory, "script", "#!" STATIC_PROGRAM "\n");
  const auto checked = CheckCommand({path});
  EXPECT_TRUE(absl::IsFailedPrecondition(checked.status()));
  EXPECT_THAT(std::string(checked.status().message()),
              HasSubstr("(the interpreter of " + path + "): it is statically linked"));
}

TEST(CheckCommand, DoesNotFindAMissingInterpreter) {
  const TemporaryDirectory directory;
  const std::string path = MakeFile(directory, "script", "#!/no/such/interpreter\n");
  const auto checked = CheckCommand({path});
  EXPECT_TRUE(absl::IsNotFound(checked.status()));
  EXPECT_THAT(std::string(checked.status().message()), HasSubstr("/no/such/interpreter"));
}

TEST(CheckCommand, GivesUpOnInterpretersThatNeverEnd) {
  const TemporaryDirectory directory;
  const std::string path = directory / "script";
  MakeFile(directory, "script", "#!" + path + "\n");
  EXPECT_TRUE(absl::IsPermissionDenied(CheckCommand({path}).status()));
}

TEST(CheckCommand, RefusesWhatIsNeitherProgramNorScript) {
  const TemporaryDirectory directory;
  const std::string path = MakeFile(directory, "data", std::string("\x01\0\x02", 3));
  EXPECT_TRUE(absl::IsPermissionDenied(CheckCommand({path}).status()));
}

TEST(CheckCommand, RefusesAProgramForAnotherMachine) {
  const TemporaryDirectory directory;
  std::string bytes = Bytes("/bin/true");
  const uint16_t machine = EM_S390;
  std::memcpy(&bytes[offsetof(Elf64_Ehdr, e_machine)], &machine, sizeof machine);
  const auto checked = CheckCommand({MakeFile(directory, "foreign", bytes)});
  EXPECT_TRUE(absl::IsFailedPrecondition(checked.status()));
  EXPECT_THAT(std::string(checked.status().message()), HasSubstr("another kind of machine"));
}

TEST(CheckCommand, RefusesAProgramFor32Bits) {
  const TemporaryDirectory directory;
  std::string bytes = Bytes("/bin/true");
  bytes[EI_CLASS] = ELFCLASS32;
  EXPECT_TRUE(
      absl::IsFailedPrecondition(CheckCommand({MakeFile(directory, "foreign", bytes)}).status()));
}

TEST(CheckCommand, NamesALoaderThatDoesNotExist) {
  const TemporaryDirectory directory;
  std::string bytes = Bytes("/bin/true");
  const std::string loader = ReadProgramFile("/bin/true")->interpreter;
  const size_t at = bytes.find(loader);
  ASSERT_NE(at, std::string::npos);
  bytes[at + 1] = 'X';
  const auto checked = CheckCommand({MakeFile(directory, "program", bytes)});
  EXPECT_TRUE(absl::IsNotFound(checked.status()));
  EXPECT_THAT(std::string(checked.status().message()), HasSubstr("its loader /X"));
}

TEST(CheckCommand, SurvivesEveryTruncationOfAHeader) {
  const TemporaryDirectory directory;
  const std::string bytes = Bytes("/bin/true");
  for (size_t size = 0; size < 2048; size += 7) {
    // A file without PT_INTERP is refused; what matters is that each is decided.
    const auto checked = CheckCommand({MakeFile(directory, "program", bytes.substr(0, size))});
    if (size >= SELFMAG && size < sizeof(Elf64_Ehdr)) {
      EXPECT_FALSE(checked.ok()) << size;
    }
  }
}

PrivilegeFacts SetUserIdOfRoot() {
  return {.mode = S_IFREG | S_ISUID | 0755, .owner = 0, .real_uid = 1000, .real_gid = 1000};
}

TEST(RaisesPrivileges, ASetUserIdProgramOfAnother) {
  EXPECT_EQ(RaisesPrivileges(SetUserIdOfRoot()), "is set-user-ID");
}

TEST(RaisesPrivileges, NotASetUserIdProgramOfTheUser) {
  PrivilegeFacts facts = SetUserIdOfRoot();
  facts.real_uid = 0;
  EXPECT_EQ(RaisesPrivileges(facts), std::nullopt);
}

TEST(RaisesPrivileges, NotWhereTheKernelIgnoresTheBit) {
  PrivilegeFacts facts = SetUserIdOfRoot();
  facts.mounted_nosuid = true;
  EXPECT_EQ(RaisesPrivileges(facts), std::nullopt);
  facts = SetUserIdOfRoot();
  facts.no_new_privileges = true;
  EXPECT_EQ(RaisesPrivileges(facts), std::nullopt);
}

TEST(RaisesPrivileges, ASetGroupIdProgramThatTheGroupMayRun) {
  PrivilegeFacts facts = {.mode = S_IFREG | S_ISGID | 0755, .group = 42, .real_gid = 1000};
  EXPECT_EQ(RaisesPrivileges(facts), "is set-group-ID");
  facts.mode &= ~static_cast<mode_t>(S_IXGRP);
  EXPECT_EQ(RaisesPrivileges(facts), std::nullopt);
}

TEST(RaisesPrivileges, FileCapabilitiesForAllButRoot) {
  PrivilegeFacts facts = {.mode = S_IFREG | 0755, .has_capabilities = true, .real_uid = 1000};
  EXPECT_EQ(RaisesPrivileges(facts), "has file capabilities");
  facts.real_uid = 0;
  EXPECT_EQ(RaisesPrivileges(facts), std::nullopt);
}

TEST(RaisesPrivileges, NotAnOrdinaryProgram) {
  EXPECT_EQ(RaisesPrivileges({.mode = S_IFREG | 0755, .real_uid = 1000, .real_gid = 1000}),
            std::nullopt);
}

}  // namespace
}  // namespace loopsan
