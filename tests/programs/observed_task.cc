// Intent: coroutines of a hand-written type whose promise is observed: what a report
// says of a chain of five, of one that was never awaited, and of threads without a loop.
//
// Usage: observed_task SCENARIO
#include "tests/programs/observed_task.h"

#include <time.h>
#include <unistd.h>

#include <cstring>
#include <stdexcept>
#include <string>
#include <thread>

namespace {

using by_hand::Loop;
using by_hand::Task;
using std::chrono::milliseconds;

std::string g_scenario;
volatile int g_sink = 0;

long CpuMilliseconds() {
  timespec now;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return now.tv_sec * 1000 + now.tv_nsec / 1'000'000;
}

[[gnu::noinline]] void Compute(long milliseconds) {
  const long end = CpuMilliseconds() + milliseconds;
  while (CpuMilliseconds() < end) g_sink = g_sink + 1;
}

[[gnu::noinline]] void BlockForAWhile() {
  if (g_scenario == "sleep" || g_scenario == "pool") {
    usleep(200'000);  // BLOCK: usleep
    g_sink = g_sink + 1;
  }
  if (g_scenario == "cpu") Compute(300);
}

Task Forgotten(Loop& loop) {
  co_await loop.Sleep(milliseconds(1));
  co_return 0;
}

Task Five(Loop& loop) {
  co_await loop.Sleep(milliseconds(1));
  if (g_scenario == "forget") {
    const Task forgotten = Forgotten(loop);  // BLOCK: creation
  }
  if (g_scenario == "throw") throw std::runtime_error("no");
  BlockForAWhile();  // BLOCK: five
  co_return 5;
}
Task Four(Loop& loop) {
  const int below = co_await Five(loop);  // BLOCK: four
  co_return below + 4;
}
Task Three(Loop& loop) {
  const int below = co_await Four(loop);  // BLOCK: three
  co_return below + 3;
}
Task Two(Loop& loop) {
  const int below = co_await Three(loop);  // BLOCK: two
  co_return below + 2;
}
Task One(Loop& loop) {
  int sum = 0;
  try {
    const int below = co_await Two(loop);  // BLOCK: one
    sum = below + 1;
  } catch (const std::runtime_error&) {
    sum = 15;
  }
  co_await loop.Sleep(milliseconds(1));
  if (sum != 15) abort();
  co_return sum;
}

// Beside it: takes turns with the chain.
Task Ticker(Loop& loop) {
  for (int i = 0; i < 5; ++i) co_await loop.Sleep(milliseconds(1));
  co_return 0;
}

// None of the three takes long; together, and without a turn of the loop between, they do.
Task Part() {
  Compute(70);
  co_return 1;
}
Task ThreeParts(Loop& loop) {
  co_await loop.Sleep(milliseconds(1));
  int parts = 0;
  for (int i = 0; i < 3; ++i) parts += co_await Part();
  co_return parts;
}

// Another scheduler on a thread that runs no loop: it may block as it likes.
Task OnAWorker() {
  BlockForAWhile();
  co_return 0;
}

void RunWorker() {
  const Task task = OnAWorker();
  task.handle().resume();
}

}  // namespace

int main(int argc, char** argv) {
  if (argc > 1) g_scenario = argv[1];
  Loop loop;
  if (g_scenario == "pool") {
    loop.Spawn(Ticker(loop));
    std::thread worker(RunWorker);
    loop.Run();
    worker.join();
    return 0;
  }
  loop.Spawn(g_scenario == "transfers" ? ThreeParts(loop) : One(loop));
  loop.Spawn(Ticker(loop));
  loop.Run();
  return 0;
}
