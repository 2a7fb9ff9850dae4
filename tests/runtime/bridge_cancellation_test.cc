// What cancelling a task does to the function that it waits for, and to the async
// code below that. docs/bridge.md lists the tests of asgiref that these stand for.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "runtime/event.h"
#include "runtime/shield.h"
#include "runtime/sleep.h"
#include "runtime/timeout.h"
#include "tests/runtime/bridge_support.h"

namespace loopsan::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

// How a task ended.
Task<std::string> EndOf(TaskHandle<> task) {
  try {
    co_await task;
  } catch (const CancelledError&) {
    co_return "cancelled";
  } catch (const std::exception& error) {
    co_return error.what();
  }
  co_return "done";
}

TEST(BridgeCancellation, DropsAFunctionThatHasNotBegun) {
  const auto pool = MakeThreadPool({.threads = 1});
  bool ran = false;
  const auto main = [&]() -> Task<> {
    Gate gate;
    const auto wait = [&] { gate.Wait(); };
    const auto work = [&] { ran = true; };
    const SyncToAsyncOptions options{.thread_sensitive = false, .executor = pool.get()};
    const auto occupy = SyncToAsync(wait, options);
    const auto call = SyncToAsync(work, options);
    const TaskHandle<> occupied = Spawn(occupy());
    TaskHandle<> waiter = Spawn(call());
    co_await Yield();
    co_await Yield();
    waiter.Cancel();
    const std::string end = co_await EndOf(waiter);
    EXPECT_EQ(end, "cancelled");
    gate.Open();
    co_await occupied;
  };
  RunReal(main());
  pool->Shutdown();
  EXPECT_FALSE(ran);
}

TEST(BridgeCancellation, DestroysTheArgumentsOfAFunctionThatHasNotBegun) {
  const auto pool = MakeThreadPool({.threads = 1});
  const auto main = [&]() -> Task<> {
    Gate gate;
    const auto wait = [&] { gate.Wait(); };
    const SyncToAsyncOptions options{.thread_sensitive = false, .executor = pool.get()};
    const auto occupy = SyncToAsync(wait, options);
    const auto ignore = [](const std::shared_ptr<int>&) {};
    const auto call = SyncToAsync(ignore, options);
    const TaskHandle<> occupied = Spawn(occupy());
    auto argument = std::make_shared<int>(1);
    const std::weak_ptr<int> watch = argument;
    TaskHandle<> waiter = Spawn(call(std::move(argument)));
    co_await Yield();
    co_await Yield();
    EXPECT_FALSE(watch.expired());
    waiter.Cancel();
    co_await EndOf(waiter);
    EXPECT_TRUE(watch.expired());
    gate.Open();
    co_await occupied;
  };
  RunReal(main());
}

TEST(BridgeCancellation, WaitsForAFunctionThatRuns) {
  std::atomic<bool> ended = false;
  const auto main = [&]() -> Task<> {
    Gate begun;
    Gate gate;
    const auto work = [&] {
      begun.Open();
      gate.Wait();
      ended = true;
    };
    const auto call = SyncToAsync(work);
    TaskHandle<> waiter = Spawn(call());
    co_await Yield();
    begun.Wait();
    waiter.Cancel();
    for (int i = 0; i < 10; ++i) co_await Yield();
    EXPECT_FALSE(waiter.done());
    gate.Open();
    const std::string end = co_await EndOf(waiter);
    EXPECT_EQ(end, "cancelled");
    EXPECT_TRUE(ended);
  };
  RunReal(main());
}

TEST(BridgeCancellation, TellsTheExceptionOfAFunctionWhoseWaiterWasCancelled) {
  std::vector<std::string> told;
  RealLoop real;
  real.loop().SetExceptionHandler(
      [&](const ExceptionContext& context) { told.push_back(context.message); });
  const auto main = [&]() -> Task<> {
    Gate begun;
    Gate gate;
    const auto work = [&] {
      begun.Open();
      gate.Wait();
      throw std::runtime_error("too late");
    };
    const auto call = SyncToAsync(work);
    TaskHandle<> waiter = Spawn(call());
    co_await Yield();
    begun.Wait();
    waiter.Cancel();
    gate.Open();
    const std::string end = co_await EndOf(waiter);
    EXPECT_EQ(end, "cancelled");
  };
  real.Run(main());
  EXPECT_THAT(told, ElementsAre(HasSubstr("after its waiter was cancelled")));
}

TEST(BridgeCancellation, GoesOnToTheCoroutineThatTheFunctionWaitsFor) {
  bool inner_cancelled = false;
  std::atomic<bool> thrown = false;
  const auto main = [&]() -> Task<> {
    Event inside;
    const auto sleep = [&]() -> Task<> {
      inside.Set();
      try {
        co_await SleepFor(std::chrono::hours(1));
      } catch (const CancelledError&) {
        inner_cancelled = true;
        throw;
      }
    };
    const auto work = [&] {
      try {
        AsyncToSync(sleep)();
      } catch (const CancelledError&) {
        thrown = true;
        throw;
      }
    };
    const auto call = SyncToAsync(work);
    TaskHandle<> waiter = Spawn(call());
    co_await inside.Wait();
    waiter.Cancel();
    const std::string end = co_await EndOf(waiter);
    EXPECT_EQ(end, "cancelled");
  };
  RunReal(main());
  EXPECT_TRUE(inner_cancelled);
  EXPECT_TRUE(thrown);
}

TEST(BridgeCancellation, GoesOnThroughAllLevels) {
  std::vector<int> cancelled;
  const auto main = [&]() -> Task<> {
    Event inside;
    const auto sleep = [&]() -> Task<> {
      inside.Set();
      try {
        co_await SleepFor(std::chrono::hours(1));
      } catch (const CancelledError&) {
        cancelled.push_back(3);
        throw;
      }
    };
    const auto lower = [&] { AsyncToSync(sleep)(); };
    const auto middle = [&]() -> Task<> {
      const auto call = SyncToAsync(lower);
      try {
        co_await call();
      } catch (const CancelledError&) {
        cancelled.push_back(2);
        throw;
      }
    };
    const auto upper = [&] { AsyncToSync(middle)(); };
    const auto call = SyncToAsync(upper);
    TaskHandle<> waiter = Spawn(call());
    co_await inside.Wait();
    waiter.Cancel();
    const std::string end = co_await EndOf(waiter);
    EXPECT_EQ(end, "cancelled");
  };
  RunReal(main());
  EXPECT_THAT(cancelled, ElementsAre(3, 2));
}

TEST(BridgeCancellation, ReachesACoroutineThatTheFunctionCallsLater) {
  bool ran = false;
  std::atomic<bool> thrown = false;
  const auto main = [&]() -> Task<> {
    Gate begun;
    Gate gate;
    const auto never = [&]() -> Task<> {
      ran = true;
      co_return;
    };
    const auto work = [&] {
      begun.Open();
      gate.Wait();
      try {
        AsyncToSync(never)();
      } catch (const CancelledError&) {
        thrown = true;
        throw;
      }
    };
    const auto call = SyncToAsync(work);
    TaskHandle<> waiter = Spawn(call());
    co_await Yield();
    begun.Wait();
    waiter.Cancel();
    gate.Open();
    const std::string end = co_await EndOf(waiter);
    EXPECT_EQ(end, "cancelled");
  };
  RunReal(main());
  EXPECT_FALSE(ran);
  EXPECT_TRUE(thrown);
}

TEST(BridgeCancellation, OfATimeLimitArrivesAsTimeoutError) {
  const auto main = []() -> Task<std::string> {
    const auto forever = []() -> Task<> { co_await SleepFor(std::chrono::hours(1)); };
    const auto work = [&] { AsyncToSync(forever)(); };
    const auto call = SyncToAsync(work);
    try {
      co_await WithTimeout(std::chrono::milliseconds(1), call());
    } catch (const TimeoutError&) {
      co_return "time limit";
    }
    co_return "done";
  };
  EXPECT_EQ(RunReal(main()), "time limit");
}

TEST(BridgeCancellation, InsideAFunctionThatCatchesItLetsItsResultCount) {
  const auto main = []() -> Task<std::string> {
    Event inside;
    const auto sleep = [&]() -> Task<> {
      inside.Set();
      co_await SleepFor(std::chrono::hours(1));
    };
    const auto work = [&]() -> std::string {
      try {
        AsyncToSync(sleep)();
      } catch (const CancelledError&) {
        return "recovered";
      }
      return "not cancelled";
    };
    const auto call = SyncToAsync(work);
    TaskHandle<std::string> waiter = Spawn(call());
    co_await inside.Wait();
    waiter.Cancel();
    co_return co_await waiter;
  };
  EXPECT_EQ(RunReal(main()), "recovered");
}

// Middleware ----------------------------------------------------------------------------
//
// A request goes through layers, sync ones and async ones, to a view that shields its
// task: cancelling the request must neither lose the task nor hang.

using View = std::function<Task<std::string>()>;

View SyncLayer(View next) {
  return [next = std::move(next)]() -> Task<std::string> {
    const auto layer = [&next] { return AsyncToSync(next)() + " sync"; };
    const auto call = SyncToAsync(layer);
    co_return co_await call();
  };
}

View AsyncLayer(View next) {
  return [next = std::move(next)]() -> Task<std::string> {
    const std::string response = co_await next();
    co_return response + " async";
  };
}

struct Request {
  Event started;
  Event may_end;
  bool task_ended = false;
};

// Waits for its task whatever happens.
Task<std::string> ShieldedView(Request& request) {
  const auto work = [](Request& of) -> Task<> {
    of.started.Set();
    co_await of.may_end.Wait();
    of.task_ended = true;
  };
  const TaskHandle<> task = Spawn(work(request));
  bool cancelled = false;
  try {
    co_await Shield(task);
  } catch (const CancelledError&) {
    cancelled = true;
  }
  if (cancelled) co_await task;
  co_return cancelled ? "shielded" : "undisturbed";
}

Task<std::string> CancelRequest(View view, Request& request) {
  TaskHandle<std::string> response = Spawn(view());
  co_await request.started.Wait();
  response.Cancel();
  for (int i = 0; i < 10; ++i) co_await Yield();
  EXPECT_FALSE(response.done());
  request.may_end.Set();
  co_return co_await response;
}

TEST(BridgeShield, OfTheViewHoldsBelowASyncLayer) {
  const auto main = []() -> Task<std::string> {
    Request request;
    const View view = SyncLayer([&] { return ShieldedView(request); });
    std::string response = co_await CancelRequest(view, request);
    EXPECT_TRUE(request.task_ended);
    co_return response;
  };
  EXPECT_EQ(RunReal(main()), "shielded sync");
}

TEST(BridgeShield, OfTheViewHoldsBelowAnAsyncLayer) {
  const auto main = []() -> Task<std::string> {
    Request request;
    const View view = AsyncLayer([&] { return ShieldedView(request); });
    std::string response = co_await CancelRequest(view, request);
    EXPECT_TRUE(request.task_ended);
    co_return response;
  };
  EXPECT_EQ(RunReal(main()), "shielded async");
}

TEST(BridgeShield, OfTheViewHoldsBelowFiveLayers) {
  const auto main = []() -> Task<std::string> {
    Request request;
    View view = [&] { return ShieldedView(request); };
    for (int i = 0; i < 5; ++i) {
      view = i % 2 == 0 ? SyncLayer(std::move(view)) : AsyncLayer(std::move(view));
    }
    std::string response = co_await CancelRequest(view, request);
    EXPECT_TRUE(request.task_ended);
    co_return response;
  };
  EXPECT_EQ(RunReal(main()), "shielded sync async sync async sync");
}

// The shielded task waits for a function instead.
TEST(BridgeShield, OfASyncTaskHoldsBelowASyncLayer) {
  const auto main = []() -> Task<std::string> {
    Event started;
    Gate gate;
    std::atomic<bool> ended = false;
    const LoopHandle loop = EventLoop::Running().Handle();
    const auto work = [&] {
      loop.CallSoon([&] { started.Set(); });
      gate.Wait();
      ended = true;
    };
    const auto call = SyncToAsync(work, {.thread_sensitive = false});
    const View view = SyncLayer([&]() -> Task<std::string> {
      const TaskHandle<> task = Spawn(call());
      bool cancelled = false;
      try {
        co_await Shield(task);
      } catch (const CancelledError&) {
        cancelled = true;
      }
      if (cancelled) co_await task;
      co_return cancelled ? "shielded" : "undisturbed";
    });
    TaskHandle<std::string> response = Spawn(view());
    co_await started.Wait();
    response.Cancel();
    for (int i = 0; i < 10; ++i) co_await Yield();
    EXPECT_FALSE(response.done());
    gate.Open();
    std::string text = co_await response;
    EXPECT_TRUE(ended);
    co_return text;
  };
  EXPECT_EQ(RunReal(main()), "shielded sync");
}

}  // namespace
}  // namespace loopsan::testing
