// The reporters: one file each, listed in one table (reporter.cc).
#pragma once

#include <ostream>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "reporters/report.h"

namespace loopsan {

struct ReporterOptions {
  bool color = false;
  // An absolute path: files below it are named relative to it; empty: as they are.
  std::string source_root;
  // Of the text report: shows the line at which to look first, where its file is there.
  bool source_lines = false;
  // Likewise: this machine's name, if names of files shall be links; empty: they shall not.
  std::string link_host;
};

using ReporterFunction = void (*)(const Report&, const ReporterOptions&, std::ostream&);

struct Reporter {
  std::string_view name;         // "text", "json"
  std::string_view description;  // one line: "what people read on a terminal"
  ReporterFunction write;
};

std::span<const Reporter> Reporters();

// Null if there is none of this name.
const Reporter* FindReporter(std::string_view name);

void WriteText(const Report& report, const ReporterOptions& options,
               std::ostream& out);  // text_reporter.cc
void WriteJson(const Report& report, const ReporterOptions& options,
               std::ostream& out);  // json_reporter.cc
void WriteTrace(const Report& report, const ReporterOptions& options,
                std::ostream& out);  // trace_reporter.cc
void WriteHtml(const Report& report, const ReporterOptions& options,
               std::ostream& out);  // html_reporter.cc
void WriteSarif(const Report& report, const ReporterOptions& options,
                std::ostream& out);  // sarif_reporter.cc
void WriteJunit(const Report& report, const ReporterOptions& options,
                std::ostream& out);  // junit_reporter.cc
void WriteGithub(const Report& report, const ReporterOptions& options,
                 std::ostream& out);  // github_reporter.cc
void WriteGitlab(const Report& report, const ReporterOptions& options,
                 std::ostream& out);  // gitlab_reporter.cc
void WriteMarkdown(const Report& report, const ReporterOptions& options,
                   std::ostream& out);  // markdown_reporter.cc
void WriteFolded(const Report& report, const ReporterOptions& options,
                 std::ostream& out);  // folded_reporter.cc
void WriteSpeedscope(const Report& report, const ReporterOptions& options,
                     std::ostream& out);  // speedscope_reporter.cc

// What every reporter for people needs ------------------------------------

// Who wrote the code of a frame.
struct FrameOwner {
  // Short enough for "... 5 frames of libuv"; empty for the user's own code.
  std::string_view library;
  // Below or above every thread: _start, start_thread, std::thread's plumbing.
  bool starts_thread = false;
};
FrameOwner OwnerOf(const ReportFrame& frame);

// The frame where the user's own code is nearest to what blocked: the first one
// that belongs to no library known to OwnerOf(), else the first of the platform
// (Node.js, CPython, V8), else the first with a name, else the first; null if the
// stack is empty.
const ReportFrame* OwnFrame(const std::vector<ReportFrame>& stack);

// "void app::run<int>(int)" -> "app::run<int>(int)": C++ puts the return type of
// a template in front of its name.
std::string_view WithoutReturnType(std::string_view function);

// A demangled name that fits a line: a long one loses its return type, then what
// is in its brackets, "app::Run<...>(...)".
std::string ShortName(std::string_view function);

// "0.300 s", "12.3 ms", "45 us": three digits, the same in every locale. What is
// no finite time >= 0 is "0 s".
std::string FormatSeconds(double seconds);

// One line of plain text out of untrusted bytes: control characters, invalid
// UTF-8 and characters that reorder or hide text appear as \xNN, \n, \t or \u{N}.
std::string Printable(std::string_view untrusted);

}  // namespace loopsan
