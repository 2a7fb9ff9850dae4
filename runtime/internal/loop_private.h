// What parts of the runtime need of a loop, and its users do not.
#pragma once

#include "runtime/event_loop.h"

namespace loopsan::internal {

struct LoopPrivate {
  static TimerHeap& timers(EventLoop& loop) noexcept { return loop.timers_; }
  static EventPort& port(EventLoop& loop) noexcept { return *loop.port_; }
  static ReadyQueue& ready(EventLoop& loop) noexcept { return loop.ready_; }
  static const loopsan_loop& info(const EventLoop& loop) noexcept { return loop.info_; }
  static loopsan_loop& mutable_info(EventLoop& loop) noexcept { return loop.info_; }
  static List<LoopResource>& resources(EventLoop& loop) noexcept { return loop.resources_; }
  // Null if nothing has run on it.
  static Executor* executor(EventLoop& loop) noexcept { return loop.executor_.get(); }
  static DebugMode* debug_mode(EventLoop& loop) noexcept { return loop.debug_.get(); }

  static std::shared_ptr<OpenGenerators>& generators(EventLoop& loop) noexcept {
    return loop.generators_;
  }

  // Its tasks are known to wait for ever, and were told.
  static bool lost_wakeup_told(const EventLoop& loop) noexcept { return loop.lost_wakeup_told_; }

  // Tells others whether the loop is still there, and does not count as a way into it.
  static std::weak_ptr<RemoteQueue> lifeline(const EventLoop& loop) noexcept {
    return loop.remote_;
  }

  // For how long nobody has run the loop; see RemoteQueue.
  static Duration StoppedFor(const LoopHandle& handle) noexcept {
    return handle.queue_->StoppedFor();
  }

  // The check of every mutating entry point; see EventLoop.
  static void CheckUse(const EventLoop& loop, const char* what, std::source_location here) {
    loop.CheckUse(what, here);
  }
  static void CheckCancel(const Callback& callback);
};

// The text of an exception, for people.
std::string What(const std::exception_ptr& error);
void PrintException(const ExceptionContext& context) noexcept;

}  // namespace loopsan::internal
