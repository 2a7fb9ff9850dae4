#include "tools/output.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"

namespace loopsan {
namespace {

constexpr char kStandardOutput[] = "standard output";

absl::Status CannotWrite(const std::string& name, int error) {
  std::string remedy = "use - for standard output";
  switch (error) {
    case ENOENT:
      remedy = "make its directory first, or " + remedy;
      break;
    case EACCES:
    case EPERM:
    case EROFS:
      remedy = "choose a place you may write to, or " + remedy;
      break;
    case EISDIR:
      remedy = "name a file in it, or " + remedy;
      break;
    case ENOSPC:
    case EDQUOT:
      remedy = "free some space, or " + remedy;
      break;
    case EFBIG:
      remedy = "raise the limit on file sizes (ulimit -f), or " + remedy;
      break;
    default:
      break;
  }
  if (name == kStandardOutput) remedy = "name a file instead";
  return absl::UnavailableError(
      absl::StrCat("cannot write ", name, ": ", std::strerror(error), "; ", remedy));
}

}  // namespace

absl::StatusOr<std::unique_ptr<Output>> Output::Open(const std::string& path) {
  if (path == "-") {
    // Closed standard streams have been replaced by /dev/null before.
    const int flags = fcntl(STDOUT_FILENO, F_GETFL);
    if (flags < 0 || (flags & O_ACCMODE) == O_RDONLY) return CannotWrite(kStandardOutput, EBADF);
    return Borrow(STDOUT_FILENO, kStandardOutput);
  }
  constexpr int kFlags = O_WRONLY | O_CREAT | O_CLOEXEC | O_NOCTTY;
  bool created = true;
  int descriptor = open(path.c_str(), kFlags | O_EXCL, 0666);
  if (descriptor < 0 && errno == EEXIST) {
    created = false;
    descriptor = open(path.c_str(), kFlags, 0666);
  }
  if (descriptor < 0) return CannotWrite(path, errno);
  return std::unique_ptr<Output>(new Output(descriptor, path, /*owned=*/true, created));
}

std::unique_ptr<Output> Output::Borrow(int descriptor, std::string name) {
  return std::unique_ptr<Output>(
      new Output(descriptor, std::move(name), /*owned=*/false, /*created=*/false));
}

Output::Output(int descriptor, std::string name, bool owned, bool created)
    : descriptor_(descriptor), name_(std::move(name)), owned_(owned), created_(created) {}

Output::~Output() {
  Discard();
  if (owned_) close(descriptor_);
}

absl::Status Output::Write(std::string_view text) {
  keep_ = true;
  struct stat status;
  // Shared with the command, standard output is only ever added to.
  const bool replace = owned_ && fstat(descriptor_, &status) == 0 && S_ISREG(status.st_mode);
  if (replace && lseek(descriptor_, 0, SEEK_SET) < 0) return CannotWrite(name_, errno);
  if (const int error = WriteAll(descriptor_, text)) return CannotWrite(name_, error);
  // What a longer report from before had behind it.
  if (replace && ftruncate(descriptor_, static_cast<off_t>(text.size())) != 0) {
    return CannotWrite(name_, errno);
  }
  return absl::OkStatus();
}

void Output::Discard() {
  if (created_ && !keep_.exchange(true)) unlink(name_.c_str());
}

bool Output::IsTerminal() const { return isatty(descriptor_) == 1; }

bool Output::SameAs(const Output& other) const {
  struct stat mine, others;
  if (fstat(descriptor_, &mine) != 0 || fstat(other.descriptor_, &others) != 0) return false;
  // Anybody may write to /dev/null and terminals at will.
  return mine.st_dev == others.st_dev && mine.st_ino == others.st_ino && !S_ISCHR(mine.st_mode);
}

int WriteAll(int descriptor, std::string_view text) {
  while (!text.empty()) {
    const ssize_t written = write(descriptor, text.data(), text.size());
    if (written >= 0) {
      text.remove_prefix(static_cast<size_t>(written));
    } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
      pollfd wait = {descriptor, POLLOUT, 0};
      poll(&wait, 1, -1);
    } else if (errno != EINTR) {
      return errno;
    }
  }
  return 0;
}

}  // namespace loopsan
