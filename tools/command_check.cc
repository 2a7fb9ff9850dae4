#include "tools/command_check.h"

#include <elf.h>
#include <fcntl.h>
#include <link.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "absl/strings/str_cat.h"

namespace loopsan {
namespace {

// As many levels of "#!" as the kernel follows before it gives ELOOP.
constexpr int kMaxInterpreters = 5;
// The kernel reads no more of a "#!" line (BINPRM_BUF_SIZE).
constexpr size_t kHeadBytes = 256;
constexpr char kShell[] = "/bin/sh";
constexpr size_t kMaxProgramHeaders = 4096;

#if defined(__x86_64__)
constexpr uint16_t kMachine = EM_X86_64;
#elif defined(__aarch64__)
constexpr uint16_t kMachine = EM_AARCH64;
#else
#error "loopsan knows x86-64 and aarch64 only"
#endif

class File {
 public:
  explicit File(const std::string& path) : fd_(open(path.c_str(), O_RDONLY | O_CLOEXEC)) {}
  ~File() {
    if (fd_ >= 0) close(fd_);
  }
  File(const File&) = delete;
  File& operator=(const File&) = delete;

  bool ok() const { return fd_ >= 0; }

  // The bytes that are there, at most `size`.
  std::string Read(uint64_t offset, size_t size) const {
    std::string bytes(size, '\0');
    const ssize_t got = pread(fd_, bytes.data(), size, static_cast<off_t>(offset));
    bytes.resize(got > 0 ? static_cast<size_t>(got) : 0);
    return bytes;
  }

 private:
  int fd_;
};

std::string ReadLoader(const File& file, const ElfW(Ehdr) & header) {
  if (header.e_phentsize != sizeof(ElfW(Phdr)) || header.e_phnum > kMaxProgramHeaders) return "";
  const std::string table = file.Read(header.e_phoff, header.e_phnum * sizeof(ElfW(Phdr)));
  for (size_t at = 0; at + sizeof(ElfW(Phdr)) <= table.size(); at += sizeof(ElfW(Phdr))) {
    ElfW(Phdr) segment;
    std::memcpy(&segment, table.data() + at, sizeof segment);
    if (segment.p_type != PT_INTERP || segment.p_filesz > PATH_MAX) continue;
    const std::string name = file.Read(segment.p_offset, segment.p_filesz);
    return name.c_str();  // without the NUL at its end
  }
  return "";
}

// The interpreter named by a "#!" line, as the kernel reads it.
std::string ReadShebang(const std::string& head) {
  const std::string line = head.substr(0, head.find('\n'));
  const size_t begin = line.find_first_not_of(" \t", 2);
  if (begin == std::string::npos) return "";
  const size_t end = line.find_first_of(std::string_view(" \t\r\0", 4), begin);
  return line.substr(begin, end == std::string::npos ? end : end - begin);
}

// A file without a known header is a shell script to execvp() and to shells;
// binary garbage is not (a NUL before the first end of line).
bool LooksLikeText(const std::string& head) {
  return head.substr(0, head.find('\n')).find('\0') == std::string::npos;
}

bool SameFile(const std::string& a, const std::string& b) {
  struct stat first, second;
  return stat(a.c_str(), &first) == 0 && stat(b.c_str(), &second) == 0 &&
         first.st_dev == second.st_dev && first.st_ino == second.st_ino;
}

// "ld.so ./program" has no loader of its own, but is one.
bool IsOurLoader(const std::string& path) {
  const File self("/proc/self/exe");
  ElfW(Ehdr) header;
  const std::string head = self.ok() ? self.Read(0, sizeof header) : "";
  if (head.size() < sizeof header) return false;
  std::memcpy(&header, head.data(), sizeof header);
  return SameFile(path, ReadLoader(self, header));
}

PrivilegeFacts ReadPrivilegeFacts(const std::string& path) {
  PrivilegeFacts facts;
  struct stat status;
  if (stat(path.c_str(), &status) == 0) {
    facts.mode = status.st_mode;
    facts.owner = status.st_uid;
    facts.group = status.st_gid;
  }
  facts.has_capabilities = getxattr(path.c_str(), "security.capability", nullptr, 0) > 0;
  struct statvfs mount;
  facts.mounted_nosuid = statvfs(path.c_str(), &mount) == 0 && (mount.f_flag & ST_NOSUID) != 0;
  facts.no_new_privileges = prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1;
  facts.real_uid = getuid();
  facts.real_gid = getgid();
  return facts;
}

absl::Status CannotWatch(const std::string& name, absl::string_view reason,
                         absl::string_view remedy) {
  return absl::FailedPreconditionError(
      absl::StrCat("cannot watch ", name, ": it ", reason, "; ", remedy));
}

// `name` is for people: the path, and how we came to it.
absl::Status CheckElf(const std::string& path, const std::string& name, const ProgramFile& file) {
  if (!file.native) {
    return CannotWatch(name, "is built for another kind of machine (or for 32 bits)",
                       "build it for this one, or run it without loopsan");
  }
  if (file.interpreter.empty()) {
    if (IsOurLoader(path)) return absl::OkStatus();
    return CannotWatch(name,
                       "is statically linked, so the loader never runs and cannot load the probe",
                       "link it dynamically (no -static; Go: CGO_ENABLED=1 with "
                       "-linkmode=external; Rust: a -gnu target)");
  }
  if (file.interpreter.find("/ld-musl") != std::string::npos) {
    return CannotWatch(name, "runs on musl, and the probe needs glibc", "build it for glibc");
  }
  if (access(file.interpreter.c_str(), F_OK) != 0) {
    return absl::NotFoundError(absl::StrCat("cannot run ", name, ": its loader ", file.interpreter,
                                            " does not exist; was it built for another system?"));
  }
  if (const auto reason = RaisesPrivileges(ReadPrivilegeFacts(path))) {
    return CannotWatch(name,
                       absl::StrCat(absl::string_view(reason->data(), reason->size()),
                                    ", and the loader ignores LD_PRELOAD for such programs"),
                       "run loopsan as the user it changes to, or watch a copy without the "
                       "privilege");
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<CheckedCommand> CheckCommand(const std::vector<std::string>& command) {
  absl::StatusOr<std::string> path = ResolveCommand(command[0], getenv("PATH"));
  if (!path.ok()) return path.status();

  CheckedCommand checked{*path, command};
  std::string file = *path;
  std::string name = command[0];
  for (int level = 0; level <= kMaxInterpreters; ++level) {
    const absl::StatusOr<ProgramFile> program = ReadProgramFile(file);
    // What may be executed but not read is left to the kernel.
    if (!program.ok()) return checked;
    switch (program->kind) {
      case ProgramFile::Kind::kElf:
        if (absl::Status status = CheckElf(file, name, *program); !status.ok()) return status;
        return checked;
      case ProgramFile::Kind::kText:
        if (level > 0) {
          return absl::PermissionDeniedError(
              absl::StrCat("cannot run ", name, ": that is no program"));
        }
        // As execvp() and every shell do.
        checked.path = kShell;
        checked.argv[0] = file;
        checked.argv.insert(checked.argv.begin(), kShell);
        name = absl::StrCat(command[0], " (with ", kShell, ")");
        file = kShell;
        break;
      case ProgramFile::Kind::kScript:
        name = absl::StrCat(program->interpreter, " (the interpreter of ", command[0], ")");
        file = program->interpreter;
        if (access(file.c_str(), F_OK) != 0) {
          return absl::NotFoundError(absl::StrCat("cannot run ", command[0], ": its interpreter ",
                                                  file, " does not exist; see its first line"));
        }
        if (access(file.c_str(), X_OK) != 0) {
          return absl::PermissionDeniedError(absl::StrCat(
              "cannot run ", command[0], ": its interpreter ", file, " is not executable"));
        }
        break;
      case ProgramFile::Kind::kUnknown:
        return absl::PermissionDeniedError(
            absl::StrCat("cannot run ", name, ": it is neither a program nor a script"));
    }
  }
  return absl::PermissionDeniedError(
      absl::StrCat("cannot run ", command[0], ": too many levels of interpreters"));
}

absl::StatusOr<std::string> ResolveCommand(const std::string& name, const char* search_path) {
  // Empty if it may be executed, else why not.
  const auto obstacle = [](const std::string& path) -> absl::Status {
    struct stat status;
    if (stat(path.c_str(), &status) != 0) {
      if (errno == EACCES) {
        return absl::PermissionDeniedError(
            absl::StrCat("cannot run ", path, ": no permission to look into its directory"));
      }
      return absl::NotFoundError(absl::StrCat("cannot run ", path, ": ", std::strerror(errno)));
    }
    if (S_ISDIR(status.st_mode)) {
      return absl::PermissionDeniedError(absl::StrCat("cannot run ", path, ": it is a directory"));
    }
    if (faccessat(AT_FDCWD, path.c_str(), X_OK, AT_EACCESS) != 0) {
      return absl::PermissionDeniedError(
          absl::StrCat("cannot run ", path, ": it is not executable; try chmod +x ", path));
    }
    return absl::OkStatus();
  };

  if (name.find('/') != std::string::npos) {
    if (absl::Status status = obstacle(name); !status.ok()) return status;
    return name;
  }
  // glibc's own default where PATH is not set.
  const std::string_view directories = search_path != nullptr ? search_path : "/bin:/usr/bin";
  absl::Status refusal;
  for (size_t begin = 0; !name.empty() && begin <= directories.size();) {
    const size_t end = std::min(directories.find(':', begin), directories.size());
    const std::string_view directory = directories.substr(begin, end - begin);
    begin = end + 1;
    // An empty entry is the current directory; "./" keeps execve from guessing.
    std::string path(directory.empty() ? "." : directory);
    path += "/" + name;
    const absl::Status status = obstacle(path);
    if (status.ok()) return path;
    if (absl::IsPermissionDenied(status)) refusal = status;
  }
  if (!refusal.ok()) return refusal;
  return absl::NotFoundError(absl::StrCat("cannot run ", name.empty() ? "''" : name,
                                          ": no such command in PATH; for a file here write ./",
                                          name));
}

absl::StatusOr<ProgramFile> ReadProgramFile(const std::string& path) {
  const File file(path);
  if (!file.ok()) {
    return absl::UnavailableError(absl::StrCat("cannot read ", path, ": ", std::strerror(errno)));
  }
  ProgramFile program;
  const std::string head = file.Read(0, kHeadBytes);
  if (head.size() >= SELFMAG && std::memcmp(head.data(), ELFMAG, SELFMAG) == 0) {
    ElfW(Ehdr) header;
    if (head.size() < sizeof header) return program;
    std::memcpy(&header, head.data(), sizeof header);
    program.kind = ProgramFile::Kind::kElf;
    program.native = header.e_ident[EI_CLASS] == (sizeof(void*) == 8 ? ELFCLASS64 : ELFCLASS32) &&
                     header.e_ident[EI_DATA] == ELFDATA2LSB && header.e_machine == kMachine;
    if (!program.native) return program;
    if (header.e_type != ET_EXEC && header.e_type != ET_DYN) {
      program.kind = ProgramFile::Kind::kUnknown;  // an object file, a core
      return program;
    }
    program.interpreter = ReadLoader(file, header);
  } else if (head.starts_with("#!")) {
    program.interpreter = ReadShebang(head);
    program.kind =
        program.interpreter.empty() ? ProgramFile::Kind::kText : ProgramFile::Kind::kScript;
  } else if (LooksLikeText(head)) {
    program.kind = ProgramFile::Kind::kText;
  }
  return program;
}

std::optional<std::string_view> RaisesPrivileges(const PrivilegeFacts& facts) {
  if (facts.mounted_nosuid || facts.no_new_privileges) return std::nullopt;
  if ((facts.mode & S_ISUID) != 0 && facts.owner != facts.real_uid) return "is set-user-ID";
  // Without the group's x bit the bit used to mean mandatory locking.
  if ((facts.mode & S_ISGID) != 0 && (facts.mode & S_IXGRP) != 0 && facts.group != facts.real_gid) {
    return "is set-group-ID";
  }
  if (facts.has_capabilities && facts.real_uid != 0) return "has file capabilities";
  return std::nullopt;
}

}  // namespace loopsan
