#include "runtime/run.h"

#include "runtime/executor.h"
#include "runtime/internal/loop_private.h"

namespace loopsan::internal {

RunScope::~RunScope() {
  try {
    if (!loop_.is_closed() && loop_.task_count() != 0) loop_.RunUntilComplete(loop_.CancelAll());
  } catch (...) {
    loop_.HandleException(
        {"the tasks that were left could not be ended", std::current_exception(), "", 0, ""});
  }
  try {
    // With the loop running: a job may wait for it.
    Executor* const executor = loop_.is_closed() ? nullptr : LoopPrivate::executor(loop_);
    if (executor != nullptr) loop_.RunUntilComplete(ShutDown(*executor));
  } catch (...) {
    loop_.HandleException(
        {"the default executor could not be shut down", std::current_exception(), "", 0, ""});
  }
  try {
    loop_.Close();
  } catch (...) {
    loop_.HandleException(
        {"the event loop could not be closed", std::current_exception(), "", 0, ""});
  }
}

}  // namespace loopsan::internal
