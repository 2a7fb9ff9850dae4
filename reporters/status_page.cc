// The page's script and style are made of reporters/html/src/status.*. It is the same
// for every program: what the program says comes in status.json and is put on the page
// as text, never as HTML.
#include "reporters/status_page.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

#include "reporters/finding_facts.h"
#include "reporters/internal/html_assets.h"
#include "reporters/internal/json_text.h"
#include "reporters/internal/text_paper.h"
#include "reporters/reporter.h"

namespace loopsan {
namespace {

constexpr int kSchema = 1;

constexpr size_t kMaxLoops = 200;
constexpr size_t kMaxStalls = 20;
constexpr size_t kMaxSites = 20;
constexpr size_t kMaxIntervals = 60;  // of a loop, for its sparkline

// A loop of which nothing was heard for longer is gone.
constexpr double kUnseenSeconds = 1;

constexpr size_t kMaxNameBytes = 100;
constexpr size_t kMaxPlaceBytes = 300;
constexpr size_t kMaxTextBytes = 500;

using LoopId = std::pair<pid_t, int>;  // process and thread

std::string Shown(std::string_view untrusted, size_t max_bytes = kMaxNameBytes) {
  return text::PrintableClipped(untrusted, max_bytes);
}

// The end of a path says more than its beginning.
std::string ShownPath(std::string_view untrusted) {
  if (untrusted.size() > kMaxPlaceBytes) {
    return "..." + Shown(untrusted.substr(untrusted.size() - kMaxPlaceBytes), kMaxPlaceBytes);
  }
  return Shown(untrusted, kMaxPlaceBytes);
}

std::string ShownProcess(std::string_view executable) { return Shown(text::BaseName(executable)); }

std::string CommandText(const Report& report) {
  std::string command;
  for (const std::string& argument : report.command) {
    if (command.size() > kMaxTextBytes) break;
    text::AppendAll(command, command.empty() ? "" : " ", text::Clipped(argument, kMaxTextBytes));
  }
  return Shown(command, kMaxTextBytes);
}

double Positive(double number) { return std::isfinite(number) && number > 0 ? number : 0; }

double BusyShare(const TimelineInterval& interval) {
  const double whole = Positive(interval.duration_seconds);
  return whole > 0 ? std::min(1.0, Positive(interval.busy_seconds) / whole) : 0;
}

// What the timeline tells of the last seconds of a loop.
struct RecentPast {
  std::vector<double> utilisation;  // of each interval, 0 to 1
  double seconds = 0;               // that they cover
  double mean_utilisation = 0;
  double open_step_seconds = 0;  // of the step that goes on; 0: none does
};

// Until `now`, seconds since the command was started. A loop that is gone has no open step.
RecentPast RecentPastOf(const LoopTimeline& timeline, double now) {
  RecentPast past;
  const std::vector<TimelineInterval>& intervals = timeline.intervals;
  double busy = 0;
  for (size_t i = intervals.size() - std::min(intervals.size(), kMaxIntervals);
       i < intervals.size(); ++i) {
    past.utilisation.push_back(BusyShare(intervals[i]));
    past.seconds += Positive(intervals[i].duration_seconds);
    busy += past.utilisation.back() * Positive(intervals[i].duration_seconds);
  }
  if (Positive(past.seconds) > 0)
    past.mean_utilisation = std::min(1.0, Positive(busy / past.seconds));
  if (!intervals.empty() && intervals.back().turns == 0) {
    const TimelineInterval& last = intervals.back();
    const double end = Positive(last.start_seconds) + Positive(last.duration_seconds);
    const double patience = kUnseenSeconds + Positive(last.duration_seconds);
    if (now - end <= patience) past.open_step_seconds = Positive(last.longest_step_seconds);
  }
  return past;
}

Json ToJson(const Dropped& dropped) {
  return {
      {"events", dropped.events},
      {"snapshots", dropped.snapshots},
      {"sites", dropped.sites},
      {"loops", dropped.loops},
      {"outside_loop", dropped.outside_loop},
      {"unsure", dropped.unsure},
  };
}

struct KnownLoop {
  const ProcessSummary* process = nullptr;
  const LoopSummary* loop = nullptr;
  const Finding* stall = nullptr;  // that holds it up now
  RecentPast past;
  double late_seconds = 0;  // its open step, if longer than the threshold
};

class Status {
 public:
  explicit Status(const Report& report) : report_(report) {
    CollectStalls();
    CollectLoops();
  }

  Json Make() const {
    Json status = {
        {"schema", kSchema},
        {"tool", {{"name", "loopsan"}, {"version", LOOPSAN_VERSION}}},
        {"command", CommandText(report_)},
        {"duration_seconds", Seconds(report_.duration_seconds)},
        {"threshold_seconds", Seconds(report_.threshold_seconds)},
    };
    AddLoops(status);
    AddStalls(status);
    AddSites(status);
    status["unproven_findings"] = report_.unproven_findings.size();
    status["dropped"] = ToJson(report_.dropped);
    return status;
  }

 private:
  void CollectStalls() {
    for (const Finding& finding : report_.findings) {
      if (finding.in_progress) stalls_.push_back(&finding);
    }
  }

  void CollectLoops() {
    std::map<LoopId, const LoopTimeline*> timelines;
    for (const LoopTimeline& timeline : report_.timeline.loops) {
      timelines.try_emplace({timeline.pid, timeline.thread_id}, &timeline);
    }
    std::map<LoopId, const Finding*> stalls;
    for (const Finding* stall : stalls_) {
      stalls.try_emplace({stall->pid, stall->thread_id}, stall);
    }
    for (const ProcessSummary& process : report_.processes) {
      for (const LoopSummary& loop : process.loops) {
        const LoopId id(process.pid, loop.thread_id);
        KnownLoop known{
            .process = &process, .loop = &loop, .stall = nullptr, .past = {}, .late_seconds = 0};
        if (const auto found = timelines.find(id); found != timelines.end()) {
          known.past = RecentPastOf(*found->second, Positive(report_.duration_seconds));
        }
        if (const auto found = stalls.find(id); found != stalls.end()) {
          known.stall = found->second;
          open_steps_.try_emplace(found->second, known.past.open_step_seconds);
        }
        if (known.past.open_step_seconds > report_.threshold_seconds) {
          known.late_seconds = known.past.open_step_seconds;
        }
        loops_.push_back(std::move(known));
      }
    }
    std::sort(loops_.begin(), loops_.end(), [](const KnownLoop& a, const KnownLoop& b) {
      const auto rank = [](const KnownLoop& known) {
        return std::make_tuple(known.stall == nullptr, !known.loop->proven, known.late_seconds == 0,
                               -known.past.mean_utilisation, -Positive(known.loop->busy_seconds),
                               known.process->pid, known.loop->thread_id);
      };
      return rank(a) < rank(b);
    });
  }

  // How long it has lasted: of the current step where the timeline knows that, else
  // the finding's longest, which is at least as long.
  double StalledSeconds(const Finding& stall) const {
    const auto open = open_steps_.find(&stall);
    return open != open_steps_.end() && open->second > 0 ? open->second : stall.max_seconds;
  }

  Json LoopJson(const KnownLoop& known) const {
    const LoopSummary& loop = *known.loop;
    Json utilisation = Json::array();
    for (const double share : known.past.utilisation) {
      utilisation.push_back(std::round(share * 100) / 100);
    }
    return {
        {"process", ShownProcess(known.process->executable)},
        {"pid", known.process->pid},
        {"thread", Shown(loop.thread_name)},
        {"thread_id", loop.thread_id},
        {"kind", Shown(loop.kind)},
        {"proven", loop.proven},
        {"turns", loop.turns},
        {"busy_seconds", Seconds(loop.busy_seconds)},
        {"idle_seconds", Seconds(loop.idle_seconds)},
        {"longest_step_seconds", Seconds(loop.longest_step_seconds)},
        {"p99_step_seconds", Seconds(loop.p99_step_seconds)},
        {"utilisation", std::move(utilisation)},
        {"utilisation_mean", std::round(known.past.mean_utilisation * 1000) / 1000},
        {"utilisation_seconds", Seconds(known.past.seconds)},
        {"late_seconds", Seconds(known.late_seconds)},
        {"stalled", known.stall != nullptr},
        {"stalled_by", known.stall == nullptr ? "" : Shown(known.stall->id)},
        {"stalled_seconds", known.stall == nullptr ? 0 : Seconds(StalledSeconds(*known.stall))},
    };
  }

  void AddLoops(Json& status) const {
    const size_t shown = std::min(loops_.size(), kMaxLoops);
    Json loops = Json::array();
    for (size_t i = 0; i < shown; ++i) loops.push_back(LoopJson(loops_[i]));
    status["proven_loops"] = std::count_if(loops_.begin(), loops_.end(),
                                           [](const KnownLoop& one) { return one.loop->proven; });
    status["stalled_loops"] = std::count_if(
        loops_.begin(), loops_.end(), [](const KnownLoop& one) { return one.stall != nullptr; });
    status["late_loops"] = std::count_if(loops_.begin(), loops_.end(), [](const KnownLoop& one) {
      return one.loop->proven && one.late_seconds > 0;
    });
    status["loops"] = std::move(loops);
    status["hidden_loops"] = loops_.size() - shown;
  }

  static Json SiteJson(const Finding& finding) {
    const SourcePlace place = MainPlace(finding);
    return {
        {"id", Shown(finding.id)},
        {"fingerprint", Shown(finding.fingerprint)},
        {"rule", Shown(finding.rule)},
        {"level", Shown(finding.level)},
        {"cause", Shown(finding.cause)},
        {"call", Shown(finding.call)},
        {"process", ShownProcess(finding.executable)},
        {"pid", finding.pid},
        {"thread", Shown(finding.thread_name)},
        {"thread_id", finding.thread_id},
        {"function", text::CoroutineText(place)},
        {"file", ShownPath(place.file)},
        {"line", std::max(0, place.line)},
        {"message", Shown(finding.message, kMaxTextBytes)},
        {"remedy", Shown(finding.remedy, kMaxTextBytes)},
        {"count", finding.count},
        {"total_seconds", Seconds(finding.total_seconds)},
        {"max_seconds", Seconds(finding.max_seconds)},
    };
  }

  void AddStalls(Json& status) const {
    const size_t shown = std::min(stalls_.size(), kMaxStalls);
    Json stalls = Json::array();
    for (size_t i = 0; i < shown; ++i) {
      Json stall = SiteJson(*stalls_[i]);
      stall["stalled_seconds"] = Seconds(StalledSeconds(*stalls_[i]));
      stalls.push_back(std::move(stall));
    }
    status["stalls"] = std::move(stalls);
    status["hidden_stalls"] = stalls_.size() - shown;
  }

  void AddSites(Json& status) const {
    std::vector<const Finding*> sites;
    double blocked = 0;
    for (const Finding& finding : report_.findings) {
      sites.push_back(&finding);
      blocked += TotalBlocked(finding);
    }
    const size_t shown = std::min(sites.size(), kMaxSites);
    // Of those that took as long the one that the report has first.
    std::partial_sort(sites.begin(), sites.begin() + static_cast<ptrdiff_t>(shown), sites.end(),
                      [](const Finding* a, const Finding* b) {
                        return std::make_tuple(IsNote(*a), -TotalBlocked(*a), a) <
                               std::make_tuple(IsNote(*b), -TotalBlocked(*b), b);
                      });
    Json array = Json::array();
    for (size_t i = 0; i < shown; ++i) array.push_back(SiteJson(*sites[i]));
    status["blocked_seconds"] = Seconds(blocked);
    status["sites"] = std::move(array);
    status["hidden_sites"] = sites.size() - shown;
  }

  const Report& report_;
  std::vector<KnownLoop> loops_;        // what matters now first
  std::vector<const Finding*> stalls_;  // in the report's order
  std::map<const Finding*, double> open_steps_;
};

}  // namespace

std::string StatusPage() {
  return text::Concat(
      "<!DOCTYPE html>\n"
      "<html lang=\"en\">\n"
      "<head>\n"
      "<meta charset=\"utf-8\">\n"
      "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; script-src "
      "'unsafe-inline'; style-src 'unsafe-inline'; connect-src 'self'; img-src data:; base-uri "
      "'none'; form-action 'none'\">\n"
      "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
      "<meta name=\"color-scheme\" content=\"light dark\">\n"
      "<meta name=\"referrer\" content=\"no-referrer\">\n"
      "<link rel=\"icon\" href=\"data:,\">\n"
      "<title>loopsan</title>\n"
      "<style>\n",
      kStatusStyle,
      "</style>\n"
      "</head>\n"
      "<body>\n"
      "<header>\n"
      "<h1 id=\"verdict\">loopsan: asking for the state of the loops</h1>\n"
      "<p id=\"run\"></p>\n"
      "<p id=\"connection\" role=\"status\"></p>\n"
      "<nav aria-label=\"data\">"
      "<a href=\"metrics\">Metrics for Prometheus</a> "
      "<a href=\"report.json\">The whole report as JSON</a></nav>\n"
      "</header>\n"
      "<noscript>This page fetches what it shows with a script, which this browser does not "
      "run. The links work without.</noscript>\n"
      "<main id=\"page\"></main>\n"
      "<script>\n",
      kStatusScript,
      "</script>\n"
      "</body>\n"
      "</html>\n");
}

std::string StatusJson(const Report& report) {
  return Status(report).Make().dump(-1, ' ', /*ensure_ascii=*/false,
                                    Json::error_handler_t::replace) +
         "\n";
}

}  // namespace loopsan
