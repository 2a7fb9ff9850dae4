#include "runtime/internal/bridge_context.h"

namespace loopsan::internal {

// None of them is ever destroyed: threads use them until the end of the process.

ContextVar<std::shared_ptr<WaitingThread>>& NearestWait() {
  static auto& variable =
      *new ContextVar<std::shared_ptr<WaitingThread>>("loopsan.nearest_wait", nullptr);
  return variable;
}

ContextVar<ContextThread>& CurrentContextThread() {
  static auto& variable = *new ContextVar<ContextThread>("loopsan.context_thread", ContextThread());
  return variable;
}

ContextVar<std::shared_ptr<SharedLoop>>& CurrentSharedLoop() {
  static auto& variable =
      *new ContextVar<std::shared_ptr<SharedLoop>>("loopsan.shared_loop", nullptr);
  return variable;
}

std::shared_ptr<WaitingThread>& LoopWait() noexcept {
  static thread_local std::shared_ptr<WaitingThread> wait;
  return wait;
}

namespace {

template <typename T>
void Carry(const ContextVar<T>& variable, const Context& from, Context& to) {
  if (std::optional<T> value = variable.In(from)) {
    variable.SetIn(to, std::move(*value));
  } else {
    to.Erase(&variable);
  }
}

}  // namespace

void CarryBridge(const Context& from, Context& to) {
  Carry(NearestWait(), from, to);
  Carry(CurrentContextThread(), from, to);
  Carry(CurrentSharedLoop(), from, to);
}

}  // namespace loopsan::internal
