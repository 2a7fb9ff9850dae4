#include "runtime/internal/debug_mode.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <future>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>

#include "runtime/event.h"
#include "runtime/executor.h"
#include "runtime/internal/findings.h"
#include "runtime/internal/loop_private.h"
#include "runtime/mutex.h"
#include "runtime/run.h"
#include "runtime/sleep.h"
#include "tests/runtime/run_loop.h"

namespace loopsan::testing {
namespace {

using std::chrono::milliseconds;
using ::testing::Contains;
using ::testing::ContainsRegex;
using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::IsSupersetOf;
using ::testing::Not;
using ::testing::SizeIs;

// Takes that long, on the clock that the test gives to the loop.
void ComputeFor(Duration duration) {
  static_cast<ScriptedPort&>(internal::LoopPrivate::port(EventLoop::Running())).Advance(duration);
}

Task<> Slow(Duration duration) {
  ComputeFor(duration);
  co_return;
}
Task<> SleepsAnHour() { co_await SleepFor(std::chrono::hours(1)); }

// Steps ---------------------------------------------------------------------------------

TEST(SlowStep, IsReportedWithTheNameOfItsTask) {
  const KeptFindings findings;
  const auto main = []() -> Task<> {
    EventLoop::Running().SetSlowStep(milliseconds(5));
    const TaskHandle<> slow = Spawn(Slow(milliseconds(20)), "computer");
    co_await slow;
  };
  RunScripted(main());
  ASSERT_THAT(findings.Messages("slow-step"), SizeIs(1));
  EXPECT_THAT(findings.Messages("slow-step")[0], HasSubstr("'computer' took "));
  EXPECT_EQ(findings.all()[0].task, "computer");
  EXPECT_DOUBLE_EQ(findings.all()[0].seconds, 0.02);
}

TEST(SlowStep, OfACallbackNamesWhereItWasMade) {
  const KeptFindings findings;
  const auto main = []() -> Task<> {
    EventLoop& loop = EventLoop::Running();
    loop.SetSlowStep(milliseconds(5));
    loop.CallSoon([] { ComputeFor(milliseconds(20)); });
    co_await Yield();
    co_await Yield();
  };
  RunScripted(main());
  ASSERT_THAT(findings.Messages("slow-step"), SizeIs(1));
  EXPECT_THAT(findings.all()[0].file, HasSubstr("debug_mode_test.cc"));
}

// What asyncio reported until 3.8, and its users did not want.
TEST(SlowStep, IsNotTheTimeThatTheLoopWaitsForWork) {
  const KeptFindings findings;
  const auto main = []() -> Task<> {
    EventLoop::Running().SetSlowStep(milliseconds(1));
    co_await SleepFor(std::chrono::hours(1));
  };
  RunScripted(main());
  EXPECT_THAT(findings.Messages("slow-step"), IsEmpty());
}

std::chrono::nanoseconds OwnProcessorTime() {
  timespec time;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return std::chrono::seconds(time.tv_sec) + std::chrono::nanoseconds(time.tv_nsec);
}

// All on one processor, with so many other threads that want it.
class BusyProcessor {
 public:
  explicit BusyProcessor(size_t others) {
    sched_getaffinity(0, sizeof before_, &before_);
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(sched_getcpu(), &one);
    sched_setaffinity(0, sizeof one, &one);
    for (size_t i = 0; i < others; ++i) {
      others_.emplace_back([this] {
        while (!stop_.load(std::memory_order_relaxed)) {
        }
      });
    }
  }
  ~BusyProcessor() {
    stop_.store(true, std::memory_order_relaxed);
    for (std::thread& other : others_) other.join();
    sched_setaffinity(0, sizeof before_, &before_);
  }

 private:
  cpu_set_t before_;
  std::atomic<bool> stop_{false};
  std::vector<std::thread> others_;
};

TEST(SlowStep, ThatWaitedForAProcessorSaysSo) {
  const KeptFindings findings;
  const auto main = []() -> Task<> {
    EventLoop::Running().SetSlowStep(milliseconds(50));
    co_await Yield();
    const Time start = Clock::now();
    const auto ran_before = OwnProcessorTime();
    while (Clock::now() - start - (OwnProcessorTime() - ran_before) < milliseconds(100)) {
    }
  };
  const BusyProcessor busy(8);
  loopsan::Run(main(), {.port = nullptr, .name = {}, .debug = true});
  ASSERT_THAT(findings.Messages("slow-step"), SizeIs(1));
  EXPECT_THAT(findings.Messages("slow-step")[0], HasSubstr("may have waited for a processor"));
}

TEST(SlowStep, ThatWasSlowByItselfSaysNothingOfProcessors) {
  const KeptFindings findings;
  const auto main = []() -> Task<> {
    EventLoop::Running().SetSlowStep(milliseconds(1));
    const auto ran_before = OwnProcessorTime();
    while (OwnProcessorTime() - ran_before < milliseconds(20)) {
    }
    co_return;
  };
  loopsan::Run(main(), {.port = nullptr, .name = {}, .debug = true});
  ASSERT_THAT(findings.Messages("slow-step"), SizeIs(1));
  EXPECT_THAT(findings.Messages("slow-step")[0], Not(HasSubstr("processor")));
}

TEST(SlowStep, IsNotReportedWithoutTheDebugMode) {
  const KeptFindings findings;
  const auto main = []() -> Task<> {
    EventLoop::Running().SetSlowStep(milliseconds(1));
    ComputeFor(milliseconds(10));
    co_return;
  };
  ScriptedLoop scripted(false);
  scripted.Run(main());
  EXPECT_THAT(findings.all(), IsEmpty());
}

TEST(LongTurn, OfManyShortStepsNamesWhoTookMostOfIt) {
  const KeptFindings findings;
  const auto main = []() -> Task<> {
    EventLoop::Running().SetSlowStep(milliseconds(60));
    for (int i = 0; i < 20; ++i) Spawn(Slow(milliseconds(5)), "short");
    co_await Yield();
    co_await Yield();
  };
  RunScripted(main());
  EXPECT_THAT(findings.Messages("slow-step"), IsEmpty());
  ASSERT_THAT(findings.Messages("long-turn"), SizeIs(1));
  EXPECT_THAT(findings.Messages("long-turn")[0], HasSubstr("steps, none of them slow by itself"));
  EXPECT_THAT(findings.Messages("long-turn")[0], HasSubstr("debug_mode_test.cc:"));
}

Task<int> Leaf() { co_return 1; }

TEST(NeverYields, IsSaidOfASlowStepThatGoesThroughManyAwaits) {
  const KeptFindings findings;
  const auto busy = []() -> Task<> {
    for (int i = 0; i < 2'000; ++i) {
      ComputeFor(std::chrono::microseconds(10));
      co_await Leaf();
    }
  };
  const auto main = [&]() -> Task<> {
    EventLoop::Running().SetSlowStep(milliseconds(5));
    const TaskHandle<> task = Spawn(busy(), "busy");
    co_await task;
  };
  RunScripted(main());
  ASSERT_THAT(findings.Messages("never-yields"), SizeIs(1));
  EXPECT_THAT(findings.Messages("never-yields")[0], HasSubstr("'busy'"));
}

// What does not suspend is not counted.
TEST(NeverYields, IsNotSaidOfASlowStepOverEventsThatAreSet) {
  const KeptFindings findings;
  Event event;
  const auto busy = [&]() -> Task<> {
    event.Set();
    for (int i = 0; i < 2'000; ++i) {
      ComputeFor(std::chrono::microseconds(10));
      co_await event.Wait();
    }
  };
  ScriptedLoop scripted;
  scripted.loop().SetSlowStep(milliseconds(5));
  scripted.Run(busy());
  EXPECT_THAT(findings.rules(), ElementsAre("slow-step"));
}

Task<> YieldsOften(int times, Duration work) {
  for (int i = 0; i < times; ++i) {
    ComputeFor(work);
    co_await Yield();
  }
}

TEST(SelfWaking, IsSaidOnceOfATaskThatPolls) {
  const KeptFindings findings;
  RunScripted(YieldsOften(5'000, Duration::zero()));
  ASSERT_THAT(findings.rules(), ElementsAre("self-waking"));
}

TEST(SelfWaking, IsSaidOfATaskThatSleepsForNoTime) {
  const KeptFindings findings;
  const auto polls = []() -> Task<> {
    for (int i = 0; i < 2'000; ++i) co_await SleepFor(milliseconds(0));
  };
  RunScripted(polls());
  ASSERT_THAT(findings.rules(), ElementsAre("self-waking"));
}

TEST(SelfWaking, IsNotSaidOfATaskThatSleepsForAWhileEachTime) {
  const KeptFindings findings;
  const auto sleeps = []() -> Task<> {
    for (int i = 0; i < 2'000; ++i) co_await SleepFor(milliseconds(1));
  };
  RunScripted(sleeps());
  EXPECT_THAT(findings.all(), IsEmpty());
}

TEST(SelfWaking, IsNotSaidOfATaskThatWaitsInBetween) {
  const KeptFindings findings;
  const auto works = []() -> Task<> {
    for (int i = 0; i < 2'000; ++i) {
      co_await SleepFor(milliseconds(1));
      co_await Yield();
    }
  };
  RunScripted(works());
  EXPECT_THAT(findings.all(), IsEmpty());
}

TEST(SelfWaking, IsNotSaidOfLongWorkThatIsDivided) {
  const KeptFindings findings;
  RunScripted(YieldsOften(1'500, std::chrono::microseconds(40)));
  EXPECT_THAT(findings.Messages("self-waking"), IsEmpty());
}

// Ends -------------------------------------------------------------------------------------

TEST(UnclosedLoop, IsReportedWhenItIsDestroyed) {
  const KeptFindings findings;
  {
    EventLoop loop({.port = std::make_unique<ScriptedPort>(), .name = "forgotten", .debug = true});
  }
  EXPECT_THAT(findings.Messages("unclosed-loop"),
              ElementsAre(HasSubstr("event loop 'forgotten' was destroyed")));
  EXPECT_THAT(findings.all()[0].file, HasSubstr("debug_mode_test.cc"));
  EXPECT_THAT(findings.all()[0].function, HasSubstr("UnclosedLoop_IsReported"));
}

TEST(UnclosedLoop, IsNotReportedOfRun) {
  const KeptFindings findings;
  EXPECT_EQ(loopsan::Run(Leaf(), {.port = nullptr, .name = {}, .debug = true}), 1);
  EXPECT_THAT(findings.all(), IsEmpty());
}

TEST(Close, ReportsATimerThatIsStillSetWithItsPlace) {
  const KeptFindings findings;
  EventLoop loop({.port = std::make_unique<ScriptedPort>(), .name = {}, .debug = true});
  loop.CallLater(milliseconds(5), [] {});
  loop.Close();
  ASSERT_THAT(findings.rules(), ElementsAre("unclosed-timer"));
  EXPECT_THAT(findings.all()[0].file, HasSubstr("debug_mode_test.cc"));
}

TEST(Close, ReportsATaskThatWaitsWithTheLineOfItsAwait) {
  const KeptFindings findings;
  EventLoop loop({.port = std::make_unique<ScriptedPort>(), .name = {}, .debug = true});
  const auto main = []() -> Task<> {
    Spawn(SleepsAnHour(), "sleeper");
    co_await Yield();
  };
  loop.RunUntilComplete(main());
  loop.Close();
  ASSERT_THAT(findings.rules(), ElementsAre("destroyed-while-pending"));
  EXPECT_THAT(findings.all()[0].message, HasSubstr("'sleeper' was waiting for a sleep"));
  EXPECT_THAT(findings.all()[0].function, HasSubstr("SleepsAnHour"));
}

TEST(Close, ReportsATaskThatNeverRan) {
  const KeptFindings findings;
  EventLoop loop({.port = std::make_unique<ScriptedPort>(), .name = {}, .debug = true});
  const TaskHandle<> handle = loop.Spawn(SleepsAnHour(), "unborn");
  loop.Close();
  EXPECT_THAT(findings.rules(), ElementsAre("leaked-at-close"));
  EXPECT_TRUE(handle.cancelled());
}

// Waits that cannot end ------------------------------------------------------------------------

TEST(Await, OfOneselfIsAnErrorAndAFinding) {
  const KeptFindings findings;
  TaskHandle<> self;
  const auto body = [&]() -> Task<> { co_await self; };
  const auto main = [&]() -> Task<> {
    self = Spawn(body(), "narcissus");
    co_await Yield();
    EXPECT_TRUE(self.done());
    EXPECT_THROW(self.result(), UsageError);
  };
  RunScripted(main());
  ASSERT_THAT(findings.rules(), ElementsAre("awaits-itself"));
  EXPECT_THAT(findings.all()[0].message, HasSubstr("'narcissus'"));
}

TEST(Await, InACircleIsAnErrorAndAFindingThatNamesAllMembers) {
  const KeptFindings findings;
  TaskHandle<> first;
  TaskHandle<> second;
  TaskHandle<> third;
  const auto awaits = [](const TaskHandle<>& other) -> Task<> { co_await other; };
  const auto main = [&]() -> Task<> {
    first = Spawn(awaits(second), "first");
    second = Spawn(awaits(third), "second");
    third = Spawn(awaits(first), "third");
    co_await Yield();
    co_await Yield();
    EXPECT_TRUE(third.done());
    EXPECT_THROW(third.result(), UsageError);
    co_await Yield();
    co_await Yield();
    // They got the error of the one that they waited for.
    EXPECT_THROW(second.result(), UsageError);
    EXPECT_THROW(first.result(), UsageError);
  };
  RunScripted(main());
  ASSERT_THAT(findings.Messages("await-cycle"), SizeIs(1));
  EXPECT_THAT(findings.Messages("await-cycle")[0],
              HasSubstr("'third' -> 'first' -> 'second' -> 'third'"));
}

TEST(Await, OfATaskOfAnotherLoopIsAnErrorAndAFinding) {
  const KeptFindings findings;
  ScriptedLoop other;
  const TaskHandle<> foreign = other.loop().Spawn(SleepsAnHour(), "foreign");
  const auto main = [&]() -> Task<> { co_await foreign; };
  EXPECT_THROW(RunScripted(main()), UsageError);
  EXPECT_THAT(findings.rules(), Contains("other-loop"));
}

TEST(LostWakeup, IsReportedWhenNobodyIsLeftWhoCouldWake) {
  const KeptFindings findings;
  ScriptedLoop scripted;
  Event never;
  const auto waits = [&]() -> Task<> { co_await never.Wait(); };
  // The scripted port throws where a real one would wait for ever.
  EXPECT_THROW(scripted.loop().RunUntilComplete(waits()), std::logic_error);
  ASSERT_THAT(findings.Messages("lost-wakeup"), SizeIs(1));
  EXPECT_THAT(findings.all()[0].file, HasSubstr("debug_mode_test.cc"));
  EXPECT_EQ(findings.all()[0].task, "main");
  EXPECT_THAT(findings.all()[0].message, HasSubstr("waits for an event that nobody"));
}

TEST(LostWakeup, IsNotReportedWhileSomebodyOutsideHoldsAWayIn) {
  const KeptFindings findings;
  ScriptedLoop scripted;
  Event event;
  const LoopHandle outside = scripted.loop().Handle();
  const auto waits = [&]() -> Task<> { co_await event.Wait(); };
  EXPECT_THROW(scripted.loop().RunUntilComplete(waits()), std::logic_error);
  EXPECT_THAT(findings.Messages("lost-wakeup"), IsEmpty());
}

// Tells once that the loop is about to sleep without a limit.
class TellsOfSleep final : public Instrument {
 public:
  explicit TellsOfSleep(std::promise<void>* told) : told_(told) {}
  void OnIdleBegin(Duration timeout) override {
    if (timeout < Duration::zero() && told_ != nullptr) std::exchange(told_, nullptr)->set_value();
  }

 private:
  std::promise<void>* told_;
};

TEST(LostWakeup, IsNotReportedWhileAnotherThreadMayUseTheLoop) {
  const KeptFindings findings;
  ScriptedLoop scripted;
  scripted.port().AllowRealWaits();
  EventLoop& loop = scripted.loop();
  Event event;
  std::promise<void> judged;
  std::thread other([&] {
    judged.get_future().wait();
    loop.CallSoonThreadsafe([&] { event.Set(); });
  });
  loop.AddInstrument(std::make_shared<TellsOfSleep>(&judged));
  const auto waits = [&]() -> Task<> { co_await event.Wait(); };
  scripted.Run(waits());
  other.join();
  EXPECT_THAT(findings.all(), IsEmpty());
}

#ifdef __has_feature
constexpr bool kThreadSanitizer = __has_feature(thread_sanitizer);
#else
constexpr bool kThreadSanitizer = false;
#endif

// And though the debug mode's own thread looks for deadlocks.
TEST(LostWakeup, IsReportedThoughThreadsOfTheRuntimeAreIdle) {
  if (kThreadSanitizer) GTEST_SKIP() << "it has a thread of its own";
  const KeptFindings findings;
  ScriptedLoop scripted;
  Event never;
  const auto main = [&]() -> Task<> {
    const Executor& executor = EventLoop::Running().DefaultExecutor();
    auto job = RunInExecutor([] {});
    while (executor.stats().begun == 0 || executor.stats().idle == 0) co_await Yield();
    co_await std::move(job);
    co_await never.Wait();
  };
  EXPECT_THROW(scripted.loop().RunUntilComplete(main()), std::logic_error);
  EXPECT_THAT(findings.Messages("lost-wakeup"), SizeIs(1));
}

TEST(LostWakeup, OfAMutexNamesItsHolder) {
  const KeptFindings findings;
  Mutex mutex;  // outlives the tasks, which the loop destroys
  Event never;
  ScriptedLoop scripted;
  const auto holds = [&]() -> Task<> {
    const MutexLock lock = co_await mutex.Lock();
    co_await never.Wait();
  };
  const auto main = [&]() -> Task<> {
    Spawn(holds(), "holder");
    co_await Yield();
    const MutexLock lock = co_await mutex.Lock();
  };
  EXPECT_THROW(scripted.loop().RunUntilComplete(main()), std::logic_error);
  const std::vector<std::string> messages = findings.Messages("lost-wakeup");
  ASSERT_THAT(messages, SizeIs(2));
  EXPECT_THAT(messages,
              Contains(HasSubstr("'main' waits for a mutex (held by task 'holder') that")));
}

TEST(LostWakeup, OfAMutexSaysThatItsHolderHasEnded) {
  const KeptFindings findings;
  Mutex mutex;
  MutexLock kept;
  ScriptedLoop scripted;
  const auto keeps = [&]() -> Task<> { kept = co_await mutex.Lock(); };
  const auto main = [&]() -> Task<> {
    const TaskHandle<> keeper = Spawn(keeps(), "keeper");
    co_await keeper;
    const MutexLock lock = co_await mutex.Lock();
  };
  EXPECT_THROW(scripted.loop().RunUntilComplete(main()), std::logic_error);
  const std::vector<std::string> messages = findings.Messages("lost-wakeup");
  ASSERT_THAT(messages, SizeIs(1));
  EXPECT_THAT(messages[0], ContainsRegex("mutex .held by Task-[0-9]+, which has ended. that"));
}

TEST(LostWakeup, IsNotReportedWhileATimerIsSet) {
  const KeptFindings findings;
  Event event;
  const auto main = [&]() -> Task<> {
    EventLoop::Running().CallLater(milliseconds(1), [&] { event.Set(); });
    co_await event.Wait();
  };
  RunScripted(main());
  EXPECT_THAT(findings.all(), IsEmpty());
}

// Descriptors ------------------------------------------------------------------------------------

TEST(BlockingDescriptor, IsReportedWhenItIsWatched) {
  const KeptFindings findings;
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  ScriptedLoop scripted;
  scripted.loop().AddReader(ends[0], [] {});
  EXPECT_THAT(findings.rules(), ElementsAre("blocking-descriptor"));
  scripted.loop().RemoveReader(ends[0]);
  close(ends[0]);
  close(ends[1]);
}

TEST(BlockingDescriptor, IsNoFindingIfItDoesNotBlock) {
  const KeptFindings findings;
  int ends[2];
  ASSERT_EQ(pipe2(ends, O_NONBLOCK), 0);
  ScriptedLoop scripted;
  scripted.loop().AddReader(ends[0], [] {});
  EXPECT_THAT(findings.all(), IsEmpty());
  scripted.loop().RemoveReader(ends[0]);
  close(ends[0]);
  close(ends[1]);
}

// What is printed -----------------------------------------------------------------------------

class Printed : public ::testing::Test {
 protected:
  // What goes to stderr while `main` runs on a loop.
  template <typename F>
  static std::string Of(const F& main) {
    ::testing::internal::CaptureStderr();
    try {
      RunScripted(main());
    } catch (const UsageError&) {
    }
    return ::testing::internal::GetCapturedStderr();
  }
};

TEST_F(Printed, ControlCharactersOfNamesAreEscaped) {
  const auto wait = []() -> Task<> {
    Event event;
    co_await event.Wait();
  };
  const auto main = [&]() -> Task<> {
    const TaskHandle<> waits = Spawn(wait(), "a\n\x1b[31mb");
    EventLoop::Running().SetSlowStep(milliseconds(5));
    const TaskHandle<> slow = Spawn(Slow(milliseconds(20)), "c\n\x1b[31md");
    co_await slow;
  };
  const std::string text = Of(main);
  EXPECT_THAT(text, HasSubstr("task 'c\\n\\x1b[31md'"));
  EXPECT_THAT(text, Not(HasSubstr("\x1b")));
}

TEST_F(Printed, ControlCharactersOfExceptionsAreEscaped) {
  const auto main = []() -> Task<> {
    EventLoop::Running().CallSoon([] { throw std::runtime_error("a\n\x1b[31mb"); });
    co_await Yield();
    co_await Yield();
  };
  EXPECT_THAT(Of(main), HasSubstr(": a\\n\\x1b[31mb\n"));
}

TEST_F(Printed, TheTaskThatUnlocksAMutexOfAnotherIsNamed) {
  Mutex mutex;
  MutexLock lock;
  const auto thief = [&]() -> Task<> {
    lock.Unlock();
    co_return;
  };
  const auto main = [&]() -> Task<> {
    lock = co_await mutex.Lock();
    const TaskHandle<> other = Spawn(thief(), "thief");
    co_await other;
  };
  EXPECT_THAT(Of(main), HasSubstr("    task 'thief', spawned at "));
}

TEST_F(Printed, TwoInstrumentsThatThrowAreTold) {
  struct One : Instrument {
    void OnSpawn(const Step&) override { throw std::runtime_error("no room"); }
  };
  struct Two : One {};
  const auto main = []() -> Task<> {
    EventLoop::Running().AddInstrument(std::make_shared<One>());
    EventLoop::Running().AddInstrument(std::make_shared<Two>());
    co_await Spawn(Leaf(), "child");
  };
  const std::string text = Of(main);
  EXPECT_THAT(text, HasSubstr("::One threw: no room"));
  EXPECT_THAT(text, HasSubstr("::Two threw: no room"));
}

TEST(WithArticle, IsWhatPeopleSay) {
  EXPECT_EQ(internal::WithArticle("event"), "an event");
  EXPECT_EQ(internal::WithArticle("mutex"), "a mutex");
  EXPECT_EQ(internal::WithArticle("several tasks"), "several tasks");
  EXPECT_EQ(internal::WithArticle("its turn"), "its turn");
}

// The switch -----------------------------------------------------------------------------------

class DebugVariable : public ::testing::TestWithParam<std::pair<const char*, bool>> {
 protected:
  ~DebugVariable() override { unsetenv("LOOPSAN"); }
};

TEST_P(DebugVariable, TurnsTheDebugModeOnOrOff) {
  const auto& [value, on] = GetParam();
  setenv("LOOPSAN", value, 1);
  EventLoop loop;
  EXPECT_EQ(loop.debug(), on);
  loop.Close();
}

INSTANTIATE_TEST_SUITE_P(Values, DebugVariable,
                         ::testing::Values(std::pair("1", true), std::pair("true", true),
                                           std::pair("YES", true), std::pair("on", true),
                                           std::pair("0", false), std::pair("false", false),
                                           std::pair("No", false), std::pair("off", false),
                                           std::pair("", false)));

TEST_F(DebugVariable, WithAnyOtherValueIsAnErrorThatSaysSo) {
  setenv("LOOPSAN", "perhaps", 1);
  try {
    EventLoop loop;
    FAIL() << "nothing was thrown";
  } catch (const std::invalid_argument& error) {
    EXPECT_STREQ(error.what(),
                 "LOOPSAN=perhaps is not understood; use LOOPSAN=1 (true, yes, on) for the debug "
                 "mode or LOOPSAN=0 (false, no, off)");
  }
}

TEST(DebugSwitch, WorksWhileTheLoopRuns) {
  const KeptFindings findings;
  const auto main = []() -> Task<> {
    EventLoop& loop = EventLoop::Running();
    loop.SetSlowStep(milliseconds(1));
    ComputeFor(milliseconds(5));
    co_await Yield();
    loop.SetDebug(true);
    co_await Yield();
    ComputeFor(milliseconds(5));
    co_await Yield();
    loop.SetDebug(false);
    co_await Yield();
    ComputeFor(milliseconds(5));
    co_await Yield();
  };
  ScriptedLoop scripted(false);
  scripted.Run(main());
  EXPECT_THAT(findings.Messages("slow-step"), SizeIs(1));
}

}  // namespace
}  // namespace loopsan::testing
