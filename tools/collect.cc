// `loopsan collect --pid=PID`: the helper process that the probe starts for a
// program that was preloaded without `loopsan run`. It is a child of the program
// without an exit signal, shares its standard error, and ends with it.
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <iterator>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/strings/str_cat.h"
#include "instrument/segment.h"
#include "reporters/collector.h"
#include "tools/command_line.h"
#include "tools/exit_status.h"
#include "tools/launcher.h"
#include "tools/live_outputs.h"
#include "tools/report_outputs.h"
#include "tools/subcommand.h"
#include "tools/suppression_files.h"

namespace loopsan {
namespace {

int Fail(const absl::Status& status) {
  Complain(std::string(status.message()));
  return kExitLoopsanFailed;
}

bool ParseNumber(std::string_view text, int& number) {
  const auto [rest, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  return error == std::errc() && rest == text.data() + text.size();
}

// 0 if the arguments are not "--pid=PID".
pid_t ParsePid(const std::vector<std::string>& arguments) {
  constexpr std::string_view kFlag = "--pid=";
  int pid = 0;
  if (arguments.size() != 1 || !arguments[0].starts_with(kFlag) ||
      !ParseNumber(std::string_view(arguments[0]).substr(kFlag.size()), pid) || pid < 0) {
    return 0;
  }
  return pid;
}

// Whatever the program had open would be held open by us: the end of its pipes,
// its listening sockets. The report may have to go to its standard output.
void LetGoOfDescriptors(bool keep_standard_output) {
  close_range(STDERR_FILENO + 1, ~0U, 0);
  const int null = open("/dev/null", O_RDWR);
  dup2(null, STDIN_FILENO);
  if (!keep_standard_output) dup2(null, STDOUT_FILENO);
  if (null > STDERR_FILENO) close(null);
}

bool WritesToStandardOutput(const Options& options) {
  if (options.json_path == "-" || options.output_path == "-" || options.findings_path == "-" ||
      options.metrics_path == "-") {
    return true;
  }
  return std::any_of(options.report_paths.begin(), options.report_paths.end(),
                     [](const auto& report) { return report.second == "-"; });
}

// What the program blocks and ignores is not ours; what a person or a supervisor
// sends to the whole group is for the program, whose end we wait for.
void ResetSignals() {
  for (int number = 1; number <= SIGRTMAX; ++number) signal(number, SIG_DFL);
  for (int number : {SIGINT, SIGQUIT, SIGTERM, SIGHUP, SIGPIPE, SIGXFSZ}) signal(number, SIG_IGN);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
}

std::vector<std::string> ReadCommandLine(pid_t pid) {
  std::ifstream file(absl::StrCat("/proc/", pid, "/cmdline"), std::ios::binary);
  std::vector<std::string> words;
  for (std::string word; std::getline(file, word, '\0');) words.push_back(word);
  return words;
}

// The program looks for the arena at a number that it knows beforehand.
absl::Status ShowArena(const std::string& session) {
  // The limit was the program's; it may have lowered it below that number.
  rlimit files = {};
  if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
  }
  const size_t begin = session.find(':') + 1;
  int arena = -1;
  if (begin == 0 ||
      !ParseNumber(std::string_view(session).substr(begin, session.find(':', begin) - begin),
                   arena)) {
    return absl::InternalError(absl::StrCat("bad session '", session, "'"));
  }
  if (arena != segment::kHelperArenaFd && dup3(arena, segment::kHelperArenaFd, O_CLOEXEC) < 0) {
    return absl::UnavailableError("cannot show the arena: the limit on open files is too low");
  }
  return absl::OkStatus();
}

void WaitForEnd(int pidfd) {
  pollfd wait = {pidfd, POLLIN, 0};
  while (pidfd >= 0 && poll(&wait, 1, -1) < 0) {
  }
}

}  // namespace

int Collect(const std::vector<std::string>& arguments) {
  const pid_t pid = ParsePid(arguments);
  if (pid == 0) {
    return Fail(
        absl::InvalidArgumentError("usage: loopsan collect --pid=PID (the probe's helper)"));
  }
  ResetSignals();
  unsetenv("LD_PRELOAD");
  Options options;
  if (absl::Status status = ReadEnvironmentOptions(getenv("LOOPSAN_OPTIONS"), options);
      !status.ok()) {
    return Fail(status);
  }
  LetGoOfDescriptors(WritesToStandardOutput(options));
  if (options.help) PrintOptions(options, std::cerr);

  const auto started = std::chrono::steady_clock::now();
  const int pidfd = OpenPidfd(pid);  // negative: it has already gone
  const std::vector<std::string> command = ReadCommandLine(pid);
  const absl::StatusOr<Suppressions> suppressions = ReadSuppressions(options, RulePackFolders());
  if (!suppressions.ok()) return Fail(suppressions.status());
  absl::StatusOr<std::unique_ptr<ReportOutputs>> opened = ReportOutputs::Open(options);
  if (!opened.ok()) return Fail(opened.status());
  ReportOutputs& outputs = **opened;
  absl::StatusOr<std::unique_ptr<Collector>> created =
      Collector::Create({options, [&outputs](const std::string& line) { outputs.PrintLive(line); },
                         [&suppressions](const Finding& finding) {
                           return Suppresses(*suppressions, finding, Today());
                         }});
  if (!created.ok()) return Fail(created.status());
  Collector& collector = **created;
  if (absl::Status status = ShowArena(collector.SessionVariable()); !status.ok()) {
    return Fail(status);
  }

  // Another process of the program may have taken the port; the report is worth having.
  absl::StatusOr<std::unique_ptr<LiveOutputs>> live = LiveOutputs::Open(options, &*suppressions);
  if (!live.ok()) Complain(std::string(live.status().message()));
  collector.Start();
  if (live.ok()) (*live)->Start(&collector, command);
  WaitForEnd(pidfd);
  Report report = collector.Finish();
  report.command = command;
  report.duration_seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - started).count();
  ApplySuppressions(report, *suppressions, Today());
  absl::Status written = outputs.Write(report);
  if (live.ok()) written.Update((*live)->Finish(report));
  return written.ok() ? 0 : Fail(written);
}

}  // namespace loopsan
