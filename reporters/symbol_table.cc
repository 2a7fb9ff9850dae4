#include "reporters/symbol_table.h"

#include <gelf.h>

#include <algorithm>
#include <iterator>
#include <tuple>

namespace loopsan {

void SymbolTable::Load(const ElfFile& file, const ElfFile::Section& table) {
  Elf_Data* data = elf_getdata(table.data, nullptr);
  if (data == nullptr || table.header.sh_entsize == 0) return;
  const size_t count = table.header.sh_size / table.header.sh_entsize;
  tables_.push_back({file.elf(), table.header.sh_link});
  const auto& sections = file.sections();
  symbols_.reserve(symbols_.size() + count);
  for (size_t i = 0; i < count; ++i) {
    GElf_Sym symbol;
    if (gelf_getsym(data, static_cast<int>(i), &symbol) == nullptr) break;
    const int type = GELF_ST_TYPE(symbol.st_info);
    if (type != STT_FUNC && type != STT_GNU_IFUNC && type != STT_NOTYPE) continue;
    if (symbol.st_shndx == SHN_UNDEF || symbol.st_shndx >= sections.size()) continue;
    const GElf_Shdr& section = sections[symbol.st_shndx].header;
    if ((section.sh_flags & SHF_EXECINSTR) == 0 || symbol.st_name == 0) continue;
    const uint64_t section_end = section.sh_addr + section.sh_size;
    if (symbol.st_value < section.sh_addr || symbol.st_value >= section_end) continue;
    symbols_.push_back(
        {.start = symbol.st_value,
         .end = symbol.st_value + std::min(symbol.st_size, section_end - symbol.st_value),
         .name = symbol.st_name,
         .section_end = section_end,
         .table = static_cast<uint8_t>(tables_.size() - 1),
         .local = GELF_ST_BIND(symbol.st_info) == STB_LOCAL});
  }
}

void SymbolTable::Sort() {
  std::sort(symbols_.begin(), symbols_.end(),
            [](const Symbol& a, const Symbol& b) { return a.start < b.start; });
  uint64_t reach = 0;
  for (Symbol& symbol : symbols_) symbol.reach = reach = std::max(reach, symbol.end);
}

std::string_view SymbolTable::Find(uint64_t address, std::string_view wanted) const {
  const auto after =
      std::upper_bound(symbols_.begin(), symbols_.end(), address,
                       [](uint64_t value, const Symbol& symbol) { return value < symbol.start; });
  if (after == symbols_.begin()) return {};
  const Symbol* best = nullptr;
  std::string_view best_name;
  for (auto it = after; it != symbols_.begin();) {
    --it;
    if (it->reach <= address) break;
    if (best != nullptr && it->start != best->start) break;
    if (it->end <= address) continue;
    Offer(*it, wanted, best, best_name);
  }
  if (best != nullptr) return best_name;
  // Hand-written assembly may have symbols without a size. They reach to the
  // next symbol; those with a size end where they say, because what follows in
  // a stripped file is some other function whose name is gone.
  const uint64_t nearest = std::prev(after)->start;
  for (auto it = after; it != symbols_.begin();) {
    --it;
    if (it->start != nearest) break;
    if (it->end != it->start || address >= it->section_end) return {};
    Offer(*it, wanted, best, best_name);
  }
  return best_name;
}

std::string_view SymbolTable::NameOf(const Symbol& symbol) const {
  const Table& table = tables_[symbol.table];
  const char* name = elf_strptr(table.elf, table.strings, symbol.name);
  return name == nullptr ? "" : name;
}

void SymbolTable::Offer(const Symbol& symbol, std::string_view wanted, const Symbol*& best,
                        std::string_view& best_name) const {
  const std::string_view name = NameOf(symbol);
  if (name.empty()) return;
  // "nanosleep" is the same code as "__nanosleep" and what people call it.
  const auto rank = [&](const Symbol& s, std::string_view n) {
    return std::tuple(n != wanted, std::min(n.find_first_not_of('_'), n.size()), s.local, n.size(),
                      n);
  };
  if (best == nullptr || rank(symbol, name) < rank(*best, best_name)) {
    best = &symbol;
    best_name = name;
  }
}

}  // namespace loopsan
