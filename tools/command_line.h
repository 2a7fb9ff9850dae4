// The arguments of `loopsan run`: its own flags, made from reporters/options.inc,
// and the command, which is never interpreted.
#pragma once

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "reporters/options.h"
#include "tools/command_flags.h"

namespace loopsan {

struct RunArguments {
  std::vector<std::string> flags;    // "--name" or "--name=value"
  std::vector<std::string> command;  // untouched
};

// Flags end at "--" or at the first word that is none.
RunArguments SplitRunArguments(const std::vector<std::string>& arguments);

// Sets what LOOPSAN_OPTIONS (`environment`, may be null) says.
absl::Status ReadEnvironmentOptions(const char* environment, Options& options);

// Sets what the flags say; prints the help to standard output if they ask for it.
absl::Status ReadFlags(const std::vector<std::string>& flags, Options& options,
                       ParsedFlags& outcome);

}  // namespace loopsan
