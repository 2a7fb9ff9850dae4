#include "tools/probe_library.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "tests/support/process.h"

namespace loopsan {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::TemporaryDirectory;

TEST(ProbeLibraryPlaces, StartBesideTheCommand) {
  const std::vector<std::string> places = ProbeLibraryPlaces("/opt/loopsan/bin");
  ASSERT_FALSE(places.empty());
  EXPECT_EQ(places[0], "/opt/loopsan/lib/libloopsan.so");
  EXPECT_THAT(places, Contains("/opt/loopsan/" LOOPSAN_INSTALL_LIBDIR "/libloopsan.so"));
}

TEST(FindProbeLibrary, TakesTheFirstPlaceThatHasIt) {
  const TemporaryDirectory directory;
  std::ofstream(directory / "libloopsan.so") << "x";
  const auto found = FindProbeLibrary({"/nowhere/libloopsan.so", directory / "libloopsan.so"});
  ASSERT_TRUE(found.ok()) << found.status();
  EXPECT_EQ(*found, directory / "libloopsan.so");
}

TEST(FindProbeLibrary, ListsThePlacesWhereItIsNot) {
  const auto found = FindProbeLibrary({"/nowhere/libloopsan.so", "/neither/libloopsan.so"});
  EXPECT_THAT(std::string(found.status().message()),
              HasSubstr("looked at /nowhere/libloopsan.so, /neither/libloopsan.so"));
}

TEST(FindProbeLibrary, RefusesAPathThatTheLoaderWouldSplit) {
  const TemporaryDirectory directory;
  const std::string spaced = directory / "a b";
  std::filesystem::create_directory(spaced);
  std::ofstream(spaced + "/libloopsan.so") << "x";
  const auto found = FindProbeLibrary({spaced + "/libloopsan.so"});
  EXPECT_THAT(std::string(found.status().message()), HasSubstr("a space or a colon"));
}

TEST(WatchedEnvironment, AddsTheLibraryAndTheSession) {
  const char* environment[] = {"A=1", nullptr};
  EXPECT_THAT(WatchedEnvironment(environment, "/l.so", "1:2:3"),
              ElementsAre("A=1", "LD_PRELOAD=/l.so", "LOOPSAN_SESSION=1:2:3"));
}

TEST(WatchedEnvironment, PutsTheLibraryBeforeOthersThatArePreloaded) {
  const char* environment[] = {"LD_PRELOAD=/x.so /y.so", "B=2", nullptr};
  EXPECT_THAT(WatchedEnvironment(environment, "/l.so", "s"),
              ElementsAre("B=2", "LD_PRELOAD=/l.so:/x.so /y.so", "LOOPSAN_SESSION=s"));
}

TEST(WatchedEnvironment, AddsNoSeparatorToAnEmptyPreload) {
  const char* environment[] = {"LD_PRELOAD=", nullptr};
  EXPECT_THAT(WatchedEnvironment(environment, "/l.so", "s"),
              ElementsAre("LD_PRELOAD=/l.so", "LOOPSAN_SESSION=s"));
}

TEST(WatchedEnvironment, ReplacesTheSessionOfAnOuterRun) {
  const char* environment[] = {"LOOPSAN_SESSION=old", nullptr};
  EXPECT_THAT(WatchedEnvironment(environment, "/l.so", "new"),
              ElementsAre("LD_PRELOAD=/l.so", "LOOPSAN_SESSION=new"));
}

}  // namespace
}  // namespace loopsan
