#include "reporters/internal/text_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace loopsan {
namespace {

constexpr size_t kMostBytes = size_t{512} << 20;

absl::Status CannotRead(const std::string& path, int error) {
  const std::string text = absl::StrCat("cannot read ", path, ": ", std::strerror(error));
  return error == ENOENT ? absl::NotFoundError(text) : absl::UnavailableError(text);
}

absl::StatusOr<std::string> ReadAll(int descriptor, const std::string& path) {
  std::string content;
  char block[65536];
  while (true) {
    const ssize_t bytes = read(descriptor, block, sizeof block);
    if (bytes == 0) return content;
    if (bytes < 0 && errno == EINTR) continue;
    if (bytes < 0) return CannotRead(path, errno);
    content.append(block, static_cast<size_t>(bytes));
    if (content.size() > kMostBytes) {
      return absl::ResourceExhaustedError(
          absl::StrCat(path, " is larger than 512 MiB: is it the right file?"));
    }
  }
}

}  // namespace

absl::StatusOr<std::string> ReadTextFile(const std::string& path) {
  if (path == "-") return ReadAll(STDIN_FILENO, "standard input");
  const int descriptor = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY);
  if (descriptor < 0) return CannotRead(path, errno);
  absl::StatusOr<std::string> content = ReadAll(descriptor, path);
  close(descriptor);
  return content;
}

}  // namespace loopsan
