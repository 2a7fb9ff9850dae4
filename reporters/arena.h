// The memory that the probes of one session write into. The collector makes,
// sizes and populates it, so that no watched process can meet SIGBUS (an
// unbacked page) or SIGXFSZ (a file size limit) on our account.
//
// It is a memfd: nothing on any file system, nothing left behind by a crash.
// Probes open it as /proc/PID/fd/N and check its name and session id. Under a
// file size limit that may not be lifted, the memfd stays empty and only names
// the memory, a System V segment: that limit does not concern those. The segment
// is marked for removal at once, so it ends with the last process that has it.
//
// Threads: Create() on one thread; KeepReady() and Recycle() on the watcher's.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "instrument/segment.h"
#include "reporters/options.h"
#include "reporters/tick_clock.h"

namespace loopsan {

class Arena {
 public:
  // Errors: Unavailable, with what the system lacks.
  static absl::StatusOr<std::unique_ptr<Arena>> Create(const Options& options,
                                                       const TickClock& clock);
  ~Arena();
  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;

  // "PID:FD:ID" for segment::kSessionVariable.
  std::string SessionVariable() const;

  segment::ArenaHeader& header() { return *header_; }
  segment::Slot& slot(uint32_t index) { return *segment::SlotAt(header_, index); }
  // Slots that may be touched.
  uint32_t ready() const { return ready_; }

  // Backs more slots with memory until `spare` free ones are ready.
  void KeepReady(uint32_t spare);

  // Clears a slot whose process is gone and offers it again.
  void Recycle(uint32_t index);

  // All slots were in use, or memory for more was refused.
  bool exhausted() const { return exhausted_; }

  // Tells the probes that nobody listens any more.
  void Close();

 private:
  Arena() = default;
  absl::Status MakeMemory(uint64_t id);
  absl::Status MakeSegment(const std::string& name);
  int Populate(uint64_t begin, uint64_t end);
  bool BackSlots(uint32_t count);

  int fd_ = -1;  // the memory, or only its name
  bool is_segment_ = false;
  segment::ArenaHeader* header_ = nullptr;
  uint32_t ready_ = 0;
  bool exhausted_ = false;
};

}  // namespace loopsan
