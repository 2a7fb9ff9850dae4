// Intent: a team's test program on libuv, some of whose tests block the loop. Which of
// them fail is for gtest_blocking_test.cc to judge.
#include <gtest/gtest.h>
#include <unistd.h>
#include <uv.h>

#include <chrono>

#include "instrument/adapters/gtest_blocking.h"

namespace {

using namespace std::chrono_literals;

using Callback = void (*)(uv_timer_t*);

// A loop of its own, as most tests have, which calls `callback` in 5 ms.
void RunLoop(Callback callback) {
  uv_loop_t loop;
  ASSERT_EQ(uv_loop_init(&loop), 0);
  uv_timer_t timer;
  uv_timer_init(&loop, &timer);
  uv_timer_start(&timer, callback, 5, 0);
  uv_run(&loop, UV_RUN_DEFAULT);
  uv_close(reinterpret_cast<uv_handle_t*>(&timer), nullptr);
  uv_run(&loop, UV_RUN_DEFAULT);
  ASSERT_EQ(uv_loop_close(&loop), 0);
}

void DoNothing(uv_timer_t*) {}
// Counted, so that the sleep is no tail call.
int g_blocked = 0;
void BlockBriefly(uv_timer_t*) {
  usleep(20'000);
  ++g_blocked;
}
void BlockLong(uv_timer_t*) {
  usleep(150'000);
  ++g_blocked;
}

TEST(Loop, IsFree) { RunLoop(DoNothing); }
TEST(Loop, IsBlocked) { RunLoop(BlockBriefly); }
TEST(Loop, IsFreeAgain) { RunLoop(DoNothing); }
TEST(Loop, SleepsOutsideOfIt) {
  RunLoop(DoNothing);
  usleep(150'000);
}
TEST(NoBlocking, HoldsForShortCalls) { EXPECT_NO_BLOCKING(RunLoop(BlockBriefly), 100ms); }
TEST(NoBlocking, FailsForLongCalls) { EXPECT_NO_BLOCKING(RunLoop(BlockLong), 100ms); }
TEST(Blocking, HoldsForLongCalls) { EXPECT_BLOCKING(RunLoop(BlockLong), 100ms); }
TEST(Blocking, FailsWithoutAny) { EXPECT_BLOCKING(RunLoop(DoNothing), 100ms); }
TEST(NoBlocking, LeavesWhatCameBeforeToItsTest) {
  RunLoop(BlockBriefly);
  EXPECT_NO_BLOCKING(RunLoop(DoNothing), 10ms);
}

}  // namespace
