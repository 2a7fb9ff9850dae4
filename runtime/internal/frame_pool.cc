#include "runtime/internal/frame_pool.h"

#include <new>

namespace loopsan::internal {

constinit thread_local FramePool t_frames{};

namespace {

struct ReturnAtThreadEnd {
  ~ReturnAtThreadEnd() {
    t_frames.alive = false;
    for (FreeFrame*& list : t_frames.free) {
      while (list != nullptr) {
        FreeFrame* const frame = list;
        list = frame->next;
        ::operator delete(frame);
      }
    }
  }
};

}  // namespace

void* NewFrame(size_t bytes) {
#ifndef LOOPSAN_PLAIN_FRAMES
  const size_t index = (bytes - 1) / kFrameClassBytes;
  if (index < kFrameClasses) {
    if (!t_frames.alive) {
      // Frames that objects with thread storage duration free even later than
      // this one go straight back to the heap.
      static thread_local ReturnAtThreadEnd at_end;
      (void)at_end;
      t_frames.alive = true;
    }
    return ::operator new((index + 1) * kFrameClassBytes);
  }
#endif
  return ::operator new(bytes);
}

void DeleteFrame(void* frame, size_t) noexcept { ::operator delete(frame); }

}  // namespace loopsan::internal
