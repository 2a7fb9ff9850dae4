#include "runtime/internal/deadlock_watch.h"

#include <pthread.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <unordered_map>
#include <utility>
#include <vector>

#include "runtime/executor.h"
#include "runtime/internal/blocked_thread.h"
#include "runtime/internal/findings.h"
#include "runtime/internal/loop_private.h"
#include "runtime/internal/process_threads.h"
#include "runtime/internal/stack_walk.h"
#include "runtime/internal/task_state.h"
#include "runtime/internal/wait_graph.h"

namespace loopsan::internal {

namespace {

constexpr std::chrono::milliseconds kLookEvery{250};
// A circle that is seen for so long is told. Before, a cancellation may end it.
constexpr std::chrono::milliseconds kLasts{250};
// When a thread begins to wait: it takes two looks to see a circle, and one more for what comes
// about a moment later.
constexpr std::chrono::milliseconds kQuickLookEvery{10};
constexpr int kQuickLooks = 3;
// A function that has slept for so long, while others have waited for its thread as long.
constexpr std::chrono::seconds kStuck{1};

thread_local uint32_t t_running = 0;  // watched functions, one inside the other

WaitGraph::Thread ThisThread() {
  char name[16] = {};
  pthread_getname_np(pthread_self(), name, sizeof name);
  return {gettid(), name};
}

// A task that its loop is asked about. Only the loop's thread looks at it: it is there as long
// as the loop is open and its call, or wait, is watched.
struct Asked {
  LoopHandle loop;
  const TaskState* task;
};

// A task that closed a circle of tasks, by its number. Its loop may go, and is not kept from
// seeing that nobody can wake it.
struct Closer {
  EventLoop* loop;  // an address only
  std::weak_ptr<RemoteQueue> queue;
  bool reported = false;
};

struct Sleeper {
  EndlessSleep sleep;
  Time since;
  bool told = false;
};

struct State {
  std::mutex mutex;
  std::condition_variable changed;
  WaitGraph graph;
  std::unordered_map<uint64_t, Asked> asked;  // by call or wait
  std::map<uint64_t, Closer> closers;         // by task
  uint64_t last_id = 0;
  uint64_t look = 0;
  Time last_look{};
  bool watching = false;
  int quick_looks = 0;  // still to be made
  Time next_quick_looks{};
  std::map<WaitGraph::Node, Time> stuck;           // members of circles, and since when
  std::set<uint64_t> reported;                     // calls and waits
  std::unordered_map<uint64_t, Sleeper> sleepers;  // by call
};

std::atomic<State*> g_state{nullptr};
std::atomic<uint64_t> g_generation{0};

// A forked child has neither the watching thread nor those that it watched.
State& TheState() {
  State* state = g_state.load(std::memory_order_acquire);
  const uint64_t generation = ForkGeneration();
  if (state != nullptr && g_generation.load(std::memory_order_relaxed) == generation) return *state;
  auto* const made = new State;
  if (!g_state.compare_exchange_strong(state, made, std::memory_order_acq_rel)) {
    delete made;
    return *state;
  }
  g_generation.store(generation, std::memory_order_relaxed);
  return *made;
}

// ---- what the loops say -----------------------------------------------------------------

// A time limit of the task, or of one that waits for it, may cancel it.
bool IsUnderLimit(const TaskState* task) {
  std::set<const TaskState*> seen{task};
  std::vector<const TaskState*> open{task};
  while (!open.empty()) {
    const TaskState* const each = open.back();
    open.pop_back();
    if (each->time_limits != 0) return true;
    for (Waiter* joiner = each->joiners.front(); joiner != nullptr;
         joiner = each->joiners.After(joiner)) {
      const TaskState* const waiting = joiner->WaitingTask();
      if (waiting != nullptr && seen.insert(waiting).second) open.push_back(waiting);
    }
  }
  return false;
}

// What the task needs, all of it.
std::vector<const TaskState*> NeededBy(const TaskState* task) {
  std::vector<const TaskState*> needed;
  task->waiting_on->AppendAwaited(needed);
  if (const TaskState* const holder = task->waiting_on->Holder()) needed.push_back(holder);
  return needed;
}

// By however many others.
bool WaitsFor(const TaskState* from, const TaskState* to) {
  std::set<const TaskState*> seen{from};
  std::vector<const TaskState*> open{from};
  while (!open.empty()) {
    const TaskState* const task = open.back();
    open.pop_back();
    if (task->waiting_on == nullptr) continue;
    for (const TaskState* each : NeededBy(task)) {
      if (each == to) return true;
      if (seen.insert(each).second) open.push_back(each);
    }
  }
  return false;
}

// The task, and those that it needs.
void TellTask(State& state, const TaskState* root) {
  std::vector<const TaskState*> open{root};
  while (!open.empty()) {
    const TaskState* const task = open.back();
    open.pop_back();
    WaitGraph::Task& told = state.graph.tasks()[task->info.id];
    if (told.told == state.look) continue;
    told = WaitGraph::Task();
    told.told = state.look;
    told.name = task->DisplayName();
    told.goes_on = task->waiting_on == nullptr || task->waiting_on->HasTimeLimit();
    told.limited = IsUnderLimit(task);
    if (told.goes_on) continue;
    const loopsan_async_frame* const frame = task->info.innermost;
    told.where = frame != nullptr ? frame->awaiting_at : nullptr;
    if (task->info.waiting_for != nullptr) told.waits_for = task->info.waiting_for;
    told.object = task->info.waiting_object;
    for (const TaskState* each : NeededBy(task)) {
      told.tasks.push_back(each->info.id);
      open.push_back(each);
    }
  }
}

// On the loop's thread.
void Tell(uint64_t id) try {
  State& state = TheState();
  const std::lock_guard lock(state.mutex);
  const auto asked = state.asked.find(id);
  if (asked == state.asked.end()) return;
  if (WaitGraph::Call* const call = state.graph.FindCall(id)) {
    call->limited = IsUnderLimit(asked->second.task);
    call->told = state.look;
  } else {
    TellTask(state, asked->second.task);
  }
} catch (...) {
  // Out of memory: a task of which nothing is known goes on.
}

// On the loop's thread. A task that is in no circle any more is forgotten.
void TellCloser(uint64_t id) try {
  const TaskState* task = nullptr;
  const EventLoop& loop = EventLoop::Running();
  for (loopsan_task* info = LoopPrivate::info(loop).first_task; info != nullptr;
       info = info->next) {
    if (info->id == id) task = TaskState::FromInfo(info);
  }
  State& state = TheState();
  const std::lock_guard lock(state.mutex);
  if (task == nullptr || LoopPrivate::lost_wakeup_told(loop) || !WaitsFor(task, task)) {
    state.closers.erase(id);
  } else {
    TellTask(state, task);
  }
} catch (...) {
}

void AskClosers(State& state) {
  for (auto each = state.closers.begin(); each != state.closers.end();) {
    const std::shared_ptr<RemoteQueue> queue = each->second.queue.lock();
    const auto tell = [id = each->first] { TellCloser(id); };
    auto* const callback = new CallbackOf<decltype(tell)>(each->second.loop, nullptr, tell);
    if (queue != nullptr && queue->Push(callback)) {
      ++each;
    } else {
      callback->Unref();
      each = state.closers.erase(each);
    }
  }
}

// For the next look: the tasks of all waits, and of the functions that wait there.
void AskLoops(State& state) {
  std::set<uint64_t> ids;
  for (const auto& [id, wait] : state.graph.waits()) {
    ids.insert(id);
    if (wait.function != 0) ids.insert(wait.function);
  }
  for (const uint64_t id : ids) {
    const auto asked = state.asked.find(id);
    if (asked != state.asked.end()) asked->second.loop.CallSoon([id] { Tell(id); });
  }
  AskClosers(state);
}

// ---- what is said ---------------------------------------------------------------------------

Found DescribeCircle(const WaitGraph& graph, const WaitGraph::Circle& circle) {
  Found found{.rule = Rule::kDeadlock, .message = {}};
  found.message = "none of these " + std::to_string(circle.nodes.size() - circle.others) +
                  " can go on unless one is cancelled: each waits for the next, and the last for "
                  "the first";
  if (circle.others != 0) {
    found.message += "; nor can the " + std::to_string(circle.others) + " that are needed besides";
  }
  for (const WaitGraph::Node& node : circle.nodes) {
    FoundMember member{graph.Describe(circle, node), graph.PlaceOf(node), graph.StackOf(node)};
    if (found.where == nullptr) found.where = member.where;
    found.members.push_back(std::move(member));
  }
  return found;
}

// What is in no circle at one look begins anew.
void NoteStuck(State& state, const std::vector<WaitGraph::Circle>& circles, Time now) {
  std::map<WaitGraph::Node, Time> stuck;
  for (const WaitGraph::Circle& circle : circles) {
    for (const WaitGraph::Node& node : circle.nodes) {
      const auto before = state.stuck.find(node);
      stuck.emplace(node, before != state.stuck.end() ? before->second : now);
    }
  }
  state.stuck = std::move(stuck);
}

std::vector<Found> FindDeadlocks(State& state) {
  std::vector<Found> all;
  const Time now = Clock::now();
  const std::vector<WaitGraph::Circle> circles =
      state.graph.FindCircles(state.look, state.last_look, OwnerOfAwaitedMutex);
  NoteStuck(state, circles, now);
  for (const WaitGraph::Circle& circle : circles) {
    const bool lasts = std::all_of(
        circle.nodes.begin(), circle.nodes.end(),
        [&](const WaitGraph::Node& node) { return now - state.stuck.at(node) >= kLasts; });
    if (!lasts) continue;
    bool is_new = false;
    for (const WaitGraph::Node& node : circle.nodes) {
      if (node.kind != WaitGraph::Node::Kind::kTask) {
        is_new |= state.reported.insert(node.id).second;
      } else if (const auto closer = state.closers.find(node.id); closer != state.closers.end()) {
        is_new |= !std::exchange(closer->second.reported, true);
      }
    }
    if (is_new) all.push_back(DescribeCircle(state.graph, circle));
  }
  return all;
}

// Nobody can tell whether one of those who wait for the thread is to wake the function.
Found DescribeStuck(const WaitGraph& graph, const WaitGraph::Busy& busy, Time now) {
  const WaitGraph::Call& call = graph.call(busy.running);
  const std::string function = call.name.empty() ? "the function" : "function '" + call.name + "'";
  Found found{.rule = Rule::kExecutorStuck, .message = {}};
  found.where = call.called_at;
  found.seconds = std::chrono::duration<double>(now - call.since).count();
  found.message =
      function + " has run for " + std::to_string(static_cast<int>(found.seconds)) +
      " s on thread '" + call.thread->name + "' and sleeps there without a time limit, and " +
      std::to_string(busy.queued.size()) + (busy.queued.size() == 1 ? " waits" : " wait") +
      " for the same thread: if that is who must wake it, this never ends";
  found.members.push_back(
      {function + " sleeps on thread '" + call.thread->name + "'", call.called_at, {}});
  for (const uint64_t id : busy.queued) {
    const WaitGraph::Call& queued = graph.call(id);
    const std::string name =
        queued.name.empty() ? "the function" : "function '" + queued.name + "'";
    found.members.push_back({name + " waits for that thread", queued.called_at, {}});
  }
  return found;
}

// What sleeps is believed only once it has not woken up for as long.
void FindStuck(State& state, std::vector<Found>& all) {
  const Time now = Clock::now();
  std::unordered_map<uint64_t, Sleeper> sleepers;
  for (const WaitGraph::Busy& busy : state.graph.FindBusy(state.last_look)) {
    const std::optional<EndlessSleep> sleep = SleepOf(state.graph.call(busy.running).thread->tid);
    if (!sleep) continue;
    const auto before = state.sleepers.find(busy.running);
    Sleeper sleeper{*sleep, now};
    if (before != state.sleepers.end() && before->second.sleep == *sleep) sleeper = before->second;
    if (!sleeper.told && now - sleeper.since >= kStuck) {
      sleeper.told = true;
      all.push_back(DescribeStuck(state.graph, busy, now));
    }
    sleepers.emplace(busy.running, sleeper);
  }
  state.sleepers = std::move(sleepers);
}

// ---- the watching thread ----------------------------------------------------------------------

void Look(State& state) try {
  std::vector<Found> found;
  {
    const std::lock_guard lock(state.mutex);
    found = FindDeadlocks(state);
    FindStuck(state, found);
    state.graph.tasks().clear();  // they are told anew
    ++state.look;
    state.last_look = Clock::now();
    AskLoops(state);
  }
  // Whoever is told may make calls, and wait.
  for (const Found& each : found) Report(each);
} catch (...) {
  // Out of memory: the next look may see it.
}

void Watch(State* state) {
  pthread_setname_np(pthread_self(), "loopsan-watch");
  std::unique_lock lock(state->mutex);
  for (;;) {
    const bool quick = state->quick_looks > 0;
    const bool hurried =
        quick ? state->changed.wait_for(lock, kQuickLookEvery, [] { return false; })
              : state->changed.wait_for(lock, kLookEvery, [&] { return state->quick_looks > 0; });
    if (hurried) continue;
    if (quick) --state->quick_looks;
    if (state->graph.empty() && state->closers.empty()) {
      if (quick) continue;
      state->watching = false;
      return;
    }
    lock.unlock();
    Look(*state);
    lock.lock();
  }
}

// REQUIRES: the mutex is held.
void StartWatching(State& state) {
  if (std::exchange(state.watching, true)) return;
  try {
    std::thread(Watch, &state).detach();
  } catch (...) {
    state.watching = false;
    throw;
  }
}

// REQUIRES: the mutex is held. At most so often: a program may wait ten thousand times a second.
void LookSoon(State& state, Time now) {
  if (now < state.next_quick_looks) return;
  state.next_quick_looks = now + kLookEvery;
  state.quick_looks = kQuickLooks;
  state.changed.notify_one();
}

}  // namespace

void WatchTaskWait(const TaskState* task, const TaskState* needed) noexcept try {
  if (task == nullptr || needed == nullptr || needed->waiting_on == nullptr) return;
  // Most wait for no task.
  if (needed->waiting_on->AwaitedTask() == nullptr && needed->waiting_on->Holder() == nullptr) {
    return;
  }
  if (!WaitsFor(needed, task)) return;
  State& state = TheState();
  const std::lock_guard lock(state.mutex);
  // Another circle, if it was in one before.
  state.closers[task->info.id] = Closer{task->loop, LoopPrivate::lifeline(*task->loop)};
  state.stuck.erase({WaitGraph::Node::Kind::kTask, task->info.id});
  LookSoon(state, Clock::now());
  StartWatching(state);
} catch (...) {
  // Out of memory or of threads: it is not watched.
}

void WatchedCall::Queue(const Executor& executor, Site called_at, const char* name,
                        const void* awaited) noexcept try {
  End();
  State& state = TheState();
  WaitGraph::Call call;
  call.executor = &executor;
  call.executor_name = executor.name();
  call.threads = executor.most_threads();
  call.called_at = called_at;
  if (name != nullptr) call.name = name;
  call.object = awaited;
  call.since = Clock::now();
  const TaskState* const task = awaited == nullptr ? t_runner.task : nullptr;
  if (task != nullptr) call.task = task->info.id;
  const std::lock_guard lock(state.mutex);
  id_ = ++state.last_id;
  if (task != nullptr) state.asked.emplace(id_, Asked{task->loop->Handle(), task});
  state.graph.AddCall(id_, std::move(call));
  StartWatching(state);
} catch (...) {
  // Out of memory or of threads: it is not watched.
}

void WatchedCall::Run() noexcept try {
  if (id_ == 0) return;
  runs_ = true;
  ++t_running;
  State& state = TheState();
  WaitGraph::Thread thread = ThisThread();
  const Time now = Clock::now();
  const std::lock_guard lock(state.mutex);
  state.graph.BeginCall(id_, std::move(thread), now);
} catch (...) {
}

void WatchedCall::End() noexcept {
  if (id_ == 0) return;
  if (std::exchange(runs_, false)) --t_running;
  State& state = TheState();
  const std::lock_guard lock(state.mutex);
  state.graph.RemoveCall(id_);
  state.asked.erase(id_);
  state.reported.erase(id_);
}

bool WatchedCall::RunsHere() noexcept { return t_running != 0; }

void WatchedWait::Begin(const Executor& serves, uint64_t function, Site called_at) noexcept try {
  State& state = TheState();
  void* stack[kWalkedFrames];
  WaitGraph::Wait wait;
  wait.serves = &serves;
  wait.function = function;
  wait.called_at = called_at;
  wait.thread = ThisThread();
  wait.stack.assign(stack, stack + WalkStack(stack, kWalkedFrames));
  wait.since = Clock::now();
  const std::lock_guard lock(state.mutex);
  id_ = ++state.last_id;
  LookSoon(state, wait.since);
  state.graph.AddWait(id_, std::move(wait));
  StartWatching(state);
} catch (...) {
}

void WatchedWait::SetTask(TaskState* task) noexcept try {
  if (id_ == 0) return;
  State& state = TheState();
  const std::lock_guard lock(state.mutex);
  state.asked.erase(id_);
  WaitGraph::Wait* const wait = state.graph.FindWait(id_);
  if (wait == nullptr) return;
  wait->task = task != nullptr ? task->info.id : 0;
  if (task != nullptr) state.asked.emplace(id_, Asked{task->loop->Handle(), task});
} catch (...) {
  // Out of memory: it is not asked about.
}

void WatchedWait::End() noexcept {
  if (id_ == 0) return;
  State& state = TheState();
  const std::lock_guard lock(state.mutex);
  state.graph.RemoveWait(id_);
  state.asked.erase(id_);
  state.reported.erase(id_);
}

}  // namespace loopsan::internal
