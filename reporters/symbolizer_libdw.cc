// The symbolizer on elfutils' libelf and libdw.
#include <libelf.h>

#include <algorithm>
#include <iterator>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "reporters/elf_file.h"
#include "reporters/elf_image.h"
#include "reporters/module_symbols.h"
#include "reporters/perf_map.h"
#include "reporters/symbolizer.h"

namespace loopsan {
namespace {

// What one run keeps at most. Beyond, everything of a kind is dropped and read
// again: slower, never wrong.
constexpr size_t kMaxOpenModules = 128;  // up to three descriptors each
constexpr size_t kMaxPerfMaps = 16;

class LibdwSymbolizer : public Symbolizer {
 public:
  explicit LibdwSymbolizer(std::string debug_root) : debug_root_(std::move(debug_root)) {
    elf_version(EV_CURRENT);
  }

  std::vector<ReportFrame> Symbolize(ProcessImage& process, const StackFrame& frame) override {
    const uint64_t address = LookupAddress(frame);
    const MappedModule* module = process.FindModule(address);
    if (module == nullptr) return {JitFrame(process, address)};
    std::vector<ReportFrame> frames(1);
    if (ModuleSymbols* symbols = FindSymbols(process, *module)) {
      frames = symbols->Frames(address - module->load_bias);
    }
    for (ReportFrame& result : frames) {
      result.module = module->path;
      result.offset = address - module->load_bias;
    }
    return frames;
  }

  std::string FunctionName(ProcessImage& process, const StackFrame& frame) override {
    const uint64_t address = LookupAddress(frame);
    const MappedModule* module = process.FindModule(address);
    if (module == nullptr) return JitFrame(process, address).function;
    ModuleSymbols* symbols = FindSymbols(process, *module);
    return symbols == nullptr ? "" : symbols->FunctionName(address - module->load_bias);
  }

 private:
  // A return address may lie behind the last instruction of its function.
  static uint64_t LookupAddress(const StackFrame& frame) {
    return frame.is_return_address && frame.pc > 0 ? frame.pc - 1 : frame.pc;
  }

  ReportFrame JitFrame(ProcessImage& process, uint64_t address) {
    const pid_t pid = process.pid();
    auto it = perf_maps_.find(pid);
    if (it == perf_maps_.end()) {
      if (perf_maps_.size() >= kMaxPerfMaps) perf_maps_.clear();
      it = perf_maps_.emplace(pid, PerfMap::ForProcess(pid)).first;
    }
    it->second.Refresh();
    const std::string_view name = it->second.Find(address);
    ReportFrame frame = FrameOfJitName(name);
    if (!name.empty() || process.IsExecutable(address)) frame.module = "[jit]";
    frame.offset = address;
    return frame;
  }

  ModuleSymbols* FindSymbols(ProcessImage& process, const MappedModule& module) {
    std::string key(reinterpret_cast<const char*>(module.build_id.data()), module.build_id.size());
    absl::StrAppend(&key, "/", module.path);
    auto it = modules_.find(key);
    if (it == modules_.end()) {
      if (modules_.size() >= kMaxOpenModules) modules_.clear();
      std::unique_ptr<ModuleSymbols> symbols;
      if (auto file = OpenModule(process, module)) {
        symbols = std::make_unique<ModuleSymbols>(std::move(file), debug_root_);
      }
      it = modules_.emplace(std::move(key), std::move(symbols)).first;
    }
    return it->second.get();
  }

  static std::unique_ptr<ElfFile> OpenModule(ProcessImage& process, const MappedModule& module) {
    if (module.path == "[vdso]") return ElfFile::OpenVdso();
    const ElfImage* image = process.FindElf(module);
    if (image == nullptr || image->file_descriptor() < 0) return nullptr;
    // The very file that was checked, whatever lies at its path by now.
    return ElfFile::Open(absl::StrCat("/proc/self/fd/", image->file_descriptor()), module.path);
  }

  std::string debug_root_;
  std::map<std::string, std::unique_ptr<ModuleSymbols>> modules_;
  std::map<pid_t, PerfMap> perf_maps_;
};

}  // namespace

std::vector<ReportFrame> Symbolizer::SymbolizeStack(ProcessImage& process,
                                                    const UnwoundStack& stack) {
  std::vector<ReportFrame> frames;
  for (const StackFrame& frame : stack.frames) {
    std::vector<ReportFrame> here = Symbolize(process, frame);
    std::move(here.begin(), here.end(), std::back_inserter(frames));
  }
  return frames;
}

std::unique_ptr<Symbolizer> Symbolizer::Create(std::string debug_root) {
  return std::make_unique<LibdwSymbolizer>(std::move(debug_root));
}

}  // namespace loopsan
