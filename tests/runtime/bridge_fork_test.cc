// A forked child of a function that SyncToAsync() called has neither the loop nor the
// threads of its parent, and must not wait for them.
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include "runtime/async_scope.h"
#include "runtime/thread_sensitive_context.h"
#include "tests/runtime/bridge_support.h"

namespace loopsan::testing {
namespace {

Task<int> NestedAnswer() {
  const auto get = [] { return 42; };
  const auto call = SyncToAsync(get);
  co_return co_await call();
}

// The exit status of a child that calls the bridge.
int AnswerOfAChild() {
  const pid_t child = fork();
  if (child == 0) {
    int answer = 1;
    try {
      answer = AsyncToSync(&NestedAnswer)();
    } catch (...) {
    }
    _exit(answer);
  }
  int status = 0;
  if (waitpid(child, &status, 0) != child || !WIFEXITED(status)) return -1;
  return WEXITSTATUS(status);
}

TEST(BridgeFork, AChildOfAFunctionHasALoopOfItsOwn) {
  const auto main = []() -> Task<int> {
    const auto call = SyncToAsync(&AnswerOfAChild);
    co_return co_await call();
  };
  EXPECT_EQ(RunReal(main()), 42);
}

TEST(BridgeFork, AChildBelowAWaitingThreadHasThreadsOfItsOwn) {
  const auto main = []() -> Task<int> {
    const auto call = SyncToAsync(&AnswerOfAChild);
    co_return co_await call();
  };
  EXPECT_EQ(AsyncToSync(main)(), 42);
}

TEST(BridgeFork, AChildOfAFunctionInAContextDoesNotWaitForTheContextsThread) {
  const auto main = []() -> Task<int> {
    ThreadSensitiveContext context;
    const auto body = []() -> Task<int> {
      const auto call = SyncToAsync(&AnswerOfAChild, {.thread_sensitive = false});
      co_return co_await call();
    };
    co_return co_await WithResource(context, body);
  };
  EXPECT_EQ(RunReal(main()), 42);
}

}  // namespace
}  // namespace loopsan::testing
