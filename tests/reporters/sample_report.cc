#include "tests/reporters/sample_report.h"

#include <limits>

namespace loopsan {
namespace {

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
constexpr double kInfinity = std::numeric_limits<double>::infinity();

ReportFrame Frame(std::string function, std::string file, int line, std::string module,
                  uint64_t offset, bool inlined = false) {
  return {.function = std::move(function),
          .file = std::move(file),
          .line = line,
          .module = std::move(module),
          .offset = offset,
          .inlined = inlined};
}

Finding SleepInAHandler() {
  Finding finding;
  finding.id = "F1";
  finding.rule = "blocking-call";
  finding.level = "error";
  finding.category = "sleep";
  finding.call = "nanosleep";
  finding.detail = "0.3 s";
  finding.cause = "blocking-call";
  finding.count = 12345;
  finding.total_seconds = 0.1 + 0.2;
  finding.max_seconds = 0.0123;
  finding.fingerprint = "0123456789abcdef";
  finding.message = "nanosleep blocked the event loop for 0.300 s in app::Server::Handle";
  finding.remedy = "a timer of the loop (uv_timer_start, steady_timer::async_wait)";
  finding.pid = 4711;
  finding.thread_id = 4712;
  finding.thread_name = "io \"main\"";
  finding.executable = "/srv/my server/bin/server";
  finding.stack_source = "snapshot";
  const std::string server = "/srv/my server/bin/server";
  const std::string asio = "/usr/include/boost/asio/detail/scheduler.ipp";
  finding.stack = {
      Frame("clock_nanosleep", "", 0, "/usr/lib/x86_64-linux-gnu/libc.so.6", 0xd3b4f),
      Frame("void std::this_thread::sleep_for<long, std::ratio<1l, 1000l> >("
            "std::chrono::duration<long, std::ratio<1l, 1000l> > const&)",
            "/usr/include/c++/12/bits/this_thread_sleep.h", 82, server, 0x1f00, true),
      Frame("app::Server::Handle(std::__cxx11::basic_string<char, std::char_traits<char>, "
            "std::allocator<char> > const&)",
            "/srv/src/server.cc", 42, server, 0x1f00),
      Frame("app::(anonymous namespace)::OnRead(int)", "/srv/src/read.cc", 7, server, 0x2a10),
      Frame("boost::asio::detail::scheduler_operation::complete(void*)", asio, 40, server, 0x3000,
            true),
      Frame("boost::asio::detail::scheduler::do_run_one()", asio, 492, server, 0x3000),
      Frame("boost::asio::detail::scheduler::run()", asio, 210, server, 0x3100),
      Frame("main", "/srv/src/main.cc", 99, server, 0x1100),
      Frame("__libc_start_call_main", "", 0, "/usr/lib/x86_64-linux-gnu/libc.so.6", 0x2724a),
      Frame("__libc_start_main", "", 0, "/usr/lib/x86_64-linux-gnu/libc.so.6", 0x27305),
      Frame("_start", "", 0, server, 0x1020),
  };
  return finding;
}

Finding HostileStall() {
  Finding finding;
  finding.id = "F2";
  finding.rule = "stall";
  finding.level = "warning";
  finding.detail = "</script><script>alert(1)</script>";
  finding.cause = "cpu";
  finding.count = std::numeric_limits<int64_t>::max();
  finding.total_seconds = kNaN;
  finding.max_seconds = kInfinity;
  finding.in_progress = true;
  finding.fingerprint = "fedcba9876543210";
  finding.message = "a step took \033[31mred\033[0m\nand 'two' \"lines\" \\ with a \t tab";
  finding.remedy = "move it to a thread & <wait> for it; \xe2\x80\xaegnp.exe";
  finding.note =
      std::string("invalid: \xff\xfe \xc3( \xed\xa0\x80, NUL: ") + '\0' + ", valid: \u00e9\u4e16";
  finding.pid = 4711;
  finding.thread_id = 4713;
  finding.thread_name = "\x1b]0;owned\x07";
  finding.executable = "/tmp/new\nline/\xc0\xaf";
  finding.stack_source = "perf_event";
  finding.stack = {
      Frame("", "", 0, "", 0x7f0000001000),
      Frame("work\"</script>", "/srv/app\n.js", 3, "[jit]", 0x7fffffffffffffff),
      Frame(std::string(300, 'x') + "\u00e9", "", 0, "/opt/we\"ird\\.so", 0x10),
      Frame("uv__run_timers", "", 0, "/usr/lib/x86_64-linux-gnu/libuv.so.1.0.0", 0x1000),
      Frame("uv_run", "", 0, "/usr/lib/x86_64-linux-gnu/libuv.so.1.0.0", 0x1100),
  };
  return finding;
}

Finding LongTurn() {
  Finding finding;
  finding.id = "F6";
  finding.rule = "long-turn";
  finding.level = "note";
  finding.cause = "cpu";
  finding.count = 1;
  finding.total_seconds = 0.2051;
  finding.max_seconds = 0.2051;
  finding.fingerprint = "00000000000000ff";
  finding.message = "one turn ran 200 callbacks, none of them long";
  finding.pid = 4711;
  finding.thread_id = 4712;
  return finding;
}

Finding SleepInACoroutine() {
  Finding finding = SleepInAHandler();
  finding.id = "F3";
  finding.count = 1;
  finding.total_seconds = 0.2;
  finding.max_seconds = 0.2;
  finding.fingerprint = "0123456789abcdee";
  finding.message = "nanosleep blocked the event loop for 0.200 s in task \"reader \"";
  finding.stack.resize(3);
  finding.task = {.name = "reader \"\x1b[2J",
                  .id = 17,
                  .spawned_at = {"app::Task<int> app::Accept(int)", "/srv/src/accept.cc", 71},
                  .spawner = "acceptor\n"};
  finding.async_stack = {
      {"app::Task<std::__cxx11::basic_string<char> > app::Read(Socket&)", "/srv/src/read.cc", 12},
      {"", "/srv/src/no name.cc", 3},
      {"app::Task<void> app::Serve(Socket)", "", 0},
      {"Task main()::<lambda()>\x07</script>", "/srv/src/\nmain.cc", 40}};
  return finding;
}

Finding NeverAwaited() {
  Finding finding;
  finding.id = "F4";
  finding.rule = "never-awaited";
  finding.level = "warning";
  finding.count = 2;
  finding.fingerprint = "2222222222222222";
  finding.message = "the coroutine app::Read was destroyed without having been awaited";
  finding.remedy = "co_await it, or spawn it";
  finding.pid = 4711;
  finding.thread_id = 4712;
  finding.task.name = "reader";
  finding.where = {"app::Task<void> app::Serve(Socket)", "/srv/src/serve.cc", 33};
  return finding;
}

Finding SlowExecutor() {
  Finding finding = NeverAwaited();
  finding.id = "F5";
  finding.rule = "executor-delay";
  finding.total_seconds = 1.5;
  finding.max_seconds = 1;
  finding.fingerprint = "3333333333333333";
  finding.message = "work waited for a thread of the executor";
  finding.remedy = "";
  finding.task = {.spawned_at = {"int main()", "/srv/src/main.cc", 9}};
  finding.where = {};
  finding.stack = {Frame("main", "/srv/src/main.cc", 99, "/srv/my server/bin/server", 0x1100)};
  return finding;
}

Finding Deadlock() {
  Finding finding = NeverAwaited();
  const std::string server = "/srv/my server/bin/server";
  finding.id = "F7";
  finding.rule = "deadlock";
  finding.level = "error";
  finding.count = 1;
  finding.fingerprint = "4444444444444444";
  finding.message = "deadlock: 3 wait for each other in a circle";
  finding.remedy = "do not wait for the executor on one of its threads";
  finding.note = "1 more member";
  finding.members = {
      {"task 'reader' waits for executor 'pool'",
       {"app::Task<void> app::Read(int)", "/srv/src/read.cc", 40},
       {}},
      {"thread pool_0 \x1b[2J runs </script>",
       {},
       {Frame("pthread_cond_wait", "", 0, "/usr/lib/x86_64-linux-gnu/libc.so.6", 0x8e000),
        Frame("app::Work()", "/srv/src/work.cc", 9, server, 0x4000)}},
      {"", {"", "/srv/src/a\nb.cc", 0}, {Frame("", "", 0, "", 0x1000)}}};
  return finding;
}

Finding UnprovenRead() {
  Finding finding = SleepInAHandler();
  finding.id = "U1";
  finding.level = "warning";
  finding.category = "file";
  finding.call = "read";
  finding.detail = "fd 9 -> /var/lib/x";
  finding.count = 1;
  finding.total_seconds = 0.000045;
  finding.max_seconds = 0.000045;
  finding.fingerprint = "1111111111111111";
  finding.message = "read blocked for 45 us";
  return finding;
}

Timeline SampleTimeline() {
  return {.loops = {{.pid = 4711,
                     .thread_id = 4712,
                     .thread_name = "io \"main\"",
                     .intervals = {{.start_seconds = 0.1,
                                    .duration_seconds = 0.1,
                                    .busy_seconds = 0.02,
                                    .idle_seconds = 0.08,
                                    .cpu_seconds = 0.015,
                                    .longest_step_seconds = 0.001,
                                    .turns = 100},
                                   {.start_seconds = 0.2,
                                    .duration_seconds = 0.4,
                                    .busy_seconds = 0.35,
                                    .idle_seconds = 0.05,
                                    .cpu_seconds = 0.02,
                                    .longest_step_seconds = 0.300123456789,
                                    .turns = 12}},
                     .spans = {{.kind = "wait", .start_seconds = 0.2, .duration_seconds = 0.05},
                               {.kind = "turn", .start_seconds = 0.25, .duration_seconds = 0.31},
                               {.kind = "blocking-call",
                                .start_seconds = 0.251,
                                .duration_seconds = 0.3,
                                .finding_id = "F1"}}},
                    {.pid = 4711,
                     .thread_id = 4713,
                     .thread_name = "</script>\x1b[2J\xff",
                     .intervals = {{.start_seconds = kNaN,
                                    .duration_seconds = kInfinity,
                                    .busy_seconds = -1,
                                    .idle_seconds = -kInfinity,
                                    .cpu_seconds = kInfinity,
                                    .longest_step_seconds = kNaN,
                                    .turns = std::numeric_limits<int64_t>::max()}},
                     .spans = {{.kind = "stall",
                                .start_seconds = kNaN,
                                .duration_seconds = kInfinity,
                                .finding_id = "F2"}}}},
          .dropped_spans = 5,
          .dropped_waits = 7,
          .dropped_loops = 1};
}

}  // namespace

Report SampleReport() {
  Report report;
  report.command = {"./server", "--name=\"quoted\"", "", "\xff\xfe", "a\nb", "</script>"};
  report.exit_code = 137;
  report.exit_signal = 9;
  report.duration_seconds = 3.1;
  report.threshold_seconds = 0.1;
  report.processes_started = 3;
  report.processes = {
      {.pid = 4711,
       .executable = "/srv/my server/bin/server",
       .loops = {{.thread_id = 4712,
                  .thread_name = "io \"main\"",
                  .kind = "epoll",
                  .function = "boost::asio::detail::scheduler::run()",
                  .turns = 1234567,
                  .busy_seconds = 1.25,
                  .idle_seconds = 1.85,
                  .longest_step_seconds = 0.300123456789},
                 {.thread_id = 4713,
                  .thread_name = "\xff",
                  .kind = "epoll",
                  .turns = std::numeric_limits<int64_t>::max(),
                  .busy_seconds = kInfinity,
                  .idle_seconds = -kInfinity,
                  .longest_step_seconds = kNaN,
                  .proven = false}}},
      {.pid = 4714, .executable = "/bin/sh"},
  };
  report.findings = {SleepInAHandler(), HostileStall(), SleepInACoroutine(), NeverAwaited(),
                     SlowExecutor(),    LongTurn(),     Deadlock()};
  report.unproven_findings = {UnprovenRead()};
  report.modules = {{"/usr/lib/libnothing.so", ""}, {"/usr/sbin/srv\"</script>", "00ff12"}};
  report.capabilities = {
      {.name = "copying stacks from outside (process_vm_readv)", .available = true, .used = 12},
      {.name = "perf_event_open on running threads",
       .reason = "perf_event_paranoid is 3; sysctl kernel.perf_event_paranoid=2 allows it"},
  };
  report.warnings = {"/srv/lib\x1b[2J/a.so was replaced on disk:\nits frames have no names"};
  report.suppressed = {{.entry = "blocking-call:function=ConfigReload* max=50ms until=2027-01-31",
                        .reason = "read once at start",
                        .file = "/srv/my server/loop.supp",
                        .line = 4,
                        .findings = 3,
                        .count = 1234,
                        .total_seconds = 1.2,
                        .max_seconds = 0.04},
                       {.entry = "*:\"</script>\x1b[2J\"",
                        .reason = "\x1b]0;owned\x07 it's ]]> \xff \"fine\"",
                        .file = "a\nb.supp",
                        .line = 1,
                        .findings = 1,
                        .count = std::numeric_limits<int64_t>::max(),
                        .total_seconds = kInfinity,
                        .max_seconds = kNaN}};
  report.suppression_remarks = {{.level = "warning",
                                 .message = "this suppression expired on 2026-01-31",
                                 .entry = "stall:function=Compact until=2026-01-31",
                                 .file = "/srv/my server/loop.supp",
                                 .line = 5},
                                {.level = "note",
                                 .message = "this suppression matched nothing in this run",
                                 .entry = "stall:</script>\x1b[2J",
                                 .file = "a\nb.supp",
                                 .line = 2}};
  report.dropped = {.events = 1,
                    .snapshots = 2,
                    .sites = 1234567,
                    .loops = 1,
                    .outside_loop = 3,
                    .unsure = std::numeric_limits<int64_t>::max()};
  report.timeline = SampleTimeline();
  return report;
}

}  // namespace loopsan
