// Folded stacks, a line for each finding:
//
//   server;io;main;app::Serve(int);nanosleep 25300
//
// process, thread, frames from the outermost to the innermost, and microseconds.
// flamegraph.pl, inferno and speedscope read it.
#include <algorithm>

#include "reporters/internal/lost_time.h"
#include "reporters/internal/text_paper.h"
#include "reporters/reporter.h"

namespace loopsan {
namespace {

// A semicolon ends a frame.
std::string Folded(std::string name) {
  std::replace(name.begin(), name.end(), ';', ':');
  return name;
}

}  // namespace

void WriteFolded(const Report& report, const ReporterOptions& /*options*/, std::ostream& out) {
  std::string text;
  for (const LostTime& time : LostTimes(report)) {
    text::AppendAll(text, Folded(time.process), ";", Folded(time.thread));
    for (const FlameFrame& frame : time.frames) text::AppendAll(text, ";", Folded(frame.name));
    text::AppendAll(text, " ", time.microseconds, "\n");
  }
  out.write(text.data(), static_cast<std::streamsize>(text.size()));
}

}  // namespace loopsan
