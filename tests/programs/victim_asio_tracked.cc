// Intent: an Asio program that was compiled with the tracking header and nothing else. Its handlers
// block, compute, or do neither, on one thread or on several.
//
// Usage: victim_asio_tracked SCENARIO; see kScenarios.
#include <string.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <memory>
#include <thread>
#include <utility>  // Asio 1.74 needs it before its own headers
#include <vector>

#ifdef ASIO_STANDALONE
#include <asio.hpp>
namespace net = asio;
#else
#include <boost/asio.hpp>
namespace net = boost::asio;
#endif

namespace {

using namespace std::chrono_literals;

// A turn of short handlers, so that the loop is known before anything happens.
void WarmUp(net::io_context& io) {
  for (int i = 0; i < 20; ++i) net::post(io, [] {});
}

void SlowHandler() {
  net::io_context io;
  WarmUp(io);
  net::steady_timer first(io, 5ms);
  net::steady_timer second(io);
  first.async_wait([&](auto) {
    second.expires_after(5ms);
    second.async_wait([&](auto) { usleep(200'000); });  // BLOCK: handler
  });
  io.run();
}

void LateHandler() {
  net::io_context io;
  WarmUp(io);
  net::steady_timer timer(io, 5ms);
  timer.async_wait([&](auto) {
    net::post(io, [] {});
    usleep(250'000);
  });
  io.run();
}

#ifdef LOOPSAN_VICTIM_COROUTINES
net::awaitable<void> SlowCoroutine() {
  net::steady_timer timer(co_await net::this_coro::executor, 5ms);
  co_await timer.async_wait(net::use_awaitable_t<>());  // BLOCK: await
  usleep(200'000);                                      // BLOCK: coroutine
}

void Coroutine() {
  net::io_context io;
  WarmUp(io);
  net::co_spawn(io, SlowCoroutine(), net::detached);
  io.run();
}
#endif

void Compute(std::chrono::microseconds how_long) {
  const auto end = std::chrono::steady_clock::now() + how_long;
  while (std::chrono::steady_clock::now() < end) {
  }
}

// Many short handlers at once: the turn is long, and none of them is slow.
void TimerStorm() {
  net::io_context io;
  std::vector<std::unique_ptr<net::steady_timer>> timers;
  for (int i = 0; i < 300; ++i) {
    timers.push_back(std::make_unique<net::steady_timer>(io, 10ms));
    timers.back()->async_wait([](auto) { Compute(1ms); });
  }
  io.run();
}

// An echo over a socket pair: handlers that begin operations that begin handlers.
void Clean() {
  net::io_context io;
  net::local::stream_protocol::socket here(io);
  net::local::stream_protocol::socket there(io);
  net::local::connect_pair(here, there);
  char byte = 'x';
  int left = 200;
  std::function<void()> talk = [&] {
    if (left-- == 0) return;
    net::async_write(here, net::buffer(&byte, 1), [&](auto, auto) {
      net::async_read(there, net::buffer(&byte, 1), [&](auto, auto) { talk(); });
    });
  };
  talk();
  io.run();
  Compute(300ms);  // outside of handlers
}

// Several threads, and strands that keep order.
void Pool() {
  net::io_context io;
  const auto guard = net::make_work_guard(io);
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) threads.emplace_back([&] { io.run(); });
  auto strand = net::make_strand(io);
  int in_strand = 0;
  for (int i = 0; i < 200; ++i) {
    net::post(strand, [&in_strand, i] {
      ++in_strand;
      if (i == 150) usleep(200'000);  // BLOCK: strand
    });
  }
  net::post(strand, [&] { io.stop(); });
  for (std::thread& thread : threads) thread.join();
  std::printf("%d in the strand\n", in_strand);
}

void Throwing() {
  net::io_context io;
  WarmUp(io);
  net::post(io, [] { throw 1; });
  try {
    io.run();
  } catch (int) {
  }
  Compute(300ms);  // outside of handlers
  net::post(io, [] {});
  io.run();
}

// Ready long before anybody runs the io_context.
void EarlyPost() {
  net::io_context io;
  net::post(io, [] {});
  Compute(300ms);
  io.run();
}

// A read that is given up: its handler waited for nobody.
void Cancelled() {
  net::io_context io;
  net::local::stream_protocol::socket here(io);
  net::local::stream_protocol::socket there(io);
  net::local::connect_pair(here, there);
  char byte;
  here.async_read_some(net::buffer(&byte, 1), [](auto, auto) {});
  net::steady_timer timer(io, 300ms);
  timer.async_wait([&](auto) { here.cancel(); });
  io.run();
}

// Where blocking is what the threads are for.
void ThreadPool() {
  net::thread_pool pool(2);
  for (int i = 0; i < 4; ++i) net::post(pool, [] { usleep(150'000); });
  pool.join();
}

struct SlowToGo {
  std::unique_ptr<int> owner = std::make_unique<int>();
  SlowToGo() = default;
  SlowToGo(SlowToGo&&) = default;
  ~SlowToGo() {
    if (owner != nullptr) usleep(200'000);  // BLOCK: destructor
  }
};

void SlowDestructor() {
  net::io_context io;
  WarmUp(io);
  net::post(io, [slow = SlowToGo()] {});
  io.run();
}

// A handler that posts itself again, a thousand times.
struct Link {
  net::io_context* io;
  void (*visit)(net::io_context& io, int number);
  int number;

  void operator()() const {
    visit(*io, number);
    if (number < 1000) net::post(*io, Link{io, visit, number + 1});
  }
};

void RunLinks(void (*visit)(net::io_context& io, int number)) {
  net::io_context io;
  net::post(io, Link{&io, visit, 1});
  io.run();
}

// A handler of a kind that has always been short posts what then has to wait for another.
void LateBehindShort() {
  RunLinks([](net::io_context& io, int number) {
    if (number != 900) return;
    net::post(io, [] { usleep(250'000); });
    net::post(io, [] {});
  });
}

// The first of a kind to be long had posted before.
void FirstLong() {
  RunLinks([](net::io_context& io, int number) {
    if (number != 900) return;
    net::post(io, [] {});
    usleep(250'000);
  });
}

// And another of this kind: what a handler creates is of one kind for four generations.
void SecondLong() {
  RunLinks([](net::io_context& io, int number) {
    if (number != 900 && number != 904) return;
    net::post(io, [] {});
    usleep(250'000);
  });
}

struct Scenario {
  const char* name;
  void (*run)();
};

constexpr Scenario kScenarios[] = {
    {"slow_handler", SlowHandler},
    {"late_handler", LateHandler},
    {"timer_storm", TimerStorm},
    {"clean", Clean},
    {"pool", Pool},
    {"throwing", Throwing},
    {"early_post", EarlyPost},
    {"cancelled", Cancelled},
    {"thread_pool", ThreadPool},
    {"slow_destructor", SlowDestructor},
    {"late_behind_short", LateBehindShort},
    {"first_long", FirstLong},
    {"second_long", SecondLong},
#ifdef LOOPSAN_VICTIM_COROUTINES
    {"coroutine", Coroutine},
#endif
};

}  // namespace

int main(int argc, char** argv) {
  for (const Scenario& scenario : kScenarios) {
    if (argc != 2 || strcmp(scenario.name, argv[1]) != 0) continue;
    scenario.run();
    std::puts("done");
    return 0;
  }
  return 98;
}
