#include "reporters/wording.h"

#include <algorithm>
#include <cstdint>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "reporters/reporter.h"

namespace loopsan {
namespace {

std::string BaseName(std::string_view path) {
  const size_t slash = path.rfind('/');
  return std::string(slash == std::string_view::npos ? path : path.substr(slash + 1));
}

std::string InTask(const Finding& finding) {
  const TaskReference& task = finding.task;
  if (!task.name.empty()) return absl::StrCat(" in task \"", task.name, "\"");
  if (task.id == 0 || task.spawned_at.file.empty()) return "";
  return absl::StrCat(" in a task spawned at ", BaseName(task.spawned_at.file), ":",
                      task.spawned_at.line);
}

}  // namespace

std::string BareName(std::string_view function) {
  std::string result;
  int depth = 0;
  for (size_t i = 0; i < function.size(); ++i) {
    const char c = function[i];
    if (function.compare(i, 5, "[abi:") == 0) {
      i = std::min(function.find(']', i), function.size() - 1);
    } else if (depth == 0 && function.compare(i, 8, "{lambda(") == 0) {
      // "{lambda(int)#2}": the number changes with what stands before it.
      result += "{lambda}";
      i = std::min(function.find('}', i), function.size() - 1);
    } else if (depth == 0 && absl::EndsWith(result, "operator") &&
               function.compare(i, 2, "()") == 0) {
      result += "()";
      ++i;
    } else if (c == '<') {
      ++depth;
    } else if (c == '>') {
      --depth;
    } else if (c == '(' && depth == 0 && !result.empty() && result.back() != ' ' &&
               !absl::EndsWith(result, "::")) {
      break;
    } else if (depth <= 0) {
      result.push_back(c);
    }
  }
  return result;
}

std::string DescribeShare(const std::string& task, const SourcePlace& site, uint64_t steps,
                          double seconds, double longest_seconds) {
  std::string text = task.empty() ? "steps" : absl::StrCat("task \"", task, "\"");
  if (!site.file.empty()) absl::StrAppend(&text, " from ", BaseName(site.file), ":", site.line);
  return absl::StrCat(text, " took ", FormatSeconds(seconds), " in ", steps,
                      steps == 1 ? " step" : " steps of up to ",
                      steps == 1 ? "" : FormatSeconds(longest_seconds));
}

std::string DescribeFrame(const ReportFrame& frame) {
  std::string text = frame.function.empty()
                         ? absl::StrFormat("%s+0x%x", BaseName(frame.module), frame.offset)
                         : BareName(frame.function);
  if (!frame.file.empty()) {
    absl::StrAppend(&text, " at ", BaseName(frame.file));
    if (frame.line > 0) absl::StrAppend(&text, ":", frame.line);
  } else if (!frame.function.empty() && !frame.module.empty()) {
    absl::StrAppend(&text, " in ", BaseName(frame.module));
  }
  return text;
}

void DescribeFinding(Finding& finding, std::string_view call_remedy) {
  const ReportFrame* own = OwnFrame(finding.stack);
  const std::string where = own == nullptr ? "" : DescribeFrame(*own);
  const std::string in = where.empty() ? "" : absl::StrCat(", called from ", where);
  const std::string time = finding.count == 1 || finding.max_seconds == finding.total_seconds
                               ? FormatSeconds(finding.total_seconds)
                               : absl::StrCat(FormatSeconds(finding.max_seconds), " at worst, ",
                                              FormatSeconds(finding.total_seconds), " in all");
  const std::string loop = absl::StrCat("the event loop of ", BaseName(finding.executable),
                                        " (thread ", finding.thread_name, ")");
  if (finding.rule == "blocking-call") {
    const std::string detail = finding.detail.empty() ? "" : absl::StrCat("(", finding.detail, ")");
    finding.message =
        absl::StrCat(finding.call, detail, finding.in_progress ? " has blocked " : " blocked ",
                     loop, " for ", time, InTask(finding), in);
    finding.remedy = std::string(call_remedy);
  } else if (finding.rule == "stall") {
    const std::string verb = finding.in_progress ? " has held " : " held ";
    if (finding.cause == "blocking-call") {
      finding.message = absl::StrCat("one step", InTask(finding), verb, loop, " for ", time,
                                     ", waiting in the kernel", finding.detail.empty() ? "" : " (",
                                     finding.detail, finding.detail.empty() ? "" : ")",
                                     where.empty() ? "" : absl::StrCat(", in ", where));
      finding.remedy =
          "let the loop wait for it: a non-blocking descriptor, a timer, or a worker thread";
    } else if (finding.cause == "page-fault") {
      finding.message =
          absl::StrCat("one step", InTask(finding), verb, loop, " for ", time,
                       ", reading memory back from disk", where.empty() ? "" : ", in ", where);
      finding.remedy = "keep this memory resident, or touch it on a worker thread";
    } else {
      finding.message = absl::StrCat("one step", InTask(finding), verb, loop, " for ", time,
                                     ", computing", where.empty() ? "" : " in ", where);
      finding.remedy =
          "move the computation to a worker thread, or do it in slices and yield to the loop";
    }
  } else {
    finding.message = absl::StrCat("turns of ", loop, " took ", time, ", made of many callbacks, ",
                                   "none of which was seen to hold it by itself");
    finding.remedy =
        "this is load rather than a blocking callback: more threads or processes, or "
        "less work per event";
  }
}

std::string Fingerprint(const Finding& finding) {
  uint64_t hash = 0xcbf29ce484222325ULL;  // FNV-1a
  const auto add = [&hash](std::string_view text) {
    for (const char c : text) {
      hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3ULL;
    }
    hash = (hash ^ 0xff) * 0x100000001b3ULL;
  };
  add(finding.rule);
  add(finding.call);
  add(BaseName(finding.executable));
  int used = 0;
  for (const bool own_code : {true, false}) {
    for (const ReportFrame& frame : finding.stack) {
      if (used == 6) break;
      const FrameOwner owner = OwnerOf(frame);
      const bool own = owner.library.empty() && !owner.starts_thread;
      if (frame.function.empty() || own != own_code) continue;
      add(BareName(frame.function));
      ++used;
    }
    if (used > 0) break;
  }
  // What a stack without its awaiting coroutines would not tell apart.
  for (const SourcePlace& place : finding.async_stack) {
    if (used++ >= 12) break;
    add(BareName(place.function));
  }
  if (!finding.where.file.empty()) {
    add(BaseName(finding.where.file));
    add(BareName(finding.where.function));
  }
  return absl::StrFormat("%016x", hash);
}

std::string LiveFindingLine(const Finding& finding) {
  return absl::StrCat(finding.rule, ": ", BaseName(finding.executable), "[", finding.pid,
                      "]: ", finding.message);
}

std::string LiveStallLine(const Finding& finding, double so_far_seconds) {
  const ReportFrame* own = OwnFrame(finding.stack);
  const std::string where = own == nullptr ? "" : DescribeFrame(*own);
  std::string what =
      finding.rule == "blocking-call"
          ? absl::StrCat("in ", finding.call,
                         finding.detail.empty() ? "" : absl::StrCat("(", finding.detail, ")"))
      : finding.cause == "blocking-call"
          ? absl::StrCat("waiting in the kernel", finding.detail.empty() ? "" : " in ",
                         finding.detail)
          : "computing";
  return absl::StrFormat(
      "stall: %s[%d] thread %s has not come back to its event loop for %s: %s%s%s%s",
      BaseName(finding.executable), finding.pid, finding.thread_name, FormatSeconds(so_far_seconds),
      what, InTask(finding), where.empty() ? "" : ", ", where);
}

}  // namespace loopsan
