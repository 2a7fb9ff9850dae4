#include "runtime/event_loop.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "runtime/context.h"
#include "runtime/future.h"
#include "runtime/sleep.h"
#include "runtime/spawn.h"
#include "runtime/timeout.h"
#include "tests/runtime/run_loop.h"

namespace loopsan::testing {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

Task<> Sleep(Duration duration) { co_await SleepFor(duration); }
Task<> Nothing() { co_return; }

// A pipe whose ends do not block.
class Pipe {
 public:
  Pipe() { EXPECT_EQ(pipe2(ends_.data(), O_NONBLOCK | O_CLOEXEC), 0); }
  Pipe(const Pipe&) = delete;
  Pipe& operator=(const Pipe&) = delete;
  ~Pipe() {
    close(ends_[0]);
    close(ends_[1]);
  }
  int reader() const { return ends_[0]; }
  int writer() const { return ends_[1]; }
  void Write() const { EXPECT_EQ(write(writer(), "x", 1), 1); }
  void Read() const {
    char byte = 0;
    EXPECT_EQ(read(reader(), &byte, 1), 1);
  }

 private:
  std::array<int, 2> ends_{};
};

// Callbacks ------------------------------------------------------------------------------

TEST(CallSoon, RunsInTheOrderOfTheCallsInTheNextTurn) {
  std::vector<int> order;
  const auto main = [&]() -> Task<> {
    EventLoop& loop = EventLoop::Running();
    loop.CallSoon([&] {
      order.push_back(1);
      loop.CallSoon([&] { order.push_back(3); });
    });
    loop.CallSoon([&] { order.push_back(2); });
    EXPECT_THAT(order, ElementsAre());
    co_await Yield();
    EXPECT_THAT(order, ElementsAre(1, 2));
    co_await Yield();
  };
  RunScripted(main());
  EXPECT_THAT(order, ElementsAre(1, 2, 3));
}

TEST(CallSoon, DoesNotRunWhatIsCancelled) {
  bool ran = false;
  const auto main = [&]() -> Task<> {
    CallbackHandle handle = EventLoop::Running().CallSoon([&] { ran = true; });
    EXPECT_FALSE(handle.cancelled());
    handle.Cancel();
    EXPECT_TRUE(handle.cancelled());
    co_await Yield();
  };
  RunScripted(main());
  EXPECT_FALSE(ran);
}

TEST(CallLater, RunsInTheOrderOfTheTimesAndThenOfTheCalls) {
  std::vector<int> order;
  const auto main = [&]() -> Task<> {
    EventLoop& loop = EventLoop::Running();
    loop.CallLater(3s, [&] { order.push_back(3); });
    loop.CallLater(1s, [&] { order.push_back(1); });
    loop.CallAt(loop.Now() + 3s, [&] { order.push_back(4); });
    loop.CallLater(2s, [&] { order.push_back(2); });
    co_await SleepFor(5s);
  };
  RunScripted(main());
  EXPECT_THAT(order, ElementsAre(1, 2, 3, 4));
}

TEST(CallLater, TakesTheLongestDelayForTheEndOfTime) {
  bool ran = false;
  bool slept = false;
  const auto forever = [&]() -> Task<> {
    co_await SleepFor(Duration::max());
    slept = true;
  };
  const auto main = [&]() -> Task<> {
    EventLoop& loop = EventLoop::Running();
    EXPECT_EQ(loop.TimeAfter(Duration::max()), Time::max());
    EXPECT_EQ(loop.TimeAfter(-1s), loop.Now() - 1s);
    CallbackHandle handle = loop.CallLater(Duration::max(), [&] { ran = true; });
    TaskHandle<> sleeper = Spawn(forever());
    co_await SleepFor(1h);
    handle.Cancel();
    sleeper.Cancel();
    co_await Yield();
  };
  RunScripted(main());
  EXPECT_FALSE(ran);
  EXPECT_FALSE(slept);
}

TEST(CallLater, DoesNotRunWhatIsCancelledNorWaitForIt) {
  ScriptedLoop scripted;
  const Time start = scripted.loop().Now();
  bool ran = false;
  const auto main = [&]() -> Task<> {
    CallbackHandle handle = EventLoop::Running().CallLater(1h, [&] { ran = true; });
    handle.Cancel();
    co_await SleepFor(1s);
  };
  scripted.Run(main());
  EXPECT_FALSE(ran);
  EXPECT_EQ(scripted.loop().Now() - start, 1s);
}

TEST(CallbackHandle, CancelsNothingOnceItsLoopIsClosedOrGone) {
  CallbackHandle soon;
  CallbackHandle later;
  {
    EventLoop loop({.port = std::make_unique<ScriptedPort>(), .name = {}, .debug = false});
    soon = loop.CallSoon([] {});
    later = loop.CallLater(1h, [] {});
    loop.Close();
    soon.Cancel();
  }
  later.Cancel();
  EXPECT_TRUE(soon.cancelled());
  EXPECT_TRUE(later.cancelled());
}

TEST(CallSoonThreadsafe, RunsAllInTheOrderOfEachThread) {
  constexpr int kThreads = 4;
  constexpr int kPosts = 500;
  EventLoop loop;
  std::array<std::vector<int>, kThreads> got;
  int left = kThreads * kPosts;
  std::vector<std::thread> threads;
  loop.CallSoon([&] {
    for (int thread = 0; thread < kThreads; ++thread) {
      threads.emplace_back([&, thread] {
        for (int i = 0; i < kPosts; ++i) {
          loop.CallSoonThreadsafe([&, thread, i] {
            got[static_cast<size_t>(thread)].push_back(i);
            if (--left == 0) loop.Stop();
          });
        }
      });
    }
  });
  loop.RunForever();
  for (std::thread& thread : threads) thread.join();
  for (const std::vector<int>& each : got) {
    ASSERT_EQ(each.size(), static_cast<size_t>(kPosts));
    for (int i = 0; i < kPosts; ++i) EXPECT_EQ(each[static_cast<size_t>(i)], i);
  }
  loop.Close();
}

TEST(CallSoonThreadsafe, OnAClosedLoopIsAnError) {
  EventLoop loop;
  loop.Close();
  EXPECT_THROW(loop.CallSoonThreadsafe([] {}), UsageError);
}

// Not inlined: g++ 12 then warns of a use after free that there is not.
[[gnu::noinline]] bool PostNothing(const LoopHandle& handle, std::shared_ptr<int> captured) {
  return handle.CallSoon([captured = std::move(captured)] {});
}

TEST(LoopHandle, TakesNothingOnceTheLoopIsClosedOrGone) {
  auto loop = std::make_unique<EventLoop>();
  const LoopHandle handle = loop->Handle();
  const auto captured = std::make_shared<int>(1);
  EXPECT_TRUE(PostNothing(handle, captured));
  EXPECT_FALSE(handle.is_closed());
  loop->Close();
  EXPECT_EQ(captured.use_count(), 1);  // what was taken and never ran is gone
  EXPECT_TRUE(handle.is_closed());
  EXPECT_FALSE(PostNothing(handle, captured));
  loop.reset();
  EXPECT_FALSE(PostNothing(handle, captured));
  EXPECT_EQ(captured.use_count(), 1);
}

// Descriptors -----------------------------------------------------------------------------

TEST(AddReader, IsCalledEachTurnInWhichThereIsSomethingToRead) {
  EventLoop loop;
  const Pipe pipe;
  int reads = 0;
  loop.AddReader(pipe.reader(), [&] {
    pipe.Read();
    if (++reads == 2) loop.Stop();
  });
  pipe.Write();
  pipe.Write();
  loop.RunForever();
  EXPECT_EQ(reads, 2);
  EXPECT_TRUE(loop.RemoveReader(pipe.reader()));
  EXPECT_FALSE(loop.RemoveReader(pipe.reader()));
  loop.Close();
}

TEST(AddReader, ReplacesTheOneBefore) {
  EventLoop loop;
  const Pipe pipe;
  std::string called;
  loop.AddReader(pipe.reader(), [&] { called += "old"; });
  loop.AddReader(pipe.reader(), [&] {
    called += "new";
    loop.Stop();
  });
  pipe.Write();
  loop.RunForever();
  EXPECT_EQ(called, "new");
  loop.Close();
}

TEST(AddReader, IsNotCalledOnceRemovedByAnEarlierStepOfTheSameTurn) {
  ScriptedLoop scripted;
  EventLoop& loop = scripted.loop();
  const Pipe one;
  const Pipe two;
  std::string called;
  loop.AddReader(one.reader(), [&] {
    called += "one";
    loop.RemoveReader(two.reader());
  });
  loop.AddReader(two.reader(), [&] { called += "two"; });
  scripted.port().MakeReady(one.reader(), EPOLLIN);
  scripted.port().MakeReady(two.reader(), EPOLLIN);
  scripted.Run(Sleep(1s));
  EXPECT_EQ(called, "one");
  EXPECT_EQ(scripted.port().watched(), 1u);
}

TEST(AddReader, MayReplaceItselfWhileItRuns) {
  ScriptedLoop scripted;
  EventLoop& loop = scripted.loop();
  const Pipe pipe;
  std::string called;
  const auto text = std::make_shared<std::string>("first");
  loop.AddReader(pipe.reader(), [&called, &loop, &pipe, text] {
    loop.AddReader(pipe.reader(), [&called] { called += " second"; });
    called += *text;  // what it has captured is still there
  });
  scripted.port().MakeReady(pipe.reader(), EPOLLIN);
  scripted.Run(Sleep(1s));
  scripted.port().MakeReady(pipe.reader(), EPOLLIN);
  scripted.Run(Sleep(1s));
  EXPECT_EQ(called, "first second");
}

TEST(AddWriter, IsCalledBesideAReaderOfTheSameDescriptor) {
  ScriptedLoop scripted;
  EventLoop& loop = scripted.loop();
  const Pipe pipe;
  std::string called;
  loop.AddReader(pipe.reader(), [&] { called += "r"; });
  loop.AddWriter(pipe.reader(), [&] { called += "w"; });
  scripted.port().MakeReady(pipe.reader(), EPOLLOUT);
  scripted.Run(Sleep(1s));
  EXPECT_EQ(called, "w");
  scripted.port().MakeReady(pipe.reader(), EPOLLHUP);
  scripted.Run(Sleep(1s));
  EXPECT_EQ(called, "wrw");
  EXPECT_TRUE(loop.RemoveReader(pipe.reader()));
  EXPECT_EQ(scripted.port().watched(), 1u);
  EXPECT_TRUE(loop.RemoveWriter(pipe.reader()));
  EXPECT_EQ(scripted.port().watched(), 0u);
}

TEST(AddWriter, IsCalledWhenThereIsRoom) {
  EventLoop loop;
  const Pipe pipe;
  bool called = false;
  loop.AddWriter(pipe.writer(), [&] {
    called = true;
    loop.Stop();
  });
  loop.RunForever();
  EXPECT_TRUE(called);
  loop.Close();
}

TEST(AddReader, OfAFileIsAnErrorThatNamesTheDescriptor) {
  EventLoop loop;
  char name[] = "/tmp/event_loop_test.XXXXXX";
  const int fd = mkstemp(name);
  ASSERT_GE(fd, 0);
  unlink(name);
  std::string what;
  try {
    loop.AddReader(fd, [] {});
  } catch (const std::system_error& error) {
    what = error.what();
  }
  EXPECT_THAT(what, HasSubstr("descriptor " + std::to_string(fd)));
  close(fd);
  loop.Close();
}

// Signals ---------------------------------------------------------------------------------

TEST(SignalHandler, RunsAsAStepAfterTheSignal) {
  EventLoop loop;
  int arrived = 0;
  loop.AddSignalHandler(SIGUSR1, [&] {
    ++arrived;
    loop.Stop();
  });
  loop.CallSoon([&] {
    raise(SIGUSR1);
    EXPECT_EQ(arrived, 0);
  });
  loop.RunForever();
  EXPECT_EQ(arrived, 1);
  EXPECT_TRUE(loop.RemoveSignalHandler(SIGUSR1));
  EXPECT_FALSE(loop.RemoveSignalHandler(SIGUSR1));
  loop.Close();
}

TEST(SignalHandler, WakesALoopThatWaits) {
  EventLoop loop;
  loop.AddSignalHandler(SIGUSR1, [&] { loop.Stop(); });
  std::thread thread([] { kill(getpid(), SIGUSR1); });
  loop.RunForever();
  thread.join();
  loop.Close();
}

TEST(SignalHandler, BringsTheOneBeforeBack) {
  struct sigaction ignore{};
  ignore.sa_handler = SIG_IGN;
  struct sigaction before;
  sigaction(SIGUSR2, &ignore, &before);
  {
    EventLoop loop;
    loop.AddSignalHandler(SIGUSR2, [] {});
    loop.Close();
  }
  struct sigaction now;
  sigaction(SIGUSR2, &before, &now);
  EXPECT_EQ(now.sa_handler, SIG_IGN);
}

TEST(SignalHandler, OfAnotherLoopOrOfAWrongSignalIsAnError) {
  EventLoop one;
  EventLoop two;
  one.AddSignalHandler(SIGUSR1, [] {});
  EXPECT_THROW(two.AddSignalHandler(SIGUSR1, [] {}), UsageError);
  EXPECT_THROW(two.AddSignalHandler(12345, [] {}), UsageError);
  EXPECT_THROW(two.AddSignalHandler(SIGKILL, [] {}), std::system_error);
  one.Close();
  two.AddSignalHandler(SIGUSR1, [] {});
  two.Close();
}

// Running and closing -----------------------------------------------------------------------

TEST(Stop, EndsTheRunAfterTheTurn) {
  EventLoop loop({.port = std::make_unique<ScriptedPort>(), .name = {}, .debug = true});
  std::vector<int> order;
  loop.CallSoon([&] {
    order.push_back(1);
    loop.Stop();
    loop.CallSoon([&] { order.push_back(3); });
  });
  loop.CallSoon([&] { order.push_back(2); });
  loop.RunForever();
  EXPECT_THAT(order, ElementsAre(1, 2));
  EXPECT_FALSE(loop.is_running());
  loop.CallSoon([&] { loop.Stop(); });
  loop.RunForever();
  EXPECT_THAT(order, ElementsAre(1, 2, 3));
  loop.Close();
}

TEST(RunUntilComplete, ThatIsStoppedBeforeIsAnError) {
  EventLoop loop({.port = std::make_unique<ScriptedPort>(), .name = {}, .debug = false});
  loop.CallSoon([&] { loop.Stop(); });
  EXPECT_THROW(loop.RunUntilComplete(Sleep(1h)), UsageError);
  loop.Close();
}

TEST(RunUntilComplete, InsideARunIsAnErrorAndAFindingAndRunsNothing) {
  const KeptFindings findings;
  bool ran = false;
  const auto inner = [&]() -> Task<> {
    ran = true;
    co_return;
  };
  const auto main = [&]() -> Task<> {
    EXPECT_THROW(EventLoop::Running().RunUntilComplete(inner()), UsageError);
    EXPECT_THROW(EventLoop::Running().RunForever(), UsageError);
    co_await Yield();
  };
  RunScripted(main());
  EXPECT_FALSE(ran);
  EXPECT_THAT(findings.Messages("nested-run"), ElementsAre("this event loop is already running",
                                                           "this event loop is already running"));
}

TEST(Close, WhileItRunsIsAnError) {
  const auto main = []() -> Task<> {
    EXPECT_THROW(EventLoop::Running().Close(), UsageError);
    co_return;
  };
  RunScripted(main());
}

TEST(Close, MayBeCalledAgainAndRefusesAllUse) {
  EventLoop loop;
  loop.Close();
  loop.Close();
  EXPECT_TRUE(loop.is_closed());
  EXPECT_THROW(loop.CallSoon([] {}), UsageError);
  EXPECT_THROW(loop.CallLater(1s, [] {}), UsageError);
  EXPECT_THROW(loop.Stop(), UsageError);
  EXPECT_THROW(loop.RunForever(), UsageError);
  EXPECT_THROW(loop.RunUntilComplete(Nothing()), UsageError);
}

TEST(Close, EndsTasksWhoseDestructorsCancelOrWakeOthers) {
  struct AtEnd {
    std::function<void()> call;
    ~AtEnd() { call(); }
  };
  EventLoop loop({.port = std::make_unique<ScriptedPort>(), .name = {}, .debug = false});
  std::array<TaskHandle<>, 3> tasks;
  std::optional<Promise<>> promise(std::in_place, loop);
  const auto neighbour = [&](size_t self) -> Task<> {
    const AtEnd at_end{[&tasks, self] {
      for (size_t i = 0; i < tasks.size(); ++i) {
        EXPECT_FALSE(i != self && tasks[i].Cancel());
      }
    }};
    co_await SleepFor(1h);
  };
  const auto keeper = [&]() -> Task<> {
    const AtEnd at_end{[&] { promise.reset(); }};
    co_await SleepFor(1h);
  };
  const auto wait = [&]() -> Task<> { co_await promise->future(); };
  for (size_t i = 0; i < tasks.size(); ++i) tasks[i] = loop.Spawn(neighbour(i));
  loop.Spawn(wait());
  loop.Spawn(keeper());
  loop.RunUntilComplete(Sleep(1s));
  loop.Close();
  EXPECT_EQ(loop.task_count(), 0u);
  for (const TaskHandle<>& task : tasks) {
    EXPECT_TRUE(task.cancelled());
    EXPECT_THROW(task.result(), CancelledError);
  }
}

TEST(EventLoop, MayBeMadeHereRunThereAndClosedHere) {
  const KeptFindings findings;
  EventLoop loop({.port = std::make_unique<ScriptedPort>(), .name = {}, .debug = true});
  std::thread([&] { loop.RunUntilComplete(Sleep(1s)); }).join();
  loop.CallSoon([] {});
  loop.Close();
  EXPECT_THAT(findings.rules(), ElementsAre());
}

// Errors --------------------------------------------------------------------------------------

TEST(ExceptionInACallback, GoesToTheHandlerWithThePlaceOfTheCall) {
  std::vector<std::string> whats;
  std::string file;
  const auto main = [&]() -> Task<> {
    EventLoop& loop = EventLoop::Running();
    loop.SetExceptionHandler([&](const ExceptionContext& context) {
      try {
        std::rethrow_exception(context.error);
      } catch (const std::exception& error) {
        whats.push_back(context.message + ": " + error.what());
      }
      file = context.file;
    });
    loop.CallSoon([] { throw std::runtime_error("broken"); });
    co_await Yield();
    co_await Yield();  // the loop goes on
  };
  RunScripted(main());
  EXPECT_THAT(whats, ElementsAre("exception in a callback: broken"));
  EXPECT_THAT(file, HasSubstr("event_loop_test.cc"));
}

TEST(ExceptionInACallback, IsPrintedIfThereIsNoHandlerOrItThrows) {
  const auto main = []() -> Task<> {
    EventLoop& loop = EventLoop::Running();
    loop.CallSoon([] { throw std::runtime_error("first"); });
    co_await Yield();
    loop.SetExceptionHandler([](const ExceptionContext&) { throw std::runtime_error("handler"); });
    loop.CallSoon([] { throw std::runtime_error("second"); });
    co_await Yield();
  };
  ::testing::internal::CaptureStderr();
  RunScripted(main());
  const std::string text = ::testing::internal::GetCapturedStderr();
  EXPECT_THAT(text, HasSubstr("exception in a callback: first"));
  EXPECT_THAT(text, HasSubstr("(and the exception handler threw): second"));
}

TEST(EventLoop, MayBeAMemberOfAnAggregate) {
  struct Server {
    EventLoop loop;
  };
  Server server{};
  server.loop.Close();
  EXPECT_TRUE(server.loop.is_closed());
}

// Instruments ----------------------------------------------------------------------------------

class NotingInstrument final : public Instrument {
 public:
  explicit NotingInstrument(std::vector<std::string>& notes) : notes_(notes) {}
  void OnSpawn(const Step& task) override { Note("spawn ", task); }
  void OnStepBegin(const Step& step) override { Note("begin ", step); }
  void OnStepEnd(const Step& step, Duration) override { Note("end ", step); }
  void OnTaskExit(const Step& task, bool failed) override {
    Note(failed ? "failed " : "exit ", task);
  }

 private:
  void Note(const char* what, const Step& step) {
    notes_.push_back(what + (step.task_id == 0 ? "callback" : std::string(step.task_name)));
  }
  std::vector<std::string>& notes_;
};

TEST(Instrument, IsToldOfSpawnsStepsAndExits) {
  std::vector<std::string> notes;
  const auto main = [&]() -> Task<> {
    EventLoop& loop = EventLoop::Running();
    const auto instrument = std::make_shared<NotingInstrument>(notes);
    loop.AddInstrument(instrument);
    const TaskHandle<> task = Spawn(Nothing(), "child");
    loop.CallSoon([] {});
    co_await task;
    loop.RemoveInstrument(instrument.get());
    co_await Yield();
  };
  RunScripted(main());
  EXPECT_THAT(notes, ElementsAre("spawn child", "begin child", "exit child", "end child",
                                 "begin callback", "end callback", "begin main"));
}

TEST(Instrument, ThatThrowsIsReportedAndRemoved) {
  class Broken final : public Instrument {
   public:
    explicit Broken(int& calls) : calls_(calls) {}
    void OnSpawn(const Step&) override {
      ++calls_;
      throw std::runtime_error("no room");
    }
    int& calls_;
  };
  const KeptFindings findings;
  int calls = 0;
  std::vector<std::string> notes;
  const auto main = [&]() -> Task<> {
    EventLoop& loop = EventLoop::Running();
    loop.AddInstrument(std::make_shared<Broken>(calls));
    loop.AddInstrument(std::make_shared<NotingInstrument>(notes));
    co_await Spawn(Nothing(), "one");
    co_await Spawn(Nothing(), "two");
  };
  RunScripted(main());
  EXPECT_EQ(calls, 1);
  EXPECT_THAT(findings.Messages("instrument-threw"),
              ElementsAre(HasSubstr("Broken threw: no room")));
  EXPECT_THAT(notes, ::testing::IsSupersetOf({"spawn one", "spawn two"}));
}

// Threads ----------------------------------------------------------------------------------------

// Everything of a loop that another thread might call by mistake.
struct Targets {
  EventLoop& loop;
  int fd;
  DescriptorListener* listener;
  CallbackHandle callback;
  AnyTaskHandle task;
  Future<> future;
  Timeout* timeout;
};

struct Misuse {
  const char* name;
  void (*call)(Targets&);
};

const Misuse kMisuses[] = {
    {"CallSoon", [](Targets& t) { t.loop.CallSoon([] {}); }},
    {"CallAt", [](Targets& t) { t.loop.CallAt(Time::max(), [] {}); }},
    {"CallAt", [](Targets& t) { t.loop.CallLater(1h, [] {}); }},
    {"AddReader", [](Targets& t) { t.loop.AddReader(t.fd, [] {}); }},
    {"AddWriter", [](Targets& t) { t.loop.AddWriter(t.fd, [] {}); }},
    {"RemoveReader", [](Targets& t) { t.loop.RemoveReader(t.fd); }},
    {"RemoveWriter", [](Targets& t) { t.loop.RemoveWriter(t.fd); }},
    {"Watch", [](Targets& t) { t.loop.Watch(t.fd, EPOLLIN, t.listener); }},
    {"Rewatch", [](Targets& t) { t.loop.Rewatch(t.fd, EPOLLIN, t.listener); }},
    {"DumpTasksOnSignal", [](Targets& t) { t.loop.DumpTasksOnSignal(SIGUSR2); }},
    {"AddSignalHandler", [](Targets& t) { t.loop.AddSignalHandler(SIGUSR1, [] {}); }},
    {"RemoveSignalHandler", [](Targets& t) { t.loop.RemoveSignalHandler(SIGUSR1); }},
    {"Spawn", [](Targets& t) { t.loop.Spawn(Nothing()); }},
    {"Stop", [](Targets& t) { t.loop.Stop(); }},
    {"Close", [](Targets& t) { t.loop.Close(); }},
    {"SetDebug", [](Targets& t) { t.loop.SetDebug(false); }},
    {"SetSlowStep", [](Targets& t) { t.loop.SetSlowStep(1s); }},
    {"AddInstrument", [](Targets& t) { t.loop.AddInstrument(nullptr); }},
    {"RemoveInstrument", [](Targets& t) { t.loop.RemoveInstrument(nullptr); }},
    {"SetExceptionHandler", [](Targets& t) { t.loop.SetExceptionHandler({}); }},
    {"AtClose", [](Targets& t) { t.loop.AtClose([] {}); }},
    {"CallbackHandle::Cancel", [](Targets& t) { t.callback.Cancel(); }},
    {"TaskHandle::Cancel", [](Targets& t) { t.task.Cancel(); }},
    {"TaskHandle::Uncancel", [](Targets& t) { t.task.Uncancel(); }},
    {"TaskHandle::SetName", [](Targets& t) { t.task.SetName("x"); }},
    {"Future::Cancel", [](Targets& t) { t.future.Cancel(); }},
    {"Timeout::Reschedule", [](Targets& t) { t.timeout->Reschedule(std::nullopt); }},
};

class NoListener final : public DescriptorListener {
 public:
  void OnReady(uint32_t) noexcept override {}
};

TEST(WrongThread, IsOnlyAFindingWhereNothingMayBeThrown) {
  const KeptFindings findings;
  EventLoop loop({.port = nullptr, .name = {}, .debug = true});
  const Pipe pipe;
  NoListener listener;
  loop.Watch(pipe.reader(), EPOLLIN, &listener);
  std::thread([&] { loop.Unwatch(pipe.reader()); }).join();
  EXPECT_THAT(findings.rules(), ElementsAre("wrong-thread"));
  loop.Unwatch(pipe.reader());  // still there
  loop.Close();
}

TEST(WrongThread, IsAFindingAndAnErrorInEveryEntryPoint) {
  const KeptFindings findings;
  const Pipe pipe;
  NoListener listener;
  const auto main = [&]() -> Task<> {
    Promise<> promise;
    const auto body = [&](Timeout& timeout) -> Task<> {
      EventLoop& loop = EventLoop::Running();
      Targets targets{loop,
                      pipe.reader(),
                      &listener,
                      loop.CallLater(1h, [] {}),
                      Spawn(Sleep(1h)),
                      promise.future(),
                      &timeout};
      for (const Misuse& misuse : kMisuses) {
        std::thread([&] { EXPECT_THROW(misuse.call(targets), UsageError) << misuse.name; }).join();
      }
      EXPECT_FALSE(targets.callback.cancelled());
      targets.callback.Cancel();
      co_return;
    };
    co_await WithTimeout(1h, body);
  };
  RunScripted(main());
  std::vector<std::string> expected;
  for (const Misuse& misuse : kMisuses) {
    expected.push_back(misuse.name +
                       std::string(" was called on a thread that does not run the loop"));
  }
  EXPECT_EQ(findings.Messages("wrong-thread"), expected);
  for (const RuntimeFinding& finding : findings.all()) {
    EXPECT_THAT(finding.file, HasSubstr("event_loop_test.cc")) << finding.message;
  }
}

TEST(WrongThread, IsNoFindingForTheEntryPointsThatAreMadeForIt) {
  const KeptFindings findings;
  ScriptedLoop scripted;
  scripted.port().AllowRealWaits();
  std::thread thread;
  const auto main = [&]() -> Task<> {
    Promise<> promise;
    EventLoop& loop = EventLoop::Running();
    thread = std::thread([&loop, handle = loop.Handle(), promise]() mutable {
      loop.CallSoonThreadsafe([] {});
      handle.CallSoon([] {});
      promise.SetValue();
    });
    co_await promise.future();
  };
  scripted.Run(main());
  thread.join();
  EXPECT_THAT(findings.rules(), ElementsAre());
}

}  // namespace
}  // namespace loopsan::testing
