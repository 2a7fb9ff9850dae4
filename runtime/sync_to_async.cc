#include "runtime/sync_to_async.h"

#include <bit>
#include <mutex>

#include "runtime/internal/bridge_context.h"
#include "runtime/internal/findings.h"
#include "runtime/internal/process_threads.h"
#include "runtime/internal/sync_frame.h"
#include "runtime/internal/waiting_thread.h"

namespace loopsan::internal {

namespace {

thread_local SyncFrame* t_frame = nullptr;

// For the contexts that several functions run in.
std::mutex& SharedContextMutex() {
  static std::mutex& mutex = *new std::mutex;
  return mutex;
}

[[noreturn]] void ThrowDeadlock(Site called_at) {
  const std::string message =
      "a function could never begin: the only thread that may run it runs the event loop that "
      "waits for it";
  if (t_runner.debug) {
    Found found{.rule = Rule::kDeadlock, .message = message};
    found.where = called_at;
    found.task = t_runner.task;
    Report(found);
  }
  throw DeadlockError(message +
                      "; inside a function of SyncToAsync() use AsyncToSync() instead of Run(), or "
                      "set thread_sensitive to false");
}

}  // namespace

SyncFrame::SyncFrame(SyncCall& call) noexcept
    : call_(call), outer_(t_frame), generation_(ForkGeneration()) {
  t_frame = this;
}

SyncFrame::~SyncFrame() { t_frame = outer_; }

SyncCall* SyncFrame::Current() noexcept {
  return t_frame != nullptr && t_frame->generation_ == ForkGeneration() ? &t_frame->call_ : nullptr;
}

// The loop's side --------------------------------------------------------------------

bool SyncCall::Start(Site called_at) {
  EventLoop& loop = EventLoop::Running();
  called_at_ = called_at != nullptr ? called_at : SiteOf(std::source_location::current());
  loop_ = &loop;
  handle_.emplace(loop.Handle());
  if (loop.debug()) submitted_ = Clock::now();
  before_ = Context::Current();
  context_ = before_;
  std::function<void()> job = [call = shared_from_this()] { call->Run(); };
  if (!options_.thread_sensitive) {
    executor_ = options_.executor != nullptr ? options_.executor : &loop.DefaultExecutor();
  } else {
    if (SubmitTo(NearestWait().Get(), job)) return true;
    const ContextThread thread = CurrentContextThread().Get();
    if (thread.executor != nullptr && thread.generation == ForkGeneration()) {
      keep_ = thread.executor;
      executor_ = keep_.get();
    } else if (SubmitTo(LoopWait(), job)) {
      return true;
    } else {
      executor_ = &SensitiveThread();
    }
  }
  if (executor_->IsOnlyThread()) ThrowDeadlock(called_at_);
  if (loop.debug()) NoteQueued();
  return executor_->TrySubmit(job);
}

// To the innermost wait that is not over.
bool SyncCall::SubmitTo(const std::shared_ptr<WaitingThread>& nearest, std::function<void()>& job) {
  for (std::shared_ptr<WaitingThread> wait = nearest; wait != nullptr; wait = wait->outer()) {
    if (wait->IsOnlyThread() && wait->is_waiting()) ThrowDeadlock(called_at_);
    keep_ = wait;
    executor_ = wait.get();
    if (loop_->debug()) NoteQueued();
    if (wait->TrySubmit(job)) return true;
    watch_.End();
  }
  keep_.reset();
  return false;
}

void SyncCall::NoteQueued() {
  watch_.Queue(*executor_, called_at_, options_.name);
  executor_name_ = executor_->name();
}

bool SyncCall::Drop() noexcept {
  State queued = State::kQueued;
  if (!state_.compare_exchange_strong(queued, State::kDropped)) return false;
  watch_.End();
  DropFunction();
  return true;
}

void SyncCall::SetInner(TaskState* inner) noexcept {
  inner_ = inner;
  if (inner == nullptr || waiter_ == nullptr) return;
  // A cancellation that came while the function did nothing that can be cancelled.
  TaskState* const task = waiter_->task();
  if (task != nullptr && task->must_cancel) {
    task->must_cancel = false;
    inner->Cancel();
  }
}

void SyncCall::OnEnd() noexcept {
  ended_ = true;
  inner_ = nullptr;
  if (submitted_ && delay_ > loop_->slow_step()) {
    ReportExecutorDelay(delay_, called_at_, executor_name_);
  }
  if (waiter_ != nullptr) waiter_->Wake();
}

void SyncCall::TakeContext() {
  if (options_.context == nullptr) Context::Current().Merge(before_, context_);
}

void SyncCall::TellLostError() {
  if (error() == nullptr) return;
  try {
    std::rethrow_exception(error());
  } catch (const CancelledError&) {
    return;
  } catch (...) {
  }
  loop_->HandleException({"a function of SyncToAsync() failed after its waiter was cancelled",
                          error(), called_at_->file, called_at_->line, ""});
}

bool SyncCallAwaiter::OnCancel() noexcept {
  if (call_.Drop()) return Waiter::OnCancel();
  // Not abandoned: the wait ends with the function.
  return call_.inner_ != nullptr && call_.inner_->Cancel();
}

void SyncCallAwaiter::await_resume() {
  if (call_.ended_) call_.TakeContext();
  try {
    Resumed();
  } catch (const CancelledError&) {
    if (call_.ended_) call_.TellLostError();
    throw;
  }
}

// The thread's side ------------------------------------------------------------------

void SyncCall::Run() noexcept {
  State queued = State::kQueued;
  if (!state_.compare_exchange_strong(queued, State::kRunning)) return;
  if (submitted_) delay_ = Clock::now() - *submitted_;
  watch_.Run();
  EnterContext();
  {
    const SyncFrame frame(*this);
    Invoke();
  }
  LeaveContext();
  watch_.End();
  // If the loop is closed, nobody waits.
  handle_->CallSoon([call = shared_from_this()] { call->OnEnd(); },
                    std::bit_cast<std::source_location>(called_at_));
}

void SyncCall::EnterContext() {
  if (options_.context != nullptr) {
    Context own;
    {
      const std::lock_guard lock(SharedContextMutex());
      own = *options_.context;
    }
    CarryBridge(before_, own);
    before_ = own;
    context_ = std::move(own);
  }
  std::swap(Context::Current(), context_);
}

void SyncCall::LeaveContext() {
  std::swap(Context::Current(), context_);
  if (options_.context == nullptr) return;
  const std::lock_guard lock(SharedContextMutex());
  options_.context->Merge(before_, context_);
}

}  // namespace loopsan::internal
