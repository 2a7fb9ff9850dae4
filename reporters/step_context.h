// What a library told of a step or a finding through instrument/annotate.h, as
// the collector keeps it: read from the text that the probe copied, or from the
// program's memory while a step goes on.
//
// Every byte comes from the watched process: lengths and counts are bounded, text
// is taken as it is.
//
// Threads: any; no state.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "instrument/segment.h"
#include "reporters/report.h"

namespace loopsan {

// One coroutine of a chain.
struct CoroutineFrame {
  bool running = false;     // the physical stack tells where it stands, not `awaiting_at`
  SourcePlace awaiting_at;  // the co_await at which it stands
  SourcePlace defined_at;
};

// Who ran in a step.
struct StepContext {
  TaskReference task;                 // id 0 and a `spawned_at` for a plain callback
  uint64_t spawner_id = 0;            // 0: none
  std::vector<CoroutineFrame> chain;  // innermost first
  bool chain_cut = false;             // it was longer
  uint64_t resumer = 0;  // frame address of the function that resumed the innermost; 0: none did
};

struct TurnShareTold {
  std::string task;
  SourcePlace site;
  uint64_t ticks = 0;
  uint64_t longest = 0;
  uint64_t steps = 0;
};

// One of those that a library's finding is about.
struct MemberTold {
  std::string what;
  SourcePlace where;
  std::vector<uint64_t> return_addresses;
};

// An event's text (segment::TextKind).
struct EventText {
  StepContext context;
  std::string rule;
  std::string message;
  std::string remedy;
  SourcePlace where;
  double seconds = 0;
  std::vector<uint64_t> return_addresses;
  std::vector<MemberTold> members;
  uint64_t member_count = 0;  // how many there are, also those that were left out
  std::vector<TurnShareTold> shares;
};

// Stops at the first field that is damaged.
EventText ParseEventText(std::string_view text);

// Letters, digits and '-' only, at least one, at most segment::kMaxRuleBytes.
bool IsRuleName(std::string_view rule);

// What a cell says of its exact step.
struct ExactStep {
  uint64_t sequence = 0;
  uint64_t start = 0;  // ticks; 0: no step is open
  uint64_t task = 0;   // addresses in the program
  uint64_t task_id = 0;
  uint64_t origin = 0;
  uint64_t loop = 0;
  bool blocking_allowed = false;
};

// Copies `bytes` at `address` of the program; returns how many could be.
using ReadMemory = std::function<size_t(uint64_t address, void* to, size_t bytes)>;

// Follows loop, task and coroutine frames. The program goes on meanwhile: the
// caller asks afterwards whether the step is still the same. At most 256
// coroutines and 4096 tasks (for the name of the spawner).
StepContext ReadStepContext(const ExactStep& step, const ReadMemory& read);

}  // namespace loopsan
