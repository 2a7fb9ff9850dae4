// The watcher's memory of processes and their threads, and what its two parts share:
//   watcher.cc        rounds: processes and threads come and go, events, measures
//   watcher_looks.cc  looks at waits and at steps that go on, and the ways to a stack
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "reporters/signal_sampler.h"
#include "reporters/watcher.h"

namespace loopsan {

struct Watcher::Thread {
  uint32_t cell = 0;
  uint32_t tid_in_cell = 0;
  std::unique_ptr<ThreadProbe> probe;
  std::string name;
  bool has_bounds = false;
  std::set<uint32_t> places_with_stack;
  uint64_t looked_step = 0;
  size_t looks = 0;
  size_t missed_looks = 0;      // in a row: the thread was not to be had
  uint64_t shallowest_sp = 0;   // since the last sample that was handed over
  uint64_t described_call = 0;  // sequence of the call whose descriptor was read
  std::optional<DescriptorInfo> descriptor;
  uint64_t descriptor_call_start = 0;
  int epoll_targets = -1;
  uint64_t next_target_count = 0;
  uint64_t next_exists_check = 0;
  uint64_t turn_of_places = 0;
  std::map<uint32_t, uint64_t> place_waits;  // unknown places: waits when the turn began
  std::map<uint32_t, uint64_t> told_waits;
  // The time the thread had waited for a processor, at the last ticks.
  struct Waited {
    uint64_t at;
    uint64_t nanoseconds;
  };
  std::deque<Waited> waited;
  std::optional<LoopMeter> meter;
  WaitMeter waits;
  uint64_t asleep_call_start = 0;  // the last call in which the thread was seen asleep
};

struct Watcher::Process {
  ProcessKey key = 0;
  uint32_t slot = 0;
  pid_t pid = 0;
  bool gone = false;  // handed over; waits for Release()
  FileDescriptor pidfd;
  SegmentReader reader{nullptr};
  std::map<uint32_t, Thread> threads;  // by cell
  uint64_t stuck_since = 0;
  uint64_t next_count = 0;
  std::vector<SiteTotals> sites;           // as they were at the last count
  uint32_t question = 0;                   // the last that was handed over
  std::unique_ptr<SignalSampler> signals;  // only where perf_event_open is refused
};

}  // namespace loopsan
