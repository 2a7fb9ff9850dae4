// The files (and streams) that reports go to. They are opened before the command
// runs, so that an hour's run is not lost to a typing error, and changed only
// once the report is complete: if the run fails, a report from before is intact.
//
// Threads: Write() and Discard() may be called from different threads.
#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace loopsan {

class Output {
 public:
  // Opens `path` for writing without changing what is in it; "-" is standard
  // output. A file that was not there is made now, and removed by the destructor
  // if nothing is written.
  static absl::StatusOr<std::unique_ptr<Output>> Open(const std::string& path);
  // An already open descriptor that stays open, named for messages.
  static std::unique_ptr<Output> Borrow(int descriptor, std::string name);
  ~Output();
  Output(const Output&) = delete;
  Output& operator=(const Output&) = delete;

  // Replaces the contents of a regular file, else appends.
  absl::Status Write(std::string_view text);

  // Removes a file that Open() made, unless it has been written.
  void Discard();

  bool IsTerminal() const;
  // True if both lead to the same file or stream.
  bool SameAs(const Output& other) const;

 private:
  Output(int descriptor, std::string name, bool owned, bool created);

  const int descriptor_;
  const std::string name_;
  const bool owned_;
  const bool created_;
  std::atomic<bool> keep_ = false;
};

// Writes all of `text`, also where a command has left the shared descriptor
// non-blocking. Returns 0 or an errno value.
int WriteAll(int descriptor, std::string_view text);

}  // namespace loopsan
