#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <limits>
#include <sstream>

#include "reporters/reporter.h"
#include "tests/reporters/golden.h"
#include "tests/reporters/sample_report.h"

namespace loopsan {
namespace {

using testing::EndsWith;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

std::string Write(const Report& report, bool color = false) {
  std::ostringstream out;
  WriteText(report, {.color = color}, out);
  return out.str();
}

Report WithALoop() {
  Report report;
  report.duration_seconds = 3.1;
  report.processes_started = 1;
  report.processes = {
      {.pid = 1, .loops = {{.thread_id = 1, .turns = 12345, .longest_step_seconds = 0.0012}}}};
  return report;
}

Finding Stall(double seconds) {
  Finding finding;
  finding.id = "F1";
  finding.rule = "stall";
  finding.level = "error";
  finding.cause = "cpu";
  finding.count = 1;
  finding.total_seconds = finding.max_seconds = seconds;
  finding.message = "a step took long";
  return finding;
}

ReportFrame Frame(std::string function, std::string module = "/srv/server", std::string file = "") {
  return {.function = std::move(function), .file = std::move(file), .module = std::move(module)};
}

std::string FirstLine(const std::string& text) { return text.substr(0, text.find('\n')); }

std::string LastLine(const std::string& text) {
  return text.substr(text.rfind('\n', text.size() - 2) + 1);
}

TEST(TextReporter, WritesTheGoldenFileInColor) {
  ExpectGolden("report_color.txt", Write(SampleReport(), /*color=*/true));
}

TEST(TextReporter, WritesTheSameBytesInAGermanLocale) {
  const std::string expected = Write(SampleReport());
  const GermanNumbers german;
  EXPECT_EQ(Write(SampleReport()), expected);
}

TEST(TextReporter, LetsNoControlCharacterThrough) {
  for (const char c : Write(SampleReport())) {
    EXPECT_TRUE(c == '\n' || static_cast<unsigned char>(c) >= 0x20) << int{c};
  }
}

TEST(TextReporter, WritesNoEscapeSequenceWithoutColor) {
  EXPECT_THAT(Write(SampleReport()), Not(HasSubstr("\033")));
}

TEST(TextReporter, IgnoresTheWidthAndFlagsOfTheStream) {
  std::ostringstream out;
  out << std::hex << std::showbase;
  out.width(5000);
  WriteText(SampleReport(), {}, out);
  EXPECT_EQ(out.str(), Write(SampleReport()));
}

TEST(Verdict, SaysHowLongTheLoopWasBlocked) {
  Report report = WithALoop();
  report.findings = {Stall(0.22), Stall(0.3)};
  EXPECT_EQ(FirstLine(Write(report)),
            "loopsan: 2 findings: the event loop was blocked for 0.520 s in 3.10 s");
}

TEST(Verdict, SaysWhatWasWatchedIfNothingBlocked) {
  EXPECT_EQ(Write(WithALoop()),
            "loopsan: no blocking found in 1 loop, 12,345 turns, longest step 1.20 ms\n");
}

TEST(Verdict, IsNoCleanBillIfNoLoopWasSeen) {
  Report report;
  report.processes_started = 3;
  const std::string text = Write(report);
  EXPECT_EQ(FirstLine(text),
            "loopsan: no event loop was seen in 3 processes: this is no clean bill");
  EXPECT_THAT(text, HasSubstr("--require-loop"));
}

TEST(Verdict, IsNoCleanBillIfTheProbeWasNotLoaded) {
  EXPECT_THAT(FirstLine(Write(Report())), EndsWith("nothing was watched: this is no clean bill"));
}

TEST(Verdict, IsNoCleanBillIfNoLoopWasProven) {
  Report report = WithALoop();
  report.processes[0].loops[0].proven = false;
  EXPECT_THAT(FirstLine(Write(report)),
              "loopsan: no event loop was proven; 1 thread waits with epoll but may not be a loop: "
              "this is no clean bill");
}

TEST(Verdict, CountsNotesApart) {
  Report report = WithALoop();
  report.findings = {Stall(1)};
  report.findings[0].level = "note";
  EXPECT_THAT(FirstLine(Write(report)), StartsWith("loopsan: no blocking found in 1 loop"));
  EXPECT_THAT(FirstLine(Write(report)), EndsWith("(1 note below)"));
}

TEST(Verdict, SaysWhatHasNotEnded) {
  Report report = WithALoop();
  report.findings = {Stall(1)};
  EXPECT_THAT(Write(report), Not(HasSubstr("had not ended")));
  report.findings[0].in_progress = true;
  EXPECT_THAT(Write(report), HasSubstr("; 1 had not ended when this report was made"));
}

TEST(Verdict, NamesTheSignalThatEndedTheCommand) {
  Report report = WithALoop();
  EXPECT_THAT(Write(report), Not(HasSubstr("signal")));
  report.exit_signal = 9;
  EXPECT_THAT(Write(report), HasSubstr("the command was ended by signal 9 (SIGKILL)\n"));
}

TEST(Summary, IsTheLastLineAndNamesTheOwnFrame) {
  Report report = WithALoop();
  report.findings = {Stall(1)};
  report.findings[0].stack = {Frame("memcpy", "/lib/x86_64-linux-gnu/libc.so.6"), Frame("work")};
  report.findings[0].stack[1].file = "/srv/a.cc";
  report.findings[0].stack[1].line = 7;
  EXPECT_EQ(LastLine(Write(report)), "SUMMARY: loopsan: stall /srv/a.cc:7 in work\n");
}

TEST(Summary, NamesTheModuleWithoutDebugInformation) {
  Report report = WithALoop();
  report.findings = {Stall(1)};
  report.findings[0].stack = {Frame("work")};
  report.findings[0].stack[0].offset = 0x1f00;
  EXPECT_EQ(LastLine(Write(report)), "SUMMARY: loopsan: stall (server+0x1f00) in work\n");
}

TEST(Summary, IsAbsentIfThereAreOnlyNotes) {
  Report report = WithALoop();
  report.findings = {Stall(1)};
  report.findings[0].level = "note";
  EXPECT_THAT(Write(report), Not(HasSubstr("SUMMARY")));
}

TEST(Limits, AreSilentIfEverythingWasPossible) {
  Report report = WithALoop();
  report.findings = {Stall(1)};
  report.capabilities = {{.name = "a way", .available = true}};
  EXPECT_THAT(Write(report), Not(HasSubstr("Not everything")));
}

TEST(Limits, NameAMissingWayToAStackIfThereAreFindings) {
  Report report = WithALoop();
  report.capabilities = {{.name = "a way", .reason = "forbidden"}};
  EXPECT_THAT(Write(report), Not(HasSubstr("a way")));
  report.findings = {Stall(1)};
  EXPECT_THAT(Write(report), HasSubstr("  - not available: a way: forbidden\n"));
}

TEST(Limits, AreShownWithoutFindingsToo) {
  Report report = WithALoop();
  report.dropped.loops = 2;
  report.warnings = {"something was odd"};
  EXPECT_THAT(Write(report), HasSubstr("  - something was odd\n  - 2 loops or processes were not "
                                       "watched: there was no room for more\n"));
}

TEST(StackText, SaysThatAStackIsMissing) {
  Report report = WithALoop();
  report.findings = {Stall(1)};
  EXPECT_THAT(Write(report), HasSubstr("no stack could be taken"));
  report.findings[0].rule = "long-turn";
  EXPECT_THAT(Write(report), Not(HasSubstr("no stack could be taken")));
}

TEST(StackText, LeavesOutHowThreadsStart) {
  Report report = WithALoop();
  report.findings = {Stall(1)};
  report.findings[0].stack = {Frame("work"), Frame("std::thread::_State_impl<int>::_M_run()"),
                              Frame("execute_native_thread_routine", "/lib/libstdc++.so.6"),
                              Frame("start_thread", "/lib/libc.so.6"),
                              Frame("__clone3", "/lib/libc.so.6")};
  const std::string text = Write(report);
  EXPECT_THAT(text, HasSubstr("#0 work"));
  EXPECT_THAT(text, Not(HasSubstr("#1")));
}

TEST(StackText, ShortensTheLoopsInternals) {
  Report report = WithALoop();
  report.findings = {Stall(1)};
  report.findings[0].stack = {Frame("work"), Frame("uv__io_poll"), Frame("uv__run"),
                              Frame("uv_run"), Frame("main")};
  EXPECT_THAT(Write(report), HasSubstr("#0 work (server+0x0)\n      ... 3 frames of libuv\n"
                                       "      #4 main"));
}

TEST(StackText, KeepsASingleFrameOfALibrary) {
  Report report = WithALoop();
  report.findings = {Stall(1)};
  report.findings[0].stack = {Frame("work"), Frame("uv_run"), Frame("main")};
  EXPECT_THAT(Write(report), HasSubstr("#1 uv_run"));
}

TEST(StackText, HidesTheProbesOwnFrames) {
  Report report = WithALoop();
  report.findings = {Stall(1)};
  report.findings[0].stack = {Frame("usleep", "/opt/lib/libloopsan.so"), Frame("work")};
  EXPECT_THAT(Write(report), Not(HasSubstr("libloopsan")));
}

TEST(StackText, SaysHowManyFramesOfADeepStackAreLeftOut) {
  Report report = WithALoop();
  report.findings = {Stall(1)};
  report.findings[0].stack.assign(100, Frame("recurse"));
  EXPECT_THAT(Write(report), HasSubstr("#39 recurse (server+0x0)\n      ... 60 frames more\n"));
}

TEST(OwnFrame, SkipsLibrariesAndHeaders) {
  const std::vector<ReportFrame> stack = {
      Frame("nanosleep", "/usr/lib/x86_64-linux-gnu/libc.so.6"),
      Frame("void std::this_thread::sleep_for<long>(long const&)"),
      Frame("helper", "/srv/server", "/usr/include/thing.h"), Frame("handler"), Frame("main")};
  EXPECT_EQ(OwnFrame(stack), &stack[3]);
}

TEST(OwnFrame, TakesTheProgramUnderUsrBinForTheUsers) {
  const std::vector<ReportFrame> stack = {Frame("nanosleep", "/lib/x86_64-linux-gnu/libc.so.6"),
                                          Frame("debugCommand", "/usr/bin/redis-server"),
                                          Frame("main", "/usr/bin/redis-server")};
  EXPECT_EQ(OwnFrame(stack), &stack[1]);
}

TEST(OwnFrame, TakesTheScriptBelowARuntime) {
  const std::vector<ReportFrame> stack = {
      Frame("node::fs::Open(v8::FunctionCallbackInfo<v8::Value> const&)", "/usr/bin/node"),
      Frame("Builtins_CallApiCallback", "/usr/bin/node"), Frame("open", "[jit]", "node:fs"),
      Frame("", "[jit]"), Frame("load", "[jit]", "/srv/app.js")};
  EXPECT_EQ(OwnFrame(stack), &stack[4]);
}

TEST(OwnFrame, IsNotMisledByAnArgumentOfALibrarysType) {
  const std::vector<ReportFrame> stack = {Frame("Run(std::function<void ()>)"), Frame("main")};
  EXPECT_EQ(OwnFrame(stack), &stack[0]);
}

TEST(OwnFrame, KnowsALibraryBehindAReturnType) {
  const std::vector<ReportFrame> stack = {
      Frame("std::enable_if<(bool)1, void>::type boost::asio::post<int>(int&&)"), Frame("main")};
  EXPECT_EQ(OwnFrame(stack), &stack[1]);
}

TEST(OwnFrame, KnowsOperatorsFromBrackets) {
  const std::vector<ReportFrame> stack = {Frame("app::operator<<(std::ostream&, int)"),
                                          Frame("main")};
  EXPECT_EQ(OwnFrame(stack), &stack[0]);
}

TEST(OwnFrame, FallsBackToTheFirstName) {
  const std::vector<ReportFrame> stack = {Frame("", "/lib/libc.so.6"),
                                          Frame("nanosleep", "/lib/libc.so.6")};
  EXPECT_EQ(OwnFrame(stack), &stack[1]);
}

TEST(OwnFrame, IsNullWithoutAStack) { EXPECT_EQ(OwnFrame({}), nullptr); }

TEST(ShortName, KeepsAShortNameWhole) {
  EXPECT_EQ(ShortName("void app::Run<int>(long)"), "void app::Run<int>(long)");
}

TEST(ShortName, DropsALongReturnType) {
  EXPECT_EQ(ShortName("std::map<" + std::string(80, 'k') + ", int> app::Run<int>(long)"),
            "app::Run<int>(long)");
}

TEST(ShortName, EmptiesTheBracketsOfALongName) {
  const std::string type(80, 't');
  EXPECT_EQ(ShortName("void app::Map<" + type + ">::Run<int>(" + type + " const&) const"),
            "app::Map<...>::Run<...>(...) const");
  EXPECT_EQ(ShortName("app::(anonymous namespace)::Run(void (*)(" + type + "), int)"),
            "app::(anonymous namespace)::Run(...)");
  EXPECT_EQ(ShortName("app::Run(" + type + ")::{lambda()#1}::operator()() const"),
            "app::Run(...)::{lambda()#1}::operator()() const");
  EXPECT_EQ(ShortName("app::operator<<(std::ostream&, " + type + ")"), "app::operator<<(...)");
}

TEST(ShortName, EndsWithAnUnbalancedName) {
  EXPECT_EQ(ShortName("app::Run<" + std::string(80, '(')), "app::Run<...");
  EXPECT_EQ(ShortName(std::string(80, '>') + "operator"), std::string(80, '>') + "operator");
}

TEST(FormatSeconds, GivesThreeDigits) {
  EXPECT_EQ(FormatSeconds(1234.5), "1234 s");
  EXPECT_EQ(FormatSeconds(12.34), "12.3 s");
  EXPECT_EQ(FormatSeconds(3.1), "3.10 s");
  EXPECT_EQ(FormatSeconds(0.3), "0.300 s");
  EXPECT_EQ(FormatSeconds(0.0123), "12.3 ms");
  EXPECT_EQ(FormatSeconds(0.0012), "1.20 ms");
  EXPECT_EQ(FormatSeconds(0.000045), "45 us");
  EXPECT_EQ(FormatSeconds(0.0000001), "100 ns");
}

TEST(FormatSeconds, RoundsIntoTheNextUnit) {
  EXPECT_EQ(FormatSeconds(9.999), "10.0 s");
  EXPECT_EQ(FormatSeconds(0.99999), "1.00 s");
  EXPECT_EQ(FormatSeconds(0.09999), "0.100 s");
  EXPECT_EQ(FormatSeconds(0.0099999), "10.0 ms");
  EXPECT_EQ(FormatSeconds(0.0009999), "1.00 ms");
}

TEST(FormatSeconds, GivesZeroForWhatIsNoDuration) {
  EXPECT_EQ(FormatSeconds(0), "0 s");
  EXPECT_EQ(FormatSeconds(-1), "0 s");
  EXPECT_EQ(FormatSeconds(std::nan("")), "0 s");
  EXPECT_EQ(FormatSeconds(std::numeric_limits<double>::infinity()), "0 s");
}

TEST(Printable, KeepsTextOfAnyLanguage) {
  EXPECT_EQ(Printable("\u00e9\u4e16\U0001f600 a\\b"), "\u00e9\u4e16\U0001f600 a\\b");
}

TEST(Printable, ShowsControlCharacters) {
  EXPECT_EQ(Printable("a\n\r\t\x1b[2J\x7f\u009b"), "a\\n\\r\\t\\x1b[2J\\u{7f}\\u{9b}");
}

TEST(Printable, ShowsBytesThatAreNotUtf8) {
  EXPECT_EQ(Printable("\xff\xc3(\xed\xa0\x80\xf5\xc0\xaf\xe4\xb8"),
            "\\xff\\xc3(\\xed\\xa0\\x80\\xf5\\xc0\\xaf\\xe4\\xb8");
}

TEST(Printable, ShowsMarksThatTurnTextAround) {
  EXPECT_EQ(Printable("\u202egnp.exe\u2066\u200b"), "\\u{202e}gnp.exe\\u{2066}\\u{200b}");
}

// A report with one finding, at line 2 of a file that is there.
class SourceLine : public testing::Test {
 protected:
  SourceLine() {
    std::filesystem::create_directories(folder_);
    std::ofstream(folder_ + "/a b.cc") << "void F() {\n\tsleep(1);  // \x1b[2J\n}\n";
    Finding& finding = report_.findings.emplace_back();
    finding.rule = "blocking-call";
    finding.level = "error";
    finding.call = "sleep";
    finding.stack = {{.function = "F()", .file = folder_ + "/a b.cc", .line = 2}};
  }
  ~SourceLine() override { std::filesystem::remove_all(folder_); }

  std::string Write(const ReporterOptions& options) {
    std::ostringstream out;
    WriteText(report_, options, out);
    return out.str();
  }

  const std::string folder_ = testing::TempDir() + "source_line_" + std::to_string(getpid());
  Report report_;
};

TEST_F(SourceLine, IsShownWithACaretWhereItIsAskedFor) {
  EXPECT_THAT(Write({.source_lines = true}),
              testing::HasSubstr("a b.cc:2 in F()\n"
                                 "      2 |     sleep(1);  // \\x1b[2J\n"
                                 "        |     ^\n"));
  EXPECT_THAT(Write({}), testing::Not(testing::HasSubstr("sleep(1);")));
  report_.findings[0].stack[0].line = 99;
  EXPECT_THAT(Write({.source_lines = true}), testing::Not(testing::HasSubstr("|")));
}

TEST_F(SourceLine, IsALinkWhereTheTerminalMakesThem) {
  EXPECT_THAT(Write({.link_host = "here"}),
              testing::HasSubstr("at \033]8;;file://here" + folder_ + "/a%20b.cc\033\\" + folder_ +
                                 "/a b.cc:2 in F()\033]8;;\033\\\n"));
}

TEST(Reporters, AreFoundByName) {
  std::vector<std::string_view> names;
  for (const Reporter& reporter : Reporters()) names.push_back(reporter.name);
  EXPECT_THAT(names, testing::ElementsAre("text", "json", "sarif", "junit", "github", "gitlab",
                                          "markdown", "folded", "speedscope", "trace", "html"));
  for (const std::string_view name : names) EXPECT_EQ(FindReporter(name)->name, name);
  EXPECT_EQ(FindReporter("telepathy"), nullptr);
}

}  // namespace
}  // namespace loopsan
