// Stacks for tests of the judge, written as text: a RawStack's rip is an index
// into the script, so that no process is needed.
#pragma once

#include <deque>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "reporters/stack_interpreter.h"

namespace loopsan {

class StackScript {
 public:
  // Builds a stack from outermost to innermost names, 0x100 bytes of stack each.
  // "name" or "name#2" for the second call site.
  RawStack Stack(const std::vector<std::string>& outermost_first) {
    UnwoundStack stack;
    stack.source = StackSource::kSnapshot;
    stack.complete = true;
    uint64_t sp = 0x7fff0000;
    for (const std::string& text : outermost_first) {
      const size_t mark = text.find('#');
      const std::string name = text.substr(0, mark);
      const int call = mark == std::string::npos ? 1 : std::stoi(text.substr(mark + 1));
      sp -= 0x100;
      StackFrame frame;
      frame.pc = Address(name) + static_cast<uint64_t>(call);
      frame.sp = sp;
      stack.frames.insert(stack.frames.begin(), frame);
    }
    stacks_.push_back(stack);
    RawStack raw;
    raw.source = StackSource::kSnapshot;
    raw.registers = {stacks_.size() - 1, stack.frames.front().sp, 0};
    raw.base = raw.registers.rsp;
    raw.bytes = {'x'};
    return raw;
  }

  const UnwoundStack& Unwound(const RawStack& raw) const { return stacks_.at(raw.registers.rip); }

  const std::string& NameAt(uint64_t pc) const { return names_.at(pc / 0x1000 - 1); }

  uint64_t Address(const std::string& name) {
    for (size_t i = 0; i < names_.size(); ++i) {
      if (names_[i] == name) return (i + 1) * 0x1000;
    }
    names_.push_back(name);
    return names_.size() * 0x1000;
  }

 private:
  // Not vectors: what is handed out stays where it is.
  std::deque<UnwoundStack> stacks_;
  std::deque<std::string> names_;
};

class ScriptedInterpreter : public StackInterpreter {
 public:
  explicit ScriptedInterpreter(const StackScript* script) : script_(script) {}

  UnwoundStack Unwind(const RawStack& stack) override {
    return stack.bytes.empty() ? UnwoundStack{} : script_->Unwound(stack);
  }
  const std::string& FunctionName(const StackFrame& frame) override {
    return script_->NameAt(frame.pc);
  }
  std::vector<ReportFrame> Symbolize(const StackFrame& frame) override {
    ReportFrame result;
    result.function = script_->NameAt(frame.pc);
    result.file = "/src/server.cc";
    result.line = static_cast<int>(frame.pc % 0x1000);
    result.module = "/usr/bin/server";
    result.offset = frame.pc;
    return {result};
  }
  std::string ModuleOffset(const StackFrame& frame) override {
    return "/usr/bin/server+" + std::to_string(frame.pc);
  }
  std::vector<std::string> Warnings() const override { return {}; }

 private:
  const StackScript* const script_;
};

}  // namespace loopsan
