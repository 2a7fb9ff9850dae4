// Notices that the program is about to forbid itself system calls.
//
// Under `loopsan run` nothing is left to do by then: the arena is mapped before
// main, and hooks make no system call. A plainly preloaded probe still has to
// start its helper and to map its arena when it meets a loop, and a filter that
// does not know these calls would kill the program. PR_SET_NO_NEW_PRIVS comes
// before any filter of a process without privileges, also through libseccomp,
// which installs the filter itself by syscall().
#include <sys/prctl.h>

#include "instrument/preload/hook.h"

namespace loopsan::probe {

// prctl takes a variable list, of which no option reads more than four words.
LOOPSAN_HOOK int hook_prctl(int, unsigned long, unsigned long, unsigned long,
                            unsigned long) __asm__("prctl");
LOOPSAN_HOOK int hook_prctl(int option, unsigned long second, unsigned long third,
                            unsigned long fourth, unsigned long fifth) {
  static constinit RealFunction real{"prctl", nullptr};
  if (option == PR_SET_NO_NEW_PRIVS || option == PR_SET_SECCOMP) {
    g_process.sandboxed.store(1, std::memory_order_relaxed);
  }
  return real.As<int(int, unsigned long, unsigned long, unsigned long, unsigned long)>()(
      option, second, third, fourth, fifth);
}

}  // namespace loopsan::probe
