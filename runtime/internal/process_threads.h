// The threads that the bridge between sync and async code has for the whole process.
//
// They are started when they are first needed, and never joined: at the end of the
// process they are idle. A forked child begins without any, and makes its own.
//
// Threads: any.
#pragma once

#include <cstddef>
#include <cstdint>

#include "runtime/executor.h"

namespace loopsan::internal {

// For ThreadPoolOptions::threads: no job waits for another one's thread.
inline constexpr size_t kThreadForEachJob = SIZE_MAX;

// The one thread for thread-sensitive functions that have no better place.
Executor& SensitiveThread();

// A thread for each job that is given to them, idle ones first.
Executor& HelperThreads();

// Whether nobody can begin anything but this thread: there are no others but idle ones of
// `executor` (may be null) and of the above, and those that watch the process, whose names begin
// with "loopsan-". False if that cannot be told.
bool IsOnlyActiveThread(const Executor* executor) noexcept;

// Differs between a process and its forked children: what belongs to another
// generation refers to threads that are not there.
uint64_t ForkGeneration() noexcept;

}  // namespace loopsan::internal
