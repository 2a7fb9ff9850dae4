#include "reporters/live_tasks.h"

#include <errno.h>
#include <signal.h>
#include <string.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>
#include <thread>
#include <unordered_map>

#include "absl/strings/str_cat.h"
#include "instrument/annotate.h"
#include "instrument/segment.h"
#include "reporters/internal/program_memory.h"
#include "reporters/thread_probe.h"
#include "reporters/tick_clock.h"

namespace loopsan {
namespace {

using segment::LoopCell;

constexpr int kLooks = 20;
constexpr std::chrono::milliseconds kBetweenLooks{1};
constexpr size_t kPage = 4096;
constexpr size_t kMaxPages = 16'384;  // 64 MiB of the program's memory

// Tasks, frames and names lie close together: a page is fetched once.
class PageCache {
 public:
  explicit PageCache(pid_t pid) : pid_(pid) {}

  size_t Read(uint64_t address, void* to, size_t bytes) {
    size_t done = 0;
    while (done < bytes) {
      const uint64_t at = address + done;
      const size_t offset = at % kPage;
      const Page* page = Find(at - offset);
      if (page == nullptr) break;
      const size_t part = std::min(bytes - done, kPage - offset);
      memcpy(static_cast<char*>(to) + done, page->data() + offset, part);
      done += part;
    }
    return done;
  }

 private:
  using Page = std::array<char, kPage>;

  const Page* Find(uint64_t address) {
    const auto [at, is_new] = pages_.try_emplace(address);
    if (is_new && pages_.size() <= kMaxPages) {
      auto page = std::make_unique<Page>();
      if (CopyMemory(pid_, address, page->data(), kPage) == kPage) at->second = std::move(page);
    }
    return at->second.get();
  }

  pid_t pid_;
  std::unordered_map<uint64_t, std::unique_ptr<Page>> pages_;
};

bool ReadExactly(pid_t pid, uint64_t address, void* to, size_t bytes) {
  return CopyMemory(pid, address, to, bytes) == bytes;
}

// Where the process has mapped its session's memory; 0: nowhere. A System V segment
// has no name of its own, but its size, and besides it the named page that nobody
// may read (see Arena).
uint64_t FindArena(pid_t pid) {
  std::ifstream maps(absl::StrCat("/proc/", pid, "/maps"));
  const std::string memfd = std::string("/memfd:") + segment::kMemfdName;
  constexpr uint64_t kSegmentBytes = (segment::kArenaBytes + kPage - 1) / kPage * kPage;
  for (std::string line; std::getline(maps, line);) {
    unsigned long start = 0;
    unsigned long end = 0;
    char readable = 0;
    if (sscanf(line.c_str(), "%lx-%lx %c", &start, &end, &readable) != 3 || readable != 'r') {
      continue;
    }
    if (line.find(memfd) != std::string::npos ||
        (line.find("/SYSV") != std::string::npos && end - start == kSegmentBytes)) {
      return start;
    }
  }
  return 0;
}

std::vector<uint32_t> NumbersOf(pid_t pid) {
  std::vector<uint32_t> numbers{static_cast<uint32_t>(pid)};
  std::ifstream status(absl::StrCat("/proc/", pid, "/status"));
  for (std::string line; std::getline(status, line);) {
    if (!line.starts_with("NSpid:")) continue;
    const char* at = line.c_str() + strlen("NSpid:");
    char* end = nullptr;
    for (unsigned long number; (number = strtoul(at, &end, 10)), end != at; at = end) {
      numbers.push_back(static_cast<uint32_t>(number));
    }
  }
  return numbers;
}

bool IsLoopsan(pid_t pid) {
  std::error_code error;
  const auto mine = std::filesystem::read_symlink("/proc/self/exe", error);
  const auto its = std::filesystem::read_symlink(absl::StrCat("/proc/", pid, "/exe"), error);
  return !error && mine == its;
}

TaskActivity ActivityOf(const loopsan_task& task, bool is_current) {
  if (is_current) return TaskActivity::kRunning;
  return task.state == LOOPSAN_TASK_READY ? TaskActivity::kReady : TaskActivity::kWaiting;
}

LiveTask ReadTask(const loopsan_task& task, const loopsan_loop& loop, bool is_current,
                  const ReadMemory& read) {
  LiveTask result;
  result.id = task.id;
  result.name = ReadText(task.name, read);
  result.activity = ActivityOf(task, is_current);
  if (result.activity == TaskActivity::kWaiting) {
    result.waiting_for = ReadText(task.waiting_for, read);
    result.waiting_object = Address(task.waiting_object);
  }
  result.spawner = task.spawner;
  result.spawned_at = ReadSource(Address(task.spawned_at), read);
  StepContext context;
  const auto root =
      is_current ? ReadObject<loopsan_async_root>(Address(loop.root), read) : std::nullopt;
  ReadChain(root && root->top_frame != nullptr ? Address(root->top_frame) : Address(task.innermost),
            read, context);
  result.chain = std::move(context.chain);
  result.chain_cut = context.chain_cut;
  return result;
}

// One loop, as its cell says, caught between two steps if that is possible.
LiveLoop ReadLoopOf(pid_t pid, uint64_t cell_address, uint64_t loop, const TickClock& clock) {
  const auto sequence = [&] {
    uint64_t number = 1;
    ReadExactly(pid, cell_address + offsetof(LoopCell, exact_sequence), &number, sizeof number);
    return number;
  };
  LiveLoop result;
  for (int look = 0; look < kLooks && !result.steady; ++look) {
    if (look > 0) std::this_thread::sleep_for(kBetweenLooks);
    PageCache cache(pid);
    const uint64_t before = sequence();
    result = ReadLoop(
        loop,
        [&](uint64_t address, void* to, size_t bytes) { return cache.Read(address, to, bytes); },
        clock.Now(), clock.ticks_per_second());
    result.steady = (before & 1) == 0 && sequence() == before;
  }
  return result;
}

// `slot` is a copy of what the process has mapped at `slot_address`.
void ReadLoopsOfSlot(pid_t pid, const segment::Slot& slot, uint64_t slot_address,
                     const TickClock& clock, std::vector<LiveLoop>& loops) {
  for (uint32_t index = 0; index < segment::kCellsPerSlot; ++index) {
    const LoopCell& cell = slot.cells[index];
    const uint32_t tid = cell.tid.load(std::memory_order_relaxed);
    const uint64_t loop = cell.exact_loop.load(std::memory_order_relaxed);
    if (tid == 0 || loop == 0) continue;
    const uint64_t cell_address =
        slot_address + offsetof(segment::Slot, cells) + index * sizeof(LoopCell);
    LiveLoop one = ReadLoopOf(pid, cell_address, loop, clock);
    one.pid = pid;
    one.thread_id = static_cast<int>(tid);
    loops.push_back(std::move(one));
  }
}

// Why there is nothing to be read from the process.
absl::Status Unwatched(pid_t pid, bool has_arena) {
  char byte = 0;
  const bool readable =
      static_cast<bool>(std::ifstream(absl::StrCat("/proc/", pid, "/maps")).get(byte));
  if (!readable || has_arena) {
    return absl::PermissionDeniedError(
        absl::StrCat("the memory of process ", pid,
                     " may not be read; try as its user or as root, and see "
                     "/proc/sys/kernel/yama/ptrace_scope"));
  }
  return absl::FailedPreconditionError(
      absl::StrCat("process ", pid, " is not watched; start it with: loopsan run -- COMMAND"));
}

}  // namespace

LiveLoop ReadLoop(uint64_t loop_address, const ReadMemory& read, uint64_t now,
                  double ticks_per_second) {
  LiveLoop result;
  const auto loop = ReadObject<loopsan_loop>(loop_address, read);
  if (!loop) return result;
  result.name = ReadText(loop->name, read);
  result.kind = ReadText(loop->kind, read);
  std::unordered_map<uint64_t, uint64_t> id_at;  // by address
  uint64_t address = Address(loop->first_task);
  while (const auto task = ReadObject<loopsan_task>(address, read)) {
    // A list that changes while it is read may lead back.
    if (task->id == 0 || !id_at.emplace(address, task->id).second) break;
    if (result.tasks.size() == kMaxLiveTasks) {
      result.cut = true;
      break;
    }
    if (task->state != LOOPSAN_TASK_DONE) {
      LiveTask one = ReadTask(*task, *loop, address == Address(loop->current), read);
      const bool has_age = ticks_per_second > 0 && now > task->since;
      one.age_seconds = has_age ? static_cast<double>(now - task->since) / ticks_per_second : 0;
      result.tasks.push_back(std::move(one));
    }
    address = Address(task->next);
  }
  for (LiveTask& task : result.tasks) {
    const auto awaited = id_at.find(task.waiting_object);
    if (awaited != id_at.end()) task.awaited_task = awaited->second;
  }
  return result;
}

TaskCount CountTasks(pid_t pid, uint64_t loop_address) {
  PageCache cache(pid);
  const ReadMemory read = [&](uint64_t address, void* to, size_t bytes) {
    return cache.Read(address, to, bytes);
  };
  TaskCount count;
  const auto loop = ReadObject<loopsan_loop>(loop_address, read);
  uint64_t address = loop ? Address(loop->first_task) : 0;
  for (size_t i = 0; i < kMaxLiveTasks; ++i) {
    const auto task = ReadObject<loopsan_task>(address, read);
    if (!task || task->id == 0) break;
    if (task->state == LOOPSAN_TASK_READY) ++count.ready;
    if (task->state == LOOPSAN_TASK_RUNNING) ++count.running;
    if (task->state == LOOPSAN_TASK_WAITING) ++count.waiting;
    address = Address(task->next);
  }
  return count;
}

absl::StatusOr<std::vector<LiveLoop>> ReadLiveLoops(pid_t pid) {
  if (pid <= 0 || (kill(pid, 0) != 0 && errno == ESRCH)) {
    return absl::NotFoundError(absl::StrCat("there is no process ", pid));
  }
  const uint64_t arena = FindArena(pid);
  segment::ArenaHeader header{};
  if (arena == 0 || !ReadExactly(pid, arena, &header, sizeof header)) {
    return Unwatched(pid, arena != 0);
  }
  if (header.magic == 0) return Unwatched(pid, false);  // a run that is just beginning
  if (header.magic != segment::kMagic || header.version != segment::kVersion ||
      header.slot_bytes != segment::kSlotBytes) {
    return absl::FailedPreconditionError(absl::StrCat(
        "process ", pid, " is watched by another version of loopsan; use that one's command"));
  }
  const std::vector<uint32_t> numbers = NumbersOf(pid);
  const bool all = IsLoopsan(pid);
  const TickClock clock;
  std::vector<LiveLoop> loops;
  auto slot = std::make_unique<segment::Slot>();
  const uint32_t ready = std::min(header.slots_ready.load(), segment::kMaxSlots);
  for (uint32_t index = 0; index < ready; ++index) {
    const uint64_t offset = segment::kArenaHeaderBytes + index * segment::kSlotBytes;
    // The cells are all that is asked here, and they come first.
    if (!ReadExactly(pid, arena + offset, slot.get(), offsetof(segment::Slot, places))) continue;
    const uint32_t owner = slot->header.process_id.load();
    if (slot->header.state.load() != segment::SlotState::kClaimed || owner == 0) continue;
    const bool its_own = std::find(numbers.begin(), numbers.end(), owner) != numbers.end();
    if (!its_own && !all) continue;
    const pid_t whose = its_own ? pid : static_cast<pid_t>(owner);
    const uint64_t mapped = its_own ? arena : FindArena(whose);
    if (mapped != 0) ReadLoopsOfSlot(whose, *slot, mapped + offset, clock, loops);
  }
  if (loops.empty()) {
    return absl::FailedPreconditionError(absl::StrCat(
        "no event loop in process ", pid,
        " tells its tasks; loops of the runtime do, and those that use instrument/annotate.h"));
  }
  return loops;
}

}  // namespace loopsan
