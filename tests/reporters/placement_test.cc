#include "reporters/placement.h"

#include <gtest/gtest.h>

#include "tests/reporters/scripted_stacks.h"

namespace loopsan {
namespace {

class PlacementTest : public testing::Test {
 protected:
  CommonActivation Common(const std::vector<std::string>& wait,
                          const std::vector<std::string>& stack) {
    return FindCommonActivation(script_.Unwound(script_.Stack(wait)),
                                script_.Unwound(script_.Stack(stack)), same_);
  }

  StackScript script_;
  SameFunction same_ = [this](const StackFrame& a, const StackFrame& b) {
    return script_.NameAt(a.pc) == script_.NameAt(b.pc);
  };
};

TEST_F(PlacementTest, FindsTheDeepestFrameThatStandsElsewhere) {
  const CommonActivation common =
      Common({"main", "run", "poll_once"}, {"main", "run", "poll_once#2", "handle", "read_all"});
  ASSERT_TRUE(common.found);
  EXPECT_EQ(common.wait_index, 0u);
  EXPECT_EQ(common.stack_index, 2u);
}

TEST_F(PlacementTest, StopsAtTheFirstDifferenceThoughDeeperFramesLookAlike) {
  const CommonActivation common = Common({"main", "run", "wait"}, {"main#2", "run", "wait"});
  ASSERT_TRUE(common.found);
  EXPECT_EQ(common.wait_index, 2u);
}

TEST_F(PlacementTest, MatchesOneStackWithItselfUpToItsInnermostFrame) {
  const CommonActivation common = Common({"main", "run", "wait"}, {"main", "run", "wait"});
  ASSERT_TRUE(common.found);
  EXPECT_EQ(common.wait_index, 0u);
  EXPECT_TRUE(common.same_pc);
}

TEST_F(PlacementTest, FindsNothingBetweenStacksOfTwoThreads) {
  EXPECT_FALSE(Common({"main", "run", "wait"}, {"start_thread", "work"}).found);
}

TEST_F(PlacementTest, AlignsAStackThatIsCutOffOutside) {
  const UnwoundStack wait = script_.Unwound(script_.Stack({"main", "run", "wait"}));
  UnwoundStack cut = script_.Unwound(script_.Stack({"main", "run", "wait#2", "handle"}));
  cut.frames.pop_back();  // main is missing
  cut.complete = false;
  const CommonActivation common = FindCommonActivation(wait, cut, same_);
  ASSERT_TRUE(common.found);
  EXPECT_EQ(common.wait_index, 0u);
}

TEST_F(PlacementTest, FindsNothingInAnEmptyStack) {
  EXPECT_FALSE(FindCommonActivation(script_.Unwound(script_.Stack({"main"})), {}, same_).found);
}

TEST_F(PlacementTest, SeesOneCallbackWhileNoHookIsReachedAtItsDepth) {
  const UnwoundStack first = script_.Unwound(script_.Stack({"main", "loop", "handle", "spin"}));
  const UnwoundStack second = script_.Unwound(script_.Stack({"main", "loop", "handle", "spin#2"}));
  EXPECT_TRUE(IsOneCallback(first, 1, second, 1, 0, same_));
  EXPECT_TRUE(IsOneCallback(first, 1, second, 1, first.frames[1].sp - 8, same_));
}

TEST_F(PlacementTest, DoesNotTrustACallbackWhoseDepthReachedAHook) {
  const UnwoundStack first = script_.Unwound(script_.Stack({"main", "loop", "handle", "spin"}));
  const UnwoundStack second = script_.Unwound(script_.Stack({"main", "loop", "handle", "spin"}));
  EXPECT_FALSE(IsOneCallback(first, 1, second, 1, first.frames[1].sp, same_));
}

TEST_F(PlacementTest, TellsDifferentCallbacksApart) {
  const UnwoundStack first = script_.Unwound(script_.Stack({"main", "loop", "on_read"}));
  const UnwoundStack second = script_.Unwound(script_.Stack({"main", "loop", "on_write"}));
  EXPECT_FALSE(IsOneCallback(first, 0, second, 0, 0, same_));
}

}  // namespace
}  // namespace loopsan
