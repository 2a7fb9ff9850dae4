// Intent: a stall in the middle of a chain of five coroutines: the innermost calls
// a function that sleeps (argument "sleep") or computes ("cpu") for a while, or waits for
// ever ("hang"), or the chain forgets a coroutine ("forget"), or waits for an event that nobody
// sets ("lost"). The lines are marked for the test.
#include <time.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>

#include "runtime/event.h"
#include "runtime/run.h"
#include "runtime/sleep.h"

namespace {

using loopsan::Spawn;
using loopsan::Task;
using loopsan::TaskHandle;

const char* g_mode = "";
int g_blocked = 0;

[[gnu::noinline]] void BlockForAWhile() {
  if (std::strcmp(g_mode, "sleep") == 0) {
    usleep(200'000);  // BLOCK: usleep
    ++g_blocked;      // so that the call is no tail call
  }
  if (std::strcmp(g_mode, "hang") == 0) {
    std::printf("%d hangs\n", static_cast<int>(getpid()));
    std::fflush(stdout);
    pause();
  }
  if (std::strcmp(g_mode, "cpu") != 0) return;
  timespec start;
  clock_gettime(CLOCK_MONOTONIC, &start);
  timespec now = start;
  while ((now.tv_sec - start.tv_sec) * 1'000 + (now.tv_nsec - start.tv_nsec) / 1'000'000 < 300) {
    clock_gettime(CLOCK_MONOTONIC, &now);
  }
}

Task<int> Forgotten() { co_return 1; }  // BLOCK: forgotten

Task<int> Five() {
  co_await loopsan::Yield();
  if (std::strcmp(g_mode, "forget") == 0) {
    const Task<int> forgotten = Forgotten();
  }
  loopsan::Event event;
  if (std::strcmp(g_mode, "lost") == 0) co_await event.Wait();
  BlockForAWhile();  // BLOCK: five
  co_return 5;
}
Task<int> Four() {
  const int below = co_await Five();  // BLOCK: four
  co_return below + 4;
}
Task<int> Three() {
  const int below = co_await Four();  // BLOCK: three
  co_return below + 3;
}
Task<int> Two() {
  const int below = co_await Three();  // BLOCK: two
  co_return below + 2;
}
Task<int> One() {
  const int below = co_await Two();  // BLOCK: one
  co_return below + 1;
}

Task<int> Main() {
  const TaskHandle<int> worker = Spawn(One(), "worker");  // BLOCK: spawn
  const int sum = co_await worker;
  co_return sum == 15 ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc > 1) g_mode = argv[1];
  return loopsan::Run(Main());
}
