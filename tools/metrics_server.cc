#include "tools/metrics_server.h"

#include <civetweb.h>
#include <errno.h>
#include <signal.h>

#include <chrono>
#include <cstring>
#include <future>
#include <mutex>
#include <string_view>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "tools/signals.h"

namespace loopsan {
namespace {

constexpr int kPushTimeoutMilliseconds = 10'000;

bool IsLoopback(std::string_view address) {
  return address.starts_with("127.") || address == "[::1]";
}

// A page of another site may lead a browser here under that site's name, and read what
// comes back: only names that nobody else can own are answered on a loopback address.
bool IsOwnName(std::string_view host) {
  if (const size_t colon = host.rfind(':');
      colon != std::string_view::npos && host.find(']', colon) == std::string_view::npos) {
    host = host.substr(0, colon);
  }
  return host == "localhost" || IsLoopback(host);
}

int Log(const mg_connection*, const char*) { return 1; }  // a client's troubles are its own

void Send(mg_connection* connection, int status, std::string_view reason,
          std::string_view content_type, std::string_view body, bool with_body) {
  // What the pages need to ask for is theirs to say; frames and guesses are not.
  mg_printf(connection,
            "HTTP/1.1 %d %.*s\r\nContent-Type: %.*s\r\nContent-Length: %zu\r\n"
            "Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n"
            "X-Frame-Options: DENY\r\nReferrer-Policy: no-referrer\r\nConnection: close\r\n%s\r\n",
            status, static_cast<int>(reason.size()), reason.data(),
            static_cast<int>(content_type.size()), content_type.data(), body.size(),
            status == 405 ? "Allow: GET, HEAD\r\n" : "");
  if (with_body) mg_write(connection, body.data(), body.size());
}

void InitLibrary() {
  static std::once_flag once;
  std::call_once(once, [] { mg_init_library(MG_FEATURES_DEFAULT); });
}

}  // namespace

int MetricsServer::Answer(mg_connection* connection, void* server) {
  return static_cast<MetricsServer*>(server)->AnswerWith(connection);
}

int MetricsServer::AnswerWith(mg_connection* connection) {
  const mg_request_info* const request = mg_get_request_info(connection);
  const std::string_view method = request->request_method;
  const bool is_get = method == "GET";
  const auto refuse = [&](int status, std::string_view reason, std::string_view why) {
    Send(connection, status, reason, "text/plain; charset=utf-8", why, method != "HEAD");
    return status;
  };
  if (!is_get && method != "HEAD") {
    return refuse(405, "Method Not Allowed", "nothing can be changed here\n");
  }
  const char* const host = mg_get_header(connection, "Host");
  if (is_local_ && host != nullptr && !IsOwnName(host)) {
    return refuse(403, "Forbidden", "ask by address: http://127.0.0.1 or http://localhost\n");
  }
  const auto page = pages_.find(request->local_uri != nullptr ? request->local_uri : "");
  if (page == pages_.end()) return refuse(404, "Not Found", "no such page; try / or /metrics\n");
  const std::string text = page->second.text();
  Send(connection, 200, "OK", page->second.content_type, text, is_get);
  return 200;
}

absl::StatusOr<std::unique_ptr<MetricsServer>> MetricsServer::Start(const Address& address,
                                                                    Pages pages) {
  InitLibrary();
  const WithoutSignals quietly;
  std::unique_ptr<MetricsServer> server(new MetricsServer(std::move(pages)));
  server->host_ = address.address;
  server->is_local_ = IsLoopback(address.address);
  const std::string listen = absl::StrCat(address.address, ":", address.port);
  // Who connects and asks nothing has a thread for a second: Prometheus gets through.
  const char* options[] = {"listening_ports",    listen.c_str(), "num_threads", "16",
                           "request_timeout_ms", "1000",         nullptr};
  mg_callbacks callbacks{};
  callbacks.log_message = Log;
  const struct sigaction before = [] {
    struct sigaction action{};
    sigaction(SIGPIPE, nullptr, &action);
    return action;
  }();
  errno = 0;
  server->context_ = mg_start(&callbacks, server.get(), options);
  const int error = errno;
  sigaction(SIGPIPE, &before, nullptr);  // blocked in the server's threads
  if (server->context_ == nullptr) {
    return absl::UnavailableError(absl::StrCat(
        "--metrics: cannot listen at ", listen, ": ",
        error != 0 ? std::strerror(error) : "the address is not to be had",
        "; another port, or 0 for any that is free, may be: --metrics=", address.address, ":0"));
  }
  mg_set_request_handler(server->context_, "/", Answer, server.get());
  return server;
}

// The library's thread looks when somebody connects whether it is to stop, else every two
// seconds: the command that was watched is over, and nobody should wait for that.
MetricsServer::~MetricsServer() {
  if (context_ == nullptr) return;
  const int port = Port();
  std::promise<void> stopping;
  const std::future<void> stopped = stopping.get_future();
  std::thread stop([&] {
    mg_stop(context_);
    stopping.set_value();
  });
  do {
    char error[64];
    mg_connection* const knock = mg_connect_client(host_.c_str(), port, 0, error, sizeof error);
    if (knock != nullptr) mg_close_connection(knock);
  } while (stopped.wait_for(std::chrono::milliseconds(5)) == std::future_status::timeout);
  stop.join();
}

int MetricsServer::Port() const {
  mg_server_port ports[1] = {};
  mg_get_server_ports(context_, 1, ports);
  return ports[0].port;
}

std::string MetricsServer::Url() const { return absl::StrCat("http://", host_, ":", Port()); }

absl::Status PushMetrics(const Gateway& gateway, const std::string& text) {
  InitLibrary();
  const auto& [host, port] = gateway.address;
  const std::string name = absl::StrCat(host, ":", port);
  const auto fail = [&](std::string_view why) {
    return absl::UnavailableError(
        absl::StrCat("--pushgateway: nothing was pushed to ", name, ": ", std::string(why)));
  };
  char error[256] = {};
  mg_connection* const connection = mg_connect_client(host.c_str(), port, 0, error, sizeof error);
  if (connection == nullptr) return fail(error);
  mg_printf(connection,
            "PUT /metrics/job/%s HTTP/1.1\r\nHost: %s\r\nContent-Type: text/plain; "
            "version=0.0.4\r\nContent-Length: %zu\r\nConnection: close\r\n\r\n",
            gateway.job.c_str(), name.c_str(), text.size());
  mg_write(connection, text.data(), text.size());
  absl::Status status;
  if (mg_get_response(connection, error, sizeof error, kPushTimeoutMilliseconds) < 0) {
    status = fail(
        absl::StrCat("no answer within ", kPushTimeoutMilliseconds / 1000, " s (", error, ")"));
  } else if (const mg_response_info* response = mg_get_response_info(connection);
             response == nullptr || response->status_code / 100 != 2) {
    status = fail(absl::StrCat("it answered ", response != nullptr ? response->status_code : 0));
  }
  mg_close_connection(connection);
  return status;
}

}  // namespace loopsan
