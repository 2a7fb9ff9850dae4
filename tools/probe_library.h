// Where libloopsan.so is, and the environment that brings it into a command.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace loopsan {

// The places looked at for a command that lies in `executable_directory`: the
// build tree and a relocated installation first, then where it was installed to.
std::vector<std::string> ProbeLibraryPlaces(const std::string& executable_directory);

// The first of `places` that can be read. An error lists them all, or says why
// LD_PRELOAD cannot hold the path.
absl::StatusOr<std::string> FindProbeLibrary(const std::vector<std::string>& places);

// The directory of the running executable; "" if /proc does not tell.
std::string ExecutableDirectory();

// A copy of `environment` (as environ) with `library` first in LD_PRELOAD and
// LOOPSAN_SESSION set to `session`.
std::vector<std::string> WatchedEnvironment(const char* const* environment,
                                            const std::string& library, const std::string& session);

}  // namespace loopsan
