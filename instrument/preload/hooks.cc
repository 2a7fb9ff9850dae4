// The hooks, expanded from instrument/blocking_calls.inc.
//
// Each hook has a C++ name of its own and the libc name as its assembler label:
// libc's declarations carry attributes and exception specifications that a
// second definition would have to repeat, and a noexcept hook would abort the
// program when a cancelled thread unwinds through it.
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <threads.h>

#include "instrument/preload/call_ids.h"
#include "instrument/preload/hook.h"

namespace loopsan::probe {
namespace {

struct KeptArguments {
  uint64_t first;
  uint64_t second;
};
[[maybe_unused]] constexpr KeptArguments None{0, 0};
inline KeptArguments Fd(int fd) { return {static_cast<uint64_t>(fd), 0}; }
inline KeptArguments Path(const char* path) { return {reinterpret_cast<uint64_t>(path), 0}; }
inline KeptArguments Text(const char* text) { return Path(text); }
inline KeptArguments Host(const char* text) { return Path(text); }
inline KeptArguments Address(int fd, const sockaddr* address, socklen_t bytes) {
  return {static_cast<uint64_t>(fd), bytes > sizeof(sa_family_t) ? PackAddress(address, bytes) : 0};
}
inline KeptArguments Seconds(const timespec*) { return {0, 0}; }
inline KeptArguments Whole(uint64_t seconds) { return {seconds * 1'000'000'000ULL, 0}; }
inline KeptArguments Micro(uint64_t microseconds) { return {microseconds * 1'000ULL, 0}; }

// How to come to a lock without reading the clock if it is free.
enum class Approach {
  kTry,
  kPass,  // straight to the real call, which will not wait
  kWait,
};

// pthread_mutex_trylock of glibc 2.36 keeps a robust mutex that is not
// recoverable locked when it refuses it, and everybody else then hangs.
inline Approach ApproachOf(const pthread_mutex_t* mutex) {
  constexpr int kRobust = 16;             // PTHREAD_MUTEX_ROBUST_NORMAL_NP inside glibc
  constexpr int kOwnerBits = 0x3fffffff;  // FUTEX_TID_MASK
  if ((mutex->__data.__kind & kRobust) == 0) return Approach::kTry;
  return (mutex->__data.__lock & kOwnerBits) == 0 ? Approach::kPass : Approach::kWait;
}
inline Approach ApproachOf(const pthread_rwlock_t*) { return Approach::kTry; }

// The real calls look at the clock, and all but those on mutexes at the time,
// before they look at the lock; a try would take it where they refuse.
inline bool IsClock(clockid_t clock) { return clock == CLOCK_REALTIME || clock == CLOCK_MONOTONIC; }
inline Approach ApproachOf(const pthread_mutex_t* mutex, const timespec*) {
  return ApproachOf(mutex);
}
inline Approach ApproachOf(const pthread_rwlock_t*, const timespec* until) {
  const bool valid = until != nullptr && until->tv_nsec >= 0 && until->tv_nsec < 1'000'000'000;
  return valid ? Approach::kTry : Approach::kPass;
}
template <typename Lock>
inline Approach ApproachOf(const Lock* lock, clockid_t clock, const timespec* until) {
  return IsClock(clock) ? ApproachOf(lock, until) : Approach::kPass;
}

template <typename... Rest>
inline bool IsRaised(sem_t* semaphore, Rest...) {
  int value = 0;
  return sem_getvalue(semaphore, &value) == 0 && value > 0;
}

}  // namespace

// The way of a thread without a loop is a load, a branch and a tail call; the
// rest lies out of line, so that this way saves no registers.
#define LOOPSAN_DEFINE(version, category, result, name, params, args, blocks, detail)           \
  LOOPSAN_HOOK result hook_##name params __asm__(#name);                                        \
  LOOPSAN_HOOK result hook_##name params {                                                      \
    static constinit RealFunction real{#name, version};                                         \
    auto* const call = real.As<result params>();                                                \
    if (t_state.cell == nullptr) [[likely]] {                                                   \
      return call args;                                                                         \
    }                                                                                           \
    const Caller caller = LOOPSAN_CALLER();                                                     \
    return [=]() __attribute__((noinline)) -> result {                                          \
      ThreadState* const thread = LoopThread();                                                 \
      if (thread == nullptr) {                                                                  \
        return call args;                                                                       \
      }                                                                                         \
      if (!(blocks)) {                                                                          \
        NoteReached(*thread, kId_##name, caller);                                               \
        return Undisturbed(*thread, [&]() { return call args; });                               \
      }                                                                                         \
      const KeptArguments kept = detail;                                                        \
      const uint64_t start = Now();                                                             \
      const uint64_t sequence = EnterCall(*thread, kId_##name, caller, kept.first, kept.second, \
                                          segment::kNoIndex, start);                            \
      return Finish<result>(*thread, sequence, segment::Category::category, kId_##name, caller, \
                            start, kept.first, kept.second, [&]() { return call args; });       \
    }();                                                                                        \
  }

#define LOOPSAN_CALL(category, result, name, params, args, blocks, detail, remedy) \
  LOOPSAN_DEFINE(nullptr, category, result, name, params, args, blocks, detail)
#define LOOPSAN_VERSIONED(version, category, result, name, params, args, blocks, detail, remedy) \
  LOOPSAN_DEFINE(#version, category, result, name, params, args, blocks, detail)

// A lock that is free is taken by trying and costs no clock read. EBUSY alone
// means that it must be waited for; every other answer of the try that is not
// success is left to the real call to give.
#define LOOPSAN_LOCK(result, name, params, args, try_name, try_args, remedy)                      \
  LOOPSAN_HOOK result hook_##name params __asm__(#name);                                          \
  LOOPSAN_HOOK result hook_##name params {                                                        \
    static constinit RealFunction real{#name, nullptr};                                           \
    auto* const call = real.As<result params>();                                                  \
    ThreadState* const thread = LoopThread();                                                     \
    if (thread == nullptr) [[likely]] {                                                           \
      return call args;                                                                           \
    }                                                                                             \
    const Caller caller = LOOPSAN_CALLER();                                                       \
    static constinit RealFunction real_try{#try_name, nullptr};                                   \
    const Approach approach = ApproachOf args;                                                    \
    if (approach == Approach::kTry) [[likely]] {                                                  \
      const int saved_errno = errno;                                                              \
      const int tried = [&](auto... a) {                                                          \
        return real_try.As<int(decltype(a)...)>()(a...);                                          \
      } try_args;                                                                                 \
      if (tried == 0) {                                                                           \
        NoteReached(*thread, kId_##name, caller);                                                 \
        return tried;                                                                             \
      }                                                                                           \
      errno = saved_errno;                                                                        \
      if (tried != EBUSY) {                                                                       \
        return call args;                                                                         \
      }                                                                                           \
    } else if (approach == Approach::kPass) {                                                     \
      NoteReached(*thread, kId_##name, caller);                                                   \
      return call args;                                                                           \
    }                                                                                             \
    const uint64_t start = Now();                                                                 \
    const uint64_t sequence =                                                                     \
        EnterCall(*thread, kId_##name, caller, 0, 0, segment::kNoIndex, start);                   \
    return Finish<result>(*thread, sequence, segment::Category::kLock, kId_##name, caller, start, \
                          0, 0, [&]() { return call args; });                                     \
  }

// A semaphore is not tried: sem_wait acts on a pending cancellation even if it
// need not wait, and sem_trywait does not.
#define LOOPSAN_SEMAPHORE(result, name, params, args, try_name, try_args, remedy) \
  LOOPSAN_DEFINE(nullptr, kLock, result, name, params, args, !IsRaised args, None)
#define LOOPSAN_OWN(category, name, detail, remedy)

#include "instrument/blocking_calls.inc"

}  // namespace loopsan::probe
