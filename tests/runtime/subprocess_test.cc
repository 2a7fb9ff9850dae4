#include "runtime/subprocess.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <stdexcept>
#include <string>
#include <system_error>
#include <vector>

#include "runtime/executor.h"
#include "runtime/sleep.h"
#include "tests/runtime/real_loop.h"
#include "tests/runtime/run_loop.h"

namespace loopsan::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

// No child is left, neither alive nor dead.
bool HasNoChildren() { return waitpid(-1, nullptr, WNOHANG) == -1 && errno == ECHILD; }

using Program = std::vector<std::string>;

ProcessOptions MakePipes() {
  ProcessOptions options;
  options.in = options.out = options.err = Redirect::kPipe;
  return options;
}
const ProcessOptions kPipes = MakePipes();
const Program kSleep{"sleep", "1000"};
const Program kCat{"cat"};

Task<ProcessOutput> Shell(std::string command, ProcessOptions options, std::string input = {}) {
  Process process = co_await CreateShellProcess(command, options);
  ProcessOutput result = co_await process.Communicate(input);
  co_return result;
}

TEST(Process, TellsWhatItExitedWith) {
  const auto main = []() -> Task<> {
    Process process = co_await CreateShellProcess("exit 7");
    const ExitStatus status = co_await process.Wait();
    EXPECT_EQ(status.code(), 7);
    EXPECT_EQ(status.signal(), 0);
    EXPECT_EQ(status.returncode(), 7);
    EXPECT_FALSE(status.ok());
    EXPECT_EQ(process.status()->code(), 7);
    const ExitStatus again = co_await process.Wait();
    EXPECT_EQ(again.code(), 7);
  };
  const KeptFindings findings;
  RunReal(main());
  EXPECT_THAT(findings.rules(), IsEmpty());
  EXPECT_TRUE(HasNoChildren());
}

TEST(Process, TellsWhatSignalKilledIt) {
  const auto main = []() -> Task<> {
    Process process = co_await CreateProcess(kSleep);
    EXPECT_FALSE(process.status());
    process.Terminate();
    const ExitStatus status = co_await process.Wait();
    EXPECT_EQ(status.signal(), SIGTERM);
    EXPECT_EQ(status.returncode(), -SIGTERM);
    process.Kill();  // has nobody to go to
  };
  RunReal(main());
  EXPECT_TRUE(HasNoChildren());
}

TEST(Process, CommunicatesWithAChildThatAnswersWhileItIsFed) {
  const auto main = []() -> Task<> {
    Process process = co_await CreateProcess(kCat, kPipes);
    const std::string text(4 << 20, 'x');  // would fill every pipe
    const ProcessOutput result = co_await process.Communicate(text);
    EXPECT_TRUE(result.out == text);
    EXPECT_EQ(result.err, "");
    EXPECT_TRUE(result.status.ok());
  };
  const KeptFindings findings;
  RunReal(main());
  EXPECT_THAT(findings.rules(), IsEmpty());
}

TEST(Process, KeepsOutputAndErrorsApart) {
  const ProcessOutput result = RunReal(Shell("echo out; echo err >&2", kPipes));
  EXPECT_EQ(result.out, "out\n");
  EXPECT_EQ(result.err, "err\n");
}

TEST(Process, PutsErrorsIntoTheOutputIfAsked) {
  ProcessOptions options = kPipes;
  options.err = Redirect::kToOutput;
  EXPECT_EQ(RunReal(Shell("echo out; echo err >&2", options)).out, "out\nerr\n");
}

TEST(Process, ReadsNothingFromNull) {
  ProcessOptions options = kPipes;
  options.in = Redirect::kNull;
  EXPECT_EQ(RunReal(Shell("cat; echo end", options)).out, "end\n");
}

TEST(Process, HasTheEnvironmentAndTheFolderItWasGiven) {
  ProcessOptions options = kPipes;
  options.env = Program{"COLOUR=blue"};
  options.cwd = "/";
  EXPECT_EQ(RunReal(Shell("echo $COLOUR; pwd", options)).out, "blue\n/\n");
}

TEST(Process, DoesNotMindAChildThatReadsNothing) {
  const std::string much(1 << 20, 'x');
  const ProcessOutput result = RunReal(Shell("exit 3", kPipes, much));
  EXPECT_EQ(result.status.code(), 3);
}

TEST(Process, StartsWithNoSignalBlockedAndSigpipeAtItsDefault) {
  sigset_t some;
  sigset_t before;
  sigemptyset(&some);
  sigaddset(&some, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &some, &before);
  signal(SIGPIPE, SIG_IGN);
  const ProcessOutput result =
      RunReal(Shell("grep -E '^Sig(Blk|Ign)' /proc/self/status | tr -d '\\t\\n'", kPipes));
  signal(SIGPIPE, SIG_DFL);
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  ASSERT_THAT(result.out, HasSubstr("SigBlk:0000000000000000"));
  const std::string ignored = result.out.substr(result.out.find("SigIgn:") + 7);
  EXPECT_EQ(strtoull(ignored.c_str(), nullptr, 16) >> (SIGPIPE - 1) & 1, 0U);
}

TEST(Process, HandsNoOtherDescriptorsOn) {
  const auto main = []() -> Task<std::string> {
    // The pipes of one must not stay open in the next.
    Process first = co_await CreateProcess(kCat, kPipes);
    Process second = co_await CreateProcess(kCat, kPipes);
    first.in().Write("through");
    first.in().Close();
    std::string out = co_await first.out().ReadAll();
    co_await first.Wait();
    second.in().Close();
    co_await second.Wait();
    co_return out;
  };
  EXPECT_EQ(RunReal(main()), "through");
}

TEST(Process, ThatCannotBeRunSaysWhy) {
  const auto main = []() -> Task<int> {
    const Program none{"no-such-program-anywhere"};
    int code = 0;
    try {
      Process process = co_await CreateProcess(none, kPipes);
    } catch (const std::system_error& error) {
      code = error.code().value();
      EXPECT_THAT(error.what(), HasSubstr("no-such-program-anywhere"));
    }
    co_return code;
  };
  EXPECT_EQ(RunReal(main()), ENOENT);
  EXPECT_TRUE(HasNoChildren());
}

TEST(Process, NeedsAProgram) {
  const auto main = []() -> Task<> { co_await CreateProcess(Program()); };
  EXPECT_THROW(RunReal(main()), std::invalid_argument);
}

TEST(Process, ThatGoesWhileItsChildRunsKillsItAndIsReported) {
  const KeptFindings findings;
  const auto main = []() -> Task<> {
    // The child holds the pipe as long as it lives.
    Stream output;
    {
      Process process = co_await CreateProcess(kSleep, kPipes);
      output = std::move(process.out());
    }
    const std::string end = co_await output.ReadAll();
    EXPECT_EQ(end, "");
    output.Close();
    while (!HasNoChildren()) co_await Yield();  // the loop takes its status
  };
  RunReal(main());
  EXPECT_THAT(findings.Messages("unclosed-stream"), ElementsAre(HasSubstr("subprocess 'sleep'")));
}

TEST(Process, WhoseWaiterIsCancelledGoesOn) {
  const auto main = []() -> Task<> {
    Process process = co_await CreateProcess(kCat, kPipes);
    const auto waits = [&]() -> Task<> { co_await process.Wait(); };
    TaskHandle<> waiter = Spawn(waits());
    co_await Yield();
    waiter.Cancel();
    try {
      co_await waiter;
      ADD_FAILURE() << "it was not cancelled";
    } catch (const CancelledError&) {
    }
    EXPECT_FALSE(process.status());
    process.in().Close();
    const ExitStatus status = co_await process.Wait();
    EXPECT_TRUE(status.ok());
  };
  RunReal(main());
}

TEST(Process, ThatIsLeftAtTheEndOfItsLoopIsKilledAndReaped) {
  const KeptFindings findings;
  Process process;
  {
    RealLoop real;
    const auto main = [&]() -> Task<> { process = co_await CreateProcess(kSleep); };
    real.Run(main());
  }
  EXPECT_TRUE(HasNoChildren());
  EXPECT_EQ(process.status()->signal(), SIGKILL);
  EXPECT_THROW(process.Kill(), UsageError);
  ASSERT_THAT(findings.rules(), ElementsAre("unclosed-stream"));
  EXPECT_THAT(findings.all()[0].remedy, HasSubstr("co_await Wait(), or Terminate() or Kill()"));
}

TEST(CreateProcess, LeavesNoChildWhenItIsCancelled) {
  const auto main = []() -> Task<> {
    const auto creates = []() -> Task<> {
      Process process = co_await CreateProcess(kSleep, kPipes);
      ADD_FAILURE() << "it was not cancelled";
    };
    TaskHandle<> creator = Spawn(creates());
    co_await Yield();
    creator.Cancel();
    try {
      co_await creator;
    } catch (const CancelledError&) {
    }
    co_await ShutDown(EventLoop::Running().DefaultExecutor());
  };
  RunReal(main());
  EXPECT_TRUE(HasNoChildren());
}

TEST(Process, WhoseStatusSomebodyElseTookEndsAllTheSame) {
  const auto main = []() -> Task<int> {
    Process process = co_await CreateProcess(kCat, kPipes);
    process.in().Close();
    waitpid(process.pid(), nullptr, 0);
    const ExitStatus status = co_await process.Wait();
    co_return status.code();
  };
  EXPECT_EQ(RunReal(main()), 255);
}

}  // namespace
}  // namespace loopsan::testing
