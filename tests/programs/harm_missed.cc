// Intent: loops and blocking calls that loopsan is known not to see.
//
// Usage: harm_missed SCENARIO; see kScenarios.
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <time.h>

#include <string_view>

#include "tests/programs/harm_loop.h"

namespace {

using harm::Loop;

constexpr timespec kShort{0, 30'000'000};

// Go's and other runtimes' way past libc.
void MakeARawSystemCall() {
  Loop loop;
  loop.RunOnceProven([] { syscall(SYS_nanosleep, &kShort, nullptr); });
}

void RunALoopOnPoll() {
  const int ready = eventfd(1, EFD_CLOEXEC);
  for (int turn = 0; turn < 100; ++turn) {
    pollfd source{ready, POLLIN, 0};
    poll(&source, 1, -1);
    if (turn == 90) harm::BlockForTheReport();
  }
}

void Block() { harm::LoopThatBlocksOnce(); }

struct Scenario {
  const char* name;
  void (*run)();
};

constexpr Scenario kScenarios[] = {
    {"make_a_raw_system_call", MakeARawSystemCall},
    {"run_a_loop_on_poll", RunALoopOnPoll},
    {"block", Block},
};

}  // namespace

int main(int argc, char** argv) {
  harm::Require(argc == 2, "usage: harm_missed SCENARIO");
  for (const Scenario& scenario : kScenarios) {
    if (std::string_view(scenario.name) != argv[1]) continue;
    scenario.run();
    return 3;
  }
  return 98;
}
