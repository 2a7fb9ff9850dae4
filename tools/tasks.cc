// `loopsan tasks [FLAG...] PID`
#include <unistd.h>

#include <cstdlib>
#include <iostream>
#include <string>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "reporters/live_tasks.h"
#include "reporters/task_listing.h"
#include "tools/command_flags.h"
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
  std::string process;
  bool json = false;
  Options options;
  CommandFlags flags("tasks", "PID [FLAG...]",
                     "Shows the tasks of a running program: who runs, who waits, for what, and "
                     "where.",
                     kFooter);
  flags.AddFile("PID", process, "the process");
  flags.AddSwitch("--json", json, "as JSON (docs/report-format.md)");
  flags.AddOption("color", options,
                  "color in the listing; auto = on a terminal, unless NO_COLOR is set");
  int exit_status = 0;
  if (!ParseOrExit(flags, "tasks", arguments, exit_status)) return exit_status;
  pid_t pid = 0;
  if (!absl::SimpleAtoi(process, &pid)) {
    return FailCommand(absl::InvalidArgumentError(
        absl::StrCat("'", process, "' is no process id; expected a number, as pidof gives it")));
  }
  const absl::StatusOr<std::vector<LiveLoop>> loops = ReadLiveLoops(pid);
  if (!loops.ok()) return FailCommand(loops.status());
  if (json) {
    WriteTaskListingJson(*loops, std::cout);
  } else {
    const bool color =
        UsesColor(options.color, isatty(STDOUT_FILENO) == 1, getenv("NO_COLOR"), getenv("TERM"));
    WriteTaskListing(*loops, color, std::cout);
  }
  return 0;
}

}  // namespace loopsan
