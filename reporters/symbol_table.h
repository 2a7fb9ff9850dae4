// The functions in a module's ELF symbol tables, by address. Symbols are sorted
// (libdwfl searches the tables from end to end for each address), their names left
// in the file.
//
// Threads: Find() from any thread once Sort() has returned.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "reporters/elf_file.h"

namespace loopsan {

class SymbolTable {
 public:
  // Adds the functions of one section of symbols. `file` must outlive this.
  void Load(const ElfFile& file, const ElfFile::Section& table);

  // Call once after the last Load().
  void Sort();

  // The raw name of the function at `address`, or "". Where several names stand
  // for the same code, `wanted` if it is one of them, else the plainest.
  std::string_view Find(uint64_t address, std::string_view wanted) const;

 private:
  struct Symbol {
    uint64_t start;
    uint64_t end;    // == start if its size is not known
    uint64_t reach;  // the furthest end of this and all before
    uint32_t name;
    uint64_t section_end;
    uint8_t table;
    bool local;
  };
  struct Table {
    Elf* elf;
    size_t strings;
  };

  std::string_view NameOf(const Symbol& symbol) const;
  void Offer(const Symbol& symbol, std::string_view wanted, const Symbol*& best,
             std::string_view& best_name) const;

  std::vector<Table> tables_;
  std::vector<Symbol> symbols_;
};

}  // namespace loopsan
