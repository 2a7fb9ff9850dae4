// Where CI systems put a finding: a line of a source file, named as the repository
// names it.
//
// Threads: any; no state.
#pragma once

#include <string>
#include <string_view>

#include "reporters/report.h"

namespace loopsan {

// The line to annotate: where a library says to look; else the user's own code
// nearest to what blocked, in the stack or at a co_await; else where the task came
// from. Its file is empty if no line is known.
SourcePlace PlaceToAnnotate(const Finding& finding);

struct FileName {
  std::string path;         // below the root: relative to it
  bool below_root = false;  // or relative from the beginning
};

// How `file` is called seen from `root`. Both are taken as written: neither needs
// to exist, links are not followed. Control characters and the like stay.
FileName NameFrom(std::string_view root, std::string_view file);

// As in the path of a URI.
std::string PercentEncoded(std::string_view path);

}  // namespace loopsan
