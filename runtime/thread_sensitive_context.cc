#include "runtime/thread_sensitive_context.h"

#include <utility>

#include "runtime/future.h"
#include "runtime/internal/bridge_context.h"
#include "runtime/internal/process_threads.h"

namespace loopsan {

using internal::ContextThread;
using internal::CurrentContextThread;

namespace {

// The last who lets go of it may be a thread that must not wait for it: the loop's, or its
// own.
void DeleteElsewhere(Executor* executor) noexcept {
  if (executor->stats().threads == 0) {
    delete executor;
    return;
  }
  try {
    internal::HelperThreads().Submit([executor] { delete executor; });
  } catch (...) {
    // No thread can be had: it stays.
  }
}

}  // namespace

Task<> ThreadSensitiveContext::AsyncEnter() {
  if (CurrentContextThread().Get().executor != nullptr) co_return;
  executor_ = std::shared_ptr<Executor>(MakeThreadPool({.threads = 1, .name = "context"}).release(),
                                        &DeleteElsewhere);
  CurrentContextThread().Set(ContextThread{executor_, internal::ForkGeneration()});
}

Task<> ThreadSensitiveContext::AsyncExit(std::exception_ptr) {
  if (executor_ == nullptr) co_return;
  CurrentContextThread().Set(ContextThread());
  std::shared_ptr<Executor> executor = std::move(executor_);
  if (executor->stats().threads == 0) {
    executor->Shutdown();  // there is nothing to wait for
    co_return;
  }
  // Not a thread of an executor that its functions may need, and not this one.
  Promise<> ended;
  Future<> future = ended.future();
  internal::HelperThreads().Submit([executor = std::move(executor), ended]() mutable {
    executor->Shutdown();
    executor.reset();
    ended.SetValue();
  });
  co_await std::move(future);
}

}  // namespace loopsan
