// Intent: load for echo_server, written with loopsan's public headers only. Some of its
// connections misbehave: they reset in the middle, half-close before they read, or send and
// never read (those stall until the end).
//
//   echo_load [--host HOST] [--port PORT] [--connections N] [--rounds N] [--bytes N]
//             [--resets N] [--half-closes N] [--stalls N] [--hold]
//
// Prints what it did; exits with 1 if an echo was wrong or a connection failed. --hold:
// keeps the connections after the rounds until the server closes them; it prints "holding" then.
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include <chrono>
#include <exception>
#include <span>
#include <string>
#include <system_error>
#include <vector>

#include "runtime/event.h"
#include "runtime/run.h"
#include "runtime/semaphore.h"
#include "runtime/sleep.h"
#include "runtime/spawn.h"
#include "runtime/stream.h"

namespace {

struct Settings {
  std::string host = "127.0.0.1";
  uint16_t port = 7007;
  int connections = 100;
  int rounds = 10;
  int bytes = 64;
  int resets = 0;
  int half_closes = 0;
  int stalls = 0;
  bool hold = false;
};

struct Shared {
  explicit Shared(const Settings& the_settings) : settings(the_settings) {}
  const Settings& settings;
  loopsan::Semaphore connecting{256};  // at a time
  loopsan::Event all_connected;
  loopsan::Event all_done;
  int open = 0;
  int busy = 0;
  long echoes = 0;
  int failures = 0;

  void Connected() {
    if (++open == settings.connections) all_connected.Set();
  }
  void Done() {
    if (--busy == 0) all_done.Set();
  }
};

enum class Manner { kGood, kResets, kHalfCloses, kStalls };

loopsan::Task<loopsan::TcpStream> Connect(Shared& shared) {
  const loopsan::SemaphorePermit permit = co_await shared.connecting.Acquire();
  loopsan::TcpStream stream =
      co_await loopsan::OpenConnection(shared.settings.host, shared.settings.port);
  co_return stream;
}

loopsan::Task<> Rounds(loopsan::TcpStream& stream, Shared& shared, int number) {
  std::string sent(static_cast<size_t>(shared.settings.bytes),
                   static_cast<char>('a' + number % 26));
  for (int i = 0; i < shared.settings.rounds; ++i) {
    co_await stream.WriteAll(sent);
    const std::string got = co_await stream.ReadExactly(sent.size());
    if (got != sent) throw std::runtime_error("the echo is not what was sent");
    ++shared.echoes;
  }
}

loopsan::Task<> Behave(loopsan::TcpStream& stream, Shared& shared, int number, Manner manner) {
  if (manner == Manner::kStalls) {
    // More than the kernel holds; nothing is read.
    const std::string much(64 * 1024, 's');
    for (int i = 0; i < 64; ++i) stream.Write(much);
    co_return;
  }
  co_await Rounds(stream, shared, number);
  if (manner == Manner::kResets) {
    stream.Write("you will not be able to answer this");
    const linger at_once{.l_onoff = 1, .l_linger = 0};
    setsockopt(stream.descriptor(), SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    stream.Abort();
  } else if (manner == Manner::kHalfCloses) {
    const std::string last(100'000, 'h');
    stream.Write(last);
    stream.WriteEof();
    const std::string rest = co_await stream.ReadAll();
    if (rest != last) throw std::runtime_error("the half-closed connection lost bytes");
  }
}

loopsan::Task<> Client(Shared& shared, int number, Manner manner) {
  loopsan::TcpStream stream;
  std::string failure;
  try {
    stream = co_await Connect(shared);
    shared.Connected();
    co_await shared.all_connected.Wait();
    co_await Behave(stream, shared, number, manner);
  } catch (const std::exception& error) {
    failure = error.what();
  }
  if (!failure.empty()) {
    if (shared.failures++ == 0) fprintf(stderr, "echo_load: %s\n", failure.c_str());
    shared.all_connected.Set();  // or the others would wait for ever
  }
  shared.Done();
  const bool stays = shared.settings.hold || manner == Manner::kStalls;
  if (stays && failure.empty() && !stream.is_closing()) {
    co_await shared.all_done.Wait();
    try {
      // The end, by whatever way the server takes.
      if (shared.settings.hold && manner == Manner::kGood) co_await stream.ReadAll();
    } catch (const std::system_error&) {
    }
  }
  if (stream.valid()) stream.Abort();
}

double Seconds(loopsan::Duration duration) {
  return std::chrono::duration<double>(duration).count();
}

loopsan::Task<int> Main(Settings settings) {
  loopsan::EventLoop& loop = loopsan::EventLoop::Running();
  Shared shared(settings);
  shared.busy = settings.connections;
  std::vector<loopsan::TaskHandle<>> clients;
  const loopsan::Time start = loop.Now();
  for (int i = 0; i < settings.connections; ++i) {
    Manner manner = Manner::kGood;
    if (i < settings.resets) {
      manner = Manner::kResets;
    } else if (i < settings.resets + settings.half_closes) {
      manner = Manner::kHalfCloses;
    } else if (i < settings.resets + settings.half_closes + settings.stalls) {
      manner = Manner::kStalls;
    }
    clients.push_back(loopsan::Spawn(Client(shared, i, manner)));
  }
  co_await shared.all_connected.Wait();
  const loopsan::Time connected = loop.Now();
  co_await shared.all_done.Wait();
  const loopsan::Time done = loop.Now();
  printf("%d connections in %.3f s, %ld echoes in %.3f s, %d failures\n", settings.connections,
         Seconds(connected - start), shared.echoes, Seconds(done - connected), shared.failures);
  if (settings.hold) puts("holding");
  fflush(stdout);
  for (loopsan::TaskHandle<>& client : clients) co_await client;
  co_return shared.failures == 0 ? 0 : 1;
}

[[noreturn]] void Usage(int status) {
  fputs(
      "usage: echo_load [--host HOST] [--port PORT] [--connections N] [--rounds N]\n"
      "                 [--bytes N] [--resets N] [--half-closes N] [--stalls N] [--hold]\n"
      "  --connections N  held at the same time (100)\n"
      "  --rounds N       echoes on each (10)\n"
      "  --bytes N        in each echo (64)\n"
      "  --resets N       of them reset after their rounds\n"
      "  --half-closes N  of them end their writing and then read\n"
      "  --stalls N       of them send 4 MiB and read nothing\n"
      "  --hold           stay until the server closes\n",
      status == 0 ? stdout : stderr);
  exit(status);
}

Settings Parse(std::span<char*> arguments) {
  Settings settings;
  for (size_t i = 1; i < arguments.size(); ++i) {
    const std::string name = arguments[i];
    if (name == "--help") Usage(0);
    if (name == "--hold") {
      settings.hold = true;
      continue;
    }
    if (i + 1 == arguments.size()) Usage(2);
    const char* const value = arguments[++i];
    if (name == "--host") {
      settings.host = value;
    } else if (name == "--port") {
      settings.port = static_cast<uint16_t>(atoi(value));
    } else if (name == "--connections") {
      settings.connections = atoi(value);
    } else if (name == "--rounds") {
      settings.rounds = atoi(value);
    } else if (name == "--bytes") {
      settings.bytes = atoi(value);
    } else if (name == "--resets") {
      settings.resets = atoi(value);
    } else if (name == "--half-closes") {
      settings.half_closes = atoi(value);
    } else if (name == "--stalls") {
      settings.stalls = atoi(value);
    } else {
      Usage(2);
    }
  }
  return settings;
}

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
    fprintf(stderr, "echo_load: %s\n", error.what());
    return 1;
  }
}
