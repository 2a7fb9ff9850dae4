// A collector for tests of the command: it watches nothing and plays what the
// words in LOOPSAN_FAKE (separated by commas) ask for:
//
//   loop      a loop was seen            finding   the report has a finding
//   live      a stall at the start       broken    it cannot be created
//   stuck     the report is never done; "stuck" on standard error says so
#include <sys/mman.h>
#include <unistd.h>

#include <cstdlib>
#include <iostream>
#include <memory>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "reporters/collector.h"

namespace loopsan {
namespace {

bool Plays(const std::string& word) {
  const char* words = std::getenv("LOOPSAN_FAKE");
  return words != nullptr &&
         absl::StrCat(",", words, ",").find("," + word + ",") != std::string::npos;
}

class FakeCollector : public Collector {
 public:
  explicit FakeCollector(Settings settings)
      : settings_(std::move(settings)), arena_(memfd_create("loopsan-fake", MFD_CLOEXEC)) {}
  ~FakeCollector() override { close(arena_); }

  std::string SessionVariable() const override {
    return absl::StrCat(getpid(), ":", arena_, ":0000000000000001");
  }
  segment::ArenaHeader* ArenaOfThisProcess() override { return nullptr; }
  void Start() override {
    if (Plays("live")) settings_.on_live_stall("the loop has not moved for 1 s");
  }
  bool SawLoop() const override { return Plays("loop"); }
  Report Snapshot() override { return {}; }
  MetricsSnapshot Metrics() override { return {}; }
  Report Finish() override {
    if (Plays("stuck")) {
      std::cerr << "stuck" << std::endl;
      while (true) pause();
    }
    Report report;
    if (Plays("loop")) report.processes.push_back({.pid = 1, .executable = "x", .loops = {{}}});
    if (Plays("finding")) {
      Finding finding;
      finding.id = "F1";
      finding.rule = "blocking-call";
      finding.level = "error";
      finding.fingerprint = "0123456789abcdef";
      finding.call = "nanosleep";
      finding.message = "nanosleep blocked the loop for 0.3 s";
      report.findings.push_back(finding);
    }
    return report;
  }

 private:
  const Settings settings_;
  const int arena_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Collector>> Collector::Create(Settings settings) {
  if (Plays("broken")) return absl::UnavailableError("cannot make the arena: no memory");
  return std::make_unique<FakeCollector>(std::move(settings));
}

}  // namespace loopsan
