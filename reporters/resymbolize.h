// Finds the names of a report's frames later, or on another machine, where there is
// debug information that was missing when the program ran.
//
// Threads: any; no state.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "reporters/report.h"

namespace loopsan {

struct SymbolSources {
  std::string sysroot;     // files lie below it as on the machine of the run; empty: as here
  std::string debug_root;  // separate debug files by build-id; empty: SYSROOT/usr/lib/debug
};

// Looks up each frame again whose module is found with the build-id that it had: the file
// itself, or its debug file alone. Functions, files and lines that are found replace
// those of the report; what is not found stays. Messages and fingerprints follow.
//
// Returns sentences about modules that were not found.
std::vector<std::string> Resymbolize(Report& report, const SymbolSources& sources);

// An even number of hexadecimal digits in lower case, also none.
bool IsBuildId(std::string_view text);

}  // namespace loopsan
