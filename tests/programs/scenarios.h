// What the victims do on their loop, each thing twice: once from a line of a
// function of its own, once through a helper that the compiler has inlined.
// Tests find the lines by their BLOCK comments.
#pragma once

#include <fcntl.h>
#include <netdb.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace victim {

using namespace std::chrono_literals;

#define VICTIM_FUNCTION [[gnu::noinline]] inline
#define VICTIM_INLINED [[gnu::always_inline]] inline

// A victim that does not do what its name says would make a test pass for the
// wrong reason.
inline void Require(bool condition, const char* what) {
  if (condition) return;
  std::perror(what);
  std::abort();
}

// What one use of a scenario works on.
struct Stage {
  std::string directory;
  std::string path;
  int fd = -1;
  std::mutex mutex;
  std::thread helper;
  std::atomic<bool> helper_is_ready{false};
  volatile uint64_t sum = 1;
};

inline double ThreadCpuSeconds() {
  timespec now;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

inline void SleepInHelper() {
  const timespec duration{0, 200'000'000};
  Require(nanosleep(&duration, nullptr) == 0, "nanosleep");
}

VICTIM_FUNCTION void SleepForDirect(Stage&) {
  std::this_thread::sleep_for(200ms);  // BLOCK: sleep_for.direct
}
VICTIM_INLINED void SleepForInlined() {
  std::this_thread::sleep_for(200ms);  // BLOCK: sleep_for.inlined
}
VICTIM_FUNCTION void SleepForCaller(Stage&) {
  SleepForInlined();  // BLOCK: sleep_for.caller
}

VICTIM_FUNCTION void GetaddrinfoDirect(Stage&) {
  addrinfo* addresses = nullptr;
  const int error =
      getaddrinfo("localhost", "80", nullptr, &addresses);  // BLOCK: getaddrinfo.direct
  Require(error == 0, "getaddrinfo");
  freeaddrinfo(addresses);
}
VICTIM_INLINED void GetaddrinfoInlined() {
  addrinfo* addresses = nullptr;
  const int error =
      getaddrinfo("localhost", "81", nullptr, &addresses);  // BLOCK: getaddrinfo.inlined
  Require(error == 0, "getaddrinfo");
  freeaddrinfo(addresses);
}
VICTIM_FUNCTION void GetaddrinfoCaller(Stage&) {
  GetaddrinfoInlined();  // BLOCK: getaddrinfo.caller
}

// Another thread takes the mutex and keeps it for 0.2 s.
inline void StartMutexHolder(Stage& stage) {
  stage.helper = std::thread([&stage] {
    std::lock_guard lock(stage.mutex);
    stage.helper_is_ready = true;
    SleepInHelper();
  });
  while (!stage.helper_is_ready) sched_yield();
}
VICTIM_FUNCTION void MutexDirect(Stage& stage) {
  std::lock_guard lock(stage.mutex);  // BLOCK: mutex.direct
  stage.sum = stage.sum + 1;
}
VICTIM_INLINED void MutexInlined(Stage& stage) {
  std::lock_guard lock(stage.mutex);  // BLOCK: mutex.inlined
  stage.sum = stage.sum + 1;
}
VICTIM_FUNCTION void MutexCaller(Stage& stage) {
  MutexInlined(stage);  // BLOCK: mutex.caller
}

inline void WriteDirtyFile(Stage& stage) {
  stage.path = stage.directory + "/dirty-" + std::to_string(reinterpret_cast<uintptr_t>(&stage));
  stage.fd = open(stage.path.c_str(), O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0600);
  Require(stage.fd >= 0, "open");
  const std::vector<char> block(1 << 20, 'x');
  for (int i = 0; i < 32; ++i) {
    Require(write(stage.fd, block.data(), block.size()) == static_cast<ssize_t>(block.size()),
            "write");
  }
}
VICTIM_FUNCTION void FsyncDirect(Stage& stage) {
  const int result = fsync(stage.fd);  // BLOCK: fsync.direct
  Require(result == 0, "fsync");
}
VICTIM_INLINED void FsyncInlined(Stage& stage) {
  const int result = fsync(stage.fd);  // BLOCK: fsync.inlined
  Require(result == 0, "fsync");
}
VICTIM_FUNCTION void FsyncCaller(Stage& stage) {
  FsyncInlined(stage);  // BLOCK: fsync.caller
}

inline void MakeFifo(Stage& stage) {
  stage.path = stage.directory + "/fifo-" + std::to_string(reinterpret_cast<uintptr_t>(&stage));
  Require(mkfifo(stage.path.c_str(), 0600) == 0, "mkfifo");
}
inline void StartFifoWriter(Stage& stage) {
  stage.helper = std::thread([&stage] {
    SleepInHelper();
    const int fd = open(stage.path.c_str(), O_WRONLY | O_CLOEXEC);
    Require(fd >= 0 && write(fd, "line\n", 5) == 5, "fifo");
    close(fd);
  });
}
inline void ReadLine(std::istream& in) {
  std::string line;
  Require(static_cast<bool>(std::getline(in, line)) && line == "line", "getline");
}
VICTIM_FUNCTION void IfstreamFifoDirect(Stage& stage) {
  std::ifstream in(stage.path);  // BLOCK: ifstream_fifo.direct
  ReadLine(in);
}
VICTIM_INLINED void IfstreamFifoInlined(Stage& stage) {
  std::ifstream in(stage.path);  // BLOCK: ifstream_fifo.inlined
  ReadLine(in);
}
VICTIM_FUNCTION void IfstreamFifoCaller(Stage& stage) {
  IfstreamFifoInlined(stage);  // BLOCK: ifstream_fifo.caller
}

inline void StartSleepingThread(Stage& stage) { stage.helper = std::thread(SleepInHelper); }
VICTIM_FUNCTION void JoinDirect(Stage& stage) {
  stage.helper.join();  // BLOCK: join.direct
  stage.sum = stage.sum + 1;
}
VICTIM_INLINED void JoinInlined(Stage& stage) {
  stage.helper.join();  // BLOCK: join.inlined
  stage.sum = stage.sum + 1;
}
VICTIM_FUNCTION void JoinCaller(Stage& stage) {
  JoinInlined(stage);  // BLOCK: join.caller
}

VICTIM_FUNCTION void SystemDirect(Stage&) {
  const int status = system("sleep 0.2");  // BLOCK: system.direct
  Require(status == 0, "system");
}
VICTIM_INLINED void SystemInlined() {
  const int status = system("sleep 0.2");  // BLOCK: system.inlined
  Require(status == 0, "system");
}
VICTIM_FUNCTION void SystemCaller(Stage&) {
  SystemInlined();  // BLOCK: system.caller
}

// CPU time, not wall time: on a busy machine the step gets longer, never emptier.
VICTIM_FUNCTION void CpuDirect(Stage& stage) {
  const double end = ThreadCpuSeconds() + 0.25;  // BLOCK: cpu.direct.begin
  while (ThreadCpuSeconds() < end) {
    for (uint64_t i = 0; i < 50'000; ++i) stage.sum = stage.sum * 31 + i;
  }  // BLOCK: cpu.direct.end
}
VICTIM_INLINED void CpuInlined(Stage& stage) {
  const double end = ThreadCpuSeconds() + 0.25;  // BLOCK: cpu.inlined.begin
  while (ThreadCpuSeconds() < end) {
    for (uint64_t i = 0; i < 50'000; ++i) stage.sum = stage.sum * 31 + i;
  }  // BLOCK: cpu.inlined.end
}
VICTIM_FUNCTION void CpuCaller(Stage& stage) {
  CpuInlined(stage);  // BLOCK: cpu.caller
}

inline void Nothing(Stage&) {}

struct Scenario {
  const char* name;
  void (*prepare)(Stage&);  // before the loop runs
  void (*start)(Stage&);    // on the blocked thread, just before
  void (*direct)(Stage&);
  void (*inlined)(Stage&);
};

inline constexpr Scenario kScenarios[] = {
    {"sleep_for", Nothing, Nothing, SleepForDirect, SleepForCaller},
    {"getaddrinfo", Nothing, Nothing, GetaddrinfoDirect, GetaddrinfoCaller},
    {"mutex", Nothing, StartMutexHolder, MutexDirect, MutexCaller},
    {"fsync", WriteDirtyFile, Nothing, FsyncDirect, FsyncCaller},
    {"ifstream_fifo", MakeFifo, StartFifoWriter, IfstreamFifoDirect, IfstreamFifoCaller},
    {"join", Nothing, StartSleepingThread, JoinDirect, JoinCaller},
    {"system", Nothing, Nothing, SystemDirect, SystemCaller},
    {"cpu", Nothing, Nothing, CpuDirect, CpuCaller},
};

inline const Scenario* FindScenario(const std::string& name) {
  for (const Scenario& scenario : kScenarios) {
    if (name == scenario.name) return &scenario;
  }
  return nullptr;
}

// Not on the loop: runs between two runs of it.
VICTIM_FUNCTION void ComputeForASecond(Stage& stage) {
  const double end = ThreadCpuSeconds() + 1;
  while (ThreadCpuSeconds() < end) {
    for (uint64_t i = 0; i < 50'000; ++i) stage.sum = stage.sum * 31 + i;
  }
}

// The name is looked up in no file and by no server.
inline void ParseNumericAddress() {
  addrinfo hints{};
  hints.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV;
  addrinfo* addresses = nullptr;
  Require(getaddrinfo("127.0.0.1", "80", &hints, &addresses) == 0, "getaddrinfo");
  freeaddrinfo(addresses);
}

inline void AnnounceHang() {
  std::puts("hanging");
  std::fflush(stdout);
}
VICTIM_FUNCTION void HangInCpu(Stage& stage) {
  for (;;) stage.sum = stage.sum * 31 + 1;  // BLOCK: hang_cpu
}
VICTIM_FUNCTION void HangInRead(Stage& stage) {
  char byte;
  const ssize_t bytes = read(stage.fd, &byte, 1);  // BLOCK: hang_read
  Require(bytes == 1, "read");
}

}  // namespace victim
