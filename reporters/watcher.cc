#include "reporters/watcher.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "instrument/blocking_calls.h"
#include "reporters/internal/watcher_private.h"
#include "reporters/signal_sampler.h"

namespace loopsan {
namespace {

using segment::kNoIndex;
using segment::LoopState;

// Free slots kept ready: processes that start their loops at the same time (workers, tests in
// parallel) find one each. Half a millisecond of work for each at the start of a run.
constexpr uint32_t kSpareSlots = 3;
// How long a reserved but unfinished event may hold up the others.
constexpr double kStuckEventSeconds = 0.5;
// How often a loop is measured for the timeline.
constexpr double kMeasureSeconds = 0.1;
// How often the totals of calls and executors are read.
constexpr double kCountSeconds = 1;

}  // namespace

Watcher::Watcher(Arena* arena, const TickClock* clock, double threshold_seconds, Sink sink)
    : arena_(arena), clock_(clock), threshold_(threshold_seconds), sink_(std::move(sink)) {}

Watcher::~Watcher() = default;

double Watcher::PeriodSeconds() const {
  if (processes_.empty()) {
    return 0.005;
  }
  return std::clamp(threshold_ / 10, 0.001, 0.010);
}

double Watcher::GapSince(uint64_t start) const {
  double longest = 0;
  for (const Gap& gap : gaps_) {
    if (gap.end >= start) {
      longest = std::max(longest, gap.seconds);
    }
  }
  return longest;
}

void Watcher::NoteScheduling(Process& process, Thread& thread,
                             const std::optional<ProcessorTimes>& times, uint64_t now) {
  if (!times) return;
  thread.waited.push_back({now, times->wait_nanoseconds});
  if (thread.waited.size() > 64) thread.waited.pop_front();
  const auto call = process.reader.CallInProgress(thread.cell);
  if (!call) return;
  const char state = thread.probe->Scheduling().state;
  if (state == 'S' || state == 'D') {
    thread.asleep_call_start = call->start;
  }
}

double Watcher::WaitedSince(const Thread& thread, uint64_t start) const {
  const std::optional<ProcessorTimes> until = thread.probe->Times();
  if (!until || thread.waited.empty()) return 0;
  uint64_t before = thread.waited.front().nanoseconds;
  for (const Thread::Waited& waited : thread.waited) {
    if (waited.at <= start) before = waited.nanoseconds;
  }
  return static_cast<double>(until->wait_nanoseconds - before) * 1e-9;
}

// A wait that turned out to be the loop's own while it went on: the probe will know when it
// returns.
void Watcher::CutAtOwnWait(const Process& process, const Thread& thread, SegmentCell& cell) {
  if (cell.state != LoopState::kInStep || cell.exact.start != 0) return;
  const auto call = process.reader.CallInProgress(thread.cell);
  if (!call || call->place == kNoIndex || call->start < cell.step_start) return;
  const auto place = process.reader.Place(call->place);
  if (!place || place->verdict != segment::Verdict::kIdle) return;
  cell.busy_ticks += call->start - cell.step_start;
  cell.last_change = call->start;
  cell.state = LoopState::kIdle;
}

void Watcher::Measure(Process& process, Thread& thread, SegmentCell cell,
                      const std::optional<ProcessorTimes>& times, uint64_t now, bool last) {
  CutAtOwnWait(process, thread, cell);
  if (!thread.meter) thread.meter.emplace(clock_->Ticks(kMeasureSeconds));
  const std::optional<uint64_t> ran =
      times ? std::optional<uint64_t>(times->run_nanoseconds) : std::nullopt;
  if (const auto measure = thread.meter->Look(cell, ran, now, last || measures_now_)) {
    sink_(LoopMeasured{.process = process.key,
                       .cell = thread.cell,
                       .tid = thread.probe->tid(),
                       .thread_name = thread.name,
                       .measure = *measure,
                       .state = cell,
                       .counts = process.reader.Counts(thread.cell),
                       .told_loop = cell.exact.loop,
                       .epoll_targets = thread.epoll_targets});
  }
  const std::optional<IdleWait> wait = last ? thread.waits.Finish() : thread.waits.Look(cell, now);
  if (wait) sink_(LoopWaited{process.key, thread.probe->tid(), thread.name, *wait});
}

void Watcher::Tick(uint64_t now) {
  const uint64_t wanted = measures_wanted_.load(std::memory_order_relaxed);
  measures_now_ = wanted != measures_made_.load(std::memory_order_relaxed);
  if (last_tick_ != 0) {
    const double gap = clock_->Seconds(now - last_tick_);
    if (gap > PeriodSeconds() + 0.030) {
      gaps_.push_back({now, gap});
      if (gaps_.size() > 256) {
        gaps_.erase(gaps_.begin(), gaps_.begin() + 128);
      }
    }
  }
  RecycleReleased();
  for (uint32_t slot = 0; slot < arena_->ready(); ++slot) {
    const auto state = arena_->slot(slot).header.state.load(std::memory_order_acquire);
    if (state == segment::SlotState::kClaimed && !processes_.contains(slot)) {
      Adopt(slot);
    }
  }
  for (auto& [slot, process] : processes_) {
    if (process->gone) {
      continue;
    }
    // Read first: what comes before the question is drained behind it.
    const uint32_t question =
        process->reader.slot()->header.question.load(std::memory_order_acquire);
    Drain(*process, now);
    FindThreads(*process);
    for (auto it = process->threads.begin(); it != process->threads.end();) {
      Thread& thread = it->second;
      Look(*process, thread, now);
      if (now >= thread.next_exists_check) {
        thread.next_exists_check = now + clock_->Ticks(0.2);
        if (!thread.probe->Exists() && process->pid != 0) {
          Drain(*process, now);
          EndThread(*process, thread, now, false, false);
          it = process->threads.erase(it);
          continue;
        }
      }
      ++it;
    }
    HandOverQuestion(*process, question);
    CountCalls(*process, now);
    const bool replaced = arena_->slot(slot).header.state.load(std::memory_order_acquire) ==
                          segment::SlotState::kReplaced;
    pollfd ended{process->pidfd.get(), POLLIN, 0};
    if (replaced || (process->pidfd && poll(&ended, 1, 0) == 1) || !process->pidfd) {
      EndProcess(*process, now, !replaced);
    }
  }
  arena_->KeepReady(kSpareSlots);
  if (now >= next_publication_) {
    next_publication_ = now + clock_->Ticks(kCountSeconds);
    Publish();
  }
  // Release: who sees the number finds the measures handed over.
  measures_made_.store(wanted, std::memory_order_release);
  last_tick_ = clock_->Now();
}

void Watcher::Adopt(uint32_t slot) {
  auto process = std::make_unique<Process>();
  process->key = next_key_++;
  process->slot = slot;
  process->reader = SegmentReader(&arena_->slot(slot));
  segment::SlotHeader& header = arena_->slot(slot).header;
  const auto claimer = static_cast<pid_t>(header.claimer_tid.load(std::memory_order_relaxed));
  if (claimer == 0) {
    return;  // still being claimed; next tick
  }
  process->pid = ProcessOfThread(claimer);
  if (process->pid == 0) {
    // That thread has ended, and perhaps its process; or it is in another pid
    // namespace.
    const uint32_t own_word = header.process_id.load(std::memory_order_relaxed);
    process->pid = own_word != 0 ? static_cast<pid_t>(own_word) : claimer;
  }
  header.process_id.store(static_cast<uint32_t>(process->pid), std::memory_order_relaxed);
  process->pidfd = FileDescriptor(static_cast<int>(syscall(SYS_pidfd_open, process->pid, 0)));
  ProcessFound found;
  found.process = process->key;
  found.slot = slot;
  found.pid = process->pid;
  found.modules = process->reader.Modules();
  found.executable = ReadLink(absl::StrCat("/proc/", process->pid, "/exe"));
  if (found.executable.empty() && !found.modules.empty()) {
    found.executable = found.modules.front().path;
  }
  found.started_as = StartedAs(process->pid);
  char byte = 0;
  if (process->pidfd && !found.modules.empty() &&
      CopyMemory(process->pid, found.modules.front().start, &byte, 1) == 0 && errno == EPERM) {
    remote_.reason =
        absl::StrCat("process_vm_readv of pid ", process->pid,
                     ": not permitted (it changed user, or kernel.yama.ptrace_scope forbids it)");
    warnings_.push_back(absl::StrCat("the stack of pid ", process->pid,
                                     " could not be read from outside while a step went on; "
                                     "stacks of finished calls are complete"));
  }
  sink_(std::move(found));
  processes_[slot] = std::move(process);
  FindThreads(*processes_[slot]);
}

void Watcher::FindThreads(Process& process) {
  for (uint32_t index = 0; index < segment::kCellsPerSlot; ++index) {
    const uint32_t tid =
        arena_->slot(process.slot).cells[index].tid.load(std::memory_order_acquire);
    if (tid == 0) {
      if (index > 0 && process.threads.empty()) break;
      continue;
    }
    if (process.threads.contains(index)) {
      continue;
    }
    Thread thread;
    thread.cell = index;
    thread.tid_in_cell = tid;
    thread.probe = std::make_unique<ThreadProbe>(process.pid, static_cast<pid_t>(tid));
    thread.name = thread.probe->Name();
    // Asked before a stack is needed: the handler must be there by then.
    if (std::string error; process.threads.empty() && process.signals == nullptr &&
                           !thread.probe->PerfPermitted(error)) {
      ++perf_.failed;
      perf_.reason = error;
      process.signals = std::make_unique<SignalSampler>(process.reader.slot(), process.pid);
      process.signals->Request();
    }
    process.threads.emplace(index, std::move(thread));
    saw_loop_ = true;
  }
}

void Watcher::Drain(Process& process, uint64_t now) {
  while (auto event = process.reader.NextEvent()) {
    process.stuck_since = 0;
    EventSeen seen;
    seen.process = process.key;
    FindThreads(process);
    const auto found = process.threads.find(event->cell);
    Thread* thread = found == process.threads.end() ? nullptr : &found->second;
    if (thread != nullptr) {
      seen.tid = thread->probe->tid();
      seen.thread_name = thread->name;
      seen.epoll_targets = thread->epoll_targets;
    }
    if (!event->stack.bytes.empty()) {
      ++snapshot_.used;
    }
    if (event->kind == segment::EventKind::kPlace) {
      seen.place = process.reader.Place(event->place);
      if (thread != nullptr) {
        thread->places_with_stack.erase(event->place);
        if (!event->stack.bytes.empty()) {
          thread->places_with_stack.insert(event->place);
        }
      }
      if (seen.place && thread != nullptr) {
        thread->epoll_targets = seen.epoll_targets =
            CountEpollTargets(process.pid, seen.place->descriptor);
      }
    } else if (event->kind == segment::EventKind::kCall) {
      const CallDetail detail = kBlockingCalls[event->call_id].detail;
      if (thread != nullptr) {
        seen.waited_seconds = WaitedSince(*thread, event->start);
        seen.seen_asleep = thread->asleep_call_start == event->start;
      }
      if (detail == CallDetail::kFd || detail == CallDetail::kAddress) {
        if (thread != nullptr && thread->descriptor &&
            thread->descriptor_call_start == event->start) {
          seen.descriptor = thread->descriptor;  // read while the call went on
        } else if (event->args[0] <= 0x7fffffff) {
          seen.descriptor = ReadDescriptor(process.pid, static_cast<int>(event->args[0]));
        }
      }
    } else if (event->kind == segment::EventKind::kFinding && thread == nullptr) {
      seen.tid = static_cast<pid_t>(std::min<uint64_t>(event->args[0], 0x7fffffff));
      seen.thread_name = ThreadProbe(process.pid, seen.tid).Name();
    } else if ((event->kind == segment::EventKind::kTurn ||
                event->kind == segment::EventKind::kStep) &&
               thread != nullptr) {
      seen.scheduling = thread->probe->Scheduling();
      seen.watcher_gap_seconds = GapSince(event->start);
    }
    seen.event = std::move(*event);
    sink_(std::move(seen));
  }
  const bool waiting = process.reader.slot()->header.event_head.load(std::memory_order_relaxed) !=
                       process.reader.slot()->header.event_tail.load(std::memory_order_relaxed);
  if (!waiting) {
    process.stuck_since = 0;
  } else if (process.stuck_since == 0) {
    process.stuck_since = now;
  } else if (clock_->Seconds(now - process.stuck_since) > kStuckEventSeconds) {
    process.reader.SkipStuckEvent();
    process.stuck_since = 0;
  }
}

void Watcher::HandOverQuestion(Process& process, uint32_t question) {
  if (question == process.question) return;
  process.question = question;
  FindingsAsked asked{process.key, question, {}};
  for (const auto& [index, thread] : process.threads) {
    const SegmentCell cell = process.reader.Cell(index);
    const bool between = cell.state == LoopState::kIdle || cell.state == LoopState::kEnded;
    asked.loops.push_back({index, cell.turns + (between ? 1 : 0)});
  }
  sink_(std::move(asked));
}

void Watcher::EndThread(Process& process, Thread& thread, uint64_t now, bool process_gone,
                        bool killed) {
  Measure(process, thread, process.reader.Cell(thread.cell), thread.probe->Times(), now, true);
  LoopGone gone;
  gone.process = process.key;
  gone.cell_index = thread.cell;
  gone.tid = thread.probe->tid();
  gone.thread_name = thread.name;
  gone.cell = process.reader.Cell(thread.cell);
  gone.counts = process.reader.Counts(thread.cell);
  gone.call = process.reader.CallInProgress(thread.cell);
  gone.at = now;
  gone.epoll_targets = thread.epoll_targets;
  gone.process_gone = process_gone;
  gone.killed = killed;
  sink_(std::move(gone));
  if (process.signals != nullptr) {
    process.signals->Forget(thread.cell);
  }
  if (!process_gone) {
    // Offer the cell to the next loop thread: everything zero, the owner last.
    segment::LoopCell& cell = process.reader.slot()->cells[thread.cell];
    memset(reinterpret_cast<char*>(&cell) + sizeof cell.tid, 0, sizeof cell - sizeof cell.tid);
    cell.tid.store(0, std::memory_order_release);
  }
}

std::vector<SiteTotals> Watcher::ReadSites(const Process& process) {
  std::vector<SiteTotals> sites;
  for (uint32_t i = 0; i < segment::kSitesPerSlot; ++i) {
    const SegmentSite site = process.reader.Site(i);
    if (site.count != 0) sites.push_back({i, site});
  }
  return sites;
}

void Watcher::CountCalls(Process& process, uint64_t now) {
  if (now < process.next_count) return;
  process.next_count = now + clock_->Ticks(kCountSeconds);
  // What was read a second ago: its events have been drained since.
  if (!process.sites.empty()) sink_(SitesCounted{process.key, std::move(process.sites)});
  process.sites = ReadSites(process);
  if (std::vector<SegmentQueue> queues = process.reader.Queues(); !queues.empty()) {
    sink_(QueuesMeasured{process.key, std::move(queues)});
  }
}

void Watcher::EndProcess(Process& process, uint64_t now, bool killed) {
  do {
    Drain(process, now);
  } while (process.reader.SkipStuckEvent());
  FindThreads(process);
  for (auto& [index, thread] : process.threads) {
    EndThread(process, thread, now, true, killed);
  }
  const segment::SlotHeader& header = process.reader.slot()->header;
  sink_(QueuesMeasured{process.key, process.reader.Queues()});
  ProcessGone gone;
  gone.process = process.key;
  gone.sites = ReadSites(process);
  gone.events_dropped =
      header.events_dropped.load(std::memory_order_relaxed) + process.reader.invalid_events();
  gone.snapshots_dropped = header.snapshots_dropped.load(std::memory_order_relaxed);
  gone.sites_dropped = header.sites_dropped.load(std::memory_order_relaxed);
  gone.loops_dropped = header.cells_dropped.load(std::memory_order_relaxed) +
                       header.places_dropped.load(std::memory_order_relaxed);
  process.gone = true;
  sink_(std::move(gone));
}

void Watcher::Finish(uint64_t now) {
  Tick(now);
  for (auto& [slot, process] : processes_) {
    if (!process->gone) {
      EndProcess(*process, now, true);
    }
  }
  Publish();
}

void Watcher::Release(uint32_t slot) {
  const std::lock_guard lock(released_mutex_);
  released_.push_back(slot);
}

void Watcher::RecycleReleased() {
  std::vector<uint32_t> slots;
  {
    const std::lock_guard lock(released_mutex_);
    slots.swap(released_);
  }
  for (const uint32_t slot : slots) {
    processes_.erase(slot);
    arena_->Recycle(slot);
  }
}

std::vector<std::string> Watcher::Warnings() const {
  const std::lock_guard lock(published_mutex_);
  return published_warnings_;
}

std::vector<Capability> Watcher::Capabilities() const {
  const std::lock_guard lock(published_mutex_);
  return published_capabilities_;
}

void Watcher::Publish() {
  std::vector<std::string> warnings = warnings_;
  if (signal_.used > 0) {
    warnings.push_back(absl::StrCat(
        signal_.used, " stacks of running threads were taken with a realtime signal, because ",
        perf_.reason,
        "; allow perf_event_open (kernel.perf_event_paranoid 2 or less, CAP_PERFMON) to do "
        "without"));
  }
  const auto row = [](const char* name, const Way& way, const char* untried) {
    Capability result;
    result.name = name;
    result.used = way.used;
    result.available = way.used > 0 || way.reason.empty();
    result.reason = way.used > 0 ? "" : way.reason;
    if (way.used == 0 && way.reason.empty() && way.failed == 0) {
      result.reason = untried;
    }
    return result;
  };
  std::vector<Capability> capabilities = {
      row("stack copied from outside, registers from the hook", remote_, "was not needed"),
      row("stack copied by the thread itself when its call returned", snapshot_, "was not needed"),
      row("registers from /proc/PID/task/TID/syscall", syscall_file_, "was not needed"),
      row("perf_event_open on a running thread", perf_, "was not needed"),
      row("signal to a running thread", signal_, "was not needed"),
  };
  const std::lock_guard lock(published_mutex_);
  published_warnings_ = std::move(warnings);
  published_capabilities_ = std::move(capabilities);
}

}  // namespace loopsan
