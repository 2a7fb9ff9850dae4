// The first program of docs/runtime.md.
#include <chrono>

#include "runtime/run.h"
#include "runtime/sleep.h"

using loopsan::Spawn, loopsan::Task, loopsan::TaskHandle;

Task<int> Answer() {
  co_await loopsan::SleepFor(std::chrono::milliseconds(10));
  co_return 42;
}

Task<int> Main() {
  TaskHandle<int> other = Spawn(Answer(), "other");  // runs by itself
  int mine = co_await Answer();                      // runs here
  co_return mine + co_await other;
}

int main() { return loopsan::Run(Main()) == 84 ? 0 : 1; }
