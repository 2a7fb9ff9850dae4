// Intent: a host whose threads, loops and stacks come and go is not read where
// nothing is mapped any more.
//
// Usage: harm_memory DIRECTORY SCENARIO; see kScenarios.
#include <fcntl.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <ucontext.h>

#include <atomic>
#include <cerrno>
#include <cstring>
#include <string_view>
#include <thread>
#include <vector>

#include "tests/programs/harm_loop.h"

namespace {

using harm::BlockForTheReport;
using harm::Loop;
using harm::Require;

constexpr size_t kPage = 4096;

char* Map(size_t bytes) {
  void* memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  Require(memory != MAP_FAILED, "mmap");
  return static_cast<char*>(memory);
}

// What the collector has to see before it tells the probe where the stack ends:
// a loop that takes its time.
void TurnForAWhile(Loop& loop) {
  loop.Run(60, [](int) {
    const timespec moment{0, 2'000'000};
    nanosleep(&moment, nullptr);
  });
}

void StartThreadsThatWaitOnce() {
  int answers = 0;
  for (int i = 0; i < 1000; ++i) {
    std::thread([&] {
      const int epoll = epoll_create1(EPOLL_CLOEXEC);
      epoll_event event;
      answers += epoll_wait(epoll, &event, 1, 0) == 0;
      close(epoll);
    }).join();
  }
  printf("%d threads have waited\n", answers);
}

// Stacks of many sizes, so that a new thread lies where an old one's end was.
void StartThreadsOnStacksOfManySizes() {
  size_t finished = 0;
  for (int i = 0; i < 200; ++i) {
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, (static_cast<size_t>(i) % 7 + 1) * 40 * kPage);
    pthread_t thread;
    auto run = [](void*) -> void* {
      Loop loop;
      loop.Run(50, [](int) {
        const timespec moment{0, 10'000};
        nanosleep(&moment, nullptr);
      });
      return nullptr;
    };
    Require(pthread_create(&thread, &attributes, run, nullptr) == 0, "pthread_create");
    pthread_join(thread, nullptr);
    ++finished;
  }
  printf("%zu threads have finished\n", finished);
}

void RunAHundredLoops() {
  long turns = 0;
  for (int i = 0; i < 100; ++i) {
    Loop loop;
    loop.Run(50, [&](int) { ++turns; });
  }
  harm::LoopThatBlocksOnce();
  printf("%ld turns\n", turns);
}

// More loop threads at once than the probe has room for.
void RunAHundredLoopsAtOnce() {
  std::atomic<long> turns{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < 100; ++i) {
    threads.emplace_back([&] {
      Loop loop;
      loop.Run(200, [&](int turn) {
        ++turns;
        if (turn == 150) BlockForTheReport();
      });
    });
  }
  for (std::thread& thread : threads) thread.join();
  printf("%ld turns\n", turns.load());
}

ucontext_t g_outside;
ucontext_t g_fiber;
char* g_stack;
constexpr size_t kFiberBytes = 64 * kPage;
constexpr size_t kAboveBytes = 64 * kPage;

void RunOnAFiber() {
  Loop loop;
  TurnForAWhile(loop);
  // What lay above the fiber's stack, in the same mapping, is taken away.
  Require(mprotect(g_stack + kFiberBytes, kAboveBytes, PROT_NONE) == 0, "mprotect");
  loop.Run(20, [](int) { BlockForTheReport(); });
}

// The stack of the loop is the lower part of a mapping that becomes shorter.
void RunALoopOnAFiber() {
  g_stack = Map(kFiberBytes + kAboveBytes);
  getcontext(&g_fiber);
  g_fiber.uc_stack.ss_sp = g_stack;
  g_fiber.uc_stack.ss_size = kFiberBytes;
  g_fiber.uc_link = &g_outside;
  makecontext(&g_fiber, RunOnAFiber, 0);
  Require(swapcontext(&g_outside, &g_fiber) == 0, "swapcontext");
  printf("the fiber has finished\n");
}

void RunALoopOnAFiberOfAThread() { std::thread(RunALoopOnAFiber).join(); }

// A thread whose stack is the program's own memory, with more of it above.
void RunALoopOnAStackOfItsOwn() {
  char* memory = Map(2 * kFiberBytes);
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  Require(pthread_attr_setstack(&attributes, memory, kFiberBytes) == 0, "setstack");
  static char* above;
  above = memory + kFiberBytes;
  pthread_t thread;
  auto run = [](void*) -> void* {
    Loop loop;
    TurnForAWhile(loop);
    Require(mprotect(above, kFiberBytes, PROT_NONE) == 0, "mprotect");
    loop.Run(20, [](int) { BlockForTheReport(); });
    return nullptr;
  };
  Require(pthread_create(&thread, &attributes, run, nullptr) == 0, "pthread_create");
  pthread_join(thread, nullptr);
  printf("the thread has finished\n");
}

// Addresses and paths that end where the memory ends.
void PassArgumentsAtTheEndOfAPage() {
  char* pages = Map(2 * kPage);
  Require(mprotect(pages + kPage, kPage, PROT_NONE) == 0, "mprotect");
  char* end = pages + kPage;
  Loop loop;
  loop.RunOnceProven([&] {
    BlockForTheReport();
    constexpr char kPath[] = "/nonexistent/socket";
    for (const size_t length : {sizeof kPath - 1, sizeof kPath}) {
      char* address = end - sizeof(sa_family_t) - length;
      const sa_family_t family = AF_UNIX;
      memcpy(address, &family, sizeof family);
      memcpy(address + sizeof family, kPath, length);
      const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
      const int result = connect(fd, reinterpret_cast<const sockaddr*>(address),
                                 static_cast<socklen_t>(sizeof family + length));
      printf("connect %d, errno %d\n", result, errno);
      close(fd);
    }
    for (const sa_family_t family : {AF_INET, AF_INET6}) {
      char* address = end - 16;
      memset(address, 0, 16);
      memcpy(address, &family, sizeof family);
      const int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
      const int result = connect(fd, reinterpret_cast<const sockaddr*>(address), 16);
      printf("connect %s\n", result == 0 ? "accepted" : "refused");
      close(fd);
    }
    memcpy(end - 12, "/nonexistent", 12);
    end[-1] = '\0';
    const int opened = open(end - 12, 0);
    printf("open %d, errno %d\n", opened, errno);
    const int bad = open(end, 0);
    printf("open %d, errno %d\n", bad, errno);
    const timespec* nowhere = reinterpret_cast<const timespec*>(end);
    const int slept = nanosleep(nowhere, nullptr);
    printf("nanosleep %d, errno %d\n", slept, errno);
  });
}

struct Scenario {
  const char* name;
  void (*run)();
};

constexpr Scenario kScenarios[] = {
    {"start_threads_that_wait_once", StartThreadsThatWaitOnce},
    {"start_threads_on_stacks_of_many_sizes", StartThreadsOnStacksOfManySizes},
    {"run_a_hundred_loops", RunAHundredLoops},
    {"run_a_hundred_loops_at_once", RunAHundredLoopsAtOnce},
    {"run_a_loop_on_a_fiber", RunALoopOnAFiber},
    {"run_a_loop_on_a_fiber_of_a_thread", RunALoopOnAFiberOfAThread},
    {"run_a_loop_on_a_stack_of_its_own", RunALoopOnAStackOfItsOwn},
    {"pass_arguments_at_the_end_of_a_page", PassArgumentsAtTheEndOfAPage},
};

}  // namespace

int main(int argc, char** argv) {
  Require(argc == 3, "usage: harm_memory DIRECTORY SCENARIO");
  for (const Scenario& scenario : kScenarios) {
    if (std::string_view(scenario.name) != argv[2]) continue;
    scenario.run();
    return 3;
  }
  return 98;
}
