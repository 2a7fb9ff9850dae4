// Intent: load for chat_server: many clients in rooms, each of which says something now and
// then and hears everybody in its room.
//
//   chat_load [--port PORT] [--clients N] [--room N] [--messages N] [--seconds S]
//
// Prints how many lines were heard, and how long a client waited to hear itself; exits with 1 if
// a line was lost or a connection failed.
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

#include <algorithm>
#include <chrono>
#include <exception>
#include <span>
#include <string>
#include <vector>

#include "runtime/event.h"
#include "runtime/run.h"
#include "runtime/semaphore.h"
#include "runtime/sleep.h"
#include "runtime/spawn.h"
#include "runtime/stream.h"

namespace {

using loopsan::Task;

struct Settings {
  uint16_t port = 7008;
  int clients = 100;
  int room = 10;       // clients in each
  int messages = 5;    // of each client
  double seconds = 1;  // in which they are said
};

struct Shared {
  explicit Shared(const Settings& the_settings) : settings(the_settings) {}
  const Settings& settings;
  loopsan::Semaphore connecting{128};  // at a time
  loopsan::Event all_joined;
  int joined = 0;
  long heard = 0;
  int failures = 0;
  std::vector<double> seconds;  // from saying to hearing oneself
};

// Says something, and hears everybody, also oneself.
Task<> Talk(Shared& shared, loopsan::TcpStream& stream, int number) {
  loopsan::EventLoop& loop = loopsan::EventLoop::Running();
  const Settings& settings = shared.settings;
  const std::string me = "c" + std::to_string(number) + ": ";
  const auto pause = std::chrono::duration_cast<loopsan::Duration>(
      std::chrono::duration<double>(settings.seconds / settings.messages));
  const int expected = settings.room * settings.messages;
  std::vector<loopsan::Time> said;
  int heard = 0;
  int heard_myself = 0;
  const auto hear = [&]() -> Task<> {
    while (heard < expected) {
      const std::string line = co_await stream.ReadLine();
      if (line.empty()) throw std::runtime_error("the server hung up");
      ++heard;
      if (!line.starts_with(me)) continue;
      const loopsan::Duration took = loop.Now() - said[static_cast<size_t>(heard_myself++)];
      shared.seconds.push_back(std::chrono::duration<double>(took).count());
    }
  };
  loopsan::TaskHandle<> hearing = Spawn(hear(), "hear");
  co_await loopsan::SleepFor(pause * (number % 16) / 16);  // not all at once
  for (int i = 0; i < settings.messages; ++i) {
    said.push_back(loop.Now());
    stream.Write("message " + std::to_string(i) + "\n");
    co_await loopsan::SleepFor(pause);
  }
  co_await hearing;
  shared.heard += heard;
}

Task<> Client(Shared& shared, int number) {
  loopsan::TcpStream stream;
  try {
    {
      const loopsan::SemaphorePermit permit = co_await shared.connecting.Acquire();
      stream = co_await loopsan::OpenConnection("127.0.0.1", shared.settings.port);
      stream.Write("join room" + std::to_string(number / shared.settings.room) + " c" +
                   std::to_string(number) + "\n");
      const std::string answer = co_await stream.ReadLine();
      if (answer != "joined\n") throw std::runtime_error("the server said: " + answer);
    }
    if (++shared.joined == shared.settings.clients) shared.all_joined.Set();
    co_await shared.all_joined.Wait();
    co_await Talk(shared, stream, number);
  } catch (const std::exception& error) {
    if (shared.failures++ == 0) fprintf(stderr, "chat_load: %s\n", error.what());
    shared.all_joined.Set();  // or the others would wait for ever
  }
  if (stream.valid()) stream.Close();
}

Task<int> Main(Settings settings) {
  Shared shared(settings);
  std::vector<loopsan::TaskHandle<>> clients;
  for (int i = 0; i < settings.clients; ++i) clients.push_back(Spawn(Client(shared, i)));
  for (loopsan::TaskHandle<>& client : clients) co_await client;
  std::sort(shared.seconds.begin(), shared.seconds.end());
  const size_t count = shared.seconds.size();
  printf("%d clients heard %ld lines, %d failures", settings.clients, shared.heard,
         shared.failures);
  if (count != 0) {
    printf("; they heard themselves after %.1f ms at the median, %.1f ms at p99",
           shared.seconds[count / 2] * 1e3, shared.seconds[count * 99 / 100] * 1e3);
  }
  printf("\n");
  co_return shared.failures == 0 ? 0 : 1;
}

[[noreturn]] void Usage(int status) {
  fputs(
      "usage: chat_load [--port PORT] [--clients N] [--room N] [--messages N] [--seconds S]\n"
      "  --clients N   at the same time; a multiple of --room (100)\n"
      "  --room N      clients in each room (10)\n"
      "  --messages N  that each client says (5)\n"
      "  --seconds S   in which it says them (1)\n",
      status == 0 ? stdout : stderr);
  exit(status);
}

Settings Parse(std::span<char*> arguments) {
  Settings settings;
  for (size_t i = 1; i < arguments.size(); ++i) {
    const std::string name = arguments[i];
    if (name == "--help") Usage(0);
    if (i + 1 == arguments.size()) Usage(2);
    const char* const value = arguments[++i];
    if (name == "--port") {
      settings.port = static_cast<uint16_t>(atoi(value));
    } else if (name == "--clients") {
      settings.clients = atoi(value);
    } else if (name == "--room") {
      settings.room = atoi(value);
    } else if (name == "--messages") {
      settings.messages = atoi(value);
    } else if (name == "--seconds") {
      settings.seconds = atof(value);
    } else {
      Usage(2);
    }
  }
  if (settings.room < 1 || settings.messages < 1 || settings.clients % settings.room != 0) Usage(2);
  return settings;
}

// One descriptor for each connection: as many as are allowed.
void RaiseDescriptorLimit() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
}

}  // namespace

int main(int argc, char** argv) {
  const Settings settings = Parse({argv, static_cast<size_t>(argc)});
  RaiseDescriptorLimit();
  try {
    return loopsan::Run(Main(settings));
  } catch (const std::exception& error) {
    fprintf(stderr, "chat_load: %s\n", error.what());
    return 1;
  }
}
