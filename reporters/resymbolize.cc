#include "reporters/resymbolize.h"

#include <libelf.h>

#include <algorithm>
#include <map>
#include <memory>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "reporters/module_symbols.h"
#include "reporters/wording.h"

namespace loopsan {
namespace {

constexpr char kDebugRoot[] = "/usr/lib/debug";

std::string HexOf(const BuildId& id) {
  return absl::BytesToHexString({reinterpret_cast<const char*>(id.data()), id.size()});
}

// The modules of one report, each opened once.
class Modules {
 public:
  Modules(const Report& report, const SymbolSources& sources)
      : sysroot_(sources.sysroot),
        debug_root_(sources.debug_root.empty() ? sources.sysroot + kDebugRoot
                                               : sources.debug_root) {
    elf_version(EV_CURRENT);
    for (const ReportModule& module : report.modules) build_ids_[module.path] = module.build_id;
  }

  // Null if it was not found.
  ModuleSymbols* Find(const std::string& path) {
    const auto [at, is_new] = symbols_.try_emplace(path);
    if (is_new) at->second = Open(path);
    return at->second.get();
  }

  std::vector<std::string> TakeComplaints() { return std::move(complaints_); }

 private:
  std::unique_ptr<ModuleSymbols> Open(const std::string& path) {
    const auto known = build_ids_.find(path);
    if (known == build_ids_.end()) return nullptr;  // no file: the vdso, generated code
    const std::string& build_id = known->second;
    if (build_id.size() < 4) {
      complaints_.push_back(
          absl::StrCat(path, " had no build-id, so no file can be known to be it"));
      return nullptr;
    }
    const std::string debug_file = absl::StrCat(debug_root_, "/.build-id/", build_id.substr(0, 2),
                                                "/", build_id.substr(2), ".debug");
    for (const std::string& file : {sysroot_ + path, debug_file}) {
      std::unique_ptr<ElfFile> elf = ElfFile::Open(file);
      if (elf == nullptr || HexOf(elf->ReadBuildId()) != build_id) continue;
      return std::make_unique<ModuleSymbols>(std::move(elf), debug_root_);
    }
    complaints_.push_back(absl::StrCat(path, " with the build-id ", build_id,
                                       " was found neither at ", sysroot_, path, " nor at ",
                                       debug_file));
    return nullptr;
  }

  const std::string sysroot_;
  const std::string debug_root_;
  std::map<std::string, std::string> build_ids_;  // by path
  std::map<std::string, std::unique_ptr<ModuleSymbols>> symbols_;
  std::vector<std::string> complaints_;
};

// Frames of one address: inlined functions, and the one that they were inlined into.
size_t EndOfAddress(const std::vector<ReportFrame>& stack, size_t begin) {
  size_t end = begin;
  while (end + 1 < stack.size() && stack[end].inlined &&
         stack[end + 1].module == stack[begin].module &&
         stack[end + 1].offset == stack[begin].offset) {
    ++end;
  }
  return end + 1;
}

bool TellsMore(const std::vector<ReportFrame>& found) {
  return std::any_of(found.begin(), found.end(), [](const ReportFrame& frame) {
    return !frame.function.empty() || !frame.file.empty();
  });
}

bool Resymbolize(std::vector<ReportFrame>& stack, Modules& modules) {
  std::vector<ReportFrame> result;
  bool changed = false;
  for (size_t begin = 0; begin < stack.size();) {
    const size_t end = EndOfAddress(stack, begin);
    std::vector<ReportFrame> frames(stack.begin() + static_cast<ptrdiff_t>(begin),
                                    stack.begin() + static_cast<ptrdiff_t>(end));
    if (ModuleSymbols* const symbols = modules.Find(stack[begin].module)) {
      std::vector<ReportFrame> found = symbols->Frames(stack[begin].offset);
      for (ReportFrame& frame : found) {
        frame.module = stack[begin].module;
        frame.offset = stack[begin].offset;
      }
      if (TellsMore(found) && found != frames) {
        frames = std::move(found);
        changed = true;
      }
    }
    std::move(frames.begin(), frames.end(), std::back_inserter(result));
    begin = end;
  }
  stack = std::move(result);
  return changed;
}

// What a library says of itself is in its own words.
bool IsWordedByUs(const Finding& finding) { return !finding.cause.empty(); }

}  // namespace

std::vector<std::string> Resymbolize(Report& report, const SymbolSources& sources) {
  Modules modules(report, sources);
  for (std::vector<Finding>* findings : {&report.findings, &report.unproven_findings}) {
    for (Finding& finding : *findings) {
      const bool changed = Resymbolize(finding.stack, modules);
      for (FindingMember& member : finding.members) Resymbolize(member.stack, modules);
      if (!changed) continue;
      finding.fingerprint = Fingerprint(finding);
      if (IsWordedByUs(finding)) {
        const std::string remedy = finding.remedy;
        DescribeFinding(finding, remedy);
      }
    }
  }
  return modules.TakeComplaints();
}

bool IsBuildId(std::string_view text) {
  return text.size() % 2 == 0 && std::all_of(text.begin(), text.end(), [](char c) {
           return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
         });
}

}  // namespace loopsan
