#include "runtime/internal/stack_walk.h"

#include <pthread.h>

namespace loopsan::internal {

uintptr_t StackEnd() noexcept {
  pthread_attr_t attributes;
  if (pthread_getattr_np(pthread_self(), &attributes) != 0) return 0;
  void* low = nullptr;
  size_t bytes = 0;
  pthread_attr_getstack(&attributes, &low, &bytes);
  pthread_attr_destroy(&attributes);
  return reinterpret_cast<uintptr_t>(low) + bytes;
}

size_t WalkStack(void** addresses, size_t room) noexcept {
  const uintptr_t end = StackEnd();
  if (end == 0 || room == 0) return 0;
  return WalkFrames(reinterpret_cast<uintptr_t>(__builtin_frame_address(0)), end, addresses,
                    static_cast<uint32_t>(room));
}

}  // namespace loopsan::internal
