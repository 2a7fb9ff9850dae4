// Signals and terminals: the command hears each once, and the report still comes.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <string>
#include <vector>

#include "tests/support/process.h"

namespace loopsan {
namespace {

using testing::Finished;
using ::testing::HasSubstr;
using testing::Process;

// Says "ready", then what it hears; ends at SIGTERM with 5.
constexpr char kListener[] =
    "import os,signal,sys\n"
    "def heard(n,f): os.write(1,(signal.Signals(n).name+'\\n').encode())\n"
    "for n in (signal.SIGINT,signal.SIGQUIT,signal.SIGHUP,signal.SIGUSR1,signal.SIGUSR2,"
    "signal.SIGCONT): signal.signal(n,heard)\n"
    "def end(n,f): heard(n,f); os._exit(5)\n"
    "signal.signal(signal.SIGTERM,end)\n"
    "os.write(1,b'ready\\n')\n"
    "while True: signal.pause()\n";

std::vector<std::string> Watched(const std::vector<std::string>& command) {
  std::vector<std::string> arguments = {FAKE_LOOPSAN, "run", "--"};
  arguments.insert(arguments.end(), command.begin(), command.end());
  return arguments;
}

TEST(RunSignals, ArePassedOnToTheCommandAndTheReportComes) {
  Process process({.arguments = Watched({"python3", "-c", kListener}),
                   .environment = {"LOOPSAN_FAKE=loop,finding"}});
  ASSERT_TRUE(process.WaitForOutput("ready\n"));
  for (const auto& [number, name] : {std::pair{SIGINT, "SIGINT\n"},
                                     {SIGQUIT, "SIGQUIT\n"},
                                     {SIGHUP, "SIGHUP\n"},
                                     {SIGUSR1, "SIGUSR1\n"},
                                     {SIGUSR2, "SIGUSR2\n"},
                                     {SIGCONT, "SIGCONT\n"}}) {
    kill(process.pid(), number);
    ASSERT_TRUE(process.WaitForOutput(name)) << name;
  }
  kill(process.pid(), SIGTERM);
  const Finished result = process.Wait();
  EXPECT_EQ(result.exit_code, 5);
  EXPECT_EQ(result.out, "ready\nSIGINT\nSIGQUIT\nSIGHUP\nSIGUSR1\nSIGUSR2\nSIGCONT\nSIGTERM\n");
  EXPECT_FALSE(result.err.empty());
}

TEST(RunSignals, ThatEndTheCommandAreItsStatus) {
  Process process({.arguments = Watched({"sh", "-c", "echo ready; exec sleep 1000"})});
  ASSERT_TRUE(process.WaitForOutput("ready\n"));
  kill(process.pid(), SIGTERM);
  EXPECT_EQ(process.Wait().exit_code, 128 + SIGTERM);
}

TEST(RunSignals, OfTheCommandToItsGroupAreNotSentBackToIt) {
  // Hears its own SIGUSR1 once, then SIGUSR2, which comes behind any echo.
  constexpr char kToItsGroup[] =
      "import os,signal\n"
      "heard=[]\n"
      "signal.signal(signal.SIGUSR1,lambda n,f: heard.append('1'))\n"
      "signal.signal(signal.SIGUSR2,lambda n,f: heard.append('2'))\n"
      "os.kill(0,signal.SIGUSR1)\n"
      "os.write(1,b'ready\\n')\n"
      "while '2' not in heard: signal.pause()\n"
      "print(''.join(heard))\n";
  Process process({.arguments = Watched({"python3", "-c", kToItsGroup})});
  ASSERT_TRUE(process.WaitForOutput("ready\n"));
  kill(process.pid(), SIGUSR2);
  EXPECT_EQ(process.Wait().out, "ready\n12\n");
}

TEST(RunSignals, ThatStopTheCommandAloneDoNotStopLoopsan) {
  Process process({.arguments = Watched({"sh", "-c", "echo $$; kill -STOP $$; exit 9"})});
  ASSERT_TRUE(process.WaitForOutput("\n"));
  const pid_t command = std::stoi(process.output());
  // Returns when the command has stopped; it is not our child, so /proc tells.
  std::string state;
  do {
    state = testing::RunCommand(
                {.arguments = {"grep", "State", "/proc/" + std::to_string(command) + "/status"}})
                .out;
  } while (state.find('T') == std::string::npos && !state.empty());
  kill(command, SIGCONT);
  EXPECT_EQ(process.Wait().exit_code, 9);
}

// A command under `loopsan run` on a terminal of its own, as its foreground job.
class Terminal {
 public:
  explicit Terminal(std::vector<std::string> arguments, const char* fake = "") {
    pid_ = forkpty(&fd_, nullptr, nullptr, nullptr);
    if (pid_ == 0) {
      setenv("LOOPSAN_FAKE", fake, 1);
      std::vector<char*> argv;
      for (std::string& argument : arguments) argv.push_back(argument.data());
      argv.push_back(nullptr);
      execvp(argv[0], argv.data());
      _exit(127);
    }
  }
  ~Terminal() {
    close(fd_);
    if (pid_ > 0) kill(pid_, SIGKILL);
  }

  void Type(const std::string& keys) {
    ASSERT_EQ(write(fd_, keys.data(), keys.size()), ssize(keys));
  }

  // False if the terminal closes, or says nothing for a minute, before.
  bool WaitFor(const std::string& text) {
    while (shown_.find(text) == std::string::npos) {
      if (!Read()) return false;
    }
    return true;
  }

  int WaitForEnd() {
    while (Read()) {
    }
    int status = -1;
    waitpid(pid_, &status, 0);
    pid_ = -1;
    return status;
  }

  const std::string& shown() const { return shown_; }

 private:
  static ssize_t ssize(const std::string& text) { return static_cast<ssize_t>(text.size()); }

  bool Read() {
    char buffer[4096];
    pollfd wait = {fd_, POLLIN, 0};
    if (poll(&wait, 1, 60000) <= 0) return false;
    const ssize_t got = read(fd_, buffer, sizeof buffer);  // EIO at the end
    if (got > 0) shown_.append(buffer, static_cast<size_t>(got));
    return got > 0;
  }

  int fd_ = -1;
  pid_t pid_ = -1;
  std::string shown_;
};

size_t Count(const std::string& text, const std::string& part) {
  size_t count = 0;
  for (size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++count;
  return count;
}

TEST(RunTerminal, CtrlCReachesTheCommandOnce) {
  Terminal terminal(Watched({"python3", "-c", kListener}), "loop,finding");
  ASSERT_TRUE(terminal.WaitFor("ready"));
  terminal.Type("\x03");
  ASSERT_TRUE(terminal.WaitFor("SIGINT\r\n"));
  // An echo of SIGINT would have come before the answer to a later key.
  terminal.Type("\x1c");
  ASSERT_TRUE(terminal.WaitFor("SIGQUIT\r\n"));
  EXPECT_EQ(Count(terminal.shown(), "SIGINT"), 1u) << terminal.shown();
}

TEST(RunTerminal, CtrlCEndsTheCommandAndTheReportComes) {
  Terminal terminal(Watched({"sh", "-c", "echo ready; exec sleep 1000"}), "loop,finding");
  ASSERT_TRUE(terminal.WaitFor("ready"));
  terminal.Type("\x03");
  const int status = terminal.WaitForEnd();
  ASSERT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 128 + SIGINT);
  EXPECT_GT(terminal.shown().size(), std::string("ready\r\n^C").size()) << terminal.shown();
}

TEST(RunTerminal, ASecondCtrlCLeavesAReportThatTakesLong) {
  Terminal terminal(Watched({"sh", "-c", "echo ready; exec sleep 1000"}), "stuck");
  ASSERT_TRUE(terminal.WaitFor("ready"));
  terminal.Type("\x03");
  ASSERT_TRUE(terminal.WaitFor("stuck"));
  terminal.Type("\x03");
  const int status = terminal.WaitForEnd();
  ASSERT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 128 + SIGINT);
  EXPECT_THAT(terminal.shown(), HasSubstr("interrupted while making the report"));
}

TEST(RunTerminal, CtrlZStopsTheJobAndFgContinuesIt) {
  // An interactive bash is the judge: only it knows when a job has stopped.
  Terminal terminal({"env", "PS1=prompt>", "bash", "--norc", "--noprofile", "--noediting", "-i"});
  ASSERT_TRUE(terminal.WaitFor("prompt>"));
  terminal.Type(std::string(FAKE_LOOPSAN) + " run -- sh -c 'echo rea''dy; read x; echo got $x'\n");
  ASSERT_TRUE(terminal.WaitFor("ready\r\n"));
  terminal.Type("\x1a");
  ASSERT_TRUE(terminal.WaitFor("Stopped")) << terminal.shown();
  terminal.Type("echo in''between; fg\n");
  ASSERT_TRUE(terminal.WaitFor("inbetween\r\n")) << terminal.shown();
  terminal.Type("word\n");
  ASSERT_TRUE(terminal.WaitFor("got word")) << terminal.shown();
  terminal.Type("exit\n");
  terminal.WaitForEnd();
}

}  // namespace
}  // namespace loopsan
