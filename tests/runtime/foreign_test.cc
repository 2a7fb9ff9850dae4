#include "runtime/internal/foreign.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>

#include "runtime/run.h"
#include "runtime/sleep.h"
#include "tests/runtime/run_loop.h"

namespace loopsan::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

// As another library would write it: keeps the handle, and resumes it.
struct Gate {
  std::coroutine_handle<> waiting;
  bool open = false;
  int value = 0;

  bool await_ready() const noexcept { return open; }
  void await_suspend(std::coroutine_handle<> handle) noexcept { waiting = handle; }
  int await_resume() const noexcept { return value; }
};

Task<int> Through(Gate& gate) {
  const int value = co_await gate;
  co_return value + 1;
}

TEST(ForeignAwaiter, ThatIsReadyDoesNotSuspend) {
  Gate gate{.waiting = {}, .open = true, .value = 4};
  EXPECT_EQ(RunScripted(Through(gate)), 5);
  EXPECT_EQ(gate.waiting, nullptr);
}

TEST(ForeignAwaiter, ThatIsResumedInAnotherStepGoesOnInTheNextTurn) {
  const KeptFindings findings;
  Gate gate{.waiting = {}, .open = false, .value = 4};
  const auto main = [&]() -> Task<int> {
    const TaskHandle<int> waiting = Spawn(Through(gate));
    co_await Yield();
    gate.waiting.resume();
    EXPECT_FALSE(waiting.done());
    const int result = co_await waiting;
    co_return result;
  };
  EXPECT_EQ(RunScripted(main()), 5);
  EXPECT_THAT(findings.rules(), IsEmpty());
}

TEST(ForeignAwaiter, ThatIsResumedOnAnotherThreadComesBackAndIsReported) {
  const KeptFindings findings;
  Gate gate{.waiting = {}, .open = false, .value = 4};
  std::thread::id resumed_on;
  const auto waiting = [&]() -> Task<int> {
    const int value = co_await gate;
    resumed_on = std::this_thread::get_id();
    co_return value;
  };
  const auto main = [&]() -> Task<int> {
    TaskHandle<int> handle = Spawn(waiting());
    co_await Yield();
    std::thread other([&] { gate.waiting.resume(); });
    other.join();
    const int result = co_await handle;
    co_return result;
  };
  EXPECT_EQ(RunScripted(main()), 4);
  EXPECT_EQ(resumed_on, std::this_thread::get_id());
  EXPECT_THAT(findings.rules(), ElementsAre("resumed-on-wrong-thread"));
}

TEST(ForeignAwaiter, ThatIsResumedTwiceIsReportedAndGoesOnOnce) {
  const KeptFindings findings;
  Gate gate;
  const auto main = [&]() -> Task<> {
    const TaskHandle<int> waiting = Spawn(Through(gate));
    co_await Yield();
    gate.waiting.resume();
    co_await waiting;
    gate.waiting.resume();  // the wait, and its task, are long over
  };
  RunScripted(main());
  EXPECT_THAT(findings.rules(), ElementsAre("resumed-when-done"));
}

TEST(ForeignAwaiter, CannotBeCutShortButTheTaskThrowsWhenItIsOver) {
  Gate gate;
  const auto main = [&]() -> Task<> {
    TaskHandle<int> waiting = Spawn(Through(gate));
    co_await Yield();
    EXPECT_TRUE(waiting.Cancel());
    co_await Yield();
    EXPECT_FALSE(waiting.done());
    gate.waiting.resume();
    co_await Yield();
    EXPECT_TRUE(waiting.cancelled());
  };
  RunScripted(main());
}

// Goes on at once by its answer.
struct RefusesToSuspend {
  bool await_ready() const noexcept { return false; }
  bool await_suspend(std::coroutine_handle<>) const noexcept { return false; }
  int await_resume() const noexcept { return 9; }
};
struct ResumesItself {
  bool await_ready() const noexcept { return false; }
  std::coroutine_handle<> await_suspend(std::coroutine_handle<> handle) const noexcept {
    return handle;
  }
  int await_resume() const noexcept { return 8; }
};

TEST(ForeignAwaiter, MayRefuseToSuspendOrTransferBack) {
  const auto main = []() -> Task<int> {
    const int first = co_await RefusesToSuspend{};
    const int second = co_await ResumesItself{};
    co_return first * 10 + second;
  };
  EXPECT_EQ(RunScripted(main()), 98);
}

}  // namespace
}  // namespace loopsan::testing
