#include "reporters/rules.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "tests/reporters/sample_report.h"

namespace loopsan {
namespace {

constexpr std::string_view kRulesOfTheRuntime[] = {
#define LOOPSAN_RULE(constant, id, remedy) id,
#include "runtime/findings.inc"
#undef LOOPSAN_RULE
};

std::set<std::string_view> Ids() {
  std::set<std::string_view> ids;
  for (const RuleInfo& rule : Rules()) ids.insert(rule.id);
  return ids;
}

TEST(Rules, KnowEveryRuleOfTheRuntime) {
  for (const std::string_view id : kRulesOfTheRuntime) {
    EXPECT_THAT(Ids(), testing::Contains(id));
  }
}

TEST(Rules, KnowWhatTheDetectorAndTheAdaptersFind) {
  EXPECT_THAT(Ids(), testing::IsSupersetOf({"blocking-call", "stall", "long-turn", "never-awaited",
                                            "handler-delay"}));
}

TEST(Rules, HaveEachIdOnce) { EXPECT_EQ(Ids().size(), Rules().size()); }

TEST(Rules, AreToldInSentences) {
  for (const RuleInfo& rule : Rules()) {
    for (const std::string_view text : {rule.summary, rule.description, rule.help}) {
      EXPECT_TRUE(text.ends_with('.')) << rule.id << ": " << text;
    }
    EXPECT_THAT(rule.level, testing::AnyOf("error", "warning", "note")) << rule.id;
  }
}

TEST(Rules, HaveWordsForWhatALibraryInvents) {
  const RuleInfo rule = RuleOf("my-rule");
  EXPECT_EQ(rule.id, "my-rule");
  EXPECT_FALSE(rule.help.empty());
}

TEST(RuleName, IsInPascalCase) {
  EXPECT_EQ(RuleName("blocking-call"), "BlockingCall");
  EXPECT_EQ(RuleName("stall"), "Stall");
  EXPECT_EQ(RuleName("a--b-2"), "AB2");
}

}  // namespace
}  // namespace loopsan
