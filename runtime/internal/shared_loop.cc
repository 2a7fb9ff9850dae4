#include "runtime/internal/shared_loop.h"

#include "runtime/internal/bridge_context.h"
#include "runtime/internal/process_threads.h"
#include "runtime/internal/waiting_thread.h"
#include "runtime/run.h"

namespace loopsan::internal {

namespace {

Task<> WaitFor(Promise<> stop) {
  Future<> future = stop.future();
  co_await std::move(future);
}

}  // namespace

SharedLoop::SharedLoop() : generation_(ForkGeneration()) {}

std::optional<LoopHandle> SharedLoop::Handle() {
  if (generation_ != ForkGeneration()) return std::nullopt;
  const std::lock_guard lock(mutex_);
  if (ended_) return std::nullopt;
  if (!handle_) {
    std::promise<LoopHandle> started;
    HelperThreads().Submit([self = shared_from_this(), &started] { self->Run(started); });
    handle_ = started.get_future().get();
  }
  return handle_;
}

void SharedLoop::Run(std::promise<LoopHandle>& started) noexcept {
  bool was_started = false;
  try {
    RunScope scope({.port = nullptr, .name = "AsyncSingleThreadContext"});
    Promise<> stop(scope.loop());
    stop_ = stop;  // who has called this holds the lock
    was_started = true;
    started.set_value(scope.loop().Handle());
    scope.loop().RunUntilComplete(WaitFor(std::move(stop)));
  } catch (...) {
    if (!was_started) started.set_exception(std::current_exception());
    // Else somebody has stopped it: what comes from now on finds it closed.
  }
  LoopWait() = nullptr;
  const std::lock_guard lock(mutex_);
  stop_.reset();
  if (ending_ != nullptr) ending_->Finish();
}

void SharedLoop::End() noexcept {
  if (generation_ != ForkGeneration()) return;
  std::shared_ptr<WaitingThread> ending;
  {
    const std::lock_guard lock(mutex_);
    ended_ = true;
    if (!stop_) return;
    ending_ = ending = std::make_shared<WaitingThread>(NearestWait().Get());
    handle_->CallSoon([ending] { LoopWait() = ending; });
    stop_->SetValue();
  }
  ending->Run([] { return true; });
}

}  // namespace loopsan::internal
