#include "tools/command_line.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace loopsan {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

std::string FlagError(const std::vector<std::string>& flags) {
  Options options;
  ParsedFlags outcome;
  return std::string(ReadFlags(flags, options, outcome).message());
}

Options OptionsOf(const std::vector<std::string>& arguments) {
  Options options;
  ParsedFlags outcome;
  const absl::Status status = ReadFlags(SplitRunArguments(arguments).flags, options, outcome);
  EXPECT_TRUE(status.ok()) << status;
  return options;
}

TEST(SplitRunArguments, TakesEverythingBehindTheDashesAsTheCommand) {
  const RunArguments split =
      SplitRunArguments({"--quiet", "--", "server", "--json=x", "--", "[a,b]", "", "{}", "%%"});
  EXPECT_THAT(split.flags, ElementsAre("--quiet"));
  EXPECT_THAT(split.command, ElementsAre("server", "--json=x", "--", "[a,b]", "", "{}", "%%"));
}

TEST(SplitRunArguments, NeedsNoDashesBeforeAWordThatIsNoFlag) {
  const RunArguments split = SplitRunArguments({"--quiet", "server", "--quiet", "-v", "--", "x"});
  EXPECT_THAT(split.flags, ElementsAre("--quiet"));
  EXPECT_THAT(split.command, ElementsAre("server", "--quiet", "-v", "--", "x"));
}

TEST(SplitRunArguments, KnowsWhichFlagsHaveAValueInTheNextWord) {
  const RunArguments split = SplitRunArguments(
      {"--json", "a b.json", "--require-loop", "--threshold", "50ms", "node", "x"});
  EXPECT_THAT(split.flags, ElementsAre("--json=a b.json", "--require-loop", "--threshold=50ms"));
  EXPECT_THAT(split.command, ElementsAre("node", "x"));
}

TEST(ReadFlags, AddsToTheListsOfFlagsThatAreGivenOftenAndOfTheEnvironment) {
  Options options;
  ASSERT_TRUE(ReadEnvironmentOptions("suppressions=env.supp", options).ok());
  ParsedFlags outcome;
  const RunArguments split =
      SplitRunArguments({"--suppressions=a.supp,b.supp", "--suppressions", "c.supp", "server"});
  EXPECT_THAT(split.command, ElementsAre("server"));
  ASSERT_TRUE(ReadFlags(split.flags, options, outcome).ok());
  EXPECT_THAT(options.suppression_files, ElementsAre("env.supp", "a.supp", "b.supp", "c.supp"));
}

TEST(SplitRunArguments, TakesADashAsTheValueOfAFlag) {
  EXPECT_THAT(SplitRunArguments({"--json", "-", "x"}).flags, ElementsAre("--json=-"));
}

TEST(SplitRunArguments, DoesNotTakeTheDashesForAValue) {
  const RunArguments split = SplitRunArguments({"--json", "--", "x"});
  EXPECT_THAT(split.flags, ElementsAre("--json"));
  EXPECT_THAT(split.command, ElementsAre("x"));
}

TEST(SplitRunArguments, TakesACommandThatStartsWithADashBehindTheDashes) {
  EXPECT_THAT(SplitRunArguments({"--", "-x"}).command, ElementsAre("-x"));
}

TEST(SplitRunArguments, HasNoCommandInNothing) {
  EXPECT_THAT(SplitRunArguments({}).command, IsEmpty());
  EXPECT_THAT(SplitRunArguments({"--"}).command, IsEmpty());
}

TEST(ReadFlags, SetsEveryOption) {
  const Options options =
      OptionsOf({"--threshold=50ms", "--calls", "off", "--json=a,b.json", "--output", "[o].txt",
                 "--require-loop", "--quiet", "--color=never"});
  EXPECT_DOUBLE_EQ(options.threshold_seconds, 0.05);
  EXPECT_EQ(options.calls, CallsMode::kOff);
  EXPECT_EQ(options.json_path, "a,b.json");
  EXPECT_EQ(options.output_path, "[o].txt");
  EXPECT_TRUE(options.require_loop);
  EXPECT_TRUE(options.quiet);
  EXPECT_EQ(options.color, ColorMode::kNever);
}

TEST(ReadFlags, LetsTheLastOfTwoWin) {
  EXPECT_DOUBLE_EQ(OptionsOf({"--threshold=1", "--threshold=2"}).threshold_seconds, 2);
}

TEST(ReadFlags, AddsUpTheBudgets) {
  const Options options = OptionsOf({"--budget=worst-stall=200ms", "--budget", "findings=3", "x"});
  EXPECT_EQ(options.budgets, (Budgets{.worst_stall_seconds = 0.2, .findings = 3}));
}

TEST(ReadFlags, SetsTheGate) {
  const Options options = OptionsOf({"--fail-on=error", "--baseline", "b.json"});
  EXPECT_EQ(options.fail_on, FailOn::kError);
  EXPECT_EQ(options.baseline_path, "b.json");
  EXPECT_THAT(FlagError({"--fail-on=all"}),
              HasSubstr("--fail-on: bad value 'all'; expected new, error, warning or none"));
}

TEST(ReadFlags, CanTurnASwitchOffAgain) {
  Options options;
  options.quiet = true;
  ParsedFlags outcome;
  ASSERT_TRUE(ReadFlags({"--quiet=false"}, options, outcome).ok());
  EXPECT_FALSE(options.quiet);
}

TEST(ReadFlags, NamesTheFlagWithABadValue) {
  EXPECT_THAT(FlagError({"--calls=some"}),
              HasSubstr("--calls: bad value 'some'; expected floor, strict or off"));
}

TEST(ReadFlags, NamesAnUnknownFlag) {
  EXPECT_THAT(FlagError({"--treshold=1"}), HasSubstr("--treshold=1 (did you mean '--threshold'?)"));
}

TEST(ReadFlags, NamesAFlagWithoutItsValue) {
  EXPECT_THAT(FlagError({"--json"}), HasSubstr("--json"));
}

TEST(ReadEnvironmentOptions, SaysWhereABadSettingIs) {
  Options options;
  EXPECT_THAT(std::string(ReadEnvironmentOptions("calls=x", options).message()),
              HasSubstr("LOOPSAN_OPTIONS: calls: bad value 'x'"));
}

TEST(ReadEnvironmentOptions, IsContentWithoutTheVariable) {
  Options options;
  EXPECT_TRUE(ReadEnvironmentOptions(nullptr, options).ok());
}

}  // namespace
}  // namespace loopsan
