// `loopsan run` as a person starts it, and its JSON report.
//
//   LoopsanProcess server({"redis-server", "--port", port});
//   ...
//   server.Signal(SIGTERM);
//   LoopsanResult result = server.Wait();
//
// Threads: as Process.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tests/support/process.h"

namespace loopsan::testing {

using Json = nlohmann::json;

struct LoopsanResult : Finished {
  Json report;  // empty, and a test failure, if there was none to read
};

struct LoopsanSettings {
  std::vector<std::string> flags;        // e.g. "--calls=strict"
  std::vector<std::string> environment;  // "NAME=value"
};

class LoopsanProcess {
 public:
  explicit LoopsanProcess(const std::vector<std::string>& command, LoopsanSettings settings = {});

  Process& process() { return process_; }
  void Signal(int number) { process_.Signal(number); }  // to `loopsan run` alone

  LoopsanResult Wait(Seconds timeout = kLongEnough);

 private:
  TemporaryDirectory directory_;
  Process process_;
};

// Runs `loopsan ARG...` to its end.
Finished RunLoopsan(const std::vector<std::string>& arguments);

LoopsanResult RunUnderLoopsan(const std::vector<std::string>& command,
                              LoopsanSettings settings = {});

// Where the build has put the victims.
std::string ProgramPath(std::string_view name);

// A script beside the tests: "node/clean.js".
std::string ScriptPath(std::string_view name);

}  // namespace loopsan::testing
