#include "reporters/source_excerpt.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <string_view>
#include <utility>

namespace loopsan {
namespace {

constexpr size_t kMaxFileBytes = 4 << 20;
constexpr size_t kMaxBytes = 64 << 20;  // of all files
constexpr size_t kMaxFiles = 1000;
constexpr size_t kMaxLineBytes = 300;

constexpr std::array<std::string_view, 28> kSourceEndings = {
    "c", "cc",    "cpp", "cxx", "c++", "C",   "h",    "hh", "hpp", "hxx",
    "H", "inc",   "inl", "ipp", "tcc", "ixx", "cppm", "rs", "go",  "zig",
    "d", "swift", "js",  "mjs", "cjs", "ts",  "py",   "S"};

bool HasNameOfASource(std::string_view file) {
  const size_t slash = file.rfind('/');
  const std::string_view name = slash == std::string_view::npos ? file : file.substr(slash + 1);
  const size_t dot = name.rfind('.');
  // The standard library's headers have no ending.
  if (dot == std::string_view::npos) return file.starts_with("/usr/include/c++/");
  return std::find(kSourceEndings.begin(), kSourceEndings.end(), name.substr(dot + 1)) !=
         kSourceEndings.end();
}

class OpenFile {
 public:
  // O_NONBLOCK: the name may be that of a FIFO by now.
  explicit OpenFile(const char* path)
      : fd_(open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY)) {}
  ~OpenFile() {
    if (fd_ >= 0) close(fd_);
  }
  OpenFile(const OpenFile&) = delete;
  OpenFile& operator=(const OpenFile&) = delete;

  std::string ReadAll(size_t limit) const {
    struct stat info{};
    if (fd_ < 0 || fstat(fd_, &info) != 0 || !S_ISREG(info.st_mode) ||
        static_cast<size_t>(info.st_size) > limit) {
      return "";
    }
    std::string text(static_cast<size_t>(info.st_size), '\0');
    size_t read_bytes = 0;
    while (read_bytes < text.size()) {
      const ssize_t more = read(fd_, text.data() + read_bytes, text.size() - read_bytes);
      if (more <= 0) break;
      read_bytes += static_cast<size_t>(more);
    }
    text.resize(read_bytes);
    return text;
  }

 private:
  int fd_;
};

std::vector<std::string> SplitLines(std::string_view text) {
  std::vector<std::string> lines;
  while (!text.empty()) {
    const size_t end = text.find('\n');
    std::string_view line = text.substr(0, end);
    if (line.ends_with('\r')) line.remove_suffix(1);
    lines.emplace_back(line.substr(0, kMaxLineBytes));
    if (end == std::string_view::npos) break;
    text.remove_prefix(end + 1);
  }
  return lines;
}

}  // namespace

const std::vector<std::string>& SourceReader::LinesOf(const std::string& file) {
  static const std::vector<std::string> kNone;
  const auto known = files_.find(file);
  if (known != files_.end()) return known->second;
  if (files_.size() >= kMaxFiles || bytes_ >= kMaxBytes) return kNone;
  std::vector<std::string>& lines = files_[file];
  // A relative name would be looked up where the report is made, not where the
  // program was compiled.
  if (!file.starts_with('/') || file.find('\0') != std::string::npos || !HasNameOfASource(file)) {
    return lines;
  }
  const std::string text = OpenFile(file.c_str()).ReadAll(kMaxFileBytes);
  bytes_ += text.size();
  lines = SplitLines(text);
  return lines;
}

SourceExcerpt SourceReader::Read(const std::string& file, int line, int around) {
  if (line <= 0 || file.empty()) return {};
  const std::vector<std::string>& lines = LinesOf(file);
  const auto index = static_cast<size_t>(line) - 1;
  if (index >= lines.size()) return {};
  const auto reach = static_cast<size_t>(std::max(around, 0));
  const size_t first = index - std::min(index, reach);
  const size_t end = std::min(lines.size(), index + reach + 1);
  SourceExcerpt excerpt;
  excerpt.first_line = static_cast<int>(first) + 1;
  excerpt.lines.assign(lines.begin() + static_cast<long>(first),
                       lines.begin() + static_cast<long>(end));
  return excerpt;
}

}  // namespace loopsan
