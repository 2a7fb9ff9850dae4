// Return addresses of this thread's stack, found by frame pointers.
//
// Code without frame pointers leaves anything in the register: only what lies further up the
// stack is followed, and the walk ends early.
#pragma once

#include <cstddef>
#include <cstdint>

namespace loopsan::internal {

inline constexpr size_t kWalkedFrames = 10;

// The end (highest address) of this thread's stack; 0 if nobody knows.
uintptr_t StackEnd() noexcept;

// From `frame` on, at most `room` addresses, innermost first. `end`: no frame lies behind it.
#if defined(__has_feature)
#if __has_feature(address_sanitizer)
__attribute__((no_sanitize("address")))
#endif
#endif
inline uint32_t
WalkFrames(uintptr_t frame, uintptr_t end, void** addresses, uint32_t room) noexcept {
  const uintptr_t last = end - 2 * sizeof(uintptr_t);
  void** to = addresses;
  void** const full = addresses + room;
  for (;;) {
    const auto* const words = reinterpret_cast<const uintptr_t*>(frame);
    const uintptr_t next = words[0];
    if (words[1] < 4096) break;
    *to++ = reinterpret_cast<void*>(words[1]);
    if (next <= frame || next > last || next % 8 != 0 || to == full) break;
    frame = next;
  }
  return static_cast<uint32_t>(to - addresses);
}

// Of the caller.
[[gnu::noinline]] size_t WalkStack(void** addresses, size_t room) noexcept;

}  // namespace loopsan::internal
