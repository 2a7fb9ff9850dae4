#include "runtime/async_scope.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "runtime/internal/findings.h"
#include "runtime/internal/loop_private.h"
#include "runtime/sleep.h"
#include "tests/runtime/run_loop.h"

namespace loopsan::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

using Notes = std::vector<std::string>;

// Notes that it is entered and exited, each with a wait, and what for.
class Connection {
 public:
  explicit Connection(Notes& notes, std::string name = "")
      : notes_(&notes), name_(std::move(name)) {}

  Task<> AsyncEnter() {
    co_await Yield();
    notes_->push_back("enter" + name_);
  }
  Task<> AsyncExit(std::exception_ptr error) {
    co_await Yield();
    std::string what = "nothing";
    if (error) what = internal::What(error);
    notes_->push_back("exit" + name_ + ": " + what);
  }
  void Use() { notes_->push_back("use" + name_); }

 private:
  Notes* notes_;
  std::string name_;
};

// AsyncEnter() gives a value.
class Transaction {
 public:
  explicit Transaction(Notes& notes) : notes_(notes) {}
  Task<std::unique_ptr<int>> AsyncEnter() { co_return std::make_unique<int>(7); }
  Task<> AsyncExit(std::exception_ptr error) {
    notes_.push_back(error ? "rollback" : "commit");
    co_return;
  }

 private:
  Notes& notes_;
};

class FailsToEnter {
 public:
  explicit FailsToEnter(Notes& notes) : notes_(notes) {}
  Task<> AsyncEnter() {
    co_await Yield();
    throw std::runtime_error("cannot enter");
  }
  Task<> AsyncExit(std::exception_ptr) {
    notes_.push_back("exit");
    co_return;
  }

 private:
  Notes& notes_;
};

class FailsToExit {
 public:
  Task<> AsyncEnter() { co_return; }
  Task<> AsyncExit(std::exception_ptr) {
    co_await Yield();
    throw std::runtime_error("cannot exit");
  }
};

TEST(WithResource, ExitsAfterTheBodyAndGivesItsResult) {
  Notes notes;
  const auto main = [&]() -> Task<int> {
    Connection connection(notes);
    const auto body = [](Connection& mine) -> Task<int> {
      co_await Yield();
      mine.Use();
      co_return 5;
    };
    co_return co_await WithResource(connection, body);
  };
  EXPECT_EQ(RunScripted(main()), 5);
  EXPECT_THAT(notes, ElementsAre("enter", "use", "exit: nothing"));
}

TEST(WithResource, ExitsAfterAnExceptionAndIsToldOfIt) {
  Notes notes;
  const auto main = [&]() -> Task<> {
    Connection connection(notes);
    const auto body = []() -> Task<> {
      co_await Yield();
      throw std::runtime_error("in the body");
    };
    co_await WithResource(connection, body);
  };
  EXPECT_THROW(RunScripted(main()), std::runtime_error);
  EXPECT_THAT(notes, ElementsAre("enter", "exit: in the body"));
}

TEST(WithResource, ExitsAfterACancellationAndMayWait) {
  Notes notes;
  const auto holds = [&]() -> Task<> {
    Connection connection(notes);
    const auto body = []() -> Task<> { co_await SleepFor(std::chrono::hours(1)); };
    co_await WithResource(connection, body);
  };
  const auto main = [&]() -> Task<> {
    TaskHandle<> holder = Spawn(holds());
    for (int i = 0; i < 4; ++i) co_await Yield();
    EXPECT_THAT(notes, ElementsAre("enter"));
    holder.Cancel();
    for (int i = 0; i < 4; ++i) co_await Yield();
    EXPECT_TRUE(holder.cancelled());
  };
  RunScripted(main());
  EXPECT_THAT(notes, ElementsAre("enter", "exit: the task was cancelled"));
}

TEST(WithResource, DoesNotExitWhatWasCancelledWhileItEntered) {
  Notes notes;
  const auto holds = [&]() -> Task<> {
    Connection connection(notes);
    const auto body = []() -> Task<> { co_await SleepFor(std::chrono::hours(1)); };
    co_await WithResource(connection, body);
  };
  const auto main = [&]() -> Task<> {
    TaskHandle<> holder = Spawn(holds());
    co_await Yield();
    holder.Cancel();
    co_await Yield();
    EXPECT_TRUE(holder.cancelled());
  };
  RunScripted(main());
  EXPECT_THAT(notes, IsEmpty());
}

TEST(WithResource, DoesNotExitWhatCouldNotBeEntered) {
  Notes notes;
  const auto main = [&]() -> Task<> {
    FailsToEnter resource(notes);
    const auto body = []() -> Task<> { co_return; };
    co_await WithResource(resource, body);
  };
  EXPECT_THROW(RunScripted(main()), std::runtime_error);
  EXPECT_THAT(notes, IsEmpty());
}

TEST(WithResource, WhatTheExitThrowsTakesThePlaceOfTheRest) {
  const auto main = [&](bool body_fails) -> Task<> {
    FailsToExit resource;
    const auto body = [&]() -> Task<> {
      if (body_fails) throw std::logic_error("in the body");
      co_return;
    };
    co_await WithResource(resource, body);
  };
  EXPECT_THROW(RunScripted(main(false)), std::runtime_error);
  EXPECT_THROW(RunScripted(main(true)), std::runtime_error);
}

TEST(WithResource, GivesTheBodyWhatEnteringGave) {
  Notes notes;
  const auto main = [&]() -> Task<int> {
    Transaction transaction(notes);
    const auto body = [](std::unique_ptr<int>& value) -> Task<int> { co_return *value; };
    co_return co_await WithResource(transaction, body);
  };
  EXPECT_EQ(RunScripted(main()), 7);
  EXPECT_THAT(notes, ElementsAre("commit"));
}

TEST(WithResource, KeepsATemporaryResource) {
  Notes notes;
  const auto main = [&]() -> Task<> {
    const auto body = [](Connection& mine) -> Task<> {
      mine.Use();
      co_return;
    };
    Task<> with = WithResource(Connection(notes), body);
    co_await std::move(with);
  };
  RunScripted(main());
  EXPECT_THAT(notes, ElementsAre("enter", "use", "exit: nothing"));
}

TEST(WithResource, GivesAReference) {
  Notes notes;
  int value = 1;
  const auto main = [&]() -> Task<> {
    Connection connection(notes);
    const auto body = [&]() -> Task<int&> { co_return value; };
    int& found = co_await WithResource(connection, body);
    found = 2;
  };
  RunScripted(main());
  EXPECT_EQ(value, 2);
}

TEST(AsyncScope, ExitsTheNewestFirst) {
  Notes notes;
  const auto main = [&]() -> Task<int> {
    Connection first(notes, " first");
    Connection second(notes, " second");
    const auto body = [&](AsyncScope& scope) -> Task<int> {
      co_await scope.Enter(first);
      scope.Defer([&] { notes.push_back("deferred"); });
      co_await scope.Enter(second);
      scope.Defer([&]() -> Task<> {
        co_await Yield();
        notes.push_back("deferred with a wait");
      });
      co_return 3;
    };
    co_return co_await WithScope(body);
  };
  EXPECT_EQ(RunScripted(main()), 3);
  EXPECT_THAT(notes, ElementsAre("enter first", "enter second", "deferred with a wait",
                                 "exit second: nothing", "deferred", "exit first: nothing"));
}

TEST(AsyncScope, RunsAllExitsAlsoIfOneThrows) {
  Notes notes;
  const auto main = [&]() -> Task<> {
    Connection connection(notes);
    const auto body = [&](AsyncScope& scope) -> Task<> {
      co_await scope.Enter(connection);
      scope.Defer([] { throw std::runtime_error("in an exit"); });
    };
    co_await WithScope(body);
  };
  EXPECT_THROW(RunScripted(main()), std::runtime_error);
  EXPECT_THAT(notes, ElementsAre("enter", "exit: in an exit"));
}

TEST(AsyncScope, GivesWhatEnteringGave) {
  Notes notes;
  const auto main = [&]() -> Task<> {
    Transaction transaction(notes);
    const auto body = [&](AsyncScope& scope) -> Task<> {
      const std::unique_ptr<int> value = co_await scope.Enter(transaction);
      EXPECT_EQ(*value, 7);
      throw std::runtime_error("in the body");
    };
    co_await WithScope(body);
  };
  EXPECT_THROW(RunScripted(main()), std::runtime_error);
  EXPECT_THAT(notes, ElementsAre("rollback"));
}

TEST(AsyncScope, RunsItsExitsAfterACancellation) {
  Notes notes;
  const auto holds = [&]() -> Task<> {
    Connection connection(notes);
    const auto body = [&](AsyncScope& scope) -> Task<> {
      co_await scope.Enter(connection);
      co_await SleepFor(std::chrono::hours(1));
    };
    co_await WithScope(body);
  };
  const auto main = [&]() -> Task<> {
    TaskHandle<> holder = Spawn(holds());
    for (int i = 0; i < 4; ++i) co_await Yield();
    holder.Cancel();
    for (int i = 0; i < 4; ++i) co_await Yield();
    EXPECT_TRUE(holder.cancelled());
  };
  RunScripted(main());
  EXPECT_THAT(notes, ElementsAre("enter", "exit: the task was cancelled"));
}

TEST(AsyncScope, ACancellationDuringOneExitDoesNotSkipTheOthers) {
  Notes notes;
  const auto holds = [&]() -> Task<> {
    Connection connection(notes);
    const auto body = [&](AsyncScope& scope) -> Task<> {
      co_await scope.Enter(connection);
      scope.Defer([]() -> Task<> { co_await SleepFor(std::chrono::hours(1)); });
    };
    co_await WithScope(body);
  };
  const auto main = [&]() -> Task<> {
    TaskHandle<> holder = Spawn(holds());
    for (int i = 0; i < 4; ++i) co_await Yield();
    holder.Cancel();
    for (int i = 0; i < 4; ++i) co_await Yield();
    EXPECT_TRUE(holder.cancelled());
  };
  RunScripted(main());
  EXPECT_THAT(notes, ElementsAre("enter", "exit: the task was cancelled"));
}

}  // namespace
}  // namespace loopsan::testing
