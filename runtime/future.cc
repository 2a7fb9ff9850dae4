#include "runtime/future.h"

#include "runtime/internal/annotations.h"
#include "runtime/internal/findings.h"
#include "runtime/internal/loop_private.h"

namespace loopsan::internal {

void FutureBase::ReportIfUnseen(const std::exception_ptr& error) const noexcept try {
  if (state_ != State::kDone || retrieved_ || error == nullptr) return;
  Found found{.rule = Rule::kErrorNeverRetrieved, .message = {}};
  found.where = made_at_;
  found.message = "a future got an exception and nobody looked: " + What(error);
  if (DebugIsDefault() || t_runner.debug) {
    Report(found);
  } else {
    PrintException({"the exception of a future was never retrieved", error, made_at_->file,
                    made_at_->line, ""});
  }
} catch (...) {
  // Out of memory: the report is lost.
}

void FutureBase::Finish(State state) noexcept {
  if (done()) return;
  state_ = state;
  while (Waiter* waiter = waiters.front()) waiter->Wake();
}

bool FutureBase::Cancel() noexcept {
  if (done()) return false;
  Claim();  // a result that comes later comes in vain
  Finish(State::kCancelled);
  return true;
}

void FutureBase::CheckLoop(Site site) const {
  if (EventLoop::Current() == loop_) return;
  Found found{.rule = Rule::kOtherLoop,
              .message = "a future is awaited on another event loop than the one it was made for"};
  found.where = site;
  found.task = t_runner.task;
  Report(found);
  throw UsageError(found.message);
}

void FutureBase::CheckUse(const char* what, std::source_location here) const {
  // A closed loop may be gone; nobody waits there.
  if (EventLoop::Current() != loop_ && !handle_.is_closed()) {
    LoopPrivate::CheckUse(*loop_, what, here);
  }
}

void Deliver(std::shared_ptr<FutureBase> state, std::source_location here) {
  if (EventLoop::Current() == state->loop()) {
    state->Finish(FutureBase::State::kDone);
    return;
  }
  const LoopHandle handle = state->handle();
  // A closed loop has nobody left who waits.
  handle.CallSoon([state = std::move(state)] { state->Finish(FutureBase::State::kDone); }, here);
}

}  // namespace loopsan::internal
