#include "runtime/pipe.h"

#include <fcntl.h>
#include <unistd.h>

#include "runtime/internal/loop_private.h"
#include "runtime/internal/socket.h"

namespace loopsan {

using internal::Descriptor;
using internal::StreamCore;
using internal::StreamRef;

namespace {

Stream Open(Descriptor descriptor, StreamCore::Kind kind, const char* what,
            std::source_location here) {
  EventLoop& loop = EventLoop::Running();
  internal::LoopPrivate::CheckUse(loop, what, here);
  internal::SetNonBlocking(descriptor.get());
  return Stream(
      StreamRef(new StreamCore(loop, std::move(descriptor), kind, internal::SiteOf(here))));
}

}  // namespace

Stream OpenReadPipe(int fd, std::source_location here) {
  return Open(Descriptor(fd), StreamCore::Kind::kReadPipe, "OpenReadPipe", here);
}

Stream OpenWritePipe(int fd, std::source_location here) {
  return Open(Descriptor(fd), StreamCore::Kind::kWritePipe, "OpenWritePipe", here);
}

PipePair OpenPipe(std::source_location here) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0) internal::ThrowErrno("making a pipe");
  Descriptor read_end(ends[0]);
  Descriptor write_end(ends[1]);
  Stream reader = Open(std::move(read_end), StreamCore::Kind::kReadPipe, "OpenPipe", here);
  Stream writer = Open(std::move(write_end), StreamCore::Kind::kWritePipe, "OpenPipe", here);
  return {std::move(reader), std::move(writer)};
}

}  // namespace loopsan
