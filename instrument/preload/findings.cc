// Findings of libraries, by loopsan_annotations::finding: copied as text at once.
#include "instrument/preload/findings.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "instrument/preload/probe.h"
#include "instrument/preload/text_writer.h"

namespace loopsan::probe {

using segment::Event;
using segment::EventKind;
using segment::Slot;
using segment::TextKind;

namespace {

constexpr auto kRelaxed = std::memory_order_relaxed;
constexpr uint32_t kReturnAddresses = 64;

// What callers know that were built against older headers.
constexpr uint32_t kWithoutMembers = offsetof(loopsan_finding, members);
constexpr uint32_t kWithMembers = sizeof(loopsan_finding);
static_assert(kWithoutMembers == 72 && kWithMembers == 88);

bool IsRule(const char* rule) {
  const Words words = Measure(rule, segment::kTextLimit);
  for (uint32_t i = 0; i < words.bytes; ++i) {
    const char c = rule[i];
    if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-')) {
      return false;
    }
  }
  return words.bytes > 0 && words.bytes <= segment::kMaxRuleBytes;
}

void AddStack(TextWriter& text, TextKind kind, void* const* stack, uint32_t frames,
              uint32_t limit) {
  for (uint32_t i = 0; stack != nullptr && i < frames && i < limit; ++i) {
    text.AddNumber(kind, reinterpret_cast<uint64_t>(stack[i]));
  }
}

void AddMembers(TextWriter& text, const loopsan_finding& finding) {
  if (finding.members == nullptr || finding.member_count == 0) {
    return;
  }
  text.AddNumber(TextKind::kMemberCount, finding.member_count);
  for (uint32_t i = 0; i < finding.member_count && i < LOOPSAN_FINDING_MEMBERS; ++i) {
    const loopsan_member& member = finding.members[i];
    const Words what = Measure(member.what, segment::kTextLimit);
    if (!text.Add(TextKind::kMember, what.text, what.bytes)) {
      return;  // what would follow would be taken for the last one's
    }
    text.AddSource(TextKind::kMemberWhere, member.where);
    AddStack(text, TextKind::kMemberAddress, member.stack, member.stack_frames,
             LOOPSAN_MEMBER_FRAMES);
  }
}

bool RecordFinding(Slot& slot, const ThreadState* thread, const loopsan_finding& finding) {
  uint64_t number = 0;
  Event* event = ReserveEvent(slot, number);
  if (event == nullptr) {
    return false;
  }
  FillCommon(*event, thread, EventKind::kFinding);
  event->start = event->end = Now();
  event->args[0] = ThreadId();
  const bool written = WriteText(slot, *event, [&](TextWriter& text) {
    text.AddText(TextKind::kRule, finding.rule);
    text.AddText(TextKind::kMessage, finding.message);
    text.AddText(TextKind::kRemedy, finding.remedy);
    text.AddText(TextKind::kTaskName, finding.task);
    text.AddSource(TextKind::kWhere, finding.where);
    text.AddSource(TextKind::kSpawnedAt, finding.spawned_at);
    text.Add(TextKind::kSeconds, &finding.seconds, sizeof finding.seconds);
    AddStack(text, TextKind::kReturnAddress, finding.stack, finding.stack_frames, kReturnAddresses);
    if (finding.bytes >= kWithMembers) {
      AddMembers(text, finding);
    }
  });
  // An event without text is passed over by the reader.
  Publish(*event, number);
  return written;
}

}  // namespace

int ReportFinding(const loopsan_finding* finding) {
  if (finding == nullptr || finding->bytes < kWithoutMembers || !IsRule(finding->rule) ||
      finding->message == nullptr) {
    return 0;
  }
  const int saved_errno = errno;
  bool reported = false;
  if (ConnectPatiently()) {
    const ThreadState* thread = LoopThread();
    if (g_process.generation_page->load(kRelaxed) == 0) {
      ForgetForkedState(t_state);
    }
    if (g_process.arena != nullptr && g_process.arena->closed.load(kRelaxed) == 0) {
      Slot* const slot = ClaimSlot();
      reported = slot != nullptr && RecordFinding(*slot, thread, *finding);
    }
  }
  errno = saved_errno;
  return reported ? 1 : 0;
}

namespace {

// The slot of a process that is watched now; null if nothing was worth watching yet, or
// nobody listens.
Slot* SlotOfThisProcess() {
  if (g_process.arena == nullptr || g_process.arena->closed.load(kRelaxed) != 0) {
    return nullptr;
  }
  if (g_process.generation_page->load(kRelaxed) == 0) {
    ForgetForkedState(t_state);
  }
  return g_process.slot.load(std::memory_order_acquire);
}

bool IsAnswered(const segment::SlotHeader& header, uint32_t question, uint32_t milliseconds) {
  const uint64_t deadline = MonotonicNanoseconds() + milliseconds * uint64_t{1'000'000};
  while (header.answered.load(std::memory_order_acquire) != question) {
    if (MonotonicNanoseconds() >= deadline || g_process.arena->closed.load(kRelaxed) != 0) {
      return false;
    }
    const timespec millisecond{0, 1'000'000};
    syscall(SYS_clock_nanosleep, CLOCK_MONOTONIC, 0, &millisecond, nullptr);
  }
  return true;
}

int Ask(segment::SlotHeader& header, uint32_t milliseconds, char* text, uint32_t bytes) {
  const uint32_t question = header.question.load(kRelaxed) + 1;
  // Release: what this process has recorded comes before.
  header.question.store(question, std::memory_order_release);
  if (!IsAnswered(header, question, milliseconds)) {
    return -1;
  }
  if (bytes > 0) {
    uint32_t copied =
        header.answer_bytes < segment::kAnswerBytes ? header.answer_bytes : segment::kAnswerBytes;
    if (copied >= bytes) {
      copied = bytes - 1;
    }
    memcpy(text, header.answer, copied);
    text[copied] = '\0';
  }
  return static_cast<int>(header.answer_findings);
}

}  // namespace

int TakeFindings(uint32_t milliseconds, char* text, uint32_t bytes) {
  static constinit std::atomic<uint32_t> g_asking{0};
  if (bytes > 0) {
    text[0] = '\0';
  }
  const int saved_errno = errno;
  int found = -1;
  if (g_process.arena != nullptr || g_process.plain) {
    Slot* const slot = SlotOfThisProcess();
    if (slot == nullptr) {
      // No loop has run; or one has, and there was no room for this process.
      const bool refused = g_process.arena != nullptr && t_state.claim_attempts > 0;
      found = refused ? -1 : 0;
    } else if (g_asking.exchange(1, std::memory_order_acq_rel) == 0) {
      found = Ask(slot->header, milliseconds, text, bytes);
      g_asking.store(0, std::memory_order_release);
    }
  }
  errno = saved_errno;
  return found;
}

}  // namespace loopsan::probe
