#include "runtime/datagram.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <unistd.h>

#include <string>

#include "runtime/sleep.h"
#include "runtime/stream.h"
#include "tests/runtime/real_loop.h"
#include "tests/runtime/run_loop.h"

namespace loopsan::testing {
namespace {

using ::testing::ElementsAre;

Task<DatagramSocket> OpenLocal() {
  DatagramOptions options;
  options.local_host = "127.0.0.1";
  DatagramSocket socket = co_await OpenDatagramSocket(options);
  co_return socket;
}

TEST(DatagramSocket, KnowsWhoSentWhat) {
  const auto main = []() -> Task<> {
    DatagramSocket a = co_await OpenLocal();
    DatagramSocket b = co_await OpenLocal();
    co_await a.SendTo("one", b.local_address());
    co_await a.SendTo("", b.local_address());
    const Datagram first = co_await b.ReceiveFrom();
    EXPECT_EQ(first.bytes, "one");
    EXPECT_EQ(first.from, a.local_address());
    const Datagram second = co_await b.ReceiveFrom();
    EXPECT_EQ(second.bytes, "");
    co_await b.SendTo("back", first.from);
    const Datagram back = co_await a.ReceiveFrom();
    EXPECT_EQ(back.bytes, "back");
    a.Close();
    b.Close();
  };
  RunReal(main());
}

TEST(DatagramSocket, WaitsForADatagram) {
  const auto main = []() -> Task<> {
    DatagramSocket a = co_await OpenLocal();
    DatagramSocket b = co_await OpenLocal();
    const auto receives = [&]() -> Task<Datagram> {
      Datagram datagram = co_await b.ReceiveFrom(2);
      co_return datagram;
    };
    TaskHandle<Datagram> receiver = Spawn(receives());
    co_await Yield();
    EXPECT_FALSE(receiver.done());
    co_await a.SendTo("cut off", b.local_address());
    const Datagram datagram = co_await receiver;
    EXPECT_EQ(datagram.bytes, "cu");
    a.Close();
    b.Close();
  };
  RunReal(main());
}

TEST(DatagramSocket, ThatIsConnectedIsToldThatNobodyIsThere) {
  const auto main = []() -> Task<int> {
    DatagramSocket gone = co_await OpenLocal();
    DatagramOptions options;
    options.remote_host = "127.0.0.1";
    options.remote_port = gone.local_address().port();
    DatagramSocket socket = co_await OpenDatagramSocket(options);
    EXPECT_EQ(socket.peer_address(), gone.local_address());
    gone.Close();
    co_await socket.Send("hello?");
    int code = 0;
    try {
      co_await socket.ReceiveFrom();
    } catch (const std::system_error& error) {
      code = error.code().value();
    }
    socket.Close();
    co_return code;
  };
  EXPECT_EQ(RunReal(main()), ECONNREFUSED);
}

TEST(DatagramSocket, ThrowsInWhoWaitsWhenItIsClosed) {
  const auto main = []() -> Task<> {
    DatagramSocket socket = co_await OpenLocal();
    const auto receives = [&]() -> Task<> { co_await socket.ReceiveFrom(); };
    TaskHandle<> receiver = Spawn(receives());
    co_await Yield();
    socket.Close();
    EXPECT_TRUE(socket.is_closed());
    co_await receiver;
  };
  EXPECT_THROW(RunReal(main()), ClosedError);
}

TEST(DatagramSocket, WaitsForRoomAtTheReceiver) {
  const auto main = []() -> Task<> {
    const std::string name =
        std::string(1, '\0') + "loopsan-datagram-test-" + std::to_string(getpid());
    UnixDatagramOptions here;
    here.local_path = name;
    DatagramSocket receiver = OpenUnixDatagramSocket(here);
    UnixDatagramOptions there;
    there.remote_path = name;
    DatagramSocket sender = OpenUnixDatagramSocket(there);
    constexpr int kMany = 1000;  // more than the receiver's queue takes
    const auto sends = [&]() -> Task<> {
      for (int i = 0; i < kMany; ++i) co_await sender.Send(std::to_string(i));
    };
    TaskHandle<> task = Spawn(sends());
    for (int i = 0; i < 50; ++i) co_await Yield();
    EXPECT_FALSE(task.done());
    for (int i = 0; i < kMany; ++i) {
      const Datagram datagram = co_await receiver.ReceiveFrom();
      EXPECT_EQ(datagram.bytes, std::to_string(i));
    }
    co_await task;
    sender.Close();
    receiver.Close();
  };
  RunReal(main());
}

TEST(DatagramSocket, ThatIsNotClosedIsReported) {
  const KeptFindings findings;
  const auto main = []() -> Task<> { const DatagramSocket socket = co_await OpenLocal(); };
  RunReal(main());
  EXPECT_THAT(findings.rules(), ElementsAre("unclosed-stream"));
}

}  // namespace
}  // namespace loopsan::testing
