// The unwinder on libunwind's remote interface, with accessors of our own: the
// stack comes from the copy, the tables from the ELF files, so that a stack
// unwinds the same while its process runs and after it is gone.
//
// Written against libunwind 1.6.2, whose habits shape this file:
//  - Its cache knows a row of the tables by the frame's pc alone, whether that
//    was looked up at pc (an interrupted frame) or at pc - 1 (a return address).
//    The two kinds get an address space each.
//  - Where there is no unwind information unw_step() guesses from rbp, unchecked.
//    Its guess is thrown away, and GuessCaller() makes a checked one.
//  - An address space of other than the default cache size is never freed whole.
#include <libunwind.h>
#include <ucontext.h>

#include <array>
#include <cstddef>
#include <cstring>
#include <string>

#include "absl/strings/str_cat.h"
#include "reporters/elf_image.h"
#include "reporters/unwinder.h"

// Exported for accessors like ours, declared in no installed header.
extern "C" int _Ux86_64_dwarf_search_unwind_table(unw_addr_space_t space, unw_word_t ip,
                                                  unw_dyn_info_t* table, unw_proc_info_t* info,
                                                  int need_unwind_info, void* argument);

namespace loopsan {
namespace {

constexpr int kRegisters = UNW_X86_64_RIP + 1;

// Words one frame may read. Expressions in unwind tables can loop, and a damaged
// file must not hang the collector. A first look at a frame reads about 200.
constexpr int kReadsPerFrame = 100000;

// What a function may use below its stack pointer (System V ABI).
constexpr uint64_t kRedZoneBytes = 128;

struct RegisterFile {
  std::array<uint64_t, kRegisters> value{};
  std::array<bool, kRegisters> known{};

  void Set(int number, uint64_t to) {
    value[number] = to;
    known[number] = true;
  }
};

// The bytes before a return address are a call: e8 rel32, or ff /2 with any
// addressing mode. `code` are the 7 bytes before it.
bool EndsInCall(const std::array<uint8_t, 7>& code) {
  if (code[2] == 0xe8) return true;
  for (size_t length = 2; length <= code.size(); ++length) {
    const uint8_t* at = code.data() + code.size() - length;
    if (at[0] != 0xff || (at[1] >> 3 & 7) != 2) continue;
    const int mod = at[1] >> 6;
    const int rm = at[1] & 7;
    size_t expected = 2;
    if (mod != 3 && rm == 4) {
      ++expected;  // SIB byte
      if (mod == 0 && length > 2 && (at[2] & 7) == 5) expected += 4;
    }
    if (mod == 0 && rm == 5) expected += 4;
    if (mod == 1) expected += 1;
    if (mod == 2) expected += 4;
    if (expected == length) return true;
  }
  return false;
}

class LibunwindUnwinder : public Unwinder {
 public:
  explicit LibunwindUnwinder(ProcessImage* process) : process_(process) {
    unw_accessors_t accessors = {};
    accessors.find_proc_info = FindProcInfo;
    accessors.put_unwind_info = [](unw_addr_space_t, unw_proc_info_t*, void*) {};
    accessors.get_dyn_info_list_addr = [](unw_addr_space_t, unw_word_t*, void*) {
      return -UNW_ENOINFO;
    };
    accessors.access_mem = AccessMemory;
    accessors.access_reg = AccessRegister;
    accessors.access_fpreg = [](unw_addr_space_t, unw_regnum_t, unw_fpreg_t*, int, void*) {
      return -UNW_EBADREG;
    };
    accessors.resume = [](unw_addr_space_t, unw_cursor_t*, void*) { return -UNW_EINVAL; };
    accessors.get_proc_name = [](unw_addr_space_t, unw_word_t, char*, size_t, unw_word_t*, void*) {
      return -UNW_ENOINFO;
    };
    for (unw_addr_space_t* space : {&calls_, &exact_}) {
      *space = unw_create_addr_space(&accessors, 0);
      unw_set_caching_policy(*space, UNW_CACHE_GLOBAL);
    }
  }

  ~LibunwindUnwinder() override {
    unw_destroy_addr_space(calls_);
    unw_destroy_addr_space(exact_);
  }

  UnwoundStack Unwind(const RawStack& stack, size_t max_frames) override;

 private:
  enum class Step { kCaller, kOutermost, kStopped };

  static int FindProcInfo(unw_addr_space_t space, unw_word_t ip, unw_proc_info_t* info,
                          int need_unwind_info, void* self);
  static int AccessMemory(unw_addr_space_t space, unw_word_t address, unw_word_t* word, int write,
                          void* self);
  static int AccessRegister(unw_addr_space_t space, unw_regnum_t number, unw_word_t* value,
                            int write, void* self);

  void FlushIfModulesChanged();
  bool Position(const StackFrame& frame);
  Step StepToCaller(const StackFrame& frame, StackFrame* caller);
  Step GuessCaller(const StackFrame& frame, StackFrame* caller);
  Step TakeSignalFrame(const StackFrame& frame, StackFrame* caller);
  Step Stop(std::string reason);
  void SaveRegisters();

  bool InStackCopy(uint64_t address, size_t bytes) const;
  bool ReadStack(uint64_t address, uint64_t* word) const;
  bool ReadWord(uint64_t address, uint64_t* word);
  bool ReadCode(uint64_t address, void* to, size_t bytes);
  ElfImage* ElfAt(uint64_t address);
  bool MayBeReturnAddress(uint64_t pc);
  std::string NameOfCodeAt(uint64_t pc);

  ProcessImage* const process_;
  unw_addr_space_t calls_;  // frames found by return address, looked up at pc - 1
  unw_addr_space_t exact_;  // interrupted frames, looked up at pc
  uint64_t generation_ = 0;

  // The unwind in progress.
  const RawStack* stack_ = nullptr;
  std::optional<AddressRange> stack_mapping_;
  RegisterFile registers_;  // of the frame the cursor was last positioned at
  unw_cursor_t cursor_;
  unw_addr_space_t cursor_space_ = nullptr;  // null: the cursor is not at the current frame
  std::string reason_;

  // What the accessors met during one step.
  bool no_unwind_info_ = false;
  bool left_the_copy_ = false;
  bool read_below_the_copy_ = false;
  bool unknown_register_ = false;
  int reads_left_ = 0;

  // The module of the last word read from a file.
  uint64_t file_start_ = 0;
  uint64_t file_end_ = 0;
  uint64_t file_bias_ = 0;
  ElfImage* file_ = nullptr;
};

UnwoundStack LibunwindUnwinder::Unwind(const RawStack& stack, size_t max_frames) {
  UnwoundStack result;
  result.source = stack.source;
  stack_ = &stack;
  cursor_space_ = nullptr;
  reason_.clear();
  registers_ = RegisterFile();
  registers_.Set(UNW_X86_64_RIP, stack.registers.rip);
  registers_.Set(UNW_X86_64_RSP, stack.registers.rsp);
  if (stack.rbp_known) registers_.Set(UNW_X86_64_RBP, stack.registers.rbp);

  StackFrame frame{stack.registers.rip, stack.registers.rsp, stack.rip_is_return_address};
  // Known before the first read, so that a look at an unknown pc does its
  // refresh here and not in the middle of a step.
  const bool starts_in_code = process_->IsExecutable(frame.pc - (frame.is_return_address ? 1 : 0));
  stack_mapping_ = process_->FindMapping(stack.base);
  FlushIfModulesChanged();
  while (result.frames.size() < max_frames) {
    result.frames.push_back(frame);
    if (!starts_in_code) {
      Stop("the program counter is outside of all code");
      break;
    }
    if (result.frames.size() == max_frames) {
      Stop(absl::StrCat("deeper than ", max_frames, " frames"));
      break;
    }
    StackFrame caller;
    const Step step = StepToCaller(frame, &caller);
    if (step == Step::kOutermost) result.complete = true;
    if (step != Step::kCaller) break;
    frame = caller;
  }
  result.stopped_because = reason_;
  stack_ = nullptr;
  return result;
}

void LibunwindUnwinder::FlushIfModulesChanged() {
  if (generation_ == process_->generation()) return;
  generation_ = process_->generation();
  unw_flush_cache(calls_, 0, 0);
  unw_flush_cache(exact_, 0, 0);
  file_ = nullptr;
  file_start_ = file_end_ = 0;
}

LibunwindUnwinder::Step LibunwindUnwinder::Stop(std::string reason) {
  reason_ = std::move(reason);
  return Step::kStopped;
}

// Puts the cursor at `frame`, in the address space of its kind.
bool LibunwindUnwinder::Position(const StackFrame& frame) {
  const unw_addr_space_t space = frame.is_return_address ? calls_ : exact_;
  if (cursor_space_ == space) return true;
  if (cursor_space_ != nullptr) SaveRegisters();
  // unw_init_remote() looks up at the very pc. For a return address that is one
  // too far: behind a call that never returns another function begins.
  registers_.Set(UNW_X86_64_RIP, frame.is_return_address ? frame.pc - 1 : frame.pc);
  registers_.Set(UNW_X86_64_RSP, frame.sp);
  cursor_space_ = space;
  return unw_init_remote(&cursor_, space, this) == 0;
}

void LibunwindUnwinder::SaveRegisters() {
  RegisterFile saved;
  for (int number = 0; number < kRegisters; ++number) {
    unw_word_t value = 0;
    read_below_the_copy_ = false;
    if (unw_get_reg(&cursor_, number, &value) == 0) {
      saved.Set(number, value);
    } else if (read_below_the_copy_ && registers_.known[number]) {
      // Interrupted between its last pop and its ret. Compilers leave the rule
      // "saved on the stack" in force there, for bytes that are now below the
      // stack pointer; the register itself has the value again.
      saved.Set(number, registers_.value[number]);
    }
  }
  registers_ = saved;
}

LibunwindUnwinder::Step LibunwindUnwinder::StepToCaller(const StackFrame& frame,
                                                        StackFrame* caller) {
  reads_left_ = kReadsPerFrame;
  no_unwind_info_ = false;
  if (!Position(frame)) return Stop("the registers are not usable");
  // Before the step: after a failed one the cursor is no longer in this frame.
  unw_word_t rbp = 0;
  const bool rbp_known = unw_get_reg(&cursor_, UNW_X86_64_RBP, &rbp) == 0;
  left_the_copy_ = unknown_register_ = false;

  const int moved = unw_step(&cursor_);
  if (no_unwind_info_) {
    cursor_space_ = nullptr;
    registers_ = RegisterFile();
    if (rbp_known) registers_.Set(UNW_X86_64_RBP, rbp);
    return GuessCaller(frame, caller);
  }
  if (moved == 0) return Step::kOutermost;
  if (moved < 0) {
    if (left_the_copy_) return Stop("the copied stack ends here");
    if (unknown_register_) {
      return Stop(absl::StrCat("the frame in ", NameOfCodeAt(frame.pc),
                               " needs a register that was not recorded"));
    }
    return Stop(
        absl::StrCat("the unwind information of ", NameOfCodeAt(frame.pc), " does not fit"));
  }

  unw_word_t pc = 0;
  unw_word_t sp = 0;
  if (unw_get_reg(&cursor_, UNW_REG_IP, &pc) != 0 || unw_get_reg(&cursor_, UNW_REG_SP, &sp) != 0) {
    return Stop("the registers are not usable");
  }
  if (pc == 0) return Step::kOutermost;
  // True once the cursor has stepped out of the frame that a signal made.
  const bool interrupted = unw_is_signal_frame(&cursor_) > 0;
  *caller = {pc, sp, !interrupted};
  // A signal handler may run on a stack of its own, anywhere.
  if (!interrupted && sp <= frame.sp) return Stop("the stack pointer does not grow");
  if (!process_->IsExecutable(interrupted ? pc : pc - 1)) {
    return Stop(absl::StrCat("the caller's address 0x", absl::Hex(pc), " is outside of all code"));
  }
  FlushIfModulesChanged();
  return Step::kCaller;
}

// The caller of a frame whose code has no unwind information: JIT code, assembly.
LibunwindUnwinder::Step LibunwindUnwinder::GuessCaller(const StackFrame& frame,
                                                       StackFrame* caller) {
  const MappedModule* module = process_->FindModule(frame.pc);
  if (module != nullptr && process_->FindElf(*module) == nullptr) {
    // Code of a compiler that omits frame pointers: rbp is any number there.
    return Stop(absl::StrCat(module->path, " cannot be read"));
  }
  const std::string no_information =
      absl::StrCat("no unwind information in ", NameOfCodeAt(frame.pc));

  std::array<uint8_t, 9> code{};
  if (ReadCode(frame.pc, code.data(), code.size())) {
    // mov $15 (rt_sigreturn), %rax; syscall: where signal handlers return to.
    // glibc describes it, other libraries do not.
    constexpr std::array<uint8_t, 9> kSigreturn = {0x48, 0xc7, 0xc0, 0x0f, 0, 0, 0, 0x0f, 0x05};
    if (code == kSigreturn) return TakeSignalFrame(frame, caller);
    // A jump through the linkage table, which not every linker describes either.
    constexpr std::array<uint8_t, 4> kEndbr64 = {0xf3, 0x0f, 0x1e, 0xfa};
    const size_t skip = std::memcmp(code.data(), kEndbr64.data(), kEndbr64.size()) == 0 ? 4 : 0;
    uint64_t pc = 0;
    if (!frame.is_return_address && module != nullptr && code[skip] == 0xff &&
        code[skip + 1] == 0x25 && ReadStack(frame.sp, &pc) && MayBeReturnAddress(pc)) {
      *caller = {pc, frame.sp + 8, true};
      return Step::kCaller;
    }
  }

  if (!registers_.known[UNW_X86_64_RBP]) {
    return Stop(absl::StrCat(no_information, ", and its frame pointer was not recorded"));
  }
  const uint64_t rbp = registers_.value[UNW_X86_64_RBP];
  // The ABI's mark of a thread's first frame.
  if (rbp == 0) return module != nullptr ? Step::kOutermost : Stop(no_information);
  uint64_t callers_rbp = 0;
  uint64_t pc = 0;
  if (rbp % 8 != 0 || rbp < frame.sp) return Stop(no_information);
  if (!ReadStack(rbp, &callers_rbp) || !ReadStack(rbp + 8, &pc)) {
    const bool beyond =
        stack_mapping_.has_value() && rbp >= stack_mapping_->start && rbp < stack_mapping_->end;
    return Stop(beyond ? "the copied stack ends here" : no_information);
  }
  if (!MayBeReturnAddress(pc)) return Stop(no_information);
  registers_.Set(UNW_X86_64_RBP, callers_rbp);
  *caller = {pc, rbp + 16, true};
  return Step::kCaller;
}

LibunwindUnwinder::Step LibunwindUnwinder::TakeSignalFrame(const StackFrame& frame,
                                                           StackFrame* caller) {
  constexpr std::array<std::pair<int, int>, 17> kSaved = {{
      {UNW_X86_64_RAX, REG_RAX},
      {UNW_X86_64_RBX, REG_RBX},
      {UNW_X86_64_RCX, REG_RCX},
      {UNW_X86_64_RDX, REG_RDX},
      {UNW_X86_64_RSI, REG_RSI},
      {UNW_X86_64_RDI, REG_RDI},
      {UNW_X86_64_RBP, REG_RBP},
      {UNW_X86_64_RSP, REG_RSP},
      {UNW_X86_64_R8, REG_R8},
      {UNW_X86_64_R9, REG_R9},
      {UNW_X86_64_R10, REG_R10},
      {UNW_X86_64_R11, REG_R11},
      {UNW_X86_64_R12, REG_R12},
      {UNW_X86_64_R13, REG_R13},
      {UNW_X86_64_R14, REG_R14},
      {UNW_X86_64_R15, REG_R15},
      {UNW_X86_64_RIP, REG_RIP},
  }};
  registers_ = RegisterFile();
  for (const auto& [number, saved_as] : kSaved) {
    uint64_t value = 0;
    const uint64_t address = frame.sp + offsetof(ucontext_t, uc_mcontext.gregs) +
                             static_cast<uint64_t>(saved_as) * sizeof(greg_t);
    if (!ReadWord(address, &value)) return Stop("the copied stack ends here");
    registers_.Set(number, value);
  }
  *caller = {registers_.value[UNW_X86_64_RIP], registers_.value[UNW_X86_64_RSP], false};
  if (!process_->IsExecutable(caller->pc)) return Stop("a signal interrupted code that is gone");
  return Step::kCaller;
}

bool LibunwindUnwinder::MayBeReturnAddress(uint64_t pc) {
  if (pc < 16 || !process_->IsExecutable(pc - 1)) return false;
  FlushIfModulesChanged();
  std::array<uint8_t, 7> code{};
  // JIT code of a dead process cannot be read; it must be believed.
  return !ReadCode(pc - code.size(), code.data(), code.size()) || EndsInCall(code);
}

std::string LibunwindUnwinder::NameOfCodeAt(uint64_t pc) {
  const MappedModule* module = process_->FindModule(pc);
  return module == nullptr ? "[jit]" : module->path;
}

bool LibunwindUnwinder::InStackCopy(uint64_t address, size_t bytes) const {
  return address >= stack_->base && address - stack_->base <= stack_->bytes.size() &&
         bytes <= stack_->bytes.size() - (address - stack_->base);
}

bool LibunwindUnwinder::ReadStack(uint64_t address, uint64_t* word) const {
  if (!InStackCopy(address, sizeof(*word))) return false;
  std::memcpy(word, stack_->bytes.data() + (address - stack_->base), sizeof(*word));
  return true;
}

// The file behind `address`, remembered in file_*.
ElfImage* LibunwindUnwinder::ElfAt(uint64_t address) {
  if (address >= file_start_ && address < file_end_) return file_;
  for (const MappedModule& module : process_->modules()) {
    if (address < module.start || address >= module.end) continue;
    file_ = process_->FindElf(module);
    file_start_ = module.start;
    file_end_ = module.end;
    file_bias_ = module.load_bias;
    return file_;
  }
  return nullptr;
}

bool LibunwindUnwinder::ReadWord(uint64_t address, uint64_t* word) {
  if (ReadStack(address, word)) return true;
  read_below_the_copy_ = address < stack_->base && stack_->base - address <= kRedZoneBytes;
  // The thread runs on: what its stack holds now is not what it held when the
  // rest was copied.
  if (stack_mapping_.has_value() && address >= stack_mapping_->start &&
      address < stack_mapping_->end) {
    left_the_copy_ = true;
    return false;
  }
  if (ElfImage* file = ElfAt(address)) {
    const ElfImage::Segment* segment = file->FindSegment(address - file_bias_);
    // Segments begin at any byte, words at multiples of eight.
    if (segment == nullptr) segment = file->FindSegment(address + 7 - file_bias_);
    if (segment != nullptr && !segment->writable) {
      return file->ReadWord(address - file_bias_, word);
    }
  }
  if (process_->ReadMemory(address, word, sizeof(*word))) return true;
  // A dead process: the file's own bytes of a writable segment. Only pointers to
  // personality routines are looked for there, whose value nobody uses.
  if (ElfImage* file = ElfAt(address)) {
    if (file->FindSegment(address - file_bias_) != nullptr &&
        file->ReadWord(address - file_bias_, word)) {
      return true;
    }
  }
  // Without a list of mappings (a dead process) the stack's end is not known.
  if (!stack_mapping_.has_value() && address >= stack_->base) left_the_copy_ = true;
  return false;
}

bool LibunwindUnwinder::ReadCode(uint64_t address, void* to, size_t bytes) {
  if (ElfImage* file = ElfAt(address)) return file->Read(address - file_bias_, to, bytes);
  return process_->ReadMemory(address, to, bytes);
}

int LibunwindUnwinder::FindProcInfo(unw_addr_space_t space, unw_word_t ip, unw_proc_info_t* info,
                                    int need_unwind_info, void* argument) {
  auto* self = static_cast<LibunwindUnwinder*>(argument);
  int result = -UNW_ENOINFO;
  const MappedModule* module = self->process_->FindModule(ip);
  ElfImage* file = module == nullptr ? nullptr : self->process_->FindElf(*module);
  if (file != nullptr && file->unwind_table().has_value()) {
    const ElfImage::UnwindTable& table = *file->unwind_table();
    unw_dyn_info_t description = {};
    description.format = UNW_INFO_FORMAT_REMOTE_TABLE;
    description.start_ip = module->start;
    description.end_ip = module->end;
    description.u.rti.segbase = module->load_bias + table.header;
    description.u.rti.table_data = module->load_bias + table.table;
    description.u.rti.table_len = table.entries;  // counted in words, which are as long
    result = _Ux86_64_dwarf_search_unwind_table(space, ip, &description, info, need_unwind_info,
                                                argument);
  }
  if (result < 0) self->no_unwind_info_ = true;
  return result;
}

int LibunwindUnwinder::AccessMemory(unw_addr_space_t, unw_word_t address, unw_word_t* word,
                                    int write, void* argument) {
  auto* self = static_cast<LibunwindUnwinder*>(argument);
  // After FindProcInfo() has failed only unw_step()'s own guess reads on.
  if (write != 0 || self->no_unwind_info_ || self->reads_left_-- <= 0) return -UNW_EINVAL;
  return self->ReadWord(address, word) ? 0 : -UNW_EINVAL;
}

int LibunwindUnwinder::AccessRegister(unw_addr_space_t, unw_regnum_t number, unw_word_t* value,
                                      int write, void* argument) {
  auto* self = static_cast<LibunwindUnwinder*>(argument);
  if (write != 0 || number < 0 || number >= kRegisters) return -UNW_EBADREG;
  if (!self->registers_.known[number]) {
    self->unknown_register_ = true;
    return -UNW_EBADREG;
  }
  *value = self->registers_.value[number];
  return 0;
}

}  // namespace

std::unique_ptr<Unwinder> Unwinder::Create(ProcessImage* process) {
  return std::make_unique<LibunwindUnwinder>(process);
}

}  // namespace loopsan
