#include "reporters/module_symbols.h"

#include <libelf.h>

#include <string_view>
#include <utility>

#include "reporters/symbolizer.h"

namespace loopsan {
namespace {

// What one module keeps at most. Beyond, everything is dropped and looked up again: slower,
// never wrong.
constexpr size_t kMaxCachedAddresses = 8192;

}  // namespace

std::string ModuleSymbols::FunctionName(uint64_t address) {
  if (const auto known = names_.find(address); known != names_.end()) return known->second;
  std::string name = ReadableName(Symbols().Find(address, ""));
  if (name.empty() && Debug() != nullptr) name = ReadableName(Debug()->FunctionName(address));
  if (names_.size() >= kMaxCachedAddresses) names_.clear();
  return names_[address] = std::move(name);
}

std::vector<ReportFrame> ModuleSymbols::Frames(uint64_t address) {
  if (const auto known = frames_.find(address); known != frames_.end()) return known->second;
  std::vector<ReportFrame> frames;
  if (Debug() != nullptr) frames = Debug()->Frames(address);
  if (frames.empty()) frames.emplace_back();
  // DWARF says `handler` where the symbol says `app::handler(int)`. Where the
  // linker folded equal functions into one, only DWARF knows which is meant.
  std::string& outermost = frames.back().function;
  const std::string_view wanted = outermost.starts_with("_Z") ? outermost : std::string_view();
  if (const std::string_view symbol = Symbols().Find(address, wanted); !symbol.empty()) {
    outermost = symbol;
  }
  for (ReportFrame& frame : frames) frame.function = ReadableName(frame.function);
  if (frames_.size() >= kMaxCachedAddresses) frames_.clear();
  return frames_[address] = std::move(frames);
}

ElfFile* ModuleSymbols::DebugFile() {
  if (!debug_file_sought_) {
    debug_file_sought_ = true;
    if (!file_->HasDebugInfo()) debug_file_ = OpenDebugFile(*file_, debug_root_);
  }
  return file_->HasDebugInfo() ? file_.get() : debug_file_.get();
}

DebugInfo* ModuleSymbols::Debug() {
  if (!debug_sought_) {
    debug_sought_ = true;
    if (ElfFile* file = DebugFile()) {
      debug_ = std::make_unique<DebugInfo>(file, OpenAlternateFile(*file, debug_root_));
    }
  }
  return debug_.get();
}

const SymbolTable& ModuleSymbols::Symbols() {
  if (symbols_loaded_) return symbols_;
  symbols_loaded_ = true;
  const ElfFile::Section* full = file_->FindSection(SHT_SYMTAB);
  const ElfFile::Section* dynamic = file_->FindSection(SHT_DYNSYM);
  const ElfFile* full_owner = file_.get();
  if (full == nullptr && DebugFile() != nullptr) {
    full_owner = DebugFile();
    full = full_owner->FindSection(SHT_SYMTAB);
  }
  if (full != nullptr) symbols_.Load(*full_owner, *full);
  // A full table holds the dynamic one, unless `strip -K` thinned it.
  if (dynamic != nullptr && (full == nullptr || full->header.sh_size < dynamic->header.sh_size)) {
    symbols_.Load(*file_, *dynamic);
  }
  symbols_.Sort();
  return symbols_;
}

}  // namespace loopsan
