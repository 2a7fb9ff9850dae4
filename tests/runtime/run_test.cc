#include "runtime/run.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <future>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "runtime/executor.h"
#include "runtime/sleep.h"
#include "tests/runtime/run_loop.h"

namespace loopsan::testing {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

EventLoop::Options Scripted() {
  EventLoop::Options options;
  options.port = std::make_unique<ScriptedPort>();
  options.debug = true;
  return options;
}

TEST(Run, ReturnsTheResult) {
  const auto main = []() -> Task<int> {
    co_await Yield();
    co_return 42;
  };
  EXPECT_EQ(loopsan::Run(main()), 42);
  EXPECT_EQ(EventLoop::Current(), nullptr);
}

TEST(Run, ThrowsWhatTheMainTaskThrew) {
  const auto main = []() -> Task<> {
    co_await Yield();
    throw std::runtime_error("broken");
  };
  EXPECT_THROW(loopsan::Run(main()), std::runtime_error);
  EXPECT_EQ(EventLoop::Current(), nullptr);
}

TEST(Run, CancelsWhatIsLeftAndWaitsForIt) {
  const KeptFindings findings;
  std::vector<std::string> notes;
  const auto left = [&]() -> Task<> {
    bool cancelled = false;
    try {
      co_await SleepFor(1h);
    } catch (const CancelledError&) {
      cancelled = true;
    }
    co_await SleepFor(1s);
    notes.push_back("cleaned up");
    if (cancelled) throw CancelledError();
  };
  const auto main = [&]() -> Task<> {
    Spawn(left());
    co_await Yield();
    notes.push_back("main is done");
  };
  loopsan::Run(main(), Scripted());
  EXPECT_THAT(notes, ElementsAre("main is done", "cleaned up"));
  EXPECT_THAT(findings.rules(), ElementsAre());
}

TEST(Run, TellsTheExceptionHandlerOfATaskThatFailsWhileItIsCancelled) {
  std::vector<std::string> messages;
  const auto left = []() -> Task<> {
    try {
      co_await SleepFor(1h);
    } catch (const CancelledError&) {
      throw std::runtime_error("clean-up failed");
    }
  };
  const auto main = [&]() -> Task<> {
    EventLoop::Running().SetExceptionHandler(
        [&](const ExceptionContext& context) { messages.push_back(context.message); });
    Spawn(left());
    co_await Yield();
  };
  loopsan::Run(main(), Scripted());
  EXPECT_THAT(messages, ElementsAre("a task failed while it was being cancelled"));
}

TEST(Run, InsideALoopIsAnErrorAndAFinding) {
  const KeptFindings findings;
  const auto nothing = []() -> Task<> { co_return; };
  const auto main = [&]() -> Task<> {
    EXPECT_THROW(loopsan::Run(nothing(), Scripted()), UsageError);
    co_return;
  };
  loopsan::Run(main(), Scripted());
  EXPECT_THAT(findings.Messages("nested-run"),
              ElementsAre(HasSubstr("another event loop is running on this thread")));
}

TEST(Run, RunsWhatWasRegisteredForTheCloseNewestFirst) {
  std::vector<int> order;
  const auto main = [&]() -> Task<> {
    EventLoop::Running().AtClose([&] { order.push_back(1); });
    EventLoop::Running().AtClose([&] { order.push_back(2); });
    co_return;
  };
  loopsan::Run(main(), Scripted());
  EXPECT_THAT(order, ElementsAre(2, 1));
}

TEST(Run, CanBeCalledAgain) {
  const auto main = []() -> Task<int> { co_return 1; };
  EXPECT_EQ(loopsan::Run(main()) + loopsan::Run(main()), 2);
}

TEST(Run, EndsTheDefaultExecutorWhileTheLoopGoesOn) {
  // A job that cannot end before the loop has done something for it.
  bool done = false;
  const auto main = [&]() -> Task<> {
    const LoopHandle handle = EventLoop::Running().Handle();
    const auto job = [&done, handle] {
      std::promise<void> asked;
      handle.CallSoon([&asked] { asked.set_value(); });
      asked.get_future().wait();
      done = true;
    };
    EventLoop::Running().DefaultExecutor().Submit(job);
    co_return;
  };
  loopsan::Run(main());
  EXPECT_TRUE(done);
}

}  // namespace
}  // namespace loopsan::testing
