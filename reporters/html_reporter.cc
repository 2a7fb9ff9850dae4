// The whole report as one page that needs nothing else: no network, no other file.
// The page's script and style are made of reporters/html/src. The report itself is a
// block of JSON that the script puts on the page as text, never as HTML.
#include <algorithm>
#include <cmath>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <unordered_map>
#include <utility>

#include "reporters/internal/finding_text.h"
#include "reporters/internal/html_assets.h"
#include "reporters/internal/text_paper.h"
#include "reporters/reporter.h"
#include "reporters/source_excerpt.h"

namespace loopsan {
namespace {

using Json = nlohmann::ordered_json;

// What a page shows of a very long run: browsers must open it in seconds.
constexpr size_t kMaxPoints = 100'000;  // of all graphs
constexpr size_t kMaxPointsOfALoop = 2000;
constexpr size_t kMinPointsOfALoop = 20;
constexpr size_t kMaxSpans = 40'000;  // of all loops: the longest
constexpr size_t kMaxWaits = 10'000;  // likewise; they take no room from the others
constexpr size_t kMaxTextBytes = 20'000;
constexpr size_t kMaxExcerpts = 2000;
constexpr int kLinesAround = 3;
constexpr size_t kExcerptsPerFinding = 6;

// The page's data has no NaN, and microseconds are exact enough to look at.
double Rounded(double seconds) {
  if (!std::isfinite(seconds) || seconds <= 0) return 0;
  return seconds < 1e9 ? std::round(seconds * 1e6) / 1e6 : 1e9;
}

std::string Shown(std::string_view untrusted) {
  return Printable(untrusted.substr(0, kMaxTextBytes));
}

std::string ShownLine(std::string_view line) {
  std::string spaced;
  for (const char c : line) {
    if (c == '\t') {
      spaced.append(4, ' ');
    } else {
      spaced += c;
    }
  }
  return Printable(spaced);
}

std::string EscapedHtml(std::string_view text) {
  std::string escaped;
  for (const char c : text) {
    switch (c) {
      case '&':
        escaped += "&amp;";
        break;
      case '<':
        escaped += "&lt;";
        break;
      case '>':
        escaped += "&gt;";
        break;
      case '"':
        escaped += "&quot;";
        break;
      case '\'':
        escaped += "&#39;";
        break;
      default:
        escaped += c;
    }
  }
  return escaped;
}

// JSON that cannot end the script element it stands in.
std::string EscapedJson(const Json& json) {
  const std::string text =
      json.dump(-1, ' ', /*ensure_ascii=*/false, Json::error_handler_t::replace);
  std::string escaped;
  escaped.reserve(text.size());
  for (const char c : text) {
    if (c == '<') {
      escaped += "\\u003c";
    } else {
      escaped += c;
    }
  }
  return escaped;
}

// Intervals that are shown as one.
TimelineInterval Joined(const std::vector<TimelineInterval>& intervals, size_t begin, size_t end) {
  TimelineInterval joined = intervals[begin];
  for (size_t i = begin + 1; i < end; ++i) {
    const TimelineInterval& one = intervals[i];
    joined.duration_seconds += one.duration_seconds;
    joined.busy_seconds += one.busy_seconds;
    joined.idle_seconds += one.idle_seconds;
    joined.cpu_seconds += one.cpu_seconds;
    joined.longest_step_seconds = std::max(joined.longest_step_seconds, one.longest_step_seconds);
    joined.turns += one.turns;
  }
  return joined;
}

// Strings and frames that the findings share, each once.
class Tables {
 public:
  size_t String(std::string_view untrusted) {
    const auto [it, is_new] = string_indices_.try_emplace(std::string(untrusted), strings_.size());
    if (is_new) strings_.push_back(Shown(untrusted));
    return it->second;
  }

  size_t Frame(const ReportFrame& frame) {
    // One after the other: compilers differ in which argument of a call comes first.
    const size_t function = String(frame.function);
    const size_t file = String(frame.file);
    const size_t module = String(frame.module);
    const auto key =
        std::make_tuple(function, file, frame.line, module, frame.offset, frame.inlined);
    const auto [it, is_new] = frame_indices_.try_emplace(key, frames_.size());
    if (!is_new) return it->second;
    const FrameOwner owner = OwnerOf(frame);
    const size_t short_name = String(text::FunctionText(frame.function));
    frames_.push_back({std::get<0>(key), short_name, std::get<1>(key), frame.line, std::get<3>(key),
                       text::Concat("0x", Hexadecimal(frame.offset)), frame.inlined ? 1 : 0,
                       String(owner.library), owner.starts_thread ? 1 : 0});
    return it->second;
  }

  // A line that the page shows with its neighbours, if the file is there.
  void Excerpt(const std::string& file, int line) {
    if (line <= 0 || excerpts_.size() >= kMaxExcerpts) return;
    const std::string key = text::Concat(String(file), ":", line);
    if (!excerpts_seen_.insert(key).second) return;
    const SourceExcerpt excerpt = reader_.Read(file, line, kLinesAround);
    if (excerpt.lines.empty()) return;
    Json lines = Json::array();
    for (const std::string& one : excerpt.lines) lines.push_back(ShownLine(one));
    excerpts_[key] = {{"first", excerpt.first_line}, {"lines", std::move(lines)}};
  }

  void AddTo(Json& page) {
    page["strings"] = std::move(strings_);
    page["frames"] = std::move(frames_);
    page["excerpts"] = std::move(excerpts_);
  }

 private:
  static std::string Hexadecimal(uint64_t number) {
    std::string digits;
    do {
      digits += "0123456789abcdef"[number % 16];
      number /= 16;
    } while (number > 0);
    return {digits.rbegin(), digits.rend()};
  }

  using FrameKey = std::tuple<size_t, size_t, int, size_t, uint64_t, bool>;
  Json strings_ = Json::array();
  Json frames_ = Json::array();
  Json excerpts_ = Json::object();
  std::unordered_map<std::string, size_t> string_indices_;
  std::map<FrameKey, size_t> frame_indices_;
  std::set<std::string> excerpts_seen_;
  SourceReader reader_;
};

class PageData {
 public:
  explicit PageData(const Report& report) : report_(report) {}

  Json Make() {
    Json page = {{"version", LOOPSAN_VERSION},
                 {"duration", Rounded(report_.duration_seconds)},
                 {"threshold", Rounded(report_.threshold_seconds)},
                 {"exit_code", report_.exit_code},
                 {"command", Json::array()},
                 {"findings", Json::array()},
                 {"loops", Json::array()},
                 {"capabilities", Json::array()},
                 {"limits", Json::array()}};
    for (const std::string& argument : report_.command) page["command"].push_back(Shown(argument));
    for (const Finding& finding : report_.findings) AddFinding(page["findings"], finding, true);
    for (const Finding& finding : report_.unproven_findings) {
      AddFinding(page["findings"], finding, false);
    }
    AddLoops(page["loops"]);
    for (const Capability& capability : report_.capabilities) {
      page["capabilities"].push_back({{"name", Shown(capability.name)},
                                      {"available", capability.available},
                                      {"used", capability.used},
                                      {"reason", Shown(capability.reason)}});
    }
    for (const std::string& limit : text::LimitsText(report_))
      page["limits"].push_back(Shown(limit));
    page["hidden_spans"] = spans_.hidden + report_.timeline.dropped_spans;
    page["hidden_waits"] = waits_.hidden + report_.timeline.dropped_waits;
    tables_.AddTo(page);
    return page;
  }

 private:
  Json Place(const SourcePlace& place) {
    return {tables_.String(text::CoroutineText(place)), tables_.String(place.file), place.line};
  }

  // What the page has room for.
  struct ShownSpans {
    size_t room = 0;
    double shortest = 0;
    uint64_t hidden = 0;
  };

  static bool IsWait(const TimelineSpan& span) { return span.kind == "wait"; }

  static bool IsKnown(const SourcePlace& place) {
    return !place.file.empty() || !place.function.empty();
  }

  Json Stack(const std::vector<ReportFrame>& stack) {
    Json frames = Json::array();
    for (const ReportFrame& frame : stack) frames.push_back(tables_.Frame(frame));
    return frames;
  }

  // The lines that a person looks at first: those of the user's own code.
  void AddExcerpts(const Finding& finding) {
    const ReportFrame* own = OwnFrame(finding.stack);
    if (own != nullptr) tables_.Excerpt(own->file, own->line);
    tables_.Excerpt(finding.where.file, finding.where.line);
    size_t wanted = kExcerptsPerFinding;
    for (const ReportFrame& frame : finding.stack) {
      const FrameOwner owner = OwnerOf(frame);
      if (wanted == 0 || !owner.library.empty() || owner.starts_thread) continue;
      tables_.Excerpt(frame.file, frame.line);
      --wanted;
    }
    for (const SourcePlace& place : finding.async_stack) {
      if (wanted == 0) break;
      tables_.Excerpt(place.file, place.line);
      --wanted;
    }
  }

  void AddFinding(Json& findings, const Finding& finding, bool proven) {
    finding_indices_.try_emplace(finding.id, findings.size());
    Json told = {{"id", Shown(finding.id)},
                 {"rule", Shown(finding.rule)},
                 {"level", Shown(finding.level)},
                 {"message", Shown(finding.message)},
                 {"count", finding.count},
                 {"total", Rounded(finding.total_seconds)},
                 {"max", Rounded(finding.max_seconds)},
                 {"pid", finding.pid},
                 {"tid", finding.thread_id},
                 {"stack", Stack(finding.stack)}};
    const auto add_text = [&](const char* name, std::string_view value) {
      if (!value.empty()) told[name] = Shown(value);
    };
    add_text("category", finding.category);
    add_text("call", finding.call);
    add_text("detail", finding.detail);
    add_text("cause", finding.cause);
    add_text("fingerprint", finding.fingerprint);
    add_text("remedy", finding.remedy);
    add_text("note", finding.note);
    add_text("thread", finding.thread_name);
    add_text("executable", finding.executable);
    add_text("stack_source", finding.stack_source);
    add_text("place", MainPlaceText(finding));
    add_text("task", finding.task.name);
    add_text("spawner", finding.task.spawner);
    if (finding.task.id != 0) told["task_id"] = finding.task.id;
    if (finding.in_progress) told["in_progress"] = true;
    if (!proven) told["unproven"] = true;
    if (const ReportFrame* own = OwnFrame(finding.stack)) {
      told["own"] = own - finding.stack.data();
    }
    if (IsKnown(finding.task.spawned_at)) told["spawned_at"] = Place(finding.task.spawned_at);
    if (IsKnown(finding.where)) told["where"] = Place(finding.where);
    for (const SourcePlace& place : finding.async_stack) told["async"].push_back(Place(place));
    for (const FindingMember& member : finding.members) {
      Json one = {{"what", Shown(member.what)}, {"stack", Stack(member.stack)}};
      if (IsKnown(member.where)) one["where"] = Place(member.where);
      told["members"].push_back(std::move(one));
    }
    AddExcerpts(finding);
    findings.push_back(std::move(told));
  }

  void AddLoops(Json& loops) {
    std::map<std::pair<pid_t, int>, const LoopTimeline*> timelines;
    for (const LoopTimeline& timeline : report_.timeline.loops) {
      timelines.try_emplace({timeline.pid, timeline.thread_id}, &timeline);
    }
    spans_.shortest = ShortestShown(/*waits=*/false, spans_.room);
    waits_.shortest = ShortestShown(/*waits=*/true, waits_.room);
    for (const ProcessSummary& process : report_.processes) {
      for (const LoopSummary& loop : process.loops) {
        Json told = {{"pid", process.pid},
                     {"tid", loop.thread_id},
                     {"thread", Shown(loop.thread_name)},
                     {"executable", Shown(process.executable)},
                     {"kind", Shown(loop.kind)},
                     {"function", Shown(loop.function)},
                     {"turns", loop.turns},
                     {"busy", Rounded(loop.busy_seconds)},
                     {"idle", Rounded(loop.idle_seconds)},
                     {"longest", Rounded(loop.longest_step_seconds)},
                     {"proven", loop.proven}};
        const auto timeline = timelines.find({process.pid, loop.thread_id});
        const LoopTimeline none;
        AddTimeline(told, timeline == timelines.end() ? none : *timeline->second);
        loops.push_back(std::move(told));
      }
    }
  }

  // Waits, or other spans, shorter than this one would be too many for the page.
  double ShortestShown(bool waits, size_t room) {
    std::vector<double> durations;
    for (const LoopTimeline& loop : report_.timeline.loops) {
      for (const TimelineSpan& span : loop.spans) {
        if (IsWait(span) == waits) durations.push_back(Rounded(span.duration_seconds));
      }
    }
    if (durations.size() <= room) return 0;
    const auto last = durations.begin() + static_cast<ptrdiff_t>(room);
    std::nth_element(durations.begin(), last, durations.end(), std::greater<>());
    return *last;
  }

  // As columns, for the graphs.
  void AddTimeline(Json& told, const LoopTimeline& loop) {
    Json start = Json::array();
    Json duration = Json::array();
    Json busy = Json::array();
    Json cpu = Json::array();
    Json longest = Json::array();
    Json turns = Json::array();
    const size_t tracks = std::max<size_t>(1, report_.timeline.loops.size());
    const size_t points = std::clamp(kMaxPoints / tracks, kMinPointsOfALoop, kMaxPointsOfALoop);
    const size_t group = (loop.intervals.size() + points - 1) / points;
    for (size_t i = 0; i < loop.intervals.size(); i += group) {
      const TimelineInterval interval =
          Joined(loop.intervals, i, std::min(i + group, loop.intervals.size()));
      start.push_back(Rounded(interval.start_seconds));
      duration.push_back(Rounded(interval.duration_seconds));
      busy.push_back(Rounded(interval.busy_seconds));
      cpu.push_back(Rounded(interval.cpu_seconds));
      longest.push_back(Rounded(interval.longest_step_seconds));
      turns.push_back(interval.turns);
    }
    told["intervals"] = {{"start", std::move(start)},     {"duration", std::move(duration)},
                         {"busy", std::move(busy)},       {"cpu", std::move(cpu)},
                         {"longest", std::move(longest)}, {"turns", std::move(turns)}};
    Json spans = Json::array();
    for (const TimelineSpan& span : loop.spans) {
      // Of equally long ones no more than fit, either.
      ShownSpans& shown = IsWait(span) ? waits_ : spans_;
      if (Rounded(span.duration_seconds) < shown.shortest || shown.room == 0) {
        ++shown.hidden;
        continue;
      }
      --shown.room;
      const auto finding = finding_indices_.find(span.finding_id);
      const bool known = finding != finding_indices_.end() && !span.finding_id.empty();
      spans.push_back({Shown(span.kind), Rounded(span.start_seconds),
                       Rounded(span.duration_seconds),
                       known ? static_cast<int>(finding->second) : -1});
    }
    told["spans"] = std::move(spans);
  }

  const Report& report_;
  Tables tables_;
  std::map<std::string, size_t> finding_indices_;
  ShownSpans spans_{.room = kMaxSpans};
  ShownSpans waits_{.room = kMaxWaits};
};

void Write(std::ostream& out, std::string_view text) {
  // Not operator<<: it obeys the stream's width and locale.
  out.write(text.data(), static_cast<std::streamsize>(text.size()));
}

}  // namespace

void WriteHtml(const Report& report, const ReporterOptions& /*options*/, std::ostream& out) {
  const std::string verdict = text::VerdictText(report);
  const size_t first_line = verdict.find('\n');
  const std::string headline = EscapedHtml(verdict.substr(0, first_line));
  const std::string details =
      first_line == std::string::npos ? "" : EscapedHtml(verdict.substr(first_line + 1));
  Write(out,
        "<!DOCTYPE html>\n"
        "<html lang=\"en\">\n"
        "<head>\n"
        "<meta charset=\"utf-8\">\n"
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; script-src "
        "'unsafe-inline'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action "
        "'none'\">\n"
        "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
        "<meta name=\"color-scheme\" content=\"light dark\">\n"
        "<link rel=\"icon\" href=\"data:,\">\n"
        "<title>");
  Write(out, headline);
  Write(out, "</title>\n<style>\n");
  Write(out, kReportStyle);
  Write(out, "</style>\n</head>\n<body>\n<header>\n<h1 id=\"verdict\">");
  Write(out, headline);
  Write(out, "</h1>\n<p id=\"verdict-details\">");
  Write(out, details);
  Write(out,
        "</p>\n</header>\n"
        "<noscript>This page shows its findings with a script, which this browser does not "
        "run.</noscript>\n"
        "<main id=\"page\"></main>\n"
        "<script type=\"application/json\" id=\"report\">");
  Write(out, EscapedJson(PageData(report).Make()));
  Write(out, "</script>\n<script>\n");
  Write(out, kReportScript);
  Write(out, "</script>\n</body>\n</html>\n");
}

}  // namespace loopsan
