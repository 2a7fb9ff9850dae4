#include "tests/real/harm_run.h"

#include <filesystem>

#include "tests/support/report_search.h"

namespace loopsan::testing {
namespace {

std::vector<std::string> CommandOf(const HarmProgram& program, const std::string& directory) {
  std::vector<std::string> command = program.command;
  if (command[0].find('/') == std::string::npos) command[0] = ProgramPath(command[0]);
  for (std::string& word : command) {
    if (const size_t at = word.find(kDirectory); at != std::string::npos) {
      word.replace(at, sizeof kDirectory - 1, directory);
    }
  }
  return command;
}

Seen SeenOf(const Finished& finished) {
  return {finished.out, finished.err,
          finished.signal != 0 ? 128 + finished.signal : finished.exit_code};
}

}  // namespace

void PrintTo(const Seen& seen, std::ostream* out) {
  *out << "status " << seen.status << "\n--- stdout\n"
       << seen.out << "--- stderr\n"
       << seen.err << "---\n";
}

Seen RunAlone(const HarmProgram& program) {
  const TemporaryDirectory directory;
  return SeenOf(RunCommand({CommandOf(program, directory.path()), program.environment, {}}));
}

Watched RunWatched(const HarmProgram& program) {
  const TemporaryDirectory directory;
  const TemporaryDirectory reports;
  LoopsanSettings settings{program.flags, program.environment};
  settings.flags.push_back("--output=" + reports.path() + "/report.txt");
  const LoopsanResult result =
      RunUnderLoopsan(CommandOf(program, directory.path()), std::move(settings));
  return {SeenOf(result), result.report};
}

Seen RunPreloaded(const HarmProgram& program) {
  const TemporaryDirectory directory;
  const TemporaryDirectory reports;
  // The helper is what the program has become by then.
  std::filesystem::permissions(reports.path(), std::filesystem::perms::all);
  Command command{CommandOf(program, directory.path()), program.environment, {}};
  command.environment.push_back("LD_PRELOAD=" + ProbePath());
  command.environment.push_back("LOOPSAN_OPTIONS=output=" + reports.path() + "/report.txt");
  return SeenOf(RunCommand(command));
}

std::string ProbePath() { return LOOPSAN_PROBE; }

std::vector<Json> ReportedBlocks(const Json& report) {
  return FindingsThat(report, {.rule = "blocking-call",
                               .calls = {"nanosleep", "clock_nanosleep"},
                               .function = "BlockForTheReport"});
}

}  // namespace loopsan::testing
