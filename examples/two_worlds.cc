// Intent: the two worlds, blocking and asynchronous, and the four ways to call from one into
// the other: docs/two-worlds.md is about this program, and quotes it and what it prints.
//
//   build/bin/two_worlds
//   build/bin/loopsan run -- build/bin/two_worlds
#include <stdio.h>

#include <chrono>
#include <exception>
#include <string>
#include <thread>

#include "runtime/async_to_sync.h"
#include "runtime/run.h"
#include "runtime/sleep.h"
#include "runtime/sync_to_async.h"

using loopsan::AsyncToSync, loopsan::SyncToAsync, loopsan::Task, loopsan::TaskHandle;
using namespace std::chrono_literals;

namespace {

// Blocks, as a database driver does: the thread can do nothing else meanwhile.
std::string LoadChatId(const std::string& name) {
  std::this_thread::sleep_for(150ms);
  return "chat-" + name;
}

// Waits without blocking: while it waits, the loop runs others.
Task<std::string> FetchChatId(std::string name) {
  co_await loopsan::SleepFor(150ms);
  co_return "chat-" + name;
}

// Blocks nothing: it only computes, and not for long.
std::string FormatChatId(const std::string& name) { return "chat-" + name; }

void Say(const char* call, const std::string& result) {
  printf("%-44s %s\n", call, result.c_str());
  fflush(stdout);
}

// The rest of the program: it beats as long as the loop lets it.
class Heart {
 public:
  Task<> Beat() {
    while (true) {
      co_await loopsan::SleepFor(5ms);
      ++beats_;
    }
  }
  // How it was since the last question.
  std::string Ask() { return std::exchange(beats_, 0) > 0 ? "went on" : "stood still"; }

 private:
  int beats_ = 0;
};

// Sync from sync: a call.
void SyncFromSync() { Say("LoadChatId(\"django\")", LoadChatId("django")); }

// Async from async: an await.
Task<> AsyncFromAsync(Heart& heart) {
  const std::string id = co_await FetchChatId("django");
  Say("co_await FetchChatId(\"django\")", id + ", and the rest " + heart.Ask());
}

// A coroutine that nobody awaits has not begun, and never will.
Task<> Forgotten() {
  {
    const Task<std::string> forgotten = FetchChatId("django");
  }
  Say("FetchChatId(\"django\"), and no co_await", "nothing happened");
  co_return;
}

// Sync from async, wrong: the compiler is content, and everybody else waits.
Task<> SyncFromAsyncWrong(Heart& heart) {
  co_await loopsan::SleepFor(20ms);
  heart.Ask();
  const std::string id = LoadChatId("django");
  Say("LoadChatId(\"django\") in a coroutine", id + ", but the rest " + heart.Ask());
}

// Sync from async, harmless: nothing in it waits.
Task<> SyncFromAsyncHarmless() {
  const std::string id = FormatChatId("django");
  Say("FormatChatId(\"django\") in a coroutine", id);
  co_return;
}

// Sync from async, right: a thread waits, the loop goes on.
constexpr auto LoadChatIdAsync = SyncToAsync<&LoadChatId>();

Task<> SyncFromAsyncRight(Heart& heart) {
  const std::string id = co_await LoadChatIdAsync("django");
  Say("co_await LoadChatIdAsync(\"django\")", id + ", and the rest " + heart.Ask());
}

// Async from sync, wrong: this thread cannot wait for the loop that it runs itself.
constexpr auto FetchChatIdNow = AsyncToSync<&FetchChatId>();

Task<> AsyncFromSyncWrong() {
  try {
    FetchChatIdNow("django");
  } catch (const loopsan::UsageError& error) {
    Say("FetchChatIdNow(\"django\") in a coroutine", "refused:");
    printf("    %s\n", error.what());
  }
  co_return;
}

// Async from sync, right: a blocking function asks the loop that it was called from.
std::string Describe(const std::string& name) { return FetchChatIdNow(name) + " (described)"; }

Task<> AsyncFromSyncOnAThread(Heart& heart) {
  const auto describe = SyncToAsync(Describe);
  const std::string text = co_await describe("django");
  Say("co_await describe(\"django\")", text + ", and the rest " + heart.Ask());
}

Task<> Main() {
  Heart heart;
  const TaskHandle<> beating = Spawn(heart.Beat(), "heart");
  co_await AsyncFromAsync(heart);
  co_await Forgotten();
  co_await SyncFromAsyncWrong(heart);
  co_await SyncFromAsyncHarmless();
  co_await SyncFromAsyncRight(heart);
  co_await AsyncFromSyncWrong();
  co_await AsyncFromSyncOnAThread(heart);
}

}  // namespace

int main() {
  SyncFromSync();
  loopsan::Run(Main());  // into the async world, until it ends
  Say("FetchChatIdNow(\"django\")", FetchChatIdNow("django"));
}
