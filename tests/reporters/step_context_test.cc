#include "reporters/step_context.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <random>

#include "instrument/annotate.h"
#include "reporters/thread_probe.h"

namespace loopsan {
namespace {

using segment::TextKind;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;

class TextBuilder {
 public:
  TextBuilder& Add(TextKind kind, std::string_view payload = "") {
    const segment::TextField field{kind, static_cast<uint16_t>(payload.size())};
    text_.append(reinterpret_cast<const char*>(&field), sizeof field);
    text_ += payload;
    return *this;
  }
  TextBuilder& AddNumber(TextKind kind, uint64_t number) {
    return Add(kind, {reinterpret_cast<const char*>(&number), sizeof number});
  }
  TextBuilder& AddSource(TextKind kind, std::string_view file, std::string_view function,
                         uint32_t line) {
    std::string payload(reinterpret_cast<const char*>(&line), sizeof line);
    payload += file;
    payload += '\0';
    payload += function;
    return Add(kind, payload);
  }
  const std::string& text() const { return text_; }

 private:
  std::string text_;
};

TEST(EventText, HoldsATaskAndItsCoroutines) {
  TextBuilder builder;
  builder.Add(TextKind::kTaskName, "reader")
      .AddSource(TextKind::kSpawnedAt, "main.cc", "Main()", 12)
      .AddNumber(TextKind::kSpawner, 7)
      .Add(TextKind::kSpawnerName, "acceptor")
      .AddNumber(TextKind::kResumer, 0x7fff1234)
      .Add(TextKind::kRunningFrame)
      .AddSource(TextKind::kDefinedAt, "read.cc", "Task Read()", 3)
      .Add(TextKind::kWaitingFrame)
      .AddSource(TextKind::kAwaitingAt, "serve.cc", "Task Serve()", 40);
  const StepContext context = ParseEventText(builder.text()).context;
  EXPECT_EQ(context.task.name, "reader");
  EXPECT_EQ(context.task.spawned_at, (SourcePlace{"Main()", "main.cc", 12}));
  EXPECT_EQ(context.spawner_id, 7u);
  EXPECT_EQ(context.task.spawner, "acceptor");
  EXPECT_EQ(context.resumer, 0x7fff1234u);
  ASSERT_THAT(context.chain, SizeIs(2));
  EXPECT_TRUE(context.chain[0].running);
  EXPECT_EQ(context.chain[0].defined_at.line, 3);
  EXPECT_FALSE(context.chain[1].running);
  EXPECT_EQ(context.chain[1].awaiting_at, (SourcePlace{"Task Serve()", "serve.cc", 40}));
}

TEST(EventText, HoldsAFinding) {
  const double seconds = 1.5;
  TextBuilder builder;
  builder.Add(TextKind::kRule, "never-awaited")
      .Add(TextKind::kMessage, "it was not awaited")
      .Add(TextKind::kRemedy, "await it")
      .AddSource(TextKind::kWhere, "a.cc", "F()", 1)
      .Add(TextKind::kSeconds, {reinterpret_cast<const char*>(&seconds), sizeof seconds})
      .AddNumber(TextKind::kReturnAddress, 0x1000)
      .AddNumber(TextKind::kReturnAddress, 0x2000);
  const EventText text = ParseEventText(builder.text());
  EXPECT_EQ(text.rule, "never-awaited");
  EXPECT_EQ(text.message, "it was not awaited");
  EXPECT_EQ(text.remedy, "await it");
  EXPECT_EQ(text.where.file, "a.cc");
  EXPECT_EQ(text.seconds, 1.5);
  EXPECT_THAT(text.return_addresses, ElementsAre(0x1000u, 0x2000u));
}

TEST(EventText, HoldsTheMembersOfAFinding) {
  TextBuilder builder;
  builder.AddNumber(TextKind::kMemberCount, 3)
      .Add(TextKind::kMember, "task 'reader' waits for executor 'pool'")
      .AddSource(TextKind::kMemberWhere, "a.cc", "F()", 1)
      .AddNumber(TextKind::kMemberAddress, 0x1000)
      .AddNumber(TextKind::kMemberAddress, 0x2000)
      .Add(TextKind::kMember, "thread pool_0")
      .AddNumber(TextKind::kMemberAddress, 0x3000);
  const EventText text = ParseEventText(builder.text());
  EXPECT_EQ(text.member_count, 3u);
  ASSERT_THAT(text.members, SizeIs(2));
  EXPECT_EQ(text.members[0].what, "task 'reader' waits for executor 'pool'");
  EXPECT_EQ(text.members[0].where, (SourcePlace{"F()", "a.cc", 1}));
  EXPECT_THAT(text.members[0].return_addresses, ElementsAre(0x1000u, 0x2000u));
  EXPECT_EQ(text.members[1].where, SourcePlace());
  EXPECT_THAT(text.members[1].return_addresses, ElementsAre(0x3000u));
  EXPECT_THAT(text.return_addresses, IsEmpty());
}

TEST(EventText, HasNoMembersWithoutOneToBelongTo) {
  TextBuilder builder;
  builder.AddSource(TextKind::kMemberWhere, "a.cc", "F()", 1)
      .AddNumber(TextKind::kMemberAddress, 0x1000);
  EXPECT_THAT(ParseEventText(builder.text()).members, IsEmpty());
}

TEST(EventText, HoldsNoMoreMembersThanAFindingMayHave) {
  TextBuilder builder;
  for (int i = 0; i < 100; ++i) {
    builder.Add(TextKind::kMember, "one");
    for (int k = 0; k < 100; ++k) builder.AddNumber(TextKind::kMemberAddress, 0x1000);
  }
  const EventText text = ParseEventText(builder.text());
  ASSERT_THAT(text.members, SizeIs(LOOPSAN_FINDING_MEMBERS));
  EXPECT_THAT(text.members.back().return_addresses, SizeIs(LOOPSAN_MEMBER_FRAMES));
}

TEST(EventText, KeepsWhatStandsBeforeAFieldThatIsCutOff) {
  TextBuilder builder;
  builder.Add(TextKind::kTaskName, "reader").Add(TextKind::kSpawnerName, "acceptor");
  for (size_t bytes = 0; bytes < builder.text().size(); ++bytes) {
    const EventText text = ParseEventText(std::string_view(builder.text()).substr(0, bytes));
    EXPECT_EQ(text.context.task.name, bytes >= sizeof(segment::TextField) + 6 ? "reader" : "");
    EXPECT_EQ(text.context.task.spawner, "");
  }
}

TEST(EventText, SurvivesAnyBytes) {
  std::mt19937_64 random(20261123);
  for (int round = 0; round < 2000; ++round) {
    std::string bytes(random() % 600, '\0');
    for (size_t i = 0; i < bytes.size(); ++i) {
      // Often a plausible header: kinds are small, lengths are short.
      bytes[i] = static_cast<char>(i % 4 == 1 || i % 4 == 3 ? 0 : random() % 24);
    }
    const EventText text = ParseEventText(bytes);
    EXPECT_LE(text.context.chain.size(), 256u);
    EXPECT_LE(text.return_addresses.size(), 64u);
    EXPECT_LE(text.members.size(), 16u);
  }
}

TEST(RuleNames, AreShortAndPlain) {
  EXPECT_TRUE(IsRuleName("never-awaited"));
  EXPECT_TRUE(IsRuleName(std::string(64, 'a')));
  for (const std::string& name :
       {std::string(), std::string("Never"), std::string("a b"), std::string("a\n"),
        std::string("a/../b"), std::string("\xff"), std::string(65, 'a')}) {
    EXPECT_FALSE(IsRuleName(name)) << name;
  }
}

// A program's structures, read as if they were far away.
class RemoteContext : public testing::Test {
 protected:
  RemoteContext() {
    spawner_.id = 4;
    spawner_.name = "acceptor";
    task_.id = 9;
    task_.name = "reader";
    task_.spawned_at = &site_;
    task_.spawner = 4;
    task_.innermost = &inner_;
    task_.next = &spawner_;
    inner_.parent = &outer_;
    inner_.root = &root_;
    inner_.defined_at = &site_;
    inner_.awaiting_at = &site_;
    outer_.awaiting_at = &site_;
    root_.top_frame = &inner_;
    root_.stack_frame = reinterpret_cast<void*>(0x5000);
    loop_.root = &root_;
    loop_.first_task = &task_;
    step_.sequence = 2;
    step_.start = 1;
    step_.task = Address(&task_);
    step_.task_id = 9;
    step_.origin = Address(&site_);
    step_.loop = Address(&loop_);
  }

  template <typename T>
  static uint64_t Address(const T* pointer) {
    return reinterpret_cast<uint64_t>(pointer);
  }

  // As from outside, where a read may go on behind the object; `forbidden_` cannot be read.
  StepContext Read() {
    return ReadStepContext(step_, [this](uint64_t address, void* to, size_t bytes) -> size_t {
      ++reads_;
      return address == forbidden_ ? 0 : CopyMemory(getpid(), address, to, bytes);
    });
  }

  const loopsan_source site_{"/src/read.cc", "Task Read()", 30, 5};
  loopsan_task spawner_{};
  loopsan_task task_{};
  loopsan_async_frame inner_{};
  loopsan_async_frame outer_{};
  loopsan_async_root root_{};
  loopsan_loop loop_{};
  ExactStep step_;
  uint64_t forbidden_ = 0;
  int reads_ = 0;
};

TEST_F(RemoteContext, HasTheTaskItsSpawnerAndEachCoroutine) {
  const StepContext context = Read();
  EXPECT_EQ(context.task.name, "reader");
  EXPECT_EQ(context.task.id, 9u);
  EXPECT_EQ(context.task.spawner, "acceptor");
  EXPECT_EQ(context.task.spawned_at, (SourcePlace{"Task Read()", "/src/read.cc", 30}));
  EXPECT_EQ(context.resumer, 0x5000u);
  ASSERT_THAT(context.chain, SizeIs(2));
  EXPECT_TRUE(context.chain[0].running);
  EXPECT_EQ(context.chain[1].awaiting_at.line, 30);
  EXPECT_FALSE(context.chain_cut);
}

TEST_F(RemoteContext, ShowsWhereATaskWaitsIfNothingRuns) {
  loop_.root = nullptr;
  inner_.root = nullptr;
  const StepContext context = Read();
  EXPECT_EQ(context.resumer, 0u);
  ASSERT_THAT(context.chain, SizeIs(2));
  EXPECT_FALSE(context.chain[0].running);
}

TEST_F(RemoteContext, HasNoNameOfATaskThatIsAnotherByNow) {
  task_.id = 10;
  const StepContext context = Read();
  EXPECT_EQ(context.task.name, "");
  EXPECT_EQ(context.task.id, 9u);
  EXPECT_EQ(context.task.spawned_at.line, 30) << "the place stays";
}

TEST_F(RemoteContext, EndsAChainThatRunsInACircle) {
  outer_.parent = &inner_;
  const StepContext context = Read();
  EXPECT_THAT(context.chain, SizeIs(256));
  EXPECT_TRUE(context.chain_cut);
}

TEST_F(RemoteContext, EndsATaskListThatRunsInACircle) {
  task_.spawner = 99;
  spawner_.next = &task_;
  EXPECT_EQ(Read().task.spawner, "");
  EXPECT_LT(reads_, 1000);
}

TEST_F(RemoteContext, EndsWhereMemoryCannotBeRead) {
  forbidden_ = Address(&outer_);
  EXPECT_THAT(Read().chain, SizeIs(1));
  forbidden_ = Address(&loop_);
  EXPECT_THAT(Read().chain, SizeIs(2)) << "where the task says it stands";
  step_.task = 0;
  EXPECT_THAT(Read().chain, IsEmpty());
}

TEST_F(RemoteContext, CutsATextThatDoesNotEnd) {
  const std::string endless(5000, 'x');
  task_.name = endless.c_str();
  EXPECT_EQ(Read().task.name.size(), segment::kTextLimit);
}

}  // namespace
}  // namespace loopsan
