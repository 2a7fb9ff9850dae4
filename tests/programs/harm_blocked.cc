// Intent: a thread that is cancelled or interrupted in a hooked call sees the
// same of it, watched or not: its destructors and cleanup handlers run, its EINTR
// comes through, what the kernel restarts is restarted.
//
// Usage: harm_blocked DIRECTORY loop|thread WHAT FIRST COUNT: for the calls of
// blocking_calls.inc from a position on, each on a thread of its own, in a step
// of a loop or not. WHAT is
//
//   cancel     cancelled while it is blocked
//   cancelled  with the cancellation pending before the call
//   signal     interrupted by a signal, SA_RESTART not set
//   restart    interrupted by a signal, SA_RESTART set
//
// Prints what became of each.
#include "tests/programs/harm_calls.h"

#include <atomic>
#include <memory>
#include <thread>

namespace {

using harm::HookedCall;
using harm::Loop;
using harm::Require;
using harm::World;

void* WaitForever(void*) {
  for (;;) pause();
}

void ConnectToAFullQueue(World& w, const std::string& directory) {
  const int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  w.address.sun_family = AF_UNIX;
  snprintf(w.address.sun_path, sizeof w.address.sun_path, "%s/listener", directory.c_str());
  const auto* address = reinterpret_cast<const sockaddr*>(&w.address);
  Require(bind(listener, address, sizeof w.address) == 0, "bind");
  Require(listen(listener, 0) == 0, "listen");
  const int first = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  Require(connect(first, address, sizeof w.address) == 0, "connect");
  w.fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
}

bool IsLock(const World& w) {
  return w.call.starts_with("pthread_mutex") || w.call.starts_with("pthread_rwlock") ||
         w.call.starts_with("mtx") || w.call == "pthread_barrier_wait";
}

void TakeLocks(World& w) {
  pthread_mutex_lock(&w.mutex);
  pthread_rwlock_wrlock(&w.rwlock);
  mtx_lock(&w.c_mutex);
}

void ReleaseLocks(World& w) {
  pthread_mutex_unlock(&w.mutex);
  pthread_rwlock_unlock(&w.rwlock);
  mtx_unlock(&w.c_mutex);
  if (w.call == "pthread_barrier_wait") pthread_barrier_wait(&w.barrier);
}

// In which every call blocks that can.
void MakeItBlock(World& w, const std::string& directory) {
  int sockets[2];
  Require(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets) == 0, "socketpair");
  w.fd = sockets[0];
  int full[2];
  Require(pipe2(full, O_CLOEXEC | O_NONBLOCK) == 0, "pipe2");
  const char filler[4096] = {};
  while (write(full[1], filler, sizeof filler) > 0) {
  }
  Require(fcntl(full[1], F_SETFL, 0) == 0, "fcntl");
  int fresh[2];
  Require(pipe2(fresh, O_CLOEXEC) == 0, "pipe2");
  w.out = fresh[1];
  if (w.Is({"write", "writev"})) w.fd = full[1];
  if (w.Is({"send", "sendto", "sendmsg", "sendmmsg"})) {
    while (send(w.fd, filler, sizeof filler, MSG_DONTWAIT) > 0) {
    }
  }
  if (w.Is({"accept", "accept4"})) {
    w.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    Require(listen(w.fd, 1) == 0, "listen");
  }
  int empty[2];
  Require(pipe2(empty, O_CLOEXEC) == 0, "pipe2");
  if (w.call == "splice") w.fd = empty[0];
  if (w.call.starts_with("sendfile")) w.fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
  if (w.Is({"fputs", "fputc", "fwrite", "fflush", "vfprintf", "__vfprintf_chk"})) {
    w.stream = fdopen(full[1], "w");
    if (w.call == "fflush") {
      Require(fputc('x', w.stream) == 'x', "fputc");
    } else {
      setvbuf(w.stream, nullptr, _IONBF, 0);
    }
  } else {
    w.stream = fdopen(dup(sockets[0]), "r");
  }
  w.path = directory + "/fifo";
  Require(mkfifo(w.path.c_str(), 0600) == 0 || errno == EEXIST, "mkfifo");
  w.epoll = epoll_create1(EPOLL_CLOEXEC);
  w.polled = {sockets[0], POLLIN, 0};
  clock_gettime(CLOCK_REALTIME, &w.absolute);
  w.absolute.tv_sec += 1000;
  if (w.call.starts_with("wait")) {
    w.child = fork();
    if (w.child == 0) {
      alarm(1000);
      for (;;) pause();
    }
  }
  if (w.call.ends_with("join") || w.call.find("join_np") != std::string_view::npos) {
    Require(pthread_create(&w.thread, nullptr, WaitForever, nullptr) == 0, "pthread_create");
  }
  sigemptyset(&w.signals);
  w.message.msg_iov = &w.vector;
  w.message.msg_iovlen = 1;
  w.messages[0].msg_hdr = w.message;
  if (w.call == "connect") ConnectToAFullQueue(w, directory);
  if (w.call == "system") w.command = "exec cat " + w.path;
  memcpy(w.bytes, "\x7f\0\0\1", 4);  // gethostbyaddr: a name that needs no network
  if (w.call.starts_with("pthread_cond")) pthread_mutex_lock(&w.mutex);
  mtx_init(&w.c_mutex, mtx_timed);
  cnd_init(&w.c_condition);
  if (w.call.starts_with("cnd_")) mtx_lock(&w.c_mutex);
  sem_init(&w.semaphore, 0, 0);
  pthread_barrier_init(&w.barrier, nullptr, 2);
  if (IsLock(w)) TakeLocks(w);
  w.hints.ai_family = AF_INET;
}

struct Victim {
  const HookedCall* call;
  bool in_a_step;
  bool cancelled_before;
  World world;
  std::atomic<pid_t> tid{0};
  std::atomic<bool> calling{false};
  std::atomic<bool> done{false};
  bool returned = false;
  long result = 0;
  int error = 0;
  int destructors = 0;
  int handlers = 0;
};

struct Counted {
  int& count;
  ~Counted() { ++count; }
};

void NoteHandler(void* victim) { ++static_cast<Victim*>(victim)->handlers; }

[[gnu::noinline]] void MakeCall(Victim& victim) {
  const Counted counted{victim.destructors};
  pthread_cleanup_push(NoteHandler, &victim);
  victim.tid = gettid();
  if (victim.cancelled_before) pthread_cancel(pthread_self());
  victim.calling = true;
  errno = 0;
  victim.result = victim.call->make(victim.world);
  victim.error = errno;
  victim.returned = true;
  victim.done = true;
  for (;;) pause();
  pthread_cleanup_pop(0);
}

void* Run(void* data) {
  auto& victim = *static_cast<Victim*>(data);
  const Counted counted{victim.destructors};
  if (victim.in_a_step) {
    // Its destructor is a hooked close() while the thread unwinds.
    const auto loop = std::make_unique<Loop>();
    loop->RunOnceProven([&] { MakeCall(victim); });
  } else {
    MakeCall(victim);
  }
  return nullptr;
}

std::atomic<int> g_signals{0};
void CountSignal(int) { ++g_signals; }

void HandleSignals(int flags) {
  struct sigaction action{};
  action.sa_handler = CountSignal;
  action.sa_flags = flags;
  sigaction(SIGUSR2, &action, nullptr);
}

// Waits for something that may never come, as the kernel says. One that waits for
// a disk ('D') is about to go on, and no signal interrupts it.
bool IsBlocked(pid_t tid) {
  char path[64];
  snprintf(path, sizeof path, "/proc/self/task/%d/stat", tid);
  char text[256] = {};
  const int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return false;
  const ssize_t bytes = read(fd, text, sizeof text - 1);
  close(fd);
  const char* const name_end = bytes > 0 ? strrchr(text, ')') : nullptr;
  return name_end != nullptr && strncmp(name_end, ") S ", 4) == 0;
}

// At several looks, each with a turn of the processor in between.
void WaitUntilBlockedOrDone(const Victim& victim) {
  for (int seen = 0; !victim.done && seen < 3;) {
    seen = victim.calling && IsBlocked(victim.tid) ? seen + 1 : 0;
    sched_yield();
  }
}

void Interrupt(const Victim& victim, pthread_t thread) {
  const int before = g_signals;
  pthread_kill(thread, SIGUSR2);
  while (g_signals == before) sched_yield();
  WaitUntilBlockedOrDone(victim);
}

// Flushing every disk of the machine blocks for as long as others write. Those
// that start a process may or may not be seen waiting for its exec.
bool IsLeftOut(const HookedCall& call, std::string_view what) {
  if (call.name == "sync") return true;
  const bool starts = call.name == "popen" || call.name.starts_with("posix_spawn");
  return starts && !what.starts_with("cancel");
}

FILE* g_results;  // puts() has the standard output

// Of an interrupted sleep(1000) 999 seconds are left, or 1000: the kernel lets a timer
// be late by its slack, and counts that as time left.
long StableResult(const Victim& victim) {
  const bool almost_all = victim.call->name == "sleep" && victim.result == 1000;
  return almost_all ? 999 : victim.result;
}

void Try(const HookedCall& call, bool in_a_step, std::string_view what,
         const std::string& directory) {
  if (IsLeftOut(call, what)) return;
  // Never freed: a cancelled stream or lock may be in any state.
  auto* victim = new Victim{&call, in_a_step, what == "cancelled", {}};
  victim->world.call = call.name;
  MakeItBlock(victim->world, directory);
  pthread_t thread;
  Require(pthread_create(&thread, nullptr, Run, victim) == 0, "pthread_create");
  if (!victim->cancelled_before) WaitUntilBlockedOrDone(*victim);
  fprintf(g_results, "%.*s: ", static_cast<int>(call.name.size()), call.name.data());
  if (what == "signal" || what == "restart") {
    const bool was_blocked = !victim->done;
    Interrupt(*victim, thread);
    if (!victim->done) {
      fprintf(g_results, "goes on");
    } else if (!was_blocked) {
      fprintf(g_results, "not blocked");
    } else {
      fprintf(g_results, "%ld, errno %d", StableResult(*victim), victim->error);
    }
  }
  if (!victim->cancelled_before) pthread_cancel(thread);
  // The thread that took them gives them back: they cannot be cancelled.
  if (IsLock(victim->world)) ReleaseLocks(victim->world);
  void* result = nullptr;
  Require(pthread_join(thread, &result) == 0, "pthread_join");
  if (what.starts_with("cancel")) {
    fprintf(g_results, "%s, %s", result == PTHREAD_CANCELED ? "cancelled" : "not cancelled",
            victim->returned ? "behind the call" : "in the call");
  }
  fprintf(g_results, "; %d destructors, %d handlers\n", victim->destructors, victim->handlers);
  if (victim->world.child > 0) kill(victim->world.child, SIGKILL);
  // Also those of popen() and posix_spawn(): a later wait() must find its own.
  while (waitpid(-1, nullptr, 0) > 0) {
  }
  unlink((directory + "/listener").c_str());
}

}  // namespace

int main(int argc, char** argv) {
  Require(argc == 6, "usage: harm_blocked DIRECTORY loop|thread WHAT FIRST COUNT");
  alarm(60);
  g_results = fdopen(dup(STDOUT_FILENO), "w");
  setlinebuf(g_results);
  Require(freopen("/dev/null", "w", stdout) != nullptr, "freopen");
  harm::LoopThatBlocksOnce();
  const std::string_view what = argv[3];
  HandleSignals(what == "restart" ? SA_RESTART : 0);
  const auto& calls = harm::HookedCalls();
  const size_t first = static_cast<size_t>(atoi(argv[4]));
  for (size_t i = first; i < first + static_cast<size_t>(atoi(argv[5])) && i < calls.size(); ++i) {
    Try(calls[i], std::string_view(argv[2]) == "loop", what, argv[1]);
  }
  _exit(0);
}
