// The report that people read at the end of `loopsan run`:
//
//   loopsan: 1 finding: the event loop was blocked for 0.300 s in 3.10 s   (verdict)
//
//   F1 error: nanosleep blocked ...                                        (findings, worst first)
//       at debug.c:812 in debugCommand
//       ...
//   Not everything could be seen: ...                                      (only if so)
//
//   SUMMARY: loopsan: blocking-call debug.c:812 in debugCommand            (as sanitizers end)
#include <string.h>

#include <algorithm>
#include <cmath>

#include "reporters/finding_facts.h"
#include "reporters/internal/finding_place.h"
#include "reporters/internal/finding_text.h"
#include "reporters/internal/text_paper.h"
#include "reporters/reporter.h"
#include "reporters/source_excerpt.h"

namespace loopsan {

using namespace text;  // NOLINT: the words of reports for people

namespace {

constexpr size_t kMaxStackLines = 40;
constexpr size_t kMaxUnprovenStackLines = 6;
constexpr size_t kMaxMemberStackLines = 10;

double Positive(double seconds) { return std::isfinite(seconds) && seconds > 0 ? seconds : 0; }

struct Totals {
  size_t loops = 0;  // proven ones
  size_t unproven_loops = 0;
  uint64_t turns = 0;
  double longest_step = 0;
  size_t findings = 0;
  size_t notes = 0;
  size_t in_progress = 0;
  uint64_t suppressed = 0;
  double blocked = 0;
};

Totals AddUp(const Report& report) {
  Totals totals;
  for (const ProcessSummary& process : report.processes) {
    for (const LoopSummary& loop : process.loops) {
      if (!loop.proven) {
        ++totals.unproven_loops;
        continue;
      }
      ++totals.loops;
      totals.turns += loop.turns;
      totals.longest_step = std::max(totals.longest_step, Positive(loop.longest_step_seconds));
    }
  }
  for (const Finding& finding : report.findings) {
    ++(IsNote(finding) ? totals.notes : totals.findings);
    if (IsNote(finding)) continue;
    totals.blocked += TotalBlocked(finding);
    totals.in_progress += finding.in_progress;
  }
  for (const SuppressedFindings& suppressed : report.suppressed) {
    totals.suppressed += suppressed.findings;
  }
  return totals;
}

std::string LoopsText(const Totals& totals) {
  return Concat(Count(totals.loops, "loop"), ", ", Count(totals.turns, "turn"), ", longest step ",
                FormatSeconds(totals.longest_step));
}

void WriteNoLoop(const Report& report, const Totals& totals, Paper& paper) {
  const auto verdict = [&](std::string_view text) {
    paper.Add(paper.Styled(Style::kWarning, Concat("loopsan: ", text, ": this is no clean bill")),
              "\n");
  };
  if (report.processes_started == 0) {
    verdict("the probe was loaded into no process, so nothing was watched");
    paper.Add(
        "  Statically linked and setuid programs do not load it. `ldd PROGRAM` shows whether\n"
        "  PROGRAM is dynamically linked; run a setuid program as the user it changes to.\n");
    return;
  }
  if (totals.unproven_loops > 0) {
    verdict(Concat("no event loop was proven; ",
                   Count(totals.unproven_loops, "thread waits", "threads wait"),
                   " with epoll but may not be ", totals.unproven_loops == 1 ? "a loop" : "loops"));
    paper.Add(
        "  A thread counts as a loop if a known library runs it, after 100 turns, or if it waits\n"
        "  for more than one descriptor.\n");
  } else {
    verdict(Concat("no event loop was seen in ",
                   Count(report.processes_started, "process", "processes")));
    paper.Add(
        "  A loop is seen when one of its threads comes back from epoll_wait, epoll_pwait or\n"
        "  epoll_pwait2; loops on poll, select or io_uring are not seen.\n");
  }
  paper.Add(
      "  Try: let the command run until its loop has waited for events a few times; in CI add\n"
      "  --require-loop, which makes this an error.\n");
}

void WriteVerdict(const Report& report, const Totals& totals, Paper& paper) {
  if (totals.findings == 0 && totals.loops == 0) {
    WriteNoLoop(report, totals, paper);
  } else if (totals.findings == 0) {
    std::string notes;
    if (totals.notes > 0) notes = Concat(" (", Count(totals.notes, "note"), " below)");
    if (totals.suppressed > 0) {
      AppendAll(notes, " (", Count(totals.suppressed, "finding"), " suppressed)");
    }
    paper.Add(
        paper.Styled(Style::kGood, Concat("loopsan: no blocking found in ", LoopsText(totals))),
        notes, "\n");
  } else {
    std::string more;
    if (totals.notes > 0) AppendAll(more, ", ", Count(totals.notes, "note"));
    if (totals.suppressed > 0)
      AppendAll(more, ", ", Count(totals.suppressed, "suppressed", "suppressed"));
    const std::string blocked =
        totals.blocked > 0 ? Concat(totals.loops > 1 ? ": the event loops were blocked for "
                                                     : ": the event loop was blocked for ",
                                    FormatSeconds(totals.blocked))
                           : "";
    paper.Add(
        paper.Styled(Style::kBad, Concat("loopsan: ", Count(totals.findings, "finding"), more,
                                         blocked, " in ", FormatSeconds(report.duration_seconds))),
        "\n");
    paper.Add("  ", LoopsText(totals));
    if (totals.in_progress > 0) {
      paper.Add("; ", totals.in_progress, " had not ended when this report was made");
    }
    paper.Add("\n");
  }
  if (report.exit_signal != 0) {
    const char* name = sigabbrev_np(report.exit_signal);
    paper.Add("  the command was ended by signal ", report.exit_signal);
    if (name != nullptr) paper.Add(" (SIG", name, ")");
    paper.Add("\n");
  }
}

void WriteStackOf(const Finding& finding, size_t max_lines, Paper& paper) {
  // A long turn has no one stack to show, and a library need not give one.
  if (finding.stack.empty() && finding.rule != "long-turn" && !IsOfALibrary(finding)) {
    paper.Add("    no stack could be taken\n");
  }
  WriteStack(finding.stack, "      ", max_lines, paper);
}

// The coroutines that wait for what the stack shows, and where it all began.
void WriteTask(const Finding& finding, size_t max_lines, Paper& paper) {
  size_t number = finding.stack.size();
  size_t lines = 0;
  for (const SourcePlace& place : finding.async_stack) {
    if (lines++ == max_lines) {
      paper.Add(
          paper.Styled(Style::kDim,
                       Concat("      ... ",
                              Count(finding.async_stack.size() - max_lines, "coroutine"), " more")),
          "\n");
      break;
    }
    std::string text = Concat("      #", number++, " ");
    for (const std::string& part : {CoroutineText(place), LineText(place)}) {
      if (!part.empty()) AppendAll(text, part, " ");
    }
    paper.Add(text, "[co_await]\n");
  }
  const TaskReference& task = finding.task;
  const std::string origin = WhereText(task.spawned_at);
  if (!origin.empty()) {
    paper.Add(finding.stack.empty() && finding.async_stack.empty() ? "    " : "      ",
              task.id != 0 || IsOfALibrary(finding) ? "spawned at " : "scheduled at ", origin);
    if (!task.spawner.empty()) paper.Add(" by task \"", Printable(task.spawner), "\"");
    paper.Add("\n");
  }
}

void WriteMembers(const Finding& finding, Paper& paper) {
  if (finding.members.empty()) return;
  paper.Add("    members:\n");
  for (const FindingMember& member : finding.members) {
    const std::string where = WhereText(member.where);
    paper.Add("      ", member.what.empty() ? "someone" : Printable(member.what),
              where.empty() ? "" : " at ", where, "\n");
    WriteStack(member.stack, "        ", kMaxMemberStackLines, paper);
  }
}

// "task \"relay\" (7), ", "task 7, ", or nothing.
std::string TaskText(const TaskReference& task) {
  const std::string id = task.id == 0 ? "" : std::to_string(task.id);
  if (task.name.empty()) return id.empty() ? "" : Concat("task ", id, ", ");
  return Concat("task \"", Printable(task.name), id.empty() ? "\", " : Concat("\" (", id, "), "));
}

std::string CallText(const Finding& finding) {
  std::string text;
  if (!finding.call.empty()) {
    text = Printable(finding.call);
    if (!finding.detail.empty()) AppendAll(text, "(", Printable(finding.detail), ")");
    if (!finding.category.empty()) AppendAll(text, ", ", Printable(finding.category));
  } else {
    text = Concat("cause: ", Printable(finding.cause.empty() ? "unknown" : finding.cause));
    if (!finding.detail.empty()) AppendAll(text, ", ", Printable(finding.detail));
  }
  return text;
}

// What a terminal can show beside the words.
struct Sources {
  const ReporterOptions& options;
  SourceReader reader{};
};

// `text` as a link to the file, for terminals that know the escape sequence OSC 8.
std::string Linked(const Sources& sources, const std::string& file, const std::string& text) {
  if (sources.options.link_host.empty() || !file.starts_with('/')) return text;
  return Concat("\033]8;;file://", sources.options.link_host, PercentEncoded(file), "\033\\", text,
                "\033]8;;\033\\");
}

// "      18 |   sleep(1);" and a caret where that begins.
void WriteSourceLine(Sources& sources, const SourcePlace& place, Paper& paper) {
  if (!sources.options.source_lines || place.line <= 0) return;
  const SourceExcerpt excerpt = sources.reader.Read(place.file, place.line, 0);
  if (excerpt.lines.empty()) return;
  std::string line;
  for (const char c : excerpt.lines[0]) line += c == '\t' ? std::string(4, ' ') : std::string(1, c);
  const size_t begin = line.find_first_not_of(' ');
  if (begin == std::string::npos) return;
  const std::string number = std::to_string(place.line);
  paper.Add("      ", number, " | ", Printable(line), "\n");
  paper.Add("      ", std::string(number.size(), ' '), " | ", std::string(begin, ' '),
            paper.Styled(Style::kBad, "^"), "\n");
}

void WriteFinding(const Finding& finding, size_t max_stack_lines, Sources& sources, Paper& paper) {
  const Style style = finding.level == "error"     ? Style::kBad
                      : finding.level == "warning" ? Style::kWarning
                                                   : Style::kStrong;
  paper.Add("\n",
            paper.Styled(style, Concat(Printable(finding.id), " ", Printable(finding.level), ":")),
            " ", paper.Styled(Style::kStrong, Printable(finding.message)), "\n");
  if (const std::string where = MainPlaceText(finding); !where.empty()) {
    const SourcePlace place = MainPlace(finding);
    paper.Add("    at ", Linked(sources, place.file, where), "\n");
    WriteSourceLine(sources, place, paper);
  }
  paper.Add("    ", IsOfALibrary(finding) ? Printable(finding.rule) : CallText(finding), "; ",
            Count(finding.count, "time"));
  if (!IsOfALibrary(finding) || Positive(finding.total_seconds) > 0) {
    paper.Add(", ", FormatSeconds(finding.total_seconds), " in total, ",
              FormatSeconds(finding.max_seconds), " at worst");
  }
  paper.Add(finding.in_progress ? ", not ended yet" : "", "\n");
  paper.Add("    ", TaskText(finding.task), "thread ", finding.thread_id);
  if (!finding.thread_name.empty()) paper.Add(" ", Printable(finding.thread_name));
  paper.Add(", process ", finding.pid);
  if (!finding.executable.empty()) paper.Add(" ", Printable(finding.executable));
  paper.Add("\n");
  WriteStackOf(finding, max_stack_lines, paper);
  WriteTask(finding, max_stack_lines, paper);
  WriteMembers(finding, paper);
  if (!finding.remedy.empty()) {
    paper.Add("    ", paper.Styled(Style::kGood, "instead:"), " ", Printable(finding.remedy), "\n");
  }
  if (!finding.note.empty()) paper.Add("    note: ", Printable(finding.note), "\n");
}

void WriteUnproven(const Report& report, Sources& sources, Paper& paper) {
  if (report.unproven_findings.empty()) return;
  paper.Add("\n",
            paper.Styled(Style::kStrong,
                         "On threads that wait with epoll but may not be event loops, so perhaps "
                         "no harm:"),
            "\n");
  for (const Finding& finding : report.unproven_findings) {
    WriteFinding(finding, kMaxUnprovenStackLines, sources, paper);
  }
}

// What could not be seen, as sentences. How stacks were taken matters only to
// someone who looks at one.
std::vector<std::string> LimitsOf(const Report& report) {
  std::vector<std::string> limits;
  for (const std::string& warning : report.warnings) limits.push_back(Printable(warning));
  const Dropped& dropped = report.dropped;
  const bool has_stacks =
      !report.findings.empty() || !report.unproven_findings.empty() || dropped.unsure > 0;
  for (const Capability& capability : report.capabilities) {
    if (capability.available || !has_stacks) continue;
    limits.push_back(Concat("not available: ", Printable(capability.name),
                            capability.reason.empty() ? "" : ": ", Printable(capability.reason)));
  }
  const auto lost = [&](uint64_t number, std::string_view one, std::string_view many,
                        std::string_view rest) {
    if (number > 0) limits.push_back(Concat(Count(number, one, many), rest));
  };
  lost(dropped.loops, "loop or process was", "loops or processes were",
       " not watched: there was no room for more");
  lost(dropped.sites, "call", "calls", " from new places were not counted: the table was full");
  lost(dropped.events, "event was", "events were",
       " lost: counts and times are right, a stack may be missing");
  lost(dropped.snapshots, "stack was", "stacks were", " lost: too many long calls at once");
  lost(dropped.outside_loop, "long call or gap was", "long calls or gaps were",
       " not reported: the loop had been left");
  lost(dropped.unsure, "long gap was", "long gaps were",
       " not reported: no single callback could be shown to have caused it");
  return limits;
}

void WriteLimits(const Report& report, Paper& paper) {
  const std::vector<std::string> limits = LimitsOf(report);
  if (limits.empty()) return;
  paper.Add("\n", paper.Styled(Style::kStrong, "Not everything could be seen:"), "\n");
  for (const std::string& limit : limits) paper.Add("  - ", limit, "\n");
}

// Suppressed is not forgotten: what for, and whether the entries are still right.
void WriteSuppressions(const Report& report, Paper& paper) {
  const auto place = [](const auto& entry) {
    return Concat(Printable(entry.file), ":", entry.line);
  };
  if (!report.suppressed.empty() || !report.suppression_remarks.empty()) paper.Add("\n");
  for (const SuppressedFindings& entry : report.suppressed) {
    paper.Add("suppressed: ", Count(entry.findings, "finding"), ", ",
              FormatSeconds(entry.total_seconds), ": ", Printable(entry.reason), " (", place(entry),
              ")\n");
  }
  for (const SuppressionRemark& remark : report.suppression_remarks) {
    const Style style = remark.level == "warning" ? Style::kWarning : Style::kPlain;
    paper.Add(paper.Styled(style, Concat(Printable(remark.level), ":")), " ", place(remark), ": ",
              Printable(remark.message), ": ", Printable(remark.entry), "\n");
  }
}

// IDEs and CI systems know this line from the sanitizers.
void WriteSummary(const Report& report, Paper& paper) {
  const auto worst = std::find_if_not(report.findings.begin(), report.findings.end(), IsNote);
  if (worst == report.findings.end()) return;
  paper.Add("\nSUMMARY: loopsan: ", Printable(worst->rule));
  if (const std::string where = MainPlaceText(*worst); !where.empty()) paper.Add(" ", where);
  paper.Add("\n");
}

}  // namespace

std::string text::FindingText(const Finding& finding) {
  Paper paper(/*color=*/false);
  const ReporterOptions words_only;
  Sources sources{words_only};
  WriteFinding(finding, kMaxStackLines, sources, paper);
  return paper.text().substr(1);  // without the empty line before it
}

std::string text::VerdictText(const Report& report) {
  Paper paper(/*color=*/false);
  WriteVerdict(report, AddUp(report), paper);
  return paper.text();
}

std::vector<std::string> text::LimitsText(const Report& report) { return LimitsOf(report); }

void WriteText(const Report& report, const ReporterOptions& options, std::ostream& out) {
  Paper paper(options.color);
  WriteVerdict(report, AddUp(report), paper);
  Sources sources{options};
  for (const Finding& finding : report.findings) {
    WriteFinding(finding, kMaxStackLines, sources, paper);
  }
  WriteUnproven(report, sources, paper);
  WriteLimits(report, paper);
  WriteSuppressions(report, paper);
  WriteSummary(report, paper);
  // Not operator<<: it obeys the stream's width and locale.
  out.write(paper.text().data(), static_cast<std::streamsize>(paper.text().size()));
}

}  // namespace loopsan
