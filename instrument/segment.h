// The shared memory between the probe and the collector: its layout and the
// few rules for reading and writing it.
//
//   arena (one memfd or System V segment per session, made and populated by the collector)
//   +--------------+--------+--------+-----+
//   | ArenaHeader  | slot 0 | slot 1 | ... |   a slot belongs to one process
//   +--------------+--------+--------+-----+
//   slot: SlotHeader | LoopCell[] | WaitPlace[] | CallSite[] | Queue[] | Event[] | Module[] |
//   chunks
//
// A process claims a slot when it discovers its first loop, and a cell in it
// for each loop thread. The cells are live state (one writer: the loop thread),
// the call sites are exact totals that are never dropped, the events are a
// bounded timeline with stacks, whose losses are counted.
//
// Threads: every shared field is a relaxed atomic unless it says otherwise;
// single-writer fields name their writer. Nothing here locks. A process may die
// between any two stores; readers must survive any bytes (see
// reporters/segment_reader.h).
//
// Times are ticks of ArenaHeader::clock, whose rate the collector knows.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

namespace loopsan::segment {

inline constexpr uint64_t kMagic = 0x316e6173706f6f6cULL;  // "loopsan1"
inline constexpr uint32_t kVersion = 4;

// The name under which the arena's memfd appears in /proc/PID/fd, followed by
// the session id as 16 hexadecimal digits. Where a file size limit forbids a
// memfd of any size, it stays empty, the arena is a System V segment, and its
// number comes behind the id: "loopsan-0123456789abcdef-s7".
inline constexpr char kMemfdName[] = "loopsan-";
inline constexpr char kSegmentMark[] = "-s";

// Where the probe looks for its arena: "PID:FD:SESSIONID(16 hex digits)".
inline constexpr char kSessionVariable[] = "LOOPSAN_SESSION";

// A helper process offers its arena at this descriptor once it is complete, so
// that the program which started it can open /proc/HELPER/fd/100.
inline constexpr int kHelperArenaFd = 100;

inline constexpr uint32_t kMaxSlots = 32;
inline constexpr uint32_t kCellsPerSlot = 64;
inline constexpr uint32_t kPlacesPerSlot = 128;
inline constexpr uint32_t kSitesPerSlot = 1024;
inline constexpr uint32_t kEventsPerSlot = 1024;
inline constexpr uint32_t kModulesPerSlot = 96;
inline constexpr uint32_t kChunksPerSlot = 64;  // one bit each in SlotHeader::chunks_in_use
inline constexpr uint32_t kChunkBytes = 32 * 1024;
inline constexpr uint32_t kMaxSnapshotBytes = 256 * 1024;
inline constexpr uint32_t kBuckets = 32;  // of a histogram, the one without a bound included
inline constexpr uint32_t kQueuesPerSlot = 16;
inline constexpr uint32_t kQueueNameBytes = 48;
inline constexpr uint32_t kLoopKindBytes = 32;
inline constexpr uint32_t kTurnShares = 4;  // of a turn of exact steps, who took most of it
inline constexpr uint32_t kAnswerBytes = 8 * 1024;
inline constexpr uint32_t kNoIndex = 0xffffffff;

enum class ClockKind : uint32_t {
  kMonotonic = 0,  // clock_gettime(CLOCK_MONOTONIC), nanoseconds
  kTsc = 1,        // rdtsc; only where the kernel itself trusts it
};

enum class Category : uint32_t {
  kSleep,
  kDns,
  kFile,
  kStdio,
  kSocket,
  kProcess,
  kThread,
  kLock,
  kWait,
};
inline constexpr uint32_t kCategoryCount = 9;

// Which calls the probe reports: CallMode::kFloor those that lasted at least
// their category's floor; kStrict every call that may block; kOff none.
enum class CallMode : uint32_t { kFloor = 0, kStrict = 1, kOff = 2 };

struct ArenaHeader {
  uint64_t magic;
  uint32_t version;
  ClockKind clock;
  uint64_t session_id;
  uint64_t arena_bytes;
  uint64_t slot_bytes;
  uint64_t first_slot_offset;
  uint64_t ticks_per_second;  // estimated; good to 1 % for the probe's own thresholds
  uint64_t threshold_ticks;
  uint64_t floor_ticks[kCategoryCount];
  uint64_t short_ticks;  // a reported call below this need not be told each time
  // Upper bounds of the histograms' buckets, ascending, ~0 from the last one on; and the first
  // bucket that a duration of so many binary digits can be in.
  uint64_t bucket_bounds[kBuckets];
  uint8_t first_bucket[65];
  CallMode call_mode;
  // 1: also histograms that only metrics show. Written by the collector.
  std::atomic<uint32_t> metrics_wanted;
  // Slots [0, slots_ready) are backed by memory and may be touched. Written by
  // the collector, only ever grows.
  std::atomic<uint32_t> slots_ready;
  std::atomic<uint32_t> claims_refused;     // processes that found no free slot
  std::atomic<uint32_t> processes_started;  // processes into which the probe was loaded
  std::atomic<uint32_t> closed;             // the collector has left; the probe falls silent
};
inline constexpr uint64_t kArenaHeaderBytes = 4096;
static_assert(sizeof(ArenaHeader) <= kArenaHeaderBytes);

// Durations. A bucket counts those above the bound before it and up to its own.
struct Histogram {
  std::atomic<uint64_t> ticks;
  std::atomic<uint64_t> counts[kBuckets];
};

inline uint32_t BucketOf(const ArenaHeader& arena, uint64_t ticks) {
  const int digits = ticks == 0 ? 0 : 64 - __builtin_clzll(ticks);
  uint32_t bucket = arena.first_bucket[digits];
  while (ticks > arena.bucket_bounds[bucket]) ++bucket;
  return bucket;
}

// For the histogram's only writer.
inline void CountDuration(const ArenaHeader& arena, Histogram& histogram, uint64_t ticks) {
  constexpr auto kRelaxed = std::memory_order_relaxed;
  histogram.ticks.store(histogram.ticks.load(kRelaxed) + ticks, kRelaxed);
  std::atomic<uint64_t>& count = histogram.counts[BucketOf(arena, ticks)];
  count.store(count.load(kRelaxed) + 1, kRelaxed);
}

enum class SlotState : uint32_t {
  kFree = 0,
  kClaimed = 1,
  kReplaced = 2,  // its process called exec; the new image claims another
};

struct SlotHeader {
  std::atomic<SlotState> state;
  std::atomic<uint32_t> claimer_tid;  // the thread that claimed it, as its own namespace numbers it
  std::atomic<uint32_t>
      process_id;  // of the claimer; the probe's word (0: a fork), then the collector's
  std::atomic<uint32_t> module_count;  // complete entries in modules; the claimer writes it last
  std::atomic<uint64_t> event_head;    // next event number to write; any loop thread of the process
  std::atomic<uint64_t> event_tail;    // next event number to read; written by the collector
  std::atomic<uint64_t> chunks_in_use;  // set by the probe, cleared by the collector
  std::atomic<uint64_t> events_dropped;
  std::atomic<uint64_t> snapshots_dropped;
  std::atomic<uint64_t> sites_dropped;  // calls that found the site table full
  std::atomic<uint64_t> cells_dropped;
  std::atomic<uint64_t> places_dropped;
  // The sampling signal, see SignalRequest. Written by the collector when no
  // gentler way to a running thread works in this process.
  std::atomic<uint32_t> sample_wanted;
  // Written by the probe: the realtime signal whose handler is installed, or
  // kNoSignal if each of them is the program's own.
  std::atomic<uint32_t> sample_signal;
  // While it is not 0, no thread of the process is signalled: it is about to
  // exec, or the program has taken the signal for itself. Written by the probe.
  std::atomic<uint32_t> signals_forbidden;
  // Calls without a hook that our signal made return EINTR.
  std::atomic<uint32_t> calls_interrupted;
  // loopsan_annotations::take_findings(). The program numbers its questions; once the
  // collector has written the answer it repeats the number (release).
  std::atomic<uint32_t> question;
  std::atomic<uint32_t> answered;
  uint32_t answer_findings;
  uint32_t answer_bytes;
  char answer[kAnswerBytes];  // lines as take_findings() gives them
};
inline constexpr uint32_t kNoSignal = 0xffffffff;

enum class LoopState : uint32_t {
  kUnused = 0,
  kIdle = 1,    // in the loop's own wait
  kInStep = 2,  // between two idle waits
  kEnded = 3,   // the loop's epoll fd was closed; the thread may start another
};

// The sampling signal must not arrive inside a hooked call, where it would turn
// a sleep into EINTR, nor in an exec, where it would end the new program. Both
// sides write first and look second (all seq_cst), so at least one sees the other:
//
//   collector: request kNone -> kIntended        thread: guard = kHeld
//              guard kOpen and none forbidden?           request kIntended -> kNone, or
//              request kIntended -> kSent                kSent: wait for the handler
//              tgkill                                    make the call
//              handler: answer, request = kNone          guard = what it was
enum class SignalRequest : uint32_t {
  kNone = 0,
  kIntended = 1,
  kSent = 2,
  kOverdue = 3,  // the thread has waited long enough for it; it may still arrive
};
enum class SignalGuard : uint32_t {
  kUnready = 0,  // this thread does not look at requests
  kOpen = 1,
  kHeld = 2,
};

// What the steps of one origin took of the open turn.
struct TurnShare {
  std::atomic<uint64_t> site;  // address of a loopsan_source, where task or callback came from
  std::atomic<uint64_t> task;  // id of the task whose step was the longest of them
  std::atomic<uint64_t> ticks;
  std::atomic<uint64_t> longest;
  std::atomic<uint64_t> steps;  // 0: unused
};

// One loop thread. Writer: that thread, unless a field says otherwise.
struct alignas(64) LoopCell {
  // Hot: touched every turn.
  std::atomic<uint32_t> tid;
  std::atomic<LoopState> state;
  std::atomic<uint32_t> place;         // the wait place whose return opened this step
  std::atomic<uint32_t> ready_events;  // what that wait returned
  std::atomic<uint64_t> turns;         // idle waits that have returned
  std::atomic<uint64_t> step_start;    // ticks
  std::atomic<uint64_t> last_change;   // ticks when state last changed
  // The highest stack pointer (the shallowest frame) from which a hook was
  // called since the watcher's last look, which sets it to 0. A lost reset only
  // makes the watcher more careful.
  std::atomic<uint64_t> shallowest_sp;
  std::atomic<uint64_t> nested_waits;  // waits inside steps, including unjudged ones

  // The call in progress. call_sequence is odd while one is; the collector
  // believes what it copied only if the sequence was the same before and after.
  alignas(64) std::atomic<uint64_t> call_sequence;
  std::atomic<uint32_t> call_id;  // index into blocking_calls.inc
  std::atomic<uint32_t> call_place;
  std::atomic<uint64_t> call_start;
  std::atomic<uint64_t> call_rip;  // registers of the caller at its call instruction's return
  std::atomic<uint64_t> call_rsp;
  std::atomic<uint64_t> call_rbp;
  std::atomic<uint64_t> call_args[2];

  alignas(64) std::atomic<uint64_t> busy_ticks;
  std::atomic<uint64_t> idle_ticks;
  std::atomic<uint64_t> longest_step;
  std::atomic<uint64_t> call_ticks_in_step;  // reported calls of the open step
  std::atomic<uint64_t> waits_with_timeout;  // idle waits that were allowed to sleep
  std::atomic<uint64_t> stack_low;  // bounds for the sampling signal; written by the collector
  std::atomic<uint64_t> stack_high;
  Histogram steps;        // of told steps, else of turns
  Histogram lock_waits;   // in steps, for locks that were not free
  Histogram wake_delays;  // of told steps: from the return of the loop's wait to their begin
  std::atomic<uint64_t> probe_ticks;  // spent on records, but not on timing

  // The sampling signal. The answer is complete when its number has grown.
  alignas(64) std::atomic<SignalGuard> signal_guard;
  std::atomic<SignalRequest> signal_request;  // both sides write it
  std::atomic<uint64_t> answers;
  std::atomic<uint64_t> answer_rip;
  std::atomic<uint64_t> answer_rsp;
  std::atomic<uint64_t> answer_rbp;
  std::atomic<uint32_t> answer_chunk;  // the stack's copy, the collector's to free; or kNoIndex
  std::atomic<uint32_t> answer_bytes;

  // Exact steps: of a loop that tells them through annotate.h. The sequence is
  // odd while the fields up to exact_origin change; even, it numbers the step.
  alignas(64) std::atomic<uint64_t> exact_sequence;
  std::atomic<uint64_t> exact_start;  // ticks; 0: no step is open
  std::atomic<uint64_t> exact_task;   // address of its loopsan_task; 0: a plain callback
  std::atomic<uint64_t> exact_task_id;
  std::atomic<uint64_t> exact_origin;      // address of the loopsan_source it comes from, or 0
  std::atomic<uint64_t> exact_loop;        // address of the loopsan_loop; 0: tells no steps (now)
  std::atomic<uint32_t> blocking_allowed;  // > 0: blocking calls are meant
  std::atomic<uint32_t> exact_told;        // 1 once a loop has told its steps here, ...
                                           // 2 if it tells only a part of them
  // The open turn.
  alignas(64) std::atomic<uint64_t> turn_steps;
  std::atomic<uint64_t> turn_step_ticks;
  std::atomic<uint64_t> turn_longest;
  std::atomic<uint64_t> loop_sp;  // stack pointer of who began the loop
  char loop_kind[kLoopKindBytes];
  TurnShare turn_shares[kTurnShares];
};

enum class Verdict : uint32_t {
  kUnknown = 0,
  kIdle = 1,    // the loop itself sleeps here
  kNested = 2,  // a wait inside a step: a blocking call
};

// A place from which a loop thread waited for events: call site, stack depth
// and epoll descriptor together (a nested uv_run waits at the same call site).
struct WaitPlace {
  std::atomic<uint32_t> state;  // 0 free, 1 complete, 2 its descriptor was closed
  std::atomic<uint32_t> cell;
  std::atomic<uint32_t> call_id;
  std::atomic<int32_t> descriptor;
  std::atomic<uint64_t> rip;
  std::atomic<uint64_t> rsp;
  std::atomic<uint64_t> rbp;
  std::atomic<Verdict> verdict;        // written by the collector
  std::atomic<uint32_t> assumed_idle;  // the probe treated it as idle until judged
  std::atomic<uint64_t>
      waits;  // made here while it was not the loop's own; writer: the loop thread
};

// Everything the probe saw of one call from one place and depth. Any loop
// thread adds; nothing is lost but by a full table (SlotHeader::sites_dropped).
struct CallSite {
  std::atomic<uint64_t> key;  // 0 free
  std::atomic<uint32_t> call_id;
  std::atomic<uint32_t> cell;
  std::atomic<uint64_t> rip;
  std::atomic<uint64_t> rsp;
  std::atomic<uint64_t> count;
  std::atomic<uint64_t> total_ticks;
  std::atomic<uint64_t> worst_ticks;
};

// How long the jobs of one executor waited for a thread. Any thread of the process adds.
struct Queue {
  std::atomic<uint32_t> state;  // 0 free, 1 being named, 2 complete
  char name[kQueueNameBytes];   // ends in a 0
  Histogram delays;
};

enum class EventKind : uint32_t {
  kCall = 1,       // a reported call has returned
  kTurn = 2,       // a turn over the threshold has ended
  kPlace = 3,      // a wait place was met for the first time; `place` names it
  kLoopEnd = 4,    // the descriptor of `place` was closed
  kEarlyCall = 5,  // a call, whatever it took, early in a loop's life: evidence for the judge
  kStep = 6,       // an exact step over the threshold has ended
  kFinding = 7,    // a library reports what it found itself; `cell` may be kNoIndex
};

// An event's text: fields, each a TextField and that many bytes, one behind the
// other without padding. A source is its line as uint32_t, the file, a 0, the
// function; a number is a uint64_t, a time a double.
enum class TextKind : uint16_t {
  kTaskName = 1,
  kSpawnedAt = 2,  // source: of the task, or where the callback was scheduled
  kSpawner = 3,    // number: id of the task that spawned this one
  kSpawnerName = 4,
  kResumer = 5,       // number: frame address of the function that resumes coroutines
  kRunningFrame = 6,  // empty: a coroutine of the chain, innermost first ...
  kWaitingFrame = 7,
  kAwaitingAt = 8,  // source: ... the co_await at which it stands,
  kDefinedAt = 9,   // source: ... where it is defined
  kCutChain = 10,   // empty: the chain was longer
  kRule = 11,
  kMessage = 12,
  kRemedy = 13,
  kWhere = 14,          // source
  kSeconds = 15,        // time
  kReturnAddress = 16,  // number: of the finding's stack, innermost first
  kShare = 17,          // three numbers: ticks, ticks of the longest step, steps; then ...
  kShareName = 18,      // ... the task's name,
  kShareSite = 19,      // source: ... and where it was spawned
  kMemberCount = 20,    // number: members of the finding, also those left out
  kMember = 21,         // what one of them is; then ...
  kMemberWhere = 22,    // source: ... where it stands,
  kMemberAddress = 23,  // number: ... and its stack, innermost first
};
struct TextField {
  TextKind kind;
  uint16_t bytes;
};
inline constexpr uint32_t kTextLimit = 1024;  // of a string of the program
inline constexpr uint32_t kChainLimit = 32;   // coroutines that the probe copies
inline constexpr uint32_t kMaxRuleBytes = 64;
inline constexpr uint32_t kTaskNameBytes = 48;

enum class DetailKind : uint32_t { kNone = 0, kText = 1, kSocketAddress = 2 };
inline constexpr uint32_t kDetailBytes = 96;

struct Event {
  // Event number + 1 once every other field is complete (release); else older.
  std::atomic<uint64_t> published;
  EventKind kind;
  uint32_t cell;
  uint32_t call_id;
  uint32_t place;  // of the step; for kPlace and kLoopEnd the place meant
  uint64_t start;
  uint64_t end;
  uint64_t step_start;
  uint64_t turn;
  uint64_t rip;
  uint64_t rsp;
  uint64_t rbp;
  uint64_t args[2];
  int64_t result;
  uint32_t error;        // errno if result < 0
  uint32_t site;         // index into sites or kNoIndex
  uint32_t first_chunk;  // of the stack snapshot from rsp upwards, or kNoIndex
  uint32_t snapshot_bytes;
  uint32_t ready_events;  // kTurn: what the wait before it returned
  DetailKind detail_kind;
  uint64_t call_ticks;  // kTurn: ticks of the reported calls in it
  uint32_t detail_bytes;
  uint32_t call_place;  // calls of the wait category: their own place, or kNoIndex
  char detail[kDetailBytes];
  // Of loops that tell their steps:
  uint64_t exact_step;       // LoopCell::exact_sequence of the step it was in; 0: of no exact step
  uint64_t task_id;          // 0: a plain callback
  uint64_t turn_steps;       // kTurn: exact steps in it; ...
  uint64_t turn_step_ticks;  // ... what they took
  uint64_t turn_longest;     // ... and the longest
  uint32_t text_chunk;       // or kNoIndex; may be the snapshot's last, behind it
  uint32_t text_offset;      // in the chunk
  uint32_t text_bytes;
  uint32_t reserved;
  char task[kTaskNameBytes];  // the name, also where no chunk was free; not always 0-terminated
};

inline constexpr uint32_t kModulePathBytes = 224;
struct Module {
  uint64_t load_bias;
  uint64_t start;  // lowest and one past the highest mapped address
  uint64_t end;
  uint32_t build_id_bytes;
  uint32_t path_bytes;  // 0: the executable itself
  uint8_t build_id[32];
  char path[kModulePathBytes];
};

struct Slot {
  alignas(64) SlotHeader header;
  LoopCell cells[kCellsPerSlot];
  WaitPlace places[kPlacesPerSlot];
  CallSite sites[kSitesPerSlot];
  Queue queues[kQueuesPerSlot];
  Event events[kEventsPerSlot];
  Module modules[kModulesPerSlot];
  alignas(4096) char chunks[kChunksPerSlot][kChunkBytes];
};

inline constexpr uint64_t kSlotBytes = (sizeof(Slot) + 4095) / 4096 * 4096;
inline constexpr uint64_t kArenaBytes = kArenaHeaderBytes + kMaxSlots * kSlotBytes;

// The layout is a contract between two separately built files.
static_assert(std::atomic<uint64_t>::is_always_lock_free);
static_assert(sizeof(std::atomic<uint64_t>) == 8 && sizeof(std::atomic<uint32_t>) == 4);
static_assert(sizeof(Event) == 344);
static_assert(sizeof(LoopCell) == 1408);
static_assert(sizeof(TextField) == 4);
static_assert(kChunksPerSlot == 64, "chunks_in_use is one 64-bit word");
static_assert((kEventsPerSlot & (kEventsPerSlot - 1)) == 0);

// Exported by libloopsan.so, for programs that are linked with a collector of
// their own. It is asked for its arena when the first loop is met or the first
// finding reported, on that thread, and again in each forked child that does so;
// null is no. Call it before main. A null `collector`: this process is not to be
// watched. Returns 0, and does nothing, under `loopsan run`.
extern "C" int loopsan_use_collector_v1(ArenaHeader* (*collector)());

inline Slot* SlotAt(void* arena, uint32_t index) {
  return reinterpret_cast<Slot*>(static_cast<char*>(arena) + kArenaHeaderBytes +
                                 index * kSlotBytes);
}

}  // namespace loopsan::segment
