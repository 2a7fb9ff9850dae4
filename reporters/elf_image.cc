#include "reporters/elf_image.h"

#include <elf.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace loopsan {
namespace {

constexpr uint64_t kChunkBytes = 16 * 1024;
constexpr uint64_t kPageBytes = 4096;
constexpr uint64_t kMaxNoteBytes = 64 * 1024;
constexpr size_t kMaxSegments = 256;

// DW_EH_PE_* encodings (Linux Standard Base, "DWARF Extensions").
constexpr uint8_t kOmit = 0xff;
constexpr uint8_t kUdata4 = 0x03;
constexpr uint8_t kUdata8 = 0x04;
constexpr uint8_t kSdata4 = 0x0b;
constexpr uint8_t kSdata8 = 0x0c;
constexpr uint8_t kDataRelativeSdata4 = 0x3b;

bool Contains(uint64_t start, uint64_t bytes, uint64_t address) {
  return address >= start && address - start < bytes;
}

}  // namespace

ElfImage::ElfImage(std::string path, int descriptor, uint64_t file_bytes)
    : path_(std::move(path)), descriptor_(descriptor), file_bytes_(file_bytes) {}

ElfImage::~ElfImage() {
  if (descriptor_ >= 0) close(descriptor_);
}

absl::StatusOr<std::unique_ptr<ElfImage>> ElfImage::Open(const std::string& path) {
  // O_NONBLOCK: the path comes from another process and may by now be a fifo.
  const int descriptor = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (descriptor < 0) {
    const int error = errno;
    return absl::ErrnoToStatus(error, absl::StrCat("cannot open ", path));
  }
  struct stat status;
  const bool is_file = fstat(descriptor, &status) == 0 && S_ISREG(status.st_mode);
  std::unique_ptr<ElfImage> image(
      new ElfImage(path, descriptor, is_file ? static_cast<uint64_t>(status.st_size) : 0));
  if (!is_file) return absl::FailedPreconditionError(absl::StrCat(path, " is not a regular file"));
  if (absl::Status parsed = image->Parse(); !parsed.ok()) return parsed;
  return image;
}

absl::StatusOr<std::unique_ptr<ElfImage>> ElfImage::FromBytes(std::string name,
                                                              std::vector<char> bytes) {
  std::unique_ptr<ElfImage> image(new ElfImage(std::move(name), -1, bytes.size()));
  for (uint64_t offset = 0; offset < bytes.size(); offset += kChunkBytes) {
    const auto from = bytes.begin() + static_cast<ptrdiff_t>(offset);
    const uint64_t count = std::min<uint64_t>(kChunkBytes, bytes.size() - offset);
    image->chunks_.emplace(offset / kChunkBytes,
                           std::vector<char>(from, from + static_cast<ptrdiff_t>(count)));
  }
  if (absl::Status parsed = image->Parse(); !parsed.ok()) return parsed;
  return image;
}

absl::Status ElfImage::Parse() {
  Elf64_Ehdr header;
  if (!ReadFile(0, &header, sizeof(header)) || std::memcmp(header.e_ident, ELFMAG, SELFMAG) != 0 ||
      header.e_ident[EI_CLASS] != ELFCLASS64 || header.e_ident[EI_DATA] != ELFDATA2LSB ||
      header.e_machine != EM_X86_64) {
    return absl::InvalidArgumentError(absl::StrCat(path_, " is not an x86-64 ELF file"));
  }
  if (header.e_phentsize != sizeof(Elf64_Phdr)) {
    return absl::InvalidArgumentError(absl::StrCat(path_, " has no usable program headers"));
  }
  uint64_t unwind_header = 0;
  uint64_t unwind_header_bytes = 0;
  for (uint64_t i = 0; i < header.e_phnum; ++i) {
    Elf64_Phdr program;
    const uint64_t offset = header.e_phoff + i * sizeof(program);
    if (offset < header.e_phoff || !ReadFile(offset, &program, sizeof(program))) break;
    if (program.p_vaddr + program.p_memsz < program.p_vaddr) continue;
    if (program.p_type == PT_LOAD && segments_.size() < kMaxSegments) {
      Segment segment;
      segment.address = program.p_vaddr;
      segment.memory_bytes = program.p_memsz;
      segment.file_offset = program.p_offset;
      segment.file_bytes = std::min<uint64_t>(program.p_filesz, program.p_memsz);
      segment.writable = (program.p_flags & PF_W) != 0;
      segment.executable = (program.p_flags & PF_X) != 0;
      segments_.push_back(segment);
    } else if (program.p_type == PT_NOTE && notes_.size() < kMaxSegments) {
      const uint64_t bytes = std::min<uint64_t>(program.p_filesz, kMaxNoteBytes);
      notes_.emplace_back(program.p_vaddr, bytes);
      std::vector<char> note(bytes);
      if (build_id_.empty() && ReadFile(program.p_offset, note.data(), bytes)) {
        build_id_ = FindBuildId(note.data(), bytes);
      }
    } else if (program.p_type == PT_GNU_EH_FRAME) {
      unwind_header = program.p_vaddr;
      unwind_header_bytes = program.p_memsz;
    }
  }
  if (segments_.empty()) {
    return absl::InvalidArgumentError(absl::StrCat(path_, " has no loadable segments"));
  }
  if (unwind_header_bytes != 0) ParseUnwindTable(unwind_header, unwind_header_bytes);
  return absl::OkStatus();
}

// .eh_frame_hdr: version, three encodings, pointer to .eh_frame, number of
// entries, table. Every linker writes the table as pairs of sdata4 relative to
// the header; other forms are allowed and have not been met.
void ElfImage::ParseUnwindTable(uint64_t address, uint64_t bytes) {
  uint8_t header[4];
  if (bytes < sizeof(header) || !Read(address, header, sizeof(header))) return;
  const uint8_t version = header[0];
  const uint8_t pointer_format = header[1] & 0x0f;
  const uint8_t count_encoding = header[2];
  const uint8_t table_encoding = header[3];
  if (version != 1 || header[1] == kOmit || count_encoding == kOmit ||
      table_encoding != kDataRelativeSdata4) {
    return;
  }
  uint64_t offset = sizeof(header);
  if (pointer_format == kUdata4 || pointer_format == kSdata4) {
    offset += 4;
  } else if (pointer_format == kUdata8 || pointer_format == kSdata8) {
    offset += 8;
  } else {
    return;
  }
  uint32_t count = 0;
  if ((count_encoding != kUdata4 && count_encoding != kSdata4) ||
      !Read(address + offset, &count, sizeof(count))) {
    return;
  }
  offset += sizeof(count);
  if (count == 0 || bytes < offset) return;
  // A count that is larger than the section is a damaged file: search what is there.
  const uint64_t entries = std::min<uint64_t>(count, (bytes - offset) / 8);
  if (entries == 0) return;
  unwind_table_ = UnwindTable{address, address + offset, entries};
}

const ElfImage::Segment* ElfImage::FindSegment(uint64_t address) const {
  for (const Segment& segment : segments_) {
    if (Contains(segment.address, segment.memory_bytes, address)) return &segment;
  }
  return nullptr;
}

std::optional<uint64_t> ElfImage::LoadBias(uint64_t start, uint64_t file_offset,
                                           bool executable) const {
  for (const Segment& segment : segments_) {
    // The loader maps whole pages, so a mapping may begin before its segment.
    const uint64_t slack = segment.file_offset % kPageBytes;
    if (segment.executable == executable && slack == segment.address % kPageBytes &&
        Contains(segment.file_offset - slack, segment.file_bytes + slack, file_offset)) {
      return start - (segment.address + (file_offset - segment.file_offset));
    }
  }
  return std::nullopt;
}

bool ElfImage::Read(uint64_t address, void* to, size_t bytes) {
  for (const Segment& segment : segments_) {
    if (!Contains(segment.address, segment.file_bytes, address)) continue;
    const uint64_t offset = address - segment.address;
    if (bytes > segment.file_bytes - offset) continue;
    if (segment.file_offset + offset < segment.file_offset) return false;
    return ReadFile(segment.file_offset + offset, to, bytes);
  }
  return false;
}

bool ElfImage::ReadWord(uint64_t address, uint64_t* word) {
  if (Read(address, word, sizeof(*word))) return true;
  char bytes[sizeof(*word)] = {};
  bool any = false;
  for (size_t i = 0; i < sizeof(bytes); ++i) any |= Read(address + i, bytes + i, 1);
  std::memcpy(word, bytes, sizeof(bytes));
  return any;
}

bool ElfImage::ReadFile(uint64_t offset, void* to, size_t bytes) {
  char* out = static_cast<char*>(to);
  while (bytes != 0) {
    const std::vector<char>* chunk = Chunk(offset / kChunkBytes);
    const uint64_t skip = offset % kChunkBytes;
    if (chunk == nullptr || skip >= chunk->size()) return false;
    const size_t count = std::min<size_t>(bytes, chunk->size() - skip);
    std::memcpy(out, chunk->data() + skip, count);
    out += count;
    offset += count;
    bytes -= count;
  }
  return true;
}

const std::vector<char>* ElfImage::Chunk(uint64_t index) {
  if (index == last_chunk_index_) return last_chunk_;
  auto found = chunks_.find(index);
  if (found == chunks_.end()) {
    if (descriptor_ < 0 || index > file_bytes_ / kChunkBytes) return nullptr;
    std::vector<char> chunk(kChunkBytes);
    const ssize_t count =
        pread(descriptor_, chunk.data(), chunk.size(), static_cast<off_t>(index * kChunkBytes));
    if (count <= 0) return nullptr;
    chunk.resize(static_cast<size_t>(count));
    found = chunks_.emplace(index, std::move(chunk)).first;
  }
  last_chunk_index_ = index;
  last_chunk_ = &found->second;  // elements of an unordered_map do not move
  return last_chunk_;
}

std::vector<uint8_t> ElfImage::FindBuildId(const char* notes, size_t bytes) {
  size_t offset = 0;
  while (bytes - offset >= sizeof(Elf64_Nhdr)) {
    Elf64_Nhdr note;
    std::memcpy(&note, notes + offset, sizeof(note));
    offset += sizeof(note);
    // Computed in 64 bits: both sizes are any 32-bit number.
    const uint64_t name_bytes = (uint64_t{note.n_namesz} + 3) / 4 * 4;
    const uint64_t value_bytes = (uint64_t{note.n_descsz} + 3) / 4 * 4;
    if (name_bytes > bytes - offset) break;
    const char* name = notes + offset;
    offset += name_bytes;
    if (note.n_descsz > bytes - offset) break;
    if (note.n_type == NT_GNU_BUILD_ID && note.n_namesz == 4 && std::memcmp(name, "GNU", 4) == 0) {
      const auto* value = reinterpret_cast<const uint8_t*>(notes + offset);
      return {value, value + note.n_descsz};
    }
    if (value_bytes > bytes - offset) break;
    offset += value_bytes;
  }
  return {};
}

}  // namespace loopsan
