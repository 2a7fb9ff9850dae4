// Random chains of calls between sync and async code: results, exceptions and threads are right,
// and nothing hangs.
//
// LOOPSAN_STRESS_SEED=N runs one seed more, of your choice.
#include <gtest/gtest.h>
#include <stdlib.h>

#include <chrono>
#include <memory>
#include <random>
#include <thread>
#include <vector>

#include "runtime/async_to_sync.h"
#include "runtime/executor.h"
#include "runtime/gather.h"
#include "runtime/shield.h"
#include "runtime/sleep.h"
#include "runtime/sync_to_async.h"
#include "runtime/timeout.h"
#include "tests/runtime/real_loop.h"
#include "tests/runtime/run_loop.h"

namespace loopsan::testing {
namespace {

constexpr int kDepth = 6;
constexpr int kFailed = 1000;

// How a coroutine reaches what is below it.
enum class Way { kAwait, kSpawn, kLimit, kShield, kSensitive, kPool, kOtherPool, kDefaultPool };

struct Node {
  Way way = Way::kAwait;
  int value = 0;
  bool fails = false;
  bool yields = false;
  std::vector<Node> below;  // none, one, or two that run at the same time
};

struct Failure {
  int value;
};

class Plan {
 public:
  explicit Plan(uint64_t seed) : random_(seed) {}
  Node Make(int depth) {
    Node node;
    node.way = static_cast<Way>(Pick(8));
    node.value = 1 + Pick(9);
    node.fails = Pick(6) == 0;
    node.yields = Pick(2) == 0;
    const int below = depth == 0 ? 0 : Pick(5) == 0 ? 2 : 1;
    for (int i = 0; i < below; ++i) node.below.push_back(Make(depth - 1));
    return node;
  }

 private:
  int Pick(int below) { return static_cast<int>(random_() % static_cast<unsigned>(below)); }
  std::mt19937_64 random_;
};

// What comes of a node: its value and that of all below, or kFailed times its own.
int Expected(const Node& node) {
  int sum = node.value;
  for (const Node& each : node.below) {
    sum += each.fails ? kFailed * each.value : Expected(each);
  }
  return sum;
}

struct World {
  std::thread::id loop = std::this_thread::get_id();
  std::unique_ptr<Executor> pool = MakeThreadPool({.threads = 16, .name = "pool"});
  std::unique_ptr<Executor> other = MakeThreadPool({.threads = 16, .name = "other"});
};

Task<int> Walk(World& world, const Node& node, std::thread::id sensitive);

// A blocking function, which asks the loop for what is below it.
int Block(World& world, const Node& node, std::thread::id expected) {
  const std::thread::id here = std::this_thread::get_id();
  EXPECT_NE(here, world.loop);
  if (expected != std::thread::id()) {
    EXPECT_EQ(here, expected);
  }
  return AsyncToSync(Walk)(std::ref(world), std::cref(node), here);
}

Task<int> Reach(World& world, const Node& node, std::thread::id sensitive) {
  SyncToAsyncOptions options;
  std::thread::id expected;
  switch (node.way) {
    case Way::kAwait:
      co_return co_await Walk(world, node, sensitive);
    case Way::kSpawn: {
      TaskHandle<int> task = Spawn(Walk(world, node, sensitive));
      co_return co_await task;
    }
    case Way::kLimit:
      co_return co_await WithTimeout(std::chrono::hours(1), Walk(world, node, sensitive));
    case Way::kShield:
      co_return co_await Shield(Walk(world, node, sensitive));
    case Way::kSensitive:
      expected = sensitive;
      break;
    case Way::kPool:
      options.executor = world.pool.get();
      options.thread_sensitive = false;
      break;
    case Way::kOtherPool:
      options.executor = world.other.get();
      options.thread_sensitive = false;
      break;
    case Way::kDefaultPool:
      options.thread_sensitive = false;
      break;
  }
  const auto block = SyncToAsync(Block, options);
  co_return co_await block(std::ref(world), std::cref(node), expected);
}

// The value of what is below, or what its failure counts.
Task<int> Caught(World& world, const Node& node, std::thread::id sensitive) {
  try {
    co_return co_await Reach(world, node, sensitive);
  } catch (const Failure& failure) {
    co_return kFailed* failure.value;
  }
}

// Always on the loop.
Task<int> Walk(World& world, const Node& node, std::thread::id sensitive) {
  EXPECT_EQ(std::this_thread::get_id(), world.loop);
  if (node.yields) co_await Yield();
  int sum = node.value;
  std::vector<TaskHandle<int>> tasks;
  for (const Node& each : node.below) tasks.push_back(Spawn(Caught(world, each, sensitive)));
  for (const TaskHandle<int>& task : tasks) sum += co_await task;
  if (node.fails) throw Failure{node.value};
  co_return sum;
}

int RunSeed(uint64_t seed, int& expected) {
  Node root = Plan(seed).Make(kDepth);
  root.fails = false;
  root.way = Way::kAwait;
  expected = Expected(root);
  const auto main = [&root]() -> Task<int> {
    World world;
    const auto where = [] { return std::this_thread::get_id(); };
    const auto process_thread = SyncToAsync(where);
    const std::thread::id sensitive = co_await process_thread();
    const int result = co_await Walk(world, root, sensitive);
    co_await ShutDown(*world.pool);
    co_await ShutDown(*world.other);
    co_return result;
  };
  return RunReal(main());
}

class BridgeStress : public ::testing::TestWithParam<uint64_t> {};

TEST_P(BridgeStress, GivesTheRightResultsOnTheRightThreads) {
  const KeptFindings findings;
  int expected = 0;
  EXPECT_EQ(RunSeed(GetParam(), expected), expected);
  EXPECT_TRUE(findings.all().empty()) << findings.all().front().message;
}

std::vector<uint64_t> Seeds() {
  std::vector<uint64_t> seeds;
  for (uint64_t seed = 1; seed <= 40; ++seed) seeds.push_back(seed);
  if (const char* more = getenv("LOOPSAN_STRESS_SEED"))
    seeds.push_back(strtoull(more, nullptr, 10));
  return seeds;
}

INSTANTIATE_TEST_SUITE_P(Seeds, BridgeStress, ::testing::ValuesIn(Seeds()));

}  // namespace
}  // namespace loopsan::testing
