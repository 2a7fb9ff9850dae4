#include "reporters/run_metrics.h"

#include <algorithm>

#include "reporters/reporter.h"

namespace loopsan {
namespace {

constexpr size_t kLabelBytes = 64;
constexpr char kOther[] = "other";

// Of a map that must not grow without bound.
template <typename Labels, typename Totals>
Totals& BoundedEntry(std::map<Labels, Totals>& map, const Labels& labels, const Labels& other) {
  if (map.size() >= RunMetrics::kMaxLabels && !map.contains(labels)) return map[other];
  return map[labels];
}

LoopTotals& EntryOf(std::map<LoopLabels, LoopTotals>& loops, const LoopLabels& labels) {
  return BoundedEntry(loops, labels, LoopLabels{kOther, kOther, 0});
}

DurationCounts& EntryOf(std::map<ExecutorLabels, DurationCounts>& queues,
                        const ExecutorLabels& labels) {
  return BoundedEntry(queues, labels, ExecutorLabels{kOther, kOther});
}

size_t BucketOf(const std::vector<double>& bounds, double seconds) {
  return static_cast<size_t>(std::lower_bound(bounds.begin(), bounds.end(), seconds) -
                             bounds.begin());
}

}  // namespace

std::string LabelText(std::string_view untrusted) {
  std::string text = Printable(untrusted.substr(0, kLabelBytes));
  return text.empty() ? "unknown" : text;
}

std::string FileLabel(std::string_view path) { return LabelText(path.substr(path.rfind('/') + 1)); }

DurationCounts& DurationCounts::operator+=(const DurationCounts& other) {
  for (size_t i = 0; i < counts.size(); ++i) counts[i] += other.counts[i];
  seconds += other.seconds;
  return *this;
}

LoopTotals& LoopTotals::operator+=(const LoopTotals& other) {
  alive += other.alive;
  busy_seconds += other.busy_seconds;
  idle_seconds += other.idle_seconds;
  cpu_seconds += other.cpu_seconds;
  turns += other.turns;
  steps += other.steps;
  wake_delays += other.wake_delays;
  lock_waits += other.lock_waits;
  probe_seconds += other.probe_seconds;
  for (const auto& [category, calls] : other.blocking) {
    blocking[category].count += calls.count;
    blocking[category].seconds += calls.seconds;
  }
  for (const auto& [cause, durations] : other.stalls) stalls[cause] += durations;
  for (const auto& [kind, count] : other.findings) findings[kind] += count;
  inflicted_seconds += other.inflicted_seconds;
  return *this;
}

RunMetrics::RunMetrics(const TickClock* clock, std::vector<double> bounds, bool by_pid)
    : clock_(clock), bounds_(std::move(bounds)), by_pid_(by_pid) {}

void RunMetrics::Begin(ProcessKey process, pid_t pid, const std::string& executable,
                       const std::string& started_as) {
  // One that has ended already does not say; its likes did.
  const std::string name = started_as.empty() ? NameOf(executable) : FileLabel(started_as);
  processes_[process] = {name, pid, {}};
  if (!started_as.empty() && names_.size() < kMaxLabels) names_[executable] = name;
}

std::string RunMetrics::NameOf(const std::string& executable) const {
  const auto found = names_.find(executable);
  return found != names_.end() ? found->second : FileLabel(executable);
}

double RunMetrics::Growth(uint64_t before, uint64_t after) const {
  return after > before ? clock_->Seconds(after - before) : 0;
}

void RunMetrics::Take(const SegmentHistogram& histogram, uint64_t ticks_before,
                      DurationCounts& into) const {
  into.counts = histogram.counts;
  into.seconds += Growth(ticks_before, histogram.ticks);
}

void RunMetrics::Measured(const LoopMeasured& measured) {
  Live& live = live_[{measured.process, measured.cell}];
  live.loop = LabelText(measured.thread_name);
  live.told_loop = measured.told_loop;
  LoopTotals& totals = live.totals;
  const LoopMeasure& growth = measured.measure;
  const SegmentCounts& counts = measured.counts;
  totals.alive = 1;
  totals.busy_seconds += clock_->Seconds(growth.busy);
  totals.idle_seconds += clock_->Seconds(growth.idle);
  totals.cpu_seconds += static_cast<double>(growth.cpu_nanoseconds) * 1e-9;
  totals.turns += growth.turns;
  SegmentCounts& before = live.counts;
  Take(counts.steps, before.steps.ticks, totals.steps);
  Take(counts.wake_delays, before.wake_delays.ticks, totals.wake_delays);
  Take(counts.lock_waits, before.lock_waits.ticks, totals.lock_waits);
  // A turn and a call that may block read the clock twice, a told step once.
  const uint64_t reads =
      2 * (growth.turns + counts.calls - before.calls) + counts.exact_steps - before.exact_steps;
  totals.probe_seconds += Growth(before.probe_ticks, counts.probe_ticks) +
                          static_cast<double>(reads) * clock_read_seconds_;
  before = counts;
}

void RunMetrics::Measured(const QueuesMeasured& measured) {
  const auto process = processes_.find(measured.process);
  if (process == processes_.end()) return;
  for (const SegmentQueue& queue : measured.queues) {
    Queue& known = process->second.queues[LabelText(queue.name)];
    Take(queue.delays, known.ticks, known.delays);
    known.ticks = queue.delays.ticks;
  }
}

void RunMetrics::Found(ProcessKey process, uint32_t cell, const Finding& finding,
                       const Occurrences& occurrences) {
  LoopTotals& totals = live_[{process, cell}].totals;
  if (!finding.category.empty()) {
    LoopTotals::Calls& calls = totals.blocking[finding.category];
    calls.count += occurrences.count;
    calls.seconds += occurrences.seconds;
  }
  if (occurrences.suppressed) return;
  totals.findings[{finding.rule, finding.cause}] += occurrences.count;
  if (finding.level != "note") totals.inflicted_seconds += occurrences.seconds;
  if (occurrences.is_stall) {
    DurationCounts& stalls = totals.stalls[finding.cause.empty() ? "unknown" : finding.cause];
    ++stalls.counts[BucketOf(bounds_, occurrences.seconds)];
    stalls.seconds += occurrences.seconds;
  }
}

LoopLabels RunMetrics::LabelsOf(ProcessKey process, const Live& live) const {
  const auto found = processes_.find(process);
  if (found == processes_.end()) return {kOther, kOther, 0};
  return {found->second.name, live.loop, by_pid_ ? found->second.pid : 0};
}

void RunMetrics::End(ProcessKey process, uint32_t cell, bool counts) {
  const auto live = live_.find({process, cell});
  if (live == live_.end()) return;
  if (counts) {
    live->second.totals.alive = 0;
    EntryOf(ended_, LabelsOf(process, live->second)) += live->second.totals;
  }
  live_.erase(live);
}

void RunMetrics::End(ProcessKey process) {
  for (auto live = live_.lower_bound({process, 0});
       live != live_.end() && live->first.first == process;) {
    const uint32_t cell = live->first.second;
    ++live;
    End(process, cell, true);
  }
  const auto found = processes_.find(process);
  if (found == processes_.end()) return;
  for (const auto& [name, queue] : found->second.queues) {
    EntryOf(ended_queues_, {found->second.name, name}) += queue.delays;
  }
  processes_.erase(found);
}

void RunMetrics::FillSnapshot(MetricsSnapshot& snapshot, const std::set<CellId>& unproven) const {
  snapshot.bounds = bounds_;
  snapshot.loops = ended_;
  snapshot.executors = ended_queues_;
  for (const auto& [id, live] : live_) {
    if (unproven.contains(id)) continue;
    const LoopLabels labels = LabelsOf(id.first, live);
    EntryOf(snapshot.loops, labels) += live.totals;
    const auto process = processes_.find(id.first);
    if (live.told_loop != 0 && process != processes_.end()) {
      snapshot.told_loops.push_back({labels, process->second.pid, live.told_loop});
    }
  }
  for (const auto& [key, process] : processes_) {
    for (const auto& [name, queue] : process.queues) {
      EntryOf(snapshot.executors, {process.name, name}) += queue.delays;
    }
  }
}

}  // namespace loopsan
