#include "reporters/internal/lost_time.h"

#include <algorithm>
#include <cmath>
#include <ranges>

#include "reporters/internal/finding_text.h"
#include "reporters/internal/text_paper.h"
#include "reporters/reporter.h"

namespace loopsan {

using namespace text;  // NOLINT: the words of reports for people

namespace {

constexpr size_t kMaxFrames = 500;
constexpr size_t kMaxNameBytes = 160;
constexpr double kMaxMicroseconds = 1e15;  // JavaScript counts that far

uint64_t Microseconds(double seconds) {
  const double rounded = std::ceil(seconds * 1e6 - 0.5);
  if (!std::isfinite(rounded) || seconds <= 0) return 0;
  return static_cast<uint64_t>(std::clamp(rounded, 1.0, kMaxMicroseconds));
}

// Without an offset: flame graphs add up frames of the same name.
std::string NameOf(const ReportFrame& frame) {
  if (!frame.function.empty()) return FunctionText(frame.function);
  if (frame.module.empty()) return "[unknown]";
  if (frame.module.starts_with('[')) return Printable(Clipped(frame.module, kMaxNameBytes));
  return Concat("[", Printable(Clipped(BaseName(frame.module), kMaxNameBytes)), "]");
}

std::string NameOf(const SourcePlace& place) {
  const std::string name =
      place.function.empty() ? Printable(Clipped(place.file, kMaxNameBytes)) : CoroutineText(place);
  return Concat("[co_await] ", name.empty() ? "[unknown]" : name);
}

// The called function of the C library, unless the stack shows it under this or
// a longer name: clock_nanosleep for nanosleep.
void AddCall(const Finding& finding, std::vector<FlameFrame>& frames) {
  if (finding.call.empty()) return;
  if (!finding.stack.empty() &&
      finding.stack.front().function.find(finding.call) != std::string::npos &&
      !OwnerOf(finding.stack.front()).library.empty()) {
    return;
  }
  frames.push_back({.name = FunctionText(finding.call)});
}

std::vector<FlameFrame> FramesOf(const Finding& finding) {
  std::vector<FlameFrame> frames;
  for (const SourcePlace& place : finding.async_stack | std::views::reverse) {
    frames.push_back({.name = NameOf(place), .file = place.file, .line = place.line});
  }
  auto outermost = finding.stack.rbegin();
  while (outermost != finding.stack.rend() && OwnerOf(*outermost).starts_thread) ++outermost;
  for (const ReportFrame& frame : std::ranges::subrange(outermost, finding.stack.rend())) {
    if (OwnerOf(frame).library == "loopsan") continue;
    frames.push_back({.name = NameOf(frame), .file = frame.file, .line = frame.line});
  }
  AddCall(finding, frames);
  if (frames.empty()) frames.push_back({.name = "[no stack]"});
  if (frames.size() > kMaxFrames) {
    frames.erase(frames.begin(), frames.end() - kMaxFrames);
    frames.front() = {.name = "[more frames]"};
  }
  return frames;
}

std::string NameOrId(std::string_view name, std::string_view kind, int64_t id) {
  return name.empty() ? Concat(kind, " ", id) : Printable(Clipped(name, kMaxNameBytes));
}

}  // namespace

std::vector<LostTime> LostTimes(const Report& report) {
  std::vector<LostTime> times;
  for (const Finding& finding : report.findings) {
    const uint64_t microseconds = Microseconds(finding.total_seconds);
    if (microseconds == 0 || IsNote(finding) || IsOfALibrary(finding)) continue;
    times.push_back({.process = NameOrId(BaseName(finding.executable), "process", finding.pid),
                     .thread = NameOrId(finding.thread_name, "thread", finding.thread_id),
                     .pid = finding.pid,
                     .thread_id = finding.thread_id,
                     .microseconds = microseconds,
                     .frames = FramesOf(finding)});
  }
  return times;
}

}  // namespace loopsan
