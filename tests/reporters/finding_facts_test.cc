#include "reporters/finding_facts.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

namespace loopsan {
namespace {

using ::testing::ElementsAre;

Finding Of(const std::string& fingerprint, double total_seconds,
           const std::string& level = "error") {
  Finding finding;
  finding.fingerprint = fingerprint;
  finding.level = level;
  finding.cause = "cpu";
  finding.total_seconds = total_seconds;
  return finding;
}

std::vector<std::string> Order(std::vector<Finding> findings) {
  RankFindings(findings, "F");
  std::vector<std::string> order;
  for (const Finding& finding : findings) order.push_back(finding.id + finding.fingerprint);
  return order;
}

TEST(RankFindings, PutsWhatTookMostFirstAndNotesLast) {
  EXPECT_THAT(Order({Of("a", 1), Of("b", 9, "note"), Of("c", 2)}),
              ElementsAre("F1c", "F2a", "F3b"));
}

TEST(RankFindings, OrdersWhatTookTheSameByFingerprint) {
  EXPECT_THAT(Order({Of("b", 1), Of("a", 1)}), ElementsAre("F1a", "F2b"));
}

TEST(RankFindings, TakesATimeThatIsNoNumberForNone) {
  EXPECT_THAT(Order({Of("a", std::numeric_limits<double>::quiet_NaN()), Of("b", 1)}),
              ElementsAre("F1b", "F2a"));
}

TEST(TotalBlocked, CountsNeitherNotesNorWhatLibrariesReport) {
  EXPECT_EQ(TotalBlocked(Of("a", 1)), 1);
  EXPECT_EQ(TotalBlocked(Of("a", 1, "note")), 0);
  Finding of_a_library = Of("a", 1);
  of_a_library.cause = "";
  EXPECT_EQ(TotalBlocked(of_a_library), 0);
  EXPECT_EQ(TotalBlocked(Of("a", std::numeric_limits<double>::infinity())), 0);
}

TEST(MainPlace, IsWhereALibrarySaysElseTheUsersOwnFrame) {
  Finding finding;
  EXPECT_EQ(MainPlace(finding), SourcePlace());
  EXPECT_EQ(MainPlaceText(finding), "");
  finding.async_stack = {{"Co()", "co.cc", 3}};
  EXPECT_EQ(MainPlace(finding).file, "co.cc");
  finding.stack = {{.function = "uv_run", .module = "/usr/lib/libuv.so.1"},
                   {.function = "Handle()", .file = "a.cc", .line = 7}};
  EXPECT_EQ(MainPlace(finding), (SourcePlace{"Handle()", "a.cc", 7}));
  EXPECT_EQ(MainPlaceText(finding), "a.cc:7 in Handle()");
  finding.where = {"Serve()", "b.cc", 9};
  EXPECT_EQ(MainPlace(finding).file, "b.cc");
}

TEST(IsFingerprint, AcceptsSixteenHexadecimalDigitsInLowerCase) {
  EXPECT_TRUE(IsFingerprint("0123456789abcdef"));
  EXPECT_FALSE(IsFingerprint("0123456789abcde"));
  EXPECT_FALSE(IsFingerprint("0123456789abcdef0"));
  EXPECT_FALSE(IsFingerprint("0123456789ABCDEF"));
}

}  // namespace
}  // namespace loopsan
