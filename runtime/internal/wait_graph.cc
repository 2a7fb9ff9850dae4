#include "runtime/internal/wait_graph.h"

#include <algorithm>
#include <utility>

#include "runtime/internal/findings.h"

namespace loopsan::internal {

void WaitGraph::AddCall(uint64_t id, Call call) {
  if (call.task != 0) call_of_task_[call.task] = id;
  if (call.object != nullptr) call_of_object_[call.object] = id;
  calls_.emplace(id, std::move(call));
}

void WaitGraph::BeginCall(uint64_t id, Thread thread, Time now) {
  Call* const call = FindCall(id);
  if (call == nullptr) return;
  call->thread = std::move(thread);
  call->since = now;
  running_[call->executor].insert(id);
}

void WaitGraph::RemoveCall(uint64_t id) {
  const auto found = calls_.find(id);
  if (found == calls_.end()) return;
  const Call& call = found->second;
  // A task, or an object's address, may belong to another call by now.
  const auto forget = [id](auto& index, const auto& key) {
    const auto entry = index.find(key);
    if (entry != index.end() && entry->second == id) index.erase(entry);
  };
  forget(call_of_task_, call.task);
  forget(call_of_object_, call.object);
  if (call.thread) {
    const auto running = running_.find(call.executor);
    running->second.erase(id);
    if (running->second.empty()) running_.erase(running);
  }
  calls_.erase(found);
}

WaitGraph::Call* WaitGraph::FindCall(uint64_t id) {
  const auto found = calls_.find(id);
  return found != calls_.end() ? &found->second : nullptr;
}

WaitGraph::Wait* WaitGraph::FindWait(uint64_t id) {
  const auto found = waits_.find(id);
  return found != waits_.end() ? &found->second : nullptr;
}

// Each rule says "needs all of these": what can go on is what needs nothing that is known, and
// all that, by however many steps, needs one that can.
class WaitGraph::Search {
 public:
  Search(const WaitGraph& graph, uint64_t look, Time since, const OwnerOfLock& owner_of_lock)
      : graph_(graph), look_(look), since_(since), owner_of_lock_(owner_of_lock) {
    for (const auto& [id, wait] : graph.waits_) {
      innermost_[wait.thread.tid] = id;  // in the order of the numbers
      if (wait.function != 0) wait_of_function_[wait.function] = id;
    }
    for (const auto& [id, wait] : graph.waits_) Explore({Node::Kind::kWait, id});
    for (const auto& [id, task] : graph.tasks_) Explore({Node::Kind::kTask, id});
    FreeWhatLimitsReach();
    Spread();
  }

  std::vector<Circle> Circles() const {
    std::vector<Circle> circles;
    std::set<Node> seen;
    for (const auto& [start, needs] : needs_) {
      if (free_.contains(start) || seen.contains(start)) continue;
      std::vector<Node> path;
      Node node = start;
      // Its first need, then that one's: it must come back to where it was.
      while (!seen.contains(node)) {
        seen.insert(node);
        path.push_back(node);
        node = needs_.at(node).front();
      }
      const auto begin = std::find(path.begin(), path.end(), node);
      if (begin == path.end()) continue;  // it runs into one that was found before
      Circle circle{{begin, path.end()}};
      AppendOthers(circle, seen);
      NoteLocks(circle);
      circles.push_back(std::move(circle));
    }
    return circles;
  }

 private:
  // What the circle needs besides: the other threads of a pool. Behind each what it waits for.
  void AppendOthers(Circle& circle, std::set<Node>& seen) const {
    std::set<Node> listed(circle.nodes.begin(), circle.nodes.end());
    for (size_t i = 0; i < circle.nodes.size(); ++i) {
      const std::vector<Node>& needs = needs_.at(circle.nodes[i]);
      for (Node other : needs) {
        while (listed.insert(other).second) {
          circle.nodes.push_back(other);
          ++circle.others;
          seen.insert(other);
          other = needs_.at(other).front();
        }
      }
    }
  }

  void NoteLocks(Circle& circle) const {
    for (const Node& node : circle.nodes) {
      if (node.kind != Node::Kind::kCall) continue;
      const auto sleeps = sleeps_.find(node.id);
      if (sleeps != sleeps_.end()) circle.locks.insert(*sleeps);
    }
  }

  void Explore(const Node& start) {
    std::vector<Node> open{start};
    while (!open.empty()) {
      const Node node = open.back();
      open.pop_back();
      if (needs_.contains(node)) continue;
      std::vector<Node> needs = NeedsOf(node);
      if (needs.empty()) free_.insert(node);
      for (const Node& need : needs) {
        needed_by_[need].push_back(node);
        open.push_back(need);
      }
      needs_.emplace(node, std::move(needs));
    }
  }

  // Nothing: it can go on.
  std::vector<Node> NeedsOf(const Node& node) {
    switch (node.kind) {
      case Node::Kind::kTask:
        return NeedsOfTask(node.id);
      case Node::Kind::kCall:
        return NeedsOfCall(graph_.calls_.at(node.id), node.id);
      case Node::Kind::kWait: {
        const Wait& wait = graph_.waits_.at(node.id);
        if (wait.task == 0 || wait.since > since_) return {};
        return {{Node::Kind::kTask, wait.task}};
      }
    }
    return {};
  }

  const Task* Told(uint64_t id) const {
    const auto found = graph_.tasks_.find(id);
    return found != graph_.tasks_.end() && found->second.told == look_ ? &found->second : nullptr;
  }

  std::optional<uint64_t> CallOf(uint64_t id, const Task& task) const {
    if (const auto call = graph_.call_of_task_.find(id); call != graph_.call_of_task_.end()) {
      return call->second;
    }
    const auto call = graph_.call_of_object_.find(task.object);
    if (call == graph_.call_of_object_.end()) return std::nullopt;
    return call->second;
  }

  std::vector<Node> NeedsOfTask(uint64_t id) const {
    const Task* const task = Told(id);
    if (task == nullptr || task->goes_on) return {};
    if (const auto call = CallOf(id, *task)) return {{Node::Kind::kCall, *call}};
    std::vector<Node> needs;
    needs.reserve(task->tasks.size());
    for (const uint64_t needed : task->tasks) needs.push_back({Node::Kind::kTask, needed});
    return needs;
  }

  std::vector<Node> NeedsOfCall(const Call& call, uint64_t id) {
    if (call.since > since_) return {};
    return call.thread ? NeedsOfThread(*call.thread, id) : NeedsOfQueued(call);
  }

  // The thread runs function `call`. Numbers grow: a wait inside it has a higher one.
  std::vector<Node> NeedsOfThread(const Thread& thread, uint64_t call) {
    if (const uint64_t wait = InnermostWait(thread.tid); wait > call) {
      return {{Node::Kind::kWait, wait}};
    }
    // Does it sleep for a mutex of a thread that waits here? That may be the same one: it runs
    // the function while it waits, further out, and holds the mutex.
    const pid_t owner = owner_of_lock_(thread.tid);
    if (owner == 0) return {};
    const uint64_t wait = InnermostWait(owner);
    if (wait == 0) return {};
    sleeps_.emplace(call, graph_.waits_.at(wait).thread);
    if (owner == thread.tid) return {{Node::Kind::kWait, wait}};
    // What the thread runs meanwhile may be what holds it.
    const uint64_t running = InnermostCall(owner);
    if (running > wait) return {{Node::Kind::kCall, running}};
    return {{Node::Kind::kWait, wait}};
  }

  // 0: it does not wait.
  uint64_t InnermostWait(pid_t tid) const {
    const auto found = innermost_.find(tid);
    return found != innermost_.end() ? found->second : 0;
  }

  // 0: it runs none.
  uint64_t InnermostCall(pid_t tid) const {
    uint64_t innermost = 0;
    for (const auto& [executor, running] : graph_.running_) {
      for (const uint64_t id : running) {
        if (graph_.calls_.at(id).thread->tid == tid) innermost = std::max(innermost, id);
      }
    }
    return innermost;
  }

  std::vector<Node> NeedsOfQueued(const Call& queued) const {
    const auto running = graph_.running_.find(queued.executor);
    if (running != graph_.running_.end()) {
      if (running->second.size() != queued.threads) return {};
      std::vector<Node> needs;
      for (const uint64_t id : running->second) needs.push_back({Node::Kind::kCall, id});
      return needs;
    }
    // A waiting thread runs what is sent to it, unless it waits again, further in.
    for (const auto& [id, wait] : graph_.waits_) {
      if (wait.serves != queued.executor) continue;
      const uint64_t innermost = InnermostWait(wait.thread.tid);
      if (innermost == id) return {};
      return {{Node::Kind::kWait, innermost}};
    }
    return {};
  }

  // A cancellation goes from a task to those that it needs and to its function, from there to
  // the coroutine that the function waits for.
  void FreeWhatLimitsReach() {
    std::set<Node> reached;
    std::vector<Node> open;
    for (const auto& [node, needs] : needs_) {
      if (IsLimited(node)) open.push_back(node);
    }
    while (!open.empty()) {
      const Node node = open.back();
      open.pop_back();
      if (!reached.insert(node).second) continue;
      free_.insert(node);
      if (node.kind == Node::Kind::kCall) {
        // One in a queue is dropped, and passes nothing on.
        const auto wait = wait_of_function_.find(node.id);
        if (wait != wait_of_function_.end()) open.push_back({Node::Kind::kWait, wait->second});
        continue;
      }
      const auto needs = needs_.find(node);
      if (needs != needs_.end())
        open.insert(open.end(), needs->second.begin(), needs->second.end());
    }
  }

  bool IsLimited(const Node& node) const {
    if (node.kind == Node::Kind::kTask) {
      const Task* const task = Told(node.id);
      return task == nullptr || task->limited;
    }
    if (node.kind != Node::Kind::kCall) return false;
    // Only one that waits for a coroutine can pass a cancellation on; who awaits one in a queue
    // is known by itself.
    if (!wait_of_function_.contains(node.id)) return false;
    const Call& call = graph_.calls_.at(node.id);
    return call.told != look_ || call.limited;
  }

  // Who needs one that can go on, can go on.
  void Spread() {
    std::vector<Node> open(free_.begin(), free_.end());
    while (!open.empty()) {
      const Node node = open.back();
      open.pop_back();
      const auto needed_by = needed_by_.find(node);
      if (needed_by == needed_by_.end()) continue;
      for (const Node& each : needed_by->second) {
        if (free_.insert(each).second) open.push_back(each);
      }
    }
  }

  const WaitGraph& graph_;
  const uint64_t look_;
  const Time since_;
  const OwnerOfLock& owner_of_lock_;
  std::unordered_map<pid_t, uint64_t> innermost_;            // wait of a thread
  std::unordered_map<uint64_t, uint64_t> wait_of_function_;  // that the function is in
  std::map<Node, std::vector<Node>> needs_;                  // of all that was reached
  std::map<Node, std::vector<Node>> needed_by_;
  std::map<uint64_t, Thread> sleeps_;  // functions, for a mutex that the thread has
  std::set<Node> free_;                // can go on
};

std::vector<WaitGraph::Circle> WaitGraph::FindCircles(uint64_t look, Time since,
                                                      const OwnerOfLock& owner_of_lock) const {
  if (waits_.empty() && tasks_.empty()) return {};
  return Search(*this, look, since, owner_of_lock).Circles();
}

std::vector<WaitGraph::Busy> WaitGraph::FindBusy(Time since) const {
  std::vector<Busy> all;
  for (const auto& [executor, running] : running_) {
    const Call& call = calls_.at(*running.begin());
    if (call.threads != 1 || call.since > since) continue;
    Busy busy{*running.begin(), {}};
    for (const auto& [id, queued] : calls_) {
      if (!queued.thread && queued.executor == executor && queued.since <= since) {
        busy.queued.push_back(id);
      }
    }
    if (!busy.queued.empty()) all.push_back(std::move(busy));
  }
  return all;
}

// "thread 'pool_0'"; with its number if another thread of the circle has that name.
std::string WaitGraph::NameOf(const Circle& circle, const Thread& thread) const {
  std::string name = "thread '" + thread.name + "'";
  for (const Node& node : circle.nodes) {
    const Thread* other = nullptr;
    if (node.kind == Node::Kind::kWait) other = &waits_.at(node.id).thread;
    if (node.kind == Node::Kind::kCall && calls_.at(node.id).thread) {
      other = &*calls_.at(node.id).thread;
    }
    if (other != nullptr && other->name == thread.name && other->tid != thread.tid) {
      return name + " (" + std::to_string(thread.tid) + ")";
    }
  }
  return name;
}

std::string WaitGraph::Describe(const Circle& circle, const Node& node) const {
  switch (node.kind) {
    case Node::Kind::kTask: {
      const Task& task = tasks_.at(node.id);
      return "task '" + task.name + "' waits for " + WithArticle(task.waits_for.c_str());
    }
    case Node::Kind::kWait: {
      const Wait& wait = waits_.at(node.id);
      const auto task = tasks_.find(wait.task);
      return NameOf(circle, wait.thread) + " waits in AsyncToSync() for task '" +
             (task != tasks_.end() ? task->second.name : "?") + "'";
    }
    case Node::Kind::kCall:
      break;
  }
  const Call& call = calls_.at(node.id);
  const std::string function = call.name.empty() ? "the function" : "function '" + call.name + "'";
  if (!call.thread) {
    return function + " waits for a thread of executor '" + call.executor_name + "'";
  }
  std::string text = function + " runs on " + NameOf(circle, *call.thread) + " of executor '" +
                     call.executor_name + "'";
  if (const auto lock = circle.locks.find(node.id); lock != circle.locks.end()) {
    const Thread& holder = lock->second;
    text += " and waits for a std::mutex that ";
    text += holder.tid == call.thread->tid ? "this thread itself holds"
                                           : NameOf(circle, holder) + " holds";
  }
  return text;
}

Site WaitGraph::PlaceOf(const Node& node) const {
  switch (node.kind) {
    case Node::Kind::kTask:
      return tasks_.at(node.id).where;
    case Node::Kind::kWait:
      return waits_.at(node.id).called_at;
    case Node::Kind::kCall:
      break;
  }
  return calls_.at(node.id).called_at;
}

const std::vector<void*>& WaitGraph::StackOf(const Node& node) const {
  static const std::vector<void*>& none = *new std::vector<void*>;
  return node.kind == Node::Kind::kWait ? waits_.at(node.id).stack : none;
}

}  // namespace loopsan::internal
