#include "runtime/internal/wait_graph.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "runtime/executor.h"

namespace loopsan::testing {
namespace {

using internal::WaitGraph;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using ::testing::UnorderedElementsAre;
using Kind = WaitGraph::Node::Kind;

constexpr uint64_t kLook = 7;
constexpr Time kLastLook{std::chrono::hours(10)};
constexpr Time kBefore{std::chrono::hours(9)};
constexpr Time kAfter{std::chrono::hours(11)};

// Builds what the tests look at. Numbers are given in the order of the calls, as in life.
class Builder {
 public:
  // A function that `task` awaits; 0: nobody in particular.
  uint64_t Queue(const Executor& executor, size_t threads, uint64_t task, Time since = kBefore) {
    WaitGraph::Call call;
    call.executor = &executor;
    call.executor_name = "pool";
    call.threads = threads;
    call.task = task;
    call.since = since;
    call.told = kLook;
    call.limited = false;
    graph.AddCall(++last_, std::move(call));
    return last_;
  }
  void Begin(uint64_t call, pid_t thread, Time now = kBefore) {
    graph.BeginCall(call, {thread, "worker"}, now);
  }
  uint64_t Wait(pid_t thread, uint64_t function, uint64_t task, const Executor* serves = nullptr,
                Time since = kBefore) {
    WaitGraph::Wait wait;
    wait.serves = serves;
    wait.function = function;
    wait.thread = {thread, "worker"};
    wait.task = task;
    wait.since = since;
    graph.AddWait(++last_, std::move(wait));
    return last_;
  }
  WaitGraph::Task& Tell(uint64_t task, std::vector<uint64_t> needs = {}) {
    WaitGraph::Task& told = graph.tasks()[task];
    told.name = "task " + std::to_string(task);
    told.waits_for = "function";
    told.tasks = std::move(needs);
    told.told = kLook;
    return told;
  }
  std::vector<WaitGraph::Circle> Circles() const {
    return graph.FindCircles(kLook, kLastLook, owner_of_lock);
  }

  WaitGraph graph;
  WaitGraph::OwnerOfLock owner_of_lock = [](pid_t) { return 0; };

 private:
  uint64_t last_ = 0;
};

constexpr uint64_t kTask = 101;   // of the coroutine that a thread waits for
constexpr uint64_t kOther = 102;  // another one
constexpr uint64_t kOuter = 103;  // that awaits the function which that thread runs

class WaitGraphTest : public ::testing::Test {
 protected:
  // The only thread of a pool waits for a coroutine that awaits a function of that pool.
  void BuildExhaustedPool() {
    running_ = build_.Queue(*pool_, 1, kOuter);
    build_.Begin(running_, 1);
    wait_ = build_.Wait(1, running_, kTask);
    build_.Tell(kTask);
    queued_ = build_.Queue(*pool_, 1, kTask);
  }

  const std::unique_ptr<Executor> pool_ = MakeThreadPool({.threads = 1});
  const std::unique_ptr<Executor> other_pool_ = MakeThreadPool({.threads = 1});
  Builder build_;
  uint64_t running_ = 0;
  uint64_t wait_ = 0;
  uint64_t queued_ = 0;
};

TEST_F(WaitGraphTest, FindsAPoolWhoseThreadWaitsForWhatIsQueuedBehindIt) {
  BuildExhaustedPool();
  const auto circles = build_.Circles();
  ASSERT_THAT(circles, SizeIs(1));
  EXPECT_THAT(circles[0].nodes, UnorderedElementsAre(WaitGraph::Node{Kind::kTask, kTask},
                                                     WaitGraph::Node{Kind::kCall, queued_},
                                                     WaitGraph::Node{Kind::kCall, running_},
                                                     WaitGraph::Node{Kind::kWait, wait_}));
  EXPECT_EQ(circles[0].others, 0U);
}

TEST_F(WaitGraphTest, NamesTheMembersInTheOrderInWhichTheyWait) {
  BuildExhaustedPool();
  const auto circles = build_.Circles();
  ASSERT_THAT(circles, SizeIs(1));
  std::vector<std::string> members;
  for (const WaitGraph::Node& node : circles[0].nodes) {
    members.push_back(build_.graph.Describe(circles[0], node));
  }
  EXPECT_THAT(members, ElementsAre("task 'task 101' waits for a function",
                                   "the function waits for a thread of executor 'pool'",
                                   "the function runs on thread 'worker' of executor 'pool'",
                                   "thread 'worker' waits in AsyncToSync() for task 'task 101'"));
}

TEST_F(WaitGraphTest, IgnoresAPoolThatHasAnotherThread) {
  running_ = build_.Queue(*pool_, 2, kOuter);
  build_.Begin(running_, 1);
  build_.Wait(1, running_, kTask);
  build_.Tell(kTask);
  build_.Queue(*pool_, 2, kTask);
  EXPECT_THAT(build_.Circles(), IsEmpty());
}

TEST_F(WaitGraphTest, ListsAllThreadsOfAPoolThatCannotGoOn) {
  for (const uint64_t task : {kTask, kOther}) {
    const auto thread = static_cast<pid_t>(task);
    const uint64_t call = build_.Queue(*pool_, 2, 0);
    build_.Begin(call, thread);
    build_.Wait(thread, call, task);
    build_.Tell(task);
    build_.Queue(*pool_, 2, task);
  }
  const auto circles = build_.Circles();
  ASSERT_THAT(circles, SizeIs(1));
  EXPECT_THAT(circles[0].nodes, SizeIs(8));
  EXPECT_GT(circles[0].others, 0U);
  // Behind the circle another thread, and what it waits for.
  std::vector<Kind> kinds;
  for (const WaitGraph::Node& node : circles[0].nodes) kinds.push_back(node.kind);
  EXPECT_THAT(kinds, ElementsAre(Kind::kTask, Kind::kCall, Kind::kCall, Kind::kWait, Kind::kCall,
                                 Kind::kWait, Kind::kTask, Kind::kCall));
}

TEST_F(WaitGraphTest, FindsTasksThatNeedEachOther) {
  build_.Tell(kTask, {kOther});
  build_.Tell(kOther, {kTask});
  ASSERT_THAT(build_.Circles(), SizeIs(1));
  build_.Tell(kOther, {kTask}).limited = true;
  EXPECT_THAT(build_.Circles(), IsEmpty());
}

TEST_F(WaitGraphTest, NamesWhatATaskWaitsForWithItsArticle) {
  build_.Tell(kTask, {kOther}).waits_for = "several tasks";
  build_.Tell(kOther, {kTask}).waits_for = "event";
  const auto circles = build_.Circles();
  ASSERT_THAT(circles, SizeIs(1));
  EXPECT_EQ(build_.graph.Describe(circles[0], circles[0].nodes[0]),
            "task 'task 101' waits for several tasks");
  EXPECT_EQ(build_.graph.Describe(circles[0], circles[0].nodes[1]),
            "task 'task 102' waits for an event");
}

TEST_F(WaitGraphTest, IgnoresAPoolOneOfWhoseThreadsComputes) {
  const uint64_t waits = build_.Queue(*pool_, 2, kOuter);
  build_.Begin(waits, 1);
  build_.Wait(1, waits, kTask);
  build_.Tell(kTask);
  const uint64_t computes = build_.Queue(*pool_, 2, 0);
  build_.Begin(computes, 2);
  build_.Queue(*pool_, 2, kTask);
  EXPECT_THAT(build_.Circles(), IsEmpty());
}

TEST_F(WaitGraphTest, IgnoresATaskThatGoesOn) {
  BuildExhaustedPool();
  build_.Tell(kTask).goes_on = true;
  EXPECT_THAT(build_.Circles(), IsEmpty());
}

TEST_F(WaitGraphTest, IgnoresATaskThatWasNotToldThisTime) {
  BuildExhaustedPool();
  build_.Tell(kTask).told = kLook - 1;
  EXPECT_THAT(build_.Circles(), IsEmpty());
}

TEST_F(WaitGraphTest, IgnoresWhatIsYoungerThanTheLastLook) {
  running_ = build_.Queue(*pool_, 1, kOuter);
  build_.Begin(running_, 1);
  build_.Wait(1, running_, kTask);
  build_.Tell(kTask);
  build_.Queue(*pool_, 1, kTask, kAfter);
  EXPECT_THAT(build_.Circles(), IsEmpty());
}

TEST_F(WaitGraphTest, IgnoresATaskUnderATimeLimit) {
  BuildExhaustedPool();
  build_.Tell(kTask).limited = true;
  EXPECT_THAT(build_.Circles(), IsEmpty());
}

// The limit cancels the task that awaits the function, which passes it on to the coroutine.
TEST_F(WaitGraphTest, IgnoresAFunctionWhoseTaskIsUnderATimeLimit) {
  BuildExhaustedPool();
  build_.graph.FindCall(running_)->limited = true;
  EXPECT_THAT(build_.Circles(), IsEmpty());
}

TEST_F(WaitGraphTest, IgnoresAFunctionOfWhoseTaskNothingIsKnown) {
  BuildExhaustedPool();
  build_.graph.FindCall(running_)->told = kLook - 1;
  EXPECT_THAT(build_.Circles(), IsEmpty());
}

TEST_F(WaitGraphTest, FollowsATimeLimitThroughAThreadThatWaitsTwice) {
  // The thread runs a function that waits, and in that wait another one that waits.
  const uint64_t outer = build_.Queue(*pool_, 1, kOuter);
  build_.Begin(outer, 1);
  build_.Wait(1, outer, kOther, other_pool_.get());
  build_.Tell(kOther);
  const uint64_t inner = build_.Queue(*other_pool_, 1, kOther);
  build_.Begin(inner, 1);
  build_.Wait(1, inner, kTask);
  build_.Tell(kTask);
  build_.Queue(*pool_, 1, kTask);
  EXPECT_THAT(build_.Circles(), SizeIs(1));
  build_.graph.FindCall(outer)->limited = true;
  EXPECT_THAT(build_.Circles(), IsEmpty());
}

TEST_F(WaitGraphTest, FindsATaskThatNeedsAnotherTask) {
  running_ = build_.Queue(*pool_, 1, kOther);
  build_.Begin(running_, 1);
  build_.Wait(1, running_, kTask);
  build_.Tell(kTask, {kOther});
  build_.Tell(kOther);
  EXPECT_THAT(build_.Circles(), SizeIs(1));
}

TEST_F(WaitGraphTest, IgnoresATaskOneOfWhoseTasksGoesOn) {
  running_ = build_.Queue(*pool_, 1, kOther);
  build_.Begin(running_, 1);
  build_.Wait(1, running_, kTask);
  build_.Tell(kTask, {kOther, kOuter});
  build_.Tell(kOther);
  build_.Tell(kOuter).goes_on = true;
  EXPECT_THAT(build_.Circles(), IsEmpty());
}

TEST_F(WaitGraphTest, FindsAFunctionThatSleepsForALockOfAThreadThatWaits) {
  const uint64_t holds = build_.Queue(*pool_, 1, kOuter);
  build_.Begin(holds, 1);
  build_.Wait(1, holds, kTask);
  build_.Tell(kTask);
  const uint64_t sleeps = build_.Queue(*other_pool_, 1, kTask);
  build_.Begin(sleeps, 2);
  EXPECT_THAT(build_.Circles(), IsEmpty());
  build_.owner_of_lock = [](pid_t thread) { return thread == 2 ? 1 : 0; };
  const auto circles = build_.Circles();
  ASSERT_THAT(circles, SizeIs(1));
  EXPECT_EQ(build_.graph.Describe(circles[0], {Kind::kCall, sleeps}),
            "the function runs on thread 'worker' (2) of executor 'pool' and waits for a "
            "std::mutex that thread 'worker' (1) holds");
}

// The thread that has the lock runs another function while it waits: that will unlock.
TEST_F(WaitGraphTest, IgnoresALockOfAFunctionThatRunsOnAThreadThatWaits) {
  build_.Wait(1, 0, kTask, pool_.get());
  build_.Tell(kTask);
  const uint64_t holds = build_.Queue(*pool_, 1, kOther);
  build_.Begin(holds, 1);
  const uint64_t sleeps = build_.Queue(*other_pool_, 1, kTask);
  build_.Begin(sleeps, 2);
  build_.owner_of_lock = [](pid_t thread) { return thread == 2 ? 1 : 0; };
  EXPECT_THAT(build_.Circles(), IsEmpty());
}

TEST_F(WaitGraphTest, TellsThreadsOfOneNameApart) {
  const uint64_t holds = build_.Queue(*pool_, 1, kOuter);
  build_.Begin(holds, 11);
  build_.Wait(11, holds, kTask);
  build_.Tell(kTask);
  const uint64_t sleeps = build_.Queue(*other_pool_, 1, kTask);
  build_.Begin(sleeps, 12);
  build_.owner_of_lock = [](pid_t thread) { return thread == 12 ? 11 : 0; };
  const auto circles = build_.Circles();
  ASSERT_THAT(circles, SizeIs(1));
  EXPECT_EQ(build_.graph.Describe(circles[0], {Kind::kCall, sleeps}),
            "the function runs on thread 'worker' (12) of executor 'pool' and waits for a "
            "std::mutex that thread 'worker' (11) holds");
}

// It runs a function while it waits, and that wants what the thread has had from before.
TEST_F(WaitGraphTest, FindsAThreadThatSleepsForItsOwnLock) {
  const uint64_t holds = build_.Queue(*pool_, 1, kOuter);
  build_.Begin(holds, 1);
  build_.Wait(1, holds, kTask, other_pool_.get());
  build_.Tell(kTask);
  const uint64_t sleeps = build_.Queue(*other_pool_, 1, kTask);
  build_.Begin(sleeps, 1);
  EXPECT_THAT(build_.Circles(), IsEmpty());
  build_.owner_of_lock = [](pid_t) { return 1; };
  const auto circles = build_.Circles();
  ASSERT_THAT(circles, SizeIs(1));
  EXPECT_THAT(build_.graph.Describe(circles[0], {Kind::kCall, sleeps}),
              ::testing::HasSubstr("waits for a std::mutex that this thread itself holds"));
}

TEST_F(WaitGraphTest, FindsWhatWasSentToAThreadThatWaitsFurtherIn) {
  // It was sent to the outer wait, while the thread is in the inner one.
  build_.Wait(1, 0, kTask, pool_.get());
  build_.Tell(kTask);
  build_.Queue(*pool_, 1, kTask);
  build_.Wait(1, 0, kOther);
  build_.Tell(kOther, {kTask});
  EXPECT_THAT(build_.Circles(), SizeIs(1));
}

TEST_F(WaitGraphTest, IgnoresWhatWasSentToAThreadThatWillTakeIt) {
  build_.Wait(1, 0, kTask, pool_.get());
  build_.Tell(kTask);
  build_.Queue(*pool_, 1, kTask);
  EXPECT_THAT(build_.Circles(), IsEmpty());
}

TEST_F(WaitGraphTest, FindsTasksThatWaitForTheResultOfAFunction) {
  running_ = build_.Queue(*pool_, 1, 0);
  build_.Begin(running_, 1);
  build_.Wait(1, 0, kTask);
  WaitGraph::Call call;
  call.executor = pool_.get();
  call.threads = 1;
  call.object = this;
  call.since = kBefore;
  build_.graph.AddCall(50, std::move(call));
  build_.Tell(kTask);
  EXPECT_THAT(build_.Circles(), IsEmpty());
  build_.Tell(kTask).object = this;
  EXPECT_THAT(build_.Circles(), SizeIs(1));
}

TEST_F(WaitGraphTest, ForgetsWhatHasEnded) {
  BuildExhaustedPool();
  build_.graph.RemoveCall(queued_);
  EXPECT_THAT(build_.Circles(), IsEmpty());
  build_.graph.RemoveWait(wait_);
  build_.graph.RemoveCall(running_);
  EXPECT_TRUE(build_.graph.empty());
}

TEST_F(WaitGraphTest, KnowsWhoWaitsForTheOnlyThreadOfAnExecutor) {
  const uint64_t runs = build_.Queue(*pool_, 1, 0);
  build_.Begin(runs, 1);
  EXPECT_THAT(build_.graph.FindBusy(kLastLook), IsEmpty());
  const uint64_t waits = build_.Queue(*pool_, 1, 0);
  build_.Queue(*pool_, 1, 0, kAfter);
  const auto busy = build_.graph.FindBusy(kLastLook);
  ASSERT_THAT(busy, SizeIs(1));
  EXPECT_EQ(busy[0].running, runs);
  EXPECT_THAT(busy[0].queued, ElementsAre(waits));
}

TEST_F(WaitGraphTest, DoesNotCallAPoolOfSeveralThreadsBusy) {
  const uint64_t runs = build_.Queue(*pool_, 2, 0);
  build_.Begin(runs, 1);
  build_.Queue(*pool_, 2, 0);
  EXPECT_THAT(build_.graph.FindBusy(kLastLook), IsEmpty());
}

}  // namespace
}  // namespace loopsan::testing
