// Intent: a library tells its steps, tasks and coroutines through annotate.h, and
// what it does wrong is reported with the names and lines that it told.
//
// Usage: victim_annotated SCENARIO
#include "tests/programs/victim_annotated.h"

#include <execinfo.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>

#include <memory>
#include <string>
#include <thread>
#include <vector>

namespace {

using annotated::Coroutine;
using annotated::Here;
using annotated::Loop;
using annotated::Task;

double CpuSeconds() {
  timespec now;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

volatile unsigned g_sink = 0;

__attribute__((noinline)) void Compute(double seconds) {
  const double end = CpuSeconds() + seconds;
  while (CpuSeconds() < end) {
    for (unsigned i = 0; i < 10'000; ++i) g_sink = g_sink + i;
  }
}

// Five coroutines, each awaiting the next; the last one does the harm.
struct Chain {
  Loop& loop;
  Task& task;
  std::function<void()> harm;

  __attribute__((noinline)) void Five() {
    Coroutine self(loop.record, task, Here());
    self.AwaitsAt(Here());  // an await that is over must not be taken for the present
    harm();                 // BLOCK: five
  }
  __attribute__((noinline)) void Four() {
    Coroutine self(loop.record, task, Here());
    self.AwaitsAt(Here());  // BLOCK: four
    Five();
  }
  __attribute__((noinline)) void Three() {
    Coroutine self(loop.record, task, Here());
    self.AwaitsAt(Here());  // BLOCK: three
    Four();
  }
  __attribute__((noinline)) void Two() {
    Coroutine self(loop.record, task, Here());
    self.AwaitsAt(Here());  // BLOCK: two
    Three();
  }
  __attribute__((noinline)) void One() {
    Coroutine self(loop.record, task, Here());
    self.AwaitsAt(Here());  // BLOCK: one
    Two();
  }
};

// Runs `harm` five coroutines deep in a task "reader" that "acceptor" has spawned.
void RunDeep(Loop& loop, const std::function<void()>& harm) {
  Task acceptor(loop.record, "acceptor", Here());
  Task reader(loop.record, "reader", Here(), acceptor.record.id);  // BLOCK: spawned
  loop.Turn();
  loop.RunStep(acceptor, [] {});
  loop.Turn();
  Chain chain{loop, reader, harm};
  loop.RunStep(reader, [&] { chain.One(); });
  loop.RunStep(acceptor, [] {});
  loop.Turn();
}

__attribute__((noinline)) void Sleep() {
  usleep(200'000);  // BLOCK: usleep
  g_sink = g_sink + 1;
}

void Block(Loop& loop) { RunDeep(loop, Sleep); }

void ComputeDeep(Loop& loop) {
  RunDeep(loop, [] { Compute(0.3); });
}

void NeverEnd(Loop& loop) {
  RunDeep(loop, [] {
    for (;;) Compute(1);
  });
}

void BlockOutsideOfSteps(Loop& loop) {
  RunDeep(loop, [] {});
  Sleep();
  loop.Turn();
}

void AllowBlocking(Loop& loop) {
  RunDeep(loop, [&loop] {
    if (loop.watched()) loop.annotations()->allow_blocking(&loop.record, 1);
    Sleep();
    if (loop.watched()) loop.annotations()->allow_blocking(&loop.record, -1);
  });
}

void BlockInACallback(Loop& loop) {
  loop.Turn();
  loop.RunCallback(Here(), Sleep);  // BLOCK: scheduled
  loop.Turn();
}

// Each step of the chatty task is short; the turn is not.
void ManySmallSteps(Loop& loop) {
  Task chatty(loop.record, "chatty", Here());  // BLOCK: chatty
  Task quiet(loop.record, "quiet", Here());
  loop.Turn();
  for (int i = 0; i < 100; ++i) {
    loop.RunStep(chatty, [] { Compute(0.003); });
    loop.RunStep(quiet, [] {});
  }
  loop.Turn();
}

// A loop of which one callback tells its steps and another does not.
__attribute__((noinline)) void RunPartly(Loop& loop, const std::function<void()>& told,
                                         const std::function<void()>& untold, int times = 1) {
  for (int i = 0; i < 8; ++i) {
    epoll_event events[4];
    epoll_wait(loop.epoll(), events, 4, 1000);
    for (int time = 0; time < times; ++time) {
      loop.RunCallback(Here(), told);  // BLOCK: told
      loop.Idle();
      untold();
    }
  }
}

void SleepOnce() {
  static bool slept = false;
  if (!slept) Sleep();
  slept = true;
}

void BlockTold(Loop& loop) {
  RunPartly(loop, SleepOnce, [] {});
}
void BlockUntold(Loop& loop) {
  RunPartly(loop, [] {}, SleepOnce);
}
// Each of them is short; the turn is not.
void PartlyShort(Loop& loop) {
  const auto both = [] { Compute(0.005); };
  RunPartly(loop, both, both, 12);
}

// Its steps are told; it waits with poll, which is not recognized as a loop's.
void WaitWithPoll(Loop& loop) {
  for (int i = 0; i < 20; ++i) {
    poll(nullptr, 0, 1);
    loop.RunCallback(Here(), [] { Compute(0.01); });
    loop.Idle();
  }
}

// Code that does not know on what thread it runs tells a step there.
void TellIfKnown(Loop& loop) {
  loopsan_loop mine{};
  mine.flags = LOOPSAN_LOOP_PARTIAL | LOOPSAN_LOOP_IF_KNOWN;
  mine.kind = "guest";
  if (!loop.watched()) return;
  const loopsan_annotations& annotations = *loop.annotations();
  if (annotations.loop_begin(&mine) != 0) exit(9);  // this thread's loop is told by its own
  if (annotations.this_loop() != &loop.record) exit(9);
  const auto run_known = [&](bool known) {
    const int epoll = epoll_create1(EPOLL_CLOEXEC);
    const int event = eventfd(1, EFD_CLOEXEC);
    epoll_event ready{};
    ready.events = EPOLLIN;
    epoll_ctl(epoll, EPOLL_CTL_ADD, event, &ready);
    if (known) epoll_wait(epoll, &ready, 1, 0);
    if (annotations.loop_begin(&mine) != (known ? 1 : 0)) exit(9);
    if (annotations.this_loop() != (known ? &mine : nullptr)) exit(9);
    epoll_wait(epoll, &ready, 1, 0);
    annotations.step(&mine, nullptr, Here());
    if (known) SleepOnce();
    annotations.idle(&mine);
    epoll_wait(epoll, &ready, 1, 0);
    annotations.loop_end(&mine);  // which the second step of an unknown thread has begun
    if (annotations.this_loop() != nullptr) exit(9);
    close(event);
    close(epoll);
  };
  std::thread(run_known, false).join();
  std::thread(run_known, true).join();
}

// The task is destroyed in its own step, which goes on.
void DestroyItself(Loop& loop) {
  loop.Turn();
  auto task = std::make_unique<Task>(loop.record, "short-lived", Here());
  loop.RunStep(*task, [&] {
    loop.record.current = nullptr;
    task.reset();
    Compute(0.3);
  });
  loop.RunCallback(Here(), [] {});
  loop.Turn();
}

void ReportByItself(Loop& loop) {
  loop.Turn();
  if (!loop.watched()) return;
  const auto report = [&loop](const loopsan_source* where) {
    void* stack[16];
    loopsan_finding finding{};
    finding.bytes = sizeof finding;
    finding.rule = "never-awaited";
    finding.message = "the coroutine Read was destroyed without having been awaited";
    finding.remedy = "co_await it, or spawn it";
    finding.task = "reader";
    finding.where = where;
    finding.spawned_at = where;
    finding.stack_frames = static_cast<uint32_t>(backtrace(stack, 16));  // BLOCK: backtrace
    finding.stack = stack;
    finding.seconds = 0;
    if (loop.annotations()->finding(&finding) != 1) exit(9);
    finding.rule = "Not A Rule";
    if (loop.annotations()->finding(&finding) != 0) exit(9);
  };
  const loopsan_source* here = Here();  // BLOCK: finding
  report(here);
  std::thread(report, here).join();  // also where no loop runs
}

__attribute__((noinline)) uint32_t Stand(void** stack, int frames) {
  const int taken = backtrace(stack, frames);  // BLOCK: stands
  g_sink = g_sink + 1;                         // no tail call
  return static_cast<uint32_t>(taken);
}

// A task and the thread that it waits for.
void ReportADeadlock(Loop& loop) {
  loop.Turn();
  if (!loop.watched()) return;
  void* stack[16];
  uint32_t frames = 0;
  std::thread([&] { frames = Stand(stack, 16); }).join();  // BLOCK: thread
  const loopsan_source* here = Here();                     // BLOCK: member
  const loopsan_member members[] = {
      {"task 'reader' waits for executor 'pool'", here, nullptr, 0, 0},
      {"thread pool_0 waits for task 'reader'", nullptr, stack, frames, 0}};
  loopsan_finding finding{};
  finding.bytes = sizeof finding;
  finding.rule = "deadlock";
  finding.message = "2 wait for each other";
  finding.where = here;
  finding.members = members;
  finding.member_count = 2;
  if (loop.annotations()->finding(&finding) != 1) exit(9);
}

// As a library does that was built against an older header, whose finding is the
// last thing that is mapped. Half a pointer more is no member.
void ReportAsOfOld(Loop& loop) {
  loop.Turn();
  if (!loop.watched()) return;
  constexpr uint32_t kOldBytes = offsetof(loopsan_finding, members);
  const long page = sysconf(_SC_PAGESIZE);
  char* pages = static_cast<char*>(
      mmap(nullptr, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  if (mprotect(pages + page, page, PROT_NONE) != 0) exit(8);
  for (const uint32_t bytes : {kOldBytes, kOldBytes + 8, kOldBytes - 8}) {
    loopsan_finding finding{};
    finding.bytes = bytes;
    finding.rule = "never-awaited";
    finding.message = "the coroutine Read was destroyed without having been awaited";
    finding.where = Here();
    char* at = pages + page - bytes;
    memcpy(at, &finding, bytes);
    const int taken = loop.annotations()->finding(reinterpret_cast<loopsan_finding*>(at));
    if (taken != (bytes >= kOldBytes ? 1 : 0)) exit(9);
  }
}

// More and longer than anybody can read.
void ReportTooMuch(Loop& loop) {
  loop.Turn();
  if (!loop.watched()) return;
  const std::string endless(5000, 'x');
  const loopsan_source source{endless.c_str(), endless.c_str(), 1, 1};
  void* const stack[40] = {};
  std::vector<loopsan_member> members(40, {endless.c_str(), &source, stack, 40, 0});
  loopsan_finding finding{};
  finding.bytes = sizeof finding;
  finding.rule = "deadlock";
  finding.message = finding.remedy = finding.task = endless.c_str();
  finding.where = finding.spawned_at = &source;
  finding.members = members.data();
  finding.member_count = 40;
  if (loop.annotations()->finding(&finding) != 1) exit(9);
}

void ForkAndBlock(Loop& loop) {
  loop.Turn();
  const pid_t child = fork();
  if (child == 0) {
    // It is watched once the collector has made room for one more process.
    const void* const of_parent = loop.record.probe;
    while (loop.watched() && loop.record.probe == of_parent) {
      loop.Turn();
      usleep(1000);
    }
    RunDeep(loop, Sleep);
    exit(0);
  }
  while (waitpid(child, nullptr, 0) < 0) {
  }
}

void ExitInAStep(Loop& loop) {
  RunDeep(loop, [] {
    Compute(0.3);
    exit(0);
  });
}

void Crash(Loop& loop) { RunDeep(loop, abort); }

const struct {
  const char* name;
  void (*run)(Loop&);
  uint32_t flags = 0;
} kScenarios[] = {
    {"block", Block},
    {"block_told", BlockTold, LOOPSAN_LOOP_PARTIAL},
    {"block_untold", BlockUntold, LOOPSAN_LOOP_PARTIAL},
    {"block_own_work", BlockUntold},
    {"partly_short", PartlyShort, LOOPSAN_LOOP_PARTIAL},
    {"poll", WaitWithPoll},
    {"if_known", TellIfKnown},
    {"compute", ComputeDeep},
    {"never_end", NeverEnd},
    {"block_outside", BlockOutsideOfSteps},
    {"allow", AllowBlocking},
    {"callback", BlockInACallback},
    {"many_steps", ManySmallSteps},
    {"destroy_itself", DestroyItself},
    {"finding", ReportByItself},
    {"deadlock", ReportADeadlock},
    {"old_finding", ReportAsOfOld},
    {"large_finding", ReportTooMuch},
    {"fork", ForkAndBlock},
    {"exit_in_step", ExitInAStep},
    {"crash", Crash},
};

}  // namespace

int main(int argc, char** argv) {
  const std::string name = argc > 1 ? argv[1] : "";
  for (const auto& scenario : kScenarios) {
    if (name != scenario.name) continue;
    Loop loop(scenario.flags);
    std::printf("%s\n", loop.watched() ? "watched" : "not watched");
    std::fflush(stdout);
    scenario.run(loop);
    return 0;
  }
  std::fprintf(stderr, "usage: victim_annotated SCENARIO\n");
  return 2;
}
