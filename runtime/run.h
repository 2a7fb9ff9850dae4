// Run(): a program's way into the async world, as asyncio.run().
//
//   int main() { return Run(Main()); }
#pragma once

#include <source_location>
#include <utility>

#include "runtime/event_loop.h"
#include "runtime/spawn.h"

namespace loopsan {

namespace internal {
// Cancels what is left, waits for it, and closes the loop.
class RunScope {
 public:
  explicit RunScope(EventLoop::Options options,
                    std::source_location here = std::source_location::current())
      : loop_(std::move(options), here) {}
  ~RunScope();
  EventLoop& loop() noexcept { return loop_; }

 private:
  EventLoop loop_;
};
}  // namespace internal

// Runs `main` on a new event loop and returns its result, or throws what it threw.
// Before that the tasks that are left are cancelled and awaited, and what was registered with
// EventLoop::AtClose() and the default executor are shut down. Throws UsageError if a loop runs on
// this thread.
template <typename T>
T Run(Task<T> main, EventLoop::Options options = {},
      std::source_location here = std::source_location::current()) {
  internal::RunScope scope(std::move(options), here);
  return scope.loop().RunUntilComplete(std::move(main), here);
}

}  // namespace loopsan
