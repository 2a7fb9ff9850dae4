// Every row of blocking_calls.inc as something that a program can call: with
// arguments made from the types and names of its parameters, through the libc
// name that the hook replaces.
#pragma once

#include <arpa/inet.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <sys/epoll.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <threads.h>

#include <array>
#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "tests/programs/harm_loop.h"

namespace harm {

// What the arguments are made of. One World serves one call: it may consume
// what is here.
struct World {
  std::string_view call;  // whose turn it is
  int timeout_ms = -1;
  int fd = -1;   // to read from, to accept on, to sync ...
  int out = -1;  // to write to
  int epoll = -1;
  std::string path;  // to open, rename, ...
  std::string host = "127.0.0.1";
  std::string command = "true";
  FILE* stream = nullptr;
  pid_t child = -1;    // to wait for
  pthread_t thread{};  // to join
  timespec relative{1000, 0};
  timespec absolute{};
  timeval select_timeout{1000, 0};

  pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
  pthread_cond_t condition = PTHREAD_COND_INITIALIZER;
  pthread_rwlock_t rwlock = PTHREAD_RWLOCK_INITIALIZER;
  pthread_barrier_t barrier{};
  sem_t semaphore{};
  mtx_t c_mutex{};
  cnd_t c_condition{};

  // Room for results and inputs.
  char bytes[256] = {};
  iovec vector{bytes, 1};
  msghdr message{};
  mmsghdr messages[1] = {};
  sockaddr_un address{};
  socklen_t address_bytes = sizeof address;
  pollfd polled{};
  sigset_t signals{};
  struct flock file_lock{};
  addrinfo hints{};
  addrinfo* addresses = nullptr;
  hostent host_entry{};
  hostent* host_result = nullptr;
  int number = 0;
  siginfo_t signal_info{};
  rusage usage{};
  off_t offset = 0;
  char* line = nullptr;
  size_t line_bytes = 0;
  void* thread_result = nullptr;
  char* arguments[2] = {bytes, nullptr};
  va_list no_arguments{};

  bool Is(std::initializer_list<const char*> names) const {
    for (const char* name : names) {
      if (call == name) return true;
    }
    return false;
  }
};

namespace internal {

// Of: a value for a parameter of that type and name. A va_list cannot be named
// as a template argument without a warning, so it is the type left over.
template <typename T>
struct Argument {
  static T Of(World& w, std::string_view) { return w.no_arguments; }
};

template <>
struct Argument<int> {
  static int Of(World& w, std::string_view name) {
    if (name == "fd" || name == "from") return w.fd;
    if (name == "to") return w.out;
    if (name == "dir" || name == "d" || name == "e") return AT_FDCWD;
    if (name == "timeout") return w.timeout_ms;
    if (name == "pid") return w.child;
    if (name == "af" || name == "type") return AF_INET;
    if (name == "clock") return w.Is({"clock_nanosleep"}) ? CLOCK_MONOTONIC : CLOCK_REALTIME;
    if (name == "command") return w.Is({"lockf", "lockf64"}) ? F_LOCK : F_SETLKW;
    if (name == "operation") return LOCK_SH;
    if (name == "delimiter") return '\n';
    if (name == "c") return 'x';
    if (name == "n")
      return w.Is({"fgets", "__fgets_chk"}) ? 2 : w.Is({"select", "pselect"}) ? 0 : 1;
    if (name == "flags") return w.call == "waitid" ? WEXITED : w.call == "msync" ? MS_SYNC : 0;
    return 0;
  }
};

template <>
struct Argument<unsigned> {
  static unsigned Of(World& w, std::string_view name) {
    if (name == "id") return static_cast<unsigned>(w.child);
    if (name == "s") return static_cast<unsigned>(w.relative.tv_sec);
    if (name == "us") return static_cast<unsigned>(w.relative.tv_sec * 1'000'000);
    if (name == "a" || name == "flags") return 0;
    if (name == "n" && w.Is({"connect", "getnameinfo"})) return w.address_bytes;
    if (name == "n" || name == "l") return w.Is({"sendmmsg", "recvmmsg"}) ? 1 : 4;
    if (name == "hn") return 64;
    return 0;  // mode, an, sn
  }
};

template <>
struct Argument<unsigned long> {  // size_t, nfds_t, pthread_t, thrd_t
  static unsigned long Of(World& w, std::string_view name) {
    if (name == "t") return w.thread;
    if (name == "room") return sizeof w.bytes;
    if (name == "n" && w.call.starts_with("gethostby")) return sizeof w.bytes;
    return 1;
  }
};

template <>
struct Argument<long> {  // off_t
  static long Of(World&, std::string_view name) { return name == "n" ? 1 : 0; }
};

template <>
struct Argument<const char*> {
  static const char* Of(World& w, std::string_view name) {
    if (name == "node" || name == "name") return w.host.c_str();
    if (name == "service") return "80";
    if (name == "mode") return "r";
    if (name == "command") return w.command.c_str();
    if (name == "s" || name == "format") return "x";
    if (w.call.starts_with("posix_spawn")) return "/bin/true";
    return w.path.c_str();
  }
};

template <>
struct Argument<char*> {
  static char* Of(World& w, std::string_view name) { return name == "service" ? nullptr : w.bytes; }
};

template <>
struct Argument<void*> {
  static void* Of(World& w, std::string_view name) {
    if (name == "argument") return &w.file_lock;
    return w.bytes;
  }
};

template <>
struct Argument<const void*> {
  static const void* Of(World& w, std::string_view) { return w.bytes; }
};

template <>
struct Argument<timespec*> {
  static timespec* Of(World&, std::string_view) { return nullptr; }
};

template <>
struct Argument<const timespec*> {
  static const timespec* Of(World& w, std::string_view name) {
    return name == "until" ? &w.absolute : &w.relative;
  }
};

template <>
struct Argument<sockaddr*> {
  static sockaddr* Of(World&, std::string_view) { return nullptr; }
};

template <>
struct Argument<const sockaddr*> {
  static const sockaddr* Of(World& w, std::string_view) {
    return w.Is({"sendto"}) ? nullptr : reinterpret_cast<const sockaddr*>(&w.address);
  }
};

#define HARM_ARGUMENT(type, value)                                                \
  template <>                                                                     \
  struct Argument<type> {                                                         \
    static type Of([[maybe_unused]] World& w, std::string_view) { return value; } \
  };
HARM_ARGUMENT(FILE*, w.stream)
HARM_ARGUMENT(idtype_t, P_PID)
HARM_ARGUMENT(int*, &w.number)
HARM_ARGUMENT(unsigned*, nullptr)
HARM_ARGUMENT(long*, nullptr)
HARM_ARGUMENT(const iovec*, &w.vector)
HARM_ARGUMENT(msghdr*, &w.message)
HARM_ARGUMENT(const msghdr*, &w.message)
HARM_ARGUMENT(mmsghdr*, w.messages)
HARM_ARGUMENT(const addrinfo*, &w.hints)
HARM_ARGUMENT(addrinfo**, &w.addresses)
HARM_ARGUMENT(hostent*, &w.host_entry)
HARM_ARGUMENT(hostent**, &w.host_result)
HARM_ARGUMENT(char**, &w.line)
HARM_ARGUMENT(size_t*, &w.line_bytes)
HARM_ARGUMENT(char* const*, w.arguments)
HARM_ARGUMENT(void**, &w.thread_result)
HARM_ARGUMENT(pollfd*, &w.polled)
HARM_ARGUMENT(fd_set*, nullptr)
HARM_ARGUMENT(timeval*, &w.select_timeout)
HARM_ARGUMENT(const sigset_t*, &w.signals)
HARM_ARGUMENT(siginfo_t*, &w.signal_info)
HARM_ARGUMENT(rusage*, &w.usage)
HARM_ARGUMENT(const posix_spawn_file_actions_t*, nullptr)
HARM_ARGUMENT(const posix_spawnattr_t*, nullptr)
HARM_ARGUMENT(pthread_mutex_t*, &w.mutex)
HARM_ARGUMENT(pthread_cond_t*, &w.condition)
HARM_ARGUMENT(pthread_rwlock_t*, &w.rwlock)
HARM_ARGUMENT(pthread_barrier_t*, &w.barrier)
HARM_ARGUMENT(sem_t*, &w.semaphore)
HARM_ARGUMENT(mtx_t*, &w.c_mutex)
HARM_ARGUMENT(cnd_t*, &w.c_condition)
#undef HARM_ARGUMENT

// "(int fd, void* b)" and 1: "b".
inline std::string_view ParameterName(std::string_view list, size_t index) {
  for (; index > 0; --index) list.remove_prefix(list.find(',') + 1);
  list = list.substr(0, list.find_first_of(",)"));
  return list.substr(list.find_last_of(" *&") + 1);
}

// The result as something to print: pointers only say whether there is one.
template <typename R>
long Printable(R result) {
  if constexpr (std::is_pointer_v<R>) {
    return result != nullptr;
  } else {
    return static_cast<long>(result);
  }
}

template <typename R, typename... A, size_t... I>
long CallWith(R (*function)(A...), std::string_view parameters, World& world,
              std::index_sequence<I...>) {
  if constexpr (std::is_void_v<R>) {
    function(Argument<A>::Of(world, ParameterName(parameters, I))...);
    return 0;
  } else {
    return Printable(function(Argument<A>::Of(world, ParameterName(parameters, I))...));
  }
}

template <typename R, typename... A>
long CallWith(R (*function)(A...), std::string_view parameters, World& world) {
  return CallWith(function, parameters, world, std::index_sequence_for<A...>{});
}

// As the hooks do: under another C++ name, so that libc's own declarations (or
// their absence: __read_chk) do not matter.
#define HARM_DECLARE(result, name, params) extern "C" result harm_##name params __asm__(#name);
#define LOOPSAN_CALL(category, result, name, params, ...) HARM_DECLARE(result, name, params)
#define LOOPSAN_VERSIONED(version, category, result, name, params, ...) \
  HARM_DECLARE(result, name, params)
#define LOOPSAN_LOCK(result, name, params, ...) HARM_DECLARE(result, name, params)
#define LOOPSAN_SEMAPHORE LOOPSAN_LOCK
#define LOOPSAN_OWN(category, name, ...) inline long Own_##name(World& w);
#include "instrument/blocking_calls.inc"
#undef LOOPSAN_CALL
#undef LOOPSAN_VERSIONED
#undef LOOPSAN_LOCK
#undef LOOPSAN_SEMAPHORE
#undef LOOPSAN_OWN

inline epoll_event g_events[2];
inline long Own_close(World& w) { return close(dup(w.fd)); }
inline long Own_epoll_wait(World& w) { return epoll_wait(w.epoll, g_events, 1, w.timeout_ms); }
inline long Own_epoll_pwait(World& w) {
  return epoll_pwait(w.epoll, g_events, 1, w.timeout_ms, nullptr);
}
inline long Own_epoll_pwait2(World& w) {
  const timespec timeout{0, 0};
  return epoll_pwait2(w.epoll, g_events, 1, w.timeout_ms < 0 ? nullptr : &timeout, nullptr);
}

}  // namespace internal

struct HookedCall {
  std::string_view name;
  long (*make)(World&);
};

inline const std::vector<HookedCall>& HookedCalls() {
  static const std::vector<HookedCall> calls = {
#define HARM_ROW(name, params) \
  {#name, [](World& w) { return internal::CallWith(internal::harm_##name, #params, w); }},
#define LOOPSAN_CALL(category, result, name, params, ...) HARM_ROW(name, params)
#define LOOPSAN_VERSIONED(version, category, result, name, params, ...) HARM_ROW(name, params)
#define LOOPSAN_LOCK(result, name, params, ...) HARM_ROW(name, params)
#define LOOPSAN_SEMAPHORE LOOPSAN_LOCK
#define LOOPSAN_OWN(category, name, ...) {#name, internal::Own_##name},
#include "instrument/blocking_calls.inc"
#undef LOOPSAN_CALL
#undef LOOPSAN_VERSIONED
#undef LOOPSAN_LOCK
#undef LOOPSAN_SEMAPHORE
#undef LOOPSAN_OWN
#undef HARM_ROW
  };
  return calls;
}

}  // namespace harm
