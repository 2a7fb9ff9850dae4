#include "runtime/internal/process_threads.h"

#include <pthread.h>

#include <atomic>
#include <memory>

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

}  // namespace

Executor& SensitiveThread() { return *Threads().sensitive; }

Executor& HelperThreads() { return *Threads().helpers; }

uint64_t ForkGeneration() noexcept { return g_generation.load(std::memory_order_relaxed); }

}  // namespace loopsan::internal
