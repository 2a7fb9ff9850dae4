#include "reporters/elf_file.h"

#include <elfutils/libdwelf.h>
#include <fcntl.h>
#include <sys/auxv.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"

namespace loopsan {
namespace {

// Above this, reading a file's debug sections into memory costs more than the
// risk that a file cut under its mapping is a SIGBUS.
constexpr off_t kMapFilesAbove = off_t{256} << 20;

// As .gnu_debuglink has it: CRC-32 of the whole file (gdb manual, "Separate
// Debug Files").
std::optional<uint32_t> ChecksumOfFile(const std::string& path) {
  static const auto table = [] {
    std::array<uint32_t, 256> entries{};
    for (uint32_t i = 0; i < entries.size(); ++i) {
      uint32_t value = i;
      for (int bit = 0; bit < 8; ++bit) value = (value >> 1) ^ ((value & 1) ? 0xedb88320U : 0);
      entries[i] = value;
    }
    return entries;
  }();
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return std::nullopt;
  uint32_t crc = 0xffffffff;
  std::vector<unsigned char> buffer(1 << 20);
  ssize_t got = 0;
  while ((got = read(fd, buffer.data(), buffer.size())) > 0) {
    for (ssize_t i = 0; i < got; ++i) crc = table[(crc ^ buffer[i]) & 0xff] ^ (crc >> 8);
  }
  close(fd);
  if (got < 0) return std::nullopt;
  return ~crc;
}

std::string BuildIdPath(const std::string& debug_root, const BuildId& id) {
  const std::string hex =
      absl::BytesToHexString({reinterpret_cast<const char*>(id.data()), id.size()});
  return absl::StrCat(debug_root, "/.build-id/", hex.substr(0, 2), "/", hex.substr(2), ".debug");
}

std::string DirectoryOf(const std::string& path) {
  std::unique_ptr<char, decltype(&free)> real(realpath(path.c_str(), nullptr), free);
  const std::string full = real ? real.get() : path;
  return full.substr(0, full.rfind('/'));
}

std::unique_ptr<ElfFile> OpenByBuildId(const std::string& debug_root, const BuildId& id) {
  if (id.size() < 2) return nullptr;
  auto file = ElfFile::Open(BuildIdPath(debug_root, id));
  return file != nullptr && file->ReadBuildId() == id ? std::move(file) : nullptr;
}

}  // namespace

ElfFile::ElfFile(std::string path, int fd) : path_(std::move(path)), fd_(fd) {}

std::unique_ptr<ElfFile> ElfFile::Open(const std::string& path, const std::string& name) {
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  if (fd < 0) return nullptr;
  std::unique_ptr<ElfFile> file(new ElfFile(name, fd));
  struct stat status;
  if (fstat(fd, &status) != 0 || !S_ISREG(status.st_mode)) return nullptr;
  file->elf_ =
      elf_begin(fd, status.st_size > kMapFilesAbove ? ELF_C_READ_MMAP : ELF_C_READ, nullptr);
  if (file->elf_ == nullptr || elf_kind(file->elf_) != ELF_K_ELF) return nullptr;
  file->FindSections();
  return file;
}

std::unique_ptr<ElfFile> ElfFile::OpenVdso() {
  const auto* base = reinterpret_cast<const char*>(getauxval(AT_SYSINFO_EHDR));
  if (base == nullptr) return nullptr;
  Elf64_Ehdr header;
  memcpy(&header, base, sizeof header);
  const size_t size = header.e_shoff + size_t{header.e_shnum} * header.e_shentsize;
  std::unique_ptr<ElfFile> file(new ElfFile("[vdso]", -1));
  file->memory_.assign(base, base + size);
  file->elf_ = elf_memory(file->memory_.data(), size);
  if (file->elf_ == nullptr || elf_kind(file->elf_) != ELF_K_ELF) return nullptr;
  file->FindSections();
  return file;
}

ElfFile::~ElfFile() {
  if (elf_ != nullptr) elf_end(elf_);
  if (fd_ >= 0) close(fd_);
}

const ElfFile::Section* ElfFile::FindSection(std::string_view name) const {
  for (const Section& section : sections_) {
    if (section.name == name) return &section;
  }
  return nullptr;
}

const ElfFile::Section* ElfFile::FindSection(uint32_t type) const {
  for (const Section& section : sections_) {
    if (section.header.sh_type == type) return &section;
  }
  return nullptr;
}

bool ElfFile::HasDebugInfo() const {
  const Section* info = FindSection(".debug_info");
  if (info == nullptr) info = FindSection(".zdebug_info");
  return info != nullptr && info->header.sh_type != SHT_NOBITS;
}

bool ElfFile::DebugStringsEnd() const {
  for (const std::string_view name : {".debug_str", ".debug_line_str"}) {
    const Section* section = FindSection(name);
    if (section == nullptr || section->header.sh_size == 0 ||
        (section->header.sh_flags & SHF_COMPRESSED) != 0) {
      continue;
    }
    const Elf_Data* data = elf_rawdata(section->data, nullptr);
    if (data == nullptr || data->d_buf == nullptr || data->d_size == 0) return false;
    if (static_cast<const char*>(data->d_buf)[data->d_size - 1] != '\0') return false;
  }
  return true;
}

BuildId ElfFile::ReadBuildId() const {
  const void* bytes = nullptr;
  const ssize_t size = dwelf_elf_gnu_build_id(elf_, &bytes);
  if (size <= 0) return {};
  const auto* begin = static_cast<const uint8_t*>(bytes);
  return BuildId(begin, begin + size);
}

void ElfFile::FindSections() {
  size_t names = 0;
  if (elf_getshdrstrndx(elf_, &names) != 0) return;
  sections_.push_back({});  // number 0 is no section
  for (Elf_Scn* scn = nullptr; (scn = elf_nextscn(elf_, scn)) != nullptr;) {
    Section section{.name = "", .header = {}, .data = scn};
    if (gelf_getshdr(scn, &section.header) != nullptr) {
      const char* name = elf_strptr(elf_, names, section.header.sh_name);
      if (name != nullptr) section.name = name;
    }
    sections_.push_back(section);
  }
}

std::unique_ptr<ElfFile> OpenDebugFile(const ElfFile& module, const std::string& debug_root) {
  const BuildId id = module.ReadBuildId();
  if (auto file = OpenByBuildId(debug_root, id)) return file;

  GElf_Word checksum = 0;
  const char* link = dwelf_elf_gnu_debuglink(module.elf(), &checksum);
  if (link == nullptr || *link == '\0' || strchr(link, '/') != nullptr) return nullptr;
  const std::string directory = DirectoryOf(module.path());
  for (const std::string& path :
       {absl::StrCat(directory, "/", link), absl::StrCat(directory, "/.debug/", link),
        absl::StrCat(debug_root, directory, "/", link)}) {
    auto file = ElfFile::Open(path);
    if (file == nullptr || !file->HasDebugInfo()) continue;
    const BuildId its_id = file->ReadBuildId();
    // The build-id says the same as the checksum and costs no read of the file.
    const bool same =
        !id.empty() && !its_id.empty() ? id == its_id : ChecksumOfFile(path) == checksum;
    if (same) return file;
  }
  return nullptr;
}

std::unique_ptr<ElfFile> OpenAlternateFile(const ElfFile& debug, const std::string& debug_root) {
  const ElfFile::Section* link = debug.FindSection(".gnu_debugaltlink");
  if (link == nullptr) return nullptr;
  Elf_Data* data = elf_rawdata(link->data, nullptr);
  if (data == nullptr || data->d_buf == nullptr) return nullptr;
  const std::string_view bytes(static_cast<const char*>(data->d_buf), data->d_size);
  const size_t name_end = bytes.find('\0');
  if (name_end == std::string_view::npos) return nullptr;
  const BuildId id(bytes.begin() + name_end + 1, bytes.end());
  if (auto file = OpenByBuildId(debug_root, id)) return file;
  std::string path(bytes.substr(0, name_end));
  if (!path.starts_with('/')) path = absl::StrCat(DirectoryOf(debug.path()), "/", path);
  auto file = ElfFile::Open(path);
  return file != nullptr && file->ReadBuildId() == id ? std::move(file) : nullptr;
}

}  // namespace loopsan
