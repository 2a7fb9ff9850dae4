// Intent: a TCP server that sends back what it gets, written with loopsan's public
// headers only. It holds many thousands of connections on one loop; peers may reset,
// half-close or stall. SIGTERM and SIGINT end it within a second.
//
//   echo_server [--host HOST] [--port PORT] [--grace SECONDS]
//
// It prints "listening on HOST:PORT" when it is ready, and how many connections it
// served when it ends.
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include <chrono>
#include <exception>
#include <span>
#include <string>
#include <system_error>
#include <vector>

#include "runtime/event.h"
#include "runtime/run.h"
#include "runtime/server.h"
#include "runtime/sleep.h"
#include "runtime/stream.h"

namespace {

struct Settings {
  std::string host = "127.0.0.1";
  uint16_t port = 7007;
  std::chrono::milliseconds grace{500};
};

struct Counts {
  unsigned long connections = 0;
  unsigned long resets = 0;
  unsigned long bytes = 0;
};

loopsan::Task<> Echo(loopsan::TcpStream stream, Counts& counts) {
  ++counts.connections;
  try {
    while (true) {
      const std::string bytes = co_await stream.Read();
      if (bytes.empty()) break;  // the peer sends no more; what is not sent yet still goes out
      counts.bytes += bytes.size();
      stream.Write(bytes);
      co_await stream.Drain();
    }
  } catch (const std::system_error&) {
    ++counts.resets;
  }
  stream.Close();
}

loopsan::Task<int> Main(Settings settings) {
  loopsan::EventLoop& loop = loopsan::EventLoop::Running();
  loopsan::Event stop;
  for (const int signal : {SIGTERM, SIGINT}) {
    loop.AddSignalHandler(signal, [&stop] { stop.Set(); });
  }

  Counts counts;
  const auto echo = [&counts](loopsan::TcpStream stream) {
    return Echo(std::move(stream), counts);
  };
  loopsan::ServerOptions options;
  options.backlog = 4096;
  options.name = "echo";
  loopsan::Server server =
      co_await loopsan::StartServer(echo, settings.host, settings.port, options);
  printf("listening on %s\n", server.addresses().front().ToString().c_str());
  fflush(stdout);

  co_await stop.Wait();
  server.Close();
  // Who has everything it asked for goes at once; who does not read gets some time.
  server.CloseClients();
  const auto deadline = loop.Now() + settings.grace;
  while (server.connections() != 0 && loop.Now() < deadline) {
    co_await loopsan::SleepFor(std::chrono::milliseconds(10));
  }
  server.AbortClients();
  co_await server.WaitClosed();

  for (const int signal : {SIGTERM, SIGINT}) loop.RemoveSignalHandler(signal);
  printf("served %lu connections, %lu bytes, %lu resets\n", counts.connections, counts.bytes,
         counts.resets);
  co_return 0;
}

[[noreturn]] void Usage(int status) {
  fputs(
      "usage: echo_server [--host HOST] [--port PORT] [--grace SECONDS]\n"
      "  --host HOST      address to listen on (127.0.0.1)\n"
      "  --port PORT      0: one that is free (7007)\n"
      "  --grace SECONDS  at the end, for peers that do not read (0.5)\n",
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
    if (name == "--host") {
      settings.host = value;
    } else if (name == "--port") {
      settings.port = static_cast<uint16_t>(atoi(value));
    } else if (name == "--grace") {
      settings.grace = std::chrono::milliseconds(static_cast<long>(atof(value) * 1e3));
    } else {
      Usage(2);
    }
  }
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
    fprintf(stderr, "echo_server: %s\n", error.what());
    return 1;
  }
}
