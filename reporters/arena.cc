#include "reporters/arena.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/shm.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <iterator>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/string_view.h"
#include "reporters/buckets.h"

namespace loopsan {
namespace {

using segment::Category;

// What a call of each category may take before it is reported in floor mode.
// Sleeps and name lookups are waits whatever they took; the others are worth a
// word when they held the loop for long enough that a user could notice it, and
// for longer than a busy machine preempts a thread (measured: 4-8 ms).
double FloorSeconds(Category category) {
  switch (category) {
    case Category::kSleep:
    case Category::kDns:
      return 0;
    case Category::kProcess:
      return 0.005;
    case Category::kLock:
      return 0.020;
    case Category::kFile:
    case Category::kStdio:
    case Category::kSocket:
    case Category::kThread:
    case Category::kWait:
      return 0.010;
  }
  return 0.010;
}

// A file size limit applies to memfds too. Ours is lifted while the file is
// given its size; the watched command inherits the original.
class WithoutFileSizeLimit {
 public:
  WithoutFileSizeLimit() {
    getrlimit(RLIMIT_FSIZE, &before_);
    rlimit lifted{RLIM_INFINITY, RLIM_INFINITY};
    if (setrlimit(RLIMIT_FSIZE, &lifted) != 0) {
      lifted = {before_.rlim_max, before_.rlim_max};
      setrlimit(RLIMIT_FSIZE, &lifted);
    }
    struct sigaction ignore{};
    ignore.sa_handler = SIG_IGN;
    sigaction(SIGXFSZ, &ignore, &handler_);
  }
  ~WithoutFileSizeLimit() {
    setrlimit(RLIMIT_FSIZE, &before_);
    sigaction(SIGXFSZ, &handler_, nullptr);
  }

 private:
  rlimit before_{};
  struct sigaction handler_{};
};

// Not absl::ErrnoToStatus(): EPERM here does not mean that the command may not
// be executed.
absl::Status Failed(absl::string_view what, int error) {
  return absl::UnavailableError(absl::StrCat(what, ": ", strerror(error)));
}

void SetBuckets(segment::ArenaHeader& header, const Options& options, const TickClock& clock) {
  const std::vector<double> bounds = HistogramBounds(options.metrics_buckets);
  for (size_t i = 0; i < segment::kBuckets; ++i) {
    header.bucket_bounds[i] = i < bounds.size() ? clock.Ticks(bounds[i]) : ~uint64_t{0};
  }
  for (size_t digits = 0; digits < std::size(header.first_bucket); ++digits) {
    const uint64_t shortest = digits == 0 ? 0 : uint64_t{1} << (digits - 1);
    uint8_t bucket = 0;
    while (shortest > header.bucket_bounds[bucket]) ++bucket;
    header.first_bucket[digits] = bucket;
  }
}

}  // namespace

absl::StatusOr<std::unique_ptr<Arena>> Arena::Create(const Options& options,
                                                     const TickClock& clock) {
  uint64_t id = 0;
  while (id == 0) {
    if (getrandom(&id, sizeof id, 0) != sizeof id) {
      return Failed("cannot make a session id (getrandom)", errno);
    }
  }
  std::unique_ptr<Arena> arena(new Arena);
  if (absl::Status status = arena->MakeMemory(id); !status.ok()) {
    return status;
  }
  segment::ArenaHeader* const header = arena->header_;
  if (!arena->BackSlots(1)) {
    return Failed("not enough memory for the shared memory (3 MB)", errno);
  }
  header->magic = segment::kMagic;
  header->version = segment::kVersion;
  header->clock = clock.kind();
  header->session_id = id;
  header->arena_bytes = segment::kArenaBytes;
  header->slot_bytes = segment::kSlotBytes;
  header->first_slot_offset = segment::kArenaHeaderBytes;
  header->ticks_per_second = clock.ticks_per_second();
  header->threshold_ticks =
      static_cast<uint64_t>(options.threshold_seconds * clock.ticks_per_second());
  header->short_ticks = clock.Ticks(0.001);
  SetBuckets(*header, options, clock);
  header->metrics_wanted.store(options.WantsMetrics() ? 1 : 0, std::memory_order_relaxed);
  header->call_mode = static_cast<segment::CallMode>(options.calls);
  for (uint32_t i = 0; i < segment::kCategoryCount; ++i) {
    switch (options.calls) {
      case CallsMode::kFloor:
        header->floor_ticks[i] = static_cast<uint64_t>(FloorSeconds(static_cast<Category>(i)) *
                                                       clock.ticks_per_second());
        break;
      case CallsMode::kStrict:
        header->floor_ticks[i] = 0;
        break;
      case CallsMode::kOff:
        header->floor_ticks[i] = ~0ULL;
        break;
    }
  }
  return arena;
}

Arena::~Arena() {
  if (header_ != nullptr) {
    munmap(header_, segment::kArenaBytes);  // detaches a segment, too
  }
  if (fd_ >= 0) {
    close(fd_);
  }
}

std::string Arena::SessionVariable() const {
  return absl::StrFormat("%d:%d:%016x", getpid(), fd_, header_->session_id);
}

absl::Status Arena::MakeMemory(uint64_t id) {
  const std::string name = absl::StrFormat("%s%016x", segment::kMemfdName, id);
  fd_ = memfd_create(name.c_str(), MFD_CLOEXEC);
  if (fd_ < 0) {
    return Failed("cannot create shared memory (memfd_create)", errno);
  }
  int error = 0;
  {
    const WithoutFileSizeLimit lifted;
    error = ftruncate(fd_, segment::kArenaBytes) == 0 ? 0 : errno;
  }
  if (error == EFBIG) {
    return MakeSegment(name);
  }
  if (error != 0) {
    return Failed("cannot size the shared memory (ftruncate)", error);
  }
  void* memory = mmap(nullptr, segment::kArenaBytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd_, 0);
  if (memory == MAP_FAILED) {
    return Failed("cannot map the shared memory", errno);
  }
  header_ = static_cast<segment::ArenaHeader*>(memory);
  return absl::OkStatus();
}

absl::Status Arena::MakeSegment(const std::string& name) {
  is_segment_ = true;
  // SHM_NORESERVE: as with a memfd, only the slots in use count as memory.
  const int number =
      shmget(IPC_PRIVATE, segment::kArenaBytes, IPC_CREAT | SHM_NORESERVE | S_IRUSR | S_IWUSR);
  void* memory = number < 0 ? MAP_FAILED : shmat(number, nullptr, 0);
  const int error = errno;
  if (number >= 0) {
    // Linux lets others attach it by number until nobody has it any more.
    shmctl(number, IPC_RMID, nullptr);
  }
  if (memory == MAP_FAILED) {  // what shmat() returns, too
    return Failed(
        "cannot make the shared memory: the file size limit (ulimit -f) cannot be raised to the "
        "100 MB that a memfd needs, and there is no System V shared memory (shmget)",
        error);
  }
  header_ = static_cast<segment::ArenaHeader*>(memory);
  close(fd_);
  fd_ = memfd_create(absl::StrCat(name, segment::kSegmentMark, number).c_str(), MFD_CLOEXEC);
  if (fd_ < 0) {
    return Failed("cannot name the shared memory (memfd_create)", errno);
  }
  return absl::OkStatus();
}

int Arena::Populate(uint64_t begin, uint64_t end) {
  if (!is_segment_) {
    return posix_fallocate(fd_, static_cast<off_t>(begin), static_cast<off_t>(end - begin));
  }
  char* const memory = reinterpret_cast<char*>(header_);
  if (madvise(memory + begin, end - begin, MADV_POPULATE_WRITE) == 0) {
    return 0;
  }
  if (errno != EINVAL) {
    return errno;
  }
  // Before Linux 5.14, or pages are larger than the header. Nobody else may touch
  // these bytes yet.
  for (uint64_t at = begin; at < end; at += segment::kArenaHeaderBytes) {
    *static_cast<volatile char*>(memory + at) = 0;
  }
  return 0;
}

bool Arena::BackSlots(uint32_t count) {
  const uint64_t end = segment::kArenaHeaderBytes + count * segment::kSlotBytes;
  const uint64_t begin =
      ready_ == 0 ? 0 : segment::kArenaHeaderBytes + ready_ * segment::kSlotBytes;
  int result = 0;
  do {
    result = Populate(begin, end);
  } while (result == EINTR);
  if (result != 0) {
    errno = result;
    return false;
  }
  ready_ = count;
  // Release: a probe that sees the count may touch the slots.
  header_->slots_ready.store(count, std::memory_order_release);
  return true;
}

void Arena::KeepReady(uint32_t spare) {
  uint32_t free = 0;
  for (uint32_t i = 0; i < ready_; ++i) {
    free += slot(i).header.state.load(std::memory_order_relaxed) == segment::SlotState::kFree;
  }
  if (free >= spare) {
    return;
  }
  const uint32_t wanted = std::min(segment::kMaxSlots, ready_ + (spare - free));
  if (wanted == ready_ || !BackSlots(wanted)) {
    exhausted_ = free == 0;
  }
}

void Arena::Recycle(uint32_t index) {
  segment::Slot& gone = slot(index);
  // All but the snapshots, whose bytes nobody reads without an event. The state
  // is cleared last: a probe may claim the slot at once.
  char* begin = reinterpret_cast<char*>(&gone);
  const size_t bytes = offsetof(segment::Slot, chunks);
  const size_t skip = sizeof(gone.header.state);
  static_assert(offsetof(segment::SlotHeader, state) == 0);
  memset(begin + skip, 0, bytes - skip);
  gone.header.state.store(segment::SlotState::kFree, std::memory_order_release);
}

void Arena::Close() { header_->closed.store(1, std::memory_order_relaxed); }

}  // namespace loopsan
