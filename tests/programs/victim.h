// The part of a victim that does not depend on its event loop. A victim's Loop
// has four members, used on the loop thread only:
//
//   void OnReadable(int fd, std::function<void()>);  // every time, from now on
//   void After(std::chrono::milliseconds, std::function<void()>);  // once
//   void Run();   // until Stop(); may be called again
//   void Stop();
//
// Usage of the program: victim DIRECTORY SCENARIO. A scenario is
//
//   none             harmless work only
//   NAME             a row of kScenarios, on the loop, twice, in two turns
//   NAME@worker      the same on another thread while the loop does harmless work
//   all@worker       all of them at once, each on a thread of its own
//   run_compute_run  two runs of the loop with a second of work between them
//   hang_cpu, hang_read  a step that never ends
//   killed           sleep_for on the loop, then SIGKILL
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "tests/programs/scenarios.h"

namespace victim {

// Round trips of one byte over a socket pair, each two turns of the loop, with
// a timer now and then.
template <typename Loop>
class HarmlessWork {
 public:
  explicit HarmlessWork(Loop& loop) : loop_(loop) {
    Require(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds_) == 0,
            "socketpair");
    loop_.OnReadable(fds_[1], [this] {
      Receive(fds_[1]);
      Send(fds_[1]);
    });
    loop_.OnReadable(fds_[0], [this] {
      Receive(fds_[0]);
      FinishRoundTrip();
    });
  }

  // `then` is called on the loop.
  void RoundTrips(int count, std::function<void()> then) {
    left_ = count;
    then_ = std::move(then);
    Send(fds_[0]);
  }

 private:
  void Send(int fd) { Require(write(fd, "x", 1) == 1, "write"); }
  void Receive(int fd) {
    char byte;
    Require(read(fd, &byte, 1) == 1, "read");
  }
  void FinishRoundTrip() {
    if (--left_ == 0) {
      ParseNumericAddress();
      loop_.After(2ms, std::move(then_));
    } else if (left_ % 10 == 0) {
      loop_.After(1ms, [this] { Send(fds_[0]); });
    } else {
      Send(fds_[0]);
    }
  }

  Loop& loop_;
  int fds_[2];
  int left_ = 0;
  std::function<void()> then_;
};

template <typename Loop>
class Victim {
 public:
  explicit Victim(std::string directory) : directory_(std::move(directory)), work_(loop_) {}

  bool Play(const std::string& name) {
    const size_t at = name.find("@worker");
    if (name == "none") {
      work_.RoundTrips(200, [this] { loop_.Stop(); });
      loop_.Run();
    } else if (name == "run_compute_run") {
      RunComputeRun();
    } else if (name == "hang_cpu") {
      Hang(HangInCpu);
    } else if (name == "hang_read") {
      Hang(HangInRead);
    } else if (name == "killed") {
      BeKilledAfterSleeping();
    } else if (at != std::string::npos) {
      return PlayOnWorkers(name.substr(0, at));
    } else {
      return PlayOnLoop(name);
    }
    return true;
  }

 private:
  Stage& NewStage(void (*prepare)(Stage&)) {
    Stage& stage = *stages_.emplace_back(std::make_unique<Stage>());
    stage.directory = directory_;
    prepare(stage);
    return stage;
  }

  void JoinHelpers() {
    for (auto& stage : stages_) {
      if (stage->helper.joinable()) stage->helper.join();
    }
  }

  bool PlayOnLoop(const std::string& name) {
    const Scenario* scenario = FindScenario(name);
    if (scenario == nullptr) return false;
    Stage& first = NewStage(scenario->prepare);
    Stage& second = NewStage(scenario->prepare);
    work_.RoundTrips(100, [&] {
      scenario->start(first);
      scenario->direct(first);
      work_.RoundTrips(50, [&] {
        scenario->start(second);
        scenario->inlined(second);
        work_.RoundTrips(50, [&] { loop_.Stop(); });
      });
    });
    loop_.Run();
    JoinHelpers();
    return true;
  }

  bool PlayOnWorkers(const std::string& name) {
    std::vector<std::thread> workers;
    std::atomic<int> running{0};
    for (const Scenario& scenario : kScenarios) {
      if (name != scenario.name && name != "all") continue;
      Stage& first = NewStage(scenario.prepare);
      Stage& second = NewStage(scenario.prepare);
      ++running;
      workers.emplace_back([&scenario, &first, &second, &running] {
        scenario.start(first);
        scenario.direct(first);
        scenario.start(second);
        scenario.inlined(second);
        --running;
      });
    }
    if (workers.empty()) return false;
    WorkWhile([&running] { return running > 0; });
    loop_.Run();
    for (std::thread& worker : workers) worker.join();
    JoinHelpers();
    return true;
  }

  void WorkWhile(std::function<bool()> condition) {
    work_.RoundTrips(20, [this, condition = std::move(condition)] {
      if (condition()) {
        WorkWhile(condition);
      } else {
        loop_.Stop();
      }
    });
  }

  void RunComputeRun() {
    Stage& stage = NewStage(Nothing);
    work_.RoundTrips(100, [this] { loop_.Stop(); });
    loop_.Run();
    ComputeForASecond(stage);
    work_.RoundTrips(100, [this] { loop_.Stop(); });
    loop_.Run();
  }

  void Hang(void (*hang)(Stage&)) {
    Stage& stage = NewStage([](Stage& made) {
      int fds[2];
      Require(pipe2(fds, O_CLOEXEC) == 0, "pipe2");
      made.fd = fds[0];  // the other end stays open and silent
    });
    work_.RoundTrips(100, [&stage, hang] {
      AnnounceHang();
      hang(stage);
    });
    loop_.Run();
  }

  void BeKilledAfterSleeping() {
    Stage& stage = NewStage(Nothing);
    work_.RoundTrips(100, [&] {
      SleepForDirect(stage);
      work_.RoundTrips(1, [] { raise(SIGKILL); });
    });
    loop_.Run();
  }

  std::string directory_;
  Loop loop_;
  HarmlessWork<Loop> work_;
  std::vector<std::unique_ptr<Stage>> stages_;
};

template <typename Loop>
int VictimMain(int argc, char** argv) {
  if (argc != 3) {
    std::fprintf(stderr, "usage: %s DIRECTORY SCENARIO\n", argv[0]);
    return 2;
  }
  Victim<Loop> victim(argv[1]);
  if (!victim.Play(argv[2])) {
    std::fprintf(stderr, "%s: no scenario %s\n", argv[0], argv[2]);
    return 2;
  }
  std::printf("%s: done\n", argv[2]);
  return 0;
}

}  // namespace victim
