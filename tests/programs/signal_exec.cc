// Intent: a program that replaces itself again and again while sampling signals
// rain on it, in every way to call exec, from the thread that started it or
// ("thread") from another, and after execs that fail; every image survives.
//
// Usage: signal_exec TIMES [thread]
#include <fcntl.h>
#include <string.h>

#include <string>
#include <thread>

#include "tests/programs/signal_loop.h"

extern char** environ;

using signal_victim::BusyLoop;
using signal_victim::Compute;
using signal_victim::Require;

namespace {

void Become(const char* self, int times, const char* mode) {
  const std::string left = std::to_string(times - 1);
  char* const argv[] = {const_cast<char*>(self), const_cast<char*>(left.c_str()),
                        const_cast<char*>(mode), nullptr};
  char* const nothing[] = {nullptr};
  execv("/nowhere", nothing);
  Compute(30'000);
  switch (times % 8) {
    case 0:
      execve(self, argv, environ);
      break;
    case 1:
      execv(self, argv);
      break;
    case 2:
      execvp(self, argv);
      break;
    case 3:
      execvpe(self, argv, environ);
      break;
    case 4:
      execl(self, self, left.c_str(), mode, nullptr);
      break;
    case 5:
      execlp(self, self, left.c_str(), mode, nullptr);
      break;
    case 6:
      execle(self, self, left.c_str(), mode, nullptr, environ);
      break;
    default:
      fexecve(open(self, O_RDONLY | O_CLOEXEC), argv, environ);
  }
  Require(false, "exec");
}

void LoopAndBecome(const char* self, int times, const char* mode) {
  BusyLoop loop;
  int turns = 0;
  loop.Run([&] {
    Compute(20'000);
    return ++turns < 150;
  });
  Become(self, times, mode);
}

}  // namespace

int main(int argc, char** argv) {
  const int times = argc > 1 ? atoi(argv[1]) : 0;
  const char* const mode = argc > 2 ? argv[2] : "main";
  if (times == 0) {
    puts("every image survived");
    return 0;
  }
  if (strcmp(mode, "thread") == 0) {
    std::thread other([&] { LoopAndBecome(argv[0], times, mode); });
    BusyLoop loop;
    loop.Run([] {
      Compute(20'000);
      return true;
    });
  }
  LoopAndBecome(argv[0], times, mode);
}
