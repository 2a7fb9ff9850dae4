// GoogleTest and blocked event loops: the very test in which a loop was blocked fails, and
// prints what blocked it.
//
//   #include "instrument/adapters/gtest_blocking.h"   // in one file of the test program, or more
//
//   loopsan run -- ./my_tests
//
// Including it is all that is needed. Without loopsan the tests run as ever.
//
//   EXPECT_NO_BLOCKING(io.run(), 50ms);   // no place takes 50 ms or more from a loop
//   EXPECT_BLOCKING(LegacyCall(io), 50ms);  // one does; the test does not fail for that
//
// Both run the statement once, also when nobody watches: then they check nothing, and say so
// once, on standard error. What they have looked at does not fail the test again. Where tests
// run in parallel processes, each sees its own findings. Where a thread waits with epoll but is
// no loop for sure (by hand, for one descriptor, in less than 100 turns), nobody is accused.
//
// A statement with a comma that is in no parentheses needs some.
#pragma once

#include <gtest/gtest.h>

#include <chrono>
#include <cstdio>
#include <string>
#include <vector>

#include "instrument/adapters/blocking_scope.h"

namespace loopsan {

// Fails the test that has just ended for what was found in it.
class BlockingListener : public ::testing::EmptyTestEventListener {
 public:
  void OnTestStart(const ::testing::TestInfo&) override {
    // What blocks between the tests is nobody's; it is in loopsan's own report.
    BlockingScope::TakeAll();
  }
  void OnTestEnd(const ::testing::TestInfo&) override {
    if (!BlockingScope::IsWatched()) return;
    bool answered = false;
    const std::vector<Blocking> all = BlockingScope::TakeAll(&answered);
    if (!answered) ADD_FAILURE() << "loopsan: its collector did not answer for this test";
    ::testing::Test::RecordProperty("loopsan_findings", static_cast<int>(all.size()));
    for (const Blocking& one : all) ADD_FAILURE() << "loopsan: " << one.rule << ": " << one.message;
  }
};

namespace gtest_blocking {

// Once for a program, however many of its files include this.
inline const bool g_listens = [] {
  ::testing::UnitTest::GetInstance()->listeners().Append(new BlockingListener);
  return true;
}();

inline bool SayThatNobodyWatches() {
  std::fprintf(stderr,
               "loopsan: nobody watches this program, so EXPECT_NO_BLOCKING and EXPECT_BLOCKING "
               "check nothing; run it with: loopsan run -- PROGRAM\n");
  return true;
}

// What took `limit` or longer, at one place.
inline ::testing::AssertionResult Check(BlockingScope& scope, std::chrono::duration<double> limit,
                                        bool wanted) {
  if (!BlockingScope::IsWatched()) {
    static const bool said = SayThatNobodyWatches();
    static_cast<void>(said);
    return ::testing::AssertionSuccess();
  }
  const std::vector<Blocking> all = scope.Take();
  if (!scope.IsAnswered()) {
    return ::testing::AssertionFailure() << "loopsan's collector did not answer";
  }
  std::string found;
  for (const Blocking& one : all) {
    if (one.seconds >= limit.count()) found += "\n  " + one.rule + ": " + one.message;
  }
  if (wanted == !found.empty()) return ::testing::AssertionSuccess();
  char least[48];
  std::snprintf(least, sizeof least, "%g s or longer", limit.count());
  if (wanted) {
    return ::testing::AssertionFailure() << "no place blocked an event loop for " << least;
  }
  return ::testing::AssertionFailure() << "blocked an event loop for " << least << ":" << found;
}

}  // namespace gtest_blocking
}  // namespace loopsan

#define LOOPSAN_CHECK_BLOCKING(statement, limit, wanted)                                  \
  do {                                                                                    \
    ::loopsan::BlockingScope loopsan_scope;                                               \
    {                                                                                     \
      statement;                                                                          \
    }                                                                                     \
    const ::testing::AssertionResult loopsan_result =                                     \
        ::loopsan::gtest_blocking::Check(loopsan_scope, limit, wanted);                   \
    if (!loopsan_result) ADD_FAILURE() << #statement << ": " << loopsan_result.message(); \
  } while (false)

#define EXPECT_NO_BLOCKING(statement, limit) LOOPSAN_CHECK_BLOCKING(statement, limit, false)
#define EXPECT_BLOCKING(statement, limit) LOOPSAN_CHECK_BLOCKING(statement, limit, true)
