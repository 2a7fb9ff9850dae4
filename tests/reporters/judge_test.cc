// The judge's decisions, one trap of docs/design.md each, on scripted stacks.
#include "reporters/judge.h"

#include <errno.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "instrument/blocking_calls.h"
#include "tests/reporters/scripted_stacks.h"

namespace loopsan {
namespace {

using segment::EventKind;
using segment::Verdict;
using testing::IsEmpty;
using testing::SizeIs;

uint32_t CallId(std::string_view name) {
  for (uint32_t i = 0; i < kBlockingCallCount; ++i) {
    if (kBlockingCalls[i].name == name) return i;
  }
  ADD_FAILURE() << "no such call: " << name;
  return 0;
}

// One process with one loop thread, told to the judge event by event.
class JudgeTest : public testing::Test {
 protected:
  static constexpr ProcessKey kProcess = 7;
  static constexpr uint32_t kCell = 0;

  struct Answer {
    uint32_t question;
    uint32_t findings;
    std::string lines;
  };

  JudgeTest() {
    Judge::Actions actions;
    actions.set_verdict = [this](uint32_t, uint32_t place, Verdict verdict) {
      verdicts_[place] = verdict;
    };
    actions.on_live_stall = [this](const std::string& line) { live_.push_back(line); };
    actions.release_slot = [this](uint32_t) { released_ = true; };
    actions.answer = [this](uint32_t, uint32_t question, uint32_t findings,
                            const std::string& lines) {
      answers_.push_back({question, findings, lines});
    };
    actions.is_suppressed = [this](const Finding& finding) {
      return !suppressed_call_.empty() && finding.call == suppressed_call_;
    };
    judge_ = std::make_unique<Judge>(
        options_, &clock_,
        [this](const ProcessFound&) { return std::make_unique<ScriptedInterpreter>(&script_); },
        std::move(actions));
    ProcessFound found;
    found.process = kProcess;
    found.pid = 4242;
    found.executable = "/usr/bin/server";
    judge_->Handle(found);
  }

  uint64_t At(double seconds) const { return clock_.Ticks(1000 + seconds); }

  EventSeen Event(EventKind kind, double start, double end) {
    EventSeen seen;
    seen.process = kProcess;
    seen.tid = 4242;
    seen.thread_name = "server";
    seen.event.kind = kind;
    seen.event.cell = kCell;
    seen.event.place = place_;
    seen.event.turn = turn_;
    seen.event.start = At(start);
    seen.event.end = At(end);
    seen.event.step_start = At(start);
    return seen;
  }

  // A wait place is met; `assumed_idle` as the probe says of a loop's first.
  void MeetPlace(uint32_t index, const std::vector<std::string>& stack, bool assumed_idle) {
    EventSeen seen = Event(EventKind::kPlace, 0, 0);
    seen.event.place = index;
    seen.place = SegmentPlace{};
    seen.place->assumed_idle = assumed_idle;
    seen.event.stack = script_.Stack(stack);
    judge_->Handle(seen);
    if (assumed_idle) place_ = index;
  }

  EventSeen Call(std::string_view name, double seconds, const std::vector<std::string>& stack) {
    EventSeen seen = Event(EventKind::kCall, 1, 1 + seconds);
    seen.event.call_id = CallId(name);
    seen.event.site = 3;
    seen.event.stack = script_.Stack(stack);
    return seen;
  }

  SampleTaken Sample(double at, const std::vector<std::string>& stack, uint64_t shallowest_sp = 0) {
    SampleTaken taken;
    taken.process = kProcess;
    taken.cell = kCell;
    taken.tid = 4242;
    taken.thread_name = "server";
    taken.at = At(at);
    taken.loop.turns = turn_;
    taken.loop.place = place_;
    taken.loop.step_start = At(0);
    taken.loop.waits_with_timeout = 1;
    taken.stack = script_.Stack(stack);
    taken.stack.source = StackSource::kPerfEvent;
    taken.shallowest_sp = shallowest_sp;
    taken.scheduling = {true, 'R', static_cast<uint64_t>(at * 1e9), 0, 0};
    return taken;
  }

  EventSeen TurnEnd(double seconds) {
    EventSeen seen = Event(EventKind::kTurn, 0, seconds);
    seen.scheduling = {true, 'S', static_cast<uint64_t>(seconds * 1e9), 0, 0};
    return seen;
  }

  // The process asks what was found in it, in or behind the turn that is open.
  const Answer& Ask(bool turn_ended) {
    judge_->Handle(FindingsAsked{kProcess,
                                 static_cast<uint32_t>(answers_.size() + 1),
                                 {{.cell = kCell, .closed_turns = turn_ + (turn_ended ? 1 : 0)}}});
    return answers_.back();
  }

  // The process ends; returns everything found.
  Report End() {
    LoopGone gone;
    gone.process = kProcess;
    gone.cell_index = kCell;
    gone.tid = 4242;
    gone.thread_name = "server";
    gone.cell.turns = turn_ + 1;
    gone.cell.state = segment::LoopState::kIdle;
    gone.epoll_targets = 5;
    gone.at = At(100);
    judge_->Handle(gone);
    ProcessGone process;
    process.process = kProcess;
    process.sites = sites_;
    judge_->Handle(process);
    Report report;
    judge_->FillReport(report);
    return report;
  }

  Options options_;
  TickClock clock_;
  StackScript script_;
  std::map<uint32_t, Verdict> verdicts_;
  std::vector<std::string> live_;
  std::vector<SiteTotals> sites_;
  std::vector<Answer> answers_;
  std::string suppressed_call_;
  bool released_ = false;
  uint32_t place_ = 0;
  uint64_t turn_ = 10;
  std::unique_ptr<Judge> judge_;
};

TEST_F(JudgeTest, ReportsACallBelowTheLoopsDispatchFrame) {
  MeetPlace(0, {"main", "aeMain", "aeProcessEvents"}, true);
  judge_->Handle(Call("nanosleep", 0.3, {"main", "aeMain", "aeProcessEvents#2", "debugCommand"}));
  const Report report = End();
  ASSERT_THAT(report.findings, SizeIs(1));
  EXPECT_EQ(report.findings[0].rule, "blocking-call");
  EXPECT_EQ(report.findings[0].call, "nanosleep");
  EXPECT_NEAR(report.findings[0].max_seconds, 0.3, 0.001);
  EXPECT_EQ(report.findings[0].stack.front().function, "debugCommand");
  EXPECT_TRUE(released_);
}

TEST_F(JudgeTest, AnswersWhatIsNewSinceTheProcessAskedLast) {
  const std::vector<std::string> stack = {"main", "uv_run#2", "OnTimer"};
  MeetPlace(0, {"main", "uv_run", "uv__io_poll"}, true);
  EXPECT_EQ(Ask(true).findings, 0u);
  judge_->Handle(Call("usleep", 0.25, stack));
  const Answer first = Ask(true);
  EXPECT_EQ(first.question, 2u);
  EXPECT_EQ(first.findings, 1u);
  EXPECT_THAT(first.lines, testing::MatchesRegex(
                               "2[45][0-9]{7}\tblocking-call\tusleep blocked .* for 0.250 s.*\n"));
  EXPECT_EQ(Ask(true).findings, 0u) << "taken";
  judge_->Handle(Call("usleep", 0.05, stack));
  judge_->Handle(Call("usleep", 0.05, stack));
  const Answer second = Ask(true);
  EXPECT_EQ(second.findings, 1u);
  EXPECT_THAT(second.lines, testing::HasSubstr("0.100 s")) << "of these two alone";
  // The report has all.
  EXPECT_EQ(End().findings.at(0).count, 3u);
}

TEST_F(JudgeTest, TellsWhatOneStepInAHundredTook) {
  MeetPlace(0, {"main", "uv_run", "uv__io_poll"}, true);
  LoopGone gone;
  gone.process = kProcess;
  gone.cell_index = kCell;
  const std::vector<double> bounds = HistogramBounds(DefaultMetricsBuckets());
  const auto bucket_to = [&](double seconds) {
    return static_cast<size_t>(std::find(bounds.begin(), bounds.end(), seconds) - bounds.begin());
  };
  gone.counts.steps.counts[bucket_to(0.001)] = 980;
  gone.counts.steps.counts[bucket_to(0.05)] = 15;  // from 20 ms to 50
  gone.counts.steps.counts[bucket_to(1)] = 5;
  judge_->Handle(gone);
  Report report;
  judge_->FillReport(report);
  ASSERT_THAT(report.processes.at(0).loops, SizeIs(1));
  EXPECT_DOUBLE_EQ(report.processes[0].loops[0].p99_step_seconds, 0.02);
}

TEST_F(JudgeTest, TellsMetricsWhichBucketsAndHowManySitesAreShown) {
  MetricsSnapshot snapshot;
  judge_->FillMetrics(snapshot);
  EXPECT_EQ(snapshot.buckets, DefaultMetricsBuckets());
  EXPECT_EQ(snapshot.bounds, HistogramBounds(snapshot.buckets));
  EXPECT_EQ(snapshot.named_sites, Options().metrics_sites);
}

TEST_F(JudgeTest, AnswersNothingOfAStepThatMayHaveBeenTheEndOfTheLoop) {
  MeetPlace(0, {"main", "epoll_loop"}, true);
  place_ = 0;
  judge_->Handle(Call("usleep", 0.25, {"main#2", "compute"}));
  EXPECT_EQ(Ask(true).findings, 0u);
}

TEST_F(JudgeTest, AnswersNothingOfWhatIsSuppressed) {
  suppressed_call_ = "usleep";
  MeetPlace(0, {"main", "uv_run", "uv__io_poll"}, true);
  judge_->Handle(Call("usleep", 0.25, {"main", "uv_run#2", "OnTimer"}));
  EXPECT_EQ(Ask(true).findings, 0u);
}

TEST_F(JudgeTest, PutsTurnsCallsAndMeasuresOnTheTimeline) {
  judge_->SetTimelineOrigin(At(0) - clock_.Ticks(2));
  MeetPlace(0, {"main", "aeMain", "aeProcessEvents"}, true);
  judge_->Handle(Call("nanosleep", 0.3, {"main", "aeMain", "aeProcessEvents#2", "debugCommand"}));
  judge_->Handle(TurnEnd(1.4));
  judge_->Handle(
      LoopMeasured{.process = kProcess,
                   .cell = kCell,
                   .tid = 4242,
                   .thread_name = "server",
                   .measure = {.begin = At(0), .end = At(1.5), .busy = clock_.Ticks(1.4)}});
  const Report report = End();
  ASSERT_THAT(report.timeline.loops, SizeIs(1));
  const LoopTimeline& loop = report.timeline.loops[0];
  EXPECT_EQ(loop.pid, 4242);
  EXPECT_EQ(loop.thread_id, 4242);
  EXPECT_EQ(loop.thread_name, "server");
  ASSERT_THAT(loop.intervals, SizeIs(1));
  EXPECT_NEAR(loop.intervals[0].busy_seconds, 1.4, 0.001);
  ASSERT_THAT(loop.spans, SizeIs(2));
  EXPECT_EQ(loop.spans[0].kind, "turn");
  EXPECT_EQ(loop.spans[0].finding_id, "");
  EXPECT_NEAR(loop.spans[0].start_seconds, 2, 0.001);
  EXPECT_NEAR(loop.spans[0].duration_seconds, 1.4, 0.001);
  EXPECT_EQ(loop.spans[1].kind, "blocking-call");
  EXPECT_EQ(loop.spans[1].finding_id, "F1");
  EXPECT_NEAR(loop.spans[1].start_seconds, 3, 0.001);
}

TEST_F(JudgeTest, KeepsCallsThatBlockedNoLoopOffTheTimeline) {
  MeetPlace(0, {"main", "uv_run", "uv__io_poll"}, true);
  judge_->Handle(Call("usleep", 0.3, {"main#2", "compute"}));
  EXPECT_THAT(End().timeline.loops, IsEmpty());
}

TEST_F(JudgeTest, IsSilentAboutACallAfterTheLoopHasReturned) {
  MeetPlace(0, {"main", "uv_run", "uv__io_poll"}, true);
  judge_->Handle(Call("usleep", 0.3, {"main#2", "compute"}));
  const Report report = End();
  EXPECT_THAT(report.findings, IsEmpty());
  EXPECT_EQ(report.dropped.outside_loop, 1u);
}

TEST_F(JudgeTest, TakesAnotherFunctionAtTheSameDepthForOutside) {
  // A table of functions called from one place: same caller, same depth.
  MeetPlace(0, {"main", "uv_run", "uv__io_poll"}, true);
  judge_->Handle(Call("usleep", 0.3, {"main", "cleanup", "flush"}));
  EXPECT_THAT(End().findings, IsEmpty());
}

TEST_F(JudgeTest, CallsAWaitInsideAStepNested) {
  MeetPlace(0, {"main", "uv_run", "uv__io_poll"}, true);
  MeetPlace(1, {"main", "uv_run#2", "uv__run_timers", "execSync", "uv_run", "uv__io_poll"}, false);
  EXPECT_EQ(verdicts_[0], Verdict::kIdle);
  EXPECT_EQ(verdicts_[1], Verdict::kNested);
}

TEST_F(JudgeTest, CallsAWaitOfALaterLoopIdle) {
  MeetPlace(0, {"main", "uv_run", "uv__io_poll"}, true);
  MeetPlace(1, {"main#2", "uv_run", "uv__io_poll"}, false);
  EXPECT_EQ(verdicts_[1], Verdict::kIdle);
}

TEST_F(JudgeTest, CallsASecondWaitOfTheSameDispatcherIdle) {
  MeetPlace(0, {"main", "uv_run", "uv__io_poll"}, true);
  MeetPlace(1, {"main", "uv_run", "uv__io_poll#2"}, false);
  EXPECT_EQ(verdicts_[1], Verdict::kIdle);
}

TEST_F(JudgeTest, TakesAWaitThatComesAgainAndAgainForTheLoopAfterATrialAtStart) {
  MeetPlace(0, {"main", "start_worker", "test_epoll"}, true);
  MeetPlace(1, {"main", "start_worker#2", "run_worker", "wait_for_events"}, false);
  EXPECT_EQ(verdicts_[1], Verdict::kUnknown);
  judge_->Handle(PlaceRecurs{kProcess, kCell, 1, 4, 1});
  EXPECT_EQ(verdicts_[1], Verdict::kIdle);
}

TEST_F(JudgeTest, LeavesAWaitInALongStepOfAnOldLoopUndecided) {
  MeetPlace(0, {"main", "start_worker", "test_epoll"}, true);
  MeetPlace(1, {"main", "start_worker#2", "run_worker", "wait_for_events"}, false);
  judge_->Handle(PlaceRecurs{kProcess, kCell, 1, 4, 2000});
  EXPECT_EQ(verdicts_[1], Verdict::kUnknown);
}

TEST_F(JudgeTest, WaitsForEvidenceBeforeItAccusesCallersOfAnUnknownWaitFunction) {
  MeetPlace(0, {"main", "serve", "wait_once"}, true);
  judge_->Handle(Sample(0.01, {"main", "serve#9", "idle_work"}));
  judge_->Handle(Call("usleep", 0.2, {"main", "serve#2", "handle"}));
  EXPECT_THAT(End().findings, IsEmpty());
}

TEST_F(JudgeTest, AccusesCallersOfAnUnknownWaitFunctionOnceStepsWereSeenThere) {
  MeetPlace(0, {"main", "serve", "wait_once"}, true);
  judge_->Handle(Sample(0.01, {"main", "serve#9", "idle_work"}));
  for (turn_ = 11; turn_ < 15; ++turn_) {
    judge_->Handle(Call("usleep", 0.2, {"main", "serve#2", "handle"}));
  }
  const Report report = End();
  ASSERT_THAT(report.findings, SizeIs(1));
  EXPECT_EQ(report.findings[0].count, 4u);
}

TEST_F(JudgeTest, SeesATaskOfAsyncioAboveTheEvaluationLoop) {
  MeetPlace(0, {"main", "_PyEval_EvalFrameDefault", "select_epoll_poll"}, true);
  judge_->Handle(Call("clock_nanosleep", 0.2,
                      {"main", "_PyEval_EvalFrameDefault#2", "context_run", "task_step",
                       "_PyEval_EvalFrameDefault", "time_sleep"}));
  EXPECT_THAT(End().findings, SizeIs(1));
}

TEST_F(JudgeTest, DoesNotAccusePythonCodeThatNoTaskRuns) {
  MeetPlace(0, {"main", "_PyEval_EvalFrameDefault", "select_epoll_poll"}, true);
  judge_->Handle(
      Call("clock_nanosleep", 0.2, {"main", "_PyEval_EvalFrameDefault#2", "time_sleep"}));
  EXPECT_THAT(End().findings, IsEmpty());
}

TEST_F(JudgeTest, TakesAPoolThreadsConditionWaitForIdle) {
  MeetPlace(
      0,
      {"main", "boost::asio::detail::scheduler::run", "boost::asio::detail::scheduler::do_run_one",
       "boost::asio::detail::epoll_reactor::run"},
      true);
  judge_->Handle(Call("pthread_cond_wait", 0.5,
                      {"main", "boost::asio::detail::scheduler::run",
                       "boost::asio::detail::scheduler::do_run_one#2"}));
  EXPECT_THAT(End().findings, IsEmpty());
}

TEST_F(JudgeTest, ReportsAConditionWaitOfAHandler) {
  MeetPlace(
      0,
      {"main", "boost::asio::detail::scheduler::run", "boost::asio::detail::scheduler::do_run_one",
       "boost::asio::detail::epoll_reactor::run"},
      true);
  judge_->Handle(Call("pthread_cond_wait", 0.5,
                      {"main", "boost::asio::detail::scheduler::run",
                       "boost::asio::detail::scheduler::do_run_one#2", "handler"}));
  const Report report = End();
  ASSERT_THAT(report.findings, SizeIs(1));
  EXPECT_EQ(report.findings[0].cause, "lock");
}

TEST_F(JudgeTest, IsSilentAboutANonBlockingDescriptor) {
  MeetPlace(0, {"main", "uv_run", "uv__io_poll"}, true);
  EventSeen seen = Call("read", 0.05, {"main", "uv_run", "uv__io_poll#2", "on_read"});
  seen.descriptor = DescriptorInfo{true, "socket:[17]", true};
  judge_->Handle(seen);
  EXPECT_THAT(End().findings, IsEmpty());
}

TEST_F(JudgeTest, ReportsABlockingSocketAndCallsItOne) {
  MeetPlace(0, {"main", "uv_run", "uv__io_poll"}, true);
  EventSeen seen = Call("read", 0.05, {"main", "uv_run", "uv__io_poll#2", "on_read"});
  seen.descriptor = DescriptorInfo{true, "socket:[17]", false};
  judge_->Handle(seen);
  const Report report = End();
  ASSERT_THAT(report.findings, SizeIs(1));
  EXPECT_EQ(report.findings[0].category, "socket");
}

TEST_F(JudgeTest, ReportsARegularFileThoughItIsMarkedNonBlocking) {
  MeetPlace(0, {"main", "uv_run", "uv__io_poll"}, true);
  EventSeen seen = Call("read", 0.05, {"main", "uv_run", "uv__io_poll#2", "on_read"});
  seen.descriptor = DescriptorInfo{true, "/var/lib/x", true};
  judge_->Handle(seen);
  EXPECT_THAT(End().findings, SizeIs(1));
}

TEST_F(JudgeTest, DoesNotAccuseACallThatWaitedForAProcessor) {
  MeetPlace(0, {"main", "uv_run", "uv__io_poll"}, true);
  EventSeen seen = Call("write", 0.02, {"main", "uv_run", "uv__io_poll#2", "on_read"});
  seen.waited_seconds = 0.015;
  judge_->Handle(seen);
  const Report report = End();
  EXPECT_THAT(report.findings, IsEmpty());
  EXPECT_THAT(report.warnings, SizeIs(1));
}

TEST_F(JudgeTest, AccusesACallInWhichTheThreadWasSeenAsleepThoughItAlsoWaited) {
  MeetPlace(0, {"main", "uv_run", "uv__io_poll"}, true);
  EventSeen seen = Call("open", 0.2, {"main", "uv_run", "uv__io_poll#2", "on_read"});
  seen.waited_seconds = 0.15;
  seen.seen_asleep = true;
  judge_->Handle(seen);
  EXPECT_THAT(End().findings, SizeIs(1));
}

TEST_F(JudgeTest, ReportsASleepThoughTheMachineWasBusy) {
  MeetPlace(0, {"main", "uv_run", "uv__io_poll"}, true);
  EventSeen seen = Call("usleep", 0.02, {"main", "uv_run", "uv__io_poll#2", "on_read"});
  seen.waited_seconds = 0.015;
  judge_->Handle(seen);
  EXPECT_THAT(End().findings, SizeIs(1));
}

TEST_F(JudgeTest, MergesCallsFromOneStack) {
  MeetPlace(0, {"main", "uv_run", "uv__io_poll"}, true);
  for (int i = 0; i < 3; ++i) {
    judge_->Handle(Call("usleep", 0.1, {"main", "uv_run", "uv__io_poll#2", "on_read"}));
  }
  judge_->Handle(Call("usleep", 0.1, {"main", "uv_run", "uv__io_poll#2", "on_write"}));
  const Report report = End();
  ASSERT_THAT(report.findings, SizeIs(2));
  EXPECT_EQ(report.findings[0].count, 3u);
  EXPECT_NEAR(report.findings[0].total_seconds, 0.3, 0.001);
  EXPECT_NE(report.findings[0].fingerprint, report.findings[1].fingerprint);
}

TEST_F(JudgeTest, AddsCallsWhoseEventsWereLostFromTheSitesTotals) {
  MeetPlace(0, {"main", "uv_run", "uv__io_poll"}, true);
  judge_->Handle(Call("usleep", 0.1, {"main", "uv_run", "uv__io_poll#2", "on_read"}));
  sites_ = {{3, {10, clock_.Ticks(1.0), clock_.Ticks(0.2)}}};
  const Report report = End();
  ASSERT_THAT(report.findings, SizeIs(1));
  EXPECT_EQ(report.findings[0].count, 10u);
  EXPECT_NEAR(report.findings[0].total_seconds, 1.0, 0.001);
  EXPECT_NEAR(report.findings[0].max_seconds, 0.2, 0.001);
}

TEST_F(JudgeTest, CallsOneLongCallbackAStall) {
  MeetPlace(0, {"main", "uv_run", "uv__io_poll"}, true);
  judge_->Handle(Sample(0.025, {"main", "uv_run", "uv__io_poll#2", "on_read", "spin#1"}));
  judge_->Handle(Sample(0.11, {"main", "uv_run", "uv__io_poll#2", "on_read", "spin#2"}));
  EXPECT_THAT(live_, SizeIs(1));
  judge_->Handle(TurnEnd(0.25));
  const Report report = End();
  ASSERT_THAT(report.findings, SizeIs(1));
  EXPECT_EQ(report.findings[0].rule, "stall");
  ASSERT_THAT(report.timeline.loops, SizeIs(1));
  EXPECT_EQ(report.timeline.loops[0].spans.back().kind, "stall");
  EXPECT_EQ(report.timeline.loops[0].spans.back().finding_id, "F1");
  EXPECT_EQ(report.findings[0].cause, "cpu");
  EXPECT_NEAR(report.findings[0].max_seconds, 0.25, 0.001);
}

TEST_F(JudgeTest, CallsManyShortCallbacksALongTurn) {
  MeetPlace(0, {"main", "uv_run", "uv__io_poll"}, true);
  // The callbacks read their sockets: a hook was reached from uv__read's depth.
  const uint64_t reader_sp = 0x7fff0000 - 0x400;
  const std::vector<std::string> stack = {"main",     "uv_run",  "uv__io_poll#2",
                                          "uv__read", "on_read", "work"};
  judge_->Handle(Sample(0.025, stack, reader_sp));
  judge_->Handle(Sample(0.11, stack, reader_sp));
  judge_->Handle(Sample(0.2, stack, reader_sp));
  judge_->Handle(TurnEnd(0.21));
  EXPECT_THAT(live_, IsEmpty());
  const Report report = End();
  ASSERT_THAT(report.findings, SizeIs(1));
  EXPECT_EQ(report.findings[0].rule, "long-turn");
  EXPECT_EQ(report.findings[0].level, "note");
}

TEST_F(JudgeTest, DoesNotReportAStallThatItsBlockingCallExplains) {
  MeetPlace(0, {"main", "uv_run", "uv__io_poll"}, true);
  SampleTaken sample = Sample(0.11, {"main", "uv_run", "uv__io_poll#2", "on_read"});
  judge_->Handle(sample);
  judge_->Handle(Call("usleep", 0.3, {"main", "uv_run", "uv__io_poll#2", "on_read"}));
  EventSeen turn = TurnEnd(0.31);
  turn.event.call_ticks = clock_.Ticks(0.3);
  judge_->Handle(turn);
  const Report report = End();
  ASSERT_THAT(report.findings, SizeIs(1));
  EXPECT_EQ(report.findings[0].rule, "blocking-call");
}

TEST_F(JudgeTest, DoesNotCallTimeOutsideTheLoopAStall) {
  MeetPlace(0, {"main", "uv_run", "uv__io_poll"}, true);
  judge_->Handle(Sample(0.025, {"main#2", "compute"}));
  judge_->Handle(Sample(0.11, {"main#2", "compute"}));
  judge_->Handle(TurnEnd(1));
  EXPECT_THAT(live_, IsEmpty());
  const Report report = End();
  EXPECT_THAT(report.findings, IsEmpty());
  EXPECT_EQ(report.dropped.outside_loop, 1u);
}

TEST_F(JudgeTest, DoesNotAccuseAStoppedThread) {
  MeetPlace(0, {"main", "uv_run", "uv__io_poll"}, true);
  for (const double at : {0.025, 0.1}) {
    SampleTaken sample = Sample(at, {"main", "uv_run", "uv__io_poll#2", "on_read"});
    sample.scheduling.state = 'T';
    judge_->Handle(sample);
  }
  judge_->Handle(TurnEnd(5));
  EXPECT_THAT(live_, IsEmpty());
  EXPECT_THAT(End().findings, IsEmpty());
}

TEST_F(JudgeTest, DoesNotAccuseAThreadThatGotNoProcessor) {
  MeetPlace(0, {"main", "uv_run", "uv__io_poll"}, true);
  for (const double at : {0.025, 0.1}) {
    SampleTaken sample = Sample(at, {"main", "uv_run", "uv__io_poll#2", "on_read"});
    sample.scheduling = {true, 'R', static_cast<uint64_t>(at * 1e8),
                         static_cast<uint64_t>(at * 9e8), 0};
    judge_->Handle(sample);
  }
  EventSeen turn = TurnEnd(0.25);
  turn.scheduling = {true, 'S', 25'000'000, 225'000'000, 0};
  judge_->Handle(turn);
  EXPECT_THAT(live_, IsEmpty());
  const Report report = End();
  EXPECT_THAT(report.findings, IsEmpty());
  EXPECT_THAT(report.warnings, SizeIs(1));
}

TEST_F(JudgeTest, ReportsACallThatNeverReturned) {
  MeetPlace(0, {"main", "uv_run", "uv__io_poll"}, true);
  SampleTaken sample = Sample(0.11, {"main", "uv_run", "uv__io_poll#2", "on_read"});
  sample.call = SegmentCall{};
  sample.call->call_id = CallId("pthread_mutex_lock");
  sample.call->start = At(0.01);
  judge_->Handle(sample);
  EXPECT_THAT(live_, SizeIs(1));
  LoopGone gone;
  gone.process = kProcess;
  gone.cell_index = kCell;
  gone.cell.state = segment::LoopState::kInStep;
  gone.cell.turns = turn_;
  gone.cell.step_start = At(0);
  gone.cell.place = place_;
  gone.call = sample.call;
  gone.at = At(2);
  gone.epoll_targets = 3;
  gone.process_gone = true;
  judge_->Handle(gone);
  Report report;
  judge_->FillReport(report);
  ASSERT_THAT(report.findings, SizeIs(1));
  EXPECT_TRUE(report.findings[0].in_progress);
  EXPECT_NEAR(report.findings[0].max_seconds, 1.99, 0.001);
}

TEST_F(JudgeTest, TellsFindingsOfAnUnprovenLoopApart) {
  MeetPlace(0, {"main", "worker", "wait_for_job"}, true);
  judge_->Handle(Call("usleep", 0.2, {"main", "worker", "wait_for_job#2", "job"}));
  LoopGone gone;
  gone.process = kProcess;
  gone.cell_index = kCell;
  gone.cell.turns = 12;
  gone.cell.state = segment::LoopState::kIdle;
  gone.epoll_targets = 1;
  gone.at = At(3);
  judge_->Handle(gone);
  Report report;
  judge_->FillReport(report);
  EXPECT_THAT(report.findings, IsEmpty());
  EXPECT_THAT(report.unproven_findings, SizeIs(1));
}

TEST_F(JudgeTest, DropsWorkBehindALoopThatLivesInMain) {
  // No idle wait closes the step: main may be past its loop.
  MeetPlace(0, {"main"}, true);
  judge_->Handle(Call("usleep", 0.3, {"main#2", "tear_down"}));
  LoopGone gone;
  gone.process = kProcess;
  gone.cell_index = kCell;
  gone.cell.turns = turn_;
  gone.cell.state = segment::LoopState::kInStep;
  gone.cell.step_start = At(0);
  gone.at = At(2);
  gone.epoll_targets = 3;
  judge_->Handle(gone);
  Report report;
  judge_->FillReport(report);
  EXPECT_THAT(report.findings, IsEmpty());
}

TEST_F(JudgeTest, KeepsACallOfALoopInMainOnceTheLoopWaitsAgain) {
  MeetPlace(0, {"main"}, true);
  judge_->Handle(Call("usleep", 0.3, {"main#2", "handle"}));
  EXPECT_THAT(End().findings, SizeIs(1));  // End() saw a later turn
}

}  // namespace
}  // namespace loopsan
