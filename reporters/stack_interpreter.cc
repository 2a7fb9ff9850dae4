#include "reporters/stack_interpreter.h"

#include <unordered_map>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "reporters/process_image.h"
#include "reporters/unwinder.h"

namespace loopsan {
namespace {

class ProcessInterpreter : public StackInterpreter {
 public:
  ProcessInterpreter(const ProcessFound& process, Symbolizer* symbolizer)
      : image_(process.pid), symbolizer_(symbolizer) {
    image_.Adopt(process.modules);
    (void)image_.Refresh();  // it may be gone already: then the adopted list serves
    unwinder_ = Unwinder::Create(&image_);
  }

  UnwoundStack Unwind(const RawStack& stack) override { return unwinder_->Unwind(stack); }

  const std::string& FunctionName(const StackFrame& frame) override {
    if (names_generation_ != image_.generation()) {
      names_.clear();
      names_generation_ = image_.generation();
    }
    const auto found = names_.find(frame.pc);
    if (found != names_.end()) {
      return found->second;
    }
    std::string name = symbolizer_->FunctionName(image_, frame);
    return names_.emplace(frame.pc, std::move(name)).first->second;
  }

  std::vector<ReportFrame> Symbolize(const StackFrame& frame) override {
    return symbolizer_->Symbolize(image_, frame);
  }

  std::string ModuleOffset(const StackFrame& frame) override {
    const MappedModule* module = image_.FindModule(frame.pc);
    return module == nullptr ? "" : absl::StrCat(module->path, "+", frame.pc - module->load_bias);
  }

  std::string BuildId(const std::string& path) override {
    for (const MappedModule& module : image_.modules()) {
      if (module.path != path) continue;
      return absl::BytesToHexString(
          {reinterpret_cast<const char*>(module.build_id.data()), module.build_id.size()});
    }
    return "";
  }

  std::vector<std::string> Warnings() const override { return image_.warnings(); }

 private:
  ProcessImage image_;
  Symbolizer* const symbolizer_;
  std::unique_ptr<Unwinder> unwinder_;
  std::unordered_map<uint64_t, std::string> names_;
  uint64_t names_generation_ = 0;
};

}  // namespace

std::unique_ptr<StackInterpreter> InterpretProcess(const ProcessFound& process,
                                                   Symbolizer* symbolizer) {
  return std::make_unique<ProcessInterpreter>(process, symbolizer);
}

}  // namespace loopsan
