#include "runtime/internal/loop_bound.h"

#include <bit>
#include <string>

#include "runtime/errors.h"
#include "runtime/internal/findings.h"
#include "runtime/internal/loop_private.h"

namespace loopsan::internal {

void LoopBound::Bind() {
  loop_ = t_runner.loop;
  lifeline_ = LoopPrivate::lifeline(*loop_);
}

void LoopBound::CheckSlowly(const char* what, Site site) {
  if (loop_ != nullptr) {
    const std::shared_ptr<RemoteQueue> lifeline = lifeline_.lock();
    if (lifeline == nullptr || lifeline->closed()) {
      loop_ = nullptr;
      lifeline_.reset();
    }
  }
  if (loop_ == nullptr) {
    if (t_runner.loop != nullptr) Bind();
    return;
  }
  if (t_runner.loop == nullptr) {
    // Before the loop runs, and between two runs, its owner may.
    LoopPrivate::CheckUse(*loop_, what, std::bit_cast<std::source_location>(site));
    return;
  }
  const std::string message =
      std::string(what) + " was called on another event loop than the one that it belongs to";
  if (t_runner.debug || loop_->debug()) {
    Found found{.rule = Rule::kOtherLoop, .message = message};
    found.where = site;
    found.task = t_runner.task;
    Report(found);
  }
  throw UsageError(message);
}

bool LoopBound::IsUsable(const char* what, Site site) noexcept try {
  Check(what, site);
  return true;
} catch (...) {
  return false;
}

}  // namespace loopsan::internal
