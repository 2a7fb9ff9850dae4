// What a run gives away while it goes on: its metrics, over HTTP or in a file, and the
// log of its findings.
//
// Threads: the functions belong to one thread; between Start() and Finish() there is
// another one of its own, and those of the server.
#pragma once

#include <atomic>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <ostream>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "reporters/collector.h"
#include "reporters/findings_log.h"
#include "reporters/options.h"
#include "tools/metrics_server.h"
#include "tools/suppression_files.h"

namespace loopsan {

class LiveOutputs {
 public:
  // Takes the port and the files that the options name. An error names the flag and a
  // remedy. `suppressions` must outlive the object.
  static absl::StatusOr<std::unique_ptr<LiveOutputs>> Open(const Options& options,
                                                           const Suppressions* suppressions);
  ~LiveOutputs();

  // Where the metrics are served, and a warning if others may read them: lines for the terminal.
  // Empty if they are not served.
  std::string Announcement() const;

  // Before it the server answers with nothing. `collector` must outlive the object.
  void Start(Collector* collector, std::vector<std::string> command);

  // Writes what is left of the log and the file, and pushes. `report` is the finished one.
  // Returns the first error; what one destination has is not lost for another.
  absl::Status Finish(const Report& report);

 private:
  explicit LiveOutputs(const Options& options, const Suppressions* suppressions)
      : options_(options), suppressions_(suppressions) {}

  absl::Status Serve();
  absl::Status OpenFindings();
  void WriteNowAndThen();
  absl::Status WriteFindings(const Report& report, FindingsLog::Lines which);
  Report Snapshot() const;
  std::string Metrics() const;
  absl::Status WriteMetricsFile() const;

  const Options options_;
  const Suppressions* const suppressions_;
  std::atomic<Collector*> collector_{nullptr};
  std::vector<std::string> command_;
  std::unique_ptr<MetricsServer> server_;
  std::unique_ptr<std::streambuf> findings_buffer_;
  std::unique_ptr<std::ostream> findings_stream_;
  std::unique_ptr<FindingsLog> findings_;
  std::mutex mutex_;
  std::condition_variable stop_changed_;
  bool stop_ = false;
  absl::Status findings_error_;  // the writer's, until that has ended
  std::thread writer_;
};

}  // namespace loopsan
