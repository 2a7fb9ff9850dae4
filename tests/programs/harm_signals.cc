// Intent: signal handlers that call hooked functions, leave them with
// siglongjmp, or run on a stack of their own do what they do without loopsan.
//
// Usage: harm_signals DIRECTORY SCENARIO; see kScenarios.
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/wait.h>
#include <time.h>

#include <atomic>
#include <cerrno>
#include <string_view>
#include <thread>

#include "tests/programs/harm_loop.h"

namespace {

using harm::BlockForTheReport;
using harm::Loop;
using harm::Require;

bool IsBlocked(pid_t tid) {
  char path[64];
  snprintf(path, sizeof path, "/proc/self/task/%d/syscall", tid);
  char text[256] = {};
  const int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return false;
  const ssize_t bytes = read(fd, text, sizeof text - 1);
  close(fd);
  return bytes > 0 && text[0] != 'r' && text[0] != '-';
}

// Sends SIGUSR1 to the main thread each time it has come to rest, until told.
class Interrupter {
 public:
  // Until it is destroyed: a thread that rests in its sanitizer's own locks takes a signal
  // that ends no call.
  Interrupter() : main_(pthread_self()), tid_(gettid()) {
    thread_ = std::thread([this] {
      while (!stop_) {
        const int before = handled;
        for (int seen = 0; seen < 3 && !stop_; sched_yield()) seen = IsBlocked(tid_) ? seen + 1 : 0;
        if (stop_) break;
        pthread_kill(main_, SIGUSR1);
        while (handled == before && !stop_) sched_yield();
      }
    });
  }
  ~Interrupter() {
    stop_ = true;
    thread_.join();
  }
  static std::atomic<int> handled;

 private:
  pthread_t main_;
  pid_t tid_;
  std::atomic<bool> stop_{false};
  std::thread thread_;
};
std::atomic<int> Interrupter::handled{0};

int g_pipe[2];
int g_other_epoll;
sem_t g_semaphore;
std::atomic<int> g_wrong{0};

void Check(bool ok) {
  if (!ok) ++g_wrong;
}

// One of each kind, all of which return at once.
void CallHookedFunctions(int) {
  const int saved_errno = errno;
  char byte = 'h';
  Check(write(g_pipe[1], &byte, 1) == 1);
  Check(read(g_pipe[0], &byte, 1) == 1 && byte == 'h');
  const timespec moment{0, 1};
  Check(nanosleep(&moment, nullptr) == 0);
  epoll_event event;
  Check(epoll_wait(g_other_epoll, &event, 1, 0) == 0);
  Check(epoll_wait(g_other_epoll, &event, 1, 1) == 0);
  pollfd nothing{-1, 0, 0};
  Check(poll(&nothing, 1, 0) == 0);
  Check(sem_post(&g_semaphore) == 0 && sem_wait(&g_semaphore) == 0);
  Check(waitpid(-1, nullptr, WNOHANG) == -1 && errno == ECHILD);
  Check(read(-1, &byte, 1) == -1 && errno == EBADF);
  const int fd = dup(g_pipe[0]);
  Check(close(fd) == 0);
  errno = saved_errno;
  ++Interrupter::handled;
}

void Install(void (*handler)(int), int flags) {
  struct sigaction action{};
  action.sa_handler = handler;
  action.sa_flags = flags;
  sigaction(SIGUSR1, &action, nullptr);
}

void Prepare() {
  Require(pipe2(g_pipe, O_CLOEXEC) == 0, "pipe2");
  g_other_epoll = epoll_create1(EPOLL_CLOEXEC);
  sem_init(&g_semaphore, 0, 0);
}

void UseAnAlternateStack() {
  static char stack[64 * 1024];
  stack_t alternate{};
  alternate.ss_sp = stack;
  alternate.ss_size = sizeof stack;
  Require(sigaltstack(&alternate, nullptr) == 0, "sigaltstack");
}

// Wakes the idle wait only by signals, and counts them.
void InterruptIdleWaits(int flags) {
  Prepare();
  Install(CallHookedFunctions, flags);
  Loop loop;
  loop.RunOnceProven([] { BlockForTheReport(); });
  const int idle = epoll_create1(EPOLL_CLOEXEC);
  constexpr int kTimes = 50;
  int interrupted = 0;
  {
    const Interrupter interrupter;
    for (int i = 0; i < kTimes; ++i) {
      epoll_event event;
      interrupted += epoll_wait(idle, &event, 1, -1) == -1 && errno == EINTR;
    }
  }
  loop.RunOnceProven([] { BlockForTheReport(); });
  printf("%d waits interrupted, %d wrong\n", interrupted, g_wrong.load());
}

// Each of these blocks in a step until the handler has run in the middle of it.
void InterruptCalls(int flags) {
  Prepare();
  Install(CallHookedFunctions, flags);
  int empty[2];
  Require(pipe2(empty, O_CLOEXEC) == 0, "pipe2");
  sem_t never;
  sem_init(&never, 0, 0);
  int interrupted = 0;
  Loop loop;
  loop.Run(60, [&](int turn) {
    if (turn < 40) return;
    const Interrupter interrupter;
    const timespec long_time{1000, 0};
    interrupted += nanosleep(&long_time, nullptr) == -1 && errno == EINTR;
    char byte;
    interrupted += read(empty[0], &byte, 1) == -1 && errno == EINTR;
    interrupted += sem_wait(&never) == -1 && errno == EINTR;
    pollfd source{empty[0], POLLIN, 0};
    interrupted += poll(&source, 1, -1) == -1 && errno == EINTR;
  });
  loop.RunOnceProven([] { BlockForTheReport(); });
  printf("%d calls interrupted, %d wrong\n", interrupted, g_wrong.load());
}

sigjmp_buf g_back;
void JumpBack(int) {
  ++Interrupter::handled;
  siglongjmp(g_back, 1);
}

// Out of a sleep in a step; what blocks later is reported, what was left is not.
void JumpOutOfCalls() {
  Install(JumpBack, 0);
  Loop loop;
  volatile int jumps = 0;
  loop.Run(400, [&](int turn) {
    if (turn == 390) BlockForTheReport();
    if (turn < 40 || turn >= 60) return;
    const Interrupter interrupter;
    if (sigsetjmp(g_back, 1) == 0) {
      const timespec long_time{1000, 0};
      nanosleep(&long_time, nullptr);
      g_wrong = g_wrong + 1;  // not reached
    } else {
      jumps = jumps + 1;
    }
  });
  printf("%d jumps, %d wrong\n", jumps, g_wrong.load());
}

// Out of the loop's own wait.
void JumpOutOfWaits() {
  Install(JumpBack, 0);
  Loop loop;
  loop.RunOnceProven([] { BlockForTheReport(); });
  const int idle = epoll_create1(EPOLL_CLOEXEC);
  volatile int jumps = 0;
  while (jumps < 20) {
    const Interrupter interrupter;
    if (sigsetjmp(g_back, 1) == 0) {
      epoll_event event;
      epoll_wait(idle, &event, 1, -1);
      g_wrong = g_wrong + 1;
    } else {
      jumps = jumps + 1;
    }
  }
  loop.RunOnceProven([] { BlockForTheReport(); });
  printf("%d jumps, %d wrong\n", jumps, g_wrong.load());
}

struct Scenario {
  const char* name;
  void (*run)();
};

constexpr Scenario kScenarios[] = {
    {"interrupt_idle_waits", [] { InterruptIdleWaits(0); }},
    {"interrupt_idle_waits_on_another_stack",
     [] {
       UseAnAlternateStack();
       InterruptIdleWaits(SA_ONSTACK);
     }},
    {"interrupt_calls", [] { InterruptCalls(0); }},
    {"interrupt_calls_on_another_stack",
     [] {
       UseAnAlternateStack();
       InterruptCalls(SA_ONSTACK);
     }},
    {"jump_out_of_calls", JumpOutOfCalls},
    {"jump_out_of_waits", JumpOutOfWaits},
};

}  // namespace

int main(int argc, char** argv) {
  Require(argc == 3, "usage: harm_signals DIRECTORY SCENARIO");
  alarm(60);
  for (const Scenario& scenario : kScenarios) {
    if (std::string_view(scenario.name) != argv[2]) continue;
    scenario.run();
    return 3;
  }
  return 98;
}
