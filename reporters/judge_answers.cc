// What a process asks about itself: which findings are new since it last asked.
#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/strings/str_cat.h"
#include "reporters/finding_facts.h"
#include "reporters/internal/judge_private.h"
#include "reporters/reporter.h"
#include "reporters/wording.h"

namespace loopsan {

using namespace judging;  // NOLINT: the judge's own words

namespace {

// As in loopsan_annotations::take_findings(); the message is one line.
std::string Line(const Finding& finding) {
  const double nanoseconds = std::clamp(finding.total_seconds * 1e9, 0.0, 1e18);
  return absl::StrCat(static_cast<uint64_t>(nanoseconds), "\t", finding.rule, "\t",
                      Printable(finding.message), "\n");
}

}  // namespace

// Nobody's test fails for a note, for what is suppressed, or for a thread that may be no loop.
bool Judge::Private::IsForTests(const Process& process, const FindingEntry& entry) const {
  if (IsNote(entry.finding)) return false;
  if (actions_.is_suppressed && actions_.is_suppressed(entry.finding)) return false;
  return std::any_of(entry.loops.begin(), entry.loops.end(), [&](const auto& key) {
    if (key.first != process.key) return false;
    if (key.second == kNoIndex) return true;  // a library's finding
    const auto loop = process.loops.find(key.second);
    return loop != process.loops.end() ? LoopIsProven(loop->second) : !unproven_.contains(key);
  });
}

void Judge::Private::Handle(const FindingsAsked& asked) {
  Process* process = Find(asked.process);
  if (process == nullptr || !actions_.answer) return;
  for (const FindingsAsked::Progress& progress : asked.loops) {
    const auto loop = process->loops.find(progress.cell);
    if (loop != process->loops.end()) {
      FlushClosed(*process, progress.cell, loop->second, progress.closed_turns);
    }
  }
  uint32_t count = 0;
  std::string lines;
  for (auto& [key, entry] : findings_) {
    const auto untaken = entry.untaken.find(process->key);
    if (untaken == entry.untaken.end()) continue;
    if (!IsForTests(*process, entry)) {
      // Nor will it be told later: a test that is innocent may prove the loop.
      entry.untaken.erase(untaken);
      continue;
    }
    Finding finding = entry.finding;
    finding.count = untaken->second.count;
    finding.total_seconds = untaken->second.seconds;
    finding.max_seconds = untaken->second.worst;
    entry.untaken.erase(untaken);
    if (!entry.worded) DescribeFinding(finding, entry.remedy);
    lines += Line(finding);
    ++count;
  }
  actions_.answer(process->slot, asked.question, count, lines);
}

}  // namespace loopsan
