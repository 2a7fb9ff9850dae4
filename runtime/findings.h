// What the debug mode tells: each finding has a rule, a sentence, and a remedy.
//
// Findings go to the collector if the process is watched (`loopsan run`,
// loopsan::debug), else to the handler, whose default prints them on stderr: the
// first of each place, then ever more rarely.
//
// Threads: any.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace loopsan {

// One of several that a finding is about, such as who waits in a deadlock.
struct RuntimeFindingMember {
  std::string what;       // a sentence
  const char* file = "";  // where it is; may be empty
  uint32_t line = 0;
  std::string function;
  std::vector<void*> stack;  // return addresses, innermost first; may be empty
};

struct RuntimeFinding {
  std::string rule;     // as in runtime/findings.inc
  std::string message;  // one sentence
  std::string remedy;
  std::string task;       // name; may be empty
  const char* file = "";  // the place to look at first
  uint32_t line = 0;
  std::string function;
  const char* spawned_file = "";  // of the task
  uint32_t spawned_line = 0;
  double seconds = 0;        // how long it took; 0: says nothing
  std::vector<void*> stack;  // return addresses, innermost first
  std::vector<RuntimeFindingMember> members;
};

using FindingHandler = std::function<void(const RuntimeFinding&)>;

// Replaces the handler and returns the earlier one; an empty one brings back the default.
// With a handler, findings go to it even if the process is watched.
FindingHandler SetFindingHandler(FindingHandler handler);

}  // namespace loopsan
