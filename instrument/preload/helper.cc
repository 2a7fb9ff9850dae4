// Starts the collector for a program that was preloaded without the command.
//
// The helper must not be a child of the program: exec gives every process
// SIGCHLD as its exit signal, whatever clone was told, and then a program that
// waits for any child would wait for the helper. So a child without an exit
// signal, which no wait() of the program sees, starts the helper and ends; the
// helper becomes an orphan. CLONE_VM|CLONE_VFORK as posix_spawn does it: no page
// tables are copied, no atfork handler runs, and this thread goes on when the
// helper has been exec'd.
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "instrument/preload/probe.h"

namespace loopsan::probe {
namespace {

// Under its own name: a ThreadSanitizer in the program takes clone() for a fork.
extern "C" int CloneOfLibc(int (*function)(void*), void* stack_end, int flags, void* data,
                           ...) __asm__("__clone");

constexpr int kNoExitSignal = 0;
constexpr rlim_t kHelperDescriptors = 128;  // its arena must be at kHelperArenaFd

struct HelperArguments {
  const char* path;
  char* argv[4];
  char** environment;
  rlimit files;
  char* stack_end;
  int pid;  // of the helper; the result
};

// Both run in the program's memory, each on a stack of its own. Raw exec: the
// hook would take it for the program's.
int ExecHelper(void* data) {
  auto* arguments = static_cast<HelperArguments*>(data);
  setrlimit(RLIMIT_NOFILE, &arguments->files);
  syscall(SYS_execve, arguments->path, arguments->argv, arguments->environment);
  _exit(127);
}

int StartOrphan(void* data) {
  auto* arguments = static_cast<HelperArguments*>(data);
  // These are copies. The helper must at no time hold the end of a pipe open.
  syscall(SYS_close_range, STDERR_FILENO + 1, ~0U, 0);
  arguments->pid = CloneOfLibc(ExecHelper, arguments->stack_end,
                               CLONE_VM | CLONE_VFORK | kNoExitSignal, arguments);
  _exit(0);
}

// True if orphans become children of this process.
bool AdoptsOrphans() {
  int subreaper = 0;
  return getpid() == 1 ||
         (prctl(PR_GET_CHILD_SUBREAPER, &subreaper, 0, 0, 0) == 0 && subreaper != 0);
}

// <directory of this library>/../bin/loopsan
bool FindCommand(char* path, size_t room) {
  Dl_info info;
  if (dladdr(reinterpret_cast<void*>(&StartHelper), &info) == 0 || info.dli_fname == nullptr) {
    return false;
  }
  const char* slash = strrchr(info.dli_fname, '/');
  const int directory = slash == nullptr ? 0 : static_cast<int>(slash - info.dli_fname);
  for (const char* up : {"/../bin/loopsan", "/../../bin/loopsan"}) {
    const int bytes = snprintf(path, room, "%.*s%s", directory, info.dli_fname, up);
    if (bytes > 0 && static_cast<size_t>(bytes) < room && access(path, X_OK) == 0) {
      return true;
    }
  }
  return false;
}

// The program's environment without LD_PRELOAD, in one allocation-free array.
void CopyEnvironment(char** to, size_t room) {
  size_t used = 0;
  for (char** entry = environ; *entry != nullptr && used + 1 < room; ++entry) {
    if (strncmp(*entry, "LD_PRELOAD=", 11) != 0) {
      to[used++] = *entry;
    }
  }
  to[used] = nullptr;
}

}  // namespace

void StartHelper() {
  if (g_process.helper_started.exchange(1, std::memory_order_acq_rel) != 0) {
    return;
  }
  rlimit files;
  if (AdoptsOrphans() || getrlimit(RLIMIT_NOFILE, &files) != 0 ||
      files.rlim_max < kHelperDescriptors) {
    return;
  }
  files.rlim_cur = files.rlim_max;
  constexpr size_t kStackBytes = 64 * 1024;
  constexpr size_t kEntries = 2048;
  constexpr size_t kBytes = 2 * kStackBytes + kEntries * sizeof(char*);
  if (g_process.executable_bytes == 0) {
    const ssize_t bytes =
        readlink("/proc/self/exe", g_process.executable, sizeof g_process.executable);
    g_process.executable_bytes = bytes > 0 ? static_cast<uint32_t>(bytes) : 0;
  }
  if (!MakeGenerationPage()) {
    return;
  }
  char path[512];
  if (!FindCommand(path, sizeof path)) {
    return;
  }
  void* memory = mmap(nullptr, kBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) {
    return;
  }
  char pid[32];
  g_process.pid = static_cast<uint32_t>(getpid());
  snprintf(pid, sizeof pid, "--pid=%u", g_process.pid);
  char* const first_stack_end = static_cast<char*>(memory) + kStackBytes;
  char* const second_stack_end = first_stack_end + kStackBytes;
  auto** environment = reinterpret_cast<char**>(second_stack_end);
  CopyEnvironment(environment, kEntries);
  HelperArguments arguments{path,
                            {path, const_cast<char*>("collect"), pid, nullptr},
                            environment,
                            files,
                            second_stack_end,
                            -1};
  // A handler of the program must not run in the child, which shares its memory.
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_BLOCK, &all, &before);
  const int child =
      CloneOfLibc(StartOrphan, first_stack_end, CLONE_VM | CLONE_VFORK | kNoExitSignal, &arguments);
  if (child > 0) {
    syscall(SYS_wait4, child, nullptr, __WCLONE, nullptr);
  }
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  munmap(memory, kBytes);
  if (arguments.pid > 0) {
    // Where Yama asks for it: the helper is no ancestor of this process.
    prctl(PR_SET_PTRACER, static_cast<unsigned long>(arguments.pid), 0, 0, 0);
    g_process.helper_pid.store(arguments.pid, std::memory_order_release);
  }
}

}  // namespace loopsan::probe
