#include "runtime/pipe.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <string>

#include "runtime/sleep.h"
#include "tests/runtime/real_loop.h"

namespace loopsan::testing {
namespace {

TEST(Pipe, CarriesMoreThanItHolds) {
  const auto main = []() -> Task<> {
    PipePair pipe = OpenPipe();
    const std::string text(1 << 20, 'x');
    const auto writes = [&]() -> Task<> {
      pipe.writer.Write(text);
      co_await pipe.writer.Drain();
      co_await pipe.writer.WriteAll(text);
      pipe.writer.WriteEof();
    };
    TaskHandle<> writer = Spawn(writes());
    const std::string all = co_await pipe.reader.ReadAll();
    EXPECT_EQ(all.size(), 2 * text.size());
    co_await writer;
    EXPECT_TRUE(pipe.writer.is_closing());
    pipe.reader.Close();
  };
  RunReal(main());
}

TEST(Pipe, HasTwoEndsThatAreNotTheSame) {
  const auto main = []() -> Task<> {
    PipePair pipe = OpenPipe();
    EXPECT_THROW(pipe.reader.Write("x"), UsageError);
    EXPECT_THROW(pipe.reader.WriteEof(), UsageError);
    EXPECT_THROW(static_cast<void>(pipe.writer.Read()), UsageError);
    pipe.reader.Close();
    pipe.writer.Close();
    co_return;
  };
  RunReal(main());
}

TEST(Pipe, WhoseReaderHasLeftBreaksAndRaisesNoSignal) {
  struct sigaction before;
  sigaction(SIGPIPE, nullptr, &before);
  ASSERT_EQ(before.sa_handler, SIG_DFL) << "or the signal would not be noticed";
  const auto main = []() -> Task<int> {
    PipePair pipe = OpenPipe();
    pipe.reader.Close();
    pipe.writer.Write("to nobody");
    int code = 0;
    try {
      co_await pipe.writer.Drain();
    } catch (const std::system_error& error) {
      code = error.code().value();
    }
    pipe.writer.Close();
    co_return code;
  };
  EXPECT_EQ(RunReal(main()), EPIPE);
  sigset_t pending;
  sigpending(&pending);
  EXPECT_EQ(sigismember(&pending, SIGPIPE), 0);
}

TEST(Pipe, KeepsASignalThatThisThreadHadPendingBefore) {
  sigset_t sigpipe;
  sigset_t before;
  sigemptyset(&sigpipe);
  sigaddset(&sigpipe, SIGPIPE);
  pthread_sigmask(SIG_BLOCK, &sigpipe, &before);
  raise(SIGPIPE);
  const auto main = []() -> Task<> {
    PipePair pipe = OpenPipe();
    pipe.reader.Close();
    pipe.writer.Write("to nobody");
    pipe.writer.Close();
    co_return;
  };
  RunReal(main());
  sigset_t pending;
  sigpending(&pending);
  EXPECT_EQ(sigismember(&pending, SIGPIPE), 1);
  constexpr timespec kAtOnce{};
  EXPECT_EQ(sigtimedwait(&sigpipe, nullptr, &kAtOnce), SIGPIPE);
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

TEST(Pipe, WakesAWaitingWriterWhenItsReaderLeaves) {
  const auto main = []() -> Task<int> {
    PipePair pipe = OpenPipe();
    const std::string text(1 << 20, 'x');
    const auto writes = [&]() -> Task<int> {
      int code = 0;
      try {
        co_await pipe.writer.WriteAll(text);
      } catch (const std::system_error& error) {
        code = error.code().value();
      }
      co_return code;
    };
    TaskHandle<int> writer = Spawn(writes());
    co_await Yield();
    EXPECT_FALSE(writer.done());
    pipe.reader.Close();
    const int code = co_await writer;
    pipe.writer.Close();
    co_return code;
  };
  EXPECT_EQ(RunReal(main()), EPIPE);
}

TEST(OpenReadPipe, MakesItsDescriptorNonBlocking) {
  const auto main = []() -> Task<> {
    int ends[2];
    EXPECT_EQ(pipe(ends), 0);
    Stream reader = OpenReadPipe(ends[0]);
    EXPECT_NE(fcntl(ends[0], F_GETFL) & O_NONBLOCK, 0);
    EXPECT_EQ(write(ends[1], "line\n", 5), 5);
    const std::string line = co_await reader.ReadLine();
    EXPECT_EQ(line, "line\n");
    close(ends[1]);
    reader.Close();
  };
  RunReal(main());
}

TEST(OpenReadPipe, RefusesARegularFile) {
  const auto main = []() -> Task<> {
    Stream file = OpenReadPipe(open("/proc/self/exe", O_RDONLY | O_CLOEXEC));
    co_return;
  };
  EXPECT_THROW(RunReal(main()), std::system_error);
}

}  // namespace
}  // namespace loopsan::testing
