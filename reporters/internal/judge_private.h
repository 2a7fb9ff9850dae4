// The judge's memory and its parts, which are implemented by subject:
//   judge.cc           observations in, and the ends of loops and processes
//   judge_places.cc    wait places: which are idle, where a stack stands
//   judge_calls.cc     blocking calls
//   judge_steps.cc     stalls and long turns
//   judge_exact.cc     loops that tell their steps; what libraries report
//   judge_findings.cc  merging, counting, ranking
//   judge_answers.cc   what a process asks about itself
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "reporters/judge.h"
#include "reporters/placement.h"
#include "reporters/run_metrics.h"

namespace loopsan {
namespace judging {

using segment::Category;
using segment::EventKind;
using segment::kNoIndex;
using segment::LoopState;
using segment::Verdict;

// A step is explained by a cause that takes at least this share of it.
inline constexpr double kMostOfIt = 0.5;
inline constexpr size_t kMaxPending = 512;
inline constexpr size_t kMaxFindings = 10'000;

// Where a stack stands relative to a place's loop.
enum class Standing {
  kInStep,   // proven: the loop's dispatch frame is below it
  kOutside,  // proven: the loop has been left, or not yet entered
  kUnsure,
};

struct Placement {
  Standing standing = Standing::kUnsure;
  bool found = false;
  size_t level = 0;     // of the shared frame in the wait's stack
  size_t dispatch = 0;  // index of the shared frame in the stack itself
};

struct Place {
  SegmentPlace info;
  bool has_stack = false;
  UnwoundStack stack;
  Verdict verdict = Verdict::kUnknown;
  int loop_level = -1;  // of the known loop function in `stack`; -1: not a known one
  bool loop_inlined = false;
  int python_level = -1;
  bool python_outer = false;
  std::string function;  // for people
  // Turns in which a hook was seen to run below each level: evidence.
  std::map<size_t, std::set<uint64_t>> seen_levels;
  bool ends_ambiguously = false;  // the loop is in main(): code behind it looks like a step
};

struct Sample {
  uint64_t at = 0;
  UnwoundStack stack;
  Placement placement;
  std::optional<SegmentCall> call;
  std::optional<SystemCallState> system_call;
  uint64_t shallowest_sp = 0;
  SchedulingState scheduling;
  size_t callback = 0;  // frame of the callback below the dispatch frames
  bool has_callback = false;
  StepContext context;  // of loops that tell their steps
};

// A reported call, ready to become a finding once it is sure to be in a step.
struct JudgedCall {
  uint32_t site = kNoIndex;
  uint32_t call_id = 0;
  uint64_t turn = 0;
  uint32_t place = kNoIndex;
  uint64_t start = 0;
  uint64_t end = 0;
  std::string detail;
  std::string category;
  UnwoundStack stack;
  Placement placement;
  bool in_progress = false;
  std::optional<StepContext> context;  // of loops that tell their steps
};

struct Loop {
  pid_t tid = 0;
  std::string thread_name;
  std::map<uint32_t, Place> places;
  uint32_t current = kNoIndex;
  uint64_t sample_turn = 0;
  std::vector<Sample> samples;  // of turn `sample_turn`
  uint64_t calls_turn = 0;
  std::vector<std::pair<uint64_t, uint64_t>> turn_calls;  // reported calls of that turn
  std::vector<JudgedCall> pending;                        // at a level that is not proven yet
  std::vector<JudgedCall> until_closed;  // in a step that may turn out not to be one
  std::vector<std::pair<uint32_t, SegmentEvent>> early;  // before the wait's stack was known
  std::vector<EventSeen> waiting;                        // calls before the wait's stack was known
  std::vector<uint32_t> undecided;                       // places, likewise
  int epoll_targets = -1;
  uint64_t turns = 0;
  bool slept = false;
  // long turns, merged
  uint64_t long_turns = 0;
  double long_total = 0;
  double long_worst = 0;
  uint64_t long_ready = 0;
  UnwoundStack long_stack;
  // of loops that tell their steps
  bool told = false;
  uint64_t sample_step = 0;
  std::vector<Sample> step_samples;  // of that step
  uint64_t long_steps = 0;           // in the worst of the long turns
  std::string long_shares;           // likewise: who took most of it
  std::optional<LoopMeasured> last;  // the last measure
  // What holds the loop up, as long as the step that began at `step_start` goes on.
  struct OpenStall {
    uint64_t step_start = 0;
    uint64_t seen_at = 0;
    Finding finding;  // as of `seen_at`
  };
  std::optional<OpenStall> open_stall;
};

// A step that took longer than the threshold.
struct StepSeen {
  uint64_t turn = 0;
  uint64_t start = 0;
  uint64_t end = 0;
  uint64_t call_ticks = 0;  // of reported calls in it
  uint32_t ready = 0;       // descriptors that the wait before it returned
  uint32_t place = kNoIndex;
  SchedulingState at_end;
  double watcher_gap = 0;
  bool open = false;  // it had not ended when its thread did
};

// Why a step took long.
struct Cause {
  std::string name;  // as Finding::cause
  std::string detail;
  std::string note;
};

struct FindingEntry {
  Finding finding;
  std::string_view remedy;
  uint32_t loop_process = 0;
  std::set<std::pair<uint32_t, uint32_t>> loops;  // process, cell
  bool worded = false;                            // message and remedy are complete
  // Of a process: what it has not taken yet (FindingsAsked).
  struct Untaken {
    uint64_t count = 0;
    double seconds = 0;
    double worst = 0;
  };
  std::map<ProcessKey, Untaken> untaken;
};

// One place of the probe's exact totals. Not every call there is an event.
struct SiteSeen {
  uint64_t events = 0;
  uint64_t ticks = 0;     // of the events
  uint64_t credited = 0;  // calls without an event that were counted all the same
  uint64_t credited_ticks = 0;
  uint32_t cell = kNoIndex;
  std::string finding_key;  // of the last event that became one; empty: dropped
};

struct LoopDone {
  LoopSummary summary;
  bool proven = false;
};

struct Process {
  ProcessKey key = 0;
  uint32_t slot = 0;
  pid_t pid = 0;
  std::string executable;
  std::unique_ptr<StackInterpreter> stacks;
  std::map<uint32_t, Loop> loops;  // by cell
  std::map<uint32_t, SiteSeen> sites;
  std::vector<LoopDone> done;
  bool reports_long_turns = false;  // its loop library does so itself
};

std::string_view CategoryName(segment::Category category);

// The name of a system call that threads sleep in, "system call N" for others.
std::string SystemCallName(long number);

}  // namespace judging

class Judge::Private {
 public:
  Private(const Options& options, const TickClock* clock, MakeStackInterpreter interpreters,
          Actions actions)
      : options_(options),
        clock_(clock),
        interpreters_(std::move(interpreters)),
        actions_(std::move(actions)),
        bounds_(HistogramBounds(options.metrics_buckets)),
        metrics_(clock, bounds_, options.metrics_pid) {}

  void Handle(const ProcessFound& found);
  void Handle(const EventSeen& seen);
  void Handle(const WaitStackTaken& taken);
  void Handle(const PlaceRecurs& recurs);
  void Handle(const SampleTaken& taken);
  void Handle(const LoopMeasured& measured);
  void Handle(const QueuesMeasured& measured) { metrics_.Measured(measured); }
  void Handle(const SitesCounted& counted);
  void Handle(const LoopWaited& waited);
  void Handle(const FindingsAsked& asked);
  void Handle(const LoopGone& gone);
  void Handle(const ProcessGone& gone);
  void FillReport(Report& report);
  void FillMetrics(MetricsSnapshot& snapshot) const;
  void SetClockReadSeconds(double seconds) { metrics_.SetClockReadSeconds(seconds); }
  void SetTimelineOrigin(uint64_t ticks) { timeline_.SetOrigin(ticks); }

 private:
  judging::Process* Find(ProcessKey key);
  const std::string& Name(judging::Process& process, const StackFrame& frame);
  bool HasInlinedLoop(judging::Process& process, const StackFrame& frame);
  std::vector<ReportFrame> SymbolizeStack(judging::Process& process, const UnwoundStack& stack);
  SameFunction SameFunctionIn(judging::Process& process);

  void NewPlace(judging::Process& process, judging::Loop& loop, uint32_t index,
                const SegmentPlace& info);
  void SetWaitStack(judging::Process& process, uint32_t cell, judging::Loop& loop, uint32_t index,
                    const RawStack& raw);
  void DecideAssumed(judging::Process& process, judging::Loop& loop, uint32_t index);
  void Decide(judging::Process& process, judging::Loop& loop, uint32_t index);
  void SetVerdict(judging::Process& process, judging::Place& place, uint32_t index,
                  segment::Verdict verdict);
  judging::Placement PlaceStack(judging::Process& process, const judging::Loop& loop,
                                uint32_t place, const UnwoundStack& stack);
  void Learn(judging::Process& process, uint32_t cell, judging::Loop& loop, uint32_t place,
             uint64_t turn, const judging::Placement& placement);
  size_t CallbackFrame(judging::Process& process, const UnwoundStack& stack, size_t dispatch,
                       bool& found);

  void HandleCall(judging::Process& process, uint32_t cell, judging::Loop& loop,
                  const EventSeen& seen);
  void HandleTurn(judging::Process& process, uint32_t cell, judging::Loop& loop,
                  const EventSeen& seen);
  void SettleCall(judging::Process& process, uint32_t cell, judging::Loop& loop,
                  judging::JudgedCall call);
  void AcceptCall(judging::Process& process, uint32_t cell, judging::Loop& loop,
                  const judging::JudgedCall& call);
  void FlushClosed(judging::Process& process, uint32_t cell, judging::Loop& loop, uint64_t turn);
  void JudgeStep(judging::Process& process, uint32_t cell, judging::Loop& loop,
                 judging::StepSeen step);
  void CutAtLaterIdleWait(judging::Loop& loop, judging::StepSeen& step);
  void PlaceSamples(judging::Process& process, judging::Loop& loop, uint32_t place);
  std::pair<size_t, size_t> LongestRun(judging::Process& process,
                                       const std::vector<judging::Sample>& samples);
  size_t NamingFrame(judging::Process& process, const std::vector<judging::Sample>& samples,
                     const judging::Sample& shown);
  size_t SharedFrame(judging::Process& process, const std::vector<judging::Sample>& samples,
                     size_t first, size_t last);
  void AcceptStall(judging::Process& process, uint32_t cell, const judging::Loop& loop,
                   Finding finding, const UnwoundStack& stack, const std::string& functions,
                   const judging::StepSeen& step, double seconds, bool whole_step);
  bool SamplesShowOneCallback(judging::Process& process, const judging::Sample& first,
                              const judging::Sample& second);
  judging::Cause StallCause(const std::vector<judging::Sample>& samples, uint64_t end,
                            const SchedulingState& at_end, double watcher_gap,
                            double seconds) const;
  // Whether a live line is due, at `at`; counts it as told.
  bool IsToldNow(const std::string& key, uint64_t at);
  // Keeps it for snapshots.
  void NoteOpenStall(judging::Process& process, judging::Loop& loop, const SampleTaken& taken,
                     const UnwoundStack& stack, Finding finding, double so_far_seconds);
  void AddOpenStalls(Report& report, std::vector<std::string>& keys) const;
  // Unless it is suppressed.
  void TellLiveStall(Finding& finding, double so_far_seconds) const;
  // The calls that are told by themselves leave `rest` of a step of `whole` seconds: that is
  // theirs.
  bool CallsExplain(const std::vector<judging::Sample>& samples, double rest, double whole) const;
  Finding MakeStall(judging::Process& process, const judging::Loop& loop,
                    const judging::Sample& sample);
  void HandleExactSample(judging::Process& process, judging::Loop& loop, const SampleTaken& taken);
  void LiveStep(judging::Process& process, judging::Loop& loop, const SampleTaken& taken);
  void AcceptExactCall(judging::Process& process, uint32_t cell, judging::Loop& loop,
                       judging::JudgedCall call);
  void HandleStep(judging::Process& process, uint32_t cell, judging::Loop& loop,
                  const EventSeen& seen);
  void JudgeExactStep(judging::Process& process, uint32_t cell, judging::Loop& loop,
                      const judging::StepSeen& step, uint64_t number, const StepContext& at_end);
  void JudgeOpenStep(judging::Process& process, const LoopGone& gone, judging::Loop& loop);
  void HandleExactTurn(const judging::Process& process, uint32_t cell, judging::Loop& loop,
                       const EventSeen& seen);
  void HandleFinding(judging::Process& process, const EventSeen& seen);
  UnwoundStack CutAtResumer(judging::Process& process, UnwoundStack stack,
                            const StepContext& context);
  void TellStep(judging::Process& process, const StepContext& context, const UnwoundStack& stack,
                Finding& finding);
  static std::string ContextKey(const StepContext& context);
  void Live(judging::Process& process, judging::Loop& loop, const SampleTaken& taken);
  judging::FindingEntry& Merge(judging::Process& process, uint32_t cell, const std::string& key,
                               Finding finding, const UnwoundStack& stack, std::string_view remedy);
  // It was met once more, in this process and, unless it is kNoIndex, cell.
  void Count(judging::FindingEntry& entry, const judging::Process& process, uint32_t cell,
             double seconds);
  void CountLongTurn(const judging::Process& process, uint32_t cell, judging::Loop& loop,
                     double seconds);
  // Adds calls of which there was no event to what those with one became.
  void Credit(judging::Process& process, const std::vector<SiteTotals>& sites);
  LoopSummary Summarize(const judging::Loop& loop, const SegmentCell& cell,
                        const SegmentCounts& counts) const;
  // The loops that go on and have not been proven to be any.
  std::set<std::pair<uint32_t, uint32_t>> UnprovenNow() const;
  bool IsForTests(const judging::Process& process, const judging::FindingEntry& entry) const;
  std::string StackKey(judging::Process& process, const UnwoundStack& stack, size_t begin,
                       size_t end);
  std::string FunctionKey(judging::Process& process, const UnwoundStack& stack, size_t begin,
                          size_t end);
  static TimelineRecorder::LoopId TimelineId(const judging::Process& process,
                                             const judging::Loop& loop) {
    return {process.key, process.pid, loop.tid};
  }
  void NoteModules(judging::Process& process, const std::vector<ReportFrame>& stack);
  bool LoopIsProven(const judging::Loop& loop) const;

  const Options options_;
  const TickClock* const clock_;
  const MakeStackInterpreter interpreters_;
  const Actions actions_;
  const std::vector<double> bounds_;  // of the segment's histograms
  RunMetrics metrics_;
  std::map<ProcessKey, judging::Process> processes_;
  std::map<std::string, judging::FindingEntry> findings_;
  std::set<std::pair<uint32_t, uint32_t>> unproven_;
  std::map<std::string, uint64_t> told_;          // stalls, and when they had their last live line
  std::map<std::string, std::string> build_ids_;  // by path of the module
  Dropped dropped_;
  std::vector<std::string> warnings_;
  TimelineRecorder timeline_{clock_};
  uint64_t descheduled_ = 0;
  double descheduled_worst_ = 0;
  uint64_t stopped_ = 0;
};

}  // namespace loopsan
