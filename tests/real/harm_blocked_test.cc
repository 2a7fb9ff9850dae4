// Cancellation and interruption of every hooked call, alone and watched.
#include <gtest/gtest.h>

#include <algorithm>
#include <sstream>

#include "instrument/blocking_calls.h"
#include "tests/real/harm_run.h"
#include "tests/support/report_search.h"

namespace loopsan::testing {
namespace {

// Each call is made on a thread of its own: more would not all find a cell.
constexpr uint32_t kCallsAtATime = 50;

struct Manner {
  const char* where;  // "loop" or "thread"
  const char* what;
};

void PrintTo(const Manner& manner, std::ostream* out) {
  *out << manner.what << " in a " << manner.where;
}

std::vector<std::string> LinesOf(const std::string& text) {
  std::istringstream stream(text);
  std::vector<std::string> lines;
  for (std::string line; std::getline(stream, line);) lines.push_back(line);
  return lines;
}

class BlockedCall : public ::testing::TestWithParam<Manner> {
 protected:
  static HarmProgram Program(uint32_t first) {
    return {{"harm_blocked", kDirectory, GetParam().where, GetParam().what, std::to_string(first),
             std::to_string(kCallsAtATime)},
            {},
            {}};
  }

  // Every thread runs what it leaves behind it.
  static void ExpectCleanedUp(const Seen& seen) {
    EXPECT_EQ(seen.status, 0);
    EXPECT_FALSE(seen.out.empty());
    for (const std::string& line : LinesOf(seen.out)) {
      EXPECT_TRUE(line.ends_with("; 2 destructors, 1 handlers")) << line;
    }
  }

  static uint64_t LoopsIn(const Json& report) {
    uint64_t loops = 0;
    for (const Json& process : report["processes"]) loops += process["loops"].size();
    return loops;
  }
};

TEST_P(BlockedCall, EndsTheSame) {
  for (uint32_t first = 0; first < kBlockingCallCount; first += kCallsAtATime) {
    const Seen alone = RunAlone(Program(first));
    ExpectCleanedUp(alone);
    const Watched watched = RunWatched(Program(first));
    EXPECT_EQ(watched.seen, alone);
    if (std::string_view(GetParam().where) == "loop") {
      EXPECT_EQ(LoopsIn(watched.report), LinesOf(alone.out).size() + 1)
          << "not every call was made on a loop's thread";
    }
  }
}

TEST_P(BlockedCall, EndsTheSameWhenEveryCallIsRecorded) {
  for (uint32_t first = 0; first < kBlockingCallCount; first += kCallsAtATime) {
    HarmProgram program = Program(first);
    program.flags = {"--calls=strict"};
    EXPECT_EQ(RunWatched(program).seen, RunAlone(program));
  }
}

TEST_P(BlockedCall, EndsTheSameWithThePreloadedProbeAlone) {
  for (uint32_t first = 0; first < kBlockingCallCount; first += kCallsAtATime) {
    EXPECT_EQ(RunPreloaded(Program(first)), RunAlone(Program(first)));
  }
}

const Manner kManners[] = {{"loop", "cancel"},   {"loop", "cancelled"}, {"loop", "signal"},
                           {"loop", "restart"},  {"thread", "cancel"},  {"thread", "cancelled"},
                           {"thread", "signal"}, {"thread", "restart"}};

INSTANTIATE_TEST_SUITE_P(All, BlockedCall, ::testing::ValuesIn(kManners), [](const auto& info) {
  return std::string(info.param.what) + "_in_a_" + info.param.where;
});

// The cases must stay what they are meant to be.
TEST(BlockedCalls, AreCancelledInTheCallWhereTheyCanBe) {
  const auto cancelled = [](uint32_t first) {
    return RunAlone({{"harm_blocked", kDirectory, "thread", "cancel", std::to_string(first), "1"},
                     {},
                     {}})
        .out;
  };
  for (uint32_t id = 0; id < kBlockingCallCount; ++id) {
    for (const std::string_view name :
         {"nanosleep", "open", "read", "fgets", "connect", "accept", "recvmsg", "send", "waitpid",
          "pthread_join", "sem_wait", "pthread_cond_wait", "cnd_wait", "epoll_wait", "poll",
          "select", "sigwait"}) {
      if (kBlockingCalls[id].name != name) continue;
      EXPECT_EQ(cancelled(id),
                std::string(name) + ": cancelled, in the call; 2 destructors, 1 handlers\n");
    }
  }
}

}  // namespace
}  // namespace loopsan::testing
