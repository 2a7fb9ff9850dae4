// The id of each hooked call by its name: kId_read. Ids are positions in
// blocking_calls.inc, the same as in the table of blocking_calls.h.
#pragma once

#include <cstdint>

namespace loopsan::probe {

enum CallId : uint32_t {
#define LOOPSAN_CALL(category, result, name, ...) kId_##name,
#define LOOPSAN_VERSIONED(version, category, result, name, ...) kId_##name,
#define LOOPSAN_LOCK(result, name, ...) kId_##name,
#define LOOPSAN_SEMAPHORE(result, name, ...) kId_##name,
#define LOOPSAN_OWN(category, name, ...) kId_##name,
#include "instrument/blocking_calls.inc"
#undef LOOPSAN_CALL
#undef LOOPSAN_VERSIONED
#undef LOOPSAN_LOCK
#undef LOOPSAN_SEMAPHORE
#undef LOOPSAN_OWN
};

}  // namespace loopsan::probe
