// AsyncSingleThreadContext: AsyncToSync() calls that share one thread and one loop,
// where each would else have its own.
//
//   AsyncSingleThreadContext context;                  // until the end of the block
//   const auto connection = AsyncToSync(&Connect)(host);
//   AsyncToSync(&Send)(connection, text);              // on the same loop
//
// It holds for the calls of this thread in the block, and for what they call. Thread and loop
// are made by the first call. Tasks that a call leaves behind go on until the end of the context
// (their thread-sensitive functions, while nobody waits here, on the process' one thread); then
// they are cancelled and awaited. Inside another one it does nothing: the outer one holds. Inside
// a function of SyncToAsync() the main loop is used, as ever.
//
// Threads: made and destroyed on one thread that runs no loop; else the constructor
// throws UsageError.
#pragma once

#include <memory>
#include <optional>

#include "runtime/context.h"

namespace loopsan {

namespace internal {
class SharedLoop;
}

class [[nodiscard]] AsyncSingleThreadContext {
 public:
  AsyncSingleThreadContext();
  AsyncSingleThreadContext(const AsyncSingleThreadContext&) = delete;
  AsyncSingleThreadContext& operator=(const AsyncSingleThreadContext&) = delete;
  ~AsyncSingleThreadContext();

 private:
  std::shared_ptr<internal::SharedLoop> loop_;  // null inside another one
};

}  // namespace loopsan
