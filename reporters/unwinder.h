// From a copied stack to return addresses, with the unwind tables of the ELF
// files on disk: works while the process lives and after it is gone.
//
// Threads: one thread at a time.
#pragma once

#include <memory>

#include "reporters/process_image.h"
#include "reporters/stack.h"

namespace loopsan {

class Unwinder {
 public:
  // `process` must outlive the unwinder.
  static std::unique_ptr<Unwinder> Create(ProcessImage* process);
  virtual ~Unwinder() = default;

  // Never fails: an unwind that cannot go on returns the frames it has, with
  // complete = false and the reason. At most `max_frames`.
  virtual UnwoundStack Unwind(const RawStack& stack, size_t max_frames = 256) = 0;
};

}  // namespace loopsan
