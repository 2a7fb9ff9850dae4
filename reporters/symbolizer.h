// Function, file and line for addresses in a watched process, inlined frames
// included. Looks at the module's own DWARF, at separate debug files (build-id
// and .gnu_debuglink below /usr/lib/debug) and at its symbol tables; for code
// without a file (JIT) at /tmp/perf-PID.map.
//
// Files are read when an address in them is first asked for, and believed only
// if their build-id is the one that the process had mapped. Damaged files give
// fewer names, never an error.
//
// Threads: one thread at a time. Never goes to the network.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "reporters/process_image.h"
#include "reporters/stack.h"

namespace loopsan {

class Symbolizer {
 public:
  // `debug_root` is where separate debug files lie: DIR/.build-id/xx/rest.debug
  // and DIR/path/of/the/module/NAME.debug.
  static std::unique_ptr<Symbolizer> Create(std::string debug_root = "/usr/lib/debug");
  virtual ~Symbolizer() = default;

  // The frames at one address, innermost (most inlined) first; the last one has
  // inlined == false. Never empty: an unknown address gives a frame with the
  // module and offset only.
  virtual std::vector<ReportFrame> Symbolize(ProcessImage& process, const StackFrame& frame) = 0;

  // Only the function's symbol name, demangled, as the ELF symbol tables (else
  // DWARF) have it; empty if unknown. Much cheaper than Symbolize().
  virtual std::string FunctionName(ProcessImage& process, const StackFrame& frame) = 0;

  // Symbolize() for each frame of a stack, in order.
  std::vector<ReportFrame> SymbolizeStack(ProcessImage& process, const UnwoundStack& stack);
};

// The name that people read for a symbol: demangled, without the marks that
// compilers put on copies of a function ("[clone .actor]", ".isra.0") and without
// the symbol's version. A name that cannot be demangled comes back as it is.
std::string ReadableName(std::string_view symbol);

// g++ has the body of a coroutine in a function of its own: "Read(Read(int)::_Z4Readi.Frame*)"
// is "Read(int)". Other names come back as they are.
std::string CoroutineName(std::string function);

// Splits the name that a JIT gave its code into function and source, as far as
// V8 ("JS:*work /srv/app.js:12:3", the line is the function's first) and CPython
// ("py::work:/srv/app.py") write it; others are a function name as they stand.
ReportFrame FrameOfJitName(std::string_view name);

}  // namespace loopsan
