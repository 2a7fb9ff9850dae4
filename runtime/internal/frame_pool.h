// Memory for coroutine frames and other small objects of the step path: free
// lists by size class, one set per thread.
//
// Threads: any. Memory that another thread frees goes to that thread's lists; a
// thread returns its lists when it ends. Under AddressSanitizer, and above the
// largest class, this is plain operator new.
#pragma once

#include <cstddef>

#if defined(__SANITIZE_ADDRESS__)
#define LOOPSAN_PLAIN_FRAMES 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(memory_sanitizer)
#define LOOPSAN_PLAIN_FRAMES 1
#endif
#endif

namespace loopsan::internal {

inline constexpr size_t kFrameClassBytes = 32;
inline constexpr size_t kFrameClasses = 64;  // up to 2 KiB

struct FreeFrame {
  FreeFrame* next;
};

struct FramePool {
  FreeFrame* free[kFrameClasses];
  bool alive;  // the thread's lists will be returned at its end
};

extern constinit thread_local FramePool t_frames;

[[gnu::noinline]] void* NewFrame(size_t bytes);  // the list is empty, or there is none
[[gnu::noinline]] void DeleteFrame(void* frame, size_t bytes) noexcept;

inline void* AllocateFrame(size_t bytes) {
#ifndef LOOPSAN_PLAIN_FRAMES
  const size_t index = (bytes - 1) / kFrameClassBytes;
  if (index < kFrameClasses) [[likely]] {
    if (FreeFrame* frame = t_frames.free[index]; frame != nullptr) [[likely]] {
      t_frames.free[index] = frame->next;
      return frame;
    }
  }
#endif
  return NewFrame(bytes);
}

inline void FreeFrameMemory(void* memory, size_t bytes) noexcept {
#ifndef LOOPSAN_PLAIN_FRAMES
  const size_t index = (bytes - 1) / kFrameClassBytes;
  if (index < kFrameClasses && t_frames.alive) [[likely]] {
    auto* frame = static_cast<FreeFrame*>(memory);
    frame->next = t_frames.free[index];
    t_frames.free[index] = frame;
    return;
  }
#endif
  DeleteFrame(memory, bytes);
}

// Base of classes that live in such memory.
struct Pooled {
  static void* operator new(size_t bytes) { return AllocateFrame(bytes); }
  static void operator delete(void* memory, size_t bytes) noexcept {
    FreeFrameMemory(memory, bytes);
  }
};

}  // namespace loopsan::internal
