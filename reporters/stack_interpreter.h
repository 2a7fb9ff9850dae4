// What the judge needs to know of one process's stacks: the seam between
// deciding and the world of ELF files. Tests script it.
//
// Threads: one.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "reporters/observation.h"
#include "reporters/stack.h"
#include "reporters/symbolizer.h"

namespace loopsan {

class StackInterpreter {
 public:
  virtual ~StackInterpreter() = default;

  virtual UnwoundStack Unwind(const RawStack& stack) = 0;

  // The symbol's name, demangled; empty if unknown. Good until the next call.
  virtual const std::string& FunctionName(const StackFrame& frame) = 0;

  // The frames at one address, inlined ones first.
  virtual std::vector<ReportFrame> Symbolize(const StackFrame& frame) = 0;

  // "path+offset": the same in every process that runs the file; "" for JIT code.
  virtual std::string ModuleOffset(const StackFrame& frame) = 0;

  // Of the module at this path, as the process had it mapped, in hexadecimal digits;
  // empty if it has none.
  virtual std::string BuildId(const std::string& /*path*/) { return ""; }

  // Sentences for the report: files that changed on disk and the like.
  virtual std::vector<std::string> Warnings() const = 0;
};

using MakeStackInterpreter =
    std::function<std::unique_ptr<StackInterpreter>(const ProcessFound& process)>;

// The real one: /proc, ELF files, libunwind and libdw.
std::unique_ptr<StackInterpreter> InterpretProcess(const ProcessFound& process,
                                                   Symbolizer* symbolizer);

}  // namespace loopsan
