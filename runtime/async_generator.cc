#include "runtime/async_generator.h"

#include "runtime/event_loop.h"
#include "runtime/internal/loop_private.h"

namespace loopsan::internal {

// The generators of a loop that have begun and not ended.
struct OpenGenerators {
  List<GeneratorPromiseBase> list;
};

namespace {

Task<> CloseOpen(EventLoop& loop, std::shared_ptr<OpenGenerators> open) {
  while (GeneratorPromiseBase* const generator = open->list.PopFront()) {
    // One that a destroyed task was in cannot be gone on with.
    if (generator->state != GeneratorPromiseBase::State::kYielded) continue;
    const Site defined_at = generator->frame.defined_at;
    std::exception_ptr error;
    try {
      co_await CloseAwaiter(generator);
    } catch (...) {
      error = std::current_exception();
    }
    if (error) {
      loop.HandleException({"a generator that was still open could not be closed with its loop",
                            error, defined_at->file, defined_at->line, ""});
    }
  }
}

OpenGenerators& OpenGeneratorsOf(EventLoop& loop) {
  std::shared_ptr<OpenGenerators>& open = LoopPrivate::generators(loop);
  if (open == nullptr) {
    open = std::make_shared<OpenGenerators>();
    loop.AtClose([&loop] {
      const std::shared_ptr<OpenGenerators> left = std::move(LoopPrivate::generators(loop));
      // A loop that is closed inside another one cannot run any more.
      if (left->list.empty() || t_runner.loop != nullptr) return;
      Task<> close = CloseOpen(loop, left);
      loop.RunUntilComplete(std::move(close));
    });
  }
  return *open;
}

}  // namespace

bool GeneratorPromiseBase::BeginNext(const char* what, Site site) {
  bound_.Check(what, site);
  switch (state) {
    case State::kDone:
      return true;
    case State::kRunning:
      throw UsageError(std::string(what) +
                       ": another call is still waiting in this generator; one at a time");
    case State::kNew:
      if (t_runner.loop != nullptr) OpenGeneratorsOf(*t_runner.loop).list.PushBack(this);
      break;
    case State::kYielded:
      break;
  }
  return false;
}

bool CloseAwaiter::await_ready(std::source_location here) {
  site_ = SiteOf(here);
  if (promise_ == nullptr) return true;
  if (promise_->state == GeneratorPromiseBase::State::kNew) {
    promise_->state = GeneratorPromiseBase::State::kDone;  // nothing of it has run
  }
  if (promise_->BeginNext("AsyncGenerator::Close", site_)) return true;
  promise_->closing = true;
  return false;
}

void CloseAwaiter::await_resume() {
  if (promise_ == nullptr || !promise_->closing) return;
  promise_->closing = false;
  if (promise_->state == GeneratorPromiseBase::State::kYielded) {
    throw UsageError("a generator yielded again while it was being closed, in " +
                     std::string(promise_->frame.defined_at->function));
  }
  try {
    promise_->RethrowError();
  } catch (const GeneratorExit&) {
  }
}

}  // namespace loopsan::internal
