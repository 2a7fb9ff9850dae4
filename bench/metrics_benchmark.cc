// What a scrape costs: the metrics of 1,000 loops and 10,000 places, from the judge to the
// text. The loops themselves pay nothing for it: all of this happens in the collector.
#include <benchmark/benchmark.h>

#include <memory>
#include <string>

#include "reporters/judge.h"
#include "reporters/metrics_text.h"
#include "reporters/prometheus_metrics.h"

namespace loopsan {
namespace {

constexpr uint32_t kLoops = 1'000;
constexpr uint32_t kPlaces = 10'000;
constexpr uint32_t kLoopsOfAProcess = 50;
constexpr ProcessKey kProcesses = kLoops / kLoopsOfAProcess;

// Every stack is the same.
class OneFrame final : public StackInterpreter {
 public:
  UnwoundStack Unwind(const RawStack&) override { return {}; }
  const std::string& FunctionName(const StackFrame&) override { return function_; }
  std::vector<ReportFrame> Symbolize(const StackFrame&) override {
    ReportFrame frame;
    frame.function = function_;
    frame.file = "/src/server.cc";
    frame.line = 3;
    return {frame};
  }
  std::string ModuleOffset(const StackFrame&) override { return ""; }
  std::vector<std::string> Warnings() const override { return {}; }

 private:
  const std::string function_ = "app::Work(int)";
};

LoopMeasured Measure(uint32_t loop) {
  LoopMeasured measured{.process = 1 + loop / kLoopsOfAProcess,
                        .cell = loop % kLoopsOfAProcess,
                        .thread_name = "loop " + std::to_string(loop)};
  measured.state.told = true;
  measured.measure.turns = 1;
  for (uint64_t& count : measured.counts.steps.counts) count = loop;
  measured.counts.wake_delays = measured.counts.steps;
  return measured;
}

EventSeen NeverAwaited(uint32_t number) {
  EventSeen seen;
  seen.process = 1 + number % kProcesses;
  seen.event.kind = segment::EventKind::kFinding;
  seen.event.cell = segment::kNoIndex;
  seen.event.text.rule = "never-awaited";
  seen.event.text.message = "a coroutine was never awaited";
  seen.event.text.where = {"app::Work", "/src/file" + std::to_string(number) + ".cc", 1};
  seen.event.text.return_addresses = {1, 2, 3, 4, 5, 6};
  return seen;
}

void Scrape(benchmark::State& state) {
  const TickClock clock;
  Judge::Actions actions;
  actions.set_verdict = [](uint32_t, uint32_t, segment::Verdict) {};
  actions.on_live_stall = [](const std::string&) {};
  actions.release_slot = [](uint32_t) {};
  Judge judge(
      Options(), &clock, [](const ProcessFound&) { return std::make_unique<OneFrame>(); }, actions);
  for (ProcessKey process = 1; process <= kProcesses; ++process) {
    judge.Handle(ProcessFound{.process = process, .executable = "/bin/server"});
  }
  for (uint32_t loop = 0; loop < kLoops; ++loop) judge.Handle(Measure(loop));
  for (uint32_t place = 0; place < kPlaces; ++place) judge.Handle(NeverAwaited(place));
  size_t bytes = 0;
  for (auto _ : state) {
    MetricsSnapshot snapshot;
    judge.FillMetrics(snapshot);
    bytes = MetricsText(MetricFamilies(snapshot)).size();
  }
  state.counters["bytes"] = static_cast<double>(bytes);
}
BENCHMARK(Scrape)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace loopsan
