#include "tests/reporters/big_report.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <random>
#include <string>
#include <utility>

namespace loopsan {
namespace {

constexpr std::array<std::pair<const char*, const char*>, 6> kCalls = {
    {{"nanosleep", "sleep"},
     {"getaddrinfo", "dns"},
     {"fsync", "file"},
     {"read", "file"},
     {"pthread_mutex_lock", "lock"},
     {"waitpid", "process"}}};

Finding MakeFinding(size_t index, double seconds) {
  const auto& [call, category] = kCalls[index % kCalls.size()];
  const std::string handler = "app::Handler" + std::to_string(index) + "::OnRequest(int)";
  Finding finding;
  finding.id = "F" + std::to_string(index + 1);
  finding.count = 1 + index % 7;
  finding.total_seconds = seconds;
  finding.max_seconds = seconds / static_cast<double>(finding.count);
  finding.fingerprint = "0123456789abcdef";
  finding.pid = 100;
  finding.thread_id = static_cast<int>(101 + index % 2);
  finding.thread_name = index % 2 == 0 ? "io" : "worker";
  finding.executable = "/srv/bin/server";
  finding.stack_source = "hook-registers";
  const std::string file = "/srv/src/handler" + std::to_string(index % 300) + ".cc";
  if (index % 5 == 4) {
    finding.rule = "stall";
    finding.level = "error";
    finding.cause = "cpu";
    finding.message = "one callback kept the event loop of server (thread " + finding.thread_name +
                      ") in " + handler;
  } else {
    finding.rule = "blocking-call";
    finding.level = "error";
    finding.call = call;
    finding.category = category;
    finding.cause = finding.category == "lock" ? "lock" : "blocking-call";
    finding.detail = "fd 9 -> /var/lib/server/" + std::to_string(index);
    finding.message = std::string(call) + " blocked the event loop of server (thread " +
                      finding.thread_name + "), called from " + handler;
    finding.remedy = "give it to a thread and await the result";
  }
  const auto line = static_cast<int>(1 + index % 500);
  finding.stack = {
      {.function = "clock_nanosleep", .module = "/usr/lib/libc.so.6", .offset = 0xd3b4f},
      {.function = handler, .file = file, .line = line, .module = "/srv/bin/server"},
      {.function = "app::Router::Dispatch(app::Request const&)",
       .file = "/srv/src/router.cc",
       .line = static_cast<int>(1 + index % 40),
       .module = "/srv/bin/server"},
      {.function = "app::Session" + std::to_string(index % 20) + "::Read()",
       .file = "/srv/src/session.cc",
       .line = 77,
       .module = "/srv/bin/server"}};
  for (int depth = 0; depth < 5; ++depth) {
    finding.stack.push_back({.function = "app::Layer" + std::to_string(depth) + "(int)",
                             .file = "/srv/src/layers.cc",
                             .line = 10 + depth,
                             .module = "/srv/bin/server"});
  }
  finding.stack.push_back({.function = "uv__io_poll", .module = "/usr/lib/libuv.so.1"});
  finding.stack.push_back({.function = "uv_run", .module = "/usr/lib/libuv.so.1"});
  finding.stack.push_back({.function = "main",
                           .file = "/srv/src/main.cc",
                           .line = 99,
                           .module = "/srv/bin/server",
                           .offset = 0x1100});
  return finding;
}

}  // namespace

Report BigReport(size_t findings, size_t events) {
  // Not a distribution: those differ between standard libraries.
  std::mt19937 random(1);
  const auto uniform = [&] { return static_cast<double>(random()) / 4294967296.0; };
  constexpr double kRun = 600;
  Report report;
  report.command = {"/srv/bin/server", "--port=8080"};
  report.duration_seconds = kRun;
  report.threshold_seconds = 0.1;
  report.processes_started = 1;
  std::vector<double> lost;
  for (size_t i = 0; i < findings; ++i) lost.push_back(std::pow(uniform(), 6) * 20 + 0.01);
  std::sort(lost.rbegin(), lost.rend());
  for (size_t i = 0; i < findings; ++i) report.findings.push_back(MakeFinding(i, lost[i]));
  ProcessSummary process{.pid = 100, .executable = "/srv/bin/server"};
  for (int thread = 101; thread <= 102; ++thread) {
    LoopTimeline timeline{
        .pid = 100, .thread_id = thread, .thread_name = thread == 101 ? "io" : "worker"};
    const size_t count = events / 2;
    const double step = kRun / static_cast<double>(std::max<size_t>(1, count));
    LoopSummary loop{.thread_id = thread,
                     .thread_name = timeline.thread_name,
                     .kind = "epoll",
                     .function = "uv_run"};
    for (size_t i = 0; i < count; ++i) {
      const double start = static_cast<double>(i) * step;
      const double wave = 0.5 + 0.4 * std::sin(start / 40);
      const double longest = std::pow(uniform(), 12) * 0.8;
      timeline.intervals.push_back({.start_seconds = start,
                                    .duration_seconds = step,
                                    .busy_seconds = step * wave,
                                    .idle_seconds = step * (1 - wave),
                                    .cpu_seconds = step * wave * 0.6,
                                    .longest_step_seconds = longest,
                                    .turns = 10});
      const bool is_call = i % 2 == 1;
      timeline.spans.push_back(
          {.kind = is_call ? "blocking-call" : "turn",
           .start_seconds = start,
           .duration_seconds = longest,
           .finding_id = is_call && findings > 0 ? "F" + std::to_string(1 + i % findings) : ""});
      loop.longest_step_seconds = std::max(loop.longest_step_seconds, longest);
      loop.busy_seconds += step * wave;
      loop.idle_seconds += step * (1 - wave);
      loop.turns += 10;
    }
    process.loops.push_back(loop);
    report.timeline.loops.push_back(std::move(timeline));
  }
  report.processes.push_back(std::move(process));
  return report;
}

}  // namespace loopsan
