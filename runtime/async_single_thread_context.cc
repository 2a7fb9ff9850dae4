#include "runtime/async_single_thread_context.h"

#include "runtime/errors.h"
#include "runtime/internal/bridge_context.h"
#include "runtime/internal/runner.h"
#include "runtime/internal/shared_loop.h"

namespace loopsan {

using internal::CurrentSharedLoop;

AsyncSingleThreadContext::AsyncSingleThreadContext() {
  if (internal::t_runner.loop != nullptr) {
    throw UsageError(
        "AsyncSingleThreadContext is for threads that run no loop: here, co_await what you would "
        "call through AsyncToSync()");
  }
  if (CurrentSharedLoop().Get() != nullptr) return;
  loop_ = std::make_shared<internal::SharedLoop>();
  CurrentSharedLoop().Set(loop_);
}

AsyncSingleThreadContext::~AsyncSingleThreadContext() {
  if (loop_ == nullptr) return;
  CurrentSharedLoop().Set(nullptr);
  loop_->End();
}

}  // namespace loopsan
