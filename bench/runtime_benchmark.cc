// What the runtime's operations cost, beside Boost.Asio's and libuv's in one
// process. bench/runtime runs it and adds asyncio.
//
// Rows are named Operation/Library; an iteration is kOperations operations, and
// the counter per_op is the time of one. Rows whose name ends in Debug run with the
// runtime's debug mode on.
#include <benchmark/benchmark.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>
#include <uv.h>

// Asio 1.81 needs <utility> before it where clang uses libstdc++.
#include <utility>

#include <boost/asio.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#if __has_include(<boost/asio/experimental/channel.hpp>)
#include <boost/asio/experimental/channel.hpp>
#define LOOPSAN_ASIO_CHANNEL 1
#endif
#include <coroutine>
#include <memory>
#include <vector>

#include "runtime/event_loop.h"
#include "runtime/executor.h"
#include "runtime/findings.h"
#include "runtime/queue.h"
#include "runtime/sleep.h"
#include "runtime/spawn.h"
#include "runtime/stream.h"

namespace {

namespace asio = boost::asio;
using loopsan::EventLoop;
using loopsan::Spawn;
using loopsan::Task;
using loopsan::TaskHandle;
using loopsan::Yield;

constexpr int kOperations = 10'000;

void PerOperation(benchmark::State& state, int operations = kOperations) {
  state.counters["per_op"] =
      benchmark::Counter(static_cast<double>(state.iterations()) * operations,
                         benchmark::Counter::kIsRate | benchmark::Counter::kInvert);
}

// Runs `main()` on a loop of its own, once per iteration.
template <typename F>
void OnLoop(benchmark::State& state, bool debug, const F& main) {
  // What is measured makes findings (a task that only yields); they are not the subject.
  const auto before = loopsan::SetFindingHandler([](const loopsan::RuntimeFinding&) {});
  EventLoop::Options options;
  options.debug = debug;
  EventLoop loop(std::move(options));
  for (auto _ : state) loop.RunUntilComplete(main());
  loop.Close();
  loopsan::SetFindingHandler(before);
  PerOperation(state);
}

template <typename F>
void OnAsio(benchmark::State& state, const F& main) {
  asio::io_context context(1);
  for (auto _ : state) {
    asio::co_spawn(context, main(), asio::detached);
    context.run();
    context.restart();
  }
  PerOperation(state);
}

// Yield ---------------------------------------------------------------------------

Task<> YieldMany() {
  for (int i = 0; i < kOperations; ++i) co_await Yield();
}
void Yield_Loopsan(benchmark::State& state) { OnLoop(state, false, YieldMany); }
void Yield_LoopsanDebug(benchmark::State& state) { OnLoop(state, true, YieldMany); }

asio::awaitable<void> AsioYieldMany() {
  const auto executor = co_await asio::this_coro::executor;
  for (int i = 0; i < kOperations; ++i) co_await asio::post(executor, asio::use_awaitable);
}
void Yield_AsioAwaitable(benchmark::State& state) { OnAsio(state, AsioYieldMany); }

// As in most programs a timer is set: then each turn of the loop reads the clock, with debug mode
// or without.
Task<> YieldManyBesideTimer() {
  loopsan::CallbackHandle timer = EventLoop::Running().CallLater(std::chrono::hours(1), [] {});
  for (int i = 0; i < kOperations; ++i) co_await Yield();
  timer.Cancel();
}
void YieldBesideTimer_Loopsan(benchmark::State& state) {
  OnLoop(state, false, YieldManyBesideTimer);
}
void YieldBesideTimer_LoopsanDebug(benchmark::State& state) {
  OnLoop(state, true, YieldManyBesideTimer);
}

void Yield_Libuv(benchmark::State& state) {
  uv_loop_t loop;
  uv_loop_init(&loop);
  for (auto _ : state) {
    int left = kOperations;
    uv_idle_t idle;
    uv_idle_init(&loop, &idle);
    idle.data = &left;
    uv_idle_start(&idle, [](uv_idle_t* handle) {
      if (--*static_cast<int*>(handle->data) == 0) {
        uv_idle_stop(handle);
        uv_close(reinterpret_cast<uv_handle_t*>(handle), nullptr);
      }
    });
    uv_run(&loop, UV_RUN_DEFAULT);
  }
  uv_loop_close(&loop);
  PerOperation(state);
}

// Await of a coroutine that does not wait ---------------------------------------------

Task<int> Leaf(int value) { co_return value; }
Task<> AwaitLeaves() {
  int sum = 0;
  for (int i = 0; i < kOperations; ++i) sum += co_await Leaf(i);
  benchmark::DoNotOptimize(sum);
}
void AwaitLeaf_Loopsan(benchmark::State& state) { OnLoop(state, false, AwaitLeaves); }
void AwaitLeaf_LoopsanDebug(benchmark::State& state) { OnLoop(state, true, AwaitLeaves); }

asio::awaitable<int> AsioLeaf(int value) { co_return value; }
asio::awaitable<void> AsioAwaitLeaves() {
  int sum = 0;
  for (int i = 0; i < kOperations; ++i) sum += co_await AsioLeaf(i);
  benchmark::DoNotOptimize(sum);
}
void AwaitLeaf_AsioAwaitable(benchmark::State& state) { OnAsio(state, AsioAwaitLeaves); }

// Spawn and await ----------------------------------------------------------------------

Task<> SpawnMany() {
  for (int i = 0; i < kOperations; ++i) {
    const TaskHandle<int> handle = Spawn(Leaf(i));
    co_await handle;
  }
}
void SpawnAwait_Loopsan(benchmark::State& state) { OnLoop(state, false, SpawnMany); }
void SpawnAwait_LoopsanDebug(benchmark::State& state) { OnLoop(state, true, SpawnMany); }

asio::awaitable<void> AsioSpawnMany() {
  const auto executor = co_await asio::this_coro::executor;
  for (int i = 0; i < kOperations; ++i) {
    co_await asio::co_spawn(executor, AsioLeaf(i), asio::use_awaitable);
  }
}
void SpawnAwait_AsioAwaitable(benchmark::State& state) { OnAsio(state, AsioSpawnMany); }

// A burst of tasks that are all alive at once ------------------------------------------

void SpawnBurst(benchmark::State& state, bool debug) {
  const auto count = static_cast<int>(state.range(0));
  const auto before = loopsan::SetFindingHandler([](const loopsan::RuntimeFinding&) {});
  EventLoop::Options options;
  options.debug = debug;
  EventLoop loop(std::move(options));
  const auto main = [](int tasks) -> Task<> {
    for (int i = 0; i < tasks; ++i) Spawn(Leaf(i));
    co_await Yield();
  };
  for (auto _ : state) loop.RunUntilComplete(main(count));
  loop.Close();
  loopsan::SetFindingHandler(before);
  PerOperation(state, count);
}
void SpawnBurst_Loopsan(benchmark::State& state) { SpawnBurst(state, false); }
void SpawnBurst_LoopsanDebug(benchmark::State& state) { SpawnBurst(state, true); }

// Memory of tasks that wait, each a chain of one coroutine ------------------------------

// Resident bytes of this process.
double ResidentBytes() {
  long pages = 0;
  long resident = 0;
  FILE* const file = fopen("/proc/self/statm", "re");
  if (file != nullptr) {
    if (fscanf(file, "%ld %ld", &pages, &resident) != 2) resident = 0;
    fclose(file);
  }
  return static_cast<double>(resident) * 4096;
}

void WaitingTasks(benchmark::State& state) {
  const auto count = static_cast<int>(state.range(0));
  const auto wait = []() -> Task<> { co_await loopsan::SleepFor(std::chrono::hours(1)); };
  const auto main = [&]() -> Task<> {
    const double before = ResidentBytes();
    for (int i = 0; i < count; ++i) Spawn(wait());
    co_await Yield();
    state.counters["bytes_per_task"] = (ResidentBytes() - before) / count;
  };
  for (auto _ : state) {
    EventLoop loop;
    loop.RunUntilComplete(main());
    loop.RunUntilComplete(loop.CancelAll());
    loop.Close();
  }
  PerOperation(state, count);
}

// Callbacks ------------------------------------------------------------------------------

struct CallSoonChain {
  EventLoop* loop;
  int* left;
  void operator()() const {
    if (--*left > 0) {
      loop->CallSoon(*this);
    } else {
      loop->Stop();
    }
  }
};
void CallSoonMany(benchmark::State& state, bool debug) {
  EventLoop::Options options;
  options.debug = debug;
  EventLoop loop(std::move(options));
  for (auto _ : state) {
    int left = kOperations;
    loop.CallSoon(CallSoonChain{&loop, &left});
    loop.RunForever();
  }
  loop.Close();
  PerOperation(state);
}
void CallSoon_Loopsan(benchmark::State& state) { CallSoonMany(state, false); }
void CallSoon_LoopsanDebug(benchmark::State& state) { CallSoonMany(state, true); }

struct AsioPostChain {
  asio::io_context* context;
  int* left;
  void operator()() const {
    if (--*left > 0) asio::post(*context, *this);
  }
};
void CallSoon_AsioCallback(benchmark::State& state) {
  asio::io_context context(1);
  for (auto _ : state) {
    int left = kOperations;
    asio::post(context, AsioPostChain{&context, &left});
    context.run();
    context.restart();
  }
  PerOperation(state);
}

// Timers -----------------------------------------------------------------------------------

void TimerAddCancelMany(benchmark::State& state, bool debug) {
  EventLoop::Options options;
  options.debug = debug;
  EventLoop loop(std::move(options));
  for (auto _ : state) {
    for (int i = 0; i < kOperations; ++i) {
      loop.CallLater(std::chrono::seconds(60), [] {}).Cancel();
    }
  }
  loop.Close();
  PerOperation(state);
}
void TimerAddCancel_Loopsan(benchmark::State& state) { TimerAddCancelMany(state, false); }
void TimerAddCancel_LoopsanDebug(benchmark::State& state) { TimerAddCancelMany(state, true); }

void TimerAddCancel_AsioCallback(benchmark::State& state) {
  asio::io_context context(1);
  asio::steady_timer timer(context);
  for (auto _ : state) {
    for (int i = 0; i < kOperations; ++i) {
      timer.expires_after(std::chrono::seconds(60));
      timer.async_wait([](boost::system::error_code) {});
      timer.cancel();
      context.poll();
    }
  }
  PerOperation(state);
}

void TimerAddCancel_Libuv(benchmark::State& state) {
  uv_loop_t loop;
  uv_loop_init(&loop);
  uv_timer_t timer;
  uv_timer_init(&loop, &timer);
  for (auto _ : state) {
    for (int i = 0; i < kOperations; ++i) {
      uv_timer_start(&timer, [](uv_timer_t*) {}, 60'000, 0);
      uv_timer_stop(&timer);
    }
  }
  uv_close(reinterpret_cast<uv_handle_t*>(&timer), nullptr);
  uv_run(&loop, UV_RUN_DEFAULT);
  uv_loop_close(&loop);
  PerOperation(state);
}

// A queue of one place between two tasks ------------------------------------------------

Task<> HandOver() {
  loopsan::Queue<int> queue(1);
  const auto put = [&]() -> Task<> {
    for (int i = 0; i < kOperations; ++i) co_await queue.Put(i);
  };
  const TaskHandle<> putter = Spawn(put());
  int sum = 0;
  for (int i = 0; i < kOperations; ++i) sum += co_await queue.Get();
  benchmark::DoNotOptimize(sum);
  co_await putter;
}
void QueueHandOver_Loopsan(benchmark::State& state) { OnLoop(state, false, HandOver); }
void QueueHandOver_LoopsanDebug(benchmark::State& state) { OnLoop(state, true, HandOver); }

#ifdef LOOPSAN_ASIO_CHANNEL
using AsioChannel = asio::experimental::channel<void(boost::system::error_code, int)>;
asio::awaitable<void> AsioPut(AsioChannel& channel) {
  for (int i = 0; i < kOperations; ++i) {
    co_await channel.async_send(boost::system::error_code(), i, asio::use_awaitable);
  }
}
asio::awaitable<void> AsioHandOver() {
  const auto executor = co_await asio::this_coro::executor;
  AsioChannel channel(executor, 1);
  asio::co_spawn(executor, AsioPut(channel), asio::detached);
  int sum = 0;
  for (int i = 0; i < kOperations; ++i) sum += co_await channel.async_receive(asio::use_awaitable);
  benchmark::DoNotOptimize(sum);
}
void QueueHandOver_AsioAwaitable(benchmark::State& state) { OnAsio(state, AsioHandOver); }
#endif

// An echo of 64 bytes over a TCP connection, both ends on one loop --------------------------

constexpr int kEchoes = 1'000;
constexpr size_t kEchoBytes = 64;

// A connected pair. Exits on failure: there is nothing to measure then.
std::pair<int, int> TcpPair() {
  const int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t bytes = sizeof address;
  auto* const any = reinterpret_cast<sockaddr*>(&address);
  const int one = 1;
  const int near = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (bind(listener, any, bytes) != 0 || listen(listener, 1) != 0 ||
      getsockname(listener, any, &bytes) != 0 || connect(near, any, bytes) != 0) {
    perror("a TCP connection to itself");
    exit(1);
  }
  const int far = accept4(listener, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
  close(listener);
  fcntl(near, F_SETFL, O_NONBLOCK);
  for (const int end : {near, far}) setsockopt(end, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  return {near, far};
}

Task<> Echo(loopsan::UnixStream stream) {
  char buffer[kEchoBytes];
  for (;;) {
    const size_t bytes = co_await stream.ReadInto(buffer);
    if (bytes == 0) co_return;
    stream.Write({buffer, bytes});
    co_await stream.Drain();
  }
}
Task<> EchoMany() {
  const auto [near, far] = TcpPair();
  loopsan::UnixStream client = loopsan::UnixStream::Adopt(near);
  loopsan::UnixStream server = loopsan::UnixStream::Adopt(far);
  const TaskHandle<> echo = Spawn(Echo(std::move(server)));
  char buffer[kEchoBytes] = {};
  for (int i = 0; i < kEchoes; ++i) {
    client.Write({buffer, kEchoBytes});
    co_await client.Drain();
    size_t got = 0;
    while (got < kEchoBytes) got += co_await client.ReadInto(buffer);
  }
  client.Close();
  co_await echo;
}
template <typename F>
void Echoes(benchmark::State& state, bool debug, const F& main) {
  EventLoop::Options options;
  options.debug = debug;
  EventLoop loop(std::move(options));
  for (auto _ : state) loop.RunUntilComplete(main());
  loop.Close();
  PerOperation(state, kEchoes);
}
void TcpEcho_Loopsan(benchmark::State& state) { Echoes(state, false, EchoMany); }
void TcpEcho_LoopsanDebug(benchmark::State& state) { Echoes(state, true, EchoMany); }

asio::awaitable<void> AsioEcho(asio::ip::tcp::socket socket) {
  char buffer[kEchoBytes];
  boost::system::error_code error;
  for (;;) {
    const size_t bytes = co_await socket.async_read_some(
        asio::buffer(buffer), asio::redirect_error(asio::use_awaitable, error));
    if (error) co_return;
    co_await asio::async_write(socket, asio::buffer(buffer, bytes), asio::use_awaitable);
  }
}
asio::awaitable<void> AsioEchoMany() {
  const auto executor = co_await asio::this_coro::executor;
  const auto [near, far] = TcpPair();
  asio::ip::tcp::socket client(executor, asio::ip::tcp::v4(), near);
  asio::co_spawn(executor, AsioEcho({executor, asio::ip::tcp::v4(), far}), asio::detached);
  char buffer[kEchoBytes] = {};
  for (int i = 0; i < kEchoes; ++i) {
    co_await asio::async_write(client, asio::buffer(buffer), asio::use_awaitable);
    co_await asio::async_read(client, asio::buffer(buffer), asio::use_awaitable);
  }
}
void TcpEcho_AsioAwaitable(benchmark::State& state) {
  asio::io_context context(1);
  for (auto _ : state) {
    asio::co_spawn(context, AsioEchoMany(), asio::detached);
    context.run();
    context.restart();
  }
  PerOperation(state, kEchoes);
}

struct UvEnd {
  uv_tcp_t tcp;
  uv_write_t write;
  char buffer[kEchoBytes];
  int left = 0;           // of the client
  UvEnd* peer = nullptr;  // of the client
};
void UvSend(UvEnd* end, size_t bytes) {
  const uv_buf_t buffer = uv_buf_init(end->buffer, static_cast<unsigned>(bytes));
  uv_write(&end->write, reinterpret_cast<uv_stream_t*>(&end->tcp), &buffer, 1,
           [](uv_write_t*, int) {});
}
void UvRoom(uv_handle_t* handle, size_t, uv_buf_t* buffer) {
  *buffer = uv_buf_init(static_cast<UvEnd*>(handle->data)->buffer, kEchoBytes);
}
void UvGot(uv_stream_t* stream, ssize_t bytes, const uv_buf_t*) {
  auto* const end = static_cast<UvEnd*>(stream->data);
  if (bytes <= 0) return;
  if (end->peer != nullptr && --end->left == 0) {
    uv_close(reinterpret_cast<uv_handle_t*>(&end->tcp), nullptr);
    uv_close(reinterpret_cast<uv_handle_t*>(&end->peer->tcp), nullptr);
    return;
  }
  UvSend(end, static_cast<size_t>(bytes));
}
void TcpEcho_Libuv(benchmark::State& state) {
  uv_loop_t loop;
  uv_loop_init(&loop);
  for (auto _ : state) {
    const auto [near, far] = TcpPair();
    UvEnd client{};
    UvEnd server{};
    client.left = kEchoes;
    client.peer = &server;
    for (auto [end, fd] : {std::pair(&client, near), std::pair(&server, far)}) {
      uv_tcp_init(&loop, &end->tcp);
      uv_tcp_open(&end->tcp, fd);
      end->tcp.data = end;
      uv_read_start(reinterpret_cast<uv_stream_t*>(&end->tcp), UvRoom, UvGot);
    }
    UvSend(&client, kEchoBytes);
    uv_run(&loop, UV_RUN_DEFAULT);
  }
  uv_loop_close(&loop);
  PerOperation(state, kEchoes);
}

// A hop to another thread and back ------------------------------------------------------------

constexpr int kHops = 1'000;

void ExecutorHops(benchmark::State& state, bool debug) {
  const std::unique_ptr<loopsan::Executor> pool = loopsan::MakeThreadPool({.threads = 1});
  const auto main = [&]() -> Task<> {
    const auto nothing = [] {};
    for (int i = 0; i < kHops; ++i) {
      auto job = loopsan::RunInExecutor(*pool, nothing);
      co_await std::move(job);
    }
  };
  EventLoop::Options options;
  options.debug = debug;
  EventLoop loop(std::move(options));
  for (auto _ : state) loop.RunUntilComplete(main());
  loop.Close();
  pool->Shutdown();
  PerOperation(state, kHops);
}
void ExecutorHop_Loopsan(benchmark::State& state) { ExecutorHops(state, false); }
void ExecutorHop_LoopsanDebug(benchmark::State& state) { ExecutorHops(state, true); }

asio::awaitable<void> AsioHopMany(asio::thread_pool& pool) {
  const auto executor = co_await asio::this_coro::executor;
  for (int i = 0; i < kHops; ++i) {
    co_await asio::post(pool, asio::use_awaitable);  // the rest of the coroutine is on the loop
    benchmark::DoNotOptimize(i);
  }
}
void ExecutorHop_AsioAwaitable(benchmark::State& state) {
  asio::thread_pool pool(1);
  asio::io_context context(1);
  // A context that has I/O waits with epoll, as every server's does; one without waits on a
  // condition variable, which is woken with fewer system calls.
  const asio::ip::tcp::socket io(context, asio::ip::tcp::v4());
  for (auto _ : state) {
    const auto work = asio::make_work_guard(context);
    asio::co_spawn(context, AsioHopMany(pool), [&](const std::exception_ptr&) { context.stop(); });
    context.run();
    context.restart();
  }
  pool.join();
  PerOperation(state, kHops);
}

#define ROW(function, name) BENCHMARK(function)->Name(name)
// First of all, and once: memory that was used before does not count as taken.
ROW(WaitingTasks, "WaitingTasks/Loopsan")->Arg(1'000'000)->Iterations(1);
ROW(Yield_Loopsan, "Yield/Loopsan");
ROW(Yield_LoopsanDebug, "Yield/LoopsanDebug");
ROW(Yield_AsioAwaitable, "Yield/AsioAwaitable");
ROW(Yield_Libuv, "Yield/Libuv");
ROW(YieldBesideTimer_Loopsan, "YieldBesideTimer/Loopsan");
ROW(YieldBesideTimer_LoopsanDebug, "YieldBesideTimer/LoopsanDebug");
ROW(AwaitLeaf_Loopsan, "AwaitLeaf/Loopsan");
ROW(AwaitLeaf_LoopsanDebug, "AwaitLeaf/LoopsanDebug");
ROW(AwaitLeaf_AsioAwaitable, "AwaitLeaf/AsioAwaitable");
ROW(SpawnAwait_Loopsan, "SpawnAwait/Loopsan");
ROW(SpawnAwait_LoopsanDebug, "SpawnAwait/LoopsanDebug");
ROW(SpawnAwait_AsioAwaitable, "SpawnAwait/AsioAwaitable");
ROW(SpawnBurst_Loopsan, "SpawnBurst/Loopsan")->RangeMultiplier(10)->Range(1'000, 1'000'000);
ROW(SpawnBurst_LoopsanDebug, "SpawnBurst/LoopsanDebug")
    ->RangeMultiplier(10)
    ->Range(1'000, 1'000'000);
ROW(CallSoon_Loopsan, "CallSoon/Loopsan");
ROW(CallSoon_LoopsanDebug, "CallSoon/LoopsanDebug");
ROW(CallSoon_AsioCallback, "CallSoon/AsioCallback");
ROW(TimerAddCancel_Loopsan, "TimerAddCancel/Loopsan");
ROW(TimerAddCancel_LoopsanDebug, "TimerAddCancel/LoopsanDebug");
ROW(TimerAddCancel_AsioCallback, "TimerAddCancel/AsioCallback");
ROW(TimerAddCancel_Libuv, "TimerAddCancel/Libuv");
ROW(QueueHandOver_Loopsan, "QueueHandOver/Loopsan");
ROW(QueueHandOver_LoopsanDebug, "QueueHandOver/LoopsanDebug");
#ifdef LOOPSAN_ASIO_CHANNEL
ROW(QueueHandOver_AsioAwaitable, "QueueHandOver/AsioAwaitable");
#endif
ROW(TcpEcho_Loopsan, "TcpEcho/Loopsan");
ROW(TcpEcho_LoopsanDebug, "TcpEcho/LoopsanDebug");
ROW(TcpEcho_AsioAwaitable, "TcpEcho/AsioAwaitable");
ROW(TcpEcho_Libuv, "TcpEcho/Libuv");
// Threads: what counts is the time on the wall.
ROW(ExecutorHop_Loopsan, "ExecutorHop/Loopsan")->UseRealTime();
ROW(ExecutorHop_LoopsanDebug, "ExecutorHop/LoopsanDebug")->UseRealTime();
ROW(ExecutorHop_AsioAwaitable, "ExecutorHop/AsioAwaitable")->UseRealTime();

}  // namespace

BENCHMARK_MAIN();
