// An ELF file for look-ups of names: its sections, its build-id, and the separate
// files that hold its debug information. (reporters/elf_image.h is the file for
// the unwinder.)
//
// Damaged files give fewer sections, never an error. Call elf_version() first.
//
// Threads: one thread at a time.
#pragma once

#include <gelf.h>

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace loopsan {

using BuildId = std::vector<uint8_t>;

class ElfFile {
 public:
  // Null if it cannot be read or is no ELF file.
  static std::unique_ptr<ElfFile> Open(const std::string& path) { return Open(path, path); }

  // Opens `path`; `name` is what the file is called.
  static std::unique_ptr<ElfFile> Open(const std::string& path, const std::string& name);

  // The vdso is the same in every 64-bit process of a kernel: ours will do.
  static std::unique_ptr<ElfFile> OpenVdso();

  ~ElfFile();
  ElfFile(const ElfFile&) = delete;
  ElfFile& operator=(const ElfFile&) = delete;

  struct Section {
    std::string_view name;
    GElf_Shdr header;
    Elf_Scn* data;
  };

  Elf* elf() const { return elf_; }
  const std::string& path() const { return path_; }
  const std::vector<Section>& sections() const { return sections_; }  // by number

  // Null if there is none.
  const Section* FindSection(std::string_view name) const;
  const Section* FindSection(uint32_t type) const;
  bool HasDebugInfo() const;

  // libdw 0.188 measures strings with strlen() and runs out of a section whose
  // last string does not end.
  bool DebugStringsEnd() const;

  BuildId ReadBuildId() const;  // empty if it has none

 private:
  ElfFile(std::string path, int fd);
  void FindSections();

  std::string path_;
  int fd_;
  std::vector<char> memory_;
  Elf* elf_ = nullptr;
  std::vector<Section> sections_;
};

// The separate file with a module's DWARF and full symbol table, by build-id or
// .gnu_debuglink; null if there is none that belongs to it.
std::unique_ptr<ElfFile> OpenDebugFile(const ElfFile& module, const std::string& debug_root);

// The file that dwz moved shared parts of `debug` into, or null.
std::unique_ptr<ElfFile> OpenAlternateFile(const ElfFile& debug, const std::string& debug_root);

}  // namespace loopsan
