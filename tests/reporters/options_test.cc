#include "reporters/options.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sstream>
#include <string>
#include <vector>

namespace loopsan {
namespace {

using ::testing::HasSubstr;

std::string Error(std::string_view text) {
  Options options;
  return std::string(ParseOptions(text, options).message());
}

// "threshold, calls, ...", as errors list them.
std::string Names() {
  std::string names;
  for (const OptionInfo& option : OptionList()) {
    if (!names.empty()) names += ", ";
    names += option.name;
  }
  return names;
}

TEST(ParseOptions, ReadsEverySettingOfTheList) {
  Options options;
  ASSERT_TRUE(ParseOptions("threshold=250ms:calls=strict:json=a.json:output=b.txt:require_loop=1:"
                           "fail_on=new:baseline=c.json:budget=findings=3:source_root=/src:"
                           "quiet=true:color=never:suppressions=a.supp:rule_pack=node:"
                           "write_suppressions=c.supp:help=1",
                           options)
                  .ok());
  EXPECT_DOUBLE_EQ(options.threshold_seconds, 0.25);
  EXPECT_EQ(options.calls, CallsMode::kStrict);
  EXPECT_EQ(options.json_path, "a.json");
  EXPECT_EQ(options.output_path, "b.txt");
  EXPECT_TRUE(options.require_loop);
  EXPECT_EQ(options.fail_on, FailOn::kNew);
  EXPECT_EQ(options.baseline_path, "c.json");
  EXPECT_EQ(options.budgets, (Budgets{.findings = 3}));
  EXPECT_EQ(options.source_root, "/src");
  EXPECT_TRUE(options.quiet);
  EXPECT_EQ(options.color, ColorMode::kNever);
  EXPECT_EQ(options.suppression_files, std::vector<std::string>{"a.supp"});
  EXPECT_EQ(options.rule_packs, std::vector<std::string>{"node"});
  EXPECT_EQ(options.write_suppressions_path, "c.supp");
  EXPECT_TRUE(options.help);
}

TEST(ParseOptions, SeparatesAtColonsCommasAndWhiteSpaceInAnyNumber) {
  Options options;
  ASSERT_TRUE(ParseOptions(":: quiet=1,\tcalls=off\n color=always ,", options).ok());
  EXPECT_TRUE(options.quiet);
  EXPECT_EQ(options.calls, CallsMode::kOff);
  EXPECT_EQ(options.color, ColorMode::kAlways);
}

TEST(ParseOptions, KeepsSeparatorsInsideQuotes) {
  Options options;
  ASSERT_TRUE(ParseOptions("json='/tmp/a b:c,d=e.json':output=\"it's\"", options).ok());
  EXPECT_EQ(options.json_path, "/tmp/a b:c,d=e.json");
  EXPECT_EQ(options.output_path, "it's");
}

TEST(ParseOptions, AcceptsAnEmptyText) { EXPECT_EQ(Error(""), ""); }

TEST(ParseOptions, LetsTheLastOfTwoValuesWin) {
  Options options;
  ASSERT_TRUE(ParseOptions("threshold=1:threshold=2", options).ok());
  EXPECT_DOUBLE_EQ(options.threshold_seconds, 2);
}

TEST(ParseOptions, AddsToLists) {
  Options options;
  ASSERT_TRUE(ParseOptions("suppressions='a,b c,,d':suppressions=e", options).ok());
  EXPECT_EQ(options.suppression_files, (std::vector<std::string>{"a", "b c", "d", "e"}));
  ASSERT_TRUE(ParseOptions("suppressions=:suppressions=f", options).ok());
  EXPECT_EQ(options.suppression_files, std::vector<std::string>{"f"}) << "empty begins anew";
}

TEST(ParseOptions, AcceptsHyphensInNames) {
  Options options;
  ASSERT_TRUE(ParseOptions("require-loop=1", options).ok());
  EXPECT_TRUE(options.require_loop);
}

TEST(ParseOptions, NamesAnUnknownKeyAndListsTheKnownOnes) {
  EXPECT_EQ(Error("treshold=1"),
            "unknown option 'treshold' (did you mean 'threshold'?); the options are " + Names());
}

TEST(ParseOptions, NamesABadValueAndWhatIsPossible) {
  EXPECT_EQ(Error("calls=some"), "calls: bad value 'some'; expected floor, strict or off");
  EXPECT_EQ(Error("quiet=maybe"),
            "quiet: bad value 'maybe'; expected true or false (also 1, 0, yes, no, on, off)");
  EXPECT_EQ(Error("color=red"), "color: bad value 'red'; expected auto, always or never");
  EXPECT_EQ(Error("threshold=fast"),
            "threshold: bad value 'fast'; expected a duration such as 100ms, 0.5s, 250us or 2 "
            "(seconds)");
}

TEST(ParseOptions, RefusesAWordWithoutAValue) {
  EXPECT_EQ(Error("quiet"), "'quiet' has no value; expected name=value with one of " + Names());
}

TEST(ParseOptions, RefusesAnOpenQuote) {
  EXPECT_EQ(Error("json='a.json"), "json: the quote ' is never closed");
}

TEST(ParseOptions, RefusesTextBehindAQuote) {
  EXPECT_EQ(Error("json='a'b"), "json: text follows the closing quote; separate settings with ':'");
}

TEST(ParseDuration, KnowsItsUnits) {
  const struct {
    std::string_view text;
    double seconds;
  } cases[] = {{"100ms", 0.1}, {"0.1s", 0.1}, {"250us", 250e-6},
               {"2", 2},       {".5", 0.5},   {"1.5ms", 1.5e-3}};
  for (const auto& [text, expected] : cases) {
    double seconds = 0;
    ASSERT_TRUE(ParseDuration(text, seconds).ok()) << text;
    EXPECT_DOUBLE_EQ(seconds, expected) << text;
  }
}

TEST(ParseDuration, RefusesWhatIsNoLengthOfTime) {
  for (std::string_view text : {"", "ms", "0", "0ms", "-1", "+1", "1h", "1 s", "1e3", "0x10", "nan",
                                "inf", "1,5", "100msx", "86401"}) {
    double seconds = 7;
    EXPECT_FALSE(ParseDuration(text, seconds).ok()) << text;
    EXPECT_EQ(seconds, 7) << text;
  }
}

TEST(ParseGateway, ReadsHostPortAndJob) {
  Gateway gateway;
  ASSERT_TRUE(ParseGateway("push.example.org:9091", gateway).ok());
  EXPECT_EQ(gateway.address.address, "push.example.org");
  EXPECT_EQ(gateway.address.port, 9091);
  EXPECT_EQ(gateway.job, "loopsan");
  ASSERT_TRUE(ParseGateway("[::1]:9091/nightly-1.x_y", gateway).ok());
  EXPECT_EQ(gateway.address.address, "[::1]");
  EXPECT_EQ(gateway.job, "nightly-1.x_y");
}

TEST(ParseGateway, NamesWhatIsPossibleAndKeepsTheValue) {
  Gateway gateway{{"kept", 1}};
  for (const char* text :
       {"", "host", ":9091", "http://host:9091", "host:", "host:9x", "host/job"}) {
    EXPECT_THAT(ParseGateway(text, gateway).message(), HasSubstr("HOST:PORT/JOB")) << text;
  }
  for (const char* text : {"host:0", "host:65536", "host:99999999999"}) {
    EXPECT_THAT(ParseGateway(text, gateway).message(), HasSubstr("1 to 65535")) << text;
  }
  for (const char* text : {"host:1/", "host:1/a/b", "host:1/a b", "host:1/a\r\nX: y"}) {
    EXPECT_THAT(ParseGateway(text, gateway).message(), HasSubstr("a job of letters")) << text;
  }
  EXPECT_EQ(gateway.address.address, "kept");
}

TEST(ParseBudget, ReadsEachKey) {
  Options options;
  ASSERT_TRUE(ParseOptions("budget=worst-stall=200ms:budget=blocked-total=2:"
                           "budget=longest-step=0.5s:budget=p99-step=5ms:budget=findings=0",
                           options)
                  .ok());
  EXPECT_EQ(options.budgets, (Budgets{.worst_stall_seconds = 0.2,
                                      .blocked_total_seconds = 2,
                                      .longest_step_seconds = 0.5,
                                      .p99_step_seconds = 0.005,
                                      .findings = 0}));
  ASSERT_TRUE(ParseBudget("", options.budgets).ok());
  EXPECT_EQ(options.budgets, Budgets());
}

TEST(ParseBudget, LetsTheLastOfTwoWin) {
  Budgets budgets;
  ASSERT_TRUE(ParseBudget("findings=1", budgets).ok());
  ASSERT_TRUE(ParseBudget("findings=2", budgets).ok());
  EXPECT_EQ(budgets, (Budgets{.findings = 2}));
}

TEST(ParseBudget, NamesWhatItDoesNotUnderstand) {
  EXPECT_EQ(Error("budget=stall=1"),
            "budget: bad value 'stall=1'; expected worst-stall=TIME, blocked-total=TIME, "
            "longest-step=TIME, p99-step=TIME or findings=NUMBER");
  EXPECT_EQ(
      Error("budget=worst-stall"),
      "budget: worst-stall: bad value ''; expected a duration such as 100ms, 0.5s, 250us or 2 "
      "(seconds)");
  for (const char* text : {"findings", "findings=", "findings=-1", "findings=1.5", "findings=x",
                           "findings=18446744073709551616"}) {
    Budgets budgets{.findings = 7};
    EXPECT_FALSE(ParseBudget(text, budgets).ok()) << text;
    EXPECT_EQ(budgets, (Budgets{.findings = 7})) << text;
  }
}

TEST(ParseFailOn, NamesWhatIsPossible) {
  EXPECT_EQ(Error("fail_on=all"), "fail_on: bad value 'all'; expected new, error, warning or none");
}

TEST(ReportFileOptions, OffersAFileForEachReporterThatHasNoOptionYet) {
  const Reporter reporters[] = {
      {"text", "", WriteText}, {"json", "", WriteJson}, {"sarif", "for editors", WriteJson}};
  const std::vector<OptionInfo> options = ReportFileOptions(reporters);
  ASSERT_EQ(options.size(), 1u);
  EXPECT_EQ(options[0].Flag(), "--sarif");
  EXPECT_EQ(options[0].kind, OptionKind::kFile);
  EXPECT_EQ(options[0].help, "also write the report as sarif to FILE: for editors");
}

TEST(OptionList, OffersExactlyTheReportersOfTheTable) {
  size_t offered = 0;
  for (const Reporter& reporter : Reporters()) {
    Options options;
    if (reporter.name == "text") continue;  // its option is "output"
    EXPECT_TRUE(SetOption(reporter.name, "a.out", options).ok()) << reporter.name;
    if (reporter.name == "json") continue;
    EXPECT_EQ(options.report_paths[std::string(reporter.name)], "a.out");
    ++offered;
  }
  EXPECT_EQ(ReportFileOptions(Reporters()).size(), offered);
  Options options;
  EXPECT_FALSE(SetOption("no_such_format", "a.out", options).ok());
}

TEST(OptionList, GivesTheDefaultsOfTheStructure) {
  Options from_list;
  from_list.threshold_seconds = 99;
  from_list.calls = CallsMode::kOff;
  from_list.json_path = from_list.output_path = from_list.write_suppressions_path = "x";
  from_list.suppression_files = from_list.rule_packs = {"x"};
  from_list.require_loop = from_list.quiet = from_list.help = true;
  from_list.color = ColorMode::kNever;
  from_list.fail_on = FailOn::kNone;
  from_list.baseline_path = from_list.source_root = "x";
  from_list.budgets.findings = 1;
  for (const OptionInfo& option : OptionList()) {
    ASSERT_TRUE(SetOption(option.name, option.default_text, from_list).ok()) << option.name;
  }
  const Options defaults;
  EXPECT_EQ(from_list.threshold_seconds, defaults.threshold_seconds);
  EXPECT_EQ(from_list.calls, defaults.calls);
  EXPECT_EQ(from_list.json_path, defaults.json_path);
  EXPECT_EQ(from_list.output_path, defaults.output_path);
  EXPECT_EQ(from_list.require_loop, defaults.require_loop);
  EXPECT_EQ(from_list.quiet, defaults.quiet);
  EXPECT_EQ(from_list.color, defaults.color);
  EXPECT_EQ(from_list.suppression_files, defaults.suppression_files);
  EXPECT_EQ(from_list.rule_packs, defaults.rule_packs);
  EXPECT_EQ(from_list.write_suppressions_path, defaults.write_suppressions_path);
  EXPECT_EQ(from_list.help, defaults.help);
  EXPECT_EQ(from_list.fail_on, defaults.fail_on);
  EXPECT_EQ(from_list.baseline_path, defaults.baseline_path);
  EXPECT_EQ(from_list.source_root, defaults.source_root);
  EXPECT_EQ(from_list.budgets, defaults.budgets);
}

TEST(PrintOptions, ShowsTheValuesInEffect) {
  Options options;
  ASSERT_TRUE(ParseOptions("threshold=0.25:json=a.json:quiet=1:budget=worst-stall=0.2:"
                           "budget=findings=3",
                           options)
                  .ok());
  std::ostringstream out;
  PrintOptions(options, out);
  EXPECT_NE(out.str().find("  threshold=250ms  [DURATION]\n"), std::string::npos) << out.str();
  EXPECT_NE(out.str().find("  json=a.json  [FILE]\n"), std::string::npos) << out.str();
  EXPECT_NE(out.str().find("  quiet=true  [true|false]\n"), std::string::npos) << out.str();
  EXPECT_NE(out.str().find("  calls=floor  [floor|strict|off]\n"), std::string::npos) << out.str();
  EXPECT_NE(out.str().find("  budget=worst-stall=200ms findings=3  [KEY=VALUE]\n"),
            std::string::npos)
      << out.str();
}

TEST(PrintOptionsTable, HasOneRowForEachOption) {
  std::ostringstream out;
  PrintOptionsTable(out);
  for (const OptionInfo& option : OptionList()) {
    EXPECT_NE(out.str().find("| `" + std::string(option.name) + "` | `" + option.Flag() + "` |"),
              std::string::npos);
  }
}

}  // namespace
}  // namespace loopsan
