#include "reporters/json_reader.h"

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "reporters/finding_facts.h"
#include "reporters/internal/json_fields.h"
#include "reporters/internal/text_file.h"
#include "reporters/resymbolize.h"
#include "reporters/step_context.h"

namespace loopsan {
namespace {

constexpr uint64_t kSchema = 1;
constexpr char kRemedy[] = "; make the report anew with loopsan run --json=FILE -- COMMAND";

template <typename T>
  requires requires(const JsonPlace& from, T& to) { from.Read(to); }
void ReadJson(const JsonPlace& from, T& to) {
  from.Read(to);
}

void ReadJson(const JsonPlace& from, SourcePlace& place);
void ReadJson(const JsonPlace& from, ReportFrame& frame);
void ReadJson(const JsonPlace& from, TaskReference& task);
void ReadJson(const JsonPlace& from, LoopSummary& loop);
void ReadJson(const JsonPlace& from, ProcessSummary& process);
void ReadJson(const JsonPlace& from, FindingMember& member);
void ReadJson(const JsonPlace& from, Finding& finding);
void ReadJson(const JsonPlace& from, ReportModule& module);
void ReadJson(const JsonPlace& from, Capability& capability);
void ReadJson(const JsonPlace& from, Dropped& dropped);
void ReadJson(const JsonPlace& from, SuppressedFindings& suppressed);
void ReadJson(const JsonPlace& from, SuppressionRemark& remark);
void ReadJson(const JsonPlace& from, TimelineInterval& interval);
void ReadJson(const JsonPlace& from, TimelineSpan& span);
void ReadJson(const JsonPlace& from, LoopTimeline& loop);
void ReadJson(const JsonPlace& from, Timeline& timeline);

template <typename T>
void ReadJson(const JsonPlace& from, std::vector<T>& to) {
  const size_t size = from.Size();
  to.reserve(size);
  for (size_t i = 0; i < size; ++i) ReadJson(from.Element(i), to.emplace_back());
}

template <typename T>
void Read(const JsonPlace& from, std::string_view name, T& to) {
  ReadJson(from.Field(name), to);
}

void ReadSeconds(const JsonPlace& from, std::string_view name, double& to) {
  from.Field(name).ReadSeconds(to);
}

void ReadJson(const JsonPlace& from, SourcePlace& place) {
  Read(from, "function", place.function);
  Read(from, "file", place.file);
  Read(from, "line", place.line);
}

void ReadJson(const JsonPlace& from, ReportFrame& frame) {
  Read(from, "function", frame.function);
  Read(from, "file", frame.file);
  Read(from, "line", frame.line);
  Read(from, "module", frame.module);
  Read(from, "offset", frame.offset);
  Read(from, "inlined", frame.inlined);
}

void ReadJson(const JsonPlace& from, TaskReference& task) {
  Read(from, "name", task.name);
  Read(from, "id", task.id);
  Read(from, "spawned_at", task.spawned_at);
  Read(from, "spawner", task.spawner);
}

void ReadJson(const JsonPlace& from, LoopSummary& loop) {
  Read(from, "thread_id", loop.thread_id);
  Read(from, "thread_name", loop.thread_name);
  Read(from, "kind", loop.kind);
  Read(from, "function", loop.function);
  Read(from, "turns", loop.turns);
  ReadSeconds(from, "busy_seconds", loop.busy_seconds);
  ReadSeconds(from, "idle_seconds", loop.idle_seconds);
  ReadSeconds(from, "longest_step_seconds", loop.longest_step_seconds);
  ReadSeconds(from, "p99_step_seconds", loop.p99_step_seconds);
  Read(from, "proven", loop.proven);
}

void ReadJson(const JsonPlace& from, ProcessSummary& process) {
  Read(from, "pid", process.pid);
  Read(from, "executable", process.executable);
  Read(from, "loops", process.loops);
}

void ReadJson(const JsonPlace& from, FindingMember& member) {
  Read(from, "what", member.what);
  Read(from, "where", member.where);
  Read(from, "stack", member.stack);
}

void CheckValues(const JsonPlace& from, const Finding& finding) {
  if (!IsRuleName(finding.rule)) {
    from.Field("rule").Fail("expected 1 to 64 of a-z, 0-9 and -");
  }
  if (finding.level != "error" && finding.level != "warning" && finding.level != "note") {
    from.Field("level").Fail("expected \"error\", \"warning\" or \"note\"");
  }
  if (!IsFingerprint(finding.fingerprint)) {
    from.Field("fingerprint").Fail("expected 16 hexadecimal digits in lower case");
  }
  const std::string& state = finding.baseline_state;
  if (!state.empty() && state != "new" && state != "unchanged") {
    from.Field("baseline_state").Fail("expected \"new\", \"unchanged\" or \"\"");
  }
}

void ReadJson(const JsonPlace& from, Finding& finding) {
  Read(from, "id", finding.id);
  Read(from, "rule", finding.rule);
  Read(from, "level", finding.level);
  Read(from, "category", finding.category);
  Read(from, "call", finding.call);
  Read(from, "detail", finding.detail);
  Read(from, "cause", finding.cause);
  Read(from, "count", finding.count);
  ReadSeconds(from, "total_seconds", finding.total_seconds);
  ReadSeconds(from, "max_seconds", finding.max_seconds);
  Read(from, "in_progress", finding.in_progress);
  Read(from, "fingerprint", finding.fingerprint);
  Read(from, "message", finding.message);
  Read(from, "remedy", finding.remedy);
  Read(from, "note", finding.note);
  Read(from, "pid", finding.pid);
  Read(from, "thread_id", finding.thread_id);
  Read(from, "thread_name", finding.thread_name);
  Read(from, "executable", finding.executable);
  Read(from, "stack_source", finding.stack_source);
  Read(from, "stack", finding.stack);
  Read(from, "task", finding.task);
  Read(from, "async_stack", finding.async_stack);
  Read(from, "where", finding.where);
  Read(from, "members", finding.members);
  // Reports from before there were baselines do not have it.
  from.OptionalField("baseline_state").Read(finding.baseline_state);
  CheckValues(from, finding);
}

void ReadJson(const JsonPlace& from, ReportModule& module) {
  Read(from, "path", module.path);
  Read(from, "build_id", module.build_id);
  if (!IsBuildId(module.build_id)) {
    from.Field("build_id").Fail("expected an even number of hexadecimal digits in lower case");
  }
}

void ReadJson(const JsonPlace& from, Capability& capability) {
  Read(from, "name", capability.name);
  Read(from, "available", capability.available);
  Read(from, "used", capability.used);
  Read(from, "reason", capability.reason);
}

void ReadJson(const JsonPlace& from, Dropped& dropped) {
  Read(from, "events", dropped.events);
  Read(from, "snapshots", dropped.snapshots);
  Read(from, "sites", dropped.sites);
  Read(from, "loops", dropped.loops);
  Read(from, "outside_loop", dropped.outside_loop);
  Read(from, "unsure", dropped.unsure);
}

void ReadJson(const JsonPlace& from, SuppressedFindings& suppressed) {
  Read(from, "entry", suppressed.entry);
  Read(from, "reason", suppressed.reason);
  Read(from, "file", suppressed.file);
  Read(from, "line", suppressed.line);
  Read(from, "findings", suppressed.findings);
  Read(from, "count", suppressed.count);
  ReadSeconds(from, "total_seconds", suppressed.total_seconds);
  ReadSeconds(from, "max_seconds", suppressed.max_seconds);
}

void ReadJson(const JsonPlace& from, SuppressionRemark& remark) {
  Read(from, "level", remark.level);
  Read(from, "message", remark.message);
  Read(from, "entry", remark.entry);
  Read(from, "file", remark.file);
  Read(from, "line", remark.line);
  if (remark.level != "warning" && remark.level != "note") {
    from.Field("level").Fail("expected \"warning\" or \"note\"");
  }
}

void ReadJson(const JsonPlace& from, TimelineInterval& interval) {
  ReadSeconds(from, "start_seconds", interval.start_seconds);
  ReadSeconds(from, "duration_seconds", interval.duration_seconds);
  ReadSeconds(from, "busy_seconds", interval.busy_seconds);
  ReadSeconds(from, "idle_seconds", interval.idle_seconds);
  ReadSeconds(from, "cpu_seconds", interval.cpu_seconds);
  ReadSeconds(from, "longest_step_seconds", interval.longest_step_seconds);
  Read(from, "turns", interval.turns);
}

void ReadJson(const JsonPlace& from, TimelineSpan& span) {
  Read(from, "kind", span.kind);
  ReadSeconds(from, "start_seconds", span.start_seconds);
  ReadSeconds(from, "duration_seconds", span.duration_seconds);
  Read(from, "finding_id", span.finding_id);
}

void ReadJson(const JsonPlace& from, LoopTimeline& loop) {
  Read(from, "pid", loop.pid);
  Read(from, "thread_id", loop.thread_id);
  Read(from, "thread_name", loop.thread_name);
  Read(from, "intervals", loop.intervals);
  Read(from, "spans", loop.spans);
}

void ReadJson(const JsonPlace& from, Timeline& timeline) {
  Read(from, "loops", timeline.loops);
  Read(from, "dropped_spans", timeline.dropped_spans);
  from.OptionalField("dropped_waits").Read(timeline.dropped_waits);
  Read(from, "dropped_loops", timeline.dropped_loops);
}

void ReadJson(const JsonPlace& from, Report& report) {
  Read(from, "command", report.command);
  Read(from, "exit_code", report.exit_code);
  Read(from, "exit_signal", report.exit_signal);
  ReadSeconds(from, "duration_seconds", report.duration_seconds);
  ReadSeconds(from, "threshold_seconds", report.threshold_seconds);
  Read(from, "processes_started", report.processes_started);
  Read(from, "processes", report.processes);
  Read(from, "findings", report.findings);
  Read(from, "unproven_findings", report.unproven_findings);
  Read(from, "modules", report.modules);
  Read(from, "capabilities", report.capabilities);
  Read(from, "warnings", report.warnings);
  Read(from, "suppressed", report.suppressed);
  Read(from, "suppression_remarks", report.suppression_remarks);
  Read(from, "dropped", report.dropped);
  Read(from, "timeline", report.timeline);
}

absl::Status WithRemedy(const absl::Status& status) {
  return absl::Status(status.code(),
                      absl::StrCat("no report of loopsan: ", status.message(), kRemedy));
}

}  // namespace

absl::StatusOr<Report> ReadJsonReport(std::string_view text) {
  const absl::StatusOr<nlohmann::json> document = ParseJson(text);
  if (!document.ok()) return WithRemedy(document.status());
  absl::Status status;
  const JsonPlace root(*document, status);
  uint64_t schema = 0;
  Read(root, "schema", schema);
  if (status.ok() && schema != kSchema) {
    return absl::InvalidArgumentError(absl::StrCat("schema: is ", schema,
                                                   ", but this loopsan reads ", kSchema,
                                                   "; use the release that wrote the report"));
  }
  Report report;
  if (status.ok()) ReadJson(root, report);
  if (!status.ok()) return WithRemedy(status);
  return report;
}

absl::StatusOr<Report> ReadJsonReportFile(const std::string& path) {
  const absl::StatusOr<std::string> text = ReadTextFile(path);
  if (!text.ok()) {
    if (!absl::IsNotFound(text.status())) return text.status();
    return absl::NotFoundError(absl::StrCat(text.status().message(), "; make it with loopsan run ",
                                            "--json=", path, " -- COMMAND"));
  }
  absl::StatusOr<Report> report = ReadJsonReport(*text);
  if (report.ok()) return report;
  return absl::Status(report.status().code(), absl::StrCat(path == "-" ? "standard input" : path,
                                                           ": ", report.status().message()));
}

}  // namespace loopsan
