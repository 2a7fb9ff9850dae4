// How long the jobs of executors waited for a thread (loopsan_annotations::queue_delay).
#pragma once

#include <stdint.h>

namespace loopsan::probe {

void CountQueueDelay(const char* queue, uint64_t nanoseconds);

}  // namespace loopsan::probe
