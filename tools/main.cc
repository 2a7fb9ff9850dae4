// The `loopsan` command.
#include <fcntl.h>
#include <unistd.h>

#include <iostream>
#include <string>
#include <vector>

#include "reporters/did_you_mean.h"
#include "tools/exit_status.h"
#include "tools/subcommand.h"

namespace loopsan {
namespace {

constexpr Subcommand kSubcommands[] = {
    {"run", "run a program and report what blocks its event loop", &Run},
    {"report", "show a JSON report again, in any format", &ShowReport},
    {"check", "fail if a report has new findings or exceeds a budget", &CheckReport},
    {"baseline", "record the findings of a report as known", &RecordBaseline},
    {"diff", "tell what changed between two reports", &DiffFiles},
    {"merge", "make one report of many", &MergeFiles},
    {"tasks", "show the tasks of a running program, also of one that hangs", &Tasks},
    {"collect", "", &Collect},
};

void PrintHelp(std::ostream& out) {
  out << "loopsan finds what blocks the event loop of a program: the call, the line, the cause.\n"
         "\n"
         "Usage: loopsan COMMAND [ARG...]\n"
         "\n"
         "Commands:\n";
  for (const Subcommand& subcommand : kSubcommands) {
    if (subcommand.summary.empty()) continue;
    out << "  " << subcommand.name << std::string(10 - subcommand.name.size(), ' ')
        << subcommand.summary << '\n';
  }
  out << "\n"
         "Examples:\n"
         "  loopsan run -- ./server --port 8080     watch a server; the report comes at its end\n"
         "  loopsan run --json=report.json -- node app.js\n"
         "  loopsan run --baseline=loopsan-baseline.json -- ./tests    only new findings fail\n"
         "  loopsan report report.json              print what was found\n"
         "  loopsan tasks PID                       what the tasks of a running program wait for\n"
         "  loopsan run --help                      all options of `run`; so for each command\n"
         "\n"
         "  --help     print this text\n"
         "  --version  print the version\n";
}

// The first file that is opened must not become the standard error that the user
// has closed. The command still sees the streams closed.
void OccupyStandardDescriptors() {
  for (int descriptor = 0; descriptor <= 2; ++descriptor) {
    if (fcntl(descriptor, F_GETFD) >= 0) continue;
    if (open("/dev/null", O_RDWR | O_CLOEXEC) != descriptor) _exit(kExitLoopsanFailed);
  }
}

int Main(const std::vector<std::string>& arguments) {
  OccupyStandardDescriptors();
  if (arguments.empty()) {
    PrintHelp(std::cerr);
    return kExitLoopsanFailed;
  }
  const std::string& name = arguments[0];
  if (name == "--help" || name == "-h" || name == "help") {
    PrintHelp(std::cout);
    return 0;
  }
  if (name == "--version") {
    std::cout << "loopsan " LOOPSAN_VERSION "\n";
    return 0;
  }
  for (const Subcommand& subcommand : kSubcommands) {
    if (name == subcommand.name) return subcommand.run({arguments.begin() + 1, arguments.end()});
  }
  std::vector<std::string> names;
  for (const Subcommand& subcommand : kSubcommands) {
    if (!subcommand.summary.empty()) names.emplace_back(subcommand.name);
  }
  std::cerr << "loopsan: unknown command '" << name << "'" << DidYouMean(name, names)
            << "; to watch a program: loopsan run -- " << (name.starts_with('-') ? "CMD" : name)
            << "\nTry 'loopsan --help'.\n";
  return kExitLoopsanFailed;
}

}  // namespace
}  // namespace loopsan

int main(int argc, char** argv) {
  return loopsan::Main(std::vector<std::string>(argv + (argc > 0 ? 1 : 0), argv + argc));
}
