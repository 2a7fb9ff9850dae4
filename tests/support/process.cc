#include "tests/support/process.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <stdexcept>

namespace loopsan::testing {
namespace {

// Ours would change what is tested.
bool IsPassedOn(std::string_view variable) {
  return !variable.starts_with("LOOPSAN_") && !variable.starts_with("LD_PRELOAD=");
}

std::string NameOf(std::string_view variable) {
  return std::string(variable.substr(0, variable.find('=') + 1));
}

std::vector<char*> Pointers(std::vector<std::string>& strings) {
  std::vector<char*> pointers;
  for (std::string& string : strings) pointers.push_back(string.data());
  pointers.push_back(nullptr);
  return pointers;
}

std::vector<std::string> EnvironmentWith(const std::vector<std::string>& additions) {
  std::vector<std::string> environment;
  for (char** variable = environ; *variable != nullptr; ++variable) {
    bool replaced = false;
    for (const std::string& addition : additions) {
      replaced |= std::string_view(*variable).starts_with(NameOf(addition));
    }
    if (!replaced && IsPassedOn(*variable)) environment.emplace_back(*variable);
  }
  environment.insert(environment.end(), additions.begin(), additions.end());
  return environment;
}

int MillisecondsUntil(std::chrono::steady_clock::time_point deadline) {
  const auto left =
      std::chrono::ceil<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
  return left.count() > 0 ? static_cast<int>(left.count()) : 0;
}

std::chrono::steady_clock::time_point DeadlineAfter(Seconds timeout) {
  return std::chrono::steady_clock::now() +
         std::chrono::duration_cast<std::chrono::steady_clock::duration>(timeout);
}

}  // namespace

Process::Process(const Command& command) : started_at_(std::chrono::steady_clock::now()) {
  int out[2];
  int err[2];
  if (pipe2(out, O_CLOEXEC) != 0 || pipe2(err, O_CLOEXEC) != 0) {
    throw std::runtime_error("cannot make the pipes of a subprocess");
  }

  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_adddup2(&actions, out[1], STDOUT_FILENO);
  posix_spawn_file_actions_adddup2(&actions, err[1], STDERR_FILENO);
  if (!command.directory.empty()) {
    posix_spawn_file_actions_addchdir_np(&actions, command.directory.c_str());
  }

  // A test driver may have been started with SIGINT or SIGPIPE ignored, and
  // that would be inherited.
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  sigset_t defaults;
  sigemptyset(&defaults);
  for (int number : {SIGINT, SIGQUIT, SIGTERM, SIGPIPE, SIGHUP}) sigaddset(&defaults, number);
  sigset_t nothing_blocked;
  sigemptyset(&nothing_blocked);
  posix_spawnattr_setsigdefault(&attributes, &defaults);
  posix_spawnattr_setsigmask(&attributes, &nothing_blocked);
  posix_spawnattr_setpgroup(&attributes, 0);
  posix_spawnattr_setflags(&attributes,
                           POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK);

  std::vector<std::string> arguments = command.arguments;
  std::vector<std::string> environment = EnvironmentWith(command.environment);
  const int error = posix_spawnp(&pid_, arguments[0].c_str(), &actions, &attributes,
                                 Pointers(arguments).data(), Pointers(environment).data());
  posix_spawn_file_actions_destroy(&actions);
  posix_spawnattr_destroy(&attributes);
  close(out[1]);
  close(err[1]);
  out_fd_ = out[0];
  err_fd_ = err[0];
  if (error != 0) {
    close(out_fd_);
    close(err_fd_);
    throw std::runtime_error("cannot run " + arguments[0] + ": " + std::strerror(error));
  }
  // <sys/pidfd.h> of glibc 2.36 cannot be used from C++: it lacks extern "C".
  pidfd_ = static_cast<int>(syscall(SYS_pidfd_open, pid_, 0));
  stop_fd_ = eventfd(0, EFD_CLOEXEC);
  reader_ = std::thread([this] { Read(); });
}

Process::~Process() {
  if (!reaped_) {
    kill(-pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
  }
  StopReading();
  for (int fd : {pidfd_, out_fd_, err_fd_, stop_fd_}) close(fd);
}

void Process::Signal(int number) {
  if (!reaped_) kill(pid_, number);
}

void Process::Read() {
  pollfd sources[] = {{out_fd_, POLLIN, 0}, {err_fd_, POLLIN, 0}, {stop_fd_, POLLIN, 0}};
  std::string* streams[] = {&out_, &err_};
  int open_streams = 2;
  while (open_streams > 0) {
    if (poll(sources, 3, -1) < 0) continue;
    if (sources[2].revents != 0) break;
    for (int i = 0; i < 2; ++i) {
      if (sources[i].revents == 0) continue;
      char buffer[8192];
      const ssize_t bytes = read(sources[i].fd, buffer, sizeof buffer);
      if (bytes <= 0) {
        sources[i].fd = -1;
        --open_streams;
        continue;
      }
      std::lock_guard lock(mutex_);
      streams[i]->append(buffer, static_cast<size_t>(bytes));
      changed_.notify_all();
    }
  }
  std::lock_guard lock(mutex_);
  closed_ = true;
  changed_.notify_all();
}

void Process::StopReading() {
  if (!reader_.joinable()) return;
  const uint64_t one = 1;
  if (write(stop_fd_, &one, sizeof one) != sizeof one) std::abort();
  reader_.join();
}

bool Process::WaitForText(const std::string& stream, std::string_view text, Seconds timeout) {
  std::unique_lock lock(mutex_);
  changed_.wait_until(lock, DeadlineAfter(timeout),
                      [&] { return closed_ || stream.find(text) != std::string::npos; });
  return stream.find(text) != std::string::npos;
}

bool Process::WaitForOutput(std::string_view text, Seconds timeout) {
  return WaitForText(out_, text, timeout);
}

bool Process::WaitForError(std::string_view text, Seconds timeout) {
  return WaitForText(err_, text, timeout);
}

std::string Process::output() {
  std::lock_guard lock(mutex_);
  return out_;
}

std::string Process::error() {
  std::lock_guard lock(mutex_);
  return err_;
}

Finished Process::Wait(Seconds timeout) {
  const auto deadline = DeadlineAfter(timeout);
  Finished finished;
  {
    std::unique_lock lock(mutex_);
    finished.timed_out = !changed_.wait_until(lock, deadline, [this] { return closed_; });
  }
  pollfd ended{pidfd_, POLLIN, 0};
  finished.timed_out |= poll(&ended, 1, MillisecondsUntil(deadline)) != 1;
  if (finished.timed_out) kill(-pid_, SIGKILL);

  int status = 0;
  waitpid(pid_, &status, 0);
  reaped_ = true;
  StopReading();
  finished.seconds = Seconds(std::chrono::steady_clock::now() - started_at_).count();
  finished.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  finished.signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
  finished.out = output();
  finished.err = error();
  EXPECT_FALSE(finished.timed_out)
      << "the command, or what it had started, was still there after " << timeout.count() << " s\n"
      << finished.out << finished.err;
  return finished;
}

Finished RunCommand(const Command& command, Seconds timeout) {
  Process process(command);
  return process.Wait(timeout);
}

bool IsInstalled(const std::string& command) {
  return RunCommand({.arguments = {"sh", "-c", "command -v " + command}}).exit_code == 0;
}

TemporaryDirectory::TemporaryDirectory() {
  path_ = (std::filesystem::temp_directory_path() / "loopsan-test-XXXXXX").string();
  if (mkdtemp(path_.data()) == nullptr) {
    throw std::runtime_error("cannot make a directory like " + path_ + "; set TMPDIR");
  }
}

TemporaryDirectory::~TemporaryDirectory() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

}  // namespace loopsan::testing
