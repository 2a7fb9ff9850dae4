// What a call across the bridge between blocking and asynchronous code costs, beside Boost.Asio's
// way (post, and a std::future) in one process.
//
// An iteration is kCalls calls, one after the other; the counter per_op is the time of one. Run it
// with
// --benchmark_enable_random_interleaving=true, so that all rows meet the same disturbances.
#include <benchmark/benchmark.h>

#include <utility>  // Asio 1.81 needs it before its own headers

#include <boost/asio.hpp>
#include <future>
#include <thread>

#include "runtime/async_single_thread_context.h"
#include "runtime/async_to_sync.h"
#include "runtime/executor.h"
#include "runtime/run.h"
#include "runtime/sync_to_async.h"

namespace {

using loopsan::AsyncToSync;
using loopsan::Run;
using loopsan::SyncToAsync;
using loopsan::Task;

constexpr int kCalls = 200;

void PerCall(benchmark::State& state) {
  state.counters["per_op"] =
      benchmark::Counter(static_cast<double>(state.iterations()) * kCalls,
                         benchmark::Counter::kIsRate | benchmark::Counter::kInvert);
}

int Nothing(int value) { return value; }
Task<int> NothingAsync(int value) { co_return value; }

// Asio: hand a function to another thread and wait for its future.
void PostAndFuture_Asio(benchmark::State& state) {
  boost::asio::io_context io(1);
  auto guard = boost::asio::make_work_guard(io);
  std::thread thread([&] { io.run(); });
  for (auto _ : state) {
    for (int i = 0; i < kCalls; ++i) {
      std::promise<int> promise;
      auto future = promise.get_future();
      boost::asio::post(io, [&promise, i] { promise.set_value(Nothing(i)); });
      benchmark::DoNotOptimize(future.get());
    }
  }
  guard.reset();
  thread.join();
  PerCall(state);
}
BENCHMARK(PostAndFuture_Asio)->UseRealTime();

template <typename F>
void OnLoop(benchmark::State& state, const F& calls) {
  for (auto _ : state) Run(calls());
  PerCall(state);
}

Task<> RunInExecutorMany() {
  for (int i = 0; i < kCalls; ++i) {
    const auto work = [i] { return Nothing(i); };
    auto job = loopsan::RunInExecutor(work);
    benchmark::DoNotOptimize(co_await std::move(job));
  }
}
void RunInExecutor_Loopsan(benchmark::State& state) { OnLoop(state, RunInExecutorMany); }
BENCHMARK(RunInExecutor_Loopsan)->UseRealTime();

Task<> SensitiveMany() {
  constexpr auto kNothing = SyncToAsync<&Nothing>();
  for (int i = 0; i < kCalls; ++i) benchmark::DoNotOptimize(co_await kNothing(i));
}
void SyncToAsyncSensitive_Loopsan(benchmark::State& state) { OnLoop(state, SensitiveMany); }
BENCHMARK(SyncToAsyncSensitive_Loopsan)->UseRealTime();

Task<> AnyThreadMany() {
  constexpr auto kNothing = SyncToAsync<&Nothing>({.thread_sensitive = false});
  for (int i = 0; i < kCalls; ++i) benchmark::DoNotOptimize(co_await kNothing(i));
}
void SyncToAsyncAnyThread_Loopsan(benchmark::State& state) { OnLoop(state, AnyThreadMany); }
BENCHMARK(SyncToAsyncAnyThread_Loopsan)->UseRealTime();

void AsyncToSyncCold_Loopsan(benchmark::State& state) {
  for (auto _ : state) {
    for (int i = 0; i < kCalls; ++i) benchmark::DoNotOptimize(AsyncToSync(NothingAsync)(i));
  }
  PerCall(state);
}
BENCHMARK(AsyncToSyncCold_Loopsan)->UseRealTime();

void AsyncToSyncInContext_Loopsan(benchmark::State& state) {
  const loopsan::AsyncSingleThreadContext context;
  for (auto _ : state) {
    for (int i = 0; i < kCalls; ++i) benchmark::DoNotOptimize(AsyncToSync(NothingAsync)(i));
  }
  PerCall(state);
}
BENCHMARK(AsyncToSyncInContext_Loopsan)->UseRealTime();

// Inside a function that came from the loop.
Task<> WarmMany() {
  const auto calls = [] {
    for (int i = 0; i < kCalls; ++i) benchmark::DoNotOptimize(AsyncToSync(NothingAsync)(i));
  };
  const auto run = SyncToAsync(calls);
  co_await run();
}
void AsyncToSyncWarm_Loopsan(benchmark::State& state) { OnLoop(state, WarmMany); }
BENCHMARK(AsyncToSyncWarm_Loopsan)->UseRealTime();

// sync -> async -> sync -> async, inside a function that came from the loop.
int Level2(int value) { return AsyncToSync(NothingAsync)(value); }
Task<int> Level1(int value) {
  constexpr auto kLevel2 = SyncToAsync<&Level2>();
  co_return co_await kLevel2(value);
}
Task<> ChainMany() {
  const auto calls = [] {
    for (int i = 0; i < kCalls; ++i) benchmark::DoNotOptimize(AsyncToSync(Level1)(i));
  };
  const auto run = SyncToAsync(calls);
  co_await run();
}
void FourHopChain_Loopsan(benchmark::State& state) { OnLoop(state, ChainMany); }
BENCHMARK(FourHopChain_Loopsan)->UseRealTime();

}  // namespace

BENCHMARK_MAIN();
