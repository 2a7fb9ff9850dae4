// Intent: a host that forks, execs, spawns or becomes a daemon on a loop thread
// gets its children, their results and nothing else, and so do they.
//
// Usage: harm_processes DIRECTORY SCENARIO; see kScenarios.
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

#include <cerrno>
#include <fstream>
#include <string>
#include <string_view>
#include <thread>

#include "tests/programs/harm_loop.h"

extern char** environ;

namespace {

using harm::BlockForTheReport;
using harm::Loop;
using harm::LoopThatBlocksOnce;
using harm::Require;

const char* g_self;
std::string g_directory;

// Long enough for the collector to make room for one more process.
[[gnu::noinline]] void LoopInAChild() {
  Loop loop;
  loop.Run(300, [](int turn) {
    if (turn == 60 || turn == 120) BlockForTheReport();
    if (turn == 280) BlockForTheReport();
  });
}

int WaitFor(pid_t child) {
  int status = -1;
  Require(waitpid(child, &status, 0) == child, "waitpid");
  return status;
}

[[noreturn]] void Leave(int status) {
  fflush(stdout);
  _exit(status);
}

// Runs `then` in a step, and the loop goes on and blocks once more behind it.
void InAStep(const std::function<void()>& then) {
  Loop loop;
  loop.Run(200, [&](int turn) {
    if (turn == 60) then();
    if (turn == 150) BlockForTheReport();
  });
}

void ForkAChildWithALoop() {
  fflush(stdout);
  InAStep([] {
    const pid_t child = fork();
    if (child == 0) {
      LoopInAChild();
      Leave(7);
    }
    printf("status %d\n", WaitFor(child));
  });
}

// The loop of the parent goes on in the child, on the same descriptors.
void ForkInTheLoop() {
  fflush(stdout);
  pid_t child = -1;
  InAStep([&] { child = fork(); });
  if (child == 0) Leave(8);
  printf("status %d\n", WaitFor(child));
}

void ForkAChildThatExecs() {
  fflush(stdout);
  InAStep([] {
    const pid_t child = fork();
    if (child == 0) {
      execl(g_self, g_self, g_directory.c_str(), "loop", nullptr);
      _exit(97);
    }
    printf("status %d\n", WaitFor(child));
  });
}

void ForkOnAnotherThread() {
  fflush(stdout);
  InAStep([] {
    std::thread([] {
      const pid_t child = fork();
      if (child == 0) {
        LoopInAChild();
        Leave(9);
      }
      printf("status %d\n", WaitFor(child));
    }).join();
  });
}

void CloneWithoutTheLibrary() {
  fflush(stdout);
  InAStep([] {
    const auto child = static_cast<pid_t>(syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0));
    if (child == 0) {
      LoopInAChild();
      Leave(5);
    }
    printf("status %d\n", WaitFor(child));
  });
}

void VforkAndExec() {
  Loop outer;
  outer.Run(200, [&](int turn) {
    if (turn == 150) BlockForTheReport();
    if (turn != 60) return;
    const pid_t child = vfork();
    if (child == 0) {
      for (int fd = 3; fd < 64; ++fd) close(fd);
      execl("/bin/sh", "sh", "-c", "exit 4", nullptr);
      _exit(97);
    }
    printf("status %d\n", WaitFor(child));
  });
}

void VforkAndFail() {
  InAStep([] {
    const pid_t child = vfork();
    if (child == 0) {
      execl("/nonexistent", "nonexistent", nullptr);
      _exit(errno == ENOENT ? 6 : 97);
    }
    printf("status %d\n", WaitFor(child));
  });
}

void Spawn() {
  InAStep([] {
    pid_t child;
    char shell[] = "sh";
    char flag[] = "-c";
    char command[] = "exit 2";
    char* argv[] = {shell, flag, command, nullptr};
    printf("spawn %d, ", posix_spawn(&child, "/bin/sh", nullptr, nullptr, argv, environ));
    printf("status %d, ", WaitFor(child));
    printf("system %d\n", system("exit 3"));
  });
}

// The process that was started ends at once; the daemon writes the result.
void BecomeADaemon() {
  fflush(stdout);
  Loop loop;
  loop.Run(200, [](int turn) {
    if (turn == 150) BlockForTheReport();
    if (turn != 60) return;
    if (fork() != 0) _exit(0);
    setsid();
    if (fork() != 0) _exit(0);
  });
  LoopInAChild();
  printf("the daemon has finished\n");
  Leave(0);
}

// In the middle of a step. The new program has a loop of its own.
void ExecInTheLoop() {
  printf("before\n");
  fflush(stdout);
  InAStep([] {
    BlockForTheReport();
    execl(g_self, g_self, g_directory.c_str(), "loop", nullptr);
  });
}

void ExecFromAnotherThread() {
  fflush(stdout);
  InAStep([] {
    std::thread([] { execl(g_self, g_self, g_directory.c_str(), "loop", nullptr); }).join();
  });
}

void RunALoop() {
  LoopInAChild();
  printf("looped\n");
}

volatile sig_atomic_t g_children_signalled = 0;
void CountChild(int) { g_children_signalled = g_children_signalled + 1; }

// A host that waits for any child sees those that it has started, only.
void WaitForAnyChild() {
  struct sigaction action{};
  action.sa_handler = CountChild;
  action.sa_flags = SA_RESTART;
  sigaction(SIGCHLD, &action, nullptr);
  Loop loop;
  const auto go_on = [&] { loop.Run(300, [](int) {}); };
  go_on();
  int status = 0;
  const pid_t nobody = waitpid(-1, &status, WNOHANG);
  printf("before: %d, errno %d, %d signals\n", nobody, nobody < 0 ? errno : 0,
         static_cast<int>(g_children_signalled));
  fflush(stdout);
  if (fork() == 0) _exit(3);
  go_on();
  int children = 0;
  while (wait(&status) > 0) {
    ++children;
    printf("status %d\n", status);
  }
  printf("after: %d children, errno %d, %d signals\n", children, errno,
         static_cast<int>(g_children_signalled));
}

// A host that gathers orphans finds no stranger among them.
void GatherOrphans() {
  fflush(stdout);
  Require(syscall(SYS_prctl, 36 /* PR_SET_CHILD_SUBREAPER */, 1, 0, 0, 0) == 0, "subreaper");
  Loop loop;
  loop.Run(300, [](int) {});
  int status = 0;
  const pid_t nobody = waitpid(-1, &status, WNOHANG);
  printf("%d, errno %d\n", nobody, nobody < 0 ? errno : 0);
}

void KillItself() {
  fflush(stdout);
  LoopThatBlocksOnce();
  raise(SIGKILL);
}

void Abort() {
  fflush(stdout);
  const struct sigaction defaults{};
  sigaction(SIGABRT, &defaults, nullptr);
  LoopThatBlocksOnce();
  abort();
}

bool IsWatched() {
  std::ifstream maps("/proc/self/maps");
  for (std::string line; std::getline(maps, line);) {
    if (line.find("/memfd:loopsan-") != std::string::npos) return true;
  }
  return false;
}

// A helper needs its time to start, and only the mapping tells when it has. Here
// the loop goes on until then, and for long enough to be proven.
void BlockOnceWatched() {
  Loop loop;
  int left = 100;
  loop.Run(100'000, [&](int) {
    if (left == 100 && !IsWatched()) {
      const timespec moment{0, 1'000'000};
      nanosleep(&moment, nullptr);
    } else if (left > 0 && --left == 20) {
      BlockForTheReport();
    }
  });
  printf("watched: %s\n", left == 0 ? "yes" : "no");
  fflush(stdout);
}

// Lives until it is killed; its output says when it is ready for that.
void LoopForEver() {
  BlockOnceWatched();
  for (;;) pause();
}

// Goes on after whoever watched it has gone.
void LoopUntilTold() {
  const std::string told = g_directory + "/stop";
  Loop loop;
  bool stopped = false;
  for (int run = 0; !stopped; ++run) {
    loop.Run(200, [&](int turn) {
      if (turn == 150) BlockForTheReport();
      stopped = access(told.c_str(), F_OK) == 0;
    });
    if (run == 0) printf("looping\n");
    fflush(stdout);
  }
  printf("stopped\n");
}

struct Scenario {
  const char* name;
  void (*run)();
};

constexpr Scenario kScenarios[] = {
    {"fork_a_child_with_a_loop", ForkAChildWithALoop},
    {"fork_in_the_loop", ForkInTheLoop},
    {"fork_a_child_that_execs", ForkAChildThatExecs},
    {"fork_on_another_thread", ForkOnAnotherThread},
    {"clone_without_the_library", CloneWithoutTheLibrary},
    {"vfork_and_exec", VforkAndExec},
    {"vfork_and_fail", VforkAndFail},
    {"spawn", Spawn},
    {"become_a_daemon", BecomeADaemon},
    {"exec_in_the_loop", ExecInTheLoop},
    {"exec_from_another_thread", ExecFromAnotherThread},
    {"loop", RunALoop},
    {"wait_for_any_child", WaitForAnyChild},
    {"gather_orphans", GatherOrphans},
    {"kill_itself", KillItself},
    {"abort", Abort},
    {"block_once_watched", BlockOnceWatched},
    {"loop_for_ever", LoopForEver},
    {"loop_until_told", LoopUntilTold},
};

}  // namespace

int main(int argc, char** argv) {
  Require(argc == 3, "usage: harm_processes DIRECTORY SCENARIO");
  g_self = argv[0];
  g_directory = argv[1];
  for (const Scenario& scenario : kScenarios) {
    if (std::string_view(scenario.name) != argv[2]) continue;
    scenario.run();
    return 3;
  }
  return 98;
}
