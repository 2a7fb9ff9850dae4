#include "runtime/internal/readiness.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <string>

#include "runtime/sleep.h"
#include "tests/runtime/real_loop.h"
#include "tests/runtime/run_loop.h"

namespace loopsan::testing {
namespace {

using internal::Descriptor;
using internal::Readiness;

Task<bool> WaitToRead(Readiness& readiness) {
  readiness.MarkUnreadable();
  const bool open = co_await readiness.Readable();
  co_return open;
}

TEST(Readiness, WakesItsReaderWhenBytesCome) {
  const auto main = []() -> Task<bool> {
    SocketPair pair;
    Readiness readiness(EventLoop::Running(), Descriptor(pair.Take(0)), "socket");
    TaskHandle<bool> reader = Spawn(WaitToRead(readiness));
    co_await Yield();
    EXPECT_FALSE(reader.done());
    EXPECT_EQ(write(pair.fd(1), "x", 1), 1);
    co_return co_await reader;
  };
  EXPECT_TRUE(RunReal(main()));
}

TEST(Readiness, WakesItsReaderWhenThePeerEnds) {
  const auto main = []() -> Task<bool> {
    SocketPair pair;
    Readiness readiness(EventLoop::Running(), Descriptor(pair.Take(0)), "socket");
    TaskHandle<bool> reader = Spawn(WaitToRead(readiness));
    co_await Yield();
    close(pair.Take(1));
    co_return co_await reader;
  };
  EXPECT_TRUE(RunReal(main()));
}

TEST(Readiness, WakesItsWriterWhenThePeerMakesRoom) {
  const auto main = []() -> Task<bool> {
    SocketPair pair;
    Readiness readiness(EventLoop::Running(), Descriptor(pair.Take(0)), "socket");
    const std::string chunk(4096, 'x');
    while (write(readiness.fd(), chunk.data(), chunk.size()) > 0) {
    }
    readiness.MarkUnwritable();
    const auto writes = [&]() -> Task<bool> {
      const bool open = co_await readiness.Writable();
      co_return open;
    };
    TaskHandle<bool> writer = Spawn(writes());
    co_await Yield();
    EXPECT_FALSE(writer.done());
    std::string room(1 << 20, ' ');
    while (read(pair.fd(1), room.data(), room.size()) > 0) {
    }
    co_return co_await writer;
  };
  EXPECT_TRUE(RunReal(main()));
}

TEST(Readiness, TellsWhoWaitsThatItWasClosed) {
  const auto main = []() -> Task<bool> {
    SocketPair pair;
    Readiness readiness(EventLoop::Running(), Descriptor(pair.Take(0)), "socket");
    TaskHandle<bool> reader = Spawn(WaitToRead(readiness));
    co_await Yield();
    readiness.Close();
    EXPECT_FALSE(readiness.is_open());
    co_return co_await reader;
  };
  EXPECT_FALSE(RunReal(main()));
}

TEST(Readiness, RefusesASecondReader) {
  const auto main = []() -> Task<> {
    SocketPair pair;
    Readiness readiness(EventLoop::Running(), Descriptor(pair.Take(0)), "socket");
    TaskHandle<bool> reader = Spawn(WaitToRead(readiness));
    co_await Yield();
    co_await readiness.Readable();
  };
  EXPECT_THROW(RunReal(main()), UsageError);
}

TEST(Readiness, LetsOneReadAndOneWriteAtTheSameTime) {
  const auto main = []() -> Task<bool> {
    SocketPair pair;
    Readiness readiness(EventLoop::Running(), Descriptor(pair.Take(0)), "socket");
    TaskHandle<bool> reader = Spawn(WaitToRead(readiness));
    co_await Yield();
    const bool open = co_await readiness.Writable();
    co_return open && !reader.done();
  };
  EXPECT_TRUE(RunReal(main()));
}

TEST(Readiness, CanBeWaitedForAgainAfterACancellation) {
  const auto main = []() -> Task<bool> {
    SocketPair pair;
    Readiness readiness(EventLoop::Running(), Descriptor(pair.Take(0)), "socket");
    TaskHandle<bool> first = Spawn(WaitToRead(readiness));
    co_await Yield();
    first.Cancel();
    try {
      co_await first;
      ADD_FAILURE() << "it was not cancelled";
    } catch (const CancelledError&) {
    }
    TaskHandle<bool> second = Spawn(WaitToRead(readiness));
    co_await Yield();
    EXPECT_EQ(write(pair.fd(1), "x", 1), 1);
    co_return co_await second;
  };
  EXPECT_TRUE(RunReal(main()));
}

TEST(Readiness, GivesItsDescriptorBackUnwatched) {
  const auto main = []() -> Task<> {
    SocketPair pair;
    EventLoop& loop = EventLoop::Running();
    Readiness first(loop, Descriptor(pair.Take(0)), "socket");
    Descriptor released = first.Release();
    EXPECT_FALSE(first.is_open());
    const Readiness second(loop, std::move(released), "socket");  // throws if it is watched
    EXPECT_TRUE(second.is_open());
    co_return;
  };
  RunReal(main());
}

TEST(Readiness, ClosesItsDescriptorWithTheLoop) {
  SocketPair pair;
  EventLoop loop;
  Readiness readiness(loop, Descriptor(pair.Take(0)), "socket");
  loop.Close();
  EXPECT_FALSE(readiness.is_open());
  EXPECT_EQ(readiness.loop(), nullptr);
  char byte = 0;
  EXPECT_EQ(read(pair.fd(1), &byte, 1), 0);  // the peer sees the end
}

TEST(Readiness, OfABlockingDescriptorIsReported) {
  const KeptFindings findings;
  const auto main = []() -> Task<> {
    int ends[2];
    EXPECT_EQ(pipe(ends), 0);
    const Readiness readiness(EventLoop::Running(), Descriptor(ends[0]), "pipe");
    close(ends[1]);
    co_return;
  };
  RunReal(main());
  EXPECT_THAT(findings.rules(), ::testing::ElementsAre("blocking-descriptor"));
}

}  // namespace
}  // namespace loopsan::testing
