// Intent: prints 42, and forgets to await a coroutine.
#include <cstdio>

#include "instrument/adapters/observed.h"
#include "runtime/run.h"
#include "runtime/sleep.h"

namespace {

using loopsan::Spawn;
using loopsan::Task;
using loopsan::TaskHandle;

Task<int> Half() {
  co_await loopsan::Yield();
  co_return 21;
}

Task<int> Main() {
  const TaskHandle<int> other = Spawn(Half(), "other half");
  const int mine = co_await Half();
  {
    const Task<int> forgotten = Half();
  }
  const int others = co_await other;
  co_return mine + others;
}

}  // namespace

int main() { std::printf("%d\n", loopsan::Run(Main())); }
