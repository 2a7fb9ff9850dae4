// What `loopsan run` gives away while the program runs: --metrics, --metrics-file,
// --pushgateway and --findings.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <regex>
#include <sstream>
#include <string>
#include <vector>

#include "tests/reporters/golden.h"
#include "tests/support/http_client.h"
#include "tests/support/loopsan_run.h"
#include "tests/support/prometheus.h"

namespace loopsan::testing {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::SizeIs;

using Samples = std::map<std::string, double>;  // by name and labels

Samples SamplesIn(const std::string& text) {
  Samples samples;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) {
    const size_t space = line.rfind(' ');
    if (line.starts_with('#') || space == std::string::npos) continue;
    const bool is_new =
        samples.emplace(line.substr(0, space), std::stod(line.substr(space + 1))).second;
    EXPECT_TRUE(is_new) << "twice: " << line;
  }
  return samples;
}

double Value(const Samples& samples, const std::string& name) {
  const auto found = samples.find(name);
  return found == samples.end() ? -1 : found->second;
}

std::vector<std::string> PlantedBlock(const std::string& seconds, int count, bool stays) {
  std::vector<std::string> words = {"python3", ScriptPath("python/planted_block.py"), seconds,
                                    std::to_string(count)};
  if (stays) words.push_back("stay");
  return words;
}

Command UnderLoopsan(std::vector<std::string> flags, const std::vector<std::string>& command) {
  std::vector<std::string> words = {LOOPSAN_COMMAND, "run"};
  words.insert(words.end(), flags.begin(), flags.end());
  words.push_back("--");
  words.insert(words.end(), command.begin(), command.end());
  return {.arguments = words, .environment = {"PYTHONUNBUFFERED=1"}, .directory = ""};
}

// A run that serves its metrics.
class Served {
 public:
  explicit Served(const std::vector<std::string>& command, std::vector<std::string> flags = {})
      : process_(UnderLoopsan(With(std::move(flags), "--metrics=127.0.0.1:0"), command)) {
    EXPECT_TRUE(process_.WaitForError("a page at http://127.0.0.1:")) << process_.error();
    std::smatch found;
    const std::string error = process_.error();
    EXPECT_TRUE(std::regex_search(error, found, std::regex("metrics at http://127.0.0.1:(\\d+)/")));
    port_ = found.size() == 2 ? std::stoi(found[1]) : 0;
  }

  int port() const { return port_; }
  Process& process() { return process_; }
  Samples Scrape() const { return SamplesIn(FetchPage(port_, "/metrics").body); }

 private:
  static std::vector<std::string> With(std::vector<std::string> flags, const std::string& flag) {
    flags.push_back(flag);
    return flags;
  }

  Process process_;
  int port_ = 0;
};

// The number behind `word` in what the program printed.
double Told(const std::string& text, const std::string& word) {
  const size_t at = text.find(word + " ");
  return at == std::string::npos ? -1 : std::stod(text.substr(at + word.size() + 1));
}

constexpr char kSleeps[] =
    R"(loopsan_blocking_seconds_total{process="python3",loop="python3",category="sleep"})";
constexpr char kSleepCalls[] =
    R"(loopsan_blocking_calls_total{process="python3",loop="python3",category="sleep"})";

TEST(LiveMetrics, KnowHowLongTheLoopWasBlocked) {
  Served run(PlantedBlock("0.05", 20, true));
  ASSERT_TRUE(run.process().WaitForOutput("blocked "));
  Samples samples;
  ASSERT_TRUE(WaitUntil([&] {
    samples = run.Scrape();
    return Value(samples, kSleepCalls) >= 20;
  }));
  EXPECT_EQ(Value(samples, kSleepCalls), 20);
  const double blocked = Told(run.process().output(), "blocked");
  EXPECT_NEAR(Value(samples, kSleeps), blocked, 0.05 * blocked);
  EXPECT_EQ(Value(samples, R"(loopsan_loops{process="python3"})"), 1);
  // The interpreter may take more than one way to the call.
  double named = 0;
  for (const auto& [name, value] : samples) {
    if (name.starts_with("loopsan_site_blocks_total{process=\"python3\"")) named += value;
  }
  EXPECT_EQ(named, 20);
}

TEST(LiveMetrics, AddUpToTheTimeThatPassed) {
  const TemporaryDirectory directory;
  const Finished run = RunCommand(UnderLoopsan({"--metrics-file=" + directory.path() + "/metrics"},
                                               PlantedBlock("0.02", 45, false)));
  const double ran = Told(run.out, "ran");
  const Samples samples = SamplesIn(ReadFile(directory / "metrics"));
  const std::string labels = R"({process="python3",loop="python3"})";
  const double known = Value(samples, "loopsan_loop_busy_seconds_total" + labels) +
                       Value(samples, "loopsan_idle_seconds_total" + labels);
  EXPECT_NEAR(known, ran, 0.01 * ran);
  EXPECT_NEAR(Value(samples, "loopsan_step_seconds_sum" + labels),
              Value(samples, "loopsan_loop_busy_seconds_total" + labels), 0.01 * ran);
}

// nginx waits at one place to try epoll out, and at another ever after: each worker's first
// wait there is long, and the loop's own.
TEST(LiveMetrics, KnowIdleWorkersForIdle) {
  const TemporaryDirectory directory;
  std::ofstream(directory / "nginx.conf")
      << "worker_processes 2; daemon off; pid " << directory.path() << "/pid; error_log "
      << directory.path() << "/error;\nevents { worker_connections 16; }\nhttp { access_log off; "
      << "server { listen unix:" << directory.path() << "/socket; } }\n";
  Served run({"nginx", "-p", directory.path(), "-c", directory / "nginx.conf"});
  const std::string labels = R"({process="nginx",loop="nginx"})";
  Samples samples;
  ASSERT_TRUE(WaitUntil([&] {
    samples = run.Scrape();
    return Value(samples, R"(loopsan_loops{process="nginx"})") == 2 &&
           Value(samples, "loopsan_loop_busy_seconds_total" + labels) +
                   Value(samples, "loopsan_idle_seconds_total" + labels) >
               6;
  }));
  EXPECT_LT(Value(samples, "loopsan_loop_busy_seconds_total" + labels), 1);
  run.process().Signal(SIGTERM);
  EXPECT_EQ(run.process().Wait().exit_code, 0);
}

TEST(LiveMetrics, AreServedReadOnlyAndToNobodyElsesName) {
  Served run(PlantedBlock("0.3", 1, true));
  ASSERT_TRUE(run.process().WaitForOutput("blocked "));
  const auto ask = [&](const std::string& request) {
    TcpClient client(run.port());
    client.Send(request);
    return client.ReadUntil("\r\n\r\n");
  };
  EXPECT_THAT(ask("GET /metrics HTTP/1.1\r\nHost: localhost:1\r\n\r\n"),
              AllOf(HasSubstr(" 200 "), HasSubstr("text/plain; version=0.0.4")));
  EXPECT_THAT(ask("HEAD / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"),
              AllOf(HasSubstr(" 200 "), HasSubstr("nosniff")));
  EXPECT_THAT(ask("GET /metrics HTTP/1.1\r\nHost: evil.example\r\n\r\n"), HasSubstr(" 403 "));
  EXPECT_THAT(ask("POST /metrics HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n"),
              HasSubstr(" 405 "));
  EXPECT_THAT(ask("GET /../../etc/passwd HTTP/1.1\r\nHost: localhost\r\n\r\n"),
              Not(HasSubstr(" 200 ")));
  EXPECT_THAT(ask("nonsense\r\n\r\n"), Not(HasSubstr(" 200 ")));
  Json report;
  ASSERT_TRUE(WaitUntil([&] {
    report = Json::parse(FetchPage(run.port(), "/report.json").body);
    return report["findings"].size() == 1;
  }));
  EXPECT_EQ(report["findings"][0]["call"], "clock_nanosleep");
  ASSERT_THAT(report["processes"], SizeIs(1));
  EXPECT_THAT(report["processes"][0]["loops"], SizeIs(1));
}

// Of each series, whatever comes and goes meanwhile.
TEST(LiveMetrics, NeverShrinkWhileLoopsBeginAndEnd) {
  const char* const kLoopsThatEnd =
      "for i in 1 2 3 4 5 6 7 8; do python3 \"$0\" 0.02 3 & python3 \"$0\" 0.01 2; wait; done; "
      "echo over; exec sleep 1000";
  Served run({"sh", "-c", kLoopsThatEnd, ScriptPath("python/planted_block.py")},
             {"--metrics-buckets=1ms,10ms,100ms"});
  Samples before;
  int scrapes = 0;
  while (run.process().output().find("over") == std::string::npos && scrapes < 10'000) {
    const Samples now = run.Scrape();
    ++scrapes;
    for (const auto& [name, value] : before) {
      const bool grows = name.find("_total") != std::string::npos ||
                         name.find("_bucket{") != std::string::npos ||
                         name.find("_count{") != std::string::npos;
      if (!grows) continue;
      // A site may leave the list of those that are named.
      if (!now.contains(name) && name.starts_with("loopsan_site_")) continue;
      // Sums of parts: the last digits depend on the order.
      EXPECT_GE(Value(now, name), value - 1e-9) << name << " in scrape " << scrapes;
    }
    before = now;
  }
  EXPECT_GT(scrapes, 10);
  ASSERT_TRUE(run.process().WaitForOutput("over"));
  EXPECT_TRUE(WaitUntil([&] { return Value(run.Scrape(), kSleepCalls) == 8 * (3 + 2); }))
      << Value(run.Scrape(), kSleepCalls);
}

TEST(LiveMetrics, WarnOfAnAddressThatOthersReach) {
  EXPECT_THAT(RunCommand(UnderLoopsan({"--metrics=0.0.0.0:0"}, {"true"})).err,
              HasSubstr("other machines may reach this address"));
  EXPECT_THAT(RunCommand(UnderLoopsan({"--metrics=0"}, {"true"})).err,
              AllOf(HasSubstr("metrics at http://127.0.0.1:"), Not(HasSubstr("other machines"))));
}

TEST(LiveMetrics, SayWhatIsWrongWithThePort) {
  Served first({"sleep", "1000"});
  const Finished second =
      RunCommand(UnderLoopsan({"--metrics=127.0.0.1:" + std::to_string(first.port())}, {"true"}));
  EXPECT_EQ(second.exit_code, 125);
  EXPECT_THAT(second.err, AllOf(HasSubstr("--metrics: cannot listen at 127.0.0.1:"),
                                HasSubstr("--metrics=127.0.0.1:0")));
  const Finished gateway = RunCommand(UnderLoopsan({"--pushgateway=http://localhost:1"}, {"true"}));
  EXPECT_EQ(gateway.exit_code, 125);
  EXPECT_THAT(gateway.err, HasSubstr("HOST:PORT or HOST:PORT/JOB, without http://"));
  const Finished bad = RunCommand(UnderLoopsan({"--metrics=example.org:80"}, {"true"}));
  EXPECT_EQ(bad.exit_code, 125);
  EXPECT_THAT(bad.err, HasSubstr("metrics: bad value 'example.org:80'"));
}

TEST(MetricsFile, IsWholeOrAsItWas) {
  const TemporaryDirectory directory;
  const std::string file = directory / "loopsan.prom";
  const Finished fine =
      RunCommand(UnderLoopsan({"--metrics-file=" + file}, PlantedBlock("0.3", 1, false)));
  EXPECT_EQ(fine.exit_code, 0);
  const std::string text = ReadFile(file);
  EXPECT_EQ(Value(SamplesIn(text), kSleepCalls), 1);
  std::filesystem::create_symlink(file, directory / "link");
  RunCommand(UnderLoopsan({"--metrics-file=" + directory.path() + "/link"}, {"true"}));
  EXPECT_TRUE(std::filesystem::is_symlink(directory / "link"));
  EXPECT_NE(ReadFile(file), text);
  std::filesystem::remove(directory / "link");
  RunCommand(UnderLoopsan({"--metrics-file=" + file}, PlantedBlock("0.3", 1, false)));
  const std::string before = ReadFile(file);
  // A file may have 1 KiB: as on a full disk there is no room for the new text.
  Command full = UnderLoopsan({"--metrics-file=" + file}, {"true"});
  full.arguments.insert(full.arguments.begin(), {"sh", "-c", "ulimit -f 1; exec \"$@\"", "sh"});
  const Finished failed = RunCommand(full);
  EXPECT_EQ(failed.exit_code, 125);
  EXPECT_THAT(failed.err, HasSubstr("--metrics-file: cannot write " + file));
  EXPECT_EQ(ReadFile(file), before);
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(directory.path()), {}), 1);
}

TEST(MetricsFile, PassesTheLintOfPromtool) {
  const TemporaryDirectory directory;
  RunCommand(UnderLoopsan({"--metrics-file=" + directory.path() + "/metrics"},
                          PlantedBlock("0.3", 1, false)));
  const Finished lint = RunCommand({.arguments = {"sh", "-c", "promtool check metrics < metrics"},
                                    .environment = {},
                                    .directory = directory.path()});
  EXPECT_EQ(lint.exit_code, 0) << lint.out << lint.err;
}

TEST(Pushgateway, HasTheMetricsOfAShortJob) {
  const int port = PickFreePort();
  const TemporaryDirectory directory;
  Process gateway({.arguments = {"prometheus-pushgateway",
                                 "--web.listen-address=127.0.0.1:" + std::to_string(port)},
                   .environment = {},
                   .directory = directory.path()});
  ASSERT_TRUE(WaitForPort(port));
  const Finished job = RunCommand(UnderLoopsan({"--pushgateway=127.0.0.1:" + std::to_string(port)},
                                               PlantedBlock("0.3", 1, false)));
  EXPECT_EQ(job.exit_code, 0) << job.err;
  EXPECT_THAT(FetchPage(port, "/metrics").body,
              HasSubstr("loopsan_blocking_calls_total{category=\"sleep\",instance=\"\",job="
                        "\"loopsan\",loop=\"python3\",process=\"python3\"} 1"));
  const Finished named =
      RunCommand(UnderLoopsan({"--pushgateway=127.0.0.1:" + std::to_string(port) + "/nightly.x-1"},
                              PlantedBlock("0.3", 1, false)));
  EXPECT_EQ(named.exit_code, 0) << named.err;
  EXPECT_THAT(FetchPage(port, "/metrics").body,
              AllOf(HasSubstr("job=\"loopsan\""), HasSubstr("job=\"nightly.x-1\"")));
  const Finished nobody = RunCommand(
      UnderLoopsan({"--pushgateway=127.0.0.1:" + std::to_string(PickFreePort())}, {"true"}));
  EXPECT_THAT(nobody.err, HasSubstr("--pushgateway: nothing was pushed to 127.0.0.1:"));
}

TEST(FindingsLog, HasALineForEachFindingWhileTheProgramRuns) {
  const TemporaryDirectory directory;
  const std::string file = directory / "findings.jsonl";
  Process run(UnderLoopsan({"--findings=" + file}, PlantedBlock("0.2", 3, true)));
  ASSERT_TRUE(
      WaitUntil([&] { return std::filesystem::exists(file) && ReadFile(file).ends_with('\n'); }));
  ASSERT_TRUE(run.WaitForOutput("blocked "));
  run.Signal(SIGTERM);
  run.Wait();
  std::istringstream stream(ReadFile(file));
  uint64_t count = 0;
  std::vector<std::string> events;
  for (std::string line; std::getline(stream, line);) {
    const Json finding = Json::parse(line);
    EXPECT_EQ(finding["rule"], "blocking-call");
    events.push_back(finding["event"]);
    count += finding["count_delta"].get<uint64_t>();
  }
  EXPECT_EQ(events.front(), "new");
  EXPECT_EQ(count, 3u);
}

}  // namespace
}  // namespace loopsan::testing
