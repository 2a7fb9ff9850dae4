// An ELF file: where its segments go, its build-id, its table of unwind
// information, and the bytes at its own (unrelocated) addresses.
//
// The file may be anything, even be rewritten while it is read: every offset is
// checked, bytes that are not there are an error of the one read. It is read
// with pread() and not mapped, because touching a mapped page of a file that
// was truncated in place is a SIGBUS.
//
// Threads: one thread at a time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"

namespace loopsan {

class ElfImage {
 public:
  // A PT_LOAD entry. file_bytes is cut to what the file has.
  struct Segment {
    uint64_t address = 0;
    uint64_t memory_bytes = 0;
    uint64_t file_offset = 0;
    uint64_t file_bytes = 0;
    bool writable = false;
    bool executable = false;
  };

  // The sorted table in .eh_frame_hdr: `entries` pairs of 32-bit offsets
  // (function, its unwind information) relative to `header`.
  struct UnwindTable {
    uint64_t header = 0;
    uint64_t table = 0;
    uint64_t entries = 0;
  };

  // 64-bit little-endian x86-64 ELF files only.
  static absl::StatusOr<std::unique_ptr<ElfImage>> Open(const std::string& path);

  // A file that exists only as bytes: the vdso, or the start of a module copied
  // from a process. Reads past the bytes fail.
  static absl::StatusOr<std::unique_ptr<ElfImage>> FromBytes(std::string name,
                                                             std::vector<char> bytes);

  ~ElfImage();
  ElfImage(const ElfImage&) = delete;
  ElfImage& operator=(const ElfImage&) = delete;

  // As given to Open(); may be a /proc path when the file has been deleted.
  const std::string& path() const { return path_; }
  // Open for reading as long as the image lives; -1 for FromBytes().
  int file_descriptor() const { return descriptor_; }
  // Empty if the file has none.
  const std::vector<uint8_t>& build_id() const { return build_id_; }
  const std::vector<Segment>& segments() const { return segments_; }
  // The segment whose memory contains `address`, or null.
  const Segment* FindSegment(uint64_t address) const;
  // Where build-id notes may be: (address, bytes). For images whose bytes end early.
  const std::vector<std::pair<uint64_t, uint64_t>>& notes() const { return notes_; }

  // Address in memory minus address in the file, for a mapping of the file from
  // `file_offset` on at `start`; nothing if no segment is mapped from there.
  std::optional<uint64_t> LoadBias(uint64_t start, uint64_t file_offset, bool executable) const;

  // Nothing if the file has no .eh_frame_hdr, or one without a usable table.
  const std::optional<UnwindTable>& unwind_table() const { return unwind_table_; }

  // Copies `bytes` bytes of a segment's file content; false, and `to` in an
  // unspecified state, if they are not all there.
  bool Read(uint64_t address, void* to, size_t bytes);

  // Eight bytes, of which only the first or last need to be in the segment; the
  // others are 0. Unwinders read whole words around the bytes they want.
  bool ReadWord(uint64_t address, uint64_t* word);

  bool ReadFile(uint64_t offset, void* to, size_t bytes);

  // The GNU build-id in the bytes of a note section; empty if there is none.
  static std::vector<uint8_t> FindBuildId(const char* notes, size_t bytes);

 private:
  ElfImage(std::string path, int descriptor, uint64_t file_bytes);
  absl::Status Parse();
  void ParseUnwindTable(uint64_t address, uint64_t bytes);
  const std::vector<char>* Chunk(uint64_t index);

  std::string path_;
  int descriptor_;
  uint64_t file_bytes_;
  std::vector<uint8_t> build_id_;
  std::vector<Segment> segments_;
  std::vector<std::pair<uint64_t, uint64_t>> notes_;
  std::optional<UnwindTable> unwind_table_;
  std::unordered_map<uint64_t, std::vector<char>> chunks_;
  uint64_t last_chunk_index_ = ~uint64_t{0};
  const std::vector<char>* last_chunk_ = nullptr;
};

}  // namespace loopsan
