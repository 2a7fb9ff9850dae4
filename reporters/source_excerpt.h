// Lines of source files on this disk, for reports that people read.
//
// Threads: one.
#pragma once

#include <cstddef>
#include <map>
#include <string>
#include <vector>

namespace loopsan {

struct SourceExcerpt {
  int first_line = 0;
  std::vector<std::string> lines;  // raw: whatever bytes the file has; never longer than 300
};

// Reads a few lines around places that debug information names. It may name any
// file: only regular ones with the name of a source are read, and no more of them
// than a person looks at.
class SourceReader {
 public:
  // The line and `around` lines before and behind it; no lines if the file is not
  // there, is no source, or has no such line, or enough was read already.
  SourceExcerpt Read(const std::string& file, int line, int around);

 private:
  const std::vector<std::string>& LinesOf(const std::string& file);

  std::map<std::string, std::vector<std::string>> files_;
  size_t bytes_ = 0;
};

}  // namespace loopsan
