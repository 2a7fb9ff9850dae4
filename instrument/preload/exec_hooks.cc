// exec, kept apart from the sampling signal: the handler is gone in the new
// program, and a signal that arrives there ends it.
//
// They cost one load where no signal is in use. The calls that take their
// arguments one by one gather them as libc does and go on through the call with
// a list: libc's own would go past the hook of that.
#include <alloca.h>
#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <unistd.h>

#include "instrument/preload/hook.h"

namespace loopsan::probe {
namespace {

template <typename Call>
[[gnu::always_inline]] inline int Exec(const Call& call) {
  if (!BeginExec()) [[likely]] {
    return call();
  }
  const int result = call();  // only if it failed
  EndExec();
  return result;
}

constinit RealFunction g_execv{"execv", nullptr};
constinit RealFunction g_execve{"execve", nullptr};
constinit RealFunction g_execvp{"execvp", nullptr};

}  // namespace

LOOPSAN_HOOK int hook_execve(const char*, char* const*, char* const*) __asm__("execve");
LOOPSAN_HOOK int hook_execve(const char* path, char* const* argv, char* const* envp) {
  auto* const call = g_execve.As<int(const char*, char* const*, char* const*)>();
  return Exec([&] { return call(path, argv, envp); });
}

LOOPSAN_HOOK int hook_execv(const char*, char* const*) __asm__("execv");
LOOPSAN_HOOK int hook_execv(const char* path, char* const* argv) {
  auto* const call = g_execv.As<int(const char*, char* const*)>();
  return Exec([&] { return call(path, argv); });
}

LOOPSAN_HOOK int hook_execvp(const char*, char* const*) __asm__("execvp");
LOOPSAN_HOOK int hook_execvp(const char* file, char* const* argv) {
  auto* const call = g_execvp.As<int(const char*, char* const*)>();
  return Exec([&] { return call(file, argv); });
}

LOOPSAN_HOOK int hook_execvpe(const char*, char* const*, char* const*) __asm__("execvpe");
LOOPSAN_HOOK int hook_execvpe(const char* file, char* const* argv, char* const* envp) {
  static constinit RealFunction real{"execvpe", nullptr};
  auto* const call = real.As<int(const char*, char* const*, char* const*)>();
  return Exec([&] { return call(file, argv, envp); });
}

LOOPSAN_HOOK int hook_fexecve(int, char* const*, char* const*) __asm__("fexecve");
LOOPSAN_HOOK int hook_fexecve(int fd, char* const* argv, char* const* envp) {
  static constinit RealFunction real{"fexecve", nullptr};
  auto* const call = real.As<int(int, char* const*, char* const*)>();
  return Exec([&] { return call(fd, argv, envp); });
}

LOOPSAN_HOOK int hook_execveat(int, const char*, char* const*, char* const*,
                               int) __asm__("execveat");
LOOPSAN_HOOK int hook_execveat(int directory, const char* path, char* const* argv,
                               char* const* envp, int flags) {
  static constinit RealFunction real{"execveat", nullptr};
  auto* const call = real.As<int(int, const char*, char* const*, char* const*, int)>();
  if (call == nullptr) {  // glibc before 2.34
    errno = ENOSYS;
    return -1;
  }
  return Exec([&] { return call(directory, path, argv, envp, flags); });
}

// Gathers the arguments up to and with the null pointer; `list` stands behind it.
// A macro: alloca must be the hook's own.
#define LOOPSAN_GATHER(argv, first, list)                                       \
  size_t count = 0;                                                             \
  va_list list;                                                                 \
  va_start(list, first);                                                        \
  for (const char* at = first; at != nullptr; at = va_arg(list, const char*)) { \
    ++count;                                                                    \
  }                                                                             \
  va_end(list);                                                                 \
  auto** argv = static_cast<char**>(alloca((count + 1) * sizeof(char*)));       \
  va_start(list, first);                                                        \
  argv[0] = const_cast<char*>(first);                                           \
  for (size_t i = 1; i <= count; ++i) {                                         \
    argv[i] = va_arg(list, char*);                                              \
  }

LOOPSAN_HOOK int hook_execl(const char*, const char*, ...) __asm__("execl");
LOOPSAN_HOOK int hook_execl(const char* path, const char* first, ...) {
  LOOPSAN_GATHER(argv, first, list)
  va_end(list);
  auto* const call = g_execv.As<int(const char*, char* const*)>();
  return Exec([&] { return call(path, argv); });
}

LOOPSAN_HOOK int hook_execlp(const char*, const char*, ...) __asm__("execlp");
LOOPSAN_HOOK int hook_execlp(const char* file, const char* first, ...) {
  LOOPSAN_GATHER(argv, first, list)
  va_end(list);
  auto* const call = g_execvp.As<int(const char*, char* const*)>();
  return Exec([&] { return call(file, argv); });
}

LOOPSAN_HOOK int hook_execle(const char*, const char*, ...) __asm__("execle");
LOOPSAN_HOOK int hook_execle(const char* path, const char* first, ...) {
  LOOPSAN_GATHER(argv, first, list)
  char* const* const envp = va_arg(list, char* const*);
  va_end(list);
  auto* const call = g_execve.As<int(const char*, char* const*, char* const*)>();
  return Exec([&] { return call(path, argv, envp); });
}

}  // namespace loopsan::probe
