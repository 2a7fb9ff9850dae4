#include "reporters/collector.h"

#include <signal.h>

#include <chrono>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>
#include <utility>

#include "reporters/arena.h"
#include "reporters/judge.h"
#include "reporters/symbolizer.h"
#include "reporters/tick_clock.h"
#include "reporters/watcher.h"

namespace loopsan {
namespace {

// From the watcher's thread to the judge's: looking must not wait for symbols.
class ObservationQueue {
 public:
  void Push(Observation observation) {
    {
      const std::lock_guard lock(mutex_);
      queue_.push_back(std::move(observation));
    }
    ready_.notify_one();
  }

  void Close() {
    {
      const std::lock_guard lock(mutex_);
      closed_ = true;
    }
    ready_.notify_one();
  }

  // False when the queue is closed and empty.
  bool Pop(Observation& observation) {
    std::unique_lock lock(mutex_);
    ready_.wait(lock, [this] { return closed_ || !queue_.empty(); });
    if (queue_.empty()) return false;
    observation = std::move(queue_.front());
    queue_.pop_front();
    return true;
  }

 private:
  std::mutex mutex_;
  std::condition_variable ready_;
  std::deque<Observation> queue_;
  bool closed_ = false;
};

class SessionCollector : public Collector {
 public:
  explicit SessionCollector(Settings settings) : settings_(std::move(settings)) {}

  absl::Status Init() {
    auto arena = Arena::Create(settings_.options, clock_);
    if (!arena.ok()) return arena.status();
    arena_ = *std::move(arena);
    return absl::OkStatus();
  }

  ~SessionCollector() override { Stop(); }

  std::string SessionVariable() const override { return arena_->SessionVariable(); }

  segment::ArenaHeader* ArenaOfThisProcess() override { return &arena_->header(); }

  void Start() override {
    watcher_ = std::make_unique<Watcher>(
        arena_.get(), &clock_, settings_.options.threshold_seconds,
        [this](Observation observation) { queue_.Push(std::move(observation)); });
    started_ = clock_.Now();
    // Signals are the caller's business: neither thread takes one.
    sigset_t all;
    sigset_t before;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &before);
    judge_thread_ = std::thread([this] { JudgeAll(); });
    watcher_thread_ = std::thread([this] { WatchAll(); });
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
  }

  bool SawLoop() const override { return watcher_ != nullptr && watcher_->saw_loop(); }

  Report Finish() override {
    Stop();
    Report report;
    report.threshold_seconds = settings_.options.threshold_seconds;
    if (judge_ != nullptr) {
      judge_->FillReport(report);
    }
    if (watcher_ != nullptr) {
      report.capabilities = watcher_->Capabilities();
      for (std::string& warning : watcher_->Warnings()) {
        report.warnings.push_back(std::move(warning));
      }
    }
    const segment::ArenaHeader& header = arena_->header();
    report.processes_started = header.processes_started.load(std::memory_order_relaxed);
    if (arena_->exhausted()) {  // else the next wait found room
      report.dropped.loops += header.claims_refused.load(std::memory_order_relaxed);
    }
    return report;
  }

 private:
  void WatchAll() {
    double next_calibration = 0.05;
    const uint64_t started = clock_.Now();
    watcher_->Tick(started);
    for (;;) {
      {
        std::unique_lock lock(mutex_);
        const auto period = std::chrono::duration<double>(watcher_->PeriodSeconds());
        stop_changed_.wait_for(lock, period, [this] { return stop_; });
        if (stop_) break;
      }
      const uint64_t now = clock_.Now();
      if (clock_.Seconds(now - started) > next_calibration) {
        clock_.Calibrate();
        next_calibration *= 2;
      }
      watcher_->Tick(now);
    }
    clock_.Calibrate();
    arena_->Close();
    watcher_->Finish(clock_.Now());
    queue_.Close();
  }

  void JudgeAll() {
    Judge::Actions actions;
    actions.set_verdict = [this](uint32_t slot, uint32_t place, segment::Verdict verdict) {
      if (place < segment::kPlacesPerSlot) {
        arena_->slot(slot).places[place].verdict.store(verdict, std::memory_order_relaxed);
      }
    };
    actions.on_live_stall = [this](const std::string& line) {
      if (settings_.on_live_stall) settings_.on_live_stall(line);
    };
    actions.is_suppressed = settings_.is_suppressed;
    actions.answer = [this](uint32_t slot, uint32_t question, uint32_t findings,
                            const std::string& lines) {
      Answer(arena_->slot(slot).header, question, findings, lines);
    };
    actions.release_slot = [this](uint32_t slot) { watcher_->Release(slot); };
    symbolizer_ = Symbolizer::Create();
    const auto interpret = [this](const ProcessFound& process) {
      return InterpretProcess(process, symbolizer_.get());
    };
    judge_ = std::make_unique<Judge>(settings_.options, &clock_, interpret, std::move(actions));
    judge_->SetTimelineOrigin(started_);
    Observation observation;
    while (queue_.Pop(observation)) {
      judge_->Handle(observation);
    }
  }

  static void Answer(segment::SlotHeader& header, uint32_t question, uint32_t findings,
                     const std::string& lines) {
    // Whole lines only.
    const size_t fits = lines.rfind('\n', segment::kAnswerBytes - 1);
    const size_t bytes = lines.size() <= segment::kAnswerBytes ? lines.size()
                         : fits == std::string::npos           ? 0
                                                               : fits + 1;
    lines.copy(header.answer, bytes);
    header.answer_bytes = static_cast<uint32_t>(bytes);
    header.answer_findings = findings;
    // Release: who sees the number, sees the answer.
    header.answered.store(question, std::memory_order_release);
  }

  void Stop() {
    {
      const std::lock_guard lock(mutex_);
      stop_ = true;
    }
    stop_changed_.notify_all();
    if (watcher_thread_.joinable()) watcher_thread_.join();
    if (judge_thread_.joinable()) judge_thread_.join();
  }

  const Settings settings_;
  TickClock clock_;
  std::unique_ptr<Arena> arena_;
  std::unique_ptr<Watcher> watcher_;
  std::unique_ptr<Symbolizer> symbolizer_;
  std::unique_ptr<Judge> judge_;
  ObservationQueue queue_;
  std::mutex mutex_;
  std::condition_variable stop_changed_;
  bool stop_ = false;
  uint64_t started_ = 0;  // ticks
  std::thread watcher_thread_;
  std::thread judge_thread_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Collector>> Collector::Create(Settings settings) {
  auto collector = std::make_unique<SessionCollector>(std::move(settings));
  if (absl::Status status = collector->Init(); !status.ok()) {
    return status;
  }
  return collector;
}

}  // namespace loopsan
