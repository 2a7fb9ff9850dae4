#include "runtime/internal/descriptor_callbacks.h"

#include <sys/epoll.h>

#include "runtime/event_loop.h"
#include "runtime/internal/loop_private.h"

namespace loopsan::internal {

namespace {

class DirectionCallback final : public Callback {
 public:
  DirectionCallback(EventLoop* loop, std::shared_ptr<DescriptorCallbacks::Direction> direction)
      : Callback(loop, direction->created_at), direction_(std::move(direction)) {
    context = direction_->context;
  }

 private:
  void Invoke() override {
    direction_->queued = false;
    // It may have been removed by an earlier step of the same turn.
    if (!direction_->removed) direction_->callback();
  }
  const std::shared_ptr<DescriptorCallbacks::Direction> direction_;
};

}  // namespace

void DescriptorCallbacks::Set(std::shared_ptr<Direction> DescriptorCallbacks::* which,
                              std::function<void()> callback, Site created_at) {
  Clear(which);
  this->*which =
      std::make_shared<Direction>(Direction{std::move(callback), created_at, Context::Current()});
  Register();
}

bool DescriptorCallbacks::Clear(std::shared_ptr<Direction> DescriptorCallbacks::* which) {
  if (this->*which == nullptr) return false;
  (this->*which)->removed = true;
  (this->*which).reset();
  Register();
  return true;
}

void DescriptorCallbacks::Register() {
  const uint32_t wanted = (reader != nullptr ? EPOLLIN : 0U) | (writer != nullptr ? EPOLLOUT : 0U);
  if (wanted == registered_) return;
  if (wanted == 0) {
    loop_->Unwatch(fd_);
  } else if (registered_ == 0) {
    loop_->Watch(fd_, wanted, this);
  } else {
    loop_->Rewatch(fd_, wanted, this);
  }
  registered_ = wanted;
}

void DescriptorCallbacks::OnReady(uint32_t events) noexcept {
  constexpr uint32_t kEnded = EPOLLHUP | EPOLLERR;
  if ((events & (EPOLLIN | EPOLLPRI | kEnded)) != 0 && reader != nullptr) Queue(reader);
  if ((events & (EPOLLOUT | kEnded)) != 0 && writer != nullptr) Queue(writer);
}

void DescriptorCallbacks::Queue(const std::shared_ptr<Direction>& direction) {
  if (direction->queued) return;
  direction->queued = true;
  LoopPrivate::ready(*loop_).Push(new DirectionCallback(loop_, direction));
}

}  // namespace loopsan::internal
