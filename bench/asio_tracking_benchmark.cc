// What the tracking header adds to a handler of Boost.Asio. Compiled twice, without and with it:
// bench/asio_tracking runs the two by turns, the second also under `loopsan run`, and prints what a
// handler costs in each.
//
//   asio_tracking_benchmark post|posts|timer ROUNDS     prints nanoseconds per handler, a line a
//   round
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <utility>  // which Boost 1.74 forgets

#include <boost/asio.hpp>
#include <chrono>

namespace {

namespace asio = boost::asio;
constexpr int kHandlers = 200'000;
constexpr int kAtATime = 64;

// Each posts the next.
struct Post {
  asio::io_context* io;
  int* left;
  void operator()() const {
    if (--*left > 0) asio::post(*io, *this);
  }
};

// Each sets a timer that is due at once.
struct Timer {
  asio::steady_timer* timer;
  int* left;
  void operator()(const boost::system::error_code&) const {
    if (--*left == 0) return;
    timer->expires_at(std::chrono::steady_clock::time_point::min());
    timer->async_wait(*this);
  }
};

double NanosecondsEach(const char* kind) {
  asio::io_context io(1);
  asio::steady_timer timer(io, std::chrono::steady_clock::time_point::min());
  int left = kHandlers;
  if (strcmp(kind, "timer") == 0) {
    timer.async_wait(Timer{&timer, &left});
  } else {
    // With one, Asio looks for events behind each handler; with many, behind each round of them.
    const int chains = strcmp(kind, "posts") == 0 ? kAtATime : 1;
    for (int i = 0; i < chains; ++i) asio::post(io, Post{&io, &left});
  }
  const auto begin = std::chrono::steady_clock::now();
  io.run();
  const std::chrono::duration<double, std::nano> took = std::chrono::steady_clock::now() - begin;
  return took.count() / kHandlers;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  for (int round = atoi(argv[2]); round > 0; --round) printf("%.2f\n", NanosecondsEach(argv[1]));
}
