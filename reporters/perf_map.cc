#include "reporters/perf_map.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <fstream>
#include <limits>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace loopsan {
namespace {

bool TakeHex(std::string_view& text, uint64_t& value) {
  if (text.starts_with("0x")) text.remove_prefix(2);  // some compilers write it
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, 16);
  if (error != std::errc()) return false;
  text.remove_prefix(end - text.data());
  return true;
}

bool TakeSpaces(std::string_view& text) {
  const size_t count = std::min(text.find_first_not_of(" \t"), text.size());
  text.remove_prefix(count);
  return count > 0;
}

// The number by which a process knows itself: the last of NSpid.
std::string OwnNumber(pid_t pid) {
  std::ifstream status(absl::StrCat("/proc/", pid, "/status"));
  for (std::string line; std::getline(status, line);) {
    if (!line.starts_with("NSpid:")) continue;
    const size_t last = line.find_last_of(" \t");
    return last == std::string::npos ? "" : line.substr(last + 1);
  }
  return "";
}

}  // namespace

PerfMap PerfMap::ForProcess(pid_t pid) {
  struct stat status;
  const bool alive = stat(absl::StrCat("/proc/", pid).c_str(), &status) == 0;
  const uid_t owner = alive ? status.st_uid : geteuid();
  if (const std::string number = OwnNumber(pid); !number.empty()) {
    std::string path = absl::StrCat("/proc/", pid, "/root/tmp/perf-", number, ".map");
    if (access(path.c_str(), R_OK) == 0) return PerfMap(std::move(path), owner);
  }
  return PerfMap(absl::StrCat("/tmp/perf-", pid, ".map"), owner);
}

void PerfMap::Refresh() {
  if (path_.empty()) return;
  // O_NONBLOCK: opening somebody's fifo must not stop us.
  const int fd = open(path_.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
  if (fd < 0) return;
  struct stat status;
  if (fstat(fd, &status) != 0 || !S_ISREG(status.st_mode) ||
      (status.st_uid != owner_ && status.st_uid != geteuid() && status.st_uid != 0)) {
    close(fd);
    return;
  }
  const FileId file{status.st_dev, status.st_ino};
  if (file_ != file || static_cast<uint64_t>(status.st_size) < text_.size()) {
    Clear();
    file_ = file;
  }
  const auto size = static_cast<uint64_t>(status.st_size);
  while (text_.size() < size) {
    char buffer[64 * 1024];
    const ssize_t got = pread(fd, buffer, sizeof buffer, static_cast<off_t>(text_.size()));
    if (got <= 0) break;
    const size_t before = text_.size();
    Append({buffer, static_cast<size_t>(got)});
    if (text_.size() == before) break;  // full
  }
  close(fd);
}

void PerfMap::Append(std::string_view bytes) {
  const size_t room = kMaxBytes - text_.size();
  if (bytes.size() > room) {
    truncated_ = true;
    bytes = bytes.substr(0, room);
  }
  text_.append(bytes);
  for (;;) {
    const size_t newline = text_.find('\n', std::max(parsed_, text_.size() - bytes.size()));
    if (newline == std::string::npos) return;
    TakeLine(parsed_, newline);
    parsed_ = newline + 1;
  }
}

std::string_view PerfMap::Find(uint64_t address) const {
  auto next = ranges_.upper_bound(address);
  if (next == ranges_.begin()) return {};
  const Range& range = std::prev(next)->second;
  if (address >= range.end) return {};
  return std::string_view(text_).substr(range.name_offset, range.name_bytes);
}

void PerfMap::Clear() {
  text_.clear();
  parsed_ = 0;
  truncated_ = false;
  ranges_.clear();
}

void PerfMap::TakeLine(size_t begin, size_t end) {
  std::string_view line = std::string_view(text_).substr(begin, end - begin);
  if (line.ends_with('\r')) line.remove_suffix(1);
  uint64_t start = 0;
  uint64_t size = 0;
  if (!TakeHex(line, start) || !TakeSpaces(line) || !TakeHex(line, size) || !TakeSpaces(line)) {
    return;
  }
  if (size == 0 || line.empty() || size > std::numeric_limits<uint64_t>::max() - start) return;
  Insert(start, start + size, static_cast<uint32_t>(line.data() - text_.data()),
         static_cast<uint32_t>(line.size()));
}

void PerfMap::Insert(uint64_t start, uint64_t end, uint32_t name_offset, uint32_t name_bytes) {
  auto it = ranges_.lower_bound(start);
  if (it != ranges_.begin()) {
    auto before = std::prev(it);
    if (before->second.end > end) {
      Range rest = before->second;  // the older code goes on behind the newer
      it = ranges_.emplace_hint(it, end, rest);
    }
    before->second.end = std::min(before->second.end, start);
  }
  while (it != ranges_.end() && it->first < end) {
    if (it->second.end > end) {
      ranges_.emplace(end, it->second);
    }
    it = ranges_.erase(it);
  }
  ranges_[start] = Range{end, name_offset, name_bytes};
}

}  // namespace loopsan
