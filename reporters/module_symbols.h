// The names in one module: function, file and line by address. Read when first
// needed:
//
//   symbols      its ELF symbol tables                    (FunctionName)
//   debug info   its DWARF, perhaps in a file of its own  (Frames)
//
// Threads: one thread at a time.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "reporters/debug_info.h"
#include "reporters/elf_file.h"
#include "reporters/stack.h"
#include "reporters/symbol_table.h"

namespace loopsan {

class ModuleSymbols {
 public:
  // `debug_root` as in Symbolizer::Create(); it must outlive this.
  ModuleSymbols(std::unique_ptr<ElfFile> file, const std::string& debug_root)
      : file_(std::move(file)), debug_root_(debug_root) {}

  // Addresses are the module's own, as addr2line takes them.

  // The symbol's name, demangled; empty if unknown.
  std::string FunctionName(uint64_t address);

  // Innermost first, the last one not inlined; without module and offset. Never empty,
  // but nameless if nothing is known.
  std::vector<ReportFrame> Frames(uint64_t address);

 private:
  ElfFile* DebugFile();
  DebugInfo* Debug();
  const SymbolTable& Symbols();

  std::unique_ptr<ElfFile> file_;
  const std::string& debug_root_;
  std::unique_ptr<ElfFile> debug_file_;
  std::unique_ptr<DebugInfo> debug_;
  SymbolTable symbols_;
  bool debug_file_sought_ = false;
  bool debug_sought_ = false;
  bool symbols_loaded_ = false;
  std::unordered_map<uint64_t, std::string> names_;
  std::unordered_map<uint64_t, std::vector<ReportFrame>> frames_;
};

}  // namespace loopsan
