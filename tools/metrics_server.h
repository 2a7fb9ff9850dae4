// The HTTP server of `--metrics`: read-only, a few fixed paths.
//
// Threads: the functions of Pages are called on the server's own threads, several at
// a time.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "reporters/options.h"

struct mg_context;
struct mg_connection;

namespace loopsan {

struct Page {
  std::string content_type;
  std::function<std::string()> text;
};
using Pages = std::map<std::string, Page>;  // by path: "/metrics"

class MetricsServer {
 public:
  // Listens from now on. Errors: Unavailable, the address cannot be had; with a remedy.
  static absl::StatusOr<std::unique_ptr<MetricsServer>> Start(const Address& address, Pages pages);
  // Waits for requests that are being answered.
  ~MetricsServer();
  MetricsServer(const MetricsServer&) = delete;
  MetricsServer& operator=(const MetricsServer&) = delete;

  std::string Url() const;  // "http://127.0.0.1:9464"
  bool is_local() const { return is_local_; }

 private:
  explicit MetricsServer(Pages pages) : pages_(std::move(pages)) {}
  static int Answer(mg_connection* connection, void* server);
  int AnswerWith(mg_connection* connection);
  int Port() const;

  const Pages pages_;
  std::string host_;
  bool is_local_ = false;  // listens on a loopback address
  mg_context* context_ = nullptr;
};

// Sends `text` to the Pushgateway, where it takes the place of what was
// pushed for the same job before. Errors: Unavailable, what the gateway said or that it did not.
absl::Status PushMetrics(const Gateway& gateway, const std::string& text);

}  // namespace loopsan
