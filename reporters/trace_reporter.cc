// The timeline as a trace of events, the JSON that chrome://tracing, Perfetto and
// speedscope open: a track for each loop, slices for what took long and for idle waits, counters
// for delay, utilisation and processor time.
#include <algorithm>
#include <cmath>
#include <map>
#include <nlohmann/json.hpp>

#include "reporters/internal/text_paper.h"
#include "reporters/reporter.h"

namespace loopsan {
namespace {

using Json = nlohmann::ordered_json;

// A year: beyond that the viewers' arithmetic gives up before ours.
constexpr double kMaxSeconds = 366.0 * 24 * 3600;

double Bounded(double seconds) {
  return std::isfinite(seconds) && seconds > 0 ? std::min(seconds, kMaxSeconds) : 0;
}

// The unit of the format, to a nanosecond.
double Microseconds(double seconds) { return std::round(Bounded(seconds) * 1e9) / 1e3; }

// So that what begins where another ends does so after rounding, too: viewers take no
// slices of one track that overlap.
double DurationMicroseconds(const TimelineSpan& span) {
  const double end = Microseconds(Bounded(span.start_seconds) + Bounded(span.duration_seconds));
  const double duration = end - Microseconds(span.start_seconds);
  return std::max(0.0, std::round(duration * 1e3) / 1e3);
}

double Share(double part, double whole) {
  return whole > 0 ? std::round(1000 * std::min(1.0, Bounded(part) / whole)) / 1000 : 0;
}

class TraceWriter {
 public:
  explicit TraceWriter(const Report& report) : report_(report) {
    for (const auto* findings : {&report.findings, &report.unproven_findings}) {
      for (const Finding& finding : *findings) findings_.emplace(finding.id, &finding);
    }
  }

  Json Write() {
    for (const ProcessSummary& process : report_.processes) {
      Metadata("process_name", process.pid, 0, process.executable);
    }
    for (const LoopTimeline& loop : report_.timeline.loops) WriteLoop(loop);
    return {{"displayTimeUnit", "ms"},
            {"otherData", {{"tool", "loopsan"}, {"version", LOOPSAN_VERSION}}},
            {"traceEvents", std::move(events_)}};
  }

 private:
  void Metadata(const char* name, pid_t pid, int thread_id, const std::string& value) {
    events_.push_back({{"ph", "M"},
                       {"name", name},
                       {"pid", pid},
                       {"tid", thread_id},
                       {"args", {{"name", Printable(value)}}}});
  }

  void WriteLoop(const LoopTimeline& loop) {
    Metadata("thread_name", loop.pid, loop.thread_id,
             loop.thread_name.empty() ? "loop" : "loop " + loop.thread_name);
    for (const TimelineInterval& interval : loop.intervals) WriteInterval(loop, interval);
    for (const TimelineSpan& span : loop.spans) WriteSpan(loop, span);
  }

  void WriteInterval(const LoopTimeline& loop, const TimelineInterval& interval) {
    const double duration = Bounded(interval.duration_seconds);
    // Counters belong to processes: the thread is part of the name.
    const auto count = [&](const char* name, const char* unit, double value) {
      events_.push_back({{"ph", "C"},
                         {"name", text::Concat(name, " ", loop.thread_id)},
                         {"pid", loop.pid},
                         {"ts", Microseconds(interval.start_seconds)},
                         {"args", {{unit, value}}}});
    };
    count("loop delay", "ms", Microseconds(interval.longest_step_seconds) / 1e3);
    count("utilisation", "busy", Share(interval.busy_seconds, duration));
    count("CPU", "share", Share(interval.cpu_seconds, duration));
  }

  void WriteSpan(const LoopTimeline& loop, const TimelineSpan& span) {
    Json event = {{"ph", "X"},
                  {"name", span.kind},
                  {"cat", span.kind},
                  {"pid", loop.pid},
                  {"tid", loop.thread_id},
                  {"ts", Microseconds(span.start_seconds)},
                  {"dur", DurationMicroseconds(span)}};
    if (const auto found = findings_.find(span.finding_id); found != findings_.end()) {
      const Finding& finding = *found->second;
      const ReportFrame* own = OwnFrame(finding.stack);
      const std::string place = own == nullptr ? "" : text::FunctionText(own->function);
      event["name"] = finding.call.empty()
                          ? text::Concat(span.kind, place.empty() ? "" : " in ", place)
                          : Printable(finding.call);
      event["args"] = {{"finding", finding.id}, {"message", Printable(finding.message)}};
      if (!place.empty()) event["args"]["function"] = place;
    }
    events_.push_back(std::move(event));
  }

  const Report& report_;
  std::map<std::string, const Finding*> findings_;
  Json events_ = Json::array();
};

}  // namespace

void WriteTrace(const Report& report, const ReporterOptions& /*options*/, std::ostream& out) {
  const std::string text = TraceWriter(report).Write().dump(-1, ' ', /*ensure_ascii=*/false,
                                                            Json::error_handler_t::replace);
  // Not operator<<: it obeys the stream's width and locale.
  out.write(text.data(), static_cast<std::streamsize>(text.size()));
  out.put('\n');
}

}  // namespace loopsan
