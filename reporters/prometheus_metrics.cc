#include "reporters/prometheus_metrics.h"

#include <limits>
#include <map>
#include <utility>

#include "absl/strings/str_cat.h"

namespace loopsan {
namespace {

using prometheus::ClientMetric;
using prometheus::MetricFamily;
using prometheus::MetricType;
using Labels = std::vector<ClientMetric::Label>;

constexpr const char* kCategories[] = {"sleep",   "dns",    "file", "stdio", "socket",
                                       "process", "thread", "lock", "wait"};

// What is counted from the start: the first of each is an increase, too.
constexpr std::pair<const char*, const char*> kUsualFindings[] = {
    {"blocking-call", "blocking-call"}, {"blocking-call", "lock"}, {"stall", "cpu"}};

// One family, to which series are added.
class Family {
 public:
  Family(std::string name, std::string help, MetricType type)
      : family_{std::move(name), std::move(help), type, {}} {}

  void AddCounter(Labels labels, double value) {
    ClientMetric& metric = Add(std::move(labels));
    metric.counter.value = value;
  }
  void AddGauge(Labels labels, double value) {
    ClientMetric& metric = Add(std::move(labels));
    metric.gauge.value = value;
  }
  void AddHistogram(Labels labels, const ClientMetric::Histogram& histogram) {
    Add(std::move(labels)).histogram = histogram;
  }

  MetricType type() const { return family_.type; }

  MetricFamily Take() && { return std::move(family_); }

 private:
  ClientMetric& Add(Labels labels) {
    family_.metric.emplace_back();
    family_.metric.back().label = std::move(labels);
    return family_.metric.back();
  }

  MetricFamily family_;
};

Family Counter(const char* name, const char* help) { return {name, help, MetricType::Counter}; }
Family Gauge(const char* name, const char* help) { return {name, help, MetricType::Gauge}; }
Family Histogram(const char* name, const char* help) { return {name, help, MetricType::Histogram}; }

Labels LoopOf(const LoopLabels& loop) {
  Labels labels = {{"process", loop.process}, {"loop", loop.loop}};
  if (loop.pid != 0) labels.push_back({"pid", absl::StrCat(loop.pid)});
  return labels;
}

Labels With(Labels labels, std::string name, std::string value) {
  labels.push_back({std::move(name), std::move(value)});
  return labels;
}

class Writer {
 public:
  explicit Writer(const MetricsSnapshot& snapshot) : snapshot_(snapshot) {}

  std::vector<MetricFamily> Write() {
    AddRun();
    AddLoops();
    AddFindings();
    AddSites();
    AddTasks();
    AddExecutors();
    AddOwnCost();
    return std::move(families_);
  }

 private:
  void Add(Family family) { families_.push_back(std::move(family).Take()); }

  ClientMetric::Histogram Converted(const DurationCounts& durations) const {
    ClientMetric::Histogram histogram;
    uint64_t count = 0;
    size_t next = 0;
    for (const double bound : snapshot_.buckets) {
      while (next < snapshot_.bounds.size() && snapshot_.bounds[next] <= bound) {
        count += durations.counts[next++];
      }
      histogram.bucket.push_back({count, bound});
    }
    while (next < durations.counts.size()) count += durations.counts[next++];
    histogram.bucket.push_back({count, std::numeric_limits<double>::infinity()});
    histogram.sample_count = count;
    histogram.sample_sum = durations.seconds;
    return histogram;
  }

  // What a process as a whole has, in series without a loop, is no loop.
  template <typename Function>
  void ForEachLoop(const Function& function) const {
    for (const auto& [labels, totals] : snapshot_.loops) {
      if (!labels.loop.empty()) function(labels, totals);
    }
  }

  template <typename Value>
  void AddLoopCounter(const char* name, const char* help, const Value& value) {
    Family family = Counter(name, help);
    ForEachLoop([&](const LoopLabels& labels, const LoopTotals& totals) {
      family.AddCounter(LoopOf(labels), static_cast<double>(value(totals)));
    });
    Add(std::move(family));
  }

  // Of `sometimes` there is no series until there is something to count.
  void AddLoopHistogram(const char* name, const char* help, bool sometimes,
                        const DurationCounts LoopTotals::* durations) {
    Family family = Histogram(name, help);
    ForEachLoop([&](const LoopLabels& labels, const LoopTotals& totals) {
      const ClientMetric::Histogram histogram = Converted(totals.*durations);
      if (sometimes && histogram.sample_count == 0) return;
      family.AddHistogram(LoopOf(labels), histogram);
    });
    Add(std::move(family));
  }

  // Adds a process's loops up.
  template <typename Value>
  void AddProcessValue(Family family, const Value& value) {
    std::map<std::string, double> sums;
    for (const auto& [labels, totals] : snapshot_.loops) sums[labels.process] += value(totals);
    for (const auto& [process, sum] : sums) {
      if (family.type() == MetricType::Gauge) {
        family.AddGauge({{"process", process}}, sum);
      } else {
        family.AddCounter({{"process", process}}, sum);
      }
    }
    Add(std::move(family));
  }

  void AddRun();
  void AddLoops();
  void AddFindings();
  void AddSites();
  void AddTasks();
  void AddExecutors();
  void AddOwnCost();

  const MetricsSnapshot& snapshot_;
  std::vector<MetricFamily> families_;
};

void Writer::AddRun() {
  Family build = Gauge("loopsan_build_info", "The version of loopsan; always 1.");
  build.AddGauge({{"version", LOOPSAN_VERSION}}, 1);
  Add(std::move(build));
  Family ways = Gauge("loopsan_capability",
                      "Whether this way to the stack of a blocked thread is open on this machine.");
  for (const Capability& way : snapshot_.capabilities) {
    ways.AddGauge({{"way", way.name}}, way.available ? 1 : 0);
  }
  Add(std::move(ways));
  Family processes = Counter("loopsan_processes_started_total",
                             "Processes into which the probe was loaded, with or without a loop.");
  processes.AddCounter({}, static_cast<double>(snapshot_.processes_started));
  Add(std::move(processes));
}

void Writer::AddLoops() {
  AddProcessValue(Gauge("loopsan_loops", "Event loops that are running now."),
                  [](const LoopTotals& totals) { return static_cast<double>(totals.alive); });
  AddLoopHistogram("loopsan_step_seconds",
                   "How long steps took: of loops that tell their steps each of them, else each "
                   "turn from the return of the loop's wait to the next wait.",
                   false, &LoopTotals::steps);
  AddLoopHistogram("loopsan_wake_delay_seconds",
                   "From ready to run to running: how long after the return of the loop's wait "
                   "each step began. Only of loops that tell their steps.",
                   true, &LoopTotals::wake_delays);
  AddLoopCounter("loopsan_loop_busy_seconds_total",
                 "Time the loop was at work; what goes on now is included.",
                 [](const LoopTotals& totals) { return totals.busy_seconds; });
  AddLoopCounter("loopsan_loop_cpu_seconds_total", "Processor time of the loop's thread.",
                 [](const LoopTotals& totals) { return totals.cpu_seconds; });
  AddLoopCounter("loopsan_idle_seconds_total", "Time the loop waited for something to do.",
                 [](const LoopTotals& totals) { return totals.idle_seconds; });
  AddLoopCounter("loopsan_turns_total", "How often the loop's wait has returned.",
                 [](const LoopTotals& totals) { return totals.turns; });
  AddLoopHistogram("loopsan_lock_wait_seconds",
                   "How long steps waited for locks that were not free.", true,
                   &LoopTotals::lock_waits);
}

void Writer::AddFindings() {
  Family seconds = Counter("loopsan_blocking_seconds_total",
                           "Time that blocking calls kept the loop, by kind of call.");
  Family calls = Counter("loopsan_blocking_calls_total", "Blocking calls in the loop's steps.");
  Family stalls = Histogram("loopsan_stall_seconds",
                            "How long the loop was held up by one call or callback for longer "
                            "than the threshold, by cause.");
  ForEachLoop([&](const LoopLabels& labels, const LoopTotals& totals) {
    for (const char* category : kCategories) {
      const auto found = totals.blocking.find(category);
      const LoopTotals::Calls one =
          found == totals.blocking.end() ? LoopTotals::Calls{} : found->second;
      seconds.AddCounter(With(LoopOf(labels), "category", category), one.seconds);
      calls.AddCounter(With(LoopOf(labels), "category", category), static_cast<double>(one.count));
    }
    for (const auto& [cause, durations] : totals.stalls) {
      stalls.AddHistogram(With(LoopOf(labels), "cause", cause), Converted(durations));
    }
  });
  Add(std::move(seconds));
  Add(std::move(calls));
  Add(std::move(stalls));

  std::map<std::pair<std::string, LoopTotals::Kind>, uint64_t> counts;
  for (const auto& [labels, totals] : snapshot_.loops) {
    for (const auto& [kind, count] : totals.findings) counts[{labels.process, kind}] += count;
    for (const auto& [rule, cause] : kUsualFindings) {
      counts.try_emplace({labels.process, LoopTotals::Kind{rule, cause}});
    }
  }
  Family findings = Counter("loopsan_findings_total",
                            "How often something was found, by rule and cause (empty: the rule "
                            "says it all).");
  for (const auto& [key, count] : counts) {
    findings.AddCounter(
        {{"process", key.first}, {"rule", key.second.rule}, {"cause", key.second.cause}},
        static_cast<double>(count));
  }
  Add(std::move(findings));
  AddLoopCounter("loopsan_delay_inflicted_seconds_total",
                 "Time that errors and warnings took from the loop.",
                 [](const LoopTotals& totals) { return totals.inflicted_seconds; });
  AddProcessValue(Counter("loopsan_never_awaited_total", "Coroutines that nobody awaited."),
                  [](const LoopTotals& totals) {
                    double sum = 0;
                    for (const auto& [kind, count] : totals.findings) {
                      if (kind.rule == "never-awaited") sum += static_cast<double>(count);
                    }
                    return sum;
                  });
}

void Writer::AddSites() {
  Family seconds = Counter("loopsan_site_blocked_seconds_total",
                           "Time that findings at this place took from loops: of the places that "
                           "took most.");
  Family blocks = Counter("loopsan_site_blocks_total", "How often, likewise.");
  double other_seconds = 0;
  uint64_t other_count = 0;
  for (size_t i = 0; i < snapshot_.sites.size(); ++i) {
    const MetricSite& site = snapshot_.sites[i];
    if (i >= snapshot_.named_sites) {
      other_seconds += site.seconds;
      other_count += site.count;
      continue;
    }
    const Labels labels = {{"process", site.process},
                           {"site", site.fingerprint},
                           {"rule", site.rule},
                           {"function", site.function},
                           {"location", site.location}};
    seconds.AddCounter(labels, site.seconds);
    blocks.AddCounter(labels, static_cast<double>(site.count));
  }
  Add(std::move(seconds));
  Add(std::move(blocks));
  // Gauges: a place that moves up takes its share along.
  Family rest = Gauge("loopsan_other_sites_blocked_seconds",
                      "Time that findings at all other places took so far.");
  rest.AddGauge({}, other_seconds);
  Add(std::move(rest));
  Family rest_blocks = Gauge("loopsan_other_sites_blocks", "How often, likewise.");
  rest_blocks.AddGauge({}, static_cast<double>(other_count));
  Add(std::move(rest_blocks));
}

void Writer::AddTasks() {
  Family tasks = Gauge("loopsan_tasks",
                       "Tasks of loops that tell them, by what they do: ready, running, waiting.");
  for (const auto& [labels, count] : snapshot_.tasks) {
    tasks.AddGauge(With(LoopOf(labels), "state", "ready"), static_cast<double>(count.ready));
    tasks.AddGauge(With(LoopOf(labels), "state", "running"), static_cast<double>(count.running));
    tasks.AddGauge(With(LoopOf(labels), "state", "waiting"), static_cast<double>(count.waiting));
  }
  Add(std::move(tasks));
}

void Writer::AddExecutors() {
  Family queues = Histogram("loopsan_executor_queue_seconds",
                            "How long jobs waited for a thread of their executor.");
  for (const auto& [labels, delays] : snapshot_.executors) {
    queues.AddHistogram({{"process", labels.process}, {"executor", labels.executor}},
                        Converted(delays));
  }
  Add(std::move(queues));
}

void Writer::AddOwnCost() {
  Family dropped = Counter(
      "loopsan_events_dropped_total",
      "What the probe could not keep, of processes that have ended, and what was left out.");
  const std::pair<const char*, uint64_t> kinds[] = {{"event", snapshot_.dropped.events},
                                                    {"snapshot", snapshot_.dropped.snapshots},
                                                    {"site", snapshot_.dropped.sites},
                                                    {"loop", snapshot_.dropped.loops}};
  for (const auto& [kind, count] : kinds) {
    dropped.AddCounter({{"kind", kind}}, static_cast<double>(count));
  }
  Add(std::move(dropped));
  AddProcessValue(Counter("loopsan_probe_seconds_total",
                          "What the probe took from the loops' threads: records as measured, and "
                          "for timing an estimate by its clock reads."),
                  [](const LoopTotals& totals) { return totals.probe_seconds; });
  Family collector =
      Counter("loopsan_collector_cpu_seconds_total", "Processor time of the collector's threads.");
  collector.AddCounter({}, snapshot_.collector_cpu_seconds);
  Add(std::move(collector));
}

}  // namespace

std::vector<MetricFamily> MetricFamilies(const MetricsSnapshot& snapshot) {
  return Writer(snapshot).Write();
}

}  // namespace loopsan
