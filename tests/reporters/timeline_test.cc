#include "reporters/timeline.h"

#include <gtest/gtest.h>

namespace loopsan {
namespace {

using segment::LoopState;

constexpr uint64_t kPeriod = 1000;
constexpr TimelineRecorder::LoopId kLoop = {.process = 1, .pid = 42, .thread = 43};

SegmentCell Idle(uint64_t since, uint64_t busy, uint64_t idle, uint64_t turns) {
  SegmentCell cell;
  cell.state = LoopState::kIdle;
  cell.last_change = since;
  cell.busy_ticks = busy;
  cell.idle_ticks = idle;
  cell.turns = turns;
  return cell;
}

SegmentCell InStep(uint64_t since, uint64_t busy, uint64_t idle, uint64_t turns) {
  SegmentCell cell = Idle(since, busy, idle, turns);
  cell.state = LoopState::kInStep;
  cell.step_start = since;
  return cell;
}

TEST(LoopMeter, SaysNothingBeforeItsPeriodIsOver) {
  LoopMeter meter(kPeriod);
  EXPECT_FALSE(meter.Look(Idle(10'000, 0, 0, 0), 0, 10'000));
  EXPECT_FALSE(meter.Look(Idle(10'000, 0, 0, 0), 0, 10'999));
  EXPECT_TRUE(meter.Look(Idle(10'000, 0, 0, 0), 0, 11'000));
}

TEST(LoopMeter, MeasuresTheRestAtTheEnd) {
  LoopMeter meter(kPeriod);
  EXPECT_FALSE(meter.Look(Idle(10'000, 0, 0, 0), 0, 10'000));
  const auto rest = meter.Look(Idle(10'000, 0, 0, 0), 0, 10'010, /*last=*/true);
  ASSERT_TRUE(rest);
  EXPECT_EQ(rest->end - rest->begin, 10u);
}

TEST(LoopMeter, CountsTheStepThatGoesOn) {
  LoopMeter meter(kPeriod);
  meter.Look(Idle(10'000, 0, 0, 0), 0, 10'000);
  const auto first = meter.Look(InStep(10'200, 0, 200, 1), 300, 11'000);
  ASSERT_TRUE(first);
  EXPECT_EQ(first->busy, 800u);
  EXPECT_EQ(first->idle, 200u);
  EXPECT_EQ(first->cpu_nanoseconds, 300u);
  EXPECT_EQ(first->turns, 1u);
  EXPECT_EQ(first->longest_step, 800u);
  const auto second = meter.Look(InStep(10'200, 0, 200, 1), 400, 12'000);
  ASSERT_TRUE(second);
  EXPECT_EQ(second->busy, 1000u);
  EXPECT_EQ(second->idle, 0u);
  EXPECT_EQ(second->longest_step, 1800u);
}

TEST(LoopMeter, KnowsAStepThatNoLookMet) {
  LoopMeter meter(kPeriod);
  meter.Look(Idle(10'000, 0, 0, 0), 0, 10'000);
  SegmentCell cell = Idle(10'900, 700, 200, 3);
  cell.longest_step = 600;
  EXPECT_EQ(meter.Look(cell, 0, 11'000)->longest_step, 600u);
  cell = Idle(11'900, 1100, 800, 5);
  cell.longest_step = 600;
  EXPECT_EQ(meter.Look(cell, 0, 12'000)->longest_step, 200u) << "the mean of two turns";
}

TEST(LoopMeter, NeverMeasuresLessThanNothing) {
  LoopMeter meter(kPeriod);
  meter.Look(InStep(9'000, 0, 0, 9), 500, 10'000);
  meter.Look(InStep(9'000, 0, 0, 9), 500, 11'000);
  const auto torn = meter.Look(Idle(13'000, 0, 0, 2), 100, 12'000);
  ASSERT_TRUE(torn);
  EXPECT_EQ(torn->busy, 0u);
  EXPECT_EQ(torn->idle, 0u);
  EXPECT_EQ(torn->cpu_nanoseconds, 0u);
  EXPECT_EQ(torn->turns, 0u);
}

TEST(WaitMeter, TellsAWaitFromItsBeginToTheStepBehindIt) {
  WaitMeter meter;
  EXPECT_FALSE(meter.Look(Idle(1000, 0, 0, 7), 1010));
  EXPECT_FALSE(meter.Look(Idle(1000, 0, 0, 7), 1020));
  EXPECT_FALSE(meter.Look(Idle(1000, 0, 0, 7), 1030));
  const auto wait = meter.Look(InStep(1034, 0, 0, 8), 1040);
  ASSERT_TRUE(wait);
  EXPECT_EQ(wait->begin, 1000u);
  EXPECT_EQ(wait->end, 1034u);
  EXPECT_FALSE(meter.Look(InStep(1034, 0, 0, 8), 1050)) << "once";
}

TEST(WaitMeter, IsSilentAboutAWaitThatOneLookMet) {
  WaitMeter meter;
  EXPECT_FALSE(meter.Look(Idle(1000, 0, 0, 7), 1010));
  EXPECT_FALSE(meter.Look(Idle(1015, 0, 0, 8), 1020));
  EXPECT_FALSE(meter.Look(InStep(1025, 0, 0, 9), 1030));
  EXPECT_FALSE(meter.Finish());
}

TEST(WaitMeter, KnowsTheEndIfTheLoopWaitsAgainAfterAShortStep) {
  WaitMeter meter;
  meter.Look(Idle(1000, 0, 0, 7), 1010);
  meter.Look(Idle(1000, 0, 0, 7), 1020);
  SegmentCell again = Idle(1027, 0, 0, 8);
  again.step_start = 1025;
  const auto wait = meter.Look(again, 1030);
  ASSERT_TRUE(wait);
  EXPECT_EQ(wait->end, 1025u);
  meter.Look(again, 1040);
  const auto next = meter.Look(InStep(1044, 0, 0, 9), 1050);
  ASSERT_TRUE(next);
  EXPECT_EQ(next->begin, 1027u);
  EXPECT_EQ(next->end, 1044u);
}

TEST(WaitMeter, NeverMakesAWaitLongerThanItWas) {
  WaitMeter meter;
  const auto after = [&](const SegmentCell& cell) {
    meter = {};
    meter.Look(Idle(1000, 0, 0, 7), 1010);
    meter.Look(Idle(1000, 0, 0, 7), 1020);
    const auto wait = meter.Look(cell, 1030);
    EXPECT_TRUE(wait);
    return wait ? wait->end : 0;
  };
  EXPECT_EQ(after(InStep(1028, 0, 0, 9)), 1020u) << "there was a turn in between";
  EXPECT_EQ(after(InStep(900, 0, 0, 8)), 1020u) << "the step was read too early";
  EXPECT_EQ(after(InStep(1034, 0, 0, 8)), 1030u) << "read after the look began";
  SegmentCell ended = Idle(1025, 0, 0, 7);
  ended.state = LoopState::kEnded;
  EXPECT_EQ(after(ended), 1020u);
}

TEST(WaitMeter, ForgetsWhatWasReadWhileTheLoopChanged) {
  WaitMeter meter;
  // The step has begun, but the state was read before: its start is no wait's.
  EXPECT_FALSE(meter.Look(Idle(1009, 0, 0, 8), 1010));
  EXPECT_FALSE(meter.Look(InStep(1009, 0, 0, 8), 1020));
  EXPECT_FALSE(meter.Look(Idle(1025, 0, 0, 8), 1030));
}

TEST(WaitMeter, TellsTheWaitThatNobodyEndedAsFarAsItWasSeen) {
  WaitMeter meter;
  meter.Look(Idle(1000, 0, 0, 7), 1010);
  EXPECT_FALSE(meter.Finish());
  meter.Look(Idle(1000, 0, 0, 7), 1020);
  const auto wait = meter.Finish();
  ASSERT_TRUE(wait);
  EXPECT_EQ(wait->begin, 1000u);
  EXPECT_EQ(wait->end, 1020u);
}

class TimelineRecorderTest : public testing::Test {
 protected:
  uint64_t At(double seconds) const { return clock_.Ticks(1000 + seconds); }
  uint64_t Ticks(double seconds) const { return clock_.Ticks(seconds); }

  void AddMeasure(double start, double end, double busy) {
    recorder_.AddMeasure(kLoop, "io",
                         {.begin = At(start),
                          .end = At(end),
                          .busy = Ticks(busy),
                          .idle = Ticks(end - start - busy),
                          .cpu_nanoseconds = 1000,
                          .turns = 1,
                          .longest_step = Ticks(busy)});
  }

  TickClock clock_;
  TimelineRecorder recorder_{&clock_};
};

TEST_F(TimelineRecorderTest, TellsSecondsSinceItsOrigin) {
  recorder_.SetOrigin(At(0));
  AddMeasure(2, 2.1, 0.04);
  const Timeline timeline = recorder_.Finish({});
  ASSERT_EQ(timeline.loops.size(), 1u);
  EXPECT_EQ(timeline.loops[0].pid, 42);
  EXPECT_EQ(timeline.loops[0].thread_id, 43);
  EXPECT_EQ(timeline.loops[0].thread_name, "io");
  ASSERT_EQ(timeline.loops[0].intervals.size(), 1u);
  const TimelineInterval& interval = timeline.loops[0].intervals[0];
  EXPECT_NEAR(interval.start_seconds, 2, 1e-6);
  EXPECT_NEAR(interval.duration_seconds, 0.1, 1e-6);
  EXPECT_NEAR(interval.busy_seconds, 0.04, 1e-6);
  EXPECT_NEAR(interval.idle_seconds, 0.06, 1e-6);
  EXPECT_NEAR(interval.cpu_seconds, 1e-6, 1e-12);
  EXPECT_EQ(interval.turns, 1u);
}

TEST_F(TimelineRecorderTest, TakesTheEarliestMomentForItsOriginIfItIsToldNone) {
  recorder_.AddSpan(kLoop, "io", "turn", At(3), At(4));
  AddMeasure(5, 6, 0);
  const Timeline timeline = recorder_.Finish({});
  EXPECT_EQ(timeline.loops[0].spans[0].start_seconds, 0);
  EXPECT_NEAR(timeline.loops[0].intervals[0].start_seconds, 2, 1e-6);
}

TEST_F(TimelineRecorderTest, KeepsABoundedNumberOfIntervalsAndAllOfTheTime) {
  constexpr int kMeasures = 20'000;
  for (int i = 0; i < kMeasures; ++i) AddMeasure(0.1 * i, 0.1 * (i + 1), i == 777 ? 0.09 : 0.01);
  const Timeline timeline = recorder_.Finish({});
  const std::vector<TimelineInterval>& intervals = timeline.loops[0].intervals;
  EXPECT_LE(intervals.size(), TimelineRecorder::kMaxIntervals);
  EXPECT_GE(intervals.size(), TimelineRecorder::kMaxIntervals / 3);
  double busy = 0;
  double longest = 0;
  double end = 0;
  uint64_t turns = 0;
  for (const TimelineInterval& interval : intervals) {
    EXPECT_NEAR(interval.start_seconds, end, 1e-5);
    end = interval.start_seconds + interval.duration_seconds;
    busy += interval.busy_seconds;
    turns += interval.turns;
    longest = std::max(longest, interval.longest_step_seconds);
  }
  EXPECT_NEAR(busy, 0.01 * kMeasures + 0.08, 1e-3);
  EXPECT_EQ(turns, static_cast<uint64_t>(kMeasures));
  EXPECT_NEAR(longest, 0.09, 1e-6);
}

TEST_F(TimelineRecorderTest, NamesTheFindingOfASpan) {
  recorder_.AddSpan(kLoop, "io", "stall", At(2), At(3), "key of one");
  recorder_.AddSpan(kLoop, "io", "blocking-call", At(1), At(3), "key of another");
  recorder_.AddSpan(kLoop, "io", "turn", At(0), At(3));
  const Timeline timeline = recorder_.Finish({{"key of one", "F1"}});
  const std::vector<TimelineSpan>& spans = timeline.loops[0].spans;
  ASSERT_EQ(spans.size(), 3u);
  EXPECT_EQ(spans[0].kind, "turn");
  EXPECT_EQ(spans[0].finding_id, "");
  EXPECT_EQ(spans[1].finding_id, "") << "a finding that was not reported";
  EXPECT_EQ(spans[2].kind, "stall");
  EXPECT_EQ(spans[2].finding_id, "F1");
  EXPECT_NEAR(spans[2].duration_seconds, 1, 1e-6);
}

TEST_F(TimelineRecorderTest, HasRoomForSpansHoweverManyWaitsThereAre) {
  for (size_t i = 0; i < TimelineRecorder::kMaxWaits + 4; ++i) {
    recorder_.AddWait(kLoop, "io", {.begin = At(1), .end = At(2)});
  }
  recorder_.AddSpan(kLoop, "io", "stall", At(3), At(4));
  const Timeline timeline = recorder_.Finish({});
  const std::vector<TimelineSpan>& spans = timeline.loops[0].spans;
  ASSERT_EQ(spans.size(), TimelineRecorder::kMaxWaits + 1);
  EXPECT_EQ(spans.front().kind, "wait");
  EXPECT_EQ(spans.back().kind, "stall");
  EXPECT_EQ(timeline.dropped_waits, 4u);
  EXPECT_EQ(timeline.dropped_spans, 0u);
}

TEST_F(TimelineRecorderTest, CountsSpansAndLoopsThatFindNoRoom) {
  for (size_t i = 0; i < TimelineRecorder::kMaxSpans + 3; ++i) {
    recorder_.AddSpan(kLoop, "io", "turn", At(1), At(2));
  }
  for (size_t i = 0; i < TimelineRecorder::kMaxLoops + 2; ++i) {
    recorder_.AddMeasure({2, 44, static_cast<pid_t>(i)}, "io", {.begin = 1, .end = 2});
  }
  const Timeline timeline = recorder_.Finish({});
  EXPECT_EQ(timeline.loops.size(), TimelineRecorder::kMaxLoops);
  EXPECT_EQ(timeline.loops[0].spans.size(), TimelineRecorder::kMaxSpans);
  EXPECT_EQ(timeline.dropped_spans, 3u);
  EXPECT_EQ(timeline.dropped_loops, 3u);
}

}  // namespace
}  // namespace loopsan
