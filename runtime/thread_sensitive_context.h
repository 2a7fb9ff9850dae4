// ThreadSensitiveContext: a thread of its own for the thread-sensitive functions of one
// part of a program, such as one request. It is an async scope (runtime/async_scope.h):
//
//   ThreadSensitiveContext context;
//   const auto body = [&]() -> Task<> { co_await SyncToAsync<&LoadUser>()(7); };
//   co_await WithResource(context, body);
//
// It holds for the task that enters it, and for what that spawns inside. The thread is
// started by the first function and ends with the context. The exit waits until the functions that
// were sent to it have ended; the loop goes on meanwhile. What is sent to it later is
// refused with UsageError. Inside another one it does nothing: the outer one's thread is used.
//
// A call that comes from code below an AsyncToSync() goes to the thread that waits there, as
// everywhere.
//
// Threads: the loop's. Cancellation: an exit that is cancelled leaves the thread to end
// by itself.
#pragma once

#include <exception>
#include <memory>

#include "runtime/executor.h"
#include "runtime/task.h"

namespace loopsan {

class ThreadSensitiveContext {
 public:
  ThreadSensitiveContext() = default;
  ThreadSensitiveContext(const ThreadSensitiveContext&) = delete;
  ThreadSensitiveContext& operator=(const ThreadSensitiveContext&) = delete;

  Task<> AsyncEnter();
  Task<> AsyncExit(std::exception_ptr error);

 private:
  std::shared_ptr<Executor> executor_;  // null outside, and inside another one
};

}  // namespace loopsan
