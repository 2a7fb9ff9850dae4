// The loop that a primitive (a mutex, a queue) belongs to: the one that ran where
// it was made, else the first that it is used on. Once that loop is closed, the
// primitive is free again.
//
// Threads: the loop's only; Check() is what finds out others.
#pragma once

#include <memory>
#include <source_location>

#include "runtime/internal/runner.h"
#include "runtime/internal/site.h"

namespace loopsan::internal {

class RemoteQueue;

class LoopBound {
 public:
  LoopBound() {
    if (t_runner.loop != nullptr) Bind();
  }

  // `what` is the function that is called ("Queue::Put"). Throws UsageError on a
  // thread that runs another loop, and, in debug mode, on one that runs none and
  // is not the loop's; each is a finding in debug mode.
  void Check(const char* what, std::source_location here) {
    if (t_runner.loop == nullptr || t_runner.loop != loop_) [[unlikely]] {
      CheckSlowly(what, SiteOf(here));
    }
  }
  void Check(const char* what, Site site) {
    if (t_runner.loop == nullptr || t_runner.loop != loop_) [[unlikely]] {
      CheckSlowly(what, site);
    }
  }

  // The same for destructors: false where Check() would throw.
  bool IsUsable(const char* what, Site site) noexcept;

 private:
  void Bind();
  void CheckSlowly(const char* what, Site site);

  EventLoop* loop_ = nullptr;  // may be gone: the lifeline knows
  std::weak_ptr<RemoteQueue> lifeline_;
};

}  // namespace loopsan::internal
