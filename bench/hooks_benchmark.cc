// What one hooked call costs. The program itself knows nothing of loopsan:
// bench/hooks runs it plain and under `loopsan run` and shows the difference.
//
// Rows named NoLoop run on a thread that never runs a loop, rows named OnLoop on
// the main thread, which does. On the loop a batch of calls is one step, so that
// no step is long enough to wake the watcher; the wait between two steps is a
// thousandth of a row's figure.

#include <benchmark/benchmark.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <thread>

namespace {

constexpr int kCallsPerStep = 1000;

void Require(bool condition, const char* what) {
  if (!condition) {
    std::perror(what);
    std::exit(1);
  }
}

// An event loop with one descriptor that is always ready.
class Loop {
 public:
  Loop() : epoll_fd_(epoll_create1(EPOLL_CLOEXEC)), event_fd_(eventfd(1, EFD_CLOEXEC)) {
    Require(epoll_fd_ >= 0, "epoll_create1");
    Require(event_fd_ >= 0, "eventfd");
    epoll_event event = {.events = EPOLLIN, .data = {.fd = event_fd_}};
    Require(epoll_ctl(epoll_fd_, EPOLL_CTL_ADD, event_fd_, &event) == 0, "epoll_ctl");
  }
  ~Loop() {
    close(event_fd_);
    close(epoll_fd_);
  }
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;

  void Turn(int timeout_ms = -1) {
    epoll_event event;
    Require(epoll_wait(epoll_fd_, &event, 1, timeout_ms) == 1, "epoll_wait");
  }

 private:
  int epoll_fd_;
  int event_fd_;
};

Loop& MainLoop() {
  static Loop loop;
  return loop;
}

// The calls. Each has what it needs and makes one call that does not block.

class MutexLock {
 public:
  void operator()() {
    pthread_mutex_lock(&mutex_);
    pthread_mutex_unlock(&mutex_);
  }

 private:
  pthread_mutex_t mutex_ = PTHREAD_MUTEX_INITIALIZER;
};

class SemaphoreWait {
 public:
  SemaphoreWait() { Require(sem_init(&semaphore_, 0, 1) == 0, "sem_init"); }
  ~SemaphoreWait() { sem_destroy(&semaphore_); }
  void operator()() {
    sem_wait(&semaphore_);
    sem_post(&semaphore_);
  }

 private:
  sem_t semaphore_;
};

// A hook that may block, so that it is timed, around a call without a system
// call: what the two clock reads and the mark cost.
class FlushNothing {
 public:
  FlushNothing() : file_(std::fopen("/dev/null", "we")) { Require(file_ != nullptr, "/dev/null"); }
  ~FlushNothing() { std::fclose(file_); }
  FlushNothing(const FlushNothing&) = delete;
  FlushNothing& operator=(const FlushNothing&) = delete;
  void operator()() { benchmark::DoNotOptimize(std::fflush(file_)); }

 private:
  FILE* file_;
};

class SocketPair {
 public:
  SocketPair() {
    Require(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds_) == 0,
            "socketpair");
  }
  ~SocketPair() {
    close(fds_[0]);
    close(fds_[1]);
  }
  SocketPair(const SocketPair&) = delete;
  SocketPair& operator=(const SocketPair&) = delete;
  int fd() const { return fds_[0]; }

 private:
  int fds_[2];
};

class NonblockingRead {
 public:
  void operator()() {
    char buffer[64];
    benchmark::DoNotOptimize(read(sockets_.fd(), buffer, sizeof(buffer)));
  }

 private:
  SocketPair sockets_;
};

class RecvDontWait {
 public:
  void operator()() {
    char buffer[64];
    benchmark::DoNotOptimize(recv(sockets_.fd(), buffer, sizeof(buffer), MSG_DONTWAIT));
  }

 private:
  SocketPair sockets_;
};

class PollZero {
 public:
  void operator()() {
    pollfd entry = {.fd = sockets_.fd(), .events = POLLIN, .revents = 0};
    benchmark::DoNotOptimize(poll(&entry, 1, 0));
  }

 private:
  SocketPair sockets_;
};

template <typename Call>
void NoLoop(benchmark::State& state) {
  std::thread([&state] {
    Call call;
    while (state.KeepRunningBatch(kCallsPerStep)) {
      for (int i = 0; i < kCallsPerStep; ++i) call();
    }
  }).join();
}

template <typename Call>
void OnLoop(benchmark::State& state) {
  Call call;
  MainLoop().Turn();
  while (state.KeepRunningBatch(kCallsPerStep)) {
    MainLoop().Turn();
    for (int i = 0; i < kCallsPerStep; ++i) call();
  }
}

void Turn(benchmark::State& state) {
  const int timeout_ms = static_cast<int>(state.range(0));
  for (auto _ : state) MainLoop().Turn(timeout_ms);
}

BENCHMARK_TEMPLATE(NoLoop, MutexLock);
BENCHMARK_TEMPLATE(NoLoop, SemaphoreWait);
BENCHMARK_TEMPLATE(NoLoop, FlushNothing);
BENCHMARK_TEMPLATE(NoLoop, NonblockingRead);
BENCHMARK_TEMPLATE(NoLoop, RecvDontWait);
BENCHMARK_TEMPLATE(NoLoop, PollZero);

BENCHMARK_TEMPLATE(OnLoop, MutexLock);
BENCHMARK_TEMPLATE(OnLoop, SemaphoreWait);
BENCHMARK_TEMPLATE(OnLoop, FlushNothing);
BENCHMARK_TEMPLATE(OnLoop, NonblockingRead);
BENCHMARK_TEMPLATE(OnLoop, RecvDontWait);
BENCHMARK_TEMPLATE(OnLoop, PollZero);
BENCHMARK(Turn)->Arg(-1)->Arg(0)->ArgName("timeout_ms");

}  // namespace
