// Intent: a chat server whose parts live in both worlds. Connections are coroutines on one
// loop. The archive is blocking code, as a client library of a database would be, and takes 50
// ms for a message; the console is blocking code that asks the loop. Both cross over through
// the bridge: SyncToAsync() gives blocking code a thread, AsyncToSync() brings it back.
//
//   chat_server [--port PORT] [--archive bridge|direct|off] [--console]
//
// Clients send "join ROOM NAME", are told "joined", and from then on every line they send
// goes to all in the room as "NAME: line". With --archive=direct the archive is called on the loop
// itself, which is the mistake that loopsan is for: `loopsan run -- chat_server --archive direct`.
//
// Prints "listening on HOST:PORT" when it is ready; at the end how late the loop was.
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <exception>
#include <span>
#include <string>
#include <system_error>
#include <thread>
#include <vector>

#include "channel_layer.h"
#include "runtime/async_to_sync.h"
#include "runtime/event.h"
#include "runtime/run.h"
#include "runtime/server.h"
#include "runtime/sleep.h"
#include "runtime/stream.h"
#include "runtime/sync_to_async.h"

namespace chat {
namespace {

using loopsan::AsyncToSync, loopsan::SyncToAsync, loopsan::Task, loopsan::TaskHandle;
using namespace std::chrono_literals;

constexpr size_t kChannelCapacity = 1000;
constexpr char kArchiveChannel[] = "archive";

enum class ArchiveMode { kBridge, kDirect, kOff };

struct Settings {
  uint16_t port = 7008;
  ArchiveMode archive = ArchiveMode::kBridge;
  bool console = false;
};

// ---- the archive: blocking code -----------------------------------------------------

class Archive {
 public:
  // Takes its time, on whatever thread it is called.
  void Store(const Message& message) {
    std::this_thread::sleep_for(50ms);
    bytes_ += message.text.size();
    ++stored_;
  }
  unsigned long stored() const { return stored_; }

 private:
  unsigned long stored_ = 0;
  unsigned long bytes_ = 0;
};

Task<> KeepArchive(ChannelLayer& layer, Archive& archive, ArchiveMode mode) {
  const auto store = SyncToAsync(&Archive::Store);
  while (true) {
    Message message = co_await layer.Receive(kArchiveChannel);
    if (mode == ArchiveMode::kDirect) {
      archive.Store(message);  // BLOCK: archive
    } else {
      co_await store(&archive, std::move(message));
    }
  }
}

// ---- the console: blocking code that asks the loop ------------------------------------

class Console {
 public:
  explicit Console(ChannelLayer& layer) : layer_(layer), stop_(eventfd(0, EFD_CLOEXEC)) {}
  Console(const Console&) = delete;
  Console& operator=(const Console&) = delete;
  ~Console() { close(stop_); }

  // Reads commands until the input ends, or Stop().
  void Run() {
    std::string line;
    while (ReadLine(line)) Execute(line);
  }
  void Stop() const {
    const uint64_t one = 1;
    if (write(stop_, &one, sizeof one) != sizeof one) abort();
  }

 private:
  void Execute(const std::string& line) {
    if (line == "rooms") {
      const auto groups = AsyncToSync(&ChannelLayer::Groups)(&layer_);
      for (const auto& [room, members] : groups) printf("%s: %zu\n", room.c_str(), members);
    } else if (line.starts_with("say ") && line.find(' ', 4) != std::string::npos) {
      const size_t space = line.find(' ', 4);
      const std::string room = line.substr(4, space - 4);
      const Message message{room, "admin", line.substr(space + 1)};
      const size_t heard = AsyncToSync(&ChannelLayer::GroupSend)(&layer_, room, message);
      printf("%zu heard it\n", heard);
    } else {
      puts("commands: rooms, say ROOM TEXT");
    }
    fflush(stdout);
  }

  bool ReadLine(std::string& line) {
    for (;;) {
      if (const size_t end = input_.find('\n'); end != std::string::npos) {
        line = input_.substr(0, end);
        input_.erase(0, end + 1);
        return true;
      }
      pollfd sources[] = {{STDIN_FILENO, POLLIN, 0}, {stop_, POLLIN, 0}};
      if (poll(sources, 2, -1) < 0 || sources[1].revents != 0) return false;
      char buffer[4096];
      const ssize_t bytes = read(STDIN_FILENO, buffer, sizeof buffer);
      if (bytes <= 0) return false;
      input_.append(buffer, static_cast<size_t>(bytes));
    }
  }

  ChannelLayer& layer_;
  const int stop_;
  std::string input_;
};

// ---- the connections: coroutines ------------------------------------------------------

struct Counts {
  unsigned long connections = 0;
  unsigned long messages = 0;
  unsigned long not_archived = 0;
};

struct Chat {
  InMemoryChannelLayer layer{kChannelCapacity};
  Counts counts;
  ArchiveMode archive = ArchiveMode::kBridge;
};

std::string WithoutNewline(std::string line) {
  while (line.ends_with('\n') || line.ends_with('\r')) line.pop_back();
  return line;
}

// What others say, to the client.
Task<> Forward(ChannelLayer& layer, std::string channel, loopsan::TcpStream& stream) {
  while (true) {
    const Message message = co_await layer.Receive(channel);
    stream.Write(message.from + ": " + message.text + "\n");
    co_await stream.Drain();
  }
}

// What the client says, to all in the room.
Task<> Listen(Chat& chat, loopsan::TcpStream& stream, std::string room, std::string name) {
  while (true) {
    std::string line = co_await stream.ReadLine();
    if (line.empty()) co_return;
    Message message{room, name, WithoutNewline(std::move(line))};
    ++chat.counts.messages;
    if (chat.archive != ArchiveMode::kOff) {
      try {
        co_await chat.layer.Send(kArchiveChannel, message);
      } catch (const ChannelFull&) {
        ++chat.counts.not_archived;
      }
    }
    co_await chat.layer.GroupSend(room, std::move(message));
  }
}

Task<> Converse(Chat& chat, loopsan::TcpStream& stream, std::string room, std::string name) {
  const std::string channel = "client." + std::to_string(++chat.counts.connections);
  co_await chat.layer.GroupAdd(room, channel);
  stream.Write("joined\n");
  TaskHandle<> forwarding = Spawn(Forward(chat.layer, channel, stream), "forward");
  std::exception_ptr failure;
  try {
    co_await Listen(chat, stream, room, std::move(name));
  } catch (...) {
    failure = std::current_exception();
  }
  forwarding.Cancel();
  try {
    co_await forwarding;
  } catch (const loopsan::CancelledError&) {
  } catch (const std::system_error&) {
  }
  co_await chat.layer.GroupDiscard(room, channel);
  co_await chat.layer.Close(channel);
  if (failure) std::rethrow_exception(failure);
}

Task<> Serve(Chat& chat, loopsan::TcpStream stream) {
  try {
    const std::string line = co_await stream.ReadLine();
    const std::string hello = WithoutNewline(line);
    const size_t space = hello.find(' ', 5);
    if (hello.starts_with("join ") && space != std::string::npos) {
      co_await Converse(chat, stream, hello.substr(5, space - 5), hello.substr(space + 1));
    } else {
      stream.Write("say: join ROOM NAME\n");
    }
  } catch (const std::system_error&) {
    // It has hung up.
  } catch (const loopsan::LimitOverrunError&) {
    stream.Write("that line was too long\n");
  }
  stream.Close();
}

// ---- how late the loop is --------------------------------------------------------------

class Lag {
 public:
  Task<> Measure() {
    loopsan::EventLoop& loop = loopsan::EventLoop::Running();
    while (true) {
      const loopsan::Time due = loop.Now() + 5ms;
      co_await loopsan::SleepUntil(due);
      late_.push_back(loop.Now() - due);
    }
  }
  void Print() {
    if (late_.empty()) return;
    std::sort(late_.begin(), late_.end());
    const auto milliseconds = [](loopsan::Duration lag) {
      return std::chrono::duration<double, std::milli>(lag).count();
    };
    printf("the loop was late by %.1f ms at the median, %.1f ms at p99, %.1f ms at worst\n",
           milliseconds(late_[late_.size() / 2]), milliseconds(late_[late_.size() * 99 / 100]),
           milliseconds(late_.back()));
  }

 private:
  std::vector<loopsan::Duration> late_;
};

// ---- all of it -------------------------------------------------------------------------

Task<> End(TaskHandle<> task) {
  task.Cancel();
  try {
    co_await task;
  } catch (const loopsan::CancelledError&) {
  }
}

Task<int> Main(Settings settings) {
  loopsan::EventLoop& loop = loopsan::EventLoop::Running();
  loopsan::Event stop;
  for (const int signal : {SIGTERM, SIGINT}) {
    loop.AddSignalHandler(signal, [&stop] { stop.Set(); });
  }

  Chat chat;
  chat.archive = settings.archive;
  Archive archive;
  Console console(chat.layer);
  Lag lag;
  const auto serve = [&chat](loopsan::TcpStream stream) { return Serve(chat, std::move(stream)); };
  loopsan::ServerOptions options;
  options.backlog = 4096;
  options.name = "client";
  loopsan::Server server =
      co_await loopsan::StartServer(serve, "127.0.0.1", settings.port, options);
  TaskHandle<> keeping = Spawn(KeepArchive(chat.layer, archive, settings.archive), "archive");
  TaskHandle<> measuring = Spawn(lag.Measure(), "lag");
  // A thread of its own: it waits for people.
  const auto run_console = SyncToAsync(&Console::Run, {.thread_sensitive = false});
  TaskHandle<> commanding;
  if (settings.console) commanding = Spawn(run_console(&console), "console");
  printf("listening on %s\n", server.addresses().front().ToString().c_str());
  fflush(stdout);

  co_await stop.Wait();
  server.Close();
  server.CloseClients();
  console.Stop();
  if (commanding.valid()) co_await commanding;
  co_await server.WaitClosed();
  co_await End(std::move(measuring));
  co_await End(std::move(keeping));
  for (const int signal : {SIGTERM, SIGINT}) loop.RemoveSignalHandler(signal);

  printf("%lu connections, %lu messages, %lu of them archived\n", chat.counts.connections,
         chat.counts.messages, archive.stored());
  lag.Print();
  co_return 0;
}

[[noreturn]] void Usage(int status) {
  fputs(
      "usage: chat_server [--port PORT] [--archive MODE] [--console]\n"
      "  --port PORT     0: one that is free (7008)\n"
      "  --archive MODE  bridge: on a thread; direct: on the loop, wrongly; off (bridge)\n"
      "  --console       read commands from standard input: rooms, say ROOM TEXT\n",
      status == 0 ? stdout : stderr);
  exit(status);
}

Settings Parse(std::span<char*> arguments) {
  Settings settings;
  for (size_t i = 1; i < arguments.size(); ++i) {
    const std::string name = arguments[i];
    if (name == "--help") Usage(0);
    if (name == "--console") {
      settings.console = true;
      continue;
    }
    if (i + 1 == arguments.size()) Usage(2);
    const std::string value = arguments[++i];
    if (name == "--port") {
      settings.port = static_cast<uint16_t>(atoi(value.c_str()));
    } else if (name == "--archive" && value == "bridge") {
      settings.archive = ArchiveMode::kBridge;
    } else if (name == "--archive" && value == "direct") {
      settings.archive = ArchiveMode::kDirect;
    } else if (name == "--archive" && value == "off") {
      settings.archive = ArchiveMode::kOff;
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
}  // namespace chat

int main(int argc, char** argv) {
  const chat::Settings settings = chat::Parse({argv, static_cast<size_t>(argc)});
  chat::RaiseDescriptorLimit();
  try {
    return loopsan::Run(chat::Main(settings));
  } catch (const std::exception& error) {
    fprintf(stderr, "chat_server: %s\n", error.what());
    return 1;
  }
}
