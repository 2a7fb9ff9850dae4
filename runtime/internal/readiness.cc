#include "runtime/internal/readiness.h"

#include <sys/epoll.h>
#include <unistd.h>

#include <string>

#include "runtime/internal/loop_private.h"

namespace loopsan::internal {

Descriptor::~Descriptor() {
  if (fd_ >= 0) close(fd_);
}

Readiness::Readiness(EventLoop& loop, Descriptor descriptor, const char* what)
    : loop_(&loop), descriptor_(std::move(descriptor)), what_(what) {
  loop_->Watch(fd(), EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, this);
  LoopPrivate::resources(*loop_).PushBack(this);
}

void Readiness::OnReady(uint32_t events) noexcept {
  constexpr uint32_t kOver = EPOLLHUP | EPOLLERR;
  if ((events & (EPOLLRDHUP | kOver)) != 0) ended_ = true;
  if ((events & (EPOLLIN | EPOLLRDHUP | kOver)) != 0) {
    reads_.ready = true;
    if (Waiter* const reader = reads_.waiters.front()) reader->Wake();
  }
  if ((events & (EPOLLOUT | kOver)) != 0) {
    writes_.ready = true;
    if (Waiter* const writer = writes_.waiters.front()) writer->Wake();
    if (on_writable != nullptr) on_writable(object);
  }
}

void Readiness::WakeAll(Direction& direction) noexcept {
  while (Waiter* const waiter = direction.waiters.front()) {
    static_cast<ReadinessAwaiter*>(waiter)->closed_ = true;
    waiter->Wake();
  }
}

void Readiness::EndReads() noexcept { WakeAll(reads_); }

Descriptor Readiness::Release() noexcept {
  if (!is_open()) return {};
  if (loop_ != nullptr) loop_->Unwatch(fd());
  Unlink();
  Descriptor released = std::move(descriptor_);
  WakeAll(reads_);
  WakeAll(writes_);
  return released;
}

void Readiness::Close() noexcept { Release(); }

void Readiness::OnLoopClosed() noexcept {
  Close();
  const bool debug = std::exchange(loop_, nullptr)->debug();
  if (on_loop_closed != nullptr) on_loop_closed(object, debug);
}

void ReadinessAwaiter::RefuseSecond() const {
  throw UsageError(std::string("another task is already waiting for this ") + readiness_->what_ +
                   ": only one at a time may read from it, and one write to it");
}

}  // namespace loopsan::internal
