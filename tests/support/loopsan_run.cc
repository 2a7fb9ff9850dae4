#include "tests/support/loopsan_run.h"

#include <gtest/gtest.h>

#include <fstream>

namespace loopsan::testing {
namespace {

constexpr char kReportName[] = "report.json";

Command CommandLine(const std::vector<std::string>& command, LoopsanSettings& settings,
                    const std::string& report) {
  Command line;
  line.arguments = {LOOPSAN_COMMAND, "run", "--color=never", "--json=" + report};
  line.arguments.insert(line.arguments.end(), settings.flags.begin(), settings.flags.end());
  line.arguments.emplace_back("--");
  line.arguments.insert(line.arguments.end(), command.begin(), command.end());
  line.environment = std::move(settings.environment);
  return line;
}

}  // namespace

LoopsanProcess::LoopsanProcess(const std::vector<std::string>& command, LoopsanSettings settings)
    : process_(CommandLine(command, settings, directory_ / kReportName)) {}

LoopsanResult LoopsanProcess::Wait(Seconds timeout) {
  LoopsanResult result{process_.Wait(timeout), {}};
  std::ifstream file(directory_ / kReportName);
  result.report = Json::parse(file, nullptr, /*allow_exceptions=*/false);
  if (result.report.is_discarded()) {
    result.report = Json::object();
    ADD_FAILURE() << "no readable JSON report; loopsan ended with " << result.exit_code
                  << ", signal " << result.signal << " and said:\n"
                  << result.err;
  }
  return result;
}

Finished RunLoopsan(const std::vector<std::string>& arguments) {
  Command line;
  line.arguments = {LOOPSAN_COMMAND};
  line.arguments.insert(line.arguments.end(), arguments.begin(), arguments.end());
  return Process(line).Wait();
}

LoopsanResult RunUnderLoopsan(const std::vector<std::string>& command, LoopsanSettings settings) {
  LoopsanProcess process(command, std::move(settings));
  return process.Wait();
}

std::string ProgramPath(std::string_view name) {
  return std::string(LOOPSAN_PROGRAMS) + "/" + std::string(name);
}

std::string ScriptPath(std::string_view name) {
  return std::string(LOOPSAN_SCRIPTS) + "/" + std::string(name);
}

}  // namespace loopsan::testing
