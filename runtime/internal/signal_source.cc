#include "runtime/internal/signal_source.h"

#include <errno.h>

#include <string>
#include <system_error>

#include "runtime/event_loop.h"
#include "runtime/internal/loop_private.h"

namespace loopsan::internal {

constinit std::atomic<SignalSource::Target*> SignalSource::the_targets_[NSIG] = {};

void SignalSource::OnSignal(int signal) {
  const int saved_errno = errno;
  Target* const target = the_targets_[signal].load(std::memory_order_acquire);
  if (target != nullptr) {
    // The mark before the flag before the wake-up: the loop looks in the other order.
    target->arrived.store(true, std::memory_order_release);
    target->source->pending_.store(true, std::memory_order_release);
    target->source->waker_->Wake();
  }
  errno = saved_errno;
}

SignalSource::~SignalSource() {
  while (!targets_.empty()) Remove(targets_.begin()->first);
}

void SignalSource::Add(int signal, std::function<void()> callback, Site created_at) {
  if (signal <= 0 || signal >= NSIG) {
    throw UsageError("there is no signal " + std::to_string(signal));
  }
  if (const auto known = targets_.find(signal); known != targets_.end()) {
    known->second->callback = std::move(callback);
    known->second->created_at = created_at;
    known->second->context = Context::Current();
    return;
  }
  auto target = std::make_unique<Target>();
  target->source = this;
  target->callback = std::move(callback);
  target->created_at = created_at;
  target->context = Context::Current();
  Target* nobody = nullptr;
  if (!the_targets_[signal].compare_exchange_strong(nobody, target.get())) {
    throw UsageError("signal " + std::to_string(signal) + " is handled by another loop");
  }
  struct sigaction action{};
  action.sa_handler = &OnSignal;
  action.sa_flags = SA_RESTART;
  sigfillset(&action.sa_mask);
  if (sigaction(signal, &action, &target->before) != 0) {
    const int error = errno;
    the_targets_[signal].store(nullptr);
    throw std::system_error(error, std::generic_category(),
                            "signal " + std::to_string(signal) + " cannot be handled");
  }
  targets_.emplace(signal, std::move(target));
}

bool SignalSource::Remove(int signal) {
  const auto found = targets_.find(signal);
  if (found == targets_.end()) return false;
  sigaction(signal, &found->second->before, nullptr);
  the_targets_[signal].store(nullptr, std::memory_order_release);
  targets_.erase(found);
  return true;
}

void SignalSource::DispatchPending() {
  pending_.store(false, std::memory_order_relaxed);
  for (auto& [signal, target] : targets_) {
    if (!target->arrived.exchange(false, std::memory_order_acquire)) continue;
    auto* callback =
        new CallbackOf<std::function<void()>>(loop_, target->created_at, target->callback);
    callback->context = target->context;
    LoopPrivate::ready(*loop_).Push(callback);
  }
}

}  // namespace loopsan::internal
