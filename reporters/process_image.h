// What a watched process has mapped, live or after its death: which ELF file
// lies where, and its memory.
//
// Threads: one thread at a time.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "instrument/segment.h"

namespace loopsan {

struct MappedModule {
  std::string path;               // "[vdso]" for the vdso; the file's path otherwise
  uint64_t start = 0;             // lowest mapped address
  uint64_t end = 0;               // one past the highest
  uint64_t load_bias = 0;         // address in memory - address in the ELF file
  std::vector<uint8_t> build_id;  // as the process had it mapped; empty if unknown
};

class ElfImage;  // reporters/elf_image.h: an ELF file on disk

struct AddressRange {
  uint64_t start = 0;
  uint64_t end = 0;  // one past the last
};

class ProcessImage {
 public:
  explicit ProcessImage(pid_t pid);
  ~ProcessImage();
  ProcessImage(const ProcessImage&) = delete;
  ProcessImage& operator=(const ProcessImage&) = delete;

  // Reads /proc/PID/maps and replaces what is known; keeps the old list and
  // returns an error if the process is gone or refuses.
  absl::Status Refresh();

  // Adopts the list that the probe wrote at discovery, where Refresh() could not
  // run in time. Does not override modules that are known already.
  void Adopt(const std::vector<MappedModule>& modules);

  // The module that contains `address`, or null. An address that no mapping
  // contains calls Refresh() while the process lives (dlopen, JIT), but a page
  // once only until something else changes, and for 50 ms after a Refresh() that
  // brought no answer not at all: stacks full of garbage must not cost a read of
  // /proc for each word. The pointer is good until the list changes.
  const MappedModule* FindModule(uint64_t address);

  // True if `address` lies in an executable mapping (file, JIT or vdso). May
  // call Refresh() as FindModule() does.
  bool IsExecutable(uint64_t address);

  // The mapping (of whatever kind) that contained `address` at the last
  // Refresh(). Adopted modules have none.
  std::optional<AddressRange> FindMapping(uint64_t address) const;

  // The ELF file behind a module; null if it cannot be read or its build-id is
  // not the one that the process had mapped (replaced on disk: see warnings()).
  // A file that was deleted is read through /proc while the process lives. Lives
  // as long as this object.
  ElfImage* FindElf(const MappedModule& module);

  // Copies live memory. False when the process is gone or refuses.
  bool ReadMemory(uint64_t address, void* to, size_t bytes);

  pid_t pid() const { return pid_; }
  // Sorted by address.
  const std::vector<MappedModule>& modules() const { return modules_; }
  // Sentences for the report: files that changed on disk, unreadable modules.
  const std::vector<std::string>& warnings() const { return warnings_; }
  // Changes whenever the module list does.
  uint64_t generation() const { return generation_; }
  // How often /proc/PID/maps was read.
  uint64_t refreshes() const { return refreshes_; }

 private:
  struct Private;
  pid_t pid_;
  uint64_t generation_ = 0;
  uint64_t refreshes_ = 0;
  std::vector<MappedModule> modules_;
  std::vector<std::string> warnings_;
  std::unique_ptr<Private> private_;
};

}  // namespace loopsan
