#include "runtime/internal/findings.h"

#include <stdio.h>
#include <string.h>

#include <bit>
#include <map>
#include <mutex>
#include <tuple>
#include <utility>

#include "runtime/findings.h"
#include "runtime/internal/annotations.h"
#include "runtime/internal/printable.h"
#include "runtime/internal/task_state.h"
#include "runtime/internal/task_tree.h"

namespace loopsan {

namespace {

struct Sink {
  std::mutex mutex;
  FindingHandler handler;
  // By rule and place, or what it says if it has none.
  std::map<std::tuple<std::string, std::string, uint32_t>, uint64_t> told;
};

// Messages are unlimited in number: from here on, those without a place count as one.
constexpr size_t kMostTold = 10'000;

// Never destroyed: findings come from destructors of static objects, too.
Sink& TheSink() {
  static Sink& sink = *new Sink;
  return sink;
}

// At 1, 10, 100, ...
bool IsToldAgain(uint64_t count) {
  while (count % 10 == 0) count /= 10;
  return count == 1;
}

void Print(const RuntimeFinding& finding, uint64_t count) {
  using internal::Printable;
  std::string text = "loopsan: " + finding.rule + ": " + Printable(finding.message);
  if (count > 1) text += " (" + std::to_string(count) + " times so far)";
  text += '\n';
  const auto place = [](const auto& at) {
    return "at " + Printable(at.file) + ":" + std::to_string(at.line) +
           (at.function.empty() ? "" : " in " + Printable(at.function));
  };
  if (finding.line != 0) text += "    " + place(finding) + "\n";
  for (const RuntimeFindingMember& member : finding.members) {
    text +=
        "    - " + Printable(member.what) + (member.line != 0 ? ", " + place(member) : "") + "\n";
  }
  if (!finding.task.empty()) {
    text += "    task '" + Printable(finding.task) + "'";
    if (finding.spawned_line != 0) {
      text += ", spawned at " + Printable(finding.spawned_file) + ":" +
              std::to_string(finding.spawned_line);
    }
    text += "\n";
  }
  text += "    instead: " + Printable(finding.remedy) + "\n";
  fwrite(text.data(), 1, text.size(), stderr);
}

}  // namespace

FindingHandler SetFindingHandler(FindingHandler handler) {
  Sink& sink = TheSink();
  const std::lock_guard lock(sink.mutex);
  return std::exchange(sink.handler, std::move(handler));
}

namespace internal {

namespace {

struct RuleText {
  const char* id;
  const char* remedy;
};
constexpr RuleText kRules[] = {
#define LOOPSAN_RULE(constant, id, remedy) {id, remedy},
#include "runtime/findings.inc"
#undef LOOPSAN_RULE
};

RuntimeFinding Make(const Found& found) {
  RuntimeFinding made;
  const RuleText& rule = kRules[static_cast<size_t>(found.rule)];
  made.rule = rule.id;
  made.remedy = found.remedy != nullptr ? found.remedy : rule.remedy;
  made.message = found.message;
  if (found.where != nullptr) {
    made.file = found.where->file;
    made.line = found.where->line;
    made.function = FunctionOf(found.where);
  }
  if (found.task != nullptr) {
    made.task = found.task->DisplayName();
    if (found.task->info.spawned_at != nullptr) {
      made.spawned_file = found.task->info.spawned_at->file;
      made.spawned_line = found.task->info.spawned_at->line;
    }
  }
  made.seconds = found.seconds;
  made.stack.assign(found.stack, found.stack + found.stack_frames);
  for (const FoundMember& member : found.members) {
    RuntimeFindingMember& told = made.members.emplace_back();
    told.what = member.what;
    told.stack = member.stack;
    if (member.where == nullptr) continue;
    told.file = member.where->file;
    told.line = member.where->line;
    told.function = FunctionOf(member.where);
  }
  return made;
}

bool TellCollector(const Found& found, const RuntimeFinding& made) {
  const loopsan_annotations* annotations = Annotations();
  if (annotations == nullptr) return false;
  loopsan_finding told{};
  told.bytes = sizeof told;
  told.stack_frames = static_cast<uint32_t>(found.stack_frames);
  told.rule = made.rule.c_str();
  told.message = made.message.c_str();
  told.remedy = made.remedy.c_str();
  told.task = made.task.empty() ? nullptr : made.task.c_str();
  told.where = found.where;
  told.spawned_at = found.task != nullptr ? found.task->info.spawned_at : nullptr;
  told.stack = found.stack;
  told.seconds = found.seconds;
  std::vector<loopsan_member> members;
  for (const FoundMember& member : found.members) {
    members.push_back({.what = member.what.c_str(),
                       .where = member.where,
                       .stack = member.stack.data(),
                       .stack_frames = static_cast<uint32_t>(member.stack.size()),
                       .reserved = 0});
  }
  told.members = members.data();
  told.member_count = static_cast<uint32_t>(members.size());
  return annotations->finding(&told) != 0;
}

}  // namespace

void Report(const Found& found) noexcept try {
  const RuntimeFinding made = Make(found);
  Sink& sink = TheSink();
  FindingHandler handler;
  {
    const std::lock_guard lock(sink.mutex);
    handler = sink.handler;
  }
  if (handler) {
    handler(made);
    return;
  }
  if (TellCollector(found, made)) return;
  uint64_t count = 0;
  {
    const std::lock_guard lock(sink.mutex);
    const bool by_message = made.line == 0 && sink.told.size() < kMostTold;
    count = ++sink.told[{made.rule, by_message ? made.message : made.file, made.line}];
  }
  if (IsToldAgain(count)) Print(made, count);
} catch (...) {
  // Out of memory, or a handler that throws: the program goes on.
}

std::string WithArticle(const char* what) {
  for (const char* bare : {"its ", "several ", "something ", "the "}) {
    if (strncmp(what, bare, strlen(bare)) == 0) return what;
  }
  return (strchr("aeiou", what[0]) != nullptr ? "an " : "a ") + std::string(what);
}

std::string FileAndLine(Site site) {
  if (site == nullptr) return "an unknown place";
  return std::string(site->file) + ":" + std::to_string(site->line);
}

std::string FunctionOf(Site site) {
  size_t start = 0;
  const size_t bytes = ReadableFunction(site->function, start);
  return std::string(site->function + start, bytes);
}

std::string Describe(Site site) {
  if (site == nullptr) return "an unknown place";
  return FunctionOf(site) + " at " + FileAndLine(site);
}

}  // namespace internal
}  // namespace loopsan
