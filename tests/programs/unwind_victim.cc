// Intent: stand still in a stack whose return addresses are known, so that an
// unwinder can be compared with the truth, address by address.
//
// usage: unwind_victim SHAPE     writes a VictimReport to stdout, then waits.
//
// Each function on the way notes its return address. The innermost stores the
// registers of its caller exactly as a hook does at its entry.
#include "tests/programs/unwind_victim.h"

#include <alloca.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>

#ifdef __clang__
#define NOINLINE __attribute__((noinline))
#else
#define NOINLINE __attribute__((noinline, noclone, noipa))
#endif

VictimReport report;

extern "C" [[noreturn]] void VictimWaits() {
  if (write(STDOUT_FILENO, &report, sizeof(report)) != sizeof(report)) _exit(1);
  for (;;) pause();
}

// Stores (return address, rsp behind it, rbp) at rdi, then waits. Because it
// never returns, a call of it may be the last instruction of its caller, and
// the return address that of another function.
extern "C" [[noreturn]] void StoreCallersRegistersAndWait(uint64_t* three_words);
asm(R"(
  .text
  .type StoreCallersRegistersAndWait, @function
StoreCallersRegistersAndWait:
  .cfi_startproc
  movq (%rsp), %rax
  movq %rax, (%rdi)
  leaq 8(%rsp), %rax
  movq %rax, 8(%rdi)
  movq %rbp, 16(%rdi)
  jmp VictimWaits
  .cfi_endproc
  .size StoreCallersRegistersAndWait, . - StoreCallersRegistersAndWait
)");

// A function as compilers describe it: behind the pop the rule for rbp still
// says that it is saved on the stack. Nobody calls it.
extern "C" const char VictimEpilogue[];
asm(R"(
  .text
  .type HasAnEpilogue, @function
HasAnEpilogue:
  .cfi_startproc
  pushq %rbp
  .cfi_def_cfa_offset 16
  .cfi_offset %rbp, -16
  movq %rsp, %rbp
  .cfi_def_cfa_register %rbp
  popq %rbp
  .cfi_def_cfa %rsp, 8
VictimEpilogue:
  ret
  .cfi_endproc
  .size HasAnEpilogue, . - HasAnEpilogue
)");

namespace {

volatile int sink;

// Behind each call, so that it is no tail call and leaves a frame.
#define STAY() sink = sink + 1

#define NOTE_CALLER()                       \
  report.return_addresses[report.count++] = \
      reinterpret_cast<uint64_t>(__builtin_extract_return_addr(__builtin_return_address(0)))

NOINLINE void Innermost() {
  NOTE_CALLER();
  StoreCallersRegistersAndWait(report.registers);
}

NOINLINE void Third(int argument) {
  NOTE_CALLER();
  char text[200];
  memset(text, argument, sizeof(text));
  sink = text[argument];
  Innermost();
  STAY();
}

NOINLINE void Second(int argument) {
  NOTE_CALLER();
  Third(argument + 1);
  STAY();
}

NOINLINE void First(int argument) {
  NOTE_CALLER();
  Second(argument + 1);
  STAY();
}

// A frame whose size only rbp remembers.
NOINLINE void Variable(int bytes) {
  NOTE_CALLER();
  char* space = static_cast<char*>(alloca(static_cast<size_t>(bytes)));
  memset(space, 1, static_cast<size_t>(bytes));
  sink = space[bytes / 2];
  Second(1);
  STAY();
}

NOINLINE void Deep(int levels) {
  if (levels == 0) {
    First(1);
  } else {
    Deep(levels - 1);
  }
  STAY();
}

[[noreturn]] NOINLINE void NeverReturns() {
  NOTE_CALLER();
  Second(1);
  abort();
}

// Its call is its last instruction: the return address is another function's.
NOINLINE void EndsInACall() {
  NOTE_CALLER();
  NeverReturns();
}

void OnSignal(int) {
  Second(1);
  STAY();
}

NOINLINE void RaisesASignal() {
  NOTE_CALLER();
  struct sigaction action = {};
  action.sa_handler = OnSignal;
  action.sa_flags = SA_ONSTACK;
  sigaction(SIGUSR1, &action, nullptr);
  raise(SIGUSR1);
  STAY();
}

// Machine code that nothing describes, as a JIT makes it: a frame with rbp that
// calls its argument.
NOINLINE void CallsGeneratedCode() {
  NOTE_CALLER();
  static const unsigned char kCode[] = {
      0x55,                    // push %rbp
      0x48, 0x89, 0xe5,        // mov %rsp, %rbp
      0x48, 0x83, 0xec, 0x10,  // sub $16, %rsp
      0xff, 0xd7,              // call *%rdi
      0xc9,                    // leave
      0xc3,                    // ret
  };
  void* page =
      mmap(nullptr, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (page == MAP_FAILED) _exit(1);
  memcpy(page, kCode, sizeof(kCode));
  report.generated_code = reinterpret_cast<uint64_t>(page);
  auto* code = reinterpret_cast<void (*)(void (*)())>(page);
  code([] {
    Second(1);
    STAY();
  });
  STAY();
}

pthread_t main_thread;

void* OutlivesMain(void*) {
  pthread_join(main_thread, nullptr);
  First(1);
  return nullptr;
}

bool Is(const char* shape, const char* name) { return strcmp(shape, name) == 0; }

}  // namespace

int main(int argc, char** argv) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  const char* shape = argc > 1 ? argv[1] : "";
  report.epilogue = reinterpret_cast<uint64_t>(VictimEpilogue);
  if (Is(shape, "nested")) {
    First(1);
  } else if (Is(shape, "alloca")) {
    Variable(3000 + argc);
  } else if (Is(shape, "deep")) {
    Deep(400);
  } else if (Is(shape, "noreturn")) {
    EndsInACall();
  } else if (Is(shape, "signal")) {
    RaisesASignal();
  } else if (Is(shape, "sigaltstack")) {
    stack_t other = {};
    other.ss_size = 256 * 1024;
    other.ss_sp =
        mmap(nullptr, other.ss_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    sigaltstack(&other, nullptr);
    RaisesASignal();
  } else if (Is(shape, "main_left")) {
    pthread_t thread;
    main_thread = pthread_self();
    pthread_create(&thread, nullptr, OutlivesMain, nullptr);
    pthread_exit(nullptr);
  } else if (Is(shape, "jit")) {
    CallsGeneratedCode();
  }
  return 1;
}
