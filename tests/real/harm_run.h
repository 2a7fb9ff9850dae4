// A program without loopsan, under `loopsan run`, and with the probe preloaded
// without the command; and whether anybody could tell the difference.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/support/loopsan_run.h"
#include "tests/support/process.h"

namespace loopsan::testing {

// In an argument stands for a fresh empty directory, another for each run.
inline constexpr char kDirectory[] = "{DIRECTORY}";

struct HarmProgram {
  std::vector<std::string> command;      // command[0] as in ProgramPath()
  std::vector<std::string> environment;  // "NAME=value"
  std::vector<std::string> flags;        // of `loopsan run`
};

// What somebody who started a program can see of it.
struct Seen {
  std::string out;
  std::string err;
  int status = -1;  // as a shell says it: 128 + N for signal N
  bool operator==(const Seen&) const = default;
};
void PrintTo(const Seen& seen, std::ostream* out);

Seen RunAlone(const HarmProgram& program);

// The report goes to a file, the rest is the program's.
struct Watched {
  Seen seen;
  Json report;
};
Watched RunWatched(const HarmProgram& program);

// The helper's report goes to a file, too.
Seen RunPreloaded(const HarmProgram& program);

// Where the build has put the probe.
std::string ProbePath();

// The findings that name harm::BlockForTheReport.
std::vector<Json> ReportedBlocks(const Json& report);

}  // namespace loopsan::testing
