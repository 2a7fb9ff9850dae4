// What a context carries for the bridge between sync and async code, so that it
// follows a task and all that it spawns.
//
// Threads: as context variables.
#pragma once

#include <cstdint>
#include <memory>

#include "runtime/context.h"
#include "runtime/executor.h"

namespace loopsan::internal {

class SharedLoop;
class WaitingThread;

// The thread of a ThreadSensitiveContext.
struct ContextThread {
  std::shared_ptr<Executor> executor;
  uint64_t generation = 0;  // of the process; see ForkGeneration()
};

// The innermost wait in AsyncToSync() whose async code this is; null: none.
ContextVar<std::shared_ptr<WaitingThread>>& NearestWait();
// No executor: outside of such contexts.
ContextVar<ContextThread>& CurrentContextThread();
// Of an AsyncSingleThreadContext; null: outside of them.
ContextVar<std::shared_ptr<SharedLoop>>& CurrentSharedLoop();

// The wait in AsyncToSync() for the loop that runs on this thread, if there is one.
std::shared_ptr<WaitingThread>& LoopWait() noexcept;

// Gives `to` what `from` has of these.
void CarryBridge(const Context& from, Context& to);

}  // namespace loopsan::internal
