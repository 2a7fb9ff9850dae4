// Intent: every hooked call gives the same result and the same errno in a step
// of a watched loop as it does alone, where it succeeds and where it fails.
//
// Usage: harm_errno DIRECTORY. Prints a line for each.
#include "tests/programs/harm_calls.h"

#include <thread>

namespace {

using harm::HookedCall;
using harm::Loop;
using harm::Require;
using harm::World;

constexpr int kUntouched = 77;

void PrintResult(std::string_view what, std::string_view how, long result) {
  const int error = errno;
  printf("%.*s, %.*s: %ld, errno %d\n", static_cast<int>(what.size()), what.data(),
         static_cast<int>(how.size()), how.data(), result, error);
}

// In which nothing has to wait: there is a byte to read, a child that has ended.
void MakeItSucceed(World& w, const std::string& directory) {
  w.path = directory + "/file";
  const int file = open(w.path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  Require(write(file, "xxxxxxxx\n", 9) == 9 && lseek(file, 0, SEEK_SET) == 0, "file");
  w.fd = w.out = file;
  if (w.Is({"copy_file_range", "sendfile", "sendfile64"})) {
    w.out = open((directory + "/copy").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  }
  w.stream = fdopen(dup(file), "r+");
  int sockets[2];
  Require(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets) == 0, "socketpair");
  Require(write(sockets[1], "x", 1) == 1, "write");
  w.polled = {sockets[0], POLLIN, 0};
  if (w.call.find("recv") != std::string_view::npos || w.call.starts_with("send")) {
    if (!w.call.starts_with("sendfile")) w.fd = sockets[0];
  }
  int pipe_ends[2];
  Require(pipe2(pipe_ends, O_CLOEXEC) == 0, "pipe2");
  if (w.call == "splice") w.out = pipe_ends[1];
  if (w.call == "connect" || w.call.starts_with("accept")) {
    const int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    w.address.sun_family = AF_UNIX;
    snprintf(w.address.sun_path, sizeof w.address.sun_path, "%s/socket", directory.c_str());
    const auto* address = reinterpret_cast<const sockaddr*>(&w.address);
    Require(bind(listener, address, sizeof w.address) == 0, "bind");
    Require(listen(listener, 2) == 0, "listen");
    w.fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (w.call.starts_with("accept")) {
      Require(connect(w.fd, address, sizeof w.address) == 0, "connect");
      w.fd = listener;
    }
  }
  w.epoll = epoll_create1(EPOLL_CLOEXEC);
  epoll_event event{};
  event.events = EPOLLIN;
  Require(epoll_ctl(w.epoll, EPOLL_CTL_ADD, sockets[0], &event) == 0, "epoll_ctl");
  w.timeout_ms = 0;
  w.select_timeout = {0, 0};
  w.relative = {0, 1};
  clock_gettime(CLOCK_REALTIME, &w.absolute);
  w.absolute.tv_nsec = 0;
  if (!w.call.starts_with("pthread_cond") && !w.call.starts_with("cnd_")) w.absolute.tv_sec += 1000;
  if (w.call.starts_with("wait")) {
    w.child = fork();
    if (w.child == 0) _exit(3);
  }
  if (w.call.ends_with("join") || w.call.find("join_np") != std::string_view::npos) {
    Require(pthread_create(
                &w.thread, nullptr, [](void*) -> void* { return nullptr; }, nullptr) == 0,
            "pthread_create");
  }
  sigemptyset(&w.signals);
  if (w.call.starts_with("sigw") || w.call == "sigtimedwait") {
    sigaddset(&w.signals, SIGUSR1);
    sigprocmask(SIG_BLOCK, &w.signals, nullptr);
    raise(SIGUSR1);
  }
  w.message.msg_iov = &w.vector;
  w.message.msg_iovlen = 1;
  w.messages[0].msg_hdr = w.message;
  if (w.call.starts_with("pthread_cond")) pthread_mutex_lock(&w.mutex);
  mtx_init(&w.c_mutex, mtx_timed);
  cnd_init(&w.c_condition);
  if (w.call.starts_with("cnd_")) mtx_lock(&w.c_mutex);
  sem_init(&w.semaphore, 0, 1);
  pthread_barrier_init(&w.barrier, nullptr, 1);
  w.hints.ai_family = AF_INET;
  memcpy(w.bytes, "\x7f\0\0\1", 4);  // gethostbyaddr: a name that needs no network
}

// In which descriptors, paths, children and times are wrong.
void MakeItFail(World& w) {
  w.path = "/nonexistent/file";
  w.host = "256.256.256.256.";
  w.command = "exit 3";
  w.timeout_ms = 0;
  w.select_timeout = {0, -1};
  w.relative = {0, -1};
  w.absolute = {0, 2'000'000'000};
  w.child = getppid() > 1 ? getpid() : -1;
  w.thread = pthread_self();  // joining oneself is EDEADLK
  w.polled = {-1, POLLIN, 0};
  w.stream = fopen("/dev/full", "w");
  setvbuf(w.stream, nullptr, _IONBF, 0);
  sigemptyset(&w.signals);
  w.message.msg_iov = &w.vector;
  w.message.msg_iovlen = 1;
  w.messages[0].msg_hdr = w.message;
  pthread_mutexattr_t checking;
  pthread_mutexattr_init(&checking);
  pthread_mutexattr_settype(&checking, PTHREAD_MUTEX_ERRORCHECK);
  pthread_mutex_init(&w.mutex, &checking);
  if (w.call.starts_with("pthread_mutex")) pthread_mutex_lock(&w.mutex);  // EDEADLK
  if (w.call.find("rdlock") != std::string_view::npos) pthread_rwlock_wrlock(&w.rwlock);
  if (w.call.find("wrlock") != std::string_view::npos) pthread_rwlock_rdlock(&w.rwlock);
  sem_init(&w.semaphore, 0, 0);
  mtx_init(&w.c_mutex, mtx_timed);
  cnd_init(&w.c_condition);
  if (w.call == "mtx_timedlock") mtx_lock(&w.c_mutex);
  if (w.call.starts_with("cnd_")) mtx_lock(&w.c_mutex);
  pthread_barrier_init(&w.barrier, nullptr, 1);
  w.hints.ai_family = 12345;
}

// With wrong arguments these wait for ever or tell of the system's state.
bool FailsAtOnce(const World& w) {
  return !w.Is({"sync", "pause", "sigsuspend", "sigwait", "sigwaitinfo", "sem_wait", "cnd_wait",
                "pthread_cond_wait", "mtx_lock", "pthread_rwlock_wrlock", "sleep", "usleep",
                "thrd_join", "puts"});
}

bool SucceedsAtOnce(const World& w) {
  return !w.Is({"sync", "pause", "sigsuspend", "pthread_cond_wait", "cnd_wait", "puts"});
}

void MakeCall(const HookedCall& call, World& world, std::string_view how) {
  world.call = call.name;
  errno = kUntouched;
  const long result = call.make(world);
  PrintResult(call.name, how, call.name.starts_with("wait") && result > 0 ? 1 : result);
}

void MakeAllCalls(const std::string& directory) {
  for (const HookedCall& call : harm::HookedCalls()) {
    auto* good = new World;
    good->call = call.name;
    if (SucceedsAtOnce(*good)) {
      MakeItSucceed(*good, directory);
      MakeCall(call, *good, "right");
      unlink((directory + "/socket").c_str());
    }
    auto* bad = new World;
    bad->call = call.name;
    if (FailsAtOnce(*bad)) {
      MakeItFail(*bad);
      MakeCall(call, *bad, "wrong");
    }
    while (waitpid(-1, nullptr, 0) > 0) {
    }
  }
}

// ---- locks of every kind ----

pthread_mutex_t MutexOf(int type, int robust) {
  pthread_mutexattr_t attributes;
  pthread_mutexattr_init(&attributes);
  pthread_mutexattr_settype(&attributes, type);
  pthread_mutexattr_setrobust(&attributes, robust);
  pthread_mutex_t mutex;
  pthread_mutex_init(&mutex, &attributes);
  return mutex;
}

template <typename F>
void Show(const char* what, F call) {
  errno = kUntouched;
  const long result = call();
  PrintResult(what, "", result);
}

void TakeLocks() {
  const timespec past{1, 0};
  const timespec invalid{1, 2'000'000'000};

  pthread_mutex_t recursive = MutexOf(PTHREAD_MUTEX_RECURSIVE, PTHREAD_MUTEX_STALLED);
  for (int i = 0; i < 3; ++i) {
    Show("recursive mutex, lock", [&] { return pthread_mutex_lock(&recursive); });
  }
  for (int i = 0; i < 4; ++i) {
    Show("recursive mutex, unlock", [&] { return pthread_mutex_unlock(&recursive); });
  }

  pthread_mutex_t checking = MutexOf(PTHREAD_MUTEX_ERRORCHECK, PTHREAD_MUTEX_STALLED);
  Show("error-checking mutex, lock", [&] { return pthread_mutex_lock(&checking); });
  Show("error-checking mutex, again", [&] { return pthread_mutex_lock(&checking); });
  Show("error-checking mutex, timed", [&] { return pthread_mutex_timedlock(&checking, &past); });

  pthread_mutex_t robust = MutexOf(PTHREAD_MUTEX_NORMAL, PTHREAD_MUTEX_ROBUST);
  std::thread([&] { pthread_mutex_lock(&robust); }).join();
  Show("robust mutex, its owner is gone", [&] { return pthread_mutex_lock(&robust); });
  Show("robust mutex, unlock", [&] { return pthread_mutex_unlock(&robust); });
  Show("robust mutex, not recoverable", [&] { return pthread_mutex_lock(&robust); });

  pthread_mutex_t plain = PTHREAD_MUTEX_INITIALIZER;
  Show("free mutex, unknown clock",
       [&] { return pthread_mutex_clocklock(&plain, CLOCK_PROCESS_CPUTIME_ID, &past); });
  Show("free mutex, time passed", [&] { return pthread_mutex_timedlock(&plain, &past); });
  Show("taken mutex, time passed", [&] { return pthread_mutex_timedlock(&plain, &past); });
  Show("taken mutex, invalid time", [&] { return pthread_mutex_timedlock(&plain, &invalid); });

  pthread_rwlock_t lock = PTHREAD_RWLOCK_INITIALIZER;
  Show("free rwlock, invalid time", [&] { return pthread_rwlock_timedrdlock(&lock, &invalid); });
  Show("free rwlock, invalid time", [&] { return pthread_rwlock_timedwrlock(&lock, &invalid); });
  Show("free rwlock, unknown clock",
       [&] { return pthread_rwlock_clockrdlock(&lock, CLOCK_PROCESS_CPUTIME_ID, &past); });
  Show("free rwlock, unknown clock",
       [&] { return pthread_rwlock_clockwrlock(&lock, CLOCK_PROCESS_CPUTIME_ID, &past); });
  Show("rwlock, write", [&] { return pthread_rwlock_wrlock(&lock); });
  Show("rwlock, write again", [&] { return pthread_rwlock_wrlock(&lock); });
  Show("rwlock, read what I write", [&] { return pthread_rwlock_rdlock(&lock); });

  sem_t semaphore;
  sem_init(&semaphore, 0, 2);
  Show("semaphore, wait", [&] { return sem_wait(&semaphore); });
  Show("raised semaphore, invalid time", [&] { return sem_timedwait(&semaphore, &invalid); });
  Show("raised semaphore, unknown clock",
       [&] { return sem_clockwait(&semaphore, CLOCK_PROCESS_CPUTIME_ID, &past); });
  Show("raised semaphore, time passed", [&] { return sem_timedwait(&semaphore, &past); });
  Show("semaphore, time passed", [&] { return sem_timedwait(&semaphore, &past); });
  int value = -1;
  sem_getvalue(&semaphore, &value);
  printf("left in the semaphore: %d\n", value);
}

// POSIX: sem_wait acts on a pending cancellation though it need not wait.
void CancelAtARaisedSemaphore() {
  pthread_t thread;
  auto run = [](void*) -> void* {
    Loop loop;
    loop.RunOnceProven([] {
      sem_t semaphore;
      sem_init(&semaphore, 0, 1);
      pthread_cancel(pthread_self());
      sem_wait(&semaphore);
    });
    return nullptr;
  };
  pthread_create(&thread, nullptr, run, nullptr);
  void* result = nullptr;
  pthread_join(thread, &result);
  printf("sem_wait of a raised semaphore: %s\n",
         result == PTHREAD_CANCELED ? "cancelled" : "not cancelled");
}

}  // namespace

int main(int argc, char** argv) {
  Require(argc == 2, "usage: harm_errno DIRECTORY");
  setlinebuf(stdout);
  alarm(60);
  Loop loop;
  loop.RunOnceProven([&] {
    harm::BlockForTheReport();
    MakeAllCalls(argv[1]);
    TakeLocks();
  });
  CancelAtARaisedSemaphore();
  fflush(stdout);
  _exit(0);
}
