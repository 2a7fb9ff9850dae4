// Wait places: which of them are a loop's own, and where a stack stands relative
// to one.
#include <algorithm>
#include <utility>

#include "reporters/internal/judge_private.h"
#include "reporters/loop_functions.h"

namespace loopsan {

using namespace judging;  // NOLINT: the judge's own words

namespace {

// A dispatch level of an unknown loop counts once seen in this many turns.
constexpr size_t kLevelTurns = 3;

}  // namespace

bool Judge::Private::HasInlinedLoop(Process& process, const StackFrame& frame) {
  for (const ReportFrame& one : process.stacks->Symbolize(frame)) {
    if (IsLoopFunction(one.function)) return true;
  }
  return false;
}

SameFunction Judge::Private::SameFunctionIn(Process& process) {
  return [this, &process](const StackFrame& a, const StackFrame& b) {
    if (a.pc == b.pc) return true;
    // Copied: the second lookup may move the first one's string.
    const std::string first = Name(process, a);
    const std::string& second = Name(process, b);
    if (!first.empty() || !second.empty()) return first == second;
    return std::max(a.pc, b.pc) - std::min(a.pc, b.pc) < 4096;  // a stripped static function
  };
}

void Judge::Private::NewPlace(Process&, Loop& loop, uint32_t index, const SegmentPlace& info) {
  Place place;
  place.info = info;
  loop.places[index] = std::move(place);
}

void Judge::Private::SetVerdict(Process& process, Place& place, uint32_t index, Verdict verdict) {
  place.verdict = verdict;
  actions_.set_verdict(process.slot, index, verdict);
}

void Judge::Private::SetWaitStack(Process& process, uint32_t cell, Loop& loop, uint32_t index,
                                  const RawStack& raw) {
  Place& place = loop.places[index];
  if (place.has_stack) {
    return;
  }
  place.stack = process.stacks->Unwind(raw);
  if (place.stack.frames.empty()) {
    return;
  }
  place.has_stack = true;
  for (size_t i = 0; i < place.stack.frames.size(); ++i) {
    const std::string& name = Name(process, place.stack.frames[i]);
    if (IsLoopFunction(name)) {
      place.loop_level = static_cast<int>(i);
      place.function = name;
    }
    if (place.python_level < 0 && IsPythonEvaluation(name)) {
      place.python_level = static_cast<int>(i);
    }
  }
  if (place.loop_level < 0) {
    // The optimizer may have put the loop into its caller.
    for (size_t i = 0; i < place.stack.frames.size() && place.loop_level < 0; ++i) {
      if (HasInlinedLoop(process, place.stack.frames[i])) {
        place.loop_level = static_cast<int>(i);
        place.loop_inlined = true;
      }
    }
  }
  if (place.function.empty()) {
    place.function = Name(process, place.stack.frames.front());
  }
  place.ends_ambiguously = place.loop_level < 0 && place.python_level < 0 &&
                           Name(process, place.stack.frames.front()) == "main";
  if (place.info.assumed_idle) {
    DecideAssumed(process, loop, index);
  } else {
    Decide(process, loop, index);
  }
  if (place.verdict != Verdict::kIdle) {
    return;
  }
  if (loop.current == kNoIndex) {
    loop.current = index;
  }
  for (const uint32_t undecided : std::exchange(loop.undecided, {})) {
    Decide(process, loop, undecided);
  }
  for (auto& [at, event] : std::exchange(loop.early, {})) {
    const UnwoundStack stack = process.stacks->Unwind(event.stack);
    Learn(process, cell, loop, at, event.turn, PlaceStack(process, loop, at, stack));
  }
  for (const EventSeen& seen : std::exchange(loop.waiting, {})) {
    HandleCall(process, cell, loop, seen);
  }
}

void Judge::Private::DecideAssumed(Process& process, Loop& loop, uint32_t index) {
  SetVerdict(process, loop.places[index], index, Verdict::kIdle);
  loop.current = index;
}

void Judge::Private::Decide(Process& process, Loop& loop, uint32_t index) {
  Place& place = loop.places[index];
  if (place.verdict != Verdict::kUnknown || !place.has_stack) {
    return;
  }
  const auto current = loop.places.find(loop.current);
  if (current == loop.places.end() || !current->second.has_stack) {
    if (loop.undecided.size() < kMaxPending) loop.undecided.push_back(index);
    return;
  }
  const Placement placement = PlaceStack(process, loop, loop.current, place.stack);
  if (!placement.found) {
    return;  // a fiber or a cut-off stack: stays unknown, so it is never accused
  }
  // Called by the very frame that calls the loop's wait: the loop's other wait.
  const bool same_caller = placement.dispatch == 0;
  if (placement.standing == Standing::kInStep && !same_caller) {
    SetVerdict(process, place, index, Verdict::kNested);
  } else if (placement.standing != Standing::kUnsure || same_caller ||
             // A known loop that the other place's stack knows nothing of.
             (place.loop_level >= 0 &&
              static_cast<size_t>(place.loop_level) < placement.dispatch)) {
    SetVerdict(process, place, index, Verdict::kIdle);
  }
}

void Judge::Private::Handle(const PlaceRecurs& recurs) {
  Process* process = Find(recurs.process);
  if (process == nullptr) return;
  Loop& loop = process->loops[recurs.cell];
  const auto place = loop.places.find(recurs.place_index);
  const auto current = loop.places.find(loop.current);
  if (place == loop.places.end() || place->second.verdict != Verdict::kUnknown ||
      !place->second.has_stack || current == loop.places.end()) {
    return;
  }
  // The wait that was taken for the loop's own happened once, perhaps while the
  // program started (nginx tests its epoll); this one comes again and again. A
  // loop that had many turns must have been silent for much longer.
  const uint64_t enough = recurs.turns <= 1 ? 4 : 256;
  const Placement placement = PlaceStack(*process, loop, loop.current, place->second.stack);
  if (recurs.waits >= enough && placement.found && placement.standing != Standing::kInStep) {
    SetVerdict(*process, place->second, recurs.place_index, Verdict::kIdle);
  }
}

void Judge::Private::Handle(const WaitStackTaken& taken) {
  Process* process = Find(taken.process);
  if (process == nullptr) return;
  Loop& loop = process->loops[taken.cell];
  if (!loop.places.contains(taken.place_index)) {
    NewPlace(*process, loop, taken.place_index, taken.place);
  }
  loop.epoll_targets = std::max(loop.epoll_targets, taken.epoll_targets);
  SetWaitStack(*process, taken.cell, loop, taken.place_index, taken.stack);
}

judging::Placement Judge::Private::PlaceStack(Process& process, const Loop& loop, uint32_t index,
                                              const UnwoundStack& stack) {
  Placement result;
  const auto found = loop.places.find(index);
  if (found == loop.places.end() || !found->second.has_stack || stack.frames.empty()) {
    return result;
  }
  const Place& place = found->second;
  const CommonActivation common = FindCommonActivation(place.stack, stack, SameFunctionIn(process));
  if (!common.found) {
    return result;
  }
  result.found = true;
  result.level = common.wait_index;
  result.dispatch = common.stack_index;
  const auto level = static_cast<int>(common.wait_index);
  if (place.python_level >= 0 && level >= place.python_level) {
    // All Python code is one C frame: what stands above it must tell.
    result.standing = Standing::kOutside;
    for (size_t i = 0; i < common.stack_index && level == place.python_level; ++i) {
      const std::string& name = Name(process, stack.frames[i]);
      if (IsPythonEvaluation(name) ||
          IsPythonTaskStep(name, process.stacks->ModuleOffset(stack.frames[i]))) {
        result.standing = Standing::kInStep;
      }
    }
    return result;
  }
  if (place.loop_level >= 0) {
    const bool in_loop =
        level < place.loop_level ||
        (level == place.loop_level &&
         (!place.loop_inlined || HasInlinedLoop(process, stack.frames[common.stack_index])));
    result.standing = in_loop ? Standing::kInStep : Standing::kOutside;
    return result;
  }
  // A loop nobody knows by name: the function that calls the wait is in it; one
  // of its callers is only if steps were seen to run from there again and again.
  const auto seen = place.seen_levels.find(common.wait_index);
  if (level == 0 ||
      (loop.slept && seen != place.seen_levels.end() && seen->second.size() >= kLevelTurns)) {
    result.standing = Standing::kInStep;
  }
  return result;
}

void Judge::Private::Learn(Process& process, uint32_t cell, Loop& loop, uint32_t index,
                           uint64_t turn, const Placement& placement) {
  const auto found = loop.places.find(index);
  if (!placement.found || found == loop.places.end()) {
    return;
  }
  std::set<uint64_t>& turns = found->second.seen_levels[placement.level];
  if (turns.size() >= kLevelTurns || !turns.insert(turn).second) {
    return;
  }
  if (turns.size() == kLevelTurns) {
    for (JudgedCall& call : std::exchange(loop.pending, {})) {
      call.placement = PlaceStack(process, loop, call.place, call.stack);
      SettleCall(process, cell, loop, std::move(call));
    }
  }
}

size_t Judge::Private::CallbackFrame(Process& process, const UnwoundStack& stack, size_t dispatch,
                                     bool& found) {
  // Inwards from the dispatch frame, past the loop library's own functions.
  found = true;
  for (size_t i = dispatch; i-- > 0;) {
    if (!IsDispatchFunction(Name(process, stack.frames[i]))) {
      return i;
    }
  }
  // The step runs in the dispatch function itself.
  found = !IsDispatchFunction(Name(process, stack.frames[0])) || dispatch == 0;
  return 0;
}

}  // namespace loopsan
