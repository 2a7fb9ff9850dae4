#include "runtime/event_loop.h"

#include <cxxabi.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <memory>
#include <typeinfo>

#include "runtime/executor.h"
#include "runtime/internal/debug_mode.h"
#include "runtime/internal/debugger_root.h"
#include "runtime/internal/descriptor_callbacks.h"
#include "runtime/internal/findings.h"
#include "runtime/internal/loop_private.h"
#include "runtime/internal/printable.h"
#include "runtime/internal/process_threads.h"
#include "runtime/internal/ref.h"
#include "runtime/internal/signal_source.h"
#include "runtime/spawn.h"

namespace loopsan {

using internal::Callback;
using internal::DescriptorCallbacks;
using internal::Found;
using internal::Rule;
using internal::Site;
using internal::SiteOf;
using internal::TaskState;
using internal::TimerNode;

namespace {

// While steps are ready, descriptors and timers are looked at only so often: a
// look costs more than many a step. Both bounds are far below what anybody notices.
constexpr uint32_t kStepsPerLook = 64;
constexpr double kSecondsPerLook = 50e-6;

[[noreturn]] void Misuse(Rule rule, const std::string& message, std::source_location here) {
  Found found{.rule = rule, .message = message};
  found.where = SiteOf(here);
  found.task = internal::t_runner.task;
  internal::Report(found);
  throw UsageError(message);
}

// " (held by task 'writer')", or nothing.
std::string HolderOf(const internal::Waiter& waiter, loopsan_task* tasks) {
  const uint64_t holder = waiter.HolderTask();
  if (holder == 0) return "";
  for (loopsan_task* info = tasks; info != nullptr; info = info->next) {
    if (info->id != holder) continue;
    return " (held by task '" + TaskState::FromInfo(info)->DisplayName() + "')";
  }
  return " (held by Task-" + std::to_string(holder) + ", which has ended)";
}

}  // namespace

namespace internal {

void LoopPrivate::CheckCancel(const Callback& callback) {
  callback.loop->CheckUse("CallbackHandle::Cancel",
                          std::bit_cast<std::source_location>(callback.created_at));
}

std::string What(const std::exception_ptr& error) {
  try {
    std::rethrow_exception(error);
  } catch (const std::exception& exception) {
    return exception.what();
  } catch (const CancelledError& cancelled) {
    return cancelled.what();
  } catch (...) {
    return "an exception of an unknown type";
  }
}

void PrintException(const ExceptionContext& context) noexcept try {
  std::string text = "loopsan: " + Printable(context.message);
  if (context.error) text += ": " + Printable(What(context.error));
  if (context.line != 0) {
    text += "\n    made at " + Printable(context.file) + ":" + std::to_string(context.line);
  }
  text += '\n';
  fwrite(text.data(), 1, text.size(), stderr);
} catch (...) {
  // Out of memory; there is no better place to say so.
}

}  // namespace internal

EventLoop& EventLoop::Running() {
  EventLoop* const loop = Current();
  if (loop == nullptr) throw UsageError("no event loop runs on this thread; use Run(Main())");
  return *loop;
}

EventLoop::EventLoop(std::source_location here) : EventLoop(Options{}, here) {}

EventLoop::EventLoop(Options options, std::source_location here)
    : name_(std::move(options.name)),
      port_(options.port != nullptr ? std::move(options.port) : MakeEpollPort()),
      remote_(std::make_shared<internal::RemoteQueue>(port_->waker())),
      owner_(std::this_thread::get_id()),
      maker_(owner_),
      made_at_(SiteOf(here)),
      slow_step_(options.slow_step) {
  info_.name = name_.empty() ? nullptr : name_.c_str();
  info_.kind = "loopsan";
  looks_each_turn_ = port_->IsScripted();
  ticks_per_look_ = static_cast<uint64_t>(kSecondsPerLook * internal::TicksPerSecond());
  if (options.debug.value_or(internal::DebugWanted() || internal::Annotations() != nullptr)) {
    SetDebug(true);
  }
}

EventLoop::~EventLoop() {
  if (!closed_) {
    if (debug_ != nullptr) {
      Found found{.rule = Rule::kUnclosedLoop, .message = {}};
      found.message = (name_.empty() ? "an event loop" : "event loop '" + name_ + "'") +
                      " was destroyed without having been closed";
      found.where = made_at_;
      internal::Report(found);
    }
    try {
      Close();
    } catch (...) {
      HandleException({"the event loop could not be closed", std::current_exception(), "", 0, ""});
    }
  }
}

void EventLoop::ThrowClosed(const char* what) {
  throw UsageError(std::string(what) + ": the event loop is closed");
}

void EventLoop::CheckUseSlowly(const char* what, std::source_location here) const {
  if (closed_) ThrowClosed(what);
  const std::thread::id self = std::this_thread::get_id();
  if (debug_ != nullptr && owner_ != self && (running_ || maker_ != self)) {
    Misuse(Rule::kWrongThread,
           std::string(what) + " was called on a thread that does not run the loop", here);
  }
}

void EventLoop::Adopt(TaskState* task) {
  // The reference that it was made with is the loop's.
  task->info.next = info_.first_task;
  task->info.previous = nullptr;
  if (info_.first_task != nullptr) info_.first_task->previous = &task->info;
  // Readers in signal handlers, and outside, follow the links whenever they like.
  std::atomic_signal_fence(std::memory_order_release);
  info_.first_task = &task->info;
  ++tasks_;
  ready_.Push(task);
  if (!instruments_.empty()) [[unlikely]] {
    TellInstruments([&](Instrument& instrument) { instrument.OnSpawn(StepOf(task, nullptr)); });
  }
}

void EventLoop::Disown(TaskState* task) noexcept {
  if (task->info.previous != nullptr) {
    task->info.previous->next = task->info.next;
  } else {
    info_.first_task = task->info.next;
  }
  if (task->info.next != nullptr) task->info.next->previous = task->info.previous;
  task->info.next = task->info.previous = nullptr;
  --tasks_;
  if (!instruments_.empty()) [[unlikely]] {
    TellInstruments([&](Instrument& instrument) {
      instrument.OnTaskExit(StepOf(task, nullptr), task->error() != nullptr);
    });
  }
  task->Unref();
}

// Steps ---------------------------------------------------------------------------

void EventLoop::BeginStep(TaskState* task, Site created_at) {
  if (debug_ != nullptr) debug_->BeginStep(task, created_at);
  if (!instruments_.empty()) [[unlikely]] {
    EndInstrumentedStep();
    instrumented_task_ = task;
    if (task != nullptr) task->Ref();
    instrumented_site_ = created_at;
    instrumented_open_ = true;
    instrumented_since_ = Now();
    TellInstruments(
        [&](Instrument& instrument) { instrument.OnStepBegin(StepOf(task, created_at)); });
  }
}

void EventLoop::EndInstrumentedStep() {
  if (!instrumented_open_) return;
  instrumented_open_ = false;
  TaskState* const task = std::exchange(instrumented_task_, nullptr);
  const Duration took = Now() - instrumented_since_;
  TellInstruments([&](Instrument& instrument) {
    instrument.OnStepEnd(StepOf(task, instrumented_site_), took);
  });
  if (task != nullptr) task->Unref();
}

Instrument::Step EventLoop::StepOf(const TaskState* task, Site created_at) {
  const Site site = task != nullptr ? task->info.spawned_at : created_at;
  Instrument::Step step{0, {}, "", 0};
  if (task != nullptr) {
    step.task_id = task->info.id;
    if (task->info.name != nullptr) step.task_name = task->info.name;
  }
  if (site != nullptr) {
    step.file = site->file;
    step.line = site->line;
  }
  return step;
}

namespace {

std::string NameOfType(const std::type_info& type) {
  const std::unique_ptr<char, decltype(&free)> name(
      abi::__cxa_demangle(type.name(), nullptr, nullptr, nullptr), &free);
  return name != nullptr ? name.get() : type.name();
}

}  // namespace

template <typename F>
void EventLoop::TellInstruments(const F& tell) noexcept {
  for (size_t i = 0; i < instruments_.size(); ++i) {
    const std::shared_ptr<Instrument> instrument = instruments_[i];
    try {
      tell(*instrument);
    } catch (...) {
      Found found{.rule = Rule::kInstrumentThrew, .message = {}};
      const Instrument& thrower = *instrument;
      found.message = "instrument " + NameOfType(typeid(thrower)) +
                      " threw: " + internal::What(std::current_exception());
      internal::Report(found);
      std::erase(instruments_, instrument);
      --i;
    }
  }
  traced_ = debug_ != nullptr || !instruments_.empty();
}

void EventLoop::AddInstrument(std::shared_ptr<Instrument> instrument, std::source_location here) {
  CheckUse("AddInstrument", here);
  instruments_.push_back(std::move(instrument));
  traced_ = true;
}

void EventLoop::RemoveInstrument(const Instrument* instrument, std::source_location here) {
  CheckUse("RemoveInstrument", here);
  std::erase_if(instruments_, [&](const auto& each) { return each.get() == instrument; });
  traced_ = debug_ != nullptr || !instruments_.empty();
}

void EventLoop::SetDebug(bool on, std::source_location here) {
  CheckUse("SetDebug", here);
  if (on == (debug_ != nullptr)) return;
  if (on) {
    debug_ = std::make_unique<internal::DebugMode>(this);
    if (running_) debug_->BeginRun();
  } else {
    if (running_) debug_->EndRun();
    debug_.reset();
  }
  if (running_) internal::t_runner.debug = on;
  traced_ = on || !instruments_.empty();
}

void EventLoop::SetSlowStep(Duration limit, std::source_location here) {
  CheckUse("SetSlowStep", here);
  slow_step_ = limit;
  if (debug_ != nullptr) debug_->SetSlowStep();
}

// Turns ---------------------------------------------------------------------------

void EventLoop::RunOneTurn() {
  const bool idle = ready_.empty() && !stopping_;
  bool look = idle || looks_each_turn_ || steps_since_look_ >= kStepsPerLook;
  if (!look && (watched_ != 0 || !timers_.empty())) {
    const uint64_t now = internal::Ticks();
    if (debug_ != nullptr) debug_->NoteTicks(now);
    look = now - last_look_ > ticks_per_look_;
  }
  if (look) {
    if (debug_ != nullptr) debug_->EndLastStep();
    Look(idle);
    steps_since_look_ = 0;
    last_look_ = internal::Ticks();
    if (debug_ != nullptr) debug_->NoteTicks(last_look_);
  }
  remote_->MoveTo(ready_);
  if (signals_ != nullptr) signals_->Dispatch();
  // What becomes ready from here on runs in the next turn.
  size_t count = ready_.size();
  steps_since_look_ += static_cast<uint32_t>(std::min<size_t>(count, kStepsPerLook));
  for (; count > 0; --count) {
    internal::ReadyItem* const item = ready_.Pop();
    item->run(item);
  }
  if (traced_) [[unlikely]] {
    if (debug_ != nullptr) debug_->EndTurn();
    EndInstrumentedStep();
  }
}

void EventLoop::Look(bool may_sleep) {
  std::optional<Duration> timeout = Duration::zero();
  if (may_sleep) remote_->LookForItem();
  if (may_sleep && remote_->PrepareToSleep()) {
    timeout.reset();
    if (!timers_.empty()) {
      timeout = std::max(Duration::zero(), timers_.first()->deadline - port_->Now());
    } else if (debug_ != nullptr) {
      CheckLostWakeup();
    }
  }
  if (!instruments_.empty()) [[unlikely]] {
    TellInstruments([&](Instrument& i) { i.OnIdleBegin(timeout.value_or(Duration(-1))); });
  }
  std::array<EventPort::Ready, 256> ready;
  const size_t count = port_->Wait(timeout, ready);
  if (may_sleep) remote_->Awake();
  if (!instruments_.empty()) [[unlikely]] {
    TellInstruments([&](Instrument& i) { i.OnIdleEnd(); });
  }
  for (size_t i = 0; i < count; ++i) ready[i].listener->OnReady(ready[i].events);
  if (!timers_.empty()) {
    const Time now = port_->Now();
    while (!timers_.empty() && timers_.first()->deadline <= now) {
      TimerNode* const node = timers_.first();
      timers_.Remove(node);
      node->fire(node);
    }
  }
}

// Nothing is ready, no timer is set, no descriptor or signal is watched, nobody outside
// holds a way in, and no other thread can use the loop itself: whoever waits now, waits for ever.
void EventLoop::CheckLostWakeup() {
  if (watched_ != 0 || tasks_ == 0 || lost_wakeup_looks_ == 0 || remote_.use_count() > 1) return;
  --lost_wakeup_looks_;
  if (!internal::IsOnlyActiveThread(executor_.get())) return;
  // Somebody may have used his way in, and gone, since the loop looked.
  if (remote_->HasItem()) return;
  lost_wakeup_looks_ = 0;
  lost_wakeup_told_ = true;
  for (loopsan_task* info = info_.first_task; info != nullptr; info = info->next) {
    const TaskState* const task = TaskState::FromInfo(info);
    if (task->waiting_on == nullptr || task->waiting_on->AwaitedTask() != nullptr) continue;
    Found found{.rule = Rule::kLostWakeup, .message = {}};
    found.task = task;
    found.where = info->innermost != nullptr ? info->innermost->awaiting_at : nullptr;
    found.message =
        "task '" + task->DisplayName() + "' waits for " +
        internal::WithArticle(info->waiting_for != nullptr ? info->waiting_for : "wake-up") +
        HolderOf(*task->waiting_on, info_.first_task) +
        " that nobody is left to give: nothing is ready, no timer is set, and no "
        "descriptor, signal or other thread can wake the loop";
    internal::Report(found);
  }
}

void EventLoop::RunTurns(const TaskState* until) {
  while (!stopping_ && (until == nullptr || !until->done())) RunOneTurn();
}

void EventLoop::TakeOver(std::source_location here) {
  if (closed_) ThrowClosed("running it");
  if (running_ || internal::t_runner.loop != nullptr) {
    Misuse(Rule::kNestedRun,
           running_ ? "this event loop is already running"
                    : "another event loop is running on this thread: co_await the task there, or "
                      "run this loop on a thread of its own",
           here);
  }
  owner_ = std::this_thread::get_id();
}

void EventLoop::RunUntil(TaskState* until, std::source_location here) {
  TakeOver(here);
  internal::Runner& runner = internal::t_runner;
  struct Restore {
    EventLoop* loop;
    ~Restore() {
      if (loop->debug_ != nullptr) loop->debug_->EndRun();
      loop->EndInstrumentedStep();
      internal::t_runner.loop = nullptr;
      internal::t_runner.debug = false;
      loop->running_ = false;
      loop->remote_->NoteStopped();
    }
  };
  running_ = true;
  remote_->NoteRunning();
  stopping_ = false;
  runner.loop = this;
  runner.debug = debug_ != nullptr;
  const Restore restore{this};
  const internal::DebuggerRoot debugger_root(&info_.root);
  if (debug_ != nullptr) debug_->BeginRun();
  RunTurns(until);
  if (until != nullptr && !until->done()) {
    throw UsageError("the event loop was stopped before its task was done");
  }
}

void EventLoop::RunForever(std::source_location here) { RunUntil(nullptr, here); }

void EventLoop::Stop(std::source_location here) {
  CheckUse("Stop", here);
  stopping_ = true;
}

Task<> EventLoop::CancelAll() {
  std::vector<internal::RefPtr<TaskState>> others;
  for (loopsan_task* info = info_.first_task; info != nullptr; info = info->next) {
    TaskState* const task = TaskState::FromInfo(info);
    if (task != internal::t_runner.task) others.emplace_back(task);
  }
  for (const auto& task : others) task->Cancel();
  for (const auto& task : others) {
    {
      internal::JoinAwaiter join(task.get(), false);
      co_await join;
    }
    if (task->error() != nullptr && !task->cancelled()) {
      task->MarkRetrieved();
      HandleException({"a task failed while it was being cancelled", task->error(),
                       task->info.spawned_at->file, task->info.spawned_at->line,
                       task->DisplayName()});
    }
  }
}

void EventLoop::AtClose(std::function<void()> cleanup, std::source_location here) {
  CheckUse("AtClose", here);
  at_close_.push_back(std::move(cleanup));
}

void EventLoop::Close(std::source_location here) {
  if (closed_) return;
  CheckUse("Close", here);
  if (running_) throw UsageError("a running event loop cannot be closed: Stop() it first");
  remote_->NoteClosing();  // threads that wait for it must let the executor end
  while (!at_close_.empty()) {
    const std::function<void()> cleanup = std::move(at_close_.back());
    at_close_.pop_back();
    cleanup();
  }
  if (executor_ != nullptr) executor_->Shutdown();
  remote_->Close(ready_);
  closed_ = true;
  StopDumping();
  while (!ready_.empty()) {
    internal::ReadyItem* const item = ready_.Pop();
    if (item->run == &TaskState::RunStep) continue;
    auto* const callback = static_cast<Callback*>(item);
    callback->cancelled_ = true;
    callback->Unref();
  }
  DestroyTasks();
  while (internal::LoopResource* resource = resources_.PopFront()) resource->OnLoopClosed();
  while (!ready_.empty()) ready_.Pop();  // tasks that the destroyed ones woke
  while (!timers_.empty()) {
    TimerNode* const node = timers_.first();
    timers_.Remove(node);
    if (node->fire != &Callback::Fire) continue;
    auto* const callback = static_cast<Callback*>(node);
    if (debug_ != nullptr) {
      Found found{.rule = Rule::kUnclosedTimer,
                  .message = "a timer was still set when its loop was closed"};
      found.where = callback->created_at;
      internal::Report(found);
    }
    callback->cancelled_ = true;
    callback->Unref();
  }
  for (auto& [fd, callbacks] : descriptors_) port_->Remove(fd);
  descriptors_.clear();
  signals_.reset();
}

// What is left has no loop to run on: its coroutines are destroyed where they stand.
void EventLoop::DestroyTasks() {
  std::vector<TaskState*> left;
  for (loopsan_task* info = info_.first_task; info != nullptr; info = info->next) {
    left.push_back(TaskState::FromInfo(info));
  }
  for (TaskState* task : left) {
    if (debug_ == nullptr || task->done()) continue;
    const bool waits = task->waiting_on != nullptr;
    Found found{.rule = waits ? Rule::kDestroyedPending : Rule::kLeakedAtClose, .message = {}};
    found.task = task;
    found.where = waits && task->info.innermost != nullptr ? task->info.innermost->awaiting_at
                                                           : task->info.spawned_at;
    found.message = "task '" + task->DisplayName() + "' was " +
                    (waits ? "waiting for " + internal::WithArticle(task->info.waiting_for)
                           : std::string("ready to run")) +
                    " when its loop was closed, and is destroyed";
    internal::Report(found);
  }
  // All first: what lies in one coroutine may, in its destructor, cancel or wake another.
  for (TaskState* task : left) task->Ref();
  for (TaskState* task : left) task->Abandon();
  for (TaskState* task : left) task->Destroy();
  while (!ready_.empty()) ready_.Pop();
  for (TaskState* task : left) {
    while (internal::Waiter* joiner = task->joiners.front()) joiner->Unlink();
    Disown(task);
    task->Unref();
  }
}

// Descriptors and signals -----------------------------------------------------------

void EventLoop::Watch(int fd, uint32_t events, DescriptorListener* listener,
                      std::source_location here) {
  CheckUse("Watch", here);
  if (debug_ != nullptr) CheckDescriptor(fd);
  port_->Add(fd, events, listener);
  ++watched_;
}

void EventLoop::Rewatch(int fd, uint32_t events, DescriptorListener* listener,
                        std::source_location here) {
  CheckUse("Rewatch", here);
  port_->Modify(fd, events, listener);
}

void EventLoop::Unwatch(int fd) noexcept {
  if (debug_ != nullptr && !closed_) {
    try {
      CheckUseSlowly("Unwatch", std::source_location::current());
    } catch (const UsageError&) {
      return;  // it is reported; destructors come here, too, which must not throw
    }
  }
  port_->Remove(fd);
  --watched_;
}

void EventLoop::CheckDescriptor(int fd) const {
  const int flags = fcntl(fd, F_GETFL);
  if (flags < 0 || (flags & O_NONBLOCK) != 0) return;
  Found found{.rule = Rule::kBlockingDescriptor,
              .message = "descriptor " + std::to_string(fd) + " is watched but may block"};
  found.task = internal::t_runner.task;
  const loopsan_async_frame* const frame =
      internal::t_runner.root != nullptr ? internal::t_runner.root->top_frame : nullptr;
  found.where = frame != nullptr ? frame->defined_at : nullptr;
  internal::Report(found);
}

DescriptorCallbacks& EventLoop::CallbacksOf(int fd) {
  std::unique_ptr<DescriptorCallbacks>& callbacks = descriptors_[fd];
  if (callbacks == nullptr) callbacks = std::make_unique<DescriptorCallbacks>(this, fd);
  return *callbacks;
}

bool EventLoop::RemoveCallback(
    int fd, std::shared_ptr<DescriptorCallbacks::Direction> DescriptorCallbacks::* which) {
  const auto found = descriptors_.find(fd);
  if (found == descriptors_.end()) return false;
  const bool was_there = found->second->Clear(which);
  if (found->second->empty()) descriptors_.erase(found);
  return was_there;
}

void EventLoop::AddReader(int fd, std::function<void()> callback, std::source_location here) {
  CheckUse("AddReader", here);
  CallbacksOf(fd).Set(&DescriptorCallbacks::reader, std::move(callback), SiteOf(here));
}

void EventLoop::AddWriter(int fd, std::function<void()> callback, std::source_location here) {
  CheckUse("AddWriter", here);
  CallbacksOf(fd).Set(&DescriptorCallbacks::writer, std::move(callback), SiteOf(here));
}

bool EventLoop::RemoveReader(int fd, std::source_location here) {
  CheckUse("RemoveReader", here);
  return RemoveCallback(fd, &DescriptorCallbacks::reader);
}

bool EventLoop::RemoveWriter(int fd, std::source_location here) {
  CheckUse("RemoveWriter", here);
  return RemoveCallback(fd, &DescriptorCallbacks::writer);
}

void EventLoop::AddSignalHandler(int signal, std::function<void()> callback,
                                 std::source_location here) {
  CheckUse("AddSignalHandler", here);
  if (signals_ == nullptr) {
    signals_ = std::make_unique<internal::SignalSource>(this, port_->waker());
  }
  const size_t before = signals_->size();
  signals_->Add(signal, std::move(callback), SiteOf(here));
  watched_ += signals_->size() - before;
}

bool EventLoop::RemoveSignalHandler(int signal, std::source_location here) {
  CheckUse("RemoveSignalHandler", here);
  if (signals_ == nullptr || !signals_->Remove(signal)) return false;
  --watched_;
  return true;
}

// Errors -----------------------------------------------------------------------------

void EventLoop::SetExceptionHandler(std::function<void(const ExceptionContext&)> handler,
                                    std::source_location here) {
  CheckUse("SetExceptionHandler", here);
  exception_handler_ = std::move(handler);
}

void EventLoop::HandleException(ExceptionContext context) noexcept {
  if (exception_handler_) {
    try {
      exception_handler_(context);
      return;
    } catch (...) {
      context.message += " (and the exception handler threw)";
    }
  }
  internal::PrintException(context);
}

}  // namespace loopsan
