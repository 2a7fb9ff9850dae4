#include "runtime/async_to_sync.h"

#include <bit>
#include <chrono>

#include "runtime/internal/annotations.h"
#include "runtime/internal/bridge_context.h"
#include "runtime/internal/findings.h"
#include "runtime/internal/loop_private.h"
#include "runtime/internal/process_threads.h"
#include "runtime/internal/shared_loop.h"
#include "runtime/internal/sync_frame.h"
#include "runtime/internal/waiting_thread.h"
#include "runtime/run.h"
#include "runtime/spawn.h"

namespace loopsan::internal {

namespace {

// A loop that nobody has run for that long will not be run again. Between two runs of a loop
// there may be a pause.
constexpr std::chrono::seconds kStoppedForGood{1};

constexpr char kClosed[] =
    "AsyncToSync(): the event loop that it should run on is closed; end the functions of "
    "SyncToAsync() before their loop, or use Run() for a loop of its own";
constexpr char kStopped[] =
    "AsyncToSync(): nobody runs the event loop that it should run on; keep it running until the "
    "functions of SyncToAsync() have ended, or use Run() for a loop of its own";

std::source_location Location(Site site) noexcept {
  return std::bit_cast<std::source_location>(site);
}

[[noreturn]] void RefuseOnLoop(Site site) {
  const std::string message =
      "AsyncToSync() was called on a thread whose event loop is running, which it would hold up";
  if (t_runner.debug) {
    Found found{.rule = Rule::kAsyncToSyncOnLoop, .message = message};
    found.where = site;
    found.task = t_runner.task;
    Report(found);
  }
  throw UsageError(message +
                   ": co_await the coroutine, or call this function through SyncToAsync()");
}

}  // namespace

// In the loop's queue; one that is dropped there tells the waiting thread.
class AsyncCall::Start {
 public:
  explicit Start(std::shared_ptr<AsyncCall> call) noexcept : call_(std::move(call)) {}
  Start(Start&&) noexcept = default;
  Start& operator=(Start&&) = delete;
  ~Start() {
    if (call_ != nullptr) call_->Fail(kClosed);
  }
  void operator()() { std::exchange(call_, nullptr)->StartOnLoop(); }

 private:
  std::shared_ptr<AsyncCall> call_;
};

// The waiting thread -----------------------------------------------------------------

void AsyncCall::RunAndWait() {
  if (t_runner.loop != nullptr) RefuseOnLoop(site_);
  thread_ = std::make_shared<WaitingThread>(NearestWait().Get());
  context_ = Context::Current();
  NearestWait().SetIn(context_, thread_);
  before_ = context_;
  std::optional<LoopHandle> loop;
  if (!options_.force_new_loop) {
    if (SyncCall* const call = SyncFrame::Current()) {
      parent_ = call->shared_from_this();
      loop = call->loop();
    } else if (const std::shared_ptr<SharedLoop> shared = CurrentSharedLoop().Get()) {
      loop = shared->Handle();
    }
  }
  const bool watched = WatchedCall::RunsHere() || DebugIsDefault();
  if (watched) watch_.Begin(*thread_, parent_ != nullptr ? parent_->watch_id() : 0, site_);
  struct End {
    WatchedWait& watch;
    ~End() { watch.End(); }
  } end{watch_};
  if (loop) {
    WaitForLoop(*loop);
  } else {
    WaitForOwnLoop();
  }
  Context::Current().Merge(before_, context_);
}

void AsyncCall::WaitForLoop(const LoopHandle& loop) {
  loop.CallSoon(Start(shared_from_this()), Location(site_));
  const auto go_on = [&loop] { return LoopPrivate::StoppedFor(loop) < kStoppedForGood; };
  if (thread_->Run(go_on)) return;
  // Should it ever run again, it finds that nobody waits any more.
  loop.CallSoon([call = shared_from_this()] {
    if (call->task_) call->task_->Cancel();
  });
  throw UsageError(kStopped);
}

void AsyncCall::WaitForOwnLoop() {
  HelperThreads().Submit([call = shared_from_this()] { call->RunOwnLoop(); });
  thread_->Run([] { return true; });
}

// The loop's side --------------------------------------------------------------------

void AsyncCall::StartOnLoop() noexcept {
  try {
    EventLoop& loop = EventLoop::Running();
    Context::Current() = context_;  // what is spawned takes it over
    if (parent_ == nullptr) LoopWait() = thread_;
    const TaskHandle<> task = loop.Spawn(Main(), {}, Location(site_));
    task_ = RefPtr<TaskState>(task.state());
    hook_.call = this;
    hook_.HookTo(task.state());
    LoopPrivate::resources(loop).PushBack(this);
    self_ = shared_from_this();
    watch_.SetTask(task.state());
    if (parent_ != nullptr) parent_->SetInner(task.state());
  } catch (...) {
    SetError(std::current_exception());
    thread_->Finish();
  }
}

void AsyncCall::Hook::OnTaskDone(TaskState&) noexcept {
  Unlink();
  call->OnDone();
}

void AsyncCall::OnDone() noexcept {
  Unlink();
  const std::shared_ptr<AsyncCall> self = std::move(self_);
  // Main() lets no exception out: it was cancelled before it began, or in its last step.
  if (task_->error() != nullptr) SetError(std::make_exception_ptr(CancelledError()));
  if (parent_ != nullptr && parent_->inner() == task_.get()) parent_->SetInner(nullptr);
  watch_.SetTask(nullptr);
  task_ = RefPtr<TaskState>();
  thread_->Finish();
}

void AsyncCall::NoteStart() noexcept { watch_.SetTask(t_runner.task); }

void AsyncCall::NoteEnd() {
  watch_.SetTask(nullptr);
  context_ = Context::Current();
}

void AsyncCall::OnLoopClosed() noexcept { Fail(kClosed); }

void AsyncCall::Fail(const char* message) noexcept {
  const std::shared_ptr<AsyncCall> self = std::move(self_);
  watch_.SetTask(nullptr);
  task_ = RefPtr<TaskState>();
  SetError(std::make_exception_ptr(UsageError(message)));
  thread_->Finish();
}

// A helper thread.
void AsyncCall::RunOwnLoop() noexcept {
  try {
    EventLoop::Options options;
    options.name = "AsyncToSync";
    // In debug mode if its caller is.
    if (watch_.id() != 0) options.debug = true;
    RunScope scope(std::move(options));
    LoopWait() = thread_;
    Context::Current() = context_;
    scope.loop().RunUntilComplete(Main(), Location(site_));
  } catch (...) {
    SetError(std::current_exception());
  }
  // What was left over when the loop was closed may have come here, too.
  Context::Current() = Context();
  LoopWait() = nullptr;
  thread_->Finish();
}

}  // namespace loopsan::internal
