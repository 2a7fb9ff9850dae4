// A stack on its way from a watched thread to a report: the raw copy, the
// unwound addresses, the frames that a person reads.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace loopsan {

// How a stack was taken, from gentle to rough (docs/design.md, "Ways to a stack").
enum class StackSource {
  kNone,
  kSnapshot,       // the thread copied it itself when its call returned
  kHookRegisters,  // stored by the hook at entry, stack copied from outside
  kSyscallFile,    // /proc/PID/task/TID/syscall: no frame pointer, may be partial
  kPerfEvent,      // perf_event_open on the thread
  kSignal,         // the sampling signal
};

struct Registers {
  uint64_t rip = 0;
  uint64_t rsp = 0;
  uint64_t rbp = 0;
};

// Registers and the bytes of the stack from `base` upwards.
struct RawStack {
  StackSource source = StackSource::kNone;
  Registers registers;
  bool rip_is_return_address = false;  // taken at a hook's entry
  bool rbp_known = true;
  uint64_t base = 0;
  std::vector<char> bytes;
};

// One unwound frame. Frames are listed innermost first.
struct StackFrame {
  uint64_t pc = 0;
  uint64_t sp = 0;                // the stack pointer in this frame: its identity across samples
  bool is_return_address = true;  // look up pc - 1
  friend bool operator==(const StackFrame&, const StackFrame&) = default;
};

struct UnwoundStack {
  StackSource source = StackSource::kNone;
  std::vector<StackFrame> frames;
  bool complete = false;        // reached the thread's outermost frame
  std::string stopped_because;  // if not complete: for people
};

// One frame as reported. An inlined function is a frame of its own.
struct ReportFrame {
  std::string function;  // demangled; empty if unknown
  std::string file;      // empty if unknown
  int line = 0;          // 0 if unknown
  std::string module;    // path of the ELF file, or "[jit]", "[vdso]"
  uint64_t offset = 0;   // address relative to the module's first address, as addr2line takes it
  bool inlined = false;
  friend bool operator==(const ReportFrame&, const ReportFrame&) = default;
};

}  // namespace loopsan
