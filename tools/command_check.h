// Before anything runs: which file is the command, and would the dynamic loader
// put the probe into it? A program that would silently run unwatched is an error
// here, with what to do instead.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace loopsan {

// What execve() gets.
struct CheckedCommand {
  std::string path;
  std::vector<std::string> argv;
};

// Finds command[0] as execvp() does, follows "#!" lines and looks at the ELF
// file that will run. REQUIRES: command is not empty. Errors: NotFound,
// PermissionDenied (not executable, or no program) and FailedPrecondition
// (the loader would not load the probe), see ExitStatusOf().
absl::StatusOr<CheckedCommand> CheckCommand(const std::vector<std::string>& command);

// The file that execvp() would run for `name`; `search_path` is the value of
// PATH, null if it is not set.
absl::StatusOr<std::string> ResolveCommand(const std::string& name, const char* search_path);

// What the first bytes of a file say about how the kernel runs it.
struct ProgramFile {
  enum class Kind { kElf, kScript, kText, kUnknown };
  Kind kind = Kind::kUnknown;
  std::string interpreter;  // kScript: of the "#!" line; kElf: PT_INTERP, "" if static
  bool native = false;      // kElf: of this machine's class, byte order and architecture
};

// Unavailable if the file cannot be read (a program may be executable only).
absl::StatusOr<ProgramFile> ReadProgramFile(const std::string& path);

// Everything that decides whether execve() of a file raises privileges, in which
// case the loader ignores LD_PRELOAD (ld.so(8), "secure-execution mode").
struct PrivilegeFacts {
  mode_t mode = 0;
  uid_t owner = 0;
  gid_t group = 0;
  bool has_capabilities = false;
  bool mounted_nosuid = false;
  bool no_new_privileges = false;  // prctl(PR_SET_NO_NEW_PRIVS)
  uid_t real_uid = 0;
  gid_t real_gid = 0;
};

// Why the loader ignores LD_PRELOAD for it ("is set-user-ID"), or nothing.
std::optional<std::string_view> RaisesPrivileges(const PrivilegeFacts& facts);

}  // namespace loopsan
