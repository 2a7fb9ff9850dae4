#include "runtime/internal/debugger_root.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <pthread.h>

#include <string>
#include <vector>

#include "runtime/internal/task_tree.h"
#include "runtime/sleep.h"
#include "tests/runtime/run_loop.h"

extern "C" pthread_key_t folly_async_stack_root_tls_key;

namespace loopsan::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

// As a debugger script reads it: key, holder, root, top frame, parents.
std::vector<std::string> CoroutinesOfThisThread() {
  std::vector<std::string> names;
  auto* const holder =
      static_cast<loopsan_async_root**>(pthread_getspecific(folly_async_stack_root_tls_key));
  if (holder == nullptr || *holder == nullptr) return names;
  for (const loopsan_async_frame* frame = (*holder)->top_frame; frame != nullptr;
       frame = frame->parent) {
    size_t start = 0;
    const size_t bytes = internal::ReadableFunction(frame->defined_at->function, start);
    names.emplace_back(frame->defined_at->function + start, bytes);
  }
  return names;
}

std::vector<std::string> g_seen;

Task<> Innermost() {
  co_await Yield();
  g_seen = CoroutinesOfThisThread();
}
Task<> Middle() { co_await Innermost(); }
Task<> Outermost() { co_await Middle(); }

TEST(DebuggerRoot, LeadsToTheChainOfAwaitingCoroutines) {
  RunScripted(Outermost());
  EXPECT_THAT(g_seen, ElementsAre(HasSubstr("Innermost()"), HasSubstr("Middle()"),
                                  HasSubstr("Outermost()")));
}

TEST(DebuggerRoot, IsGoneWhenTheLoopHasEnded) {
  RunScripted(Outermost());
  EXPECT_TRUE(CoroutinesOfThisThread().empty());
  EXPECT_EQ(pthread_getspecific(folly_async_stack_root_tls_key), nullptr);
}

}  // namespace
}  // namespace loopsan::testing
