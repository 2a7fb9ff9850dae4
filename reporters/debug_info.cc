#include "reporters/debug_info.h"

#include <dwarf.h>

#include <algorithm>
#include <climits>
#include <string_view>
#include <tuple>
#include <utility>

namespace loopsan {
namespace {

// Beyond, all units are dropped and read again: slower, never wrong.
constexpr size_t kMaxIndexedUnits = 1024;

// Damaged DWARF can describe trees that are endless. Real units stay far below.
constexpr int kMaxDiesPerUnit = 4'000'000;
constexpr int kMaxDiesPerLookup = 400'000;
constexpr size_t kMaxDepth = 512;
constexpr size_t kMaxRangesPerModule = 8'000'000;

// The range with the nearest start that contains `address`.
const DieRange* FindRange(const std::vector<DieRange>& ranges, uint64_t address) {
  auto it =
      std::upper_bound(ranges.begin(), ranges.end(), address,
                       [](uint64_t value, const DieRange& range) { return value < range.low; });
  for (int steps = 0; it != ranges.begin() && steps < 64; ++steps) {
    --it;
    if (address < it->high) return &*it;
  }
  return nullptr;
}

void AddRanges(Dwarf_Die* die, std::vector<DieRange>& ranges) {
  Dwarf_Addr base = 0;
  Dwarf_Addr low = 0;
  Dwarf_Addr high = 0;
  const Dwarf_Off offset = dwarf_dieoffset(die);
  for (ptrdiff_t next = 0; ranges.size() < kMaxRangesPerModule;) {
    next = dwarf_ranges(die, next, &base, &low, &high);
    if (next <= 0) return;
    // Functions that the linker dropped are left at address 0.
    if (low != 0 && low < high) ranges.push_back({low, high, offset});
  }
}

void SortRanges(std::vector<DieRange>& ranges) {
  std::sort(ranges.begin(), ranges.end(), [](const DieRange& a, const DieRange& b) {
    return std::tuple(a.low, b.high) < std::tuple(b.low, a.high);  // the outer one first
  });
  ranges.shrink_to_fit();
}

bool MayHoldFunctions(int tag) {
  switch (tag) {
    case DW_TAG_namespace:
    case DW_TAG_class_type:
    case DW_TAG_structure_type:
    case DW_TAG_union_type:
    case DW_TAG_module:
    case DW_TAG_lexical_block:
    case DW_TAG_try_block:
    case DW_TAG_catch_block:
    case DW_TAG_subprogram:
      return true;
    default:
      return false;
  }
}

// "/build/./src//a.c" -> "/build/src/a.c". ".." stays: it may cross a link.
std::string CleanPath(const char* path) {
  std::string clean;
  for (std::string_view rest = path; !rest.empty();) {
    if (rest.starts_with("/./")) {
      rest.remove_prefix(2);
    } else if (rest.starts_with("//")) {
      rest.remove_prefix(1);
    } else {
      clean += rest.front();
      rest.remove_prefix(1);
    }
  }
  return clean;
}

std::string RawNameOfDie(Dwarf_Die* die) {
  for (const unsigned attribute : {DW_AT_linkage_name, DW_AT_MIPS_linkage_name, DW_AT_name}) {
    Dwarf_Attribute found;
    if (dwarf_attr_integrate(die, attribute, &found) == nullptr) continue;
    if (const char* name = dwarf_formstring(&found); name != nullptr && *name != '\0') return name;
  }
  return "";
}

struct SourceLine {
  std::string file;
  int line = 0;
};

SourceLine CallSiteOf(Dwarf_Die* inlined) {
  SourceLine source;
  Dwarf_Attribute attribute;
  Dwarf_Word value = 0;
  if (dwarf_formudata(dwarf_attr(inlined, DW_AT_call_line, &attribute), &value) == 0) {
    source.line = static_cast<int>(std::min<Dwarf_Word>(value, INT_MAX));
  }
  Dwarf_Die unit;
  Dwarf_Files* files = nullptr;
  size_t count = 0;
  if (dwarf_formudata(dwarf_attr(inlined, DW_AT_call_file, &attribute), &value) == 0 &&
      dwarf_diecu(inlined, &unit, nullptr, nullptr) != nullptr &&
      dwarf_getsrcfiles(&unit, &files, &count) == 0 && value < count) {
    if (const char* file = dwarf_filesrc(files, value, nullptr, nullptr)) {
      source.file = CleanPath(file);
    }
  }
  return source;
}

SourceLine LineOf(Dwarf_Die* unit, uint64_t address) {
  SourceLine source;
  Dwarf_Line* line = dwarf_getsrc_die(unit, address);
  if (line == nullptr) return source;
  if (const char* file = dwarf_linesrc(line, nullptr, nullptr)) source.file = CleanPath(file);
  int number = 0;
  if (dwarf_lineno(line, &number) == 0) source.line = std::max(number, 0);
  return source;
}

// Collects the inlined calls that are open at `address`, outermost first.
bool FindInlined(Dwarf_Die* parent, uint64_t address, size_t depth, int& budget,
                 std::vector<Dwarf_Die>& found) {
  Dwarf_Die die;
  if (depth > kMaxDepth || dwarf_child(parent, &die) != 0) return false;
  do {
    if (--budget <= 0) return false;
    switch (dwarf_tag(&die)) {
      case DW_TAG_inlined_subroutine:
        if (dwarf_haspc(&die, address) <= 0) break;
        found.push_back(die);
        FindInlined(&die, address, depth + 1, budget, found);
        return true;
      case DW_TAG_lexical_block:
      case DW_TAG_try_block:
      case DW_TAG_catch_block: {
        // A block need not say its addresses to hold some.
        const bool says =
            dwarf_hasattr(&die, DW_AT_low_pc) != 0 || dwarf_hasattr(&die, DW_AT_ranges) != 0;
        if (says && dwarf_haspc(&die, address) <= 0) break;
        if (FindInlined(&die, address, depth + 1, budget, found)) return true;
        break;
      }
      default:
        break;
    }
  } while (dwarf_siblingof(&die, &die) == 0);
  return false;
}

}  // namespace

DebugInfo::DebugInfo(ElfFile* file, std::unique_ptr<ElfFile> alternate)
    : file_(file), alternate_(std::move(alternate)) {
  Open();
}

DebugInfo::~DebugInfo() { Close(); }

std::string DebugInfo::FunctionName(uint64_t address) {
  Dwarf_Die unit;
  Dwarf_Die function;
  if (!FindUnit(address, &unit) || !FindFunction(address, &unit, &function)) return "";
  return RawNameOfDie(&function);
}

std::vector<ReportFrame> DebugInfo::Frames(uint64_t address) {
  Dwarf_Die unit;
  if (!FindUnit(address, &unit)) return {};
  SourceLine source = LineOf(&unit, address);
  std::vector<ReportFrame> frames;
  const auto add = [&](std::string function, bool inlined) {
    frames.push_back({.function = std::move(function),
                      .file = std::move(source.file),
                      .line = source.line,
                      .inlined = inlined});
  };
  Dwarf_Die function;
  if (!FindFunction(address, &unit, &function)) {
    add("", false);
    return frames;
  }
  std::vector<Dwarf_Die> inlined;
  int budget = kMaxDiesPerLookup;
  FindInlined(&function, address, 0, budget, inlined);
  for (auto die = inlined.rbegin(); die != inlined.rend(); ++die) {
    add(RawNameOfDie(&*die), true);
    source = CallSiteOf(&*die);
  }
  add(RawNameOfDie(&function), false);
  return frames;
}

void DebugInfo::Open() {
  if (!file_->DebugStringsEnd()) return;
  if (alternate_ != nullptr && !alternate_->DebugStringsEnd()) return;
  dwarf_ = dwarf_begin_elf(file_->elf(), DWARF_C_READ, nullptr);
  if (dwarf_ == nullptr) return;
  if (alternate_ != nullptr) {
    alternate_dwarf_ = dwarf_begin_elf(alternate_->elf(), DWARF_C_READ, nullptr);
    if (alternate_dwarf_ != nullptr) dwarf_setalt(dwarf_, alternate_dwarf_);
  }
}

void DebugInfo::Close() {
  units_.clear();
  if (dwarf_ != nullptr) dwarf_end(dwarf_);
  if (alternate_dwarf_ != nullptr) dwarf_end(alternate_dwarf_);
  dwarf_ = alternate_dwarf_ = nullptr;
}

void DebugInfo::IndexUnits() {
  indexed_ = true;
  Dwarf_CU* cu = nullptr;
  Dwarf_Die die;
  uint8_t type = 0;
  while (dwarf_get_units(dwarf_, cu, &cu, nullptr, &type, &die, nullptr) == 0) {
    if (type == DW_UT_compile || type == DW_UT_skeleton) AddRanges(&die, unit_ranges_);
  }
  SortRanges(unit_ranges_);
}

bool DebugInfo::FindUnit(uint64_t address, Dwarf_Die* unit) {
  if (dwarf_ == nullptr) return false;
  if (!indexed_) IndexUnits();
  const DieRange* range = FindRange(unit_ranges_, address);
  return range != nullptr && dwarf_offdie(dwarf_, range->die, unit) != nullptr;
}

bool DebugInfo::FindFunction(uint64_t address, Dwarf_Die* unit, Dwarf_Die* function) {
  const Dwarf_Off offset = dwarf_dieoffset(unit);
  auto it = units_.find(offset);
  if (it == units_.end()) {
    if (units_.size() >= kMaxIndexedUnits) {
      // libdw keeps what it decoded until the end: begin anew to bound it.
      Close();
      Open();
      if (dwarf_ == nullptr || dwarf_offdie(dwarf_, offset, unit) == nullptr) return false;
    }
    it = units_.emplace(offset, IndexFunctions(unit)).first;
  }
  const DieRange* range = FindRange(it->second.functions, address);
  return range != nullptr && it->second.dwarf != nullptr &&
         dwarf_offdie(it->second.dwarf, range->die, function) != nullptr;
}

DebugInfo::Unit DebugInfo::IndexFunctions(Dwarf_Die* unit_die) {
  Unit unit{.functions = {}, .dwarf = dwarf_};
  Dwarf_Die root = *unit_die;
  Dwarf_Die split;
  uint8_t type = 0;
  if (dwarf_cu_info(unit_die->cu, nullptr, &type, nullptr, &split, nullptr, nullptr, nullptr) ==
          0 &&
      type == DW_UT_skeleton && split.addr != nullptr) {
    root = split;
    unit.dwarf = dwarf_cu_getdwarf(split.cu);
  }
  std::vector<Dwarf_Die> path;
  Dwarf_Die die;
  if (dwarf_child(&root, &die) != 0) return unit;
  for (int budget = kMaxDiesPerUnit; budget > 0; --budget) {
    const int tag = dwarf_tag(&die);
    if (tag == DW_TAG_subprogram) AddRanges(&die, unit.functions);
    Dwarf_Die child;
    if (MayHoldFunctions(tag) && path.size() < kMaxDepth && dwarf_child(&die, &child) == 0) {
      path.push_back(die);
      die = child;
      continue;
    }
    while (dwarf_siblingof(&die, &die) != 0) {
      if (path.empty()) {
        SortRanges(unit.functions);
        return unit;
      }
      die = path.back();
      path.pop_back();
    }
  }
  SortRanges(unit.functions);
  return unit;
}

}  // namespace loopsan
