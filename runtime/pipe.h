// Pipes, terminals and character devices as streams (runtime/stream.h).
//
//   Stream input = OpenReadPipe(dup(STDIN_FILENO));
//   while (true) { std::string line = co_await input.ReadLine(); ... }
//
// Reading ends of pipes are only read, writing ends only written: else UsageError. The descriptor
// is made non-blocking, which whoever shares it (a terminal's shell) sees, too; it is closed with
// the stream. Regular files cannot be waited for: std::system_error (EPERM).
//
// Threads: the loop's only. Errors: std::system_error; the descriptor is closed then.
#pragma once

#include <source_location>
#include <utility>

#include "runtime/stream.h"

namespace loopsan {

// Take the descriptor.
Stream OpenReadPipe(int fd, std::source_location here = std::source_location::current());
Stream OpenWritePipe(int fd, std::source_location here = std::source_location::current());

struct PipePair {
  Stream reader;
  Stream writer;
};
// A new pipe.
PipePair OpenPipe(std::source_location here = std::source_location::current());

}  // namespace loopsan
