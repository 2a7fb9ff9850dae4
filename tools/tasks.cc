// `loopsan tasks [FLAG...] PID`
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <iostream>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "reporters/live_tasks.h"
#include "reporters/task_listing.h"
#include "tools/exit_status.h"
#include "tools/report_outputs.h"
#include "tools/subcommand.h"

namespace loopsan {
namespace {

constexpr char kFooter[] =
    R"(Reads the tasks from the memory of the program, which goes on meanwhile; that works while its
loop is stuck, too. PID is a process that `loopsan run` watches (or that watches itself: loopsan::debug),
or the `loopsan run` itself, for all processes of the run. Shown are loops that tell their tasks:
those of the runtime, and of other libraries that use instrument/annotate.h.

Each task has where its innermost coroutine stands and who awaits that one, below it. A star
marks the one that runs: if that is the same a second later, it blocks the loop.

Examples:
  loopsan tasks $(pidof server)
  loopsan tasks --json 4711 | jq '.loops[].tasks[] | select(.state == "waiting")'

Exit status: 0; 125 if there is nothing to be read, with the reason.)";

}  // namespace

int Tasks(const std::vector<std::string>& arguments) {
  CLI::App app("Shows the tasks of a running program: who runs, who waits, for what, and where.",
               "loopsan tasks");
  app.footer(kFooter);
  int pid = 0;
  bool json = false;
  std::string color = "auto";
  app.add_option("PID", pid, "the process")->required();
  app.add_flag("--json", json, "as JSON (docs/report-format.md)");
  app.add_option("--color", color, "auto, always or never")
      ->check(CLI::IsMember({"auto", "always", "never"}));
  try {
    app.parse(std::vector<std::string>(arguments.rbegin(), arguments.rend()));
  } catch (const CLI::CallForHelp&) {
    std::cout << app.help();
    return 0;
  } catch (const CLI::ParseError& error) {
    Complain(absl::StrCat(error.what(), "\nTry 'loopsan tasks --help'."));
    return kExitLoopsanFailed;
  }
  const absl::StatusOr<std::vector<LiveLoop>> loops = ReadLiveLoops(pid);
  if (!loops.ok()) {
    Complain(std::string(loops.status().message()));
    return kExitLoopsanFailed;
  }
  if (json) {
    WriteTaskListingJson(*loops, std::cout);
    return 0;
  }
  const ColorMode mode = color == "always"  ? ColorMode::kAlways
                         : color == "never" ? ColorMode::kNever
                                            : ColorMode::kAuto;
  WriteTaskListing(*loops,
                   UsesColor(mode, isatty(STDOUT_FILENO) == 1, getenv("NO_COLOR"), getenv("TERM")),
                   std::cout);
  return 0;
}

}  // namespace loopsan
