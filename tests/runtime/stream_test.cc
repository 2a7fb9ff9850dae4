#include "runtime/stream.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "runtime/sleep.h"
#include "tests/runtime/real_loop.h"
#include "tests/runtime/run_loop.h"

namespace loopsan::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

struct Pair {
  UnixStream left;
  UnixStream right;
};

Pair MakePair() {
  SocketPair pair;
  Pair made;
  made.left = UnixStream::Adopt(pair.Take(0));
  made.right = UnixStream::Adopt(pair.Take(1));
  return made;
}

// Sends `text` in two parts, split at `at`, so that the reader sees the first one
// by itself.
Task<> SendInTwoParts(UnixStream& to, std::string text, size_t at) {
  to.Write(text.substr(0, at));
  for (int i = 0; i < 3; ++i) co_await Yield();
  to.Write(text.substr(at));
  to.WriteEof();
}

template <typename F>
void WithEverySplit(const std::string& text, const F& reads) {
  for (size_t at = 0; at <= text.size(); ++at) {
    SCOPED_TRACE("split after " + std::to_string(at) + " of " + std::to_string(text.size()));
    const auto main = [&]() -> Task<> {
      Pair pair = MakePair();
      TaskHandle<> writer = Spawn(SendInTwoParts(pair.left, text, at));
      co_await reads(pair.right);
      co_await writer;
      pair.left.Close();
      pair.right.Close();
    };
    RunReal(main());
  }
}

TEST(Stream, ReadUntilFindsTheSeparatorHoweverTheBytesAreSplit) {
  const auto reads = [](UnixStream& stream) -> Task<> {
    const std::string first = co_await stream.ReadUntil("\r\n\r\n");
    EXPECT_EQ(first, "a\r\n\rb\r\n\r\n");
    const std::string second = co_await stream.ReadUntil("\r\n\r\n");
    EXPECT_EQ(second, "\r\n\r\n");
    std::string partial;
    try {
      co_await stream.ReadUntil("\r\n\r\n");
      ADD_FAILURE() << "there is no third";
    } catch (const IncompleteReadError& error) {
      partial = error.partial();
    }
    EXPECT_EQ(partial, "rest\r\n\r");
    EXPECT_TRUE(stream.at_eof());
  };
  WithEverySplit("a\r\n\rb\r\n\r\n\r\n\r\nrest\r\n\r", reads);
}

TEST(Stream, ReadExactlyJoinsWhatComesInParts) {
  const auto reads = [](UnixStream& stream) -> Task<> {
    const std::string first = co_await stream.ReadExactly(5);
    EXPECT_EQ(first, "01234");
    const std::string nothing = co_await stream.ReadExactly(0);
    EXPECT_EQ(nothing, "");
    std::string partial;
    size_t expected = 0;
    try {
      co_await stream.ReadExactly(6);
      ADD_FAILURE() << "there are only 5 more";
    } catch (const IncompleteReadError& error) {
      partial = error.partial();
      expected = error.expected();
    }
    EXPECT_EQ(partial, "56789");
    EXPECT_EQ(expected, 6U);
  };
  WithEverySplit("0123456789", reads);
}

TEST(Stream, ReadLineGivesWhatThereIsAtTheEnd) {
  const auto reads = [](UnixStream& stream) -> Task<> {
    std::vector<std::string> lines;
    for (int i = 0; i < 4; ++i) {
      std::string line = co_await stream.ReadLine();
      lines.push_back(std::move(line));
    }
    EXPECT_THAT(lines, ElementsAre("one\n", "\n", "three", ""));
  };
  WithEverySplit("one\n\nthree", reads);
}

TEST(Stream, ReadUntilRefusesWhatIsLongerThanTheLimitAndLeavesIt) {
  const auto reads = [](UnixStream& stream) -> Task<> {
    size_t consumed = 0;
    try {
      co_await stream.ReadUntil("--", 4);
      ADD_FAILURE() << "five bytes are more than four";
    } catch (const LimitOverrunError& error) {
      consumed = error.consumed();
    }
    EXPECT_GT(consumed, 4U);
    const std::string all = co_await stream.ReadUntil("--", 5);
    EXPECT_EQ(all, "01234--");
  };
  WithEverySplit("01234--", reads);
}

TEST(Stream, ReadUntilTakesWhatIsExactlyAsLongAsTheLimit) {
  const auto reads = [](UnixStream& stream) -> Task<> {
    const std::string all = co_await stream.ReadUntil("--", 5);
    EXPECT_EQ(all, "01234--");
  };
  WithEverySplit("01234--", reads);
}

TEST(Stream, ReadLineThrowsATooLongLineAwayAndGoesOnWithTheNext) {
  const auto main = []() -> Task<> {
    Pair pair = MakePair();
    pair.left.Write("much too long\nshort\n");
    bool refused = false;
    try {
      co_await pair.right.ReadLine(5);
    } catch (const LimitOverrunError&) {
      refused = true;
    }
    EXPECT_TRUE(refused);
    const std::string next = co_await pair.right.ReadLine(5);
    EXPECT_EQ(next, "short\n");
    pair.left.Close();
    pair.right.Close();
  };
  RunReal(main());
}

TEST(Stream, ReadUntilNeedsASeparator) {
  const auto main = []() -> Task<> {
    Pair pair = MakePair();
    co_await pair.left.ReadUntil("");
  };
  EXPECT_THROW(RunReal(main()), std::invalid_argument);
}

TEST(Stream, ReadGivesNothingOnlyAtTheEnd) {
  const auto main = []() -> Task<> {
    Pair pair = MakePair();
    pair.left.Write("abc");
    const std::string some = co_await pair.right.Read(2);
    EXPECT_EQ(some, "ab");
    EXPECT_FALSE(pair.right.at_eof());
    pair.left.Close();
    const std::string rest = co_await pair.right.Read();
    EXPECT_EQ(rest, "c");
    const std::string end = co_await pair.right.Read();
    EXPECT_EQ(end, "");
    EXPECT_TRUE(pair.right.at_eof());
    pair.right.Close();
  };
  RunReal(main());
}

TEST(Stream, ReadIntoFillsTheCallersMemory) {
  const auto main = []() -> Task<> {
    Pair pair = MakePair();
    pair.left.Write("line\nabc");
    const std::string line = co_await pair.right.ReadLine();
    EXPECT_EQ(line, "line\n");
    char room[8] = {};
    const size_t bytes = co_await pair.right.ReadInto(room);
    EXPECT_EQ(std::string(room, bytes), "abc");
    pair.left.Close();
    const size_t end = co_await pair.right.ReadInto(room);
    EXPECT_EQ(end, 0U);
    pair.right.Close();
  };
  RunReal(main());
}

TEST(Stream, CarriesMegabytesThroughItsBuffers) {
  const auto main = []() -> Task<> {
    Pair pair = MakePair();
    std::string text;
    for (int i = 0; i < 300'000; ++i) text += std::to_string(i) + ",";
    const auto writes = [&]() -> Task<> {
      pair.left.Write(text);
      co_await pair.left.Drain();
      co_await pair.left.WriteAll(text);
      pair.left.Write("end");
      pair.left.Close();
      co_await pair.left.WaitClosed();
    };
    TaskHandle<> writer = Spawn(writes());
    const std::string first = co_await pair.right.ReadExactly(text.size());
    EXPECT_TRUE(first == text);
    const std::string second = co_await pair.right.ReadAll();
    EXPECT_TRUE(second == text + "end");
    co_await writer;
    pair.right.Close();
  };
  RunReal(main());
}

TEST(Stream, DrainWaitsForTheReaderAboveTheHighWaterMark) {
  const auto main = []() -> Task<> {
    Pair pair = MakePair();
    pair.left.SetWriteLimits(1000, 10);
    const std::string text(1 << 20, 'x');
    pair.left.Write(text);
    EXPECT_GT(pair.left.write_buffer_size(), 1000U);
    const auto drains = [&]() -> Task<> { co_await pair.left.Drain(); };
    TaskHandle<> drainer = Spawn(drains());
    for (int i = 0; i < 10; ++i) co_await Yield();
    EXPECT_FALSE(drainer.done());
    const std::string all = co_await pair.right.ReadExactly(text.size());
    co_await drainer;
    EXPECT_LE(pair.left.write_buffer_size(), 10U);
    pair.left.Close();
    pair.right.Close();
  };
  RunReal(main());
}

TEST(Stream, DrainDoesNotWaitBelowTheHighWaterMark) {
  const auto main = []() -> Task<> {
    Pair pair = MakePair();
    pair.left.Write("a little");
    co_await pair.left.Drain();  // would wait for ever: nobody reads
    pair.left.Close();
    pair.right.Close();
  };
  RunReal(main());
}

TEST(Stream, WriteAllKeepsTheOrderAmongSeveralWriters) {
  const auto main = []() -> Task<> {
    Pair pair = MakePair();
    const std::string a(1 << 20, 'a');
    const std::string b(1 << 20, 'b');
    const auto writes = [&](std::string_view text) -> Task<> { co_await pair.left.WriteAll(text); };
    TaskHandle<> first = Spawn(writes(a));
    TaskHandle<> second = Spawn(writes(b));
    co_await Yield();
    pair.left.Write("c");  // while the first is under way
    const std::string all = co_await pair.right.ReadExactly(a.size() + b.size() + 1);
    EXPECT_TRUE(all == a + "c" + b);
    co_await first;
    co_await second;
    pair.left.Close();
    pair.right.Close();
  };
  RunReal(main());
}

TEST(Stream, AReaderStillReadsAfterItHasEndedItsWriting) {
  const auto main = []() -> Task<> {
    Pair pair = MakePair();
    pair.left.Write("question");
    pair.left.WriteEof();
    const std::string question = co_await pair.right.ReadAll();
    EXPECT_EQ(question, "question");
    pair.right.Write("answer");
    pair.right.Close();
    const std::string answer = co_await pair.left.ReadAll();
    EXPECT_EQ(answer, "answer");
    EXPECT_THROW(pair.left.Write("more"), UsageError);
    pair.left.Close();
  };
  RunReal(main());
}

TEST(Stream, WriteEofComesAfterWhatIsStillInTheBuffer) {
  const auto main = []() -> Task<> {
    Pair pair = MakePair();
    const std::string text(1 << 20, 'x');
    pair.left.Write(text);
    pair.left.WriteEof();
    const std::string all = co_await pair.right.ReadAll();
    EXPECT_EQ(all.size(), text.size());
    pair.left.Close();
    pair.right.Close();
  };
  RunReal(main());
}

TEST(Stream, CloseSendsWhatIsInTheBufferFirst) {
  const auto main = []() -> Task<> {
    Pair pair = MakePair();
    const std::string text(1 << 20, 'x');
    pair.left.Write(text);
    pair.left.Close();
    EXPECT_TRUE(pair.left.is_closing());
    EXPECT_GE(pair.left.descriptor(), 0);
    const std::string all = co_await pair.right.ReadAll();
    EXPECT_EQ(all.size(), text.size());
    co_await pair.left.WaitClosed();
    EXPECT_EQ(pair.left.descriptor(), -1);
    EXPECT_THROW(pair.left.Write("more"), UsageError);
    pair.right.Close();
  };
  RunReal(main());
}

TEST(Stream, AbortDropsWhatIsInTheBuffer) {
  const auto main = []() -> Task<> {
    Pair pair = MakePair();
    const std::string text(1 << 20, 'x');
    pair.left.Write(text);
    pair.left.Abort();
    EXPECT_EQ(pair.left.descriptor(), -1);
    const std::string some = co_await pair.right.ReadAll();
    EXPECT_LT(some.size(), text.size());
    pair.right.Close();
  };
  RunReal(main());
}

TEST(Stream, AReaderSeesTheEndWhenItsOwnSideIsClosed) {
  const auto main = []() -> Task<std::string> {
    Pair pair = MakePair();
    const auto reads = [&]() -> Task<std::string> {
      std::string got = co_await pair.left.Read();
      co_return got;
    };
    TaskHandle<std::string> reader = Spawn(reads());
    co_await Yield();
    EXPECT_FALSE(reader.done());
    pair.left.Close();
    std::string got = co_await reader;
    pair.right.Close();
    co_return got;
  };
  EXPECT_EQ(RunReal(main()), "");
}

TEST(Stream, AWriteAllIsToldThatTheStreamWasClosed) {
  const auto main = []() -> Task<> {
    Pair pair = MakePair();
    const std::string text(1 << 20, 'x');
    const auto writes = [&]() -> Task<> { co_await pair.left.WriteAll(text); };
    TaskHandle<> writer = Spawn(writes());
    co_await Yield();
    EXPECT_FALSE(writer.done());
    pair.left.Abort();
    pair.right.Close();
    co_await writer;
  };
  EXPECT_THROW(RunReal(main()), ClosedError);
}

TEST(Stream, ASecondReaderIsRefused) {
  const auto main = []() -> Task<> {
    Pair pair = MakePair();
    const auto reads = [&]() -> Task<std::string> {
      std::string got = co_await pair.left.Read();
      co_return got;
    };
    TaskHandle<std::string> reader = Spawn(reads());
    co_await Yield();
    co_await pair.left.Read();
  };
  EXPECT_THROW(RunReal(main()), UsageError);
}

TEST(Stream, ACancelledReadLosesNothing) {
  const auto main = []() -> Task<> {
    Pair pair = MakePair();
    pair.left.Write("01234");
    const auto reads = [&]() -> Task<std::string> {
      std::string got = co_await pair.right.ReadExactly(10);
      co_return got;
    };
    TaskHandle<std::string> reader = Spawn(reads());
    for (int i = 0; i < 3; ++i) co_await Yield();
    reader.Cancel();
    try {
      co_await reader;
      ADD_FAILURE() << "it was not cancelled";
    } catch (const CancelledError&) {
    }
    pair.left.Write("56789");
    const std::string all = co_await pair.right.ReadExactly(10);
    EXPECT_EQ(all, "0123456789");
    pair.left.Close();
    pair.right.Close();
  };
  RunReal(main());
}

TEST(Stream, WritingToAPeerThatHasLeftThrowsFromDrainAndRaisesNoSignal) {
  struct sigaction before;
  sigaction(SIGPIPE, nullptr, &before);
  ASSERT_EQ(before.sa_handler, SIG_DFL) << "or the signal would not be noticed";
  const auto main = []() -> Task<> {
    Pair pair = MakePair();
    pair.right.Close();
    pair.left.Write("to nobody");
    int code = 0;
    try {
      co_await pair.left.Drain();
    } catch (const std::system_error& error) {
      code = error.code().value();
    }
    EXPECT_EQ(code, EPIPE);
    pair.left.Write("to nobody");  // is dropped
    EXPECT_EQ(pair.left.write_buffer_size(), 0U);
    pair.left.Close();
  };
  RunReal(main());
}

TEST(Stream, ABusyPeerDoesNotStarveTheOthers) {
  const auto main = []() -> Task<> {
    Pair pair = MakePair();
    pair.left.Write(std::string(10'000, '\n'));
    int turns = 0;
    bool done = false;
    const auto other = [&]() -> Task<> {
      while (!done) {
        ++turns;
        co_await Yield();
      }
    };
    TaskHandle<> counter = Spawn(other());
    for (int i = 0; i < 10'000; ++i) {
      const std::string line = co_await pair.right.ReadLine();
      EXPECT_EQ(line, "\n");
    }
    done = true;
    co_await counter;
    EXPECT_GE(turns, 10'000 / 64);
    pair.left.Close();
    pair.right.Close();
  };
  RunReal(main());
}

TEST(Stream, ThatWasMovedFromSaysSo) {
  const auto main = []() -> Task<> {
    Pair pair = MakePair();
    UnixStream moved = std::move(pair.left);
    EXPECT_TRUE(moved.valid());
    EXPECT_THROW(pair.left.Write("x"), UsageError);  // NOLINT(bugprone-use-after-move)
    moved.Close();
    pair.right.Close();
    co_return;
  };
  RunReal(main());
}

TEST(Stream, ThatIsNotClosedIsReportedWithItsCreation) {
  const KeptFindings findings;
  const auto main = []() -> Task<> {
    Pair pair = MakePair();
    pair.right.Close();
    co_return;
  };
  RunReal(main());
  ASSERT_THAT(findings.rules(), ElementsAre("unclosed-stream"));
  EXPECT_THAT(findings.all()[0].message, HasSubstr("without having been closed"));
  EXPECT_THAT(findings.all()[0].file, HasSubstr("stream_test.cc"));
  EXPECT_THAT(findings.all()[0].function, HasSubstr("MakePair"));
}

TEST(Stream, ThatIsClosedIsNoFinding) {
  const KeptFindings findings;
  const auto main = []() -> Task<> {
    Pair pair = MakePair();
    pair.left.Close();
    pair.right.Close();
    co_return;
  };
  RunReal(main());
  EXPECT_THAT(findings.rules(), IsEmpty());
}

TEST(Stream, ThatAnExceptionDestroysIsNoFinding) {
  const KeptFindings findings;
  const auto main = []() -> Task<> {
    Pair pair = MakePair();
    throw std::runtime_error("on its way");
    co_return;
  };
  EXPECT_THROW(RunReal(main()), std::runtime_error);
  EXPECT_THAT(findings.rules(), IsEmpty());
}

TEST(Stream, ThatOutlivesItsLoopIsClosedWithIt) {
  const KeptFindings findings;
  Pair pair;
  {
    RealLoop real;
    const auto main = [&]() -> Task<> {
      pair = MakePair();
      co_return;
    };
    real.Run(main());
  }
  EXPECT_EQ(pair.left.descriptor(), -1);
  EXPECT_THROW(pair.left.Write("x"), UsageError);
  EXPECT_THAT(findings.Messages("unclosed-stream").size(), 2U);
  EXPECT_THAT(findings.all()[0].message, HasSubstr("when its loop was closed"));
}

TEST(Stream, IsUsedOnItsLoopsThreadOnly) {
  const KeptFindings findings;
  const auto main = []() -> Task<> {
    Pair pair = MakePair();
    std::thread([&] { EXPECT_THROW(pair.left.Write("x"), UsageError); }).join();
    pair.left.Close();
    pair.right.Close();
    co_return;
  };
  RunReal(main());
  EXPECT_THAT(findings.rules(), ElementsAre("wrong-thread"));
}

TEST(OpenConnection, SaysWhyEachAddressRefused) {
  std::string said;
  const auto main = [&]() -> Task<> {
    SocketPair unused;
    // A port that was free a moment ago: bound, but nobody listens.
    const int bound = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const Address any = *Address::Parse("127.0.0.1", 0);
    EXPECT_EQ(bind(bound, any.data(), any.size()), 0);
    sockaddr_storage storage{};
    socklen_t bytes = sizeof storage;
    getsockname(bound, reinterpret_cast<sockaddr*>(&storage), &bytes);
    const Address address(reinterpret_cast<const sockaddr*>(&storage), bytes);
    int code = 0;
    try {
      TcpStream stream = co_await OpenConnection("127.0.0.1", address.port());
      ADD_FAILURE() << "nobody listens there";
    } catch (const std::system_error& error) {
      said = error.what();
      code = error.code().value();
    }
    EXPECT_EQ(code, ECONNREFUSED);
    close(bound);
  };
  RunReal(main());
  EXPECT_THAT(said, HasSubstr("connecting to 127.0.0.1:"));
  const std::string why = std::generic_category().message(ECONNREFUSED);
  EXPECT_EQ(said.find(why), said.rfind(why)) << said;
}

TEST(OpenUnixConnection, RefusesAPathThatIsTooLong) {
  const auto main = []() -> Task<> {
    UnixStream stream = co_await OpenUnixConnection(std::string(200, 'x'));
  };
  EXPECT_THROW(RunReal(main()), std::invalid_argument);
}

}  // namespace
}  // namespace loopsan::testing
