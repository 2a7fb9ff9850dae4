#include "runtime/internal/process_threads.h"

#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <atomic>
#include <memory>
#include <string>

namespace loopsan::internal {

namespace {

struct ProcessThreads {
  const std::unique_ptr<Executor> sensitive = MakeThreadPool({.threads = 1, .name = "sensitive"});
  const std::unique_ptr<Executor> helpers =
      MakeThreadPool({.threads = kThreadForEachJob, .name = "loopsan"});
};

std::atomic<ProcessThreads*> g_threads{nullptr};
std::atomic<uint64_t> g_generation{1};

// In the child there is one thread only. What the others may have locked is left alone.
void ForgetAfterFork() {
  g_threads.store(nullptr, std::memory_order_relaxed);
  g_generation.fetch_add(1, std::memory_order_relaxed);
}

// Before anything of one generation can be made.
[[maybe_unused]] const int g_registered = pthread_atfork(nullptr, nullptr, &ForgetAfterFork);

ProcessThreads& Threads() {
  // Acquire and release: what it holds is seen by who finds it.
  ProcessThreads* threads = g_threads.load(std::memory_order_acquire);
  if (threads != nullptr) return *threads;
  auto made = std::make_unique<ProcessThreads>();
  if (g_threads.compare_exchange_strong(threads, made.get(), std::memory_order_acq_rel)) {
    return *made.release();
  }
  return *threads;
}

// Those that have nothing to do, and get nothing unless somebody gives it to them.
size_t IdleThreadsOf(const Executor& executor) {
  const ExecutorStats stats = executor.stats();
  return stats.queued == 0 ? stats.idle : 0;
}

bool WatchesTheProcess(const char* tid) {
  char path[64];
  snprintf(path, sizeof path, "/proc/self/task/%.20s/comm", tid);
  const int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return false;
  constexpr char kPrefix[] = "loopsan-";
  char name[sizeof kPrefix - 1];
  const ssize_t bytes = read(fd, name, sizeof name);
  close(fd);
  return bytes == sizeof name && memcmp(name, kPrefix, sizeof name) == 0;
}

}  // namespace

Executor& SensitiveThread() { return *Threads().sensitive; }

Executor& HelperThreads() { return *Threads().helpers; }

bool IsOnlyActiveThread(const Executor* executor) noexcept {
  // First: whoever could give them something in between is counted below.
  size_t idle = executor != nullptr ? IdleThreadsOf(*executor) : 0;
  if (const ProcessThreads* const threads = g_threads.load(std::memory_order_acquire)) {
    idle += IdleThreadsOf(*threads->sensitive) + IdleThreadsOf(*threads->helpers);
  }
  DIR* const tasks = opendir("/proc/self/task");
  if (tasks == nullptr) return false;
  const std::string self = std::to_string(gettid());
  bool found_self = false;
  size_t others = 0;
  while (others <= idle) {
    const dirent* const entry = readdir(tasks);
    if (entry == nullptr) break;
    if (entry->d_name[0] == '.') continue;
    if (self == entry->d_name) {
      found_self = true;
    } else if (!WatchesTheProcess(entry->d_name)) {
      ++others;
    }
  }
  closedir(tasks);
  return found_self && others <= idle;
}

uint64_t ForkGeneration() noexcept { return g_generation.load(std::memory_order_relaxed); }

}  // namespace loopsan::internal
