// What the judge makes of loops that tell their steps, and of what libraries
// report themselves.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "instrument/blocking_calls.h"
#include "reporters/judge.h"
#include "tests/reporters/scripted_stacks.h"

namespace loopsan {
namespace {

using segment::EventKind;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

uint32_t CallId(std::string_view name) {
  for (uint32_t i = 0; i < kBlockingCallCount; ++i) {
    if (kBlockingCalls[i].name == name) return i;
  }
  ADD_FAILURE() << "no such call: " << name;
  return 0;
}

class ExactJudgeTest : public testing::Test {
 protected:
  static constexpr ProcessKey kProcess = 7;

  ExactJudgeTest() {
    Judge::Actions actions;
    actions.set_verdict = [](uint32_t, uint32_t, segment::Verdict) {};
    actions.on_live_stall = [this](const std::string& line) { live_.push_back(line); };
    actions.release_slot = [](uint32_t) {};
    judge_ = std::make_unique<Judge>(
        options_, &clock_,
        [this](const ProcessFound&) { return std::make_unique<ScriptedInterpreter>(&script_); },
        std::move(actions));
    ProcessFound found;
    found.process = kProcess;
    found.pid = 4242;
    found.executable = "/usr/bin/server";
    judge_->Handle(found);
    context_.task = {.name = "reader",
                     .id = 5,
                     .spawned_at = {"Task Main()", "/src/main.cc", 12},
                     .spawner = "acceptor"};
    context_.chain = {{.running = true, .defined_at = {"Task Read()", "/src/server.cc", 3}},
                      {.awaiting_at = {"Task Serve()", "/src/serve.cc", 40}}};
  }

  uint64_t At(double seconds) const { return clock_.Ticks(1000 + seconds); }

  EventSeen Event(EventKind kind, double start, double end) {
    EventSeen seen;
    seen.process = kProcess;
    seen.tid = 4242;
    seen.thread_name = "server";
    seen.event.kind = kind;
    seen.event.turn = 1;
    seen.event.start = At(start);
    seen.event.end = At(end);
    seen.event.exact_step = kind == EventKind::kFinding ? 0 : step_;
    seen.event.text.context = context_;
    return seen;
  }

  EventSeen StepEnd(double seconds) {
    EventSeen seen = Event(EventKind::kStep, 0, seconds);
    seen.scheduling = {true, 'R', static_cast<uint64_t>(seconds * 1e9), 0, 0};
    return seen;
  }

  EventSeen Call(std::string_view name, double seconds, const std::vector<std::string>& stack) {
    EventSeen seen = Event(EventKind::kCall, 0, seconds);
    seen.event.call_id = CallId(name);
    seen.event.site = 3;
    seen.event.stack = script_.Stack(stack);
    return seen;
  }

  EventSeen TurnEnd(double seconds, double in_steps, double longest) {
    EventSeen seen = Event(EventKind::kTurn, 0, seconds);
    seen.event.turn_steps = 40;
    seen.event.turn_step_ticks = clock_.Ticks(in_steps);
    seen.event.turn_longest = clock_.Ticks(longest);
    seen.event.text.shares = {{.task = "quiet", .ticks = clock_.Ticks(0.01), .steps = 1},
                              {.task = "chatty",
                               .site = {"F", "/src/chat.cc", 9},
                               .ticks = clock_.Ticks(0.2),
                               .longest = clock_.Ticks(0.007),
                               .steps = 39}};
    return seen;
  }

  EventSeen LibraryFinding(std::string rule) {
    EventSeen seen = Event(EventKind::kFinding, 0, 0);
    seen.event.cell = segment::kNoIndex;
    seen.event.text.rule = std::move(rule);
    seen.event.text.message = "it was never awaited";
    seen.event.text.remedy = "await it";
    seen.event.text.where = {"Task Serve()", "/src/serve.cc", 33};
    return seen;
  }

  SampleTaken Sample(double at, const std::vector<std::string>& stack) {
    SampleTaken taken;
    taken.process = kProcess;
    taken.tid = 4242;
    taken.thread_name = "server";
    taken.at = At(at);
    taken.loop.told = true;
    taken.loop.exact.sequence = step_;
    taken.loop.exact.start = At(0);
    taken.loop.exact.loop = 0x1000;
    taken.stack = script_.Stack(stack);
    taken.stack.source = StackSource::kPerfEvent;
    taken.scheduling = {true, 'R', static_cast<uint64_t>(at * 1e9), 0, 0};
    taken.context = context_;
    return taken;
  }

  LoopGone Gone() {
    LoopGone gone;
    gone.process = kProcess;
    gone.tid = 4242;
    gone.thread_name = "server";
    gone.cell.told = true;
    gone.cell.kind = "loopsan";
    gone.cell.turns = 1;
    gone.at = At(100);
    return gone;
  }

  Report End() { return End(Gone()); }
  Report End(const LoopGone& gone) {
    judge_->Handle(gone);
    ProcessGone process;
    process.process = kProcess;
    judge_->Handle(process);
    Report report;
    judge_->FillReport(report);
    return report;
  }

  Options options_;
  TickClock clock_;
  StackScript script_;
  StepContext context_;
  uint64_t step_ = 6;
  std::vector<std::string> live_;
  std::unique_ptr<Judge> judge_;
};

const std::vector<std::string> kStack = {"main", "Run", "Resume", "Read", "compute"};

TEST_F(ExactJudgeTest, CallsALongStepAStallAfterOneLook) {
  judge_->Handle(Sample(0.11, kStack));
  EXPECT_THAT(live_, SizeIs(1));
  EXPECT_THAT(live_[0], HasSubstr("in task \"reader\""));
  judge_->Handle(StepEnd(0.25));
  const Report report = End();
  ASSERT_THAT(report.findings, SizeIs(1));
  const Finding& finding = report.findings[0];
  EXPECT_EQ(finding.rule, "stall");
  EXPECT_EQ(finding.cause, "cpu");
  EXPECT_NEAR(finding.max_seconds, 0.25, 0.001);
  EXPECT_EQ(finding.task.name, "reader");
  EXPECT_EQ(finding.task.spawner, "acceptor");
  EXPECT_THAT(finding.async_stack,
              testing::ElementsAre(SourcePlace{"Task Serve()", "/src/serve.cc", 40}));
  EXPECT_THAT(finding.message, HasSubstr("one step in task \"reader\" held"));
}

TEST_F(ExactJudgeTest, CutsTheStackBehindTheRunningCoroutine) {
  judge_->Handle(Sample(0.11, kStack));
  judge_->Handle(StepEnd(0.25));
  const Report report = End();
  ASSERT_THAT(report.findings, SizeIs(1));
  ASSERT_THAT(report.findings[0].stack, SizeIs(2));
  EXPECT_EQ(report.findings[0].stack[1].function, "Read");
}

TEST_F(ExactJudgeTest, CutsTheStackAtTheResumerIfTheCoroutineHasNoName) {
  context_.chain[0].defined_at = {};
  // "Resume" is the third of the frames of 0x100 bytes from 0x7fff0000 downwards.
  context_.resumer = 0x7fff0000 - 0x300 + 0x80;
  judge_->Handle(Sample(0.11, kStack));
  judge_->Handle(StepEnd(0.25));
  const Report report = End();
  ASSERT_THAT(report.findings, SizeIs(1));
  ASSERT_THAT(report.findings[0].stack, SizeIs(2));
  EXPECT_EQ(report.findings[0].stack[1].function, "Read");
}

TEST_F(ExactJudgeTest, KeepsTheStackOfAPlainCallback) {
  context_ = {};
  context_.task.spawned_at = {"Schedule()", "/src/main.cc", 8};
  judge_->Handle(Sample(0.11, kStack));
  judge_->Handle(StepEnd(0.25));
  const Report report = End();
  ASSERT_THAT(report.findings, SizeIs(1));
  EXPECT_THAT(report.findings[0].stack, SizeIs(5));
  EXPECT_EQ(report.findings[0].task.id, 0u);
}

// One line makes both, as a wrapper of a callback library does.
TEST_F(ExactJudgeTest, TellsPlainCallbacksOfOneOriginApartByWhatAllLooksShared) {
  context_ = {};
  context_.task.spawned_at = {"Schedule()", "/src/main.cc", 8};
  const auto play = [this](const std::string& callback, const std::string& innermost) {
    step_ += 2;
    judge_->Handle(Sample(0.05, {"main", "Run", "Call", callback, "first"}));
    judge_->Handle(Sample(0.11, {"main", "Run", "Call", callback, innermost}));
    judge_->Handle(StepEnd(0.25));
  };
  play("Parse", "next");
  play("Render", "next");
  play("Parse", "another");
  const Report report = End();
  ASSERT_THAT(report.findings, SizeIs(2));
  EXPECT_EQ(report.findings[0].count + report.findings[1].count, 3u);
}

TEST_F(ExactJudgeTest, ReportsAStepThatNobodyLookedAt) {
  judge_->Handle(StepEnd(0.25));
  const Report report = End();
  ASSERT_THAT(report.findings, SizeIs(1));
  EXPECT_THAT(report.findings[0].stack, IsEmpty());
  EXPECT_EQ(report.findings[0].task.name, "reader");
  EXPECT_THAT(report.findings[0].note, HasSubstr("no stack could be taken"));
}

TEST_F(ExactJudgeTest, DoesNotTakeAnotherStepsLookForThisOnes) {
  judge_->Handle(Sample(0.05, kStack));
  step_ += 2;
  judge_->Handle(StepEnd(0.25));
  const Report report = End();
  ASSERT_THAT(report.findings, SizeIs(1));
  EXPECT_THAT(report.findings[0].stack, IsEmpty());
}

TEST_F(ExactJudgeTest, DoesNotAccuseAStepThatGotNoProcessor) {
  for (const double at : {0.025, 0.1}) {
    SampleTaken sample = Sample(at, kStack);
    sample.scheduling = {true, 'R', static_cast<uint64_t>(at * 1e8),
                         static_cast<uint64_t>(at * 9e8), 0};
    judge_->Handle(sample);
  }
  EventSeen end = StepEnd(0.25);
  end.scheduling = {true, 'S', 25'000'000, 225'000'000, 0};
  judge_->Handle(end);
  EXPECT_THAT(live_, IsEmpty());
  const Report report = End();
  EXPECT_THAT(report.findings, IsEmpty());
  EXPECT_THAT(report.warnings, SizeIs(1));
}

TEST_F(ExactJudgeTest, DoesNotReportAStepThatItsBlockingCallExplains) {
  judge_->Handle(Call("usleep", 0.3, kStack));
  EventSeen end = StepEnd(0.31);
  end.event.call_ticks = clock_.Ticks(0.3);
  judge_->Handle(end);
  const Report report = End();
  ASSERT_THAT(report.findings, SizeIs(1));
  EXPECT_EQ(report.findings[0].rule, "blocking-call");
}

TEST_F(ExactJudgeTest, NeedsNoWaitToBelieveACall) {
  judge_->Handle(Call("usleep", 0.3, kStack));
  const Report report = End();
  ASSERT_THAT(report.findings, SizeIs(1));
  EXPECT_EQ(report.findings[0].call, "usleep");
  EXPECT_THAT(report.findings[0].stack, SizeIs(2));
  EXPECT_THAT(report.findings[0].async_stack, SizeIs(1));
  EXPECT_THAT(report.unproven_findings, IsEmpty());
}

TEST_F(ExactJudgeTest, MergesCallsOfOneOriginAndTellsOthersApart) {
  judge_->Handle(Call("usleep", 0.1, kStack));
  context_.task.id = 6;
  judge_->Handle(Call("usleep", 0.2, kStack));
  context_.task.spawned_at.line = 99;
  judge_->Handle(Call("usleep", 0.05, kStack));
  context_.chain[1].awaiting_at.line = 41;
  judge_->Handle(Call("usleep", 0.05, kStack));
  const Report report = End();
  ASSERT_THAT(report.findings, SizeIs(3));
  EXPECT_EQ(report.findings[0].count, 2u);
  EXPECT_EQ(report.findings[0].task.id, 6u) << "the one that took longest";
}

TEST_F(ExactJudgeTest, CallsAlongAPlaceOnceAMinute) {
  judge_->Handle(Sample(0.11, kStack));
  ++step_;
  judge_->Handle(Sample(20, kStack));
  EXPECT_THAT(live_, SizeIs(1));
  ++step_;
  judge_->Handle(Sample(65, kStack));
  EXPECT_THAT(live_, SizeIs(2));
  context_.task.spawned_at.line = 99;
  ++step_;
  judge_->Handle(Sample(66, kStack));
  EXPECT_THAT(live_, SizeIs(3)) << "another place";
}

TEST_F(ExactJudgeTest, TakesTheRestOfAStepForThatOfItsCallsWhereEveryLookMetOne) {
  for (double at = 0.5; at < 10; at += 1) {
    SampleTaken sample = Sample(at, kStack);
    sample.call = SegmentCall{};
    sample.call->call_id = CallId("usleep");
    sample.call->start = At(at - 0.01);
    judge_->Handle(sample);
  }
  EventSeen end = StepEnd(10);
  end.event.call_ticks = clock_.Ticks(9.7);  // of 200 calls
  judge_->Handle(end);
  EXPECT_THAT(End().findings, IsEmpty());
}

TEST_F(ExactJudgeTest, ReportsTheRestOfAStepThatALookMet) {
  for (double at = 0.5; at < 10; at += 1) {
    SampleTaken sample = Sample(at, kStack);
    if (at > 1) {
      sample.call = SegmentCall{};
      sample.call->call_id = CallId("usleep");
      sample.call->start = At(at - 0.01);
    }
    judge_->Handle(sample);
  }
  EventSeen end = StepEnd(10);
  end.event.call_ticks = clock_.Ticks(9.7);
  judge_->Handle(end);
  EXPECT_THAT(End().findings, SizeIs(1));
}

TEST_F(ExactJudgeTest, SaysNothingLiveOfACallThatIsMeant) {
  SampleTaken sample = Sample(0.11, kStack);
  sample.call = SegmentCall{};
  sample.call->call_id = CallId("usleep");
  sample.call->start = At(0.01);
  sample.loop.exact.blocking_allowed = true;
  judge_->Handle(sample);
  EXPECT_THAT(live_, IsEmpty());
  sample.loop.exact.blocking_allowed = false;
  judge_->Handle(sample);
  EXPECT_THAT(live_, SizeIs(1));
}

TEST_F(ExactJudgeTest, SaysLiveForHowLongTheLoopHasWaitedAlsoInAShortCall) {
  SampleTaken sample = Sample(0.2, kStack);
  sample.call = SegmentCall{};
  sample.call->call_id = CallId("usleep");
  sample.call->start = At(0.14);
  judge_->Handle(sample);
  ASSERT_THAT(live_, SizeIs(1));
  EXPECT_THAT(live_[0], HasSubstr("for 0.200 s: in usleep"));
}

TEST_F(ExactJudgeTest, ReportsAStepThatNeverEnded) {
  judge_->Handle(Sample(0.11, kStack));
  LoopGone gone = Gone();
  gone.cell.state = segment::LoopState::kInStep;
  gone.cell.exact = {.sequence = step_, .start = At(0), .loop = 0x1000};
  gone.at = At(2);
  const Report report = End(gone);
  ASSERT_THAT(report.findings, SizeIs(1));
  EXPECT_TRUE(report.findings[0].in_progress);
  EXPECT_NEAR(report.findings[0].max_seconds, 2, 0.01);
  EXPECT_EQ(report.findings[0].task.name, "reader");
}

TEST_F(ExactJudgeTest, ReportsACallThatNeverReturned) {
  SampleTaken sample = Sample(0.11, kStack);
  sample.call = SegmentCall{};
  sample.call->call_id = CallId("pthread_mutex_lock");
  sample.call->start = At(0.01);
  judge_->Handle(sample);
  LoopGone gone = Gone();
  gone.cell.exact = {.sequence = step_, .start = At(0), .loop = 0x1000};
  gone.call = sample.call;
  gone.at = At(2);
  const Report report = End(gone);
  ASSERT_THAT(report.findings, SizeIs(1));
  EXPECT_EQ(report.findings[0].call, "pthread_mutex_lock");
  EXPECT_TRUE(report.findings[0].in_progress);
  EXPECT_EQ(report.findings[0].task.name, "reader");
}

TEST_F(ExactJudgeTest, CallsATurnOfShortStepsANoteThatNamesWhoTookMost) {
  judge_->Handle(TurnEnd(0.3, 0.22, 0.007));
  const Report report = End();
  ASSERT_THAT(report.findings, SizeIs(1));
  EXPECT_EQ(report.findings[0].rule, "long-turn");
  EXPECT_EQ(report.findings[0].level, "note");
  EXPECT_THAT(report.findings[0].note,
              HasSubstr("task \"chatty\" from chat.cc:9 took 0.200 s in 39 steps of up to 7.00 ms, "
                        "task \"quiet\" took 10.0 ms in 1 step"));
}

TEST_F(ExactJudgeTest, LeavesLongTurnsToALibraryThatReportsThemItself) {
  judge_->Handle(TurnEnd(0.3, 0.22, 0.007));
  judge_->Handle(LibraryFinding("long-turn"));
  const Report report = End();
  ASSERT_THAT(report.findings, SizeIs(1));
  EXPECT_EQ(report.findings[0].level, "warning");
}

TEST_F(ExactJudgeTest, DoesNotAddANoteToAStepThatWasAStall) {
  judge_->Handle(TurnEnd(0.3, 0.3, 0.25));
  EXPECT_THAT(End().findings, IsEmpty());
}

TEST_F(ExactJudgeTest, DoesNotCountTheTimeBetweenSteps) {
  judge_->Handle(TurnEnd(0.3, 0.05, 0.007));
  EXPECT_THAT(End().findings, IsEmpty());
}

TEST_F(ExactJudgeTest, MergesWhatALibraryReportsByRuleAndPlaces) {
  judge_->Handle(LibraryFinding("never-awaited"));
  judge_->Handle(LibraryFinding("never-awaited"));
  judge_->Handle(LibraryFinding("never-retrieved"));
  EventSeen elsewhere = LibraryFinding("never-awaited");
  elsewhere.event.text.where.line = 34;
  elsewhere.event.text.seconds = 2.5;
  judge_->Handle(elsewhere);
  const Report report = End();
  ASSERT_THAT(report.findings, SizeIs(3));
  EXPECT_EQ(report.findings[0].total_seconds, 2.5) << "the most time first";
  uint64_t count = 0;
  for (const Finding& finding : report.findings) {
    EXPECT_EQ(finding.level, "warning");
    EXPECT_EQ(finding.message, "it was never awaited");
    EXPECT_EQ(finding.remedy, "await it");
    EXPECT_EQ(finding.where.file, "/src/serve.cc");
    count += finding.count;
  }
  EXPECT_EQ(count, 4u);
}

TEST_F(ExactJudgeTest, ShowsTheMembersOfADeadlockWithTheirStacks) {
  EventSeen seen = LibraryFinding("deadlock");
  seen.event.text.member_count = 2;
  seen.event.text.members = {
      {"task 'reader' waits for executor 'pool'", {"Task Read()", "/src/read.cc", 40}, {}},
      {"thread pool_0", {}, {script_.Address("lock"), script_.Address("Work")}}};
  judge_->Handle(seen);
  EXPECT_THAT(live_, testing::ElementsAre("deadlock: server[4242]: it was never awaited"));
  seen.event.text.members[0].what = "another task";
  judge_->Handle(seen);
  EXPECT_THAT(live_, SizeIs(1)) << "once";
  const Report report = End();
  ASSERT_THAT(report.findings, SizeIs(1));
  const Finding& finding = report.findings[0];
  EXPECT_EQ(finding.level, "error");
  EXPECT_EQ(finding.count, 2u);
  EXPECT_EQ(finding.note, "");
  ASSERT_THAT(finding.members, SizeIs(2));
  EXPECT_EQ(finding.members[0].what, "task 'reader' waits for executor 'pool'");
  EXPECT_EQ(finding.members[0].where.line, 40);
  EXPECT_THAT(finding.members[0].stack, IsEmpty());
  ASSERT_THAT(finding.members[1].stack, SizeIs(2));
  EXPECT_EQ(finding.members[1].stack[0].function, "lock");
  EXPECT_EQ(finding.members[1].stack[1].function, "Work");
}

TEST_F(ExactJudgeTest, SaysHowManyMembersAreNotShown) {
  EventSeen seen = LibraryFinding("deadlock");
  seen.event.text.member_count = 3;
  seen.event.text.members = {{"one", {}, {}}};
  judge_->Handle(seen);
  const Report report = End();
  ASSERT_THAT(report.findings, SizeIs(1));
  EXPECT_EQ(report.findings[0].note, "2 more members");
}

TEST_F(ExactJudgeTest, SaysAtOnceWhatLeavesAProgramHanging) {
  judge_->Handle(LibraryFinding("lost-wakeup"));
  judge_->Handle(LibraryFinding("executor-stuck"));
  EXPECT_THAT(live_, testing::ElementsAre("lost-wakeup: server[4242]: it was never awaited",
                                          "executor-stuck: server[4242]: it was never awaited"));
  judge_->Handle(LibraryFinding("lost-wakeup"));
  EXPECT_THAT(live_, SizeIs(2)) << "each once";
}

TEST_F(ExactJudgeTest, SaysNothingLiveOfWhatALibraryOnlyWarnsOf) {
  judge_->Handle(LibraryFinding("never-awaited"));
  EXPECT_THAT(live_, IsEmpty());
}

TEST_F(ExactJudgeTest, DropsALibrarysFindingWithoutARuleOrAMessage) {
  judge_->Handle(LibraryFinding("Never Awaited"));
  EventSeen silent = LibraryFinding("never-awaited");
  silent.event.text.message.clear();
  judge_->Handle(silent);
  EXPECT_THAT(End().findings, IsEmpty());
}

TEST_F(ExactJudgeTest, ReportsALibrarysFindingOfAProcessWithoutALoop) {
  judge_->Handle(LibraryFinding("never-awaited"));
  ProcessGone process;
  process.process = kProcess;
  judge_->Handle(process);
  Report report;
  judge_->FillReport(report);
  EXPECT_THAT(report.findings, SizeIs(1));
  EXPECT_THAT(report.processes[0].loops, IsEmpty());
}

TEST_F(ExactJudgeTest, NamesTheLibraryOfALoop) {
  const Report report = End();
  ASSERT_THAT(report.processes[0].loops, SizeIs(1));
  EXPECT_EQ(report.processes[0].loops[0].kind, "loopsan");
  EXPECT_TRUE(report.processes[0].loops[0].proven);
}

}  // namespace
}  // namespace loopsan
