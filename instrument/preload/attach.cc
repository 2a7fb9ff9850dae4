// How the probe comes to its arena, its slot and its cells.
//
// Everything that needs a system call happens before main: a process that has
// closed its descriptors, changed user or root, or entered a strict system call
// filter still has the mapping, and so have the children it forks.
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/shm.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "instrument/preload/probe.h"

extern "C" void* __libc_stack_end;  // ld.so: where the main thread's stack began

namespace loopsan::probe {

constinit thread_local ThreadState t_state{};
constinit ProcessState g_process{};

namespace {

constexpr auto kRelaxed = std::memory_order_relaxed;
constexpr uint32_t kEarlyCalls = 12;
// setup_arg_pages() of the kernel gives every new stack at least this much, so
// no fiber can lie within it.
constexpr uint64_t kCertainMainStack = 128 * 1024;
// A plainly preloaded program waits this long, once, for its helper, which takes
// 5 to 10 ms.
constexpr uint64_t kHelperNanoseconds = 50'000'000;

// Three hexadecimal or decimal fields "PID:FD:ID"; false if it is anything else.
bool ParseSession(const char* text, unsigned long& pid, unsigned long& fd, uint64_t& id) {
  char* end = nullptr;
  pid = strtoul(text, &end, 10);
  if (end == text || *end != ':') return false;
  text = end + 1;
  fd = strtoul(text, &end, 10);
  if (end == text || *end != ':') return false;
  text = end + 1;
  id = strtoull(text, &end, 16);
  return end != text && *end == '\0' && pid != 0 && id != 0;
}

// What the link of an arena's descriptor says: "/memfd:loopsan-ID (deleted)", or
// "/memfd:loopsan-ID-sNUMBER (deleted)".
struct ArenaName {
  uint64_t session_id;
  long segment_number;  // negative: the memfd itself is the memory
};

bool ReadArenaName(const char* path, ArenaName& name) {
  char target[96];
  const ssize_t bytes = readlink(path, target, sizeof target - 1);
  if (bytes <= 0) return false;
  target[bytes] = '\0';
  constexpr char kMemfd[] = "/memfd:";
  constexpr size_t kMemfdLength = sizeof kMemfd - 1;
  constexpr size_t kNameLength = sizeof segment::kMemfdName - 1;
  constexpr size_t kMarkLength = sizeof segment::kSegmentMark - 1;
  if (strncmp(target, kMemfd, kMemfdLength) != 0 ||
      strncmp(target + kMemfdLength, segment::kMemfdName, kNameLength) != 0) {
    return false;
  }
  char* end = nullptr;
  name.session_id = strtoull(target + kMemfdLength + kNameLength, &end, 16);
  name.segment_number = -1;
  if (strncmp(end, segment::kSegmentMark, kMarkLength) == 0) {
    name.segment_number = strtol(end + kMarkLength, &end, 10);
  }
  return name.session_id != 0 && (*end == '\0' || *end == ' ');
}

// True if the program may use only so much address space: what the arena takes of
// it would be missing.
bool AddressSpaceIsLimited() {
  rlimit limit;
  return getrlimit(RLIMIT_AS, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY;
}

void* MapMemfd(int fd, uint64_t bytes) {
  struct stat status;
  if (fstat(fd, &status) != 0 || !S_ISREG(status.st_mode) ||
      status.st_size < static_cast<off_t>(segment::kArenaBytes)) {
    return MAP_FAILED;
  }
  return mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
}

// Numbers are used again, and another IPC namespace has its own. Whoever made a
// segment may give it away (IPC_SET), but not deny that he made it.
void* MapSegment(int number) {
  shmid_ds status;
  if (shmctl(number, IPC_STAT, &status) != 0 || status.shm_segsz != segment::kArenaBytes ||
      (status.shm_perm.cuid != geteuid() && status.shm_perm.cuid != 0) ||
      (status.shm_perm.mode & (S_IRWXG | S_IRWXO)) != 0) {
    return MAP_FAILED;
  }
  return shmat(number, nullptr, 0);  // (void*)-1 on failure, as mmap
}

bool IsOurs(const segment::ArenaHeader& header, uint64_t session_id) {
  return header.magic == segment::kMagic && header.version == segment::kVersion &&
         header.session_id == session_id && header.arena_bytes == segment::kArenaBytes &&
         header.slot_bytes == segment::kSlotBytes;
}

// Opens, checks and maps an arena; `id` 0 is any. The name is looked at before it
// is opened: the pid in the environment may belong to somebody else by now, and
// opening a stranger's descriptor can have effects (a tape, a fifo).
segment::ArenaHeader* MapArena(unsigned long pid, unsigned long fd_number, uint64_t id) {
  char path[64];
  snprintf(path, sizeof path, "/proc/%lu/fd/%lu", pid, fd_number);
  ArenaName name;
  if (!ReadArenaName(path, name) || (id != 0 && name.session_id != id)) return nullptr;
  const int fd = open(path, O_RDWR | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  if (fd < 0) return nullptr;
  const bool is_segment = name.segment_number >= 0;
  const bool only_count = AddressSpaceIsLimited();
  const uint64_t bytes =
      only_count && !is_segment ? segment::kArenaHeaderBytes : segment::kArenaBytes;
  void* arena =
      is_segment ? MapSegment(static_cast<int>(name.segment_number)) : MapMemfd(fd, bytes);
  if (arena == MAP_FAILED) {
    close(fd);
    return nullptr;
  }
  auto* header = static_cast<segment::ArenaHeader*>(arena);
  const bool ours = IsOurs(*header, name.session_id);
  if (!ours || only_count) {
    // Lets the report say that the probe was here.
    if (ours) header->processes_started.fetch_add(1, kRelaxed);
    munmap(arena, bytes);
    close(fd);
    return nullptr;
  }
  if (is_segment) {
    // In /proc/PID/maps all segments have the same name. A page of the empty memfd,
    // never touched, tells the collector whose mapping this is.
    mmap(nullptr, segment::kArenaHeaderBytes, PROT_NONE, MAP_SHARED, fd, 0);
  }
  close(fd);
  madvise(arena, segment::kArenaBytes, MADV_DONTDUMP);  // a core file is the program's
  return header;
}

void RememberExecutable() {
  const ssize_t bytes =
      readlink("/proc/self/exe", g_process.executable, sizeof g_process.executable);
  g_process.executable_bytes = bytes > 0 ? static_cast<uint32_t>(bytes) : 0;
}

void UseArena(segment::ArenaHeader* arena) {
  g_process.clock = arena->clock;
  arena->processes_started.fetch_add(1, kRelaxed);
  g_process.arena = arena;
}

// A slot that this process claimed before it called exec describes a program
// that is no longer here.
void ReleaseReplacedSlots(segment::ArenaHeader* arena) {
  const uint32_t ready = arena->slots_ready.load(std::memory_order_acquire);
  for (uint32_t index = 0; index < ready && index < segment::kMaxSlots; ++index) {
    segment::SlotHeader& slot = segment::SlotAt(arena, index)->header;
    if (slot.state.load(kRelaxed) == segment::SlotState::kClaimed &&
        slot.process_id.load(kRelaxed) == g_process.pid) {
      slot.state.store(segment::SlotState::kReplaced, std::memory_order_release);
    }
  }
}

// One module into the slot; runs under ld.so's list lock, so it only copies.
int WriteModule(dl_phdr_info* info, size_t, void* data) {
  auto* slot = static_cast<segment::Slot*>(data);
  const uint32_t index = slot->header.module_count.load(kRelaxed);
  if (index >= segment::kModulesPerSlot) {
    return 1;
  }
  segment::Module& module = slot->modules[index];
  module.load_bias = info->dlpi_addr;
  module.start = ~0ULL;
  module.end = 0;
  module.build_id_bytes = 0;
  for (int i = 0; i < info->dlpi_phnum; ++i) {
    const ElfW(Phdr)& header = info->dlpi_phdr[i];
    const uint64_t address = info->dlpi_addr + header.p_vaddr;
    if (header.p_type == PT_LOAD) {
      if (address < module.start) module.start = address & ~4095ULL;
      if (address + header.p_memsz > module.end) module.end = address + header.p_memsz;
    } else if (header.p_type == PT_NOTE && (header.p_flags & PF_R) != 0) {
      for (uint64_t at = 0; at + sizeof(ElfW(Nhdr)) <= header.p_filesz;) {
        const auto* note = reinterpret_cast<const ElfW(Nhdr)*>(address + at);
        const uint64_t name = at + sizeof *note;
        const uint64_t bytes = name + ((note->n_namesz + 3) & ~3U);
        if (bytes + note->n_descsz > header.p_filesz) break;
        if (note->n_type == NT_GNU_BUILD_ID && note->n_namesz == 4 &&
            memcmp(reinterpret_cast<const void*>(address + name), "GNU", 4) == 0 &&
            note->n_descsz <= sizeof module.build_id) {
          memcpy(module.build_id, reinterpret_cast<const void*>(address + bytes), note->n_descsz);
          module.build_id_bytes = note->n_descsz;
        }
        at = bytes + ((note->n_descsz + 3) & ~3U);
      }
    }
  }
  const bool main_program = index == 0;
  const char* path = main_program ? g_process.executable : info->dlpi_name;
  const size_t length = main_program ? g_process.executable_bytes : strlen(path);
  if (length == 0 || path[0] != '/' || length > segment::kModulePathBytes || module.end == 0) {
    return 0;  // the vdso is no file; longer paths are left to /proc/PID/maps
  }
  memcpy(module.path, path, length);
  module.path_bytes = static_cast<uint32_t>(length);
  slot->header.module_count.store(index + 1, std::memory_order_release);
  return 0;
}

}  // namespace

// A strict filter may not allow gettid; glibc notes the id as the owner of an
// error-checking mutex.
uint32_t ThreadId() {
  pthread_mutex_t mutex = PTHREAD_ERRORCHECK_MUTEX_INITIALIZER_NP;
  pthread_mutex_trylock(&mutex);  // not hooked, uncontended: no system call
  const auto owner = static_cast<uint32_t>(mutex.__data.__owner);
  return owner;
}

segment::Slot* ClaimSlot() {
  segment::Slot* slot = g_process.slot.load(std::memory_order_acquire);
  if (slot != nullptr) {
    return slot;
  }
  uint32_t free = 0;
  if (!g_process.claiming.compare_exchange_strong(free, 1, std::memory_order_acq_rel)) {
    return nullptr;  // another thread is at it; this one asks again at a later wait
  }
  segment::ArenaHeader* arena = g_process.arena;
  const uint32_t ready = arena->slots_ready.load(std::memory_order_acquire);
  for (uint32_t index = 0; index < ready && index < segment::kMaxSlots; ++index) {
    segment::Slot* candidate = segment::SlotAt(arena, index);
    auto state = segment::SlotState::kFree;
    if (candidate->header.state.compare_exchange_strong(state, segment::SlotState::kClaimed,
                                                        std::memory_order_acq_rel)) {
      slot = candidate;
      break;
    }
  }
  if (slot != nullptr) {
    slot->header.process_id.store(g_process.pid, kRelaxed);
    slot->header.claimer_tid.store(ThreadId(), kRelaxed);
    dl_iterate_phdr(WriteModule, slot);
    // Release: threads that see the slot see the module list.
    g_process.slot.store(slot, std::memory_order_release);
  } else {
    arena->claims_refused.fetch_add(1, kRelaxed);
  }
  g_process.claiming.store(0, std::memory_order_release);
  return slot;
}

bool MakeGenerationPage() {
  if (g_process.generation_page != nullptr) return true;
  void* page = mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (page == MAP_FAILED) return false;
  if (madvise(page, 4096, MADV_WIPEONFORK) != 0) {
    munmap(page, 4096);
    return false;
  }
  g_process.generation_page = static_cast<std::atomic<uint64_t>*>(page);
  g_process.generation = 1;
  g_process.generation_page->store(1, kRelaxed);
  return true;
}

uint64_t MonotonicNanoseconds() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1'000'000'000ULL + static_cast<uint64_t>(now.tv_nsec);
}

void ForgetForkedState(ThreadState& thread) {
  thread = {};
  if (g_process.generation_page->load(kRelaxed) == 0) {
    // First look of a forked child at itself. The parent's slot stays the parent's.
    g_process.slot.store(nullptr, kRelaxed);
    g_process.claiming.store(0, kRelaxed);
    g_process.pid = 0;
    if (g_process.plain) {
      g_process.arena = nullptr;  // its helper watches the parent
      g_process.helper_started.store(0, kRelaxed);
    }
    g_process.generation_page->store(++g_process.generation, kRelaxed);
  }
}

bool ClaimCell(ThreadState& thread) {
  segment::ArenaHeader* arena = g_process.arena;
  if (arena->closed.load(kRelaxed) != 0) {
    return false;
  }
  if (g_process.generation_page->load(kRelaxed) == 0) {
    ForgetForkedState(thread);
    if (g_process.arena == nullptr) {
      return false;
    }
  }
  segment::Slot* slot = ClaimSlot();
  if (slot == nullptr) {
    return false;
  }
  const uint32_t tid = ThreadId();
  for (uint32_t index = 0; index < segment::kCellsPerSlot; ++index) {
    segment::LoopCell& cell = slot->cells[index];
    uint32_t nobody = 0;
    if (!cell.tid.compare_exchange_strong(nobody, tid, std::memory_order_acq_rel)) {
      continue;
    }
    cell.place.store(segment::kNoIndex, kRelaxed);
    const auto here = reinterpret_cast<uint64_t>(__builtin_frame_address(0));
    const auto main_end = reinterpret_cast<uint64_t>(__libc_stack_end);
    if (here < main_end && main_end - here < kCertainMainStack) {
      cell.stack_low.store(main_end - kCertainMainStack, kRelaxed);
      cell.stack_high.store(main_end, kRelaxed);
    }
    thread.cell = &cell;
    thread.cell_index = index;
    thread.generation = g_process.generation_page->load(kRelaxed);
    thread.place = segment::kNoIndex;
    thread.place_descriptor = -1;
    thread.early_left = kEarlyCalls;
    thread.early_turn = 0;
    return true;
  }
  slot->header.cells_dropped.fetch_add(1, kRelaxed);
  return false;
}

void AttachToHelper() {
  const int helper = g_process.helper_pid.load(kRelaxed);
  uint32_t free = 0;
  if (helper <= 0 ||
      !g_process.claiming.compare_exchange_strong(free, 1, std::memory_order_acq_rel)) {
    return;
  }
  if (g_process.arena == nullptr) {
    segment::ArenaHeader* arena =
        MapArena(static_cast<unsigned long>(helper), segment::kHelperArenaFd, 0);
    if (arena != nullptr) {
      UseArena(arena);
    }
  }
  g_process.claiming.store(0, std::memory_order_release);
}

namespace {

bool ConnectInProcess() {
  if (g_process.helper_started.exchange(1, std::memory_order_acq_rel) != 0) {
    return false;
  }
  if (!MakeGenerationPage()) {
    return false;
  }
  RememberExecutable();
  g_process.pid = static_cast<uint32_t>(getpid());
  segment::ArenaHeader* const arena = g_process.collector();
  if (arena == nullptr) {
    return false;
  }
  UseArena(arena);
  return true;
}

}  // namespace

bool Connect() {
  if (g_process.arena != nullptr) {
    return true;
  }
  if (!g_process.plain || g_process.sandboxed.load(kRelaxed) != 0) {
    return false;
  }
  if (g_process.collector != nullptr) {
    return ConnectInProcess();
  }
  StartHelper();
  AttachToHelper();
  return g_process.arena != nullptr;
}

bool ConnectPatiently() {
  static constinit std::atomic<uint64_t> g_deadline{0};
  if (Connect()) {
    return true;
  }
  while (g_process.plain && g_process.sandboxed.load(kRelaxed) == 0) {
    const uint64_t now = MonotonicNanoseconds();
    uint64_t deadline = 0;
    if (g_deadline.compare_exchange_strong(deadline, now + kHelperNanoseconds, kRelaxed)) {
      deadline = now + kHelperNanoseconds;
    }
    if (now >= deadline) {
      return false;
    }
    const timespec millisecond{0, 1'000'000};
    syscall(SYS_clock_nanosleep, CLOCK_MONOTONIC, 0, &millisecond, nullptr);
    if (Connect()) {
      return true;
    }
  }
  return false;
}

extern "C" __attribute__((visibility("default"))) int loopsan_use_collector_v1(
    segment::ArenaHeader* (*collector)()) {
  if (!g_process.plain) {
    return 0;
  }
  g_process.collector = collector;
  g_process.plain = collector != nullptr;
  return 1;
}

namespace {

// Before the program's own constructors if the loader orders it so; hooks that
// run earlier pass through.
__attribute__((constructor)) void Attach() {
  const int saved_errno = errno;
  g_process.main_thread = reinterpret_cast<uint64_t>(__builtin_thread_pointer());
  const char* session = getenv(segment::kSessionVariable);
  unsigned long pid = 0;
  unsigned long fd = 0;
  uint64_t id = 0;
  if (session == nullptr) {
    // LD_PRELOAD alone: nothing is made before a loop is discovered.
    g_process.plain = true;
  } else if (ParseSession(session, pid, fd, id)) {
    segment::ArenaHeader* arena = MapArena(pid, fd, id);
    if (arena != nullptr && MakeGenerationPage()) {
      g_process.pid = static_cast<uint32_t>(getpid());
      ReleaseReplacedSlots(arena);
      RememberExecutable();
      UseArena(arena);
    }
  }
  errno = saved_errno;
}

}  // namespace

}  // namespace loopsan::probe
