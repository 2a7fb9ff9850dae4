// An unmodified nginx with two workers, under wrk.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <filesystem>
#include <fstream>

#include "tests/support/http_client.h"
#include "tests/support/loopsan_run.h"
#include "tests/support/report_search.h"

namespace loopsan::testing {
namespace {

class Nginx : public ::testing::Test {
 protected:
  // `user` is nginx's directive of that name; it has no effect unless root runs the test.
  LoopsanResult ServeWrk(const std::string& user) {
    WriteConfiguration(user);
    LoopsanProcess server(
        {"nginx", "-p", directory_.path(), "-c", directory_ / "nginx.conf", "-e", "stderr"});
    EXPECT_TRUE(WaitForPort(port_)) << server.process().error();
    const Finished wrk = RunCommand(
        {{"wrk", "-t1", "-c64", "-d3s", "http://127.0.0.1:" + std::to_string(port_) + "/"},
         {},
         {}});
    EXPECT_EQ(wrk.exit_code, 0) << wrk.err;
    EXPECT_EQ(wrk.out.find("Non-2xx"), std::string::npos) << wrk.out;
    server.Signal(SIGTERM);
    return server.Wait();
  }

  static int LoopingProcesses(const Json& report) {
    int processes = 0;
    for (const Json& process : report.value("processes", Json::array())) {
      for (const Json& loop : process["loops"]) {
        if (loop["turns"] >= 100) {
          ++processes;
          break;
        }
      }
    }
    return processes;
  }

 private:
  void WriteConfiguration(const std::string& user) {
    // The workers' user must reach it.
    std::filesystem::permissions(directory_.path(), std::filesystem::perms{0755});
    std::ofstream(directory_ / "index.html") << std::string(4096, 'x');
    std::ofstream(directory_ / "nginx.conf") << "user " << user << ";\n"
                                             << "daemon off;\n"
                                                "worker_processes 2;\n"
                                                "pid nginx.pid;\n"
                                                "events { worker_connections 256; }\n"
                                                "http {\n"
                                                "  access_log off;\n"
                                                "  client_body_temp_path body;\n"
                                                "  proxy_temp_path proxy;\n"
                                                "  fastcgi_temp_path fastcgi;\n"
                                                "  uwsgi_temp_path uwsgi;\n"
                                                "  scgi_temp_path scgi;\n"
                                                "  server {\n"
                                             << "    listen 127.0.0.1:" << port_ << ";\n"
                                             << "    root " << directory_.path() << ";\n"
                                             << "  }\n"
                                                "}\n";
  }

  const int port_ = PickFreePort();
  TemporaryDirectory directory_;
};

TEST_F(Nginx, WithWorkersOfTheSameUserIsNotAccused) {
  const LoopsanResult result = ServeWrk("root root");
  SCOPED_TRACE(Describe(result));
  EXPECT_EQ(result.exit_code, 0);
  EXPECT_TRUE(AccusesNobody(result.report));
  EXPECT_EQ(LoopingProcesses(result.report), 2);
}

TEST_F(Nginx, WithWorkersOfAnotherUserIsWatchedOrTheReportSaysWhyNot) {
  const LoopsanResult result = ServeWrk("www-data");
  SCOPED_TRACE(Describe(result));
  EXPECT_EQ(result.exit_code, 0);
  if (LoopingProcesses(result.report) == 2) {
    EXPECT_TRUE(AccusesNobody(result.report));
  } else {
    EXPECT_THAT(result.report.value("warnings", Json::array()),
                ::testing::Not(::testing::IsEmpty()));
  }
}

}  // namespace
}  // namespace loopsan::testing
