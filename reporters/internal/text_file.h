// Files that others wrote, read as a whole.
//
// Threads: any; no state.
#pragma once

#include <string>

#include "absl/status/statusor.h"

namespace loopsan {

// The contents of a file; "-" is standard input. NotFound if it does not exist;
// other errors name the file and why it cannot be read. More than half a gibibyte
// is refused.
absl::StatusOr<std::string> ReadTextFile(const std::string& path);

}  // namespace loopsan
