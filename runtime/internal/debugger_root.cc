#include "runtime/internal/debugger_root.h"

#include <pthread.h>

#include <mutex>

// The name and the initial value are folly's. Weak: in a program that links folly,
// too, there is one key for both.
extern "C" {
[[gnu::weak, gnu::visibility("default")]] pthread_key_t folly_async_stack_root_tls_key =
    0xFFFF'FFFFU;
}

namespace loopsan::internal {

namespace {

constexpr pthread_key_t kNoKey = 0xFFFF'FFFFU;

pthread_key_t Key() noexcept {
  static std::once_flag made;
  std::call_once(made, [] {
    pthread_key_t key = kNoKey;
    if (folly_async_stack_root_tls_key == kNoKey && pthread_key_create(&key, nullptr) == 0) {
      folly_async_stack_root_tls_key = key;
    }
  });
  return folly_async_stack_root_tls_key;
}

}  // namespace

DebuggerRoot::DebuggerRoot(loopsan_async_root** root) noexcept {
  if (Key() == kNoKey) return;  // the process has used up its keys
  before_ = pthread_getspecific(Key());
  pthread_setspecific(Key(), static_cast<void*>(root));
}

DebuggerRoot::~DebuggerRoot() {
  if (Key() != kNoKey) pthread_setspecific(Key(), before_);
}

}  // namespace loopsan::internal
