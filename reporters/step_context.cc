#include "reporters/step_context.h"

#include <algorithm>
#include <cstring>
#include <optional>
#include <utility>

#include "instrument/annotate.h"
#include "reporters/internal/program_memory.h"
#include "reporters/symbolizer.h"

namespace loopsan {
namespace {

using segment::TextKind;

constexpr size_t kSpawnersSearched = 256;
constexpr size_t kSharesLimit = 64;
constexpr size_t kAddressLimit = 64;

std::string ReadTaskName(uint64_t first_task, uint64_t id, const ReadMemory& read) {
  uint64_t address = first_task;
  for (size_t i = 0; i < kSpawnersSearched && address != 0; ++i) {
    const auto task = ReadObject<loopsan_task>(address, read);
    if (!task) break;
    if (task->id == id) return ReadText(task->name, read);
    address = Address(task->next);
  }
  return "";
}

uint64_t NumberIn(std::string_view payload, size_t index = 0) {
  uint64_t number = 0;
  if (payload.size() >= (index + 1) * sizeof number) {
    memcpy(&number, payload.data() + index * sizeof number, sizeof number);
  }
  return number;
}

SourcePlace SourceIn(std::string_view payload) {
  SourcePlace place;
  uint32_t line = 0;
  if (payload.size() < sizeof line) return place;
  memcpy(&line, payload.data(), sizeof line);
  payload.remove_prefix(sizeof line);
  const size_t end = std::min(payload.find('\0'), payload.size());
  place.line = static_cast<int>(std::min(line, uint32_t{1} << 30));
  place.file = payload.substr(0, end);
  if (end < payload.size()) {
    place.function = CoroutineName(std::string(payload.substr(end + 1)));
  }
  return place;
}

void TakeField(TextKind kind, std::string_view payload, EventText& text) {
  StepContext& context = text.context;
  switch (kind) {
    case TextKind::kTaskName:
      context.task.name = payload;
      return;
    case TextKind::kSpawnedAt:
      context.task.spawned_at = SourceIn(payload);
      return;
    case TextKind::kSpawner:
      context.spawner_id = NumberIn(payload);
      return;
    case TextKind::kSpawnerName:
      context.task.spawner = payload;
      return;
    case TextKind::kResumer:
      context.resumer = NumberIn(payload);
      return;
    case TextKind::kRunningFrame:
    case TextKind::kWaitingFrame:
      if (context.chain.size() < kChainLimit) {
        context.chain.push_back({.running = kind == TextKind::kRunningFrame});
      }
      return;
    case TextKind::kAwaitingAt:
      if (!context.chain.empty()) context.chain.back().awaiting_at = SourceIn(payload);
      return;
    case TextKind::kDefinedAt:
      if (!context.chain.empty()) context.chain.back().defined_at = SourceIn(payload);
      return;
    case TextKind::kCutChain:
      context.chain_cut = true;
      return;
    case TextKind::kRule:
      text.rule = payload;
      return;
    case TextKind::kMessage:
      text.message = payload;
      return;
    case TextKind::kRemedy:
      text.remedy = payload;
      return;
    case TextKind::kWhere:
      text.where = SourceIn(payload);
      return;
    case TextKind::kSeconds:
      if (payload.size() == sizeof text.seconds) {
        memcpy(&text.seconds, payload.data(), sizeof text.seconds);
      }
      return;
    case TextKind::kReturnAddress:
      if (text.return_addresses.size() < kAddressLimit) {
        text.return_addresses.push_back(NumberIn(payload));
      }
      return;
    case TextKind::kMemberCount:
      text.member_count = NumberIn(payload);
      return;
    case TextKind::kMember:
      if (text.members.size() < LOOPSAN_FINDING_MEMBERS) {
        text.members.push_back({.what = std::string(payload)});
      }
      return;
    case TextKind::kMemberWhere:
      if (!text.members.empty()) text.members.back().where = SourceIn(payload);
      return;
    case TextKind::kMemberAddress:
      if (!text.members.empty() &&
          text.members.back().return_addresses.size() < LOOPSAN_MEMBER_FRAMES) {
        text.members.back().return_addresses.push_back(NumberIn(payload));
      }
      return;
    case TextKind::kShare:
      if (text.shares.size() < kSharesLimit) {
        text.shares.push_back({.ticks = NumberIn(payload),
                               .longest = NumberIn(payload, 1),
                               .steps = NumberIn(payload, 2)});
      }
      return;
    case TextKind::kShareName:
      if (!text.shares.empty()) text.shares.back().task = payload;
      return;
    case TextKind::kShareSite:
      if (!text.shares.empty()) text.shares.back().site = SourceIn(payload);
      return;
  }
}

}  // namespace

EventText ParseEventText(std::string_view text) {
  EventText result;
  while (text.size() >= sizeof(segment::TextField)) {
    segment::TextField field;
    memcpy(&field, text.data(), sizeof field);
    text.remove_prefix(sizeof field);
    if (field.bytes > text.size()) break;
    TakeField(field.kind, text.substr(0, field.bytes), result);
    text.remove_prefix(field.bytes);
  }
  return result;
}

bool IsRuleName(std::string_view rule) {
  return !rule.empty() && rule.size() <= segment::kMaxRuleBytes &&
         std::all_of(rule.begin(), rule.end(), [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
         });
}

StepContext ReadStepContext(const ExactStep& step, const ReadMemory& read) {
  StepContext context;
  context.task.id = step.task_id;
  context.task.spawned_at = ReadSource(step.origin, read);
  const auto loop = ReadObject<loopsan_loop>(step.loop, read);
  const auto task = ReadObject<loopsan_task>(step.task, read);
  // A task that was destroyed in its own step has left other bytes there.
  const bool task_known = task && task->id == step.task_id;
  if (task_known) {
    context.task.name = ReadText(task->name, read);
    context.spawner_id = task->spawner;
    if (loop && task->spawner != 0) {
      context.task.spawner = ReadTaskName(Address(loop->first_task), task->spawner, read);
    }
  }
  const auto root = loop ? ReadObject<loopsan_async_root>(Address(loop->root), read) : std::nullopt;
  if (root && root->top_frame != nullptr) {
    context.resumer = Address(root->stack_frame);
    ReadChain(Address(root->top_frame), read, context);
  } else if (task_known) {
    ReadChain(Address(task->innermost), read, context);
  }
  return context;
}

}  // namespace loopsan
