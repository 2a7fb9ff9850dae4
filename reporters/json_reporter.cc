// Version 1 of the JSON report. Its fields are described in docs/report-format.md
// and checked by reporters/schema/report-v1.schema.json: the three change together.
#include "reporters/internal/json_text.h"
#include "reporters/reporter.h"

namespace loopsan {
namespace {

constexpr int kSchema = 1;

Json ToJson(const ReportFrame& frame);
Json ToJson(const SourcePlace& place);
Json ToJson(const LoopSummary& loop);
Json ToJson(const ProcessSummary& process);
Json ToJson(const FindingMember& member);
Json ToJson(const Finding& finding);
Json ToJson(const ReportModule& module);
Json ToJson(const Capability& capability);
Json ToJson(const TimelineInterval& interval);
Json ToJson(const TimelineSpan& span);
Json ToJson(const LoopTimeline& loop);
Json ToJson(const SuppressedFindings& suppressed);
Json ToJson(const SuppressionRemark& remark);

template <typename T>
Json ToJson(const std::vector<T>& items) {
  Json array = Json::array();
  for (const T& item : items) array.push_back(ToJson(item));
  return array;
}

Json ToJson(const ReportFrame& frame) {
  return {
      {"function", frame.function}, {"file", frame.file},     {"line", frame.line},
      {"module", frame.module},     {"offset", frame.offset}, {"inlined", frame.inlined},
  };
}

Json ToJson(const SourcePlace& place) {
  return {{"function", place.function}, {"file", place.file}, {"line", place.line}};
}

Json ToJson(const TaskReference& task) {
  return {
      {"name", task.name},
      {"id", task.id},
      {"spawned_at", ToJson(task.spawned_at)},
      {"spawner", task.spawner},
  };
}

Json ToJson(const LoopSummary& loop) {
  return {
      {"thread_id", loop.thread_id},
      {"thread_name", loop.thread_name},
      {"kind", loop.kind},
      {"function", loop.function},
      {"turns", loop.turns},
      {"busy_seconds", Seconds(loop.busy_seconds)},
      {"idle_seconds", Seconds(loop.idle_seconds)},
      {"longest_step_seconds", Seconds(loop.longest_step_seconds)},
      {"p99_step_seconds", Seconds(loop.p99_step_seconds)},
      {"proven", loop.proven},
  };
}

Json ToJson(const ProcessSummary& process) {
  return {
      {"pid", process.pid},
      {"executable", process.executable},
      {"loops", ToJson(process.loops)},
  };
}

Json ToJson(const FindingMember& member) {
  return {
      {"what", member.what},
      {"where", ToJson(member.where)},
      {"stack", ToJson(member.stack)},
  };
}

Json ToJson(const Finding& finding) {
  return {
      {"id", finding.id},
      {"rule", finding.rule},
      {"level", finding.level},
      {"category", finding.category},
      {"call", finding.call},
      {"detail", finding.detail},
      {"cause", finding.cause},
      {"count", finding.count},
      {"total_seconds", Seconds(finding.total_seconds)},
      {"max_seconds", Seconds(finding.max_seconds)},
      {"in_progress", finding.in_progress},
      {"fingerprint", finding.fingerprint},
      {"message", finding.message},
      {"remedy", finding.remedy},
      {"note", finding.note},
      {"pid", finding.pid},
      {"thread_id", finding.thread_id},
      {"thread_name", finding.thread_name},
      {"executable", finding.executable},
      {"stack_source", finding.stack_source},
      {"stack", ToJson(finding.stack)},
      {"task", ToJson(finding.task)},
      {"async_stack", ToJson(finding.async_stack)},
      {"where", ToJson(finding.where)},
      {"members", ToJson(finding.members)},
      {"baseline_state", finding.baseline_state},
  };
}

Json ToJson(const ReportModule& module) {
  return {{"path", module.path}, {"build_id", module.build_id}};
}

Json ToJson(const Capability& capability) {
  return {
      {"name", capability.name},
      {"available", capability.available},
      {"used", capability.used},
      {"reason", capability.reason},
  };
}

Json ToJson(const SuppressedFindings& suppressed) {
  return {
      {"entry", suppressed.entry},
      {"reason", suppressed.reason},
      {"file", suppressed.file},
      {"line", suppressed.line},
      {"findings", suppressed.findings},
      {"count", suppressed.count},
      {"total_seconds", Seconds(suppressed.total_seconds)},
      {"max_seconds", Seconds(suppressed.max_seconds)},
  };
}

Json ToJson(const SuppressionRemark& remark) {
  return {
      {"level", remark.level}, {"message", remark.message}, {"entry", remark.entry},
      {"file", remark.file},   {"line", remark.line},
  };
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

Json ToJson(const TimelineInterval& interval) {
  return {
      {"start_seconds", Seconds(interval.start_seconds)},
      {"duration_seconds", Seconds(interval.duration_seconds)},
      {"busy_seconds", Seconds(interval.busy_seconds)},
      {"idle_seconds", Seconds(interval.idle_seconds)},
      {"cpu_seconds", Seconds(interval.cpu_seconds)},
      {"longest_step_seconds", Seconds(interval.longest_step_seconds)},
      {"turns", interval.turns},
  };
}

Json ToJson(const TimelineSpan& span) {
  return {
      {"kind", span.kind},
      {"start_seconds", Seconds(span.start_seconds)},
      {"duration_seconds", Seconds(span.duration_seconds)},
      {"finding_id", span.finding_id},
  };
}

Json ToJson(const LoopTimeline& loop) {
  return {
      {"pid", loop.pid},
      {"thread_id", loop.thread_id},
      {"thread_name", loop.thread_name},
      {"intervals", ToJson(loop.intervals)},
      {"spans", ToJson(loop.spans)},
  };
}

Json ToJson(const Timeline& timeline) {
  return {
      {"loops", ToJson(timeline.loops)},
      {"dropped_spans", timeline.dropped_spans},
      {"dropped_waits", timeline.dropped_waits},
      {"dropped_loops", timeline.dropped_loops},
  };
}

Json ToJson(const Report& report) {
  return {
      {"schema", kSchema},
      {"tool", {{"name", "loopsan"}, {"version", LOOPSAN_VERSION}}},
      {"command", report.command},
      {"exit_code", report.exit_code},
      {"exit_signal", report.exit_signal},
      {"duration_seconds", Seconds(report.duration_seconds)},
      {"threshold_seconds", Seconds(report.threshold_seconds)},
      {"processes_started", report.processes_started},
      {"processes", ToJson(report.processes)},
      {"findings", ToJson(report.findings)},
      {"unproven_findings", ToJson(report.unproven_findings)},
      {"modules", ToJson(report.modules)},
      {"capabilities", ToJson(report.capabilities)},
      {"warnings", report.warnings},
      {"suppressed", ToJson(report.suppressed)},
      {"suppression_remarks", ToJson(report.suppression_remarks)},
      {"dropped", ToJson(report.dropped)},
      {"timeline", ToJson(report.timeline)},
  };
}

}  // namespace

void WriteJson(const Report& report, const ReporterOptions& /*options*/, std::ostream& out) {
  WriteJsonText(ToJson(report), /*indent=*/2, out);
}

}  // namespace loopsan
