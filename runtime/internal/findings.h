// Making findings. See runtime/findings.h.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "runtime/internal/site.h"

namespace loopsan::internal {

class TaskState;

enum class Rule {
#define LOOPSAN_RULE(constant, id, remedy) constant,
#include "runtime/findings.inc"
#undef LOOPSAN_RULE
};

// One of several that a finding is about.
struct FoundMember {
  std::string what;  // a sentence: "task 'reader' waits for a mutex"
  Site where = nullptr;
  std::vector<void*> stack;
};

struct Found {
  Rule rule;
  std::string message;
  const char* remedy = nullptr;  // static; null: the rule's
  Site where = nullptr;
  const TaskState* task = nullptr;
  double seconds = 0;
  void* const* stack = nullptr;
  size_t stack_frames = 0;
  std::vector<FoundMember> members;
};

// Never throws: a finding that cannot be told for lack of memory is lost.
void Report(const Found& found) noexcept;

// "handler() at server.cc:12"
std::string Describe(Site site);
// "handler()". REQUIRES: site != nullptr.
std::string FunctionOf(Site site);
// "an event", "its turn": what a task waits for, as Waiter::Suspend() is told.
std::string WithArticle(const char* what);
// "server.cc:12"
std::string FileAndLine(Site site);

}  // namespace loopsan::internal
