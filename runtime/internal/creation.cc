// Who created a coroutine: found by walking frame pointers, kept in a ring of the
// thread, so that a coroutine carries only a ticket.
#include <array>
#include <new>
#include <utility>

#include "runtime/internal/annotations.h"
#include "runtime/internal/findings.h"
#include "runtime/internal/promise.h"
#include "runtime/internal/stack_walk.h"

namespace loopsan::internal {

namespace {

constexpr size_t kDepth = kWalkedFrames;
constexpr uint32_t kRing = 128;  // stays in the first-level cache

struct Creation {
  uint32_t ticket;
  uint32_t frames;
  void* addresses[kDepth];
};

}  // namespace

struct Creations {
  uint32_t last_ticket = 0;
  uintptr_t stack_end = 0;
  std::array<Creation, kRing> ring{};
};

void PrepareCreations() noexcept {
  if (t_runner.creations != nullptr) return;
  struct Owner {
    ~Owner() { delete std::exchange(t_runner.creations, nullptr); }
  };
  static thread_local Owner owner;
  (void)owner;
  t_runner.creations = new (std::nothrow) Creations;
  if (t_runner.creations != nullptr) t_runner.creations->stack_end = StackEnd();
}

// Each coroutine pays for this in debug mode: no call, no register saved.
#if defined(__has_feature)
#if __has_feature(address_sanitizer)
__attribute__((no_sanitize("address")))
#endif
#endif
uint32_t
RecordCreation() noexcept {
  const Runner& runner = t_runner;
  Creations* const creations = runner.creations;
  if (creations == nullptr) [[unlikely]] {
    return 0;  // there was no memory for it
  }
  // After 2^32 coroutines one gets the ticket that says nothing.
  const uint32_t ticket = ++creations->last_ticket;
  Creation& creation = creations->ring[ticket % kRing];
  creation.ticket = ticket;
  // To the bottom of the step: behind it there is only the loop.
  const uintptr_t end = runner.root != nullptr
                            ? reinterpret_cast<uintptr_t>(runner.root->stack_frame)
                            : creations->stack_end;
  creation.frames = WalkFrames(reinterpret_cast<uintptr_t>(__builtin_frame_address(0)), end,
                               creation.addresses, kDepth);
  return ticket;
}

size_t CreationStack(uint32_t ticket, void** addresses, size_t room) noexcept {
  if (ticket == 0 || t_runner.creations == nullptr) return 0;
  const Creation& creation = t_runner.creations->ring[ticket % kRing];
  if (creation.ticket != ticket) return 0;
  const size_t frames = creation.frames < room ? creation.frames : room;
  for (size_t i = 0; i < frames; ++i) addresses[i] = creation.addresses[i];
  return frames;
}

void ReportOversizedFrame(Site defined_at, size_t bytes) noexcept try {
  Found found{.rule = Rule::kOversizedFrame, .message = {}};
  found.where = defined_at;
  found.task = t_runner.task;
  found.message = "the frame of coroutine " + FunctionOf(defined_at) + " takes " +
                  std::to_string(bytes) + " bytes";
  Report(found);
} catch (...) {
}

void ReportNeverAwaited(Site defined_at, uint32_t creation) noexcept try {
  if (!t_runner.debug && !DebugIsDefault()) return;
  Found found{.rule = Rule::kNeverAwaited, .message = {}};
  const loopsan_async_frame* const running =
      t_runner.root != nullptr ? t_runner.root->top_frame : nullptr;
  const std::string function = FunctionOf(defined_at);
  // A coroutine of ours is defined where nobody can mend anything: who dropped it can.
  const bool ours = function.find("loopsan::internal::") != std::string::npos;
  found.where = defined_at;
  if (ours && running != nullptr) {
    found.where = running->awaiting_at != nullptr ? running->awaiting_at : running->defined_at;
  }
  found.task = t_runner.task;
  void* stack[kDepth];
  found.stack = stack;
  found.stack_frames = CreationStack(creation, stack, kDepth);
  found.message = function.find("loopsan::internal::CallOnThread") != std::string::npos
                      ? "a call through SyncToAsync() was never awaited: its function did not run"
                      : "coroutine " + function + " was never awaited: none of it ran";
  if (running != nullptr) {
    found.message += "; it was destroyed in " + FunctionOf(running->defined_at);
    if (running->awaiting_at != nullptr) {
      found.message += ", after the co_await at " + FileAndLine(running->awaiting_at);
    }
  }
  Report(found);
} catch (...) {
}

}  // namespace loopsan::internal
