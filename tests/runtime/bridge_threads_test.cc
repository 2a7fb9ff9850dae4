// Which thread sync and async code runs on, however deep they are nested; and the
// contexts that choose it. docs/bridge.md lists the tests of asgiref that these stand for.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "runtime/async_scope.h"
#include "runtime/async_single_thread_context.h"
#include "runtime/context.h"
#include "runtime/gather.h"
#include "runtime/run.h"
#include "runtime/sleep.h"
#include "runtime/thread_sensitive_context.h"
#include "tests/runtime/bridge_support.h"

namespace loopsan::testing {
namespace {

using ::testing::Each;
using ::testing::HasSubstr;
using ::testing::SizeIs;

// Outermost sync ------------------------------------------------------------------------

TEST(OutermostSync, ThreadSensitiveCodeRunsOnTheCallingThread) {
  const auto main = []() -> Task<> {
    const ThreadId direct = co_await SyncThread();
    const TaskHandle<ThreadId> spawned = Spawn(SyncThread());
    const ThreadId in_task = co_await spawned;
    EXPECT_EQ(direct, in_task);
    co_return;
  };
  std::vector<ThreadId> threads;
  const auto note = [&]() -> Task<> {
    threads.push_back(co_await SyncThread());
    const TaskHandle<ThreadId> spawned = Spawn(SyncThread());
    threads.push_back(co_await spawned);
    EXPECT_NE(ThisThread(), threads[0]);
  };
  AsyncToSync(main)();
  AsyncToSync(note)();
  EXPECT_THAT(threads, Each(ThisThread()));
  EXPECT_THAT(threads, SizeIs(2));
}

TEST(OutermostSync, SyncAsyncSyncAsyncSyncEndsOnTheStartingThread) {
  ThreadId innermost;
  const auto level3 = [&] { innermost = ThisThread(); };
  const auto level2 = [&]() -> Task<> {
    const auto call = SyncToAsync(level3);
    co_await call();
  };
  const auto level1 = [&] { AsyncToSync(level2)(); };
  const auto level0 = [&]() -> Task<> {
    const auto call = SyncToAsync(level1);
    co_await call();
  };
  AsyncToSync(level0)();
  EXPECT_EQ(innermost, ThisThread());
}

// A task of a callback, which has no context of the call.
TEST(OutermostSync, ThreadSensitiveCodeOfACallbackRunsOnTheCallingThread) {
  ThreadId there;
  const auto main = [&]() -> Task<> {
    Promise<> done;
    EventLoop::Running().Handle().CallSoon([&there, done] {
      const auto note = [](ThreadId& thread, Promise<> promise) -> Task<> {
        thread = co_await SyncThread();
        promise.SetValue();
      };
      Spawn(note(there, done));
    });
    Future<> future = done.future();
    co_await std::move(future);
  };
  AsyncToSync(main)();
  EXPECT_EQ(there, ThisThread());
}

// Outermost async -----------------------------------------------------------------------

TEST(OutermostAsync, ThreadSensitiveCodeSharesOneThreadThatIsNotTheLoops) {
  const auto main = []() -> Task<> {
    const ThreadId direct = co_await SyncThread();
    const auto nested_async = []() -> Task<ThreadId> { co_return co_await SyncThread(); };
    const auto nested = [&] { return AsyncToSync(nested_async)(); };
    const auto call = SyncToAsync(nested);
    const ThreadId below = co_await call();
    const TaskHandle<ThreadId> spawned = Spawn(SyncThread());
    const ThreadId in_task = co_await spawned;
    EXPECT_EQ(direct, below);
    EXPECT_EQ(direct, in_task);
    EXPECT_NE(direct, ThisThread());
  };
  RunReal(main());
}

TEST(OutermostAsync, SyncAsyncSyncAsyncEndsOnTheLoopsThread) {
  ThreadId innermost;
  const auto level3 = [&]() -> Task<> {
    innermost = ThisThread();
    co_return;
  };
  const auto level2 = [&] { AsyncToSync(level3)(); };
  const auto level1 = [&]() -> Task<> {
    const auto call = SyncToAsync(level2);
    co_await call();
  };
  const auto level0 = [&] { AsyncToSync(level1)(); };
  const auto main = [&]() -> Task<> {
    const auto call = SyncToAsync(level0);
    co_await call();
  };
  RunReal(main());
  EXPECT_EQ(innermost, ThisThread());
}

TEST(OutermostAsync, ThreadSensitiveCodeBelowAFunctionOfAPoolRunsOnThatFunctionsThread) {
  const auto main = []() -> Task<> {
    const auto inner_async = []() -> Task<ThreadId> { co_return co_await SyncThread(); };
    const auto inner = [&] { return std::pair(ThisThread(), AsyncToSync(inner_async)()); };
    const auto call = SyncToAsync(inner, {.thread_sensitive = false});
    const auto [outer_thread, inner_thread] = co_await call();
    EXPECT_EQ(outer_thread, inner_thread);
  };
  RunReal(main());
}

// AsyncSingleThreadContext --------------------------------------------------------------

TEST(AsyncSingleThreadContext, GivesItsCallsOneThreadThatIsNotTheCallers) {
  const AsyncSingleThreadContext context;
  const ThreadId first = AsyncThread();
  EXPECT_EQ(AsyncThread(), first);
  EXPECT_NE(first, ThisThread());
}

TEST(AsyncSingleThreadContext, GivesItsCallsOneLoop) {
  const AsyncSingleThreadContext context;
  const auto loop = []() -> Task<EventLoop*> { co_return EventLoop::Current(); };
  EventLoop* const first = AsyncToSync(loop)();
  EXPECT_EQ(AsyncToSync(loop)(), first);
}

TEST(AsyncSingleThreadContext, InsideAnotherOneUsesTheOuterThread) {
  const AsyncSingleThreadContext outer;
  const ThreadId first = AsyncThread();
  {
    const AsyncSingleThreadContext inner;
    EXPECT_EQ(AsyncThread(), first);
  }
  EXPECT_EQ(AsyncThread(), first);
}

TEST(AsyncSingleThreadContext, WithoutAnyCallIsLeftCleanly) {
  const AsyncSingleThreadContext context;
}

TEST(AsyncSingleThreadContext, KeepsContextVariablesBetweenItsCalls) {
  static ContextVar<std::string> user("user", "nobody");
  const AsyncSingleThreadContext context;
  const auto set = []() -> Task<> {
    user.Set("ada");
    co_return;
  };
  const auto get = []() -> Task<std::string> { co_return user.Get(); };
  AsyncToSync(set)();
  EXPECT_EQ(AsyncToSync(get)(), "ada");
}

TEST(AsyncSingleThreadContext, UnderAMainLoopUsesThatOne) {
  const auto main = []() -> Task<> {
    const auto inside = [] {
      const AsyncSingleThreadContext context;
      return AsyncThread();
    };
    const auto call = SyncToAsync(inside);
    const ThreadId there = co_await call();
    EXPECT_EQ(there, ThisThread());
  };
  RunReal(main());
}

TEST(AsyncSingleThreadContext, SendsThreadSensitiveCodeToTheCallingThread) {
  const AsyncSingleThreadContext context;
  const auto inner = []() -> Task<ThreadId> { co_return co_await SyncThread(); };
  EXPECT_EQ(AsyncToSync(inner)(), ThisThread());
  EXPECT_EQ(AsyncToSync(inner)(), ThisThread());
}

TEST(AsyncSingleThreadContext, LetsTasksGoOnBetweenItsCallsAndEndsThemWithIt) {
  std::vector<std::string> events;
  std::optional<Promise<>> go;
  ThreadId clean_up;
  const auto left = [&]() -> Task<> {
    Future<> future = go->future();
    co_await std::move(future);
    events.emplace_back("went on");
    bool cancelled = false;
    try {
      co_await SleepFor(std::chrono::hours(1));
    } catch (const CancelledError&) {
      cancelled = true;
    }
    if (!cancelled) co_return;
    clean_up = co_await SyncThread();
    events.emplace_back("cancelled");
  };
  const auto first = [&]() -> Task<> {
    go.emplace();
    Spawn(left());
    co_await Yield();
  };
  const auto second = [&]() -> Task<> {
    go->SetValue();
    go.reset();
    while (events.empty()) co_await Yield();
  };
  {
    const AsyncSingleThreadContext context;
    AsyncToSync(first)();
    AsyncToSync(second)();
  }
  EXPECT_THAT(events, ::testing::ElementsAre("went on", "cancelled"));
  EXPECT_EQ(clean_up, ThisThread());
}

TEST(AsyncSingleThreadContext, IsRefusedOnAThreadWhoseLoopRuns) {
  const auto main = []() -> Task<> {
    EXPECT_THROW({ const AsyncSingleThreadContext context; }, UsageError);
    co_return;
  };
  RunReal(main());
}

// ThreadSensitiveContext ----------------------------------------------------------------

TEST(ThreadSensitiveContext, GivesParallelCallsOneThread) {
  const auto main = []() -> Task<> {
    const ThreadId outside = co_await SyncThread();
    ThreadSensitiveContext context;
    const auto body = [&]() -> Task<> {
      const auto [first, second] = co_await Gather(SyncThread(), SyncThread());
      EXPECT_EQ(first, second);
      EXPECT_NE(first, outside);
      EXPECT_NE(first, ThisThread());
    };
    co_await WithResource(context, body);
    const ThreadId after = co_await SyncThread();
    EXPECT_EQ(after, outside);
  };
  RunReal(main());
}

TEST(ThreadSensitiveContext, InsideAnotherOneUsesTheOuterThread) {
  const auto main = []() -> Task<> {
    ThreadSensitiveContext outer;
    const auto outer_body = [&]() -> Task<> {
      const ThreadId first = co_await SyncThread();
      ThreadSensitiveContext inner;
      const auto inner_body = [&]() -> Task<> {
        const ThreadId second = co_await SyncThread();
        EXPECT_EQ(second, first);
      };
      co_await WithResource(inner, inner_body);
      const ThreadId third = co_await SyncThread();
      EXPECT_EQ(third, first);
    };
    co_await WithResource(outer, outer_body);
  };
  RunReal(main());
}

TEST(ThreadSensitiveContext, HasAThreadOfItsOwn) {
  const auto main = []() -> Task<> {
    // Both at once: a thread that has ended might leave its id to the next.
    const auto in_context = [](Promise<> mine, Future<> others) -> Task<ThreadId> {
      ThreadSensitiveContext context;
      const auto body = [&]() -> Task<ThreadId> {
        const ThreadId thread = co_await SyncThread();
        mine.SetValue();
        co_await others;
        co_return thread;
      };
      co_return co_await WithResource(context, body);
    };
    Promise<> first;
    Promise<> second;
    Future<> first_done = first.future();
    Future<> second_done = second.future();
    const TaskHandle<ThreadId> one = Spawn(in_context(first, second_done));
    const TaskHandle<ThreadId> two = Spawn(in_context(second, first_done));
    const ThreadId one_thread = co_await one;
    const ThreadId two_thread = co_await two;
    EXPECT_NE(one_thread, two_thread);
  };
  RunReal(main());
}

TEST(ThreadSensitiveContext, WithoutAnyCallIsLeftCleanly) {
  const auto main = []() -> Task<> {
    ThreadSensitiveContext context;
    const auto body = []() -> Task<> { co_return; };
    co_await WithResource(context, body);
  };
  RunReal(main());
}

// The function that it waits for at its exit needs the loop.
TEST(ThreadSensitiveContext, IsLeftWithoutHoldingUpTheLoop) {
  bool served = false;
  const auto of_loop = [&]() -> Task<> {
    co_await Yield();
    served = true;
  };
  const auto needs_loop = [&] { AsyncToSync(of_loop)(); };
  const auto call = SyncToAsync(needs_loop);
  const auto main = [&]() -> Task<> {
    TaskHandle<> left;
    ThreadSensitiveContext context;
    const auto body = [&]() -> Task<> {
      left = Spawn(call());
      co_await Yield();
      co_await Yield();
    };
    co_await WithResource(context, body);
    EXPECT_TRUE(served);
    co_await left;
  };
  RunReal(main());
}

// All the threads of the default executor are busy with functions that wait for the
// ends of contexts.
TEST(ThreadSensitiveContext, IsLeftWithoutAThreadOfTheDefaultExecutor) {
  const auto main = []() -> Task<> {
    Gate gate;
    EventLoop& loop = EventLoop::Running();
    const size_t threads = loop.DefaultExecutor().most_threads();
    std::vector<TaskHandle<>> busy;
    const auto wait = [&] { gate.Wait(); };
    const auto occupy = SyncToAsync(wait, {.thread_sensitive = false});
    for (size_t i = 0; i < threads; ++i) busy.push_back(Spawn(occupy()));
    for (int i = 0; i < 3; ++i) {
      ThreadSensitiveContext context;
      const auto body = []() -> Task<> { co_await SyncThread(); };
      co_await WithResource(context, body);
    }
    gate.Open();
    for (const TaskHandle<>& task : busy) co_await task;
  };
  RunReal(main());
}

TEST(ThreadSensitiveContext, RefusesWhatComesAfterItsEnd) {
  const auto main = []() -> Task<std::string> {
    TaskHandle<ThreadId> late;
    Promise<> go;
    Future<> gone = go.future();
    ThreadSensitiveContext context;
    const auto after = [](Future<> wait) -> Task<ThreadId> {
      co_await wait;
      co_return co_await SyncThread();
    };
    const auto body = [&]() -> Task<> {
      late = Spawn(after(gone));
      co_return;
    };
    co_await WithResource(context, body);
    go.SetValue();
    try {
      co_await late;
    } catch (const UsageError& error) {
      co_return error.what();
    }
    co_return "";
  };
  EXPECT_THAT(RunReal(main()), HasSubstr("shut down"));
}

}  // namespace
}  // namespace loopsan::testing
