#include "reporters/collector.h"

#include <pthread.h>
#include <signal.h>
#include <time.h>

#include <chrono>
#include <condition_variable>
#include <deque>
#include <functional>
#include <future>
#include <mutex>
#include <thread>
#include <utility>
#include <variant>

#include "reporters/arena.h"
#include "reporters/judge.h"
#include "reporters/live_tasks.h"
#include "reporters/symbolizer.h"
#include "reporters/tick_clock.h"
#include "reporters/watcher.h"

namespace loopsan {
namespace {

// What somebody on another thread wants to know of the judge.
using Question = std::function<void(Judge&)>;
using Message = std::variant<Observation, Question>;

// From the watcher's thread to the judge's: looking must not wait for symbols.
class MessageQueue {
 public:
  // False if it is closed: nobody will read it.
  bool Push(Message message) {
    {
      const std::lock_guard lock(mutex_);
      if (closed_) return false;
      queue_.push_back(std::move(message));
    }
    ready_.notify_one();
    return true;
  }

  void Close() {
    {
      const std::lock_guard lock(mutex_);
      closed_ = true;
    }
    ready_.notify_one();
  }

  // False when the queue is closed and empty.
  bool Pop(Message& message) {
    std::unique_lock lock(mutex_);
    ready_.wait(lock, [this] { return closed_ || !queue_.empty(); });
    if (queue_.empty()) return false;
    message = std::move(queue_.front());
    queue_.pop_front();
    return true;
  }

 private:
  std::mutex mutex_;
  std::condition_variable ready_;
  std::deque<Message> queue_;
  bool closed_ = false;
};

// The processor time of a thread, for others; after its end, what it was then.
class ThreadTime {
 public:
  void BeginOnThisThread() {
    const std::lock_guard lock(mutex_);
    running_ = pthread_getcpuclockid(pthread_self(), &clock_) == 0;
  }

  void EndOnThisThread() {
    const std::lock_guard lock(mutex_);
    total_ = Read();
    running_ = false;
  }

  double Seconds() const {
    const std::lock_guard lock(mutex_);
    return running_ ? Read() : total_;
  }

 private:
  double Read() const {
    timespec time{};
    if (!running_ || clock_gettime(clock_, &time) != 0) return total_;
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) * 1e-9;
  }

  mutable std::mutex mutex_;
  clockid_t clock_{};
  bool running_ = false;
  double total_ = 0;
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
    // Where they live in the process that they watch, the runtime knows them by their names.
    pthread_setname_np(judge_thread_.native_handle(), "loopsan-judge");
    pthread_setname_np(watcher_thread_.native_handle(), "loopsan-look");
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
  }

  bool SawLoop() const override { return watcher_ != nullptr && watcher_->saw_loop(); }

  Report Snapshot() override {
    Report report;
    Ask([&](Judge& judge) { FillReport(judge, report); });
    return report;
  }

  MetricsSnapshot Metrics() override {
    arena_->header().metrics_wanted.store(1, std::memory_order_relaxed);
    WaitForMeasures();
    MetricsSnapshot snapshot;
    if (Ask([&](Judge& judge) { FillMetrics(judge, snapshot); })) return snapshot;
    const std::lock_guard lock(mutex_);
    return final_metrics_;
  }

  Report Finish() override {
    Stop();
    Report report;
    if (judge_ == nullptr) return report;
    FillReport(*judge_, report);
    MetricsSnapshot metrics;
    FillMetrics(*judge_, metrics);
    const std::lock_guard lock(mutex_);
    final_metrics_ = std::move(metrics);
    return report;
  }

 private:
  // On the judge's thread, or once that has ended.
  void FillReport(Judge& judge, Report& report) {
    report.threshold_seconds = settings_.options.threshold_seconds;
    report.duration_seconds = clock_.Seconds(clock_.Now() - started_);
    judge.FillReport(report);
    report.capabilities = watcher_->Capabilities();
    for (std::string& warning : watcher_->Warnings()) {
      report.warnings.push_back(std::move(warning));
    }
    report.processes_started = ProcessesStarted();
    report.dropped.loops += LoopsRefused();
  }

  void FillMetrics(Judge& judge, MetricsSnapshot& snapshot) {
    judge.FillMetrics(snapshot);
    for (const ToldLoop& loop : snapshot.told_loops) {
      const TaskCount count = CountTasks(loop.pid, loop.address);
      TaskCount& all = snapshot.tasks[loop.labels];
      all.ready += count.ready;
      all.running += count.running;
      all.waiting += count.waiting;
    }
    snapshot.capabilities = watcher_->Capabilities();
    snapshot.processes_started = ProcessesStarted();
    snapshot.dropped.loops += LoopsRefused();
    snapshot.collector_cpu_seconds = watcher_cpu_.Seconds() + judge_cpu_.Seconds();
  }

  uint64_t ProcessesStarted() {
    return arena_->header().processes_started.load(std::memory_order_relaxed);
  }

  uint64_t LoopsRefused() {
    if (!arena_->exhausted()) return 0;  // the next wait found room
    return arena_->header().claims_refused.load(std::memory_order_relaxed);
  }

  // Of this moment: what a scrape sees of a loop is not older than the watcher's period.
  void WaitForMeasures() {
    constexpr std::chrono::milliseconds kLongest{100};
    if (watcher_ == nullptr) return;
    const uint64_t wanted = watcher_->WantMeasures();
    const auto end = std::chrono::steady_clock::now() + kLongest;
    while (!watcher_->HasMeasured(wanted) && std::chrono::steady_clock::now() < end) {
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
  }

  // Waits for the answer. False if the judge has gone.
  bool Ask(const Question& question) {
    const auto answered = std::make_shared<std::promise<void>>();
    std::future<void> answer = answered->get_future();
    const bool asked =
        watcher_ != nullptr && queue_.Push(Question([&question, answered](Judge& judge) {
          question(judge);
          answered->set_value();
        }));
    if (asked) answer.wait();
    return asked;
  }

  double MeasureClockRead() const {
    constexpr int kReads = 1'000;
    const uint64_t begin = clock_.Now();
    for (int i = 0; i < kReads; ++i) clock_.Now();
    return clock_.Seconds(clock_.Now() - begin) / kReads;
  }

  void WatchAll() {
    watcher_cpu_.BeginOnThisThread();
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
    watcher_cpu_.EndOnThisThread();
  }

  void JudgeAll() {
    judge_cpu_.BeginOnThisThread();
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
    judge_->SetClockReadSeconds(MeasureClockRead());
    Message message;
    while (queue_.Pop(message)) {
      if (const auto* question = std::get_if<Question>(&message)) {
        (*question)(*judge_);
      } else {
        judge_->Handle(std::get<Observation>(message));
      }
    }
    judge_cpu_.EndOnThisThread();
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
  MessageQueue queue_;
  std::mutex mutex_;
  std::condition_variable stop_changed_;
  bool stop_ = false;
  uint64_t started_ = 0;  // ticks
  MetricsSnapshot final_metrics_;
  ThreadTime watcher_cpu_;
  ThreadTime judge_cpu_;
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
