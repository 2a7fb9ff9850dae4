#include "reporters/internal/finding_place.h"

#include <gtest/gtest.h>

#include "tests/reporters/format_report.h"

namespace loopsan {
namespace {

TEST(PlaceToAnnotate, IsTheOwnFrame) {
  Finding finding = SleepFinding();
  finding.stack.insert(finding.stack.begin(), {.function = "std::this_thread::sleep_for()",
                                               .file = "/usr/include/c++/12/thread",
                                               .line = 80});
  EXPECT_EQ(PlaceToAnnotate(finding).file, "/srv/src/serve.cc");
  EXPECT_EQ(PlaceToAnnotate(finding).line, 12);
}

TEST(PlaceToAnnotate, IsWhereTheLibrarySaysToLook) {
  Finding finding = SleepFinding();
  finding.where = {"app::Read()", "/srv/src/read.cc", 4};
  EXPECT_EQ(PlaceToAnnotate(finding), finding.where);
}

TEST(PlaceToAnnotate, IsTheNextOwnFrameIfTheFirstHasNoFile) {
  Finding finding = SleepFinding();
  finding.stack[0].file = "";
  EXPECT_EQ(PlaceToAnnotate(finding).file, "/srv/src/main.cc");
}

TEST(PlaceToAnnotate, IsTheCoAwaitIfTheStackHasNoFile) {
  Finding finding = SleepFinding();
  for (ReportFrame& frame : finding.stack) frame.file = "";
  finding.async_stack = {{"app::A()", "", 0}, {"app::B()", "/srv/src/b.cc", 5}};
  finding.task.spawned_at = {"main", "/srv/src/main.cc", 1};
  EXPECT_EQ(PlaceToAnnotate(finding), finding.async_stack[1]);
  finding.async_stack.clear();
  EXPECT_EQ(PlaceToAnnotate(finding), finding.task.spawned_at);
}

TEST(PlaceToAnnotate, IsEmptyIfNoLineIsKnown) {
  EXPECT_EQ(PlaceToAnnotate(Finding()), SourcePlace());
}

TEST(NameFrom, IsRelativeBelowTheRoot) {
  for (const char* root : {"/srv", "/srv/", "/srv/./x/.."}) {
    EXPECT_EQ(NameFrom(root, "/srv/src/a.cc").path, "src/a.cc") << root;
    EXPECT_TRUE(NameFrom(root, "/srv/src/a.cc").below_root) << root;
  }
}

TEST(NameFrom, StaysAbsoluteElsewhere) {
  for (const char* file : {"/srv2/a.cc", "/srv", "/a.cc", "/srv/../a.cc"}) {
    EXPECT_FALSE(NameFrom("/srv", file).below_root) << file;
    EXPECT_TRUE(NameFrom("/srv", file).path.starts_with("/")) << file;
  }
  EXPECT_EQ(NameFrom("", "/srv/a.cc").path, "/srv/a.cc");
}

TEST(NameFrom, TakesOutDots) {
  EXPECT_EQ(NameFrom("/srv", "/srv/b/../src/./a.cc").path, "src/a.cc");
  EXPECT_EQ(NameFrom("/srv", "./src/a.cc").path, "src/a.cc");
}

TEST(NameFrom, TakesRelativeNamesForThoseOfTheRepository) {
  EXPECT_TRUE(NameFrom("/srv", "src/a.cc").below_root);
  EXPECT_FALSE(NameFrom("/srv", "../a.cc").below_root);
}

TEST(NameFrom, KnowsTheModulesOfNode) {
  EXPECT_EQ(NameFrom("/srv", "file:///srv/app.mjs").path, "app.mjs");
}

}  // namespace
}  // namespace loopsan
