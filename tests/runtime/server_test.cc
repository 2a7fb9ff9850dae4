#include "runtime/server.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <stdexcept>
#include <string>
#include <system_error>
#include <vector>

#include "runtime/future.h"
#include "runtime/internal/frame_pool.h"  // LOOPSAN_PLAIN_FRAMES: it is sanitized
#include "runtime/sleep.h"
#include "tests/runtime/real_loop.h"
#include "tests/runtime/run_loop.h"

namespace loopsan::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

Task<> Echo(TcpStream stream) {
  for (;;) {
    const std::string bytes = co_await stream.Read();
    if (bytes.empty()) break;
    co_await stream.WriteAll(bytes);
  }
  stream.Close();
}

uint16_t PortOf(const Server& server) { return server.addresses().front().port(); }

Task<std::string> Ask(uint16_t port, std::string question) {
  TcpStream stream = co_await OpenConnection("127.0.0.1", port);
  stream.Write(question);
  stream.WriteEof();
  std::string answer = co_await stream.ReadAll();
  stream.Close();
  co_return answer;
}

Task<> End(Server& server) {
  server.Close();
  server.CloseClients();
  co_await server.WaitClosed();
}

TEST(Server, AnswersManyConnectionsAtOnce) {
  const auto main = []() -> Task<> {
    ServerOptions options;
    options.backlog = 256;  // all come before the first is taken
    Server server = co_await StartServer(Echo, "127.0.0.1", 0, options);
    EXPECT_TRUE(server.is_serving());
    std::vector<TaskHandle<std::string>> clients;
    for (int i = 0; i < 200; ++i) {
      clients.push_back(Spawn(Ask(PortOf(server), "question " + std::to_string(i))));
    }
    for (int i = 0; i < 200; ++i) {
      const std::string& answer = co_await clients[static_cast<size_t>(i)];
      EXPECT_EQ(answer, "question " + std::to_string(i));
    }
    co_await End(server);
    EXPECT_EQ(server.connections(), 0U);
    EXPECT_FALSE(server.is_serving());
  };
  const KeptFindings findings;
  RunReal(main());
  EXPECT_THAT(findings.rules(), IsEmpty());
}

TEST(Server, ListensOnEveryAddressOnOnePort) {
  const auto main = []() -> Task<> {
    Server server = co_await StartServer(Echo, "", 0);
    const std::vector<Address> addresses = server.addresses();
    EXPECT_GE(addresses.size(), 1U);
    for (const Address& address : addresses) EXPECT_EQ(address.port(), addresses[0].port());
    const std::string answer = co_await Ask(PortOf(server), "hello");
    EXPECT_EQ(answer, "hello");
    co_await End(server);
  };
  RunReal(main());
}

TEST(Server, KeepsTheCapturesOfItsHandlerAsLongAsItsConnections) {
  const auto main = []() -> Task<std::string> {
    Server server;
    {
      const std::string greeting = "greetings from a lambda that is long gone";
      const auto greet = [greeting](TcpStream stream) -> Task<> {
        co_await Yield();
        co_await stream.WriteAll(greeting);
      };
      server = co_await StartServer(greet, "127.0.0.1", 0);
    }
    std::string answer = co_await Ask(PortOf(server), "");
    co_await End(server);
    co_return answer;
  };
  EXPECT_EQ(RunReal(main()), "greetings from a lambda that is long gone");
}

TEST(Server, ClosesTheConnectionOfAHandlerThatThrowsAndTellsIt) {
  const KeptFindings findings;
  RealLoop real;
  std::vector<std::string> told;
  real.loop().SetExceptionHandler(
      [&](const ExceptionContext& context) { told.push_back(context.message); });
  const auto main = []() -> Task<std::string> {
    const auto fails = [](TcpStream stream) -> Task<> {
      co_await stream.ReadLine();
      throw std::runtime_error("from the handler");
    };
    Server server = co_await StartServer(fails, "127.0.0.1", 0);
    std::string answer = co_await Ask(PortOf(server), "x\n");
    co_await End(server);
    co_return answer;
  };
  EXPECT_EQ(real.Run(main()), "");
  EXPECT_THAT(told, ElementsAre("a connection's handler failed"));
  EXPECT_THAT(findings.rules(), IsEmpty());
}

TEST(Server, LeavesAConnectionOpenThatItsHandlerMovedElsewhere) {
  const auto main = []() -> Task<std::string> {
    TcpStream kept;
    Promise<> moved;
    const auto keeps = [&](TcpStream stream) -> Task<> {
      kept = std::move(stream);
      moved.SetValue();
      co_return;
    };
    Server server = co_await StartServer(keeps, "127.0.0.1", 0);
    TcpStream client = co_await OpenConnection("127.0.0.1", PortOf(server));
    const Future<> arrived = moved.future();
    co_await arrived;
    server.Close();
    co_await server.WaitClosed();
    kept.Write("still here");
    kept.Close();
    std::string got = co_await client.ReadAll();
    client.Close();
    co_return got;
  };
  EXPECT_EQ(RunReal(main()), "still here");
}

TEST(Server, CloseClientsLetsTheirReadersSeeTheEnd) {
  const auto main = []() -> Task<> {
    Server server = co_await StartServer(Echo, "127.0.0.1", 0);
    TcpStream client = co_await OpenConnection("127.0.0.1", PortOf(server));
    client.Write("x");
    const std::string echo = co_await client.ReadExactly(1);
    EXPECT_EQ(echo, "x");
    EXPECT_EQ(server.connections(), 1U);
    co_await End(server);
    const std::string end = co_await client.ReadAll();
    EXPECT_EQ(end, "");
    client.Close();
  };
  RunReal(main());
}

TEST(Server, CancelClientsEndsHandlersThatWaitForSomethingElse) {
  const auto main = []() -> Task<> {
    bool cancelled = false;
    Promise<> begun;
    const auto waits = [&](TcpStream) -> Task<> {
      begun.SetValue();
      try {
        co_await SleepFor(std::chrono::hours(1));
      } catch (const CancelledError&) {
        cancelled = true;
        throw;
      }
    };
    Server server = co_await StartServer(waits, "127.0.0.1", 0);
    TcpStream client = co_await OpenConnection("127.0.0.1", PortOf(server));
    const Future<> arrived = begun.future();
    co_await arrived;
    server.Close();
    server.CancelClients();
    co_await server.WaitClosed();
    EXPECT_TRUE(cancelled);
    const std::string end = co_await client.ReadAll();
    EXPECT_EQ(end, "");
    client.Close();
  };
  RunReal(main());
}

TEST(Server, AConnectionThatIsCancelledBeforeItBeganIsOver) {
  const auto main = []() -> Task<> {
    Server server = co_await StartServer(Echo, "127.0.0.1", 0);
    TcpStream client = co_await OpenConnection("127.0.0.1", PortOf(server));
    while (server.connections() == 0) co_await Yield();
    server.CancelClients();
    server.Close();
    co_await server.WaitClosed();
    EXPECT_EQ(server.connections(), 0U);
    client.Close();
  };
  RunReal(main());
}

TEST(Server, AbortClientsEndsThoseThatDoNotRead) {
  const auto main = []() -> Task<> {
    Promise<> stalled;
    const auto floods = [&](TcpStream stream) -> Task<> {
      stream.Write(std::string(32 << 20, 'x'));
      stalled.SetValue();
      co_await stream.Drain();
    };
    Server server = co_await StartServer(floods, "127.0.0.1", 0);
    TcpStream client = co_await OpenConnection("127.0.0.1", PortOf(server));
    const Future<> waits = stalled.future();
    co_await waits;
    server.Close();
    server.AbortClients();
    co_await server.WaitClosed();
    client.Close();
  };
  RunReal(main());
}

TEST(Server, SurvivesThatNoDescriptorIsLeft) {
#ifdef LOOPSAN_PLAIN_FRAMES
  GTEST_SKIP() << "UBSan looks at memory through a pipe, and has no descriptor left for it";
#endif
  RealLoop real;
  std::vector<std::string> told;
  std::vector<int> hoard;
  real.loop().SetExceptionHandler([&](const ExceptionContext& context) {
    told.push_back(context.message);
    // Room again, before it tries for the second time.
    for (const int fd : hoard) close(fd);
    hoard.clear();
  });
  rlimit before{};
  getrlimit(RLIMIT_NOFILE, &before);
  const auto main = [&]() -> Task<> {
    ServerOptions options;
    options.accept_pause = std::chrono::milliseconds(1);
    Server server = co_await StartServer(Echo, "127.0.0.1", 0, options);
    SocketPair spare;
    // UBSan checks the first use of each class by means of a pipe, for which there
    // will be no room.
    EXPECT_STRNE(std::system_error(EMFILE, std::generic_category(), "accept").what(), "");
    rlimit low = before;
    low.rlim_cur = static_cast<rlim_t>(spare.fd(1)) + 8;
    setrlimit(RLIMIT_NOFILE, &low);
    // One is left, for the client's side.
    for (int fd = 0; fd >= 0;) {
      fd = fcntl(spare.fd(0), F_DUPFD_CLOEXEC, 0);
      if (fd >= 0) hoard.push_back(fd);
    }
    EXPECT_FALSE(hoard.empty());
    if (hoard.empty()) co_return;
    close(hoard.back());
    hoard.pop_back();
    const std::string answer = co_await Ask(PortOf(server), "hello");
    EXPECT_EQ(answer, "hello");
    co_await End(server);
  };
  real.Run(main());
  setrlimit(RLIMIT_NOFILE, &before);
  EXPECT_THAT(told, ElementsAre("a server can take no more connections for now"));
}

TEST(Server, ThatIsNotClosedIsReported) {
  const KeptFindings findings;
  const auto main = []() -> Task<> {
    const Server server = co_await StartServer(Echo, "127.0.0.1", 0);
  };
  RunReal(main());
  ASSERT_THAT(findings.rules(), ElementsAre("unclosed-server"));
  EXPECT_THAT(findings.all()[0].file, HasSubstr("server_test.cc"));
}

TEST(Server, ThatOutlivesItsLoopIsReportedAndClosed) {
  const KeptFindings findings;
  Server server;
  {
    RealLoop real;
    const auto main = [&]() -> Task<> { server = co_await StartServer(Echo, "127.0.0.1", 0); };
    real.Run(main());
  }
  EXPECT_THAT(findings.rules(), ElementsAre("unclosed-server"));
  EXPECT_FALSE(server.is_serving());
  EXPECT_THROW(static_cast<void>(server.WaitClosed()), UsageError);
}

TEST(Server, SaysThatItsPortIsTaken) {
  const auto main = []() -> Task<> {
    Server first = co_await StartServer(Echo, "127.0.0.1", 0);
    std::string said;
    try {
      Server second = co_await StartServer(Echo, "127.0.0.1", PortOf(first));
      second.Close();
    } catch (const std::system_error& error) {
      said = error.what();
    }
    EXPECT_THAT(said, HasSubstr("binding a socket to 127.0.0.1:"));
    co_await End(first);
  };
  RunReal(main());
}

class UnixServer : public ::testing::Test {
 protected:
  UnixServer() {
    char name[] = "/tmp/loopsan_server_XXXXXX";
    folder_ = mkdtemp(name);
    path_ = folder_ + "/socket";
  }
  ~UnixServer() override {
    unlink(path_.c_str());
    rmdir(folder_.c_str());
  }
  bool PathExists() const {
    struct stat found{};
    return stat(path_.c_str(), &found) == 0;
  }
  static Task<> Greet(UnixStream stream) {
    const std::string name = co_await stream.ReadLine();
    stream.Write("hello " + name);
    stream.Close();
  }
  static Task<std::string> AskUnix(std::string path) {
    UnixStream stream = co_await OpenUnixConnection(path);
    stream.Write("you\n");
    std::string answer = co_await stream.ReadAll();
    stream.Close();
    co_return answer;
  }
  std::string folder_;
  std::string path_;
};

TEST_F(UnixServer, AnswersAndRemovesItsSocketAtTheEnd) {
  const auto main = [&]() -> Task<std::string> {
    Server server = co_await StartUnixServer(Greet, path_);
    EXPECT_EQ(server.addresses().front().path(), path_);
    std::string answer = co_await AskUnix(path_);
    co_await End(server);
    co_return answer;
  };
  EXPECT_EQ(RunReal(main()), "hello you\n");
  EXPECT_FALSE(PathExists());
}

TEST_F(UnixServer, TakesThePlaceOfASocketThatWasLeftThere) {
  const auto main = [&]() -> Task<std::string> {
    Server old = co_await StartUnixServer(Greet, path_);
    Server server = co_await StartUnixServer(Greet, path_);
    co_await End(old);
    EXPECT_TRUE(PathExists()) << "the old one removed the socket of the new one";
    std::string answer = co_await AskUnix(path_);
    co_await End(server);
    co_return answer;
  };
  EXPECT_EQ(RunReal(main()), "hello you\n");
}

TEST_F(UnixServer, ListensInTheAbstractNameSpace) {
  const auto main = [&]() -> Task<std::string> {
    const std::string name = std::string(1, '\0') + path_;
    Server server = co_await StartUnixServer(Greet, name);
    std::string answer = co_await AskUnix(name);
    co_await End(server);
    co_return answer;
  };
  EXPECT_EQ(RunReal(main()), "hello you\n");
}

}  // namespace
}  // namespace loopsan::testing
