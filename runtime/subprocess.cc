#include "runtime/subprocess.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <exception>
#include <memory>
#include <system_error>
#include <utility>

#include "runtime/executor.h"
#include "runtime/internal/findings.h"
#include "runtime/internal/loop_private.h"
#include "runtime/internal/readiness.h"
#include "runtime/internal/socket.h"
#include "runtime/pipe.h"
#include "runtime/spawn.h"

namespace loopsan {

using internal::Descriptor;
using internal::RefPtr;
using internal::SiteOf;

namespace {

// As a shell says it of a child whose status somebody else has taken.
constexpr int kUnknownStatus = 255;

// Returns false while it runs. `wait`: until it has ended.
bool Reap(int pidfd, bool wait, ExitStatus& status) noexcept {
  if (wait) fcntl(pidfd, F_SETFL, 0);  // or it would not
  siginfo_t info{};
  int result = 0;
  do {
    result = waitid(P_PIDFD, static_cast<id_t>(pidfd), &info, WEXITED | (wait ? 0 : WNOHANG));
  } while (result != 0 && errno == EINTR);
  if (result != 0) {
    status = ExitStatus(kUnknownStatus, 0);
    return true;
  }
  if (info.si_pid == 0) return false;
  status =
      info.si_code == CLD_EXITED ? ExitStatus(info.si_status, 0) : ExitStatus(0, info.si_status);
  return true;
}

// Not pidfd_send_signal(): Debian 12's kernel headers have it, its libc does not.
void SignalTo(int pidfd, int signal) noexcept {
  syscall(SYS_pidfd_send_signal, pidfd, signal, nullptr, 0);
}

// A child and our ends of its pipes, on the way from the thread that made it to the
// loop. Dropped, it takes the child with it.
struct Child {
  Child() = default;
  Child(Child&&) noexcept = default;
  Child& operator=(Child&&) = delete;
  ~Child() {
    if (!pidfd.is_open()) return;
    SignalTo(pidfd.get(), SIGKILL);
    ExitStatus status;
    Reap(pidfd.get(), true, status);
  }
  pid_t pid = 0;
  Descriptor pidfd;
  Descriptor in;
  Descriptor out;
  Descriptor err;
};

class SpawnAttributes {
 public:
  SpawnAttributes() {
    posix_spawnattr_init(&attributes_);
    posix_spawn_file_actions_init(&actions_);
  }
  SpawnAttributes(const SpawnAttributes&) = delete;
  SpawnAttributes& operator=(const SpawnAttributes&) = delete;
  ~SpawnAttributes() {
    posix_spawnattr_destroy(&attributes_);
    posix_spawn_file_actions_destroy(&actions_);
  }
  posix_spawnattr_t* attributes() noexcept { return &attributes_; }
  posix_spawn_file_actions_t* actions() noexcept { return &actions_; }

 private:
  posix_spawnattr_t attributes_;
  posix_spawn_file_actions_t actions_;
};

void Check(int error, const std::string& what) {
  if (error != 0) throw std::system_error(error, std::generic_category(), what);
}

// What the child gets as descriptor `number`; the rest of a pipe goes to `ours`. The
// child's end must be higher than 2: else one action would overwrite what
// another needs.
Descriptor Prepare(SpawnAttributes& spawn, int number, Redirect redirect, Descriptor& ours) {
  const int flags = number == STDIN_FILENO ? O_RDONLY : O_WRONLY;
  switch (redirect) {
    case Redirect::kInherit:
      break;
    case Redirect::kNull:
      Check(posix_spawn_file_actions_addopen(spawn.actions(), number, "/dev/null", flags, 0),
            "redirecting to /dev/null");
      break;
    case Redirect::kToOutput:
      if (number != STDERR_FILENO) {
        throw std::invalid_argument("only standard error can go where standard output goes");
      }
      Check(posix_spawn_file_actions_adddup2(spawn.actions(), STDOUT_FILENO, number),
            "redirecting standard error");
      break;
    case Redirect::kPipe: {
      int ends[2];
      if (pipe2(ends, O_CLOEXEC) != 0) internal::ThrowErrno("making a pipe");
      Descriptor readable(ends[0]);
      Descriptor writable(ends[1]);
      Descriptor& childs = number == STDIN_FILENO ? readable : writable;
      ours = std::move(number == STDIN_FILENO ? writable : readable);
      if (childs.get() <= STDERR_FILENO) {
        childs = Descriptor(fcntl(childs.get(), F_DUPFD_CLOEXEC, STDERR_FILENO + 1));
        if (!childs.is_open()) internal::ThrowErrno("making a pipe");
      }
      Check(posix_spawn_file_actions_adddup2(spawn.actions(), childs.get(), number),
            "redirecting to a pipe");
      return std::move(childs);
    }
  }
  return {};
}

std::vector<char*> Pointers(const std::vector<std::string>& strings) {
  std::vector<char*> pointers;
  pointers.reserve(strings.size() + 1);
  for (const std::string& each : strings) pointers.push_back(const_cast<char*>(each.c_str()));
  pointers.push_back(nullptr);
  return pointers;
}

Child MakeChild(const std::vector<std::string>& arguments, const ProcessOptions& options) {
  const std::string what = "running " + arguments[0];
  SpawnAttributes spawn;
  Child child;
  const Descriptor in = Prepare(spawn, STDIN_FILENO, options.in, child.in);
  const Descriptor out = Prepare(spawn, STDOUT_FILENO, options.out, child.out);
  const Descriptor err = Prepare(spawn, STDERR_FILENO, options.err, child.err);
  if (!options.cwd.empty()) {
    Check(posix_spawn_file_actions_addchdir_np(spawn.actions(), options.cwd.c_str()), what);
  }
  sigset_t none;
  sigset_t defaults;
  sigemptyset(&none);
  sigemptyset(&defaults);
  sigaddset(&defaults, SIGPIPE);
  int flags = POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF;
  if (options.new_session) flags |= POSIX_SPAWN_SETSID;
  posix_spawnattr_setsigmask(spawn.attributes(), &none);
  posix_spawnattr_setsigdefault(spawn.attributes(), &defaults);
  Check(posix_spawnattr_setflags(spawn.attributes(), static_cast<short>(flags)), what);
  const std::vector<char*> argv = Pointers(arguments);
  const std::vector<char*> envp = options.env ? Pointers(*options.env) : std::vector<char*>();
  Check(posix_spawnp(&child.pid, argv[0], spawn.actions(), spawn.attributes(), argv.data(),
                     options.env ? envp.data() : environ),
        what);
  // It cannot be mistaken: a child keeps its number until it is waited for. (Only where
  // this process ignores SIGCHLD it may be gone.)
  const long pidfd = syscall(SYS_pidfd_open, child.pid, 0);
  if (pidfd < 0) {
    const int error = errno;
    if (error != ESRCH) {
      kill(child.pid, SIGKILL);
      waitpid(child.pid, nullptr, 0);
    }
    throw std::system_error(error, std::generic_category(), what + ": its end cannot be watched");
  }
  child.pidfd = Descriptor(static_cast<int>(pidfd));
  internal::SetNonBlocking(child.pidfd.get());  // what a loop watches does not block
  return child;
}

}  // namespace

namespace internal {

// A child of ours. It watches itself to its end, also without its Process.
class ProcessCore final : public RefCounted<ProcessCore>,
                          private DescriptorListener,
                          private LoopResource {
 public:
  ProcessCore(EventLoop& loop, pid_t pid, Descriptor pidfd, Site made_at, std::string name)
      : pid_(pid),
        loop_(&loop),
        pidfd_(std::move(pidfd)),
        made_at_(made_at),
        name_(std::move(name)) {
    loop.Watch(pidfd_.get(), EPOLLIN, this);
    LoopPrivate::resources(loop).PushBack(this);
    self_ = RefPtr<ProcessCore>(this);
  }

  pid_t pid() const noexcept { return pid_; }
  bool has_ended() const noexcept { return !pidfd_.is_open(); }
  ExitStatus status() const noexcept { return status_; }

  void CheckUse(const char* what, std::source_location here) const {
    if (loop_ == nullptr) {
      throw UsageError(std::string(what) + ": the event loop of this process is closed");
    }
    LoopPrivate::CheckUse(*loop_, what, here);
  }

  void Signal(int signal) noexcept {
    if (!has_ended()) SignalTo(pidfd_.get(), signal);
  }

  void Drop() noexcept {
    if (has_ended()) return;
    // It may be a zombie, of which nobody has told the loop yet.
    ExitStatus status;
    if (Reap(pidfd_.get(), false, status)) {
      End(status);
      return;
    }
    if (loop_->debug() && std::uncaught_exceptions() == 0) {
      ReportUnclosed("was still running when its Process was destroyed");
    }
    Signal(SIGKILL);
  }

  List<Waiter> waiters;

 private:
  // The status is taken as a step, not here.
  void OnReady(uint32_t) noexcept override {
    if (reaps_) return;
    reaps_ = true;
    auto reap = [core = RefPtr<ProcessCore>(this)] {
      core->reaps_ = false;
      if (core->has_ended()) return;
      ExitStatus status;
      if (Reap(core->pidfd_.get(), false, status)) core->End(status);
    };
    // Without memory there is no step to run: the program ends.
    // NOLINTNEXTLINE(bugprone-unhandled-exception-at-new)
    LoopPrivate::ready(*loop_).Push(new CallbackOf(loop_, made_at_, std::move(reap)));
  }

  void OnLoopClosed() noexcept override {
    ExitStatus status;
    if (!Reap(pidfd_.get(), false, status)) {
      if (loop_->debug()) ReportUnclosed("was still running when its loop was closed");
      Signal(SIGKILL);
      Reap(pidfd_.get(), true, status);
    }
    const RefPtr<ProcessCore> alive(this);
    End(status);
    loop_ = nullptr;
  }

  void End(ExitStatus status) noexcept {
    status_ = status;
    loop_->Unwatch(pidfd_.get());
    Unlink();
    pidfd_ = Descriptor();
    while (Waiter* const waiter = waiters.front()) waiter->Wake();
    const RefPtr<ProcessCore> last = std::move(self_);
  }

  void ReportUnclosed(const char* how) const noexcept try {
    Found found{.rule = Rule::kUnclosedStream, .message = {}};
    found.remedy = "co_await Wait(), or Terminate() or Kill() it before its Process goes";
    found.where = made_at_;
    found.task = t_runner.task;
    found.message =
        "subprocess '" + name_ + "' (" + std::to_string(pid_) + ") " + how + ", and is killed";
    Report(found);
  } catch (...) {
    // Out of memory: the report is lost.
  }

  const pid_t pid_;
  EventLoop* loop_;
  Descriptor pidfd_;
  const Site made_at_;
  const std::string name_;
  ExitStatus status_;
  bool reaps_ = false;
  RefPtr<ProcessCore> self_;  // until the child has ended
};

ProcessWait::ProcessWait(RefPtr<ProcessCore> core) noexcept : core_(std::move(core)) {}
ProcessWait::~ProcessWait() = default;

bool ProcessWait::await_ready(std::source_location here) noexcept {
  Begin(here);
  return core_->has_ended();
}

void ProcessWait::Link() noexcept { core_->waiters.PushBack(this); }

ExitStatus ProcessWait::await_resume() {
  Resumed();
  return core_->status();
}

}  // namespace internal

using internal::ProcessCore;

Process::Process() noexcept = default;
Process::Process(RefPtr<ProcessCore> core, Stream in, Stream out, Stream err) noexcept
    : core_(std::move(core)), in_(std::move(in)), out_(std::move(out)), err_(std::move(err)) {}
Process::Process(Process&& other) noexcept = default;
Process& Process::operator=(Process&& other) noexcept {
  if (this != &other) {
    if (core_) core_->Drop();
    core_ = std::move(other.core_);
    in_ = std::move(other.in_);
    out_ = std::move(other.out_);
    err_ = std::move(other.err_);
  }
  return *this;
}
Process::~Process() {
  if (core_) core_->Drop();
}

ProcessCore& Process::Use(const char* what, std::source_location here) const {
  if (!core_) throw UsageError(std::string(what) + ": the process was moved from");
  core_->CheckUse(what, here);
  return *core_;
}

pid_t Process::pid() const noexcept { return core_->pid(); }

std::optional<ExitStatus> Process::status() const noexcept {
  if (!core_->has_ended()) return std::nullopt;
  return core_->status();
}

internal::ProcessWait Process::Wait(std::source_location here) const {
  return internal::ProcessWait(RefPtr<ProcessCore>(&Use("Process::Wait", here)));
}

void Process::SendSignal(int signal, std::source_location here) {
  Use("Process::SendSignal", here).Signal(signal);
}
void Process::Terminate(std::source_location here) { SendSignal(SIGTERM, here); }
void Process::Kill(std::source_location here) { SendSignal(SIGKILL, here); }

namespace {

Task<std::string> ReadToEnd(Stream& stream) {
  if (!stream.valid()) co_return std::string();
  std::string all = co_await stream.ReadAll();
  stream.Close();
  co_return all;
}

Task<> Feed(Stream& stream, std::string input) {
  if (!stream.valid() || stream.is_closing()) co_return;
  try {
    co_await stream.WriteAll(input);
  } catch (const std::system_error&) {
    // It has closed its standard input: it needs no more.
  }
  stream.Close();
}

// Ends its tasks with itself.
struct Helpers {
  ~Helpers() {
    for (AnyTaskHandle& task : tasks) {
      if (task.valid() && !task.done() && EventLoop::Current() != nullptr) task.state()->Cancel();
    }
  }
  AnyTaskHandle tasks[2];
};

Task<ProcessOutput> Exchange(Process& process, std::string input, std::source_location here) {
  TaskHandle<std::string> out = Spawn(ReadToEnd(process.out()), "standard output", here);
  TaskHandle<std::string> err = Spawn(ReadToEnd(process.err()), "standard error", here);
  const Helpers helpers{{out, err}};
  co_await Feed(process.in(), std::move(input));
  ProcessOutput result;
  result.out = co_await std::move(out);
  result.err = co_await std::move(err);
  result.status = co_await process.Wait(here);
  co_return result;
}

}  // namespace

Task<ProcessOutput> Process::Communicate(std::string input, std::source_location here) {
  Use("Process::Communicate", here);
  return Exchange(*this, std::move(input), here);
}

namespace {

Stream Pipe(EventLoop& loop, Descriptor descriptor, internal::StreamCore::Kind kind,
            std::source_location here) {
  if (!descriptor.is_open()) return {};
  internal::SetNonBlocking(descriptor.get());
  internal::StreamRef core(
      new internal::StreamCore(loop, std::move(descriptor), kind, SiteOf(here)));
  core->quiet_drop = true;  // the Process is what is reported
  return Stream(std::move(core));
}

Task<Process> Create(EventLoop& loop, std::vector<std::string> arguments, ProcessOptions options,
                     std::source_location here) {
  std::string name = arguments[0];
  auto make = [arguments = std::move(arguments), options = std::move(options)] {
    return MakeChild(arguments, options);
  };
  auto job = RunInExecutor(std::move(make), here);
  Child child = co_await std::move(job);
  Stream in = Pipe(loop, std::move(child.in), internal::StreamCore::Kind::kWritePipe, here);
  Stream out = Pipe(loop, std::move(child.out), internal::StreamCore::Kind::kReadPipe, here);
  Stream err = Pipe(loop, std::move(child.err), internal::StreamCore::Kind::kReadPipe, here);
  RefPtr<ProcessCore> core(
      new ProcessCore(loop, child.pid, std::move(child.pidfd), SiteOf(here), std::move(name)));
  co_return Process(std::move(core), std::move(in), std::move(out), std::move(err));
}

}  // namespace

Task<Process> CreateProcess(std::vector<std::string> arguments, ProcessOptions options,
                            std::source_location here) {
  EventLoop& loop = EventLoop::Running();
  internal::LoopPrivate::CheckUse(loop, "CreateProcess", here);
  if (arguments.empty()) throw std::invalid_argument("CreateProcess: no program is named");
  return Create(loop, std::move(arguments), std::move(options), here);
}

Task<Process> CreateShellProcess(std::string command, ProcessOptions options,
                                 std::source_location here) {
  return CreateProcess({"/bin/sh", "-c", std::move(command)}, std::move(options), here);
}

}  // namespace loopsan
