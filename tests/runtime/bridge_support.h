// What the tests of the bridge share.
#pragma once

#include <functional>
#include <future>
#include <string>
#include <thread>
#include <utility>

#include "runtime/async_to_sync.h"
#include "runtime/event_loop.h"
#include "runtime/spawn.h"
#include "runtime/sync_to_async.h"
#include "tests/runtime/real_loop.h"
#include "tests/runtime/run_loop.h"

namespace loopsan::testing {

using ThreadId = std::thread::id;

inline ThreadId ThisThread() { return std::this_thread::get_id(); }

// Thread ids from a function and from a coroutine.
inline constexpr auto SyncThread = SyncToAsync<&ThisThread>();
inline Task<ThreadId> ThisThreadAsync() { co_return ThisThread(); }
inline constexpr auto AsyncThread = AsyncToSync<&ThisThreadAsync>();

// Runs `function` on a new thread and waits for it; what it throws is thrown here.
template <typename F>
auto InNewThread(F function) {
  return std::async(std::launch::async, std::move(function)).get();
}

// A door that threads wait at, until somebody opens it for good.
class Gate {
 public:
  void Open() { open_.set_value(); }
  void Wait() const { opened_.wait(); }

 private:
  std::promise<void> open_;
  std::shared_future<void> opened_ = open_.get_future().share();
};

}  // namespace loopsan::testing
