#include "tools/live_outputs.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include <chrono>
#include <cstring>
#include <filesystem>
#include <sstream>
#include <streambuf>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "reporters/metrics_text.h"
#include "reporters/prometheus_metrics.h"
#include "reporters/reporter.h"
#include "reporters/status_page.h"
#include "tools/output.h"
#include "tools/signals.h"

namespace loopsan {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::chrono::seconds kBetweenLooks{1};
// In looks: how often findings that were logged before are looked at again, and how often
// the metrics file is written.
constexpr int kLooksForAgain = 10;
constexpr int kLooksForFile = 5;

// Writes whole lines to a descriptor, as they come.
class DescriptorBuffer : public std::streambuf {
 public:
  explicit DescriptorBuffer(int descriptor) : descriptor_(descriptor) {}
  ~DescriptorBuffer() override { close(descriptor_); }
  DescriptorBuffer(const DescriptorBuffer&) = delete;
  DescriptorBuffer& operator=(const DescriptorBuffer&) = delete;

 protected:
  std::streamsize xsputn(const char* text, std::streamsize bytes) override {
    const int error = WriteAll(descriptor_, {text, static_cast<size_t>(bytes)});
    errno = error;
    return error == 0 ? bytes : 0;
  }
  int_type overflow(int_type character) override {
    const char byte = static_cast<char>(character);
    return xsputn(&byte, 1) == 1 ? character : traits_type::eof();
  }

 private:
  const int descriptor_;
};

absl::Status Failed(const std::string& what, int error, const std::string& remedy) {
  return absl::UnavailableError(absl::StrCat(what, ": ", std::strerror(error), "; ", remedy));
}

}  // namespace

absl::StatusOr<std::unique_ptr<LiveOutputs>> LiveOutputs::Open(const Options& options,
                                                               const Suppressions* suppressions) {
  std::unique_ptr<LiveOutputs> live(new LiveOutputs(options, suppressions));
  if (!options.metrics_address.empty()) {
    if (absl::Status status = live->Serve(); !status.ok()) return status;
  }
  if (!options.findings_path.empty()) {
    if (absl::Status status = live->OpenFindings(); !status.ok()) return status;
  }
  if (!options.metrics_path.empty() && options.metrics_path != "-") {
    // An empty run so far; whether it can be written is known before the command runs.
    if (absl::Status status = live->WriteMetricsFile(); !status.ok()) return status;
  }
  return live;
}

LiveOutputs::~LiveOutputs() {
  server_.reset();
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  stop_changed_.notify_all();
  if (writer_.joinable()) writer_.join();
}

absl::Status LiveOutputs::Serve() {
  Address address;
  if (absl::Status status = ParseListenAddress(options_.metrics_address, address); !status.ok()) {
    return status;
  }
  const auto json = [this] {
    std::ostringstream text;
    WriteJson(Snapshot(), {}, text);
    return text.str();
  };
  absl::StatusOr<std::unique_ptr<MetricsServer>> server = MetricsServer::Start(
      address, {{"/", {"text/html; charset=utf-8", StatusPage}},
                {"/metrics", {kMetricsContentType, [this] { return Metrics(); }}},
                {"/status.json", {"application/json", [this] { return StatusJson(Snapshot()); }}},
                {"/report.json", {"application/json", json}}});
  if (!server.ok()) return server.status();
  server_ = *std::move(server);
  return absl::OkStatus();
}

absl::Status LiveOutputs::OpenFindings() {
  const std::string& path = options_.findings_path;
  const int descriptor =
      path == "-" ? fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, STDERR_FILENO + 1)
                  : open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOCTTY, 0666);
  if (descriptor < 0) {
    return Failed(absl::StrCat("--findings: cannot write ", path), errno,
                  "name a file in a folder that you may write to, or use - for standard output");
  }
  findings_buffer_ = std::make_unique<DescriptorBuffer>(descriptor);
  findings_stream_ = std::make_unique<std::ostream>(findings_buffer_.get());
  findings_ = std::make_unique<FindingsLog>(findings_stream_.get());
  return absl::OkStatus();
}

std::string LiveOutputs::Announcement() const {
  if (server_ == nullptr) return "";
  const std::string url = server_->Url();
  return absl::StrCat(
      "loopsan: metrics at ", url, "/metrics, a page at ", url, "/\n",
      server_->is_local()
          ? ""
          : "loopsan: other machines may reach this address, and read names, lines "
            "and command lines of the program; --metrics=PORT is for this one only\n");
}

void LiveOutputs::Start(Collector* collector, std::vector<std::string> command) {
  command_ = std::move(command);
  // Release: who sees it sees the command, too.
  collector_.store(collector, std::memory_order_release);
  if (findings_ == nullptr && (options_.metrics_path.empty() || options_.metrics_path == "-")) {
    return;
  }
  const WithoutSignals quietly;
  writer_ = std::thread([this] { WriteNowAndThen(); });
}

Report LiveOutputs::Snapshot() const {
  Collector* const collector = collector_.load(std::memory_order_acquire);
  if (collector == nullptr) return {};
  Report report = collector->Snapshot();
  report.command = command_;
  ApplySuppressions(report, *suppressions_, Today());
  return report;
}

std::string LiveOutputs::Metrics() const {
  Collector* const collector = collector_.load(std::memory_order_acquire);
  const MetricsSnapshot snapshot = collector != nullptr ? collector->Metrics() : MetricsSnapshot{};
  return MetricsText(MetricFamilies(snapshot));
}

// Under another name until it is complete: whoever reads the file sees all of it.
// A device or a pipe is written to, and what a link leads to is replaced, not the link.
absl::Status LiveOutputs::WriteMetricsFile() const {
  std::string path = options_.metrics_path;
  std::error_code unknown;
  if (const auto real = std::filesystem::canonical(path, unknown); !unknown) path = real.string();
  const auto kind = std::filesystem::status(path, unknown).type();
  if (kind != std::filesystem::file_type::regular &&
      kind != std::filesystem::file_type::not_found) {
    const int descriptor = open(path.c_str(), O_WRONLY | O_CLOEXEC | O_NOCTTY);
    const int error = descriptor < 0 ? errno : WriteAll(descriptor, Metrics());
    if (descriptor >= 0) close(descriptor);
    if (error == 0) return absl::OkStatus();
    return Failed(absl::StrCat("--metrics-file: cannot write ", path), error,
                  "name a regular file");
  }
  const std::string unfinished = absl::StrCat(path, ".", getpid(), ".tmp");
  const auto fail = [&](int error) {
    unlink(unfinished.c_str());
    return Failed(absl::StrCat("--metrics-file: cannot write ", path), error,
                  "name a file in a folder that you may write to, with room");
  };
  unlink(unfinished.c_str());
  const int descriptor =
      open(unfinished.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0644);
  if (descriptor < 0) return fail(errno);
  const int error = WriteAll(descriptor, Metrics());
  close(descriptor);
  if (error != 0) return fail(error);
  if (rename(unfinished.c_str(), path.c_str()) != 0) return fail(errno);
  return absl::OkStatus();
}

absl::Status LiveOutputs::WriteFindings(const Report& report, FindingsLog::Lines which) {
  const absl::Status status = findings_->Write(report, absl::Now(), which);
  if (status.ok()) return status;
  return absl::Status(status.code(), absl::StrCat("--findings=", options_.findings_path, ": ",
                                                  std::string(status.message())));
}

void LiveOutputs::WriteNowAndThen() {
  std::unique_lock lock(mutex_);
  for (int look = 1;; ++look) {
    stop_changed_.wait_for(lock, kBetweenLooks, [this] { return stop_; });
    if (stop_) return;
    lock.unlock();
    if (findings_ != nullptr) {
      // Told at the end; the log is over then, and says so once.
      findings_error_.Update(WriteFindings(Snapshot(), look % kLooksForAgain == 0
                                                           ? FindingsLog::Lines::kAll
                                                           : FindingsLog::Lines::kNewOnly));
    }
    if (!options_.metrics_path.empty() && options_.metrics_path != "-" &&
        look % kLooksForFile == 0) {
      // The last one decides: the disk may have room again by then.
      WriteMetricsFile().IgnoreError();
    }
    lock.lock();
  }
}

absl::Status LiveOutputs::Finish(const Report& report) {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  stop_changed_.notify_all();
  if (writer_.joinable()) writer_.join();
  absl::Status status = findings_error_;
  if (findings_ != nullptr) status.Update(WriteFindings(report, FindingsLog::Lines::kAll));
  if (options_.metrics_path == "-") {
    if (const int error = WriteAll(STDOUT_FILENO, Metrics()); error != 0) {
      status.Update(Failed("--metrics-file: cannot write standard output", error, "name a file"));
    }
  } else if (!options_.metrics_path.empty()) {
    status.Update(WriteMetricsFile());
  }
  if (!options_.pushgateway.empty()) {
    Gateway gateway;
    status.Update(ParseGateway(options_.pushgateway, gateway));
    if (gateway.address.port != 0) status.Update(PushMetrics(gateway, Metrics()));
  }
  server_.reset();
  return status;
}

}  // namespace loopsan
