#include "tools/exit_status.h"

namespace loopsan {

int ExitStatusOf(const CommandEnd& end, const RunVerdict& verdict) {
  if (end.signal != 0) return 128 + end.signal;
  if (end.exit_code != 0) return end.exit_code;
  if (verdict.report_failed) return kExitLoopsanFailed;
  if (verdict.loop_missing) return kExitNoLoop;
  if (verdict.gate_failed) return kExitGateFailed;
  return 0;
}

int ExitStatusOf(const absl::Status& not_started) {
  switch (not_started.code()) {
    case absl::StatusCode::kNotFound:
      return kExitNotFound;
    case absl::StatusCode::kPermissionDenied:
      return kExitNotExecutable;
    default:
      return kExitLoopsanFailed;
  }
}

}  // namespace loopsan
