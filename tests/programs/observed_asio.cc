// Intent: Asio's own coroutine type, observed: a slow line in a chain of awaitables is
// reported with every co_await that led to it, on a pool of two threads, too.
//
// Usage: observed_asio SCENARIO
#include <utility>  // clang: Asio forgets it

// Asio is included before the specialization below, which its coroutines must see.
#include <time.h>
#include <unistd.h>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <chrono>
#include <cstdlib>
#include <string>
#include <thread>

#include "instrument/adapters/observed.h"

namespace asio = boost::asio;

// The one thing that is added. Asio specializes the template for any executor.
template <typename T, typename... Args>
struct std::coroutine_traits<asio::awaitable<T, asio::any_io_executor>, Args...> {
  using promise_type = loopsan::Observed<asio::detail::awaitable_frame<T, asio::any_io_executor>>;
};

namespace {

std::string g_scenario;
volatile int g_sink = 0;

[[gnu::noinline]] void BlockForAWhile() {
  if (g_scenario != "sleep" && g_scenario != "two_threads") return;
  usleep(200'000);  // BLOCK: usleep
  g_sink = g_sink + 1;
}

asio::awaitable<void> Pause() {
  asio::steady_timer timer(co_await asio::this_coro::executor, std::chrono::milliseconds(1));
  co_await timer.async_wait(asio::use_awaitable);
}

asio::awaitable<int> Forgotten() {
  co_await Pause();
  co_return 1;
}

asio::awaitable<int> Three() {
  co_await Pause();
  if (g_scenario == "forget") {
    const asio::awaitable<int> forgotten = Forgotten();  // BLOCK: creation
  }
  BlockForAWhile();  // BLOCK: three
  co_return 3;
}
asio::awaitable<int> Two() {
  const int below = co_await Three();  // BLOCK: two
  co_return below + 2;
}
asio::awaitable<void> One() {
  const int below = co_await Two();  // BLOCK: one
  if (below != 5) abort();
}

asio::awaitable<void> Ticker() {
  for (int i = 0; i < 20; ++i) co_await Pause();
}

}  // namespace

int main(int argc, char** argv) {
  if (argc > 1) g_scenario = argv[1];
  asio::io_context context;
  asio::co_spawn(context, Ticker(), asio::detached);
  asio::co_spawn(context, One(), asio::detached);
  std::thread other;
  const auto run = [&context] {
    const loopsan::ObservedLoop loop("pool");  // its threads do not all wait with epoll
    context.run();
  };
  if (g_scenario == "two_threads") {
    other = std::thread(run);
    run();
  } else {
    context.run();
  }
  if (other.joinable()) other.join();
  return 0;
}
