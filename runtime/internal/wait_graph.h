// Who waits for whom across the bridge between sync and async code, and who of them can
// never go on.
//
//   thread ---waits in AsyncToSync() for--> task ---awaits--> task
//     ^                                                        |
//     |                                             awaits a function that is
//  runs the function  <-- all threads of -- executor <-- queued on
//
// A function in a queue can begin if any thread of its executor can go on; everything else needs
// the one thing that it waits for. What nothing is known of can go on, and so can what a time limit
// may end, of the task itself or of one that would pass the cancellation on to it.
//
// What is known of functions and waiting threads is exact. What is known of tasks was told by their
// loops, some time since the last look. So only what has not changed since the last look counts:
// then all of it was so at one moment, now.
//
// Threads: none of its own; who has it, locks it.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "runtime/event_port.h"
#include "runtime/internal/site.h"

namespace loopsan {
class Executor;
}

namespace loopsan::internal {

class WaitGraph {
 public:
  struct Thread {
    pid_t tid = 0;
    std::string name;
  };

  // A function on its way through an executor.
  struct Call {
    const Executor* executor = nullptr;
    std::string executor_name;
    size_t threads = 0;  // of the executor; 0: not known
    Site called_at = nullptr;
    std::string name;              // may be empty
    uint64_t task = 0;             // that awaits it; 0: whichever waits for `object`
    const void* object = nullptr;  // what tasks wait for
    Time since{};                  // when it was queued, or has begun
    std::optional<Thread> thread;  // that runs it
    uint64_t told = 0;             // the look for which `limited` was told
    bool limited = true;           // a time limit may reach its task
  };

  // A thread in AsyncToSync().
  struct Wait {
    const Executor* serves = nullptr;  // what is sent to it meanwhile
    uint64_t function = 0;             // the call that it runs; 0: it is none's
    Site called_at = nullptr;
    Thread thread;
    std::vector<void*> stack;
    uint64_t task = 0;  // the coroutine; 0: it has not begun
    Time since{};
  };

  struct Task {
    std::string name;
    Site where = nullptr;
    std::string waits_for;
    const void* object = nullptr;  // that it waits for
    std::vector<uint64_t> tasks;   // that it needs, all of them
    bool goes_on = false;          // it runs, or is ready, or its wait has an end
    bool limited = false;          // a time limit may reach it
    uint64_t told = 0;             // the look for which this was told
  };

  // One of those, by its number (a task's is its id).
  struct Node {
    enum class Kind : uint8_t { kTask, kCall, kWait } kind;
    uint64_t id;
    auto operator<=>(const Node&) const = default;
  };

  // The thread that has the lock for which this one sleeps; 0: it does not.
  using OwnerOfLock = std::function<pid_t(pid_t tid)>;

  void AddCall(uint64_t id, Call call);
  void BeginCall(uint64_t id, Thread thread, Time now);
  void RemoveCall(uint64_t id);
  void AddWait(uint64_t id, Wait wait) { waits_.emplace(id, std::move(wait)); }
  void RemoveWait(uint64_t id) { waits_.erase(id); }

  // Null: there is none, or no longer.
  Call* FindCall(uint64_t id);
  Wait* FindWait(uint64_t id);
  // REQUIRES: it is there.
  const Call& call(uint64_t id) const { return calls_.at(id); }
  const std::map<uint64_t, Wait>& waits() const noexcept { return waits_; }
  // For what a loop tells. Circles are looked for from all of them, and from the waits.
  std::unordered_map<uint64_t, Task>& tasks() noexcept { return tasks_; }
  bool empty() const noexcept { return calls_.empty() && waits_.empty(); }

  // Each waits for the next, the last for the first. Behind them others that they need, such as
  // all threads of a pool.
  struct Circle {
    std::vector<Node> nodes;
    size_t others = 0;                 // how many of them are not in the circle itself
    std::map<uint64_t, Thread> locks;  // functions that sleep for a mutex, and who has it
  };
  // What was told for `look` counts; what is younger than `since` does not.
  std::vector<Circle> FindCircles(uint64_t look, Time since,
                                  const OwnerOfLock& owner_of_lock) const;

  // Functions that the only thread of an executor has run since then, or longer, and the
  // functions that have waited for it as long.
  struct Busy {
    uint64_t running;
    std::vector<uint64_t> queued;
  };
  std::vector<Busy> FindBusy(Time since) const;

  // "task 'reader' waits for a mutex"
  std::string Describe(const Circle& circle, const Node& node) const;
  Site PlaceOf(const Node& node) const;
  const std::vector<void*>& StackOf(const Node& node) const;

 private:
  class Search;

  std::string NameOf(const Circle& circle, const Thread& thread) const;

  std::map<uint64_t, Call> calls_;
  std::map<uint64_t, Wait> waits_;
  std::unordered_map<uint64_t, Task> tasks_;
  // Indices, so that a look does not go through all that is queued.
  std::unordered_map<uint64_t, uint64_t> call_of_task_;
  std::unordered_map<const void*, uint64_t> call_of_object_;
  std::unordered_map<const Executor*, std::set<uint64_t>> running_;
};

}  // namespace loopsan::internal
