// The DWARF of one module: which function an address is in, which calls were
// inlined there, and on which lines.
//
// libdwfl's ready-made look-ups are not used: they rely on .debug_aranges, which
// clang does not emit, and ask debuginfod servers. Instead there are, made when
// first needed:
//
//   units       address ranges of the compilation units, sorted
//   functions   per unit, address ranges of its subprograms, sorted
//
// and the inlined functions are found by descending from the subprogram.
//
// Damaged DWARF gives fewer frames, never an error.
//
// Threads: one thread at a time.
#pragma once

#include <elfutils/libdw.h>

#include <cstdint>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "reporters/elf_file.h"
#include "reporters/stack.h"

namespace loopsan {

// What `die`, a unit or a function, covers.
struct DieRange {
  uint64_t low;
  uint64_t high;
  Dwarf_Off die;
};

class DebugInfo {
 public:
  // `file` must outlive it. `alternate` is dwz's shared file, or null.
  DebugInfo(ElfFile* file, std::unique_ptr<ElfFile> alternate);
  ~DebugInfo();
  DebugInfo(const DebugInfo&) = delete;
  DebugInfo& operator=(const DebugInfo&) = delete;

  // The subprogram's own raw name; "" if unknown.
  std::string FunctionName(uint64_t address);

  // Frames with raw names, innermost first; empty if the address is in no unit.
  std::vector<ReportFrame> Frames(uint64_t address);

 private:
  struct Unit {
    std::vector<DieRange> functions;
    Dwarf* dwarf;  // of the functions; another file's for split DWARF
  };

  void Open();
  void Close();
  void IndexUnits();
  bool FindUnit(uint64_t address, Dwarf_Die* unit);
  bool FindFunction(uint64_t address, Dwarf_Die* unit, Dwarf_Die* function);
  Unit IndexFunctions(Dwarf_Die* unit_die);

  ElfFile* file_;
  std::unique_ptr<ElfFile> alternate_;
  Dwarf* dwarf_ = nullptr;
  Dwarf* alternate_dwarf_ = nullptr;
  bool indexed_ = false;
  std::vector<DieRange> unit_ranges_;
  std::unordered_map<Dwarf_Off, Unit> units_;
};

}  // namespace loopsan
