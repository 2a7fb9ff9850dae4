// The status page in a browser, behind a server that answers as the real one does.
// With LOOPSAN_SCREENSHOTS=DIRECTORY it leaves pictures there, to look at.
#include "reporters/status_page.h"

#include <gtest/gtest.h>

#include <csignal>
#include <cstdlib>
#include <fstream>

#include "tests/reporters/sample_report.h"
#include "tests/support/loopsan_run.h"
#include "tests/support/process.h"

namespace loopsan::testing {
namespace {

void WriteFile(const std::string& path, const std::string& text) {
  std::ofstream file(path, std::ios::binary);
  file << text;
  EXPECT_TRUE(file.good()) << path;
}

bool IsThere(const std::string& command) {
  return RunCommand({.arguments = {"sh", "-c", "command -v " + command}}).exit_code == 0;
}

Finding Blocked(const std::string& call, const std::string& function, const std::string& file,
                int line, double seconds) {
  Finding finding;
  finding.rule = "blocking-call";
  finding.level = "error";
  finding.cause = "blocking-call";
  finding.call = call;
  finding.fingerprint = function;
  finding.executable = "/usr/bin/shop-server";
  finding.pid = 4100;
  finding.thread_id = 4101;
  finding.thread_name = "io-0";
  finding.count = 12;
  finding.total_seconds = seconds;
  finding.max_seconds = seconds / 3;
  finding.message = call + " blocked the event loop of shop-server (thread io-0), called from " +
                    function + " at " + file + ":" + std::to_string(line);
  finding.remedy = "await a timer of the loop instead of sleeping in it";
  finding.stack = {{.function = function, .file = file, .line = line}};
  return finding;
}

// A server with three loops; with `stalled`, the first is held up just now.
Report ShopReport(bool stalled) {
  Report report;
  report.command = {"/usr/bin/shop-server", "--port=8080"};
  report.duration_seconds = stalled ? 64.5 : 62.5;
  report.threshold_seconds = 0.1;
  report.processes = {{.pid = 4100, .executable = "/usr/bin/shop-server"}};
  for (int i = 0; i < 3; ++i) {
    report.processes[0].loops.push_back({.thread_id = 4101 + i,
                                         .thread_name = "io-" + std::to_string(i),
                                         .kind = "epoll",
                                         .turns = 123'456u / (i + 1u) + (stalled ? 10 : 0),
                                         .busy_seconds = 21.5 / (i + 1),
                                         .idle_seconds = 62 - 21.5 / (i + 1),
                                         .longest_step_seconds = 1.2 / (i + 1),
                                         .p99_step_seconds = 0.012 / (i + 1)});
    LoopTimeline timeline{.pid = 4100, .thread_id = 4101 + i};
    for (int j = 0; j < 80; ++j) {
      const bool held = stalled && i == 0 && j > 65;
      const double share = held ? 1 : (0.2 + (j * 7 + i * 3) % 11 / 20.0) / (i + 1);
      timeline.intervals.push_back({.start_seconds = report.duration_seconds - (80 - j) * 0.1,
                                    .duration_seconds = 0.1,
                                    .busy_seconds = 0.1 * share,
                                    .longest_step_seconds = held ? (j - 65) * 0.1 : 0.01,
                                    .turns = held ? 0u : 200u});
    }
    report.timeline.loops.push_back(std::move(timeline));
  }
  report.findings = {Blocked("getaddrinfo", "shop::Payments::Connect(std::string const&)",
                             "/src/shop/payments.cc", 218, 6.2),
                     Blocked("fsync", "shop::Journal::Append(shop::Order const&)",
                             "/src/shop/journal.cc", 77, 2.4),
                     Blocked("pthread_mutex_lock", "shop::Cache::Find(std::string_view)",
                             "/src/shop/cache.cc", 31, 0.4)};
  report.findings[2].level = "warning";
  if (stalled) report.findings[0].in_progress = true;
  return report;
}

TEST(StatusPage, CanBeUsedInABrowser) {
  for (const char* needed : {"chromium", "node"}) {
    if (!IsThere(needed)) GTEST_SKIP() << needed << " is not installed";
  }
  const TemporaryDirectory directory;
  WriteFile(directory / "page.html", StatusPage());
  WriteFile(directory / "sample.json", StatusJson(SampleReport()));
  WriteFile(directory / "quiet.json", StatusJson(ShopReport(/*stalled=*/false)));
  WriteFile(directory / "stalled.json", StatusJson(ShopReport(/*stalled=*/true)));
  Report late = ShopReport(/*stalled=*/true);
  late.findings.clear();
  WriteFile(directory / "late.json", StatusJson(late));
  WriteFile(directory / "empty.json", StatusJson(Report()));
  Command command;
  command.arguments = {"node", LOOPSAN_USE_STATUS_PAGE, "chromium", directory.path()};
  if (const char* screenshots = std::getenv("LOOPSAN_SCREENSHOTS")) {
    command.arguments.emplace_back(screenshots);
  }
  const Finished finished = RunCommand(command, Seconds(150));
  EXPECT_EQ(finished.exit_code, 0) << finished.out << finished.err;
}

// What follows `begin` in `text`, up to the end of the word.
std::string WordBehind(const std::string& text, const std::string& begin) {
  const size_t at = text.find(begin);
  if (at == std::string::npos) return "";
  const size_t from = at + begin.size();
  return text.substr(from, text.find_first_not_of("0123456789", from) - from);
}

TEST(StatusPage, FollowsARunThatGoesOn) {
  for (const char* needed : {"chromium", "node"}) {
    if (!IsThere(needed)) GTEST_SKIP() << needed << " is not installed";
  }
  LoopsanProcess run({ProgramPath("held_loop")}, {.flags = {"--metrics=127.0.0.1:0"}});
  ASSERT_TRUE(run.process().WaitForOutput("port "));
  ASSERT_TRUE(run.process().WaitForError("http://127.0.0.1:"));
  ASSERT_TRUE(run.process().WaitForOutput("\n"));
  const std::string url =
      "http://127.0.0.1:" + WordBehind(run.process().error(), "http://127.0.0.1:") + "/";
  Command command;
  command.arguments = {"node", LOOPSAN_WATCH_LIVE_PAGE, "chromium", url,
                       WordBehind(run.process().output(), "port ")};
  if (const char* screenshots = std::getenv("LOOPSAN_SCREENSHOTS")) {
    command.arguments.emplace_back(screenshots);
  }
  const Finished finished = RunCommand(command, Seconds(150));
  EXPECT_EQ(finished.exit_code, 0) << finished.out << finished.err;
  if (finished.exit_code != 0) run.Signal(SIGTERM);
  run.Wait();
}

}  // namespace
}  // namespace loopsan::testing
