// The reader and the writer of one descriptor; see EventLoop::AddReader().
#pragma once

#include <functional>
#include <memory>

#include "runtime/context.h"
#include "runtime/event_port.h"
#include "runtime/internal/site.h"

namespace loopsan {
class EventLoop;
}

namespace loopsan::internal {

class DescriptorCallbacks final : public DescriptorListener {
 public:
  struct Direction {
    std::function<void()> callback;
    Site created_at;
    Context context;
    bool removed = false;
    bool queued = false;
  };

  DescriptorCallbacks(EventLoop* loop, int fd) : loop_(loop), fd_(fd) {}

  void Set(std::shared_ptr<Direction> DescriptorCallbacks::* which, std::function<void()> callback,
           Site created_at);
  bool Clear(std::shared_ptr<Direction> DescriptorCallbacks::* which);
  bool empty() const noexcept { return reader == nullptr && writer == nullptr; }

  void OnReady(uint32_t events) noexcept override;

  std::shared_ptr<Direction> reader;
  std::shared_ptr<Direction> writer;

 private:
  void Register();
  void Queue(const std::shared_ptr<Direction>& direction);

  EventLoop* const loop_;
  const int fd_;
  uint32_t registered_ = 0;
};

}  // namespace loopsan::internal
