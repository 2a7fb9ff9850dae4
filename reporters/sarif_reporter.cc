// SARIF 2.1.0, the format of GitHub code scanning and of editors.
//
// GitHub shows a result's message, first location, code flow and related locations;
// it ignores `stacks`, so a stack is there twice. Findings on threads that may be no
// event loops are left out: whoever reads this gates on it.
#include <algorithm>
#include <limits>
#include <map>
#include <ranges>

#include "absl/strings/str_replace.h"
#include "reporters/internal/finding_place.h"
#include "reporters/internal/finding_text.h"
#include "reporters/internal/json_text.h"
#include "reporters/internal/text_paper.h"
#include "reporters/reporter.h"
#include "reporters/rules.h"

namespace loopsan {

using namespace text;  // NOLINT: the words of reports for people

namespace {

// GitHub takes 25,000 results a run, 1,000 locations a result and 10 MB compressed.
constexpr size_t kMaxResults = 25'000;
constexpr size_t kMaxResultsWithStacks = 1'000;  // those that cost the most time
constexpr size_t kMaxFrames = 100;
constexpr size_t kMaxTextBytes = 2'000;
constexpr size_t kMaxPathBytes = 4'096;
constexpr std::string_view kSourceRoot = "SRCROOT";

std::string Safe(std::string_view untrusted) {
  return Printable(Clipped(untrusted, kMaxTextBytes));
}

// In messages [text](target) is a link: the program's text makes none.
std::string WithoutLinks(const std::string& text) {
  if (text.find("](") == std::string::npos) return text;
  return absl::StrReplaceAll(text, {{"[", "\\["}, {"]", "\\]"}});
}

Json Message(std::string_view untrusted) { return {{"text", WithoutLinks(Safe(untrusted))}}; }

class SarifWriter {
 public:
  SarifWriter(const Report& report, std::string_view source_root)
      : report_(report), source_root_(source_root) {
    for (const RuleInfo& rule : Rules()) AddRule(rule);
  }

  Json Log() {
    Json results = Json::array();  // before the rules, to which it adds
    for (const Finding& finding : report_.findings | std::views::take(kMaxResults)) {
      results.push_back(Result(finding));
      if (results.size() <= kMaxResultsWithStacks) AddStacks(finding, results.back());
    }
    Json run = {
        {"tool", {{"driver", Driver()}}},
        {"automationDetails", {{"id", "loopsan/"}}},
        {"invocations", Json::array({Invocation()})},
    };
    if (source_root_.starts_with('/')) run["originalUriBaseIds"] = UriBases();
    run["columnKind"] = "utf16CodeUnits";
    run["results"] = std::move(results);
    return {
        {"$schema", "https://json.schemastore.org/sarif-2.1.0.json"},
        {"version", "2.1.0"},
        {"runs", Json::array({std::move(run)})},
    };
  }

 private:
  void AddRule(const RuleInfo& rule) {
    rule_indices_.emplace(rule.id, rules_.size());
    Json json = {{"id", rule.id}};
    // SARIF1001 of Microsoft's validator: no name rather than one that says the same.
    if (rule.id.find('-') != std::string_view::npos) json["name"] = RuleName(rule.id);
    json.update({
        {"shortDescription", {{"text", rule.summary}}},
        {"fullDescription", {{"text", rule.description}}},
        {"help",
         {{"text", rule.help},
          {"markdown", Concat("**Instead:** ", rule.help, "\n\n", rule.description)}}},
        {"defaultConfiguration", {{"level", rule.level}}},
        {"properties",
         {{"precision", "high"},
          {"problem.severity", rule.level == "note" ? "recommendation" : rule.level},
          {"tags", Json::array({"performance", "event-loop"})}}},
    });
    rules_.push_back(std::move(json));
  }

  size_t RuleIndex(const std::string& id) {
    if (!rule_indices_.contains(id)) AddRule(RuleOf(id));
    return rule_indices_.at(id);
  }

  Json Driver() const {
    return {
        {"name", "loopsan"},
        {"version", LOOPSAN_VERSION},
        {"semanticVersion", LOOPSAN_VERSION},
        {"rules", rules_},
    };
  }

  // What could not be seen belongs to the run, not to a line.
  Json Invocation() const {
    Json notifications = Json::array();
    const auto notify = [&](std::string_view level, const std::string& text) {
      notifications.push_back({{"level", level}, {"message", Message(text)}});
    };
    if (report_.findings.empty() && !HasProvenLoop(report_)) {
      const std::string verdict = VerdictText(report_);
      notify("warning", verdict.substr(0, verdict.find('\n')));
    }
    for (const std::string& limit : LimitsText(report_)) notify("note", limit);
    if (report_.findings.size() > kMaxResults) {
      notify("warning", Concat(Count(report_.findings.size() - kMaxResults, "finding"),
                               " with less time lost left out: code scanning takes no more"));
    }
    return {{"executionSuccessful", true}, {"toolExecutionNotifications", notifications}};
  }

  Json UriBases() const {
    std::string uri = Concat("file://", PercentEncoded(source_root_));
    if (!uri.ends_with('/')) uri += '/';
    return {{kSourceRoot, {{"uri", uri}}}};
  }

  Json Artifact(std::string_view file) const {
    const FileName name = NameFrom(source_root_, Clipped(file, kMaxPathBytes));
    if (name.path.starts_with('/')) return {{"uri", Concat("file://", PercentEncoded(name.path))}};
    Json artifact = {{"uri", PercentEncoded(name.path)}};
    if (name.below_root && source_root_.starts_with('/')) artifact["uriBaseId"] = kSourceRoot;
    return artifact;
  }

  // The compiler tells lines only, but GitHub wants columns.
  Json Physical(const SourcePlace& place) const {
    Json physical = {{"artifactLocation", Artifact(place.file)}};
    if (place.line > 0) {
      physical["region"] = {
          {"startLine", place.line}, {"startColumn", 1}, {"endLine", place.line}, {"endColumn", 2}};
    }
    return physical;
  }

  Json Location(const SourcePlace& place) const {
    Json location = Json::object();
    if (!place.file.empty()) location["physicalLocation"] = Physical(place);
    if (!place.function.empty()) {
      location["logicalLocations"] =
          Json::array({{{"fullyQualifiedName", Safe(WithoutReturnType(place.function))},
                        {"kind", "function"}}});
    }
    return location;
  }

  Json Location(const SourcePlace& place, std::string_view message) const {
    Json location = Location(place);
    location["message"] = Message(message);
    return location;
  }

  static SourcePlace PlaceOf(const ReportFrame& frame) {
    return {.function = frame.function, .file = frame.file, .line = frame.line};
  }

  // Where the result is shown; GitHub refuses one without a file and a line.
  Json MainLocation(const Finding& finding) const {
    SourcePlace place = PlaceToAnnotate(finding);
    if (place.file.empty()) {
      if (const ReportFrame* own = OwnFrame(finding.stack)) place.function = own->function;
      place.file = finding.executable.empty() ? "unknown" : finding.executable;
    }
    place.line = std::max(place.line, 1);
    return Location(place);
  }

  Json StackFrame(const ReportFrame& frame, int thread_id) const {
    Json json = {{"location", Location(PlaceOf(frame))}};
    if (!frame.module.empty()) json["module"] = Safe(frame.module);
    if (thread_id > 0) json["threadId"] = thread_id;
    return json;
  }

  Json AwaitFrame(const SourcePlace& place, std::string_view what) const {
    return {{"location", Location(place, what)}};
  }

  // What runs, then who waits for it, then where it all began.
  Json MergedStack(const Finding& finding) const {
    Json frames = Json::array();
    for (const ReportFrame& frame : finding.stack | std::views::take(kMaxFrames)) {
      frames.push_back(StackFrame(frame, finding.thread_id));
    }
    for (const SourcePlace& place : finding.async_stack | std::views::take(kMaxFrames)) {
      frames.push_back(AwaitFrame(place, "co_await"));
    }
    const SourcePlace& spawned_at = finding.task.spawned_at;
    if (!spawned_at.file.empty()) frames.push_back(AwaitFrame(spawned_at, "spawned here"));
    return frames;
  }

  Json Stacks(const Finding& finding) const {
    Json stacks = Json::array();
    const auto add = [&](std::string_view what, Json frames) {
      if (!frames.empty()) {
        stacks.push_back({{"message", Message(what)}, {"frames", std::move(frames)}});
      }
    };
    add("what blocked, innermost first", MergedStack(finding));
    for (const FindingMember& member : finding.members) {
      Json frames = Json::array();
      for (const ReportFrame& frame : member.stack | std::views::take(kMaxFrames)) {
        frames.push_back(StackFrame(frame, 0));
      }
      add(member.what, std::move(frames));
    }
    return stacks;
  }

  // The same as a path through the code: from where the task began to what
  // blocked. Only steps with a file can be shown.
  Json FlowSteps(const Finding& finding) const {
    Json steps = Json::array();
    const auto add = [&](const SourcePlace& place, std::string_view what) {
      if (place.file.empty()) return;
      steps.push_back({{"location", Location(place, what)}});
    };
    add(finding.task.spawned_at, "spawned here");
    const size_t awaits = std::min(finding.async_stack.size(), kMaxFrames);
    for (const SourcePlace& place :
         finding.async_stack | std::views::take(awaits) | std::views::reverse) {
      const std::string name = CoroutineText(place);
      add(place, name.empty() ? "co_await" : Concat("co_await in ", name));
    }
    const size_t frames = std::min(finding.stack.size(), kMaxFrames);
    for (const ReportFrame& frame :
         finding.stack | std::views::take(frames) | std::views::reverse) {
      add(PlaceOf(frame), frame.function.empty() ? "a function" : FunctionText(frame.function));
    }
    for (size_t i = 0; i < steps.size(); ++i) steps[i]["executionOrder"] = i + 1;
    if (!steps.empty()) steps.back()["importance"] = "essential";
    return steps;
  }

  Json RelatedLocations(const Finding& finding) const {
    Json related = Json::array();
    const auto add = [&](const SourcePlace& place, std::string_view what) {
      if (place.file.empty()) return;
      Json location = {{"id", related.size() + 1}};
      location.update(Location(place, what.empty() ? "someone" : what));
      related.push_back(std::move(location));
    };
    if (!finding.task.spawned_at.file.empty()) add(finding.task.spawned_at, "spawned here");
    for (const FindingMember& member : finding.members) add(member.where, member.what);
    return related;
  }

  static Json Properties(const Finding& finding) {
    return {
        {"id", Safe(finding.id)},
        {"count", finding.count},
        {"totalSeconds", Seconds(finding.total_seconds)},
        {"maxSeconds", Seconds(finding.max_seconds)},
        {"category", Safe(finding.category)},
        {"call", Safe(finding.call)},
        {"detail", Safe(finding.detail)},
        {"cause", Safe(finding.cause)},
        {"note", Safe(finding.note)},
        {"inProgress", finding.in_progress},
        {"executable", Safe(finding.executable)},
        {"threadName", Safe(finding.thread_name)},
        {"task", Safe(finding.task.name)},
    };
  }

  static std::string Level(const Finding& finding) {
    const bool known = finding.level == "error" || finding.level == "note";
    return known ? finding.level : "warning";
  }

  static std::string MessageOf(const Finding& finding) {
    if (finding.remedy.empty()) return finding.message;
    return Concat(Clipped(finding.message, kMaxTextBytes / 2), ". Instead: ", finding.remedy);
  }

  Json Result(const Finding& finding) {
    Json result = {
        {"ruleId", Safe(finding.rule)},
        {"ruleIndex", RuleIndex(Safe(finding.rule))},
        {"level", Level(finding)},
        {"message", Message(MessageOf(finding))},
        {"locations", Json::array({MainLocation(finding)})},
        // The second key is the one by which GitHub tells whether it knows a result.
        {"partialFingerprints",
         {{"loopsanFingerprint/v1", Safe(finding.fingerprint)},
          {"primaryLocationLineHash", Concat(Safe(finding.fingerprint), ":1")}}},
    };
    if (finding.baseline_state == "new" || IsKnown(finding)) {
      result["baselineState"] = finding.baseline_state;
    }
    // Readers of SARIF keep it in 32 bits.
    result["occurrenceCount"] =
        std::clamp<uint64_t>(finding.count, 1, std::numeric_limits<int32_t>::max());
    if (Json related = RelatedLocations(finding); !related.empty()) {
      result["relatedLocations"] = std::move(related);
    }
    result["properties"] = Properties(finding);
    return result;
  }

  void AddStacks(const Finding& finding, Json& result) const {
    if (Json stacks = Stacks(finding); !stacks.empty()) result["stacks"] = std::move(stacks);
    if (Json steps = FlowSteps(finding); !steps.empty()) {
      const Json thread_flow = {{"locations", std::move(steps)}};
      result["codeFlows"] = Json::array({Json{{"threadFlows", Json::array({thread_flow})}}});
    }
  }

  const Report& report_;
  const std::string_view source_root_;
  std::map<std::string, size_t, std::less<>> rule_indices_;
  Json rules_ = Json::array();
};

}  // namespace

void WriteSarif(const Report& report, const ReporterOptions& options, std::ostream& out) {
  WriteJsonText(SarifWriter(report, options.source_root).Log(), /*indent=*/0, out);
}

}  // namespace loopsan
