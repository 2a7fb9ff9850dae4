#include "runtime/internal/callback.h"

#include "runtime/internal/loop_private.h"

namespace loopsan {

namespace internal {

namespace {
constinit thread_local Context* t_callback_context = nullptr;
}

Context* CallbackContext() noexcept { return t_callback_context; }

Callback::Callback(EventLoop* the_loop, Site where) noexcept : loop(the_loop), created_at(where) {
  run = &RunStep;
  fire = &Fire;
}

void Callback::Cancel() noexcept {
  if (cancelled_) return;
  cancelled_ = true;
  if (is_set()) {
    loop->timers_.Remove(this);
    Unref();
  }
}

void Callback::Fire(TimerNode* node) {
  auto* const callback = static_cast<Callback*>(node);
  callback->loop->ready_.Push(callback);
}

void Callback::RunStep(ReadyItem* item) {
  auto* const callback = static_cast<Callback*>(item);
  if (!callback->cancelled_) {
    EventLoop* const loop = callback->loop;
    if (loop->traced_) [[unlikely]] {
      loop->BeginStep(nullptr, callback->created_at);
    }
    t_callback_context = &callback->context;
    try {
      callback->Invoke();
    } catch (const CancelledError&) {
    } catch (...) {
      loop->HandleException({"exception in a callback", std::current_exception(),
                             callback->created_at->file, callback->created_at->line, ""});
    }
    t_callback_context = nullptr;
    callback->cancelled_ = true;  // it has run: cancelling it is in vain
  }
  callback->Unref();
}

}  // namespace internal

void CallbackHandle::Cancel() {
  if (callback_ != nullptr && !callback_->cancelled()) {
    internal::LoopPrivate::CheckCancel(*callback_);
    callback_->Cancel();
  }
}

}  // namespace loopsan
