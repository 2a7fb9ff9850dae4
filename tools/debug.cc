// loopsan::debug: a program that is linked with it watches itself when it is
// started with LOOPSAN=1, and prints its report when it exits.
//
// The collector begins when the probe meets the first loop, on that loop's thread:
// a daemon has forked by then, and a program without a loop gets no thread. Each
// forked child that runs a loop has a collector and a report of its own.
//
// Nothing here is destroyed: other threads may still be in hooks, which write into
// the arena, while the program exits.
#include <signal.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "instrument/segment.h"
#include "reporters/collector.h"
#include "reporters/options.h"
#include "reporters/run_metrics.h"
#include "tools/debug.h"
#include "tools/report_outputs.h"
#include "tools/suppression_files.h"

namespace loopsan {

namespace internal {
// The runtime's, where the program has it; else null.
[[gnu::weak]] bool DebugWanted();
}  // namespace internal

namespace {

using Clock = std::chrono::steady_clock;

enum class Wish { kOff, kOn, kUnclear };

Wish ReadWish(const char* value) {
  if (value == nullptr) return Wish::kOff;
  for (const char* off : {"", "0", "false", "no", "off"}) {
    if (strcasecmp(value, off) == 0) return Wish::kOff;
  }
  for (const char* on : {"1", "true", "yes", "on"}) {
    if (strcasecmp(value, on) == 0) return Wish::kOn;
  }
  return Wish::kUnclear;
}

bool IsPreloaded() {
  const char* const preload = getenv("LD_PRELOAD");
  return preload != nullptr && std::string(preload).find("libloopsan.so") != std::string::npos;
}

struct Session {
  pid_t pid;
  Clock::time_point started;
  std::unique_ptr<ReportOutputs> outputs;
  std::unique_ptr<Collector> collector;
};

// Of the process that was started, and of its forked children until they run a
// loop themselves.
Session* g_session = nullptr;
pid_t g_started_as = 0;
const Options* g_options = nullptr;
const Suppressions* g_suppressions = nullptr;

std::vector<std::string> ReadCommandLine() {
  std::ifstream file("/proc/self/cmdline", std::ios::binary);
  std::vector<std::string> words;
  for (std::string word; std::getline(file, word, '\0');) words.push_back(word);
  return words;
}

segment::ArenaHeader* BeginSession() {
  auto outputs = ReportOutputs::Open(*g_options);
  if (!outputs.ok()) {
    Complain(std::string(outputs.status().message()));
    return nullptr;
  }
  auto session = std::make_unique<Session>();
  session->pid = getpid();
  session->started = Clock::now();
  session->outputs = *std::move(outputs);
  auto collector = Collector::Create(
      {*g_options, [to = session->outputs.get()](const std::string& line) { to->PrintLive(line); },
       [](const Finding& finding) { return Suppresses(*g_suppressions, finding, Today()); }});
  if (!collector.ok()) {
    Complain(std::string(collector.status().message()));
    return nullptr;
  }
  session->collector = *std::move(collector);
  session->collector->Start();
  g_session = session.release();  // that of a parent is the parent's: its threads are not here
  return g_session->collector->ArenaOfThisProcess();
}

// At a loop of the program, in the middle of a hook: nothing may be thrown there.
segment::ArenaHeader* BeginSessionQuietly() {
  try {
    return BeginSession();
  } catch (const std::exception& error) {
    Complain(absl::StrCat("this process is not watched: ", error.what()));
    return nullptr;
  }
}

// A program whose standard error nobody reads is not to be ended by our report.
class WithoutSigpipe {
 public:
  WithoutSigpipe() {
    sigemptyset(&pipe_);
    sigaddset(&pipe_, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &pipe_, &before_);
  }
  ~WithoutSigpipe() {
    const timespec now{};
    while (sigtimedwait(&pipe_, nullptr, &now) == SIGPIPE) {
    }
    pthread_sigmask(SIG_SETMASK, &before_, nullptr);
  }

 private:
  sigset_t pipe_;
  sigset_t before_;
};

void WriteReport() {
  const WithoutSigpipe quietly;
  Report report;
  if (g_session != nullptr && g_session->pid == getpid()) {
    report = g_session->collector->Finish();
    report.duration_seconds =
        std::chrono::duration<double>(Clock::now() - g_session->started).count();
  } else if (g_session == nullptr && g_started_as == getpid()) {
    report.processes_started = 1;  // and no loop was seen
  } else {
    return;  // a forked child without a loop
  }
  report.threshold_seconds = g_options->threshold_seconds;
  report.command = ReadCommandLine();
  ApplySuppressions(report, *g_suppressions, Today());
  absl::Status written;
  if (g_session != nullptr) {
    written = g_session->outputs->Write(report);
  } else if (auto outputs = ReportOutputs::Open(*g_options); outputs.ok()) {
    written = (*outputs)->Write(report);
  } else {
    written = outputs.status();
  }
  if (!written.ok()) Complain(std::string(written.message()));
}

// Before the constructors of the program's own objects, which may run a loop.
__attribute__((constructor(101))) void Begin() {
  if (getenv(segment::kSessionVariable) != nullptr || IsPreloaded()) {
    return;  // somebody watches already
  }
  const char* const value = getenv("LOOPSAN");
  const Wish wish = ReadWish(value);
  // The runtime's first loop throws an error that says the same.
  if (wish == Wish::kUnclear && &internal::DebugWanted == nullptr) {
    Complain(absl::StrCat("LOOPSAN=", value, " is not understood, so nothing is watched; use ",
                          "LOOPSAN=1 (true, yes, on) or LOOPSAN=0 (false, no, off)"));
  }
  auto options = std::make_unique<Options>();
  if (wish == Wish::kOn) {
    const char* const text = getenv("LOOPSAN_OPTIONS");
    absl::Status status = ParseOptions(text == nullptr ? "" : text, *options);
    absl::StatusOr<Suppressions> suppressions;
    if (status.ok() && (options->WantsMetrics() || !options->findings_path.empty())) {
      Complain(
          "LOOPSAN_OPTIONS: a program that watches itself neither serves metrics nor logs "
          "findings; register loopsan::MetricsCollectable() with its own exposer, or use `loopsan "
          "run`");
    }
    if (status.ok()) {
      suppressions = ReadSuppressions(*options, RulePackFolders());
      status = suppressions.status();
    }
    if (status.ok()) {
      g_suppressions = new Suppressions(*std::move(suppressions));
      if (options->help) {
        const std::ios_base::Init streams;
        PrintOptions(*options, std::cerr);
      }
      g_options = options.release();
      g_started_as = getpid();
      if (segment::loopsan_use_collector_v1(BeginSessionQuietly) != 0) atexit(WriteReport);
      return;
    }
    Complain(
        absl::StrCat("LOOPSAN_OPTIONS: ", std::string(status.message()), "; nothing is watched"));
  }
  segment::loopsan_use_collector_v1(nullptr);
}

}  // namespace

MetricsSnapshot DebugMetrics() {
  if (g_session == nullptr || g_session->pid != getpid()) return {};
  return g_session->collector->Metrics();
}

}  // namespace loopsan

// Named on the command line of the link, so that this file is part of it.
extern "C" const char loopsan_debug_linked = 1;
