// What the runtime throws.
#pragma once

#include <stdexcept>
#include <string>

namespace loopsan {

// Thrown at the innermost wait of a task that was cancelled. Not derived from
// std::exception, so that `catch (const std::exception&)` around a wait does not
// swallow it; clean-up code may catch it, wait for something, and throw it on.
class CancelledError {
 public:
  const char* what() const noexcept { return "the task was cancelled"; }
};

// A time limit has passed.
class TimeoutError : public std::runtime_error {
 public:
  TimeoutError() : std::runtime_error("the time limit has passed") {}
};

// The runtime was used in a way that cannot work; says what to do instead.
class UsageError : public std::logic_error {
 public:
  using std::logic_error::logic_error;
};

// What was to be waited for could not even begin before the wait is over.
class DeadlockError : public UsageError {
 public:
  using UsageError::UsageError;
};

// The executor has as many waiting functions as it may have.
class ExecutorFullError : public std::runtime_error {
 public:
  ExecutorFullError()
      : std::runtime_error("the executor is full: it takes no more functions now") {}
};

}  // namespace loopsan
