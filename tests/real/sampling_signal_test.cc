// The sampling signal: it finds a stall where perf_event_open is refused, and
// the program does not notice, however many come.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <signal.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <thread>

#include "reporters/arena.h"
#include "reporters/signal_sampler.h"
#include "reporters/thread_probe.h"
#include "tests/support/loopsan_run.h"
#include "tests/support/report_search.h"

namespace loopsan::testing {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;

Json CapabilityNamed(const Json& report, std::string_view part) {
  for (const Json& row : report["capabilities"]) {
    if (row["name"].get<std::string>().find(part) != std::string::npos) return row;
  }
  return nullptr;
}

// The second computation: the first may come before the collector has found the
// program and a step has ended for the handler.
TEST(SamplingSignal, FindsTheLineOfAComputationWherePerfIsRefused) {
  TemporaryDirectory directory;
  const LoopsanResult result =
      RunUnderLoopsan({ProgramPath("victim_epoll_O2"), directory.path(), "cpu"},
                      {.environment = {"LOOPSAN_TEST_NO_PERF=1"}});
  SCOPED_TRACE(Describe(result));
  const auto stalls = FindingsThat(
      result.report,
      {.rule = "stall",
       .function = "CpuInlined",
       .lines = {LOOPSAN_SCENARIOS, FindMarker(LOOPSAN_SCENARIOS, "cpu.inlined.begin").first,
                 FindMarker(LOOPSAN_SCENARIOS, "cpu.inlined.end").last}});
  ASSERT_EQ(stalls.size(), 1u);
  EXPECT_EQ(stalls[0]["stack_source"], "signal");
  EXPECT_EQ(result.exit_code, 0);
  EXPECT_GT(CapabilityNamed(result.report, "signal")["used"], 0);
  EXPECT_THAT(result.report["warnings"], Contains(HasSubstr("taken with a realtime signal")));
}

TEST(SamplingSignal, IsNotUsedWherePerfIsAllowed) {
  TemporaryDirectory directory;
  const LoopsanResult result =
      RunUnderLoopsan({ProgramPath("victim_epoll_O2"), directory.path(), "cpu"});
  SCOPED_TRACE(Describe(result));
  const Json perf = CapabilityNamed(result.report, "perf_event_open");
  if (perf["available"] == false) GTEST_SKIP() << "perf_event_open is refused here";
  EXPECT_EQ(CapabilityNamed(result.report, "signal")["used"], 0);
}

SignalStatus Running(uint32_t caught) {
  return {.valid = true, .state = 'R', .caught = 1ULL << (caught - 1), .filtered = false};
}

TEST(ReasonAgainstSignal, IsNoneForARunningThreadWithTheHandler) {
  EXPECT_EQ(ReasonAgainstSignal(Running(63), 63), "");
}

TEST(ReasonAgainstSignal, IsThatTheHandlerIsMissing) {
  EXPECT_THAT(ReasonAgainstSignal(Running(62), 63), HasSubstr("no handler"));
}

TEST(ReasonAgainstSignal, IsThatTheThreadBlocksTheSignal) {
  SignalStatus status = Running(63);
  status.blocked = status.caught;
  EXPECT_THAT(ReasonAgainstSignal(status, 63), HasSubstr("blocks"));
}

TEST(ReasonAgainstSignal, IsASystemCallFilter) {
  SignalStatus status = Running(63);
  status.filtered = true;
  EXPECT_THAT(ReasonAgainstSignal(status, 63), HasSubstr("seccomp"));
}

TEST(ReasonAgainstSignal, IsThatTheThreadSleeps) {
  SignalStatus status = Running(63);
  status.state = 'S';
  EXPECT_THAT(ReasonAgainstSignal(status, 63), HasSubstr("does not run"));
}

TEST(ReasonAgainstSignal, IsAnUnreadableStatus) {
  EXPECT_NE(ReasonAgainstSignal(SignalStatus{}, 63), "");
}

// Runs the calling thread, and what it starts, on the first or the other
// processors of those that it may use; both alike where there is only one.
void RunOn(const cpu_set_t& allowed, bool first) {
  cpu_set_t chosen;
  CPU_ZERO(&chosen);
  bool seen = false;
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (!CPU_ISSET(cpu, &allowed)) continue;
    if (first != seen) CPU_SET(cpu, &chosen);
    seen = true;
  }
  if (CPU_COUNT(&chosen) > 0) sched_setaffinity(0, sizeof chosen, &chosen);
}

// A collector that does nothing but signal, as fast as the threads answer and
// without any of the watcher's restraint. On a processor of its own: on the
// victim's it would run only while that sleeps, and find it in a call each time.
class Rain {
 public:
  Rain() : arena_(*Arena::Create(Options{}, clock_)) {
    arena_->KeepReady(3);
    sched_getaffinity(0, sizeof allowed_, &allowed_);
    RunOn(allowed_, false);
    thread_ = std::thread([this] {
      RunOn(allowed_, true);
      Fall();
    });
  }

  ~Rain() {
    Stop();
    sched_setaffinity(0, sizeof allowed_, &allowed_);
  }

  // Whether the rain falls while the victims run.
  bool HasOwnProcessor() const { return CPU_COUNT(&allowed_) > 1; }

  std::vector<std::string> Environment() const {
    return {"LD_PRELOAD=" LOOPSAN_PROBE, "LOOPSAN_SESSION=" + arena_->SessionVariable()};
  }

  void AwaitSignals(uint64_t wanted) {
    std::unique_lock lock(mutex_);
    fell_.wait_for(lock, kLongEnough, [&] { return answered_ >= wanted; });
    ASSERT_GE(answered_, wanted);
  }

  // How many handlers have run.
  uint64_t Stop() {
    stop_ = true;
    if (thread_.joinable()) thread_.join();
    return answered_;
  }

  // Calls that a handler found cut short, hooked or not.
  uint32_t calls_interrupted() const { return calls_interrupted_; }

 private:
  void Fall() {
    while (!stop_) {
      for (uint32_t slot = 0; slot < arena_->ready(); ++slot) FallOn(slot);
      arena_->KeepReady(3);
    }
  }

  void FallOn(uint32_t index) {
    segment::Slot& slot = arena_->slot(index);
    const auto state = slot.header.state.load();
    if (state == segment::SlotState::kReplaced) {
      arena_->Recycle(index);
      seen_[index] = {};
      return;
    }
    const uint32_t claimer = slot.header.claimer_tid.load();
    if (state != segment::SlotState::kClaimed || claimer == 0) return;
    if (slot.header.process_id.load() == 0) {
      slot.header.process_id.store(
          static_cast<uint32_t>(ProcessOfThread(static_cast<pid_t>(claimer))));
    }
    slot.header.sample_wanted.store(1);
    calls_interrupted_ = std::max(calls_interrupted_.load(), slot.header.calls_interrupted.load());
    for (uint32_t i = 0; i < 4; ++i) {
      segment::LoopCell& cell = slot.cells[i];
      const auto tid = static_cast<pid_t>(cell.tid.load());
      if (tid == 0) break;
      SendSampleSignal(slot, i, static_cast<pid_t>(slot.header.process_id.load()), tid);
      const uint64_t answers = cell.answers.load();
      if (answers != seen_[index][i]) {
        const std::lock_guard lock(mutex_);
        answered_ += answers - seen_[index][i];
        seen_[index][i] = answers;
        slot.header.chunks_in_use.store(0);
        fell_.notify_one();
      }
    }
  }

  cpu_set_t allowed_;
  TickClock clock_;
  std::unique_ptr<Arena> arena_;
  std::atomic<bool> stop_{false};
  std::mutex mutex_;
  std::condition_variable fell_;
  uint64_t answered_ = 0;
  std::atomic<uint32_t> calls_interrupted_{0};
  std::array<std::array<uint64_t, 4>, segment::kMaxSlots> seen_{};
  std::thread thread_;
};

Finished RunInTheRain(Rain& rain, const std::string& mode) {
  Process victim(
      {.arguments = {ProgramPath("signal_calls"), mode}, .environment = rain.Environment()});
  EXPECT_TRUE(victim.WaitForOutput("looping"));
  rain.AwaitSignals(100);
  victim.Signal(SIGUSR1);
  return victim.Wait();
}

TEST(SamplingSignal, LeavesEveryHookedCallItsTimeResultAndErrno) {
  Rain rain;
  const Finished victim = RunInTheRain(rain, "undisturbed");
  EXPECT_EQ(victim.out, "looping\n0 failures\n");
  EXPECT_EQ(victim.err, "");
  EXPECT_EQ(victim.exit_code, 0) << "signal " << victim.signal;
  const uint64_t signals = rain.Stop();
  RecordProperty("signals", std::to_string(signals));
  if (rain.HasOwnProcessor()) {
    EXPECT_GT(signals, 2000u);
  }
  EXPECT_EQ(rain.calls_interrupted(), 0u);
}

TEST(SamplingSignal, SwallowsNoneOfTheProgramsOwnAlarms) {
  Rain rain;
  const Finished victim = RunInTheRain(rain, "alarms");
  EXPECT_EQ(victim.out, "looping\n0 failures\n");
  EXPECT_EQ(victim.err, "");
  EXPECT_EQ(victim.exit_code, 0) << "signal " << victim.signal;
  const uint64_t signals = rain.Stop();
  RecordProperty("signals", std::to_string(signals));
  if (rain.HasOwnProcessor()) {
    EXPECT_GT(signals, 2000u);
  }
  EXPECT_EQ(rain.calls_interrupted(), 0u);
}

class ExecInTheRain : public ::testing::TestWithParam<const char*> {};

TEST_P(ExecInTheRain, KillsNoneOfThreeHundredImages) {
  Rain rain;
  const Finished program = RunCommand({.arguments = {ProgramPath("signal_exec"), "300", GetParam()},
                                       .environment = rain.Environment()});
  EXPECT_EQ(program.out, "every image survived\n");
  EXPECT_EQ(program.signal, 0);
  EXPECT_EQ(program.exit_code, 0);
  const uint64_t signals = rain.Stop();
  RecordProperty("signals", std::to_string(signals));
  if (rain.HasOwnProcessor()) {
    EXPECT_GT(signals, 300u);  // more than one for each image
  }
}

INSTANTIATE_TEST_SUITE_P(Threads, ExecInTheRain, ::testing::Values("main", "thread"),
                         [](const auto& info) { return std::string(info.param); });

}  // namespace
}  // namespace loopsan::testing
