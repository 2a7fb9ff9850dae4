#include "tests/reporters/format_report.h"

#include <cstdio>
#include <limits>
#include <sstream>

namespace loopsan {
namespace {

// Each is a syntax error, a link, a command or markup somewhere.
using std::string_literals::operator""s;

const std::string kHostileTexts[] = {
    "\"'`\\ ]]> <!-- --> </script><script>alert(1)</script>",
    "\x1b[31mred\x1b[0m \x1b]0;owned\x07 \x9b[31m",
    "::error file=a,line=1::owned\r\n::stop-commands::x\n%0A%25",
    "| a | b |\n\n# head [link](javascript:alert(1)) ![p](http://x/y) **b** @user #1 ```\n~~~",
    "</pre></details></code><img src=x onerror=alert(1)> &lt; &#0; &amp;",
    "a;b;c 1234\nd;e 5 {0} {{1}} $(id) %s %n",
    "nul \0 invalid \xff\xfe \xc3( \xed\xa0\x80 \xf4\x90\x80\x80 \xe4\xb8"s,
    "\u202egnp.exe\u2066 \ufffe \uffff \ufeff \u2028 \U0001f600",
};

std::string Hostile(size_t number) { return kHostileTexts[number % std::size(kHostileTexts)]; }

SourcePlace HostilePlace(size_t number) {
  return {.function = Hostile(number), .file = "/srv/" + Hostile(number + 1), .line = -3};
}

std::vector<ReportFrame> HostileStack(size_t number) {
  return {
      {.function = Hostile(number), .file = Hostile(number + 1), .line = -1},
      {.function = Hostile(number + 2),
       .file = "/srv/" + Hostile(number + 3),
       .line = std::numeric_limits<int>::max(),
       .module = Hostile(number + 4),
       .offset = std::numeric_limits<uint64_t>::max()},
      {},
      {.function = std::string(100'000, 'x'), .file = std::string(100'000, '\xff')},
  };
}

Finding HostileFinding(size_t number) {
  Finding finding;
  finding.id = Hostile(number);
  finding.rule = Hostile(number + 1);
  finding.level = number % 2 == 0 ? "error" : Hostile(number + 2);
  finding.category = Hostile(number + 3);
  finding.call = number % 3 == 0 ? "" : Hostile(number + 4);
  finding.detail = Hostile(number + 5);
  finding.cause = Hostile(number + 6);
  finding.count = std::numeric_limits<uint64_t>::max();
  const double times[] = {std::numeric_limits<double>::quiet_NaN(),
                          std::numeric_limits<double>::infinity(), -1.0,
                          std::numeric_limits<double>::max(), 0.25};
  finding.total_seconds = times[number % std::size(times)];
  finding.max_seconds = times[(number + 1) % std::size(times)];
  finding.fingerprint = Hostile(number + 7);
  finding.message = Hostile(number);
  finding.remedy = Hostile(number + 1);
  finding.note = Hostile(number + 2);
  finding.pid = -1;
  finding.thread_id = -1;
  finding.thread_name = Hostile(number + 3);
  finding.executable = Hostile(number + 4);
  finding.stack_source = Hostile(number + 5);
  finding.stack = HostileStack(number);
  finding.task = {.name = Hostile(number),
                  .id = 1,
                  .spawned_at = HostilePlace(number),
                  .spawner = Hostile(number)};
  finding.async_stack = {HostilePlace(number + 1), {}};
  finding.where = number % 2 == 0 ? SourcePlace() : HostilePlace(number);
  finding.members = {{Hostile(number), HostilePlace(number), HostileStack(number)}, {}};
  finding.baseline_state = Hostile(number);
  return finding;
}

}  // namespace

std::string WriteAs(std::string_view format, const Report& report, const ReporterOptions& options) {
  std::ostringstream out;
  FindReporter(format)->write(report, options, out);
  std::string text = out.str();
  for (const std::string before :
       {"\"version\": \"", "\"version\":\"", "\"semanticVersion\": \"", "\"loopsan "}) {
    const std::string with_version = before + LOOPSAN_VERSION + "\"";
    if (const size_t at = text.find(with_version); at != std::string::npos) {
      text.replace(at, with_version.size(), before + "0.0.0\"");
    }
  }
  return text;
}

Report CleanReport() {
  Report report;
  report.command = {"./server"};
  report.duration_seconds = 2;
  report.threshold_seconds = 0.1;
  report.processes_started = 1;
  report.processes = {{.pid = 7,
                       .executable = "/srv/bin/server",
                       .loops = {{.thread_id = 8,
                                  .thread_name = "io",
                                  .kind = "epoll",
                                  .turns = 5,
                                  .busy_seconds = 0.5,
                                  .longest_step_seconds = 0.001}}}};
  return report;
}

Finding SleepFinding() {
  Finding finding;
  finding.id = "F1";
  finding.rule = "blocking-call";
  finding.level = "error";
  finding.category = "sleep";
  finding.call = "nanosleep";
  finding.cause = "blocking-call";
  finding.count = 2;
  finding.total_seconds = 0.5;
  finding.max_seconds = 0.3;
  finding.fingerprint = "0123456789abcdef";
  finding.message = "nanosleep blocked the event loop for 0.500 s in app::Serve()";
  finding.remedy = "await a timer";
  finding.pid = 7;
  finding.thread_id = 8;
  finding.thread_name = "io";
  finding.executable = "/srv/bin/server";
  finding.stack = {{.function = "app::Serve()",
                    .file = "/srv/src/serve.cc",
                    .line = 12,
                    .module = "/srv/bin/server",
                    .offset = 0x1000},
                   {.function = "main",
                    .file = "/srv/src/main.cc",
                    .line = 3,
                    .module = "/srv/bin/server",
                    .offset = 0x2000}};
  return finding;
}

Report SleepReport() {
  Report report = CleanReport();
  report.findings = {SleepFinding()};
  return report;
}

Report HostileReport() {
  Report report;
  report.duration_seconds = std::numeric_limits<double>::quiet_NaN();
  report.threshold_seconds = -std::numeric_limits<double>::infinity();
  report.exit_signal = -5;
  for (size_t i = 0; i < std::size(kHostileTexts); ++i) {
    report.command.push_back(Hostile(i));
    report.processes.push_back({.pid = -1,
                                .executable = Hostile(i),
                                .loops = {{.thread_id = -1,
                                           .thread_name = Hostile(i),
                                           .kind = Hostile(i),
                                           .function = Hostile(i),
                                           .busy_seconds = report.duration_seconds}}});
    report.capabilities.push_back({.name = Hostile(i), .reason = Hostile(i + 1)});
    report.warnings.push_back(Hostile(i));
  }
  for (size_t i = 0; i < 30; ++i) report.findings.push_back(HostileFinding(i));
  report.unproven_findings = {HostileFinding(0)};
  return report;
}

Report LargeReport() {
  constexpr int kFindings = 10'000;
  Report report = CleanReport();
  for (int i = 0; i < kFindings; ++i) {
    Finding finding = SleepFinding();
    char fingerprint[17];
    snprintf(fingerprint, sizeof fingerprint, "%016x", i);
    finding.id = "F" + std::to_string(i + 1);
    finding.fingerprint = fingerprint;
    finding.stack[0].function = "app::Serve" + std::to_string(i) + "()";
    finding.message =
        "nanosleep blocked the event loop for 0.500 s in " + finding.stack[0].function;
    finding.stack[0].line = i + 1;
    finding.stack.insert(finding.stack.begin() + 1, 10, finding.stack[1]);
    report.findings.push_back(finding);
  }
  return report;
}

}  // namespace loopsan
