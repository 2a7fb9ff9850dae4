// The table that blocking_calls.inc expands to outside the probe: name,
// category, how to read the two arguments that the probe keeps, remedy.
// A call's index in this table is its id in the segment.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "instrument/segment.h"

namespace loopsan {

// What the kept arguments of a call mean.
enum class CallDetail : uint32_t {
  kNone,
  kFd,       // args[0] is a descriptor
  kPath,     // args[0] points to a path
  kText,     // args[0] points to a command or name
  kAddress,  // args[0] is a descriptor, args[1] points to a sockaddr
  kTime,     // args[0] is the time asked for, in nanoseconds
};

struct BlockingCallRow {
  std::string_view name;
  segment::Category category;
  CallDetail detail;
  std::string_view remedy;
};

// clang-format off
#define LOOPSAN_DETAIL_None CallDetail::kNone
#define LOOPSAN_DETAIL_Fd(...) CallDetail::kFd
#define LOOPSAN_DETAIL_Path(...) CallDetail::kPath
#define LOOPSAN_DETAIL_Text(...) CallDetail::kText
#define LOOPSAN_DETAIL_Host(...) CallDetail::kText
#define LOOPSAN_DETAIL_Address(...) CallDetail::kAddress
#define LOOPSAN_DETAIL_Seconds(...) CallDetail::kTime
#define LOOPSAN_DETAIL_Whole(...) CallDetail::kTime
#define LOOPSAN_DETAIL_Micro(...) CallDetail::kTime

inline constexpr BlockingCallRow kBlockingCalls[] = {
#define LOOPSAN_CALL(category, result, name, params, args, blocks, detail, remedy) \
  {#name, segment::Category::category, LOOPSAN_DETAIL_##detail, remedy},
#define LOOPSAN_VERSIONED(version, category, result, name, params, args, blocks, detail, remedy) \
  {#name, segment::Category::category, LOOPSAN_DETAIL_##detail, remedy},
#define LOOPSAN_LOCK(result, name, params, args, try_name, try_args, remedy) \
  {#name, segment::Category::kLock, CallDetail::kNone, remedy},
#define LOOPSAN_SEMAPHORE LOOPSAN_LOCK
#define LOOPSAN_OWN(category, name, detail, remedy) \
  {#name, segment::Category::category, CallDetail::detail, remedy},
#include "instrument/blocking_calls.inc"
#undef LOOPSAN_CALL
#undef LOOPSAN_VERSIONED
#undef LOOPSAN_LOCK
#undef LOOPSAN_SEMAPHORE
#undef LOOPSAN_OWN
};
// clang-format on

inline constexpr uint32_t kBlockingCallCount = std::size(kBlockingCalls);

}  // namespace loopsan
