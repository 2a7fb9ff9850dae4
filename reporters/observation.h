// What the watcher hands to the judge, in the order in which it saw it.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "reporters/process_image.h"
#include "reporters/segment_reader.h"
#include "reporters/stack.h"
#include "reporters/thread_probe.h"
#include "reporters/timeline.h"

namespace loopsan {

// A process of the session; unique for the session, unlike a pid.
using ProcessKey = uint32_t;

// A process has claimed a slot.
struct ProcessFound {
  ProcessKey process = 0;
  uint32_t slot = 0;
  pid_t pid = 0;
  std::string executable;
  std::vector<MappedModule> modules;
};

// The probe wrote an event.
struct EventSeen {
  ProcessKey process = 0;
  pid_t tid = 0;
  std::string thread_name;
  SegmentEvent event;
  std::optional<SegmentPlace> place;         // of kPlace events
  std::optional<DescriptorInfo> descriptor;  // of calls on a descriptor
  SchedulingState scheduling;                // of kTurn events: when the end was noticed
  int epoll_targets = -1;
  double watcher_gap_seconds = 0;  // the longest the watcher itself was kept from looking
  // kCall: how long the thread, around that time, was runnable without a processor.
  double waited_seconds = 0;
  bool seen_asleep = false;  // kCall: a look found the thread asleep in this very call
};

// The stack of a loop's own wait, taken while the thread was in it.
struct WaitStackTaken {
  ProcessKey process = 0;
  uint32_t cell = 0;
  uint32_t place_index = 0;
  SegmentPlace place;
  RawStack stack;
  int epoll_targets = -1;
};

// A place of unknown nature is waited at again and again within one step: that
// "step" may be another loop.
struct PlaceRecurs {
  ProcessKey process = 0;
  uint32_t cell = 0;
  uint32_t place_index = 0;
  uint64_t waits = 0;  // there, all of them within the turn below
  uint64_t turns = 0;  // of the loop so far
};

// A look at a thread whose step goes on.
struct SampleTaken {
  ProcessKey process = 0;
  uint32_t cell = 0;
  pid_t tid = 0;
  std::string thread_name;
  uint64_t at = 0;  // ticks
  SegmentCell loop;
  RawStack stack;  // source kNone if there was no way to it
  std::optional<SegmentCall> call;
  std::optional<DescriptorInfo> descriptor;
  std::string call_text;                       // path, name or command that the call was given
  std::optional<SystemCallState> system_call;  // an unhooked one
  // The shallowest depth from which a hook was called since the sample before.
  uint64_t shallowest_sp = 0;
  SchedulingState scheduling;
  int epoll_targets = -1;
  double watcher_gap_seconds = 0;
  // Of a loop that tells its steps: who ran, at the same moment (loop.exact).
  std::optional<StepContext> context;
};

// A loop thread or its process has ended; its last state.
struct LoopGone {
  ProcessKey process = 0;
  uint32_t cell_index = 0;
  pid_t tid = 0;
  std::string thread_name;
  SegmentCell cell;
  SegmentCounts counts;
  std::optional<SegmentCall> call;  // it ended inside this call
  uint64_t at = 0;
  int epoll_targets = -1;
  bool process_gone = false;
  bool killed = false;  // by a signal, or by the end of the run: not by its own exit
};

struct SiteTotals {
  uint32_t index = 0;
  SegmentSite totals;
};

// What a loop did since it was measured last.
struct LoopMeasured {
  ProcessKey process = 0;
  uint32_t cell = 0;
  pid_t tid = 0;
  std::string thread_name;
  LoopMeasure measure;
  SegmentCell state;       // all of it so far: ...
  SegmentCounts counts;    // ... likewise
  uint64_t told_loop = 0;  // address of its loopsan_loop, if it tells its steps now
  int epoll_targets = -1;
};

// How long jobs have waited for the threads of the process's executors so far.
struct QueuesMeasured {
  ProcessKey process = 0;
  std::vector<SegmentQueue> queues;
};

// Exact totals of calls whose events have been handed over, or were lost.
struct SitesCounted {
  ProcessKey process = 0;
  std::vector<SiteTotals> sites;
};

// An idle wait of a loop, which has ended.
struct LoopWaited {
  ProcessKey process = 0;
  pid_t tid = 0;
  std::string thread_name;
  IdleWait wait;
};

// A process asks what was found in it (loopsan_annotations::take_findings); all that it had
// done until then has been handed over.
struct FindingsAsked {
  ProcessKey process = 0;
  uint32_t question = 0;
  struct Progress {
    uint32_t cell = 0;
    uint64_t closed_turns = 0;  // turns with smaller numbers have ended
  };
  std::vector<Progress> loops;
};

// Everything of a process has been handed over.
struct ProcessGone {
  ProcessKey process = 0;
  std::vector<SiteTotals> sites;
  uint64_t events_dropped = 0;
  uint64_t snapshots_dropped = 0;
  uint64_t sites_dropped = 0;
  uint64_t loops_dropped = 0;
};

using Observation =
    std::variant<ProcessFound, EventSeen, WaitStackTaken, PlaceRecurs, SampleTaken, LoopMeasured,
                 LoopWaited, QueuesMeasured, SitesCounted, FindingsAsked, LoopGone, ProcessGone>;

}  // namespace loopsan
