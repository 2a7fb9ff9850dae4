#include "instrument/preload/queues.h"

#include <errno.h>
#include <string.h>

#include "instrument/preload/probe.h"

namespace loopsan::probe {

namespace {

constexpr auto kRelaxed = std::memory_order_relaxed;

enum : uint32_t { kFree = 0, kBeingNamed = 1, kComplete = 2 };

// Null: there is no room, or another thread is about to name it (that one's first job counts).
segment::Queue* FindQueue(segment::Slot& slot, const char* name) {
  const size_t bytes = strnlen(name, segment::kQueueNameBytes - 1);
  for (segment::Queue& queue : slot.queues) {
    uint32_t state = queue.state.load(std::memory_order_acquire);
    if (state == kFree) {
      if (!queue.state.compare_exchange_strong(state, kBeingNamed, std::memory_order_acquire)) {
        if (state != kComplete) return nullptr;
      } else {
        memcpy(queue.name, name, bytes);
        queue.name[bytes] = '\0';
        // Release: who sees it complete sees its name.
        queue.state.store(kComplete, std::memory_order_release);
        return &queue;
      }
    }
    if (state == kBeingNamed) return nullptr;
    if (strncmp(queue.name, name, bytes) == 0 && queue.name[bytes] == '\0') return &queue;
  }
  return nullptr;
}

}  // namespace

void CountQueueDelay(const char* queue, uint64_t nanoseconds) {
  if (queue == nullptr || g_process.arena == nullptr ||
      g_process.generation_page->load(kRelaxed) == 0) {
    return;  // not watched, or a forked child that has not run a loop yet
  }
  segment::Slot* const slot = CurrentSlot();
  segment::Queue* const found = slot != nullptr ? FindQueue(*slot, queue) : nullptr;
  if (found == nullptr) return;
  const auto ticks = static_cast<uint64_t>(static_cast<double>(nanoseconds) * 1e-9 *
                                           static_cast<double>(g_process.arena->ticks_per_second));
  found->delays.ticks.fetch_add(ticks, kRelaxed);
  found->delays.counts[segment::BucketOf(*g_process.arena, ticks)].fetch_add(1, kRelaxed);
}

}  // namespace loopsan::probe
