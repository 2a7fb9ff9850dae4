#include "reporters/suppressions.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <limits>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_replace.h"
#include "reporters/internal/suppression.h"
#include "reporters/internal/text_pattern.h"
#include "tests/reporters/golden.h"
#include "tests/reporters/sample_report.h"

namespace loopsan {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::SizeIs;
using testing::StartsWith;

constexpr Date kToday{std::chrono::year(2026), std::chrono::month(11), std::chrono::day(28)};

// The patterns --------------------------------------------------------------

bool Matches(std::string_view pattern, std::string_view text,
             TextPattern::Reach reach = TextPattern::Reach::kAnywhere) {
  return TextPattern(pattern, reach).Matches(text);
}

TEST(TextPattern, IsFoundAnywhere) {
  EXPECT_TRUE(Matches("Reload", "app::ConfigReload(int)"));
  EXPECT_FALSE(Matches("reload", "app::ConfigReload(int)"));
  EXPECT_FALSE(Matches("Reload", "Reloa"));
}

TEST(TextPattern, HasWildcards) {
  EXPECT_TRUE(Matches("Config*Load", "ConfigReLoad"));
  EXPECT_TRUE(Matches("Config*Load", "ConfigLoad"));
  EXPECT_TRUE(Matches("a**b", "xaxbx"));
  EXPECT_FALSE(Matches("Config*Load", "LoadConfig"));
  EXPECT_FALSE(Matches("ab*ba", "aba")) << "a character may serve one piece only";
}

TEST(TextPattern, HasAnchors) {
  EXPECT_TRUE(Matches("^main", "main_loop"));
  EXPECT_FALSE(Matches("^main", "domain"));
  EXPECT_TRUE(Matches("main$", "domain"));
  EXPECT_FALSE(Matches("main$", "mainly"));
  EXPECT_TRUE(Matches("^main$", "main"));
  EXPECT_FALSE(Matches("^main$", "mainmain"));
  EXPECT_TRUE(Matches("^a*c$", "abc"));
  EXPECT_FALSE(Matches("^ab*ba$", "aba"));
  EXPECT_TRUE(Matches("^a*b*c$", "a-b-b-c"));
  EXPECT_TRUE(Matches("*main$", "domain"));
  EXPECT_TRUE(Matches("^*main$", "domain"));
}

TEST(TextPattern, TakesAnchorsElsewhereAsTheyAre) {
  EXPECT_TRUE(Matches("a^b", "xa^bx"));
  EXPECT_TRUE(Matches("a$b", "xa$bx"));
}

TEST(TextPattern, CanStandForTheWholeText) {
  constexpr auto kWhole = TextPattern::Reach::kWholeText;
  EXPECT_TRUE(Matches("read", "read", kWhole));
  EXPECT_FALSE(Matches("read", "pread", kWhole));
  EXPECT_FALSE(Matches("read", "readv", kWhole));
  EXPECT_TRUE(Matches("*read*", "preadv", kWhole));
  EXPECT_TRUE(Matches("*", "", kWhole));
}

TEST(TextPattern, IsQuickOnHostileTexts) {
  std::string pattern;
  for (int i = 0; i < 1000; ++i) pattern += "a*";
  EXPECT_FALSE(Matches(pattern + "b", std::string(100'000, 'a')));
}

// The file ------------------------------------------------------------------

std::string Error(std::string_view text) {
  Suppressions suppressions;
  const absl::Status status = suppressions.Add(text, "loop.supp");
  if (!status.ok()) {
    EXPECT_THAT(suppressions.entries(), IsEmpty());
  }
  return std::string(status.message());
}

Suppressions Parsed(std::string_view text) {
  Suppressions suppressions;
  const absl::Status status = suppressions.Add(text, "loop.supp");
  EXPECT_TRUE(status.ok()) << status;
  return suppressions;
}

TEST(SuppressionFile, HasOneEntryALine) {
  const Suppressions suppressions = Parsed(
      "\xef\xbb\xbf# a comment\r\n"
      "\n"
      "  blocking-call:function=Reload*  call=read max=50ms until=2027-01-31   # reason: once at "
      "start \r\n"
      "\t# another: comment\n"
      "stall: \"operator new(unsigned long)\" # Reason: rare");
  ASSERT_THAT(suppressions.entries(), SizeIs(2));
  const Suppression& first = suppressions.entries()[0];
  EXPECT_EQ(first.text, "blocking-call:function=Reload*  call=read max=50ms until=2027-01-31");
  EXPECT_EQ(first.reason, "once at start");
  EXPECT_EQ(first.file, "loop.supp");
  EXPECT_EQ(first.line, 3);
  EXPECT_DOUBLE_EQ(first.max_seconds.value(), 0.05);
  EXPECT_EQ(FormatDate(first.until.value()), "2027-01-31");
  EXPECT_THAT(first.conditions, SizeIs(2));
  const Suppression& second = suppressions.entries()[1];
  EXPECT_EQ(second.line, 5);
  EXPECT_EQ(second.reason, "rare");
  EXPECT_TRUE(second.conditions[0].pattern.Matches("operator new(unsigned long)"));
}

TEST(SuppressionFile, MayHaveAnyCharacterInAPattern) {
  const Suppressions suppressions = Parsed(
      "stall:main::{lambda()#1}::operator() # reason: a '#' inside of a word\n"
      "stall:function='operator==(a, b)' source=\"a # b.cc\" # reason: quotes\n"
      "*:detail=fd=7 # reason: a second '='\n");
  EXPECT_TRUE(suppressions.entries()[0].conditions[0].pattern.Matches(
      "main::{lambda()#1}::operator()() const"));
  EXPECT_TRUE(suppressions.entries()[1].conditions[1].pattern.Matches("/src/a # b.cc"));
  EXPECT_TRUE(suppressions.entries()[2].conditions[0].pattern.Matches("fd=7"));
}

TEST(SuppressionFile, NeedsAReason) {
  EXPECT_EQ(Error("stall:Reload"),
            "loop.supp:1: there is no reason; end the line with '# reason: WHY'");
  EXPECT_EQ(
      Error("stall:Reload # it is fine"),
      "loop.supp:1: the comment 'it is fine' is no reason; end the line with '# reason: WHY'");
  EXPECT_EQ(Error("stall:Reload # reason:  "),
            "loop.supp:1: the reason is empty; end the line with '# reason: WHY'");
}

TEST(SuppressionFile, RefusesAReasonThatIsStillToBeWritten) {
  EXPECT_THAT(Error("stall:Reload # reason: TODO say why"), HasSubstr("instead of TODO"));
  EXPECT_THAT(Error("stall:Reload # reason: todo"), HasSubstr("instead of TODO"));
}

TEST(SuppressionFile, NamesWhatIsWrongWithAnEntry) {
  const std::pair<std::string, std::string> cases[] = {
      {"Reload", "there is no rule; expected RULE:PATTERN or RULE:KEY=PATTERN"},
      {"Reload # a: b", "there is no rule"},
      {"Stall:Reload", "'Stall' is no rule; rules are as in a report"},
      {":Reload", "'' is no rule"},
      {"stall:", "the rule 'stall' has no pattern"},
      {"stall: # reason: x", "the rule 'stall' has no pattern"},
      {"stall:fun=x",
       "unknown key 'fun'; the keys are function, source, module, stack, call, "
       "detail, process, max, until"},
      {"stall:a b", "'b' has no key; the keys are function"},
      {"stall:function=a function=b", "'function' is given twice"},
      {"stall:function=", "function: the pattern '' matches everything"},
      {"stall:^*$", "pattern: the pattern '^*$' matches everything"},
      {"stall:\"a b", "pattern: the quote is never closed"},
      {"stall:function='a'b", "function: text follows the closing quote"},
      {"stall:max=1s # reason: x", "nothing says which findings are meant"},
      {"stall:a until=tomorrow",
       "until: bad value 'tomorrow'; expected the last day as YYYY-MM-DD"},
      {"stall:a until=2027-02-29", "until: bad value '2027-02-29'"},
      {"stall:a max=long", "max: bad value 'long'; expected a duration such as 100ms"},
      {"call-stack-contains:*", "call-stack-contains: the pattern '*' matches everything"},
  };
  for (const auto& [text, expected] : cases) {
    EXPECT_THAT(Error(text), StartsWith("loop.supp:1: " + expected)) << text;
  }
}

TEST(SuppressionFile, TellsAllErrorsAtOnce) {
  EXPECT_THAT(Error("stall:a\n# fine\nstall:b # reason: x\nstall:c\n"),
              StartsWith("loop.supp:1: there is no reason; end the line with '# reason: WHY'\n"
                         "loop.supp:4: there is no reason;"));
}

TEST(SuppressionFile, IsBounded) {
  EXPECT_THAT(Error(std::string((1 << 20) + 1, '#')), HasSubstr("at most 1 MiB"));
  EXPECT_THAT(Error("stall:" + std::string(5000, 'a') + " # reason: x"),
              HasSubstr("longer than 4096 bytes"));
  std::string many;
  for (int i = 0; i < 10'001; ++i) many += "stall:a # reason: x\n";
  EXPECT_THAT(Error(many), HasSubstr("more than 10000 suppressions"));
  std::string bad;
  for (int i = 0; i < 1000; ++i) bad += "stall:a\n";
  EXPECT_THAT(Error(bad), HasSubstr("\n... and 980 more"));
}

TEST(SuppressionFile, IsToldWithoutControlCharacters) {
  EXPECT_THAT(Error(std::string("stall:a\0b # reason: x", 21)), HasSubstr("NUL byte"));
  EXPECT_EQ(Error("\x1b[2J:a"),
            "loop.supp:1: '\\x1b[2J' is no rule; rules are as in a report ('blocking-call', "
            "'stall', 'long-turn', ...), '*' is any");
  EXPECT_THAT(Error("stall:a until=" + std::string(3000, 'x')),
              Not(HasSubstr(std::string(99, 'x'))));
}

TEST(SuppressionFile, IsReadFromDisk) {
  const std::string path = testing::TempDir() + "/suppressions_test.supp";
  std::ofstream(path) << "stall:a # reason: x\nstall:b\n";
  Suppressions suppressions;
  EXPECT_EQ(suppressions.AddFile(path).message(),
            path + ":2: there is no reason; end the line with '# reason: WHY'");
  std::ofstream(path) << "stall:a # reason: x\n";
  EXPECT_TRUE(suppressions.AddFile(path).ok());
  EXPECT_THAT(suppressions.entries(), SizeIs(1));
}

TEST(SuppressionFile, ThatCannotBeReadIsAnError) {
  Suppressions suppressions;
  EXPECT_EQ(suppressions.AddFile("/nonexistent/a.supp").message(),
            "cannot read the suppressions /nonexistent/a.supp: No such file or directory");
  EXPECT_EQ(suppressions.AddFile("/").message(),
            "cannot read the suppressions /: it is a folder; name a file");
}

TEST(ParseDate, ReadsDaysOfTheCalendar) {
  Date date = kToday;
  for (const std::string_view bad :
       {"", "2027-1-31", "2027-01-32", "2027-13-01", "2027-00-10", "2027/01/31", "2027-01-31 ",
        "+027-01-31", "2027-02-29", "-027-01-31", "20270131", "aaaa-bb-cc"}) {
    EXPECT_FALSE(ParseDate(bad, date)) << bad;
    EXPECT_EQ(date, kToday);
  }
  EXPECT_TRUE(ParseDate("2028-02-29", date));
  EXPECT_EQ(FormatDate(date), "2028-02-29");
}

// What it is applied to -----------------------------------------------------

ReportFrame Frame(std::string function, std::string file = "",
                  std::string module = "/srv/bin/server", bool inlined = false) {
  return {.function = std::move(function),
          .file = std::move(file),
          .module = std::move(module),
          .inlined = inlined};
}

Finding ReadInReload() {
  Finding finding;
  finding.id = "F1";
  finding.rule = "blocking-call";
  finding.level = "error";
  finding.call = "__read_chk";
  finding.detail = "fd 9 -> /etc/server.conf";
  finding.count = 3;
  finding.total_seconds = 0.3;
  finding.max_seconds = 0.2;
  finding.message = "read blocked";
  finding.executable = "/srv/bin/server";
  finding.stack = {Frame("SSL_read", "", "/usr/lib/libssl.so.3"),
                   Frame("app::ReadAll(int)", "/srv/src/io.cc", "/srv/bin/server", true),
                   Frame("void app::Reload<int>(int)", "/srv/src/config.cc"),
                   Frame("app::OnSignal(int)", "/srv/src/signals.cc"),
                   Frame("uv_run", "", "/usr/lib/libuv.so.1"),
                   Frame("main", "/srv/src/main.cc")};
  return finding;
}

Report ReportOf(Finding finding) {
  Report report;
  report.findings = {std::move(finding)};
  return report;
}

// Whether an entry without its reason suppresses the finding.
bool Suppresses(const std::string& entry, const Finding& finding) {
  Report report = ReportOf(finding);
  ApplySuppressions(report, Parsed(entry + " # reason: meant"), kToday);
  EXPECT_EQ(report.findings.size() + report.suppressed.size(), 1u);
  return report.findings.empty();
}

TEST(Suppression, IsForARule) {
  EXPECT_TRUE(Suppresses("blocking-call:app", ReadInReload()));
  EXPECT_TRUE(Suppresses("blocking-*:app", ReadInReload()));
  EXPECT_TRUE(Suppresses("*:app", ReadInReload()));
  EXPECT_FALSE(Suppresses("stall:app", ReadInReload()));
  EXPECT_FALSE(Suppresses("blocking:app", ReadInReload()));
}

TEST(Suppression, CanNameTheFunction) {
  EXPECT_TRUE(Suppresses("*:function=Reload", ReadInReload()));
  EXPECT_TRUE(Suppresses("*:function=^app::ReadAll$", ReadInReload()));
  EXPECT_TRUE(Suppresses("*:function=^app::ReadAll(int)$", ReadInReload()));
  EXPECT_TRUE(Suppresses("*:function=^SSL_read$", ReadInReload())) << "between the call and us";
  EXPECT_FALSE(Suppresses("*:function=OnSignal", ReadInReload())) << "which called what blocked";
  EXPECT_FALSE(Suppresses("*:function=main", ReadInReload()));
}

TEST(Suppression, KnowsATemplateByItsNameAlone) {
  EXPECT_TRUE(Suppresses("*:function=^app::Reload$", ReadInReload()));
  EXPECT_TRUE(Suppresses("*:function='^void app::Reload<int>(int)$'", ReadInReload()));
}

TEST(Suppression, CountsWhatTheOwnFunctionWasInlinedInto) {
  Finding finding = ReadInReload();
  EXPECT_TRUE(Suppresses("*:function=Reload", finding));
  finding.stack[1].inlined = false;
  EXPECT_FALSE(Suppresses("*:function=Reload", finding));
}

TEST(Suppression, CanNameTheSource) {
  EXPECT_TRUE(Suppresses("*:source=src/io.cc", ReadInReload()));
  EXPECT_TRUE(Suppresses("*:source=^io.cc$", ReadInReload()));
  EXPECT_TRUE(Suppresses("*:source=^/srv/src/", ReadInReload()));
  EXPECT_FALSE(Suppresses("*:source=signals.cc", ReadInReload()));
}

TEST(Suppression, CanNameTheModule) {
  EXPECT_TRUE(Suppresses("*:module=^libssl.so", ReadInReload()));
  EXPECT_FALSE(Suppresses("*:module=libuv", ReadInReload()));
}

TEST(Suppression, NeedsOneFrameForAllThatItSaysOfThePlace) {
  EXPECT_TRUE(Suppresses("*:function=ReadAll source=io.cc", ReadInReload()));
  EXPECT_FALSE(Suppresses("*:function=SSL_read source=io.cc", ReadInReload()));
}

TEST(Suppression, CanNameAnythingOnTheStack) {
  for (const std::string pattern : {"OnSignal", "^main$", "signals.cc", "^libuv.so"}) {
    EXPECT_TRUE(Suppresses("*:stack=" + pattern, ReadInReload())) << pattern;
    EXPECT_TRUE(Suppresses("*:" + pattern, ReadInReload())) << pattern;
    EXPECT_TRUE(Suppresses("call-stack-contains:" + pattern, ReadInReload())) << pattern;
  }
  EXPECT_FALSE(Suppresses("*:stack=OnTimer", ReadInReload()));
}

TEST(Suppression, CanNameTheCall) {
  EXPECT_TRUE(Suppresses("*:call=read", ReadInReload()));
  EXPECT_TRUE(Suppresses("*:call=__read_chk", ReadInReload()));
  EXPECT_TRUE(Suppresses("function-name-matches:rea", ReadInReload()));
  EXPECT_FALSE(Suppresses("*:call=rea", ReadInReload()));
  EXPECT_FALSE(Suppresses("*:call=readv", ReadInReload()));
  Finding finding = ReadInReload();
  finding.call = "__open64_2";
  EXPECT_TRUE(Suppresses("*:call=open", finding));
  finding.call = "pread64";
  EXPECT_TRUE(Suppresses("*:call=pread", finding));
  EXPECT_FALSE(Suppresses("*:call=read", finding));
}

TEST(Suppression, CanNameWhatTheCallWasAbout) {
  EXPECT_TRUE(Suppresses("*:detail=/etc/*.conf$", ReadInReload()));
  EXPECT_FALSE(Suppresses("*:detail=/var", ReadInReload()));
}

TEST(Suppression, CanNameTheProcess) {
  EXPECT_TRUE(Suppresses("*:process=^server$", ReadInReload()));
  EXPECT_TRUE(Suppresses("*:process=/srv/bin/", ReadInReload()));
  EXPECT_FALSE(Suppresses("*:process=nginx", ReadInReload()));
}

TEST(Suppression, NeedsAllThatItNames) {
  EXPECT_TRUE(Suppresses("*:function=Reload call=read process=server", ReadInReload()));
  EXPECT_FALSE(Suppresses("*:function=Reload call=write process=server", ReadInReload()));
}

TEST(Suppression, SeesAwaitingCoroutinesAndMembers) {
  Finding finding;
  finding.rule = "deadlock";
  finding.max_seconds = 0;
  finding.where = {"app::Task<void> app::Serve(Socket)", "/srv/src/serve.cc", 33};
  finding.async_stack = {{"app::Task<int> app::Accept()", "/srv/src/accept.cc", 1}};
  finding.members = {{"a task", {"app::Task<void> app::Pump()", "/srv/src/pump.cc", 4}, {}},
                     {"a thread", {}, {Frame("app::Work()", "/srv/src/work.cc")}}};
  EXPECT_TRUE(Suppresses("deadlock:function=^app::Serve$", finding));
  EXPECT_TRUE(Suppresses("deadlock:function=^app::Pump$ source=pump.cc", finding));
  EXPECT_TRUE(Suppresses("deadlock:function=^app::Work$", finding));
  EXPECT_TRUE(Suppresses("deadlock:stack=Accept", finding));
  EXPECT_FALSE(Suppresses("deadlock:function=Accept", finding)) << "that awaits, it is not there";
}

TEST(Suppression, TakesTheAwaitingCoroutineForThePlaceIfThereIsNoOther) {
  Finding finding = ReadInReload();
  finding.stack.clear();
  finding.async_stack = {{"app::Task<int> app::Accept()", "/srv/src/accept.cc", 1}};
  EXPECT_TRUE(Suppresses("*:function=Accept", finding));
}

TEST(Suppression, DoesNotMatchWhatIsUnknown) {
  Finding finding;
  finding.rule = "stall";
  for (const std::string key :
       {"function", "source", "module", "stack", "call", "detail", "process"}) {
    EXPECT_FALSE(Suppresses("*:" + key + "=a", finding)) << key;
  }
}

TEST(Suppression, HoldsForUnprovenFindingsToo) {
  Report report;
  report.unproven_findings = {ReadInReload()};
  ApplySuppressions(report, Parsed("*:call=read # reason: x"), kToday);
  EXPECT_THAT(report.unproven_findings, IsEmpty());
  EXPECT_THAT(report.suppressed, SizeIs(1));
}

TEST(Suppression, TellsWhatItHid) {
  Report report;
  report.findings = {ReadInReload(), ReadInReload(), ReadInReload()};
  report.findings[1].rule = "stall";
  report.findings[1].id = "F2";
  report.findings[2].count = std::numeric_limits<uint64_t>::max();
  report.findings[2].total_seconds = std::numeric_limits<double>::quiet_NaN();
  ApplySuppressions(report, Parsed("\nblocking-call:call=read  # reason: once\n"), kToday);
  ASSERT_THAT(report.findings, SizeIs(1));
  EXPECT_EQ(report.findings[0].id, "F2");
  EXPECT_EQ(report.findings[0].note, "");
  ASSERT_THAT(report.suppressed, SizeIs(1));
  const SuppressedFindings& suppressed = report.suppressed[0];
  EXPECT_EQ(suppressed.entry, "blocking-call:call=read");
  EXPECT_EQ(suppressed.reason, "once");
  EXPECT_EQ(suppressed.file, "loop.supp");
  EXPECT_EQ(suppressed.line, 2);
  EXPECT_EQ(suppressed.findings, 2u);
  EXPECT_EQ(suppressed.count, std::numeric_limits<uint64_t>::max());
  EXPECT_DOUBLE_EQ(suppressed.total_seconds, 0.3);
  EXPECT_DOUBLE_EQ(suppressed.max_seconds, 0.2);
  EXPECT_THAT(report.suppression_remarks, IsEmpty());
}

TEST(Suppression, IsCountedWhereItIsTheFirstThatMatches) {
  Report report = ReportOf(ReadInReload());
  ApplySuppressions(
      report, Parsed("*:function=Reload # reason: first\n*:call=read # reason: second\n"), kToday);
  ASSERT_THAT(report.suppressed, SizeIs(1));
  EXPECT_EQ(report.suppressed[0].reason, "first");
  EXPECT_THAT(report.suppression_remarks, IsEmpty()) << "the second would have been of use";
}

TEST(Suppression, ThatMatchesNothingIsRemarked) {
  Report report = ReportOf(ReadInReload());
  ApplySuppressions(report, Parsed("*:function=Gone # reason: x"), kToday);
  ASSERT_THAT(report.suppression_remarks, SizeIs(1));
  EXPECT_EQ(report.suppression_remarks[0].level, "note");
  EXPECT_EQ(report.suppression_remarks[0].entry, "*:function=Gone");
  EXPECT_EQ(report.suppression_remarks[0].line, 1);
  EXPECT_THAT(report.suppression_remarks[0].message, HasSubstr("matched nothing"));
}

TEST(Suppression, OfARulePackMayMatchNothing) {
  Suppressions pack;
  ASSERT_TRUE(pack.Add("*:function=Gone # reason: x\n*:call=read until=2020-01-01 # reason: y\n",
                       "node.supp", SuppressionOrigin::kRulePack)
                  .ok());
  Report report = ReportOf(ReadInReload());
  ApplySuppressions(report, pack, kToday);
  ASSERT_THAT(report.suppression_remarks, SizeIs(1)) << "but not be expired";
  EXPECT_EQ(report.suppression_remarks[0].level, "warning");
}

TEST(Suppression, HoldsOnItsLastDayAndNoLonger) {
  EXPECT_TRUE(Suppresses("*:call=read until=2026-11-28", ReadInReload()));
  Report report = ReportOf(ReadInReload());
  ApplySuppressions(report, Parsed("*:call=read until=2026-11-27 # reason: x"), kToday);
  ASSERT_THAT(report.findings, SizeIs(1));
  EXPECT_EQ(report.findings[0].note, "its suppression loop.supp:1 has expired");
  EXPECT_THAT(report.suppressed, IsEmpty());
  ASSERT_THAT(report.suppression_remarks, SizeIs(1));
  EXPECT_EQ(report.suppression_remarks[0].level, "warning");
  EXPECT_THAT(report.suppression_remarks[0].message,
              StartsWith("this suppression expired on 2026-11-27, so 1 finding counts again;"));
}

TEST(Suppression, ThatIsExpiredIsRemarkedEvenIfItMatchesNothing) {
  Report report = ReportOf(ReadInReload());
  ApplySuppressions(report, Parsed("*:call=write until=2026-11-27 # reason: x"), kToday);
  ASSERT_THAT(report.suppression_remarks, SizeIs(1));
  EXPECT_EQ(report.suppression_remarks[0].level, "warning");
  EXPECT_EQ(report.findings[0].note, "");
}

TEST(Suppression, ThatIsExpiredLeavesItsFindingsToOthers) {
  Report report = ReportOf(ReadInReload());
  ApplySuppressions(
      report, Parsed("*:call=read until=2026-11-27 # reason: x\n*:call=read # reason: y"), kToday);
  EXPECT_THAT(report.findings, IsEmpty());
  EXPECT_EQ(report.suppressed[0].reason, "y");
}

TEST(Suppression, DoesNotHideWhatIsLongerThanItsMaximum) {
  EXPECT_TRUE(Suppresses("*:call=read max=200ms", ReadInReload()));
  Report report = ReportOf(ReadInReload());
  report.findings[0].note = "partial stack";
  ApplySuppressions(report, Parsed("*:call=read max=50ms # reason: x"), kToday);
  ASSERT_THAT(report.findings, SizeIs(1));
  EXPECT_EQ(report.findings[0].note,
            "partial stack; not suppressed by loop.supp:1: 0.200 s is longer than its max of "
            "50.0 ms");
  EXPECT_THAT(report.suppression_remarks, IsEmpty());
  Finding endless = ReadInReload();
  for (const double seconds :
       {std::numeric_limits<double>::quiet_NaN(), std::numeric_limits<double>::infinity()}) {
    endless.max_seconds = seconds;
    EXPECT_FALSE(Suppresses("*:call=read max=1000s", endless));
  }
}

TEST(Suppressions, DoNothingIfThereAreNone) {
  Report report = SampleReport();
  const Report before = report;
  ApplySuppressions(report, Suppressions(), kToday);
  EXPECT_EQ(report.findings.size(), before.findings.size());
  EXPECT_EQ(report.suppressed.size(), before.suppressed.size());
}

TEST(Suppressions, CopeWithHostileNames) {
  Report report = SampleReport();
  report.suppressed.clear();
  report.suppression_remarks.clear();
  ApplySuppressions(report, Parsed("stall:</script> # reason: x\n*:[31m # reason: y\n"), kToday);
  EXPECT_THAT(report.suppressed, SizeIs(1));
}

// Proposals -----------------------------------------------------------------

std::string Proposed(const Report& report) {
  std::ostringstream out;
  WriteProposedSuppressions(report, kToday, out);
  return out.str();
}

TEST(ProposedSuppressions, AreTheGoldenFile) {
  ExpectGolden("proposed.supp", Proposed(SampleReport()));
  const GermanNumbers german;
  ExpectGolden("proposed.supp", Proposed(SampleReport()));
}

TEST(ProposedSuppressions, AreRefusedUntilSomebodyGivesTheReasons) {
  EXPECT_THAT(Error(Proposed(SampleReport())), HasSubstr("instead of TODO"));
}

TEST(ProposedSuppressions, SuppressTheReportThatTheyAreFor) {
  Report report = SampleReport();
  report.suppressed.clear();
  report.suppression_remarks.clear();
  const std::string file =
      absl::StrReplaceAll(Proposed(report), {{"TODO say why", "the test wants it"}});
  ApplySuppressions(report, Parsed(file), kToday);
  ASSERT_THAT(report.findings, SizeIs(1));
  EXPECT_EQ(report.findings[0].rule, "long-turn") << "which has neither a stack nor a process here";
  EXPECT_THAT(report.unproven_findings, IsEmpty());
  EXPECT_THAT(report.suppression_remarks, IsEmpty());
}

TEST(ProposedSuppressions, AreNoMoreThanOneForAPlace) {
  Report report;
  report.findings = {ReadInReload(), ReadInReload()};
  const std::string text = Proposed(report);
  EXPECT_EQ(text.find("until=2027-02-26"), text.rfind("until=2027-02-26"));
}

}  // namespace
}  // namespace loopsan
