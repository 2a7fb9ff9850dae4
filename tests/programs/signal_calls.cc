// Intent: calls that a signal handler with SA_RESTART would make return EINTR are
// made on a loop thread while sampling signals rain on it; each lasts as long
// and gives the same as without. With "alarms", the program's own alarm, without
// SA_RESTART, ends them: it does every time.
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <semaphore.h>
#include <signal.h>
#include <string.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <ucontext.h>

#include <iterator>

#include "tests/programs/signal_loop.h"

using signal_victim::BusyLoop;
using signal_victim::Compute;
using signal_victim::Nanoseconds;
using signal_victim::Require;

namespace {

constexpr int64_t kMillisecond = 1'000'000;

volatile sig_atomic_t g_go = 0;
volatile sig_atomic_t g_interrupted = 0;  // alarms that ended a system call

void CountAlarm(int, siginfo_t*, void* context) {
  const auto& registers = static_cast<ucontext_t*>(context)->uc_mcontext.gregs;
  const auto* code = reinterpret_cast<const unsigned char*>(registers[REG_RIP]);
  if (registers[REG_RAX] == -EINTR && code[-2] == 0x0f && code[-1] == 0x05) {
    g_interrupted = g_interrupted + 1;
  }
}

timespec Span(int64_t nanoseconds) {
  return {nanoseconds / 1'000'000'000, nanoseconds % 1'000'000'000};
}

timespec Deadline(clockid_t clock, int64_t nanoseconds) {
  timespec now;
  clock_gettime(clock, &now);
  return Span(now.tv_sec * 1'000'000'000LL + now.tv_nsec + nanoseconds);
}

// Descriptors on which nothing happens for as long as anybody waits.
struct Silence {
  Silence() {
    Require(socketpair(AF_UNIX, SOCK_STREAM, 0, sockets) == 0, "socketpair");
    epoll = epoll_create1(0);
    epoll_event event{};
    event.events = EPOLLIN;
    epoll_ctl(epoll, EPOLL_CTL_ADD, sockets[1], &event);
    sem_init(&semaphore, 0, 0);
    listener = socket(AF_UNIX, SOCK_STREAM, 0);
    address.sun_family = AF_UNIX;
    snprintf(address.sun_path + 1, sizeof address.sun_path - 1, "loopsan-test-%d", getpid());
    Require(bind(listener, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0, "bind");
    Require(listen(listener, 0) == 0, "listen");
    full = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
    while (send(sockets[1], buffer, sizeof buffer, MSG_DONTWAIT) > 0) {
    }
    // sockets[1] is full towards sockets[0], from which nobody reads; the other
    // direction, of sockets[1], stays empty.
    silent = sockets[1];
  }

  void LimitWaits(int64_t nanoseconds) {
    const timeval limit{0, nanoseconds / 1000};
    for (const int fd : {sockets[1], listener}) {
      setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
      setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
    }
    limit_ = limit;
  }

  // One connection waits to be accepted: a second connect has to wait.
  int Connect() {
    if (!occupied_) {
      occupied_ = true;
      Require(connect(full, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0, "connect");
    }
    const int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit_, sizeof limit_);
    const int result = connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address);
    const int error = errno;
    close(fd);
    errno = error;
    return result;
  }

  int sockets[2];
  int silent = -1;
  int full = -1;
  int listener = -1;
  int epoll = -1;
  sem_t semaphore;
  sockaddr_un address{};
  char buffer[4096] = {};

 private:
  timeval limit_{};
  bool occupied_ = false;
};

Silence& TheSilence() {
  static Silence silence;
  return silence;
}

// What a call gives when its time is over: result and errno.
struct Case {
  const char* name;
  int64_t (*call)(int64_t nanoseconds);
  int64_t result;
  int error;
  bool exact;                  // lasts at least as long as asked; socket timeouts count in ticks
  bool returns_error = false;  // EINTR is the result itself
};

const Case kCases[] = {
    {"usleep", [](int64_t t) -> int64_t { return usleep(static_cast<useconds_t>(t / 1000)); }, 0, 0,
     true},
    {"nanosleep",
     [](int64_t t) -> int64_t {
       const timespec span = Span(t);
       timespec rest{7, 7};
       const int result = nanosleep(&span, &rest);
       if (result == 0 && (rest.tv_sec != 7 || rest.tv_nsec != 7)) return -2;  // untouched
       return result;
     },
     0, 0, true},
    {"clock_nanosleep",
     [](int64_t t) -> int64_t {
       const timespec span = Span(t);
       return clock_nanosleep(CLOCK_MONOTONIC, 0, &span, nullptr);
     },
     0, 0, true, true},
    {"clock_nanosleep until",
     [](int64_t t) -> int64_t {
       const timespec until = Deadline(CLOCK_MONOTONIC, t);
       return clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, nullptr);
     },
     0, 0, true, true},
    {"poll",
     [](int64_t t) -> int64_t {
       pollfd fd{TheSilence().silent, POLLIN, 0};
       return poll(&fd, 1, static_cast<int>(t / kMillisecond));
     },
     0, 0, true},
    {"ppoll",
     [](int64_t t) -> int64_t {
       pollfd fd{TheSilence().silent, POLLIN, 0};
       const timespec span = Span(t);
       return ppoll(&fd, 1, &span, nullptr);
     },
     0, 0, true},
    {"select",
     [](int64_t t) -> int64_t {
       timeval span{0, t / 1000};
       fd_set readable;
       FD_ZERO(&readable);
       FD_SET(TheSilence().silent, &readable);
       const int result = select(TheSilence().silent + 1, &readable, nullptr, nullptr, &span);
       if (result == 0 && (span.tv_sec != 0 || span.tv_usec != 0)) return -2;
       return result;
     },
     0, 0, true},
    {"pselect",
     [](int64_t t) -> int64_t {
       const timespec span = Span(t);
       return pselect(0, nullptr, nullptr, nullptr, &span, nullptr);
     },
     0, 0, true},
    {"epoll_wait",
     [](int64_t t) -> int64_t {
       epoll_event event;
       return epoll_wait(TheSilence().epoll, &event, 1, static_cast<int>(t / kMillisecond));
     },
     0, 0, true},
    {"epoll_pwait",
     [](int64_t t) -> int64_t {
       epoll_event event;
       return epoll_pwait(TheSilence().epoll, &event, 1, static_cast<int>(t / kMillisecond),
                          nullptr);
     },
     0, 0, true},
    {"epoll_pwait2",
     [](int64_t t) -> int64_t {
       epoll_event event;
       const timespec span = Span(t);
       return epoll_pwait2(TheSilence().epoll, &event, 1, &span, nullptr);
     },
     0, 0, true},
    {"sem_timedwait",
     [](int64_t t) -> int64_t {
       const timespec until = Deadline(CLOCK_REALTIME, t);
       return sem_timedwait(&TheSilence().semaphore, &until);
     },
     -1, ETIMEDOUT, false},
    {"sem_clockwait",
     [](int64_t t) -> int64_t {
       const timespec until = Deadline(CLOCK_MONOTONIC, t);
       return sem_clockwait(&TheSilence().semaphore, CLOCK_MONOTONIC, &until);
     },
     -1, ETIMEDOUT, true},
    {"recv",
     [](int64_t) -> int64_t { return recv(TheSilence().silent, TheSilence().buffer, 1, 0); }, -1,
     EAGAIN, false},
    {"recvfrom",
     [](int64_t) -> int64_t {
       return recvfrom(TheSilence().silent, TheSilence().buffer, 1, 0, nullptr, nullptr);
     },
     -1, EAGAIN, false},
    {"recvmsg",
     [](int64_t) -> int64_t {
       msghdr message{};
       return recvmsg(TheSilence().silent, &message, 0);
     },
     -1, EAGAIN, false},
    {"read of a socket with a timeout",
     [](int64_t) -> int64_t { return read(TheSilence().silent, TheSilence().buffer, 1); }, -1,
     EAGAIN, false},
    {"send",
     [](int64_t) -> int64_t { return send(TheSilence().silent, TheSilence().buffer, 4096, 0); }, -1,
     EAGAIN, false},
    {"accept", [](int64_t) -> int64_t { return accept(TheSilence().listener, nullptr, nullptr); },
     -1, EAGAIN, false},
    {"connect", [](int64_t) -> int64_t { return TheSilence().Connect(); }, -1, EAGAIN, false},
    {"sigtimedwait",
     [](int64_t t) -> int64_t {
       sigset_t set;
       sigemptyset(&set);
       sigaddset(&set, SIGUSR2);
       const timespec span = Span(t);
       return sigtimedwait(&set, nullptr, &span);
     },
     -1, EAGAIN, true},
};

int g_failures = 0;

void Fail(const Case& row, int64_t result, int error, int64_t lasted) {
  ++g_failures;
  printf("%s gave %lld (%s) after %lld us\n", row.name, static_cast<long long>(result),
         strerror(error), static_cast<long long>(lasted / 1000));
}

// The call lasts its time.
void CallUndisturbed(const Case& row, int64_t asked) {
  errno = 0;
  const int64_t start = Nanoseconds();
  const int64_t result = row.call(asked);
  const int error = errno;
  const int64_t lasted = Nanoseconds() - start;
  if (result != row.result || error != row.error || (row.exact && lasted < asked)) {
    Fail(row, result, error, lasted);
  }
}

// An alarm that ends the system call ends the call. One comes before or behind
// it where the machine is busy; true if this one came in time.
bool CallUntilAlarm(const Case& row) {
  const int before = g_interrupted;
  const itimerval alarm{{0, 0}, {0, 1500}};
  setitimer(ITIMER_REAL, &alarm, nullptr);
  Compute(20'000);
  errno = 0;
  const int64_t result = row.call(100 * kMillisecond);
  const int error = errno;
  const bool ended = row.returns_error ? result == EINTR : result == -1 && error == EINTR;
  const bool interrupted = g_interrupted != before;
  if (ended != interrupted) {
    Fail(row, result, error, 0);
  }
  return interrupted;
}

void CallSleep() {
  const int64_t start = Nanoseconds();
  const unsigned left = sleep(1);
  if (left != 0 || Nanoseconds() - start < 1'000'000'000) {
    ++g_failures;
    printf("sleep left %u\n", left);
  }
}

}  // namespace

int main(int argc, char** argv) {
  const bool alarms = argc > 1 && strcmp(argv[1], "alarms") == 0;
  const int times = 100;
  struct sigaction action{};
  action.sa_sigaction = CountAlarm;
  action.sa_flags = SA_SIGINFO;
  sigaction(SIGALRM, &action, nullptr);
  signal(SIGUSR1, [](int) { g_go = 1; });  // the rain has begun
  TheSilence().LimitWaits(alarms ? 100 * kMillisecond : 8 * kMillisecond);
  puts("looping");
  fflush(stdout);

  BusyLoop loop;
  const Case* row = std::begin(kCases);
  int made = 0;
  int in_time = 0;
  loop.Run([&] {
    Compute(100'000);
    if (g_go == 0) return true;
    if (row == std::end(kCases)) {
      if (!alarms) CallSleep();
      return false;
    }
    if (alarms) {
      in_time += CallUntilAlarm(*row);
    } else {
      CallUndisturbed(*row, 4 * kMillisecond);
    }
    if (++made % times == 0) ++row;
    return true;
  });
  if (alarms && in_time < made * 3 / 4) {
    ++g_failures;
    printf("only %d of %d alarms came in time\n", in_time, made);
  }
  printf("%d failures\n", g_failures);
  return g_failures == 0 ? 0 : 1;
}
