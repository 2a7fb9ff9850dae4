// Names for code without a file: the map that JIT compilers write for perf,
// "/tmp/perf-PID.map", one "START SIZE name" per line, both hexadecimal.
//
// The file belongs to the watched process and may hold any bytes: nothing in it
// is trusted but as text to show. Names are returned as they stand.
//
// Threads: one thread at a time.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>

namespace loopsan {

class PerfMap {
 public:
  // What is read of one map at most; the rest is ignored and truncated() true.
  static constexpr size_t kMaxBytes = size_t{64} << 20;

  // A map without a file, for Append().
  PerfMap() = default;

  // Reads nothing yet. `owner` is the only user, besides ourselves and root,
  // whose file is believed: /tmp is everybody's.
  PerfMap(std::string path, uid_t owner) : path_(std::move(path)), owner_(owner) {}

  // The map of a process: its own /tmp under its own number if it lives in a
  // container, else ours. A process that is gone keeps its file in our /tmp.
  static PerfMap ForProcess(pid_t pid);

  // Reads what was appended since the last call; everything again if the file
  // was replaced or cut. What was read stays when the file goes away. Never
  // follows a symbolic link and never waits, whatever lies at the path.
  void Refresh();

  // Takes the next bytes of the map. A line counts once its newline came.
  // A newer line wins where it overlaps an older one.
  void Append(std::string_view bytes);

  // The name of the code at `address`, or "". Valid until the next change.
  std::string_view Find(uint64_t address) const;

  size_t size() const { return ranges_.size(); }
  bool truncated() const { return truncated_; }

 private:
  struct Range {
    uint64_t end;
    uint32_t name_offset;  // into text_, which never exceeds kMaxBytes
    uint32_t name_bytes;
  };
  struct FileId {
    dev_t device;
    ino_t inode;
    friend bool operator==(const FileId&, const FileId&) = default;
  };

  void Clear();
  void TakeLine(size_t begin, size_t end);
  void Insert(uint64_t start, uint64_t end, uint32_t name_offset, uint32_t name_bytes);

  std::string path_;
  uid_t owner_ = 0;
  std::optional<FileId> file_;
  std::string text_;
  size_t parsed_ = 0;  // bytes of text_ that were complete lines
  bool truncated_ = false;
  std::map<uint64_t, Range> ranges_;  // by start; disjoint
};

}  // namespace loopsan
