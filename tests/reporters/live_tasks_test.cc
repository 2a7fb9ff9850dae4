// What is read of a loop's tasks in a memory that may hold any bytes.
#include "reporters/live_tasks.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <sstream>

#include "instrument/annotate.h"
#include "reporters/task_listing.h"
#include "reporters/thread_probe.h"

namespace loopsan {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;

// This process is the program.
size_t ReadOwn(uint64_t address, void* to, size_t bytes) {
  return CopyMemory(getpid(), address, to, bytes);
}

uint64_t At(const void* pointer) { return reinterpret_cast<uint64_t>(pointer); }

constexpr loopsan_source kSpawn{"/src/main.cc", "Main()", 10, 1};
constexpr loopsan_source kInner{"/src/a.cc", "Inner()", 20, 1};
constexpr loopsan_source kInnerAwait{"/src/a.cc", "Inner()", 22, 1};
constexpr loopsan_source kOuter{"/src/a.cc", "Outer()", 30, 1};
constexpr loopsan_source kOuterAwait{"/src/a.cc", "Outer()", 33, 1};

// main (1) spawned reader (2), which waits for a mutex in two coroutines.
struct Program {
  Program() {
    outer = {nullptr, nullptr, nullptr, &kOuterAwait, &kOuter};
    inner = {&outer, nullptr, nullptr, &kInnerAwait, &kInner};
    main.id = 1;
    main.name = "main";
    main.state = LOOPSAN_TASK_RUNNING;
    main.since = 500;
    reader.id = 2;
    reader.next = &main;
    reader.spawner = 1;
    reader.name = "reader";
    reader.spawned_at = &kSpawn;
    reader.innermost = &inner;
    reader.waiting_for = "mutex";
    reader.waiting_object = this;
    reader.since = 900;
    reader.state = LOOPSAN_TASK_WAITING;
    loop.name = "loop";
    loop.kind = "loopsan";
    loop.first_task = &reader;
    loop.current = &main;
  }

  LiveLoop Read() const { return ReadLoop(At(&loop), ReadOwn, 1000, 100); }

  loopsan_async_frame outer{};
  loopsan_async_frame inner{};
  loopsan_task main{};
  loopsan_task reader{};
  loopsan_loop loop{};
};

TEST(LiveTasks, AreReadWithAllThatTheirLoopSays) {
  const Program program;
  const LiveLoop loop = program.Read();
  EXPECT_EQ(loop.name, "loop");
  EXPECT_EQ(loop.kind, "loopsan");
  EXPECT_FALSE(loop.cut);
  ASSERT_THAT(loop.tasks, SizeIs(2));
  const LiveTask& reader = loop.tasks[0];
  EXPECT_EQ(reader.id, 2u);
  EXPECT_EQ(reader.activity, TaskActivity::kWaiting);
  EXPECT_EQ(reader.waiting_for, "mutex");
  EXPECT_EQ(reader.waiting_object, At(&program));
  EXPECT_DOUBLE_EQ(reader.age_seconds, 1);
  EXPECT_EQ(reader.spawned_at.line, 10);
  ASSERT_THAT(reader.chain, SizeIs(2));
  EXPECT_EQ(reader.chain[0].awaiting_at.line, 22);
  EXPECT_EQ(reader.chain[1].awaiting_at.line, 33);
  EXPECT_EQ(loop.tasks[1].activity, TaskActivity::kRunning);
}

TEST(LiveTasks, AreListedBelowTheirSpawner) {
  const Program program;
  LiveLoop loop = program.Read();
  loop.pid = 77;
  loop.thread_id = 78;
  loop.steady = true;
  std::ostringstream out;
  WriteTaskListing({loop}, /*color=*/false, out);
  EXPECT_EQ(out.str(),
            "event loop 'loop' of loopsan, thread 78 of process 77: 2 tasks\n"
            "* 'main' is running, 5.00 s old, Task-1\n"
            "      'reader' waits for mutex, 1.00 s old, Task-2\n"
            "          Inner() at /src/a.cc:22\n"
            "          Outer() at /src/a.cc:33\n"
            "          spawned at /src/main.cc:10\n");
}

TEST(LiveTasks, AreShownAsFarAsTheyCouldBeReadWhileTheLoopGoesOn) {
  const Program program;
  std::ostringstream out;
  WriteTaskListing({program.Read()}, /*color=*/false, out);
  EXPECT_THAT(out.str(), HasSubstr("some may be missing"));
}

TEST(LiveTasks, NameTheTaskThatTheyWaitFor) {
  Program program;
  program.loop.current = nullptr;
  program.main.state = LOOPSAN_TASK_WAITING;
  program.main.waiting_for = "task";
  program.main.waiting_object = &program.reader;
  EXPECT_EQ(program.Read().tasks[1].awaited_task, 2u);
  std::ostringstream out;
  WriteTaskListing({program.Read()}, /*color=*/false, out);
  EXPECT_THAT(out.str(), HasSubstr("'main' waits for task 'reader', "));
}

TEST(LiveTasks, EndWhereTheListLeadsBackToItself) {
  Program program;
  program.main.next = &program.reader;
  EXPECT_THAT(program.Read().tasks, SizeIs(2));
}

TEST(LiveTasks, EndWhereMemoryCannotBeRead) {
  Program program;
  program.reader.next = reinterpret_cast<loopsan_task*>(8);
  const auto read = [&](uint64_t address, void* to, size_t bytes) {
    return address < 4096 ? size_t{0} : ReadOwn(address, to, bytes);
  };
  EXPECT_THAT(ReadLoop(At(&program.loop), read, 1000, 100).tasks, SizeIs(1));
  EXPECT_THAT(ReadLoop(8, read, 1000, 100).tasks, IsEmpty());
}

TEST(LiveTasks, AreCutAtALimit) {
  std::vector<loopsan_task> many(kMaxLiveTasks + 1);
  for (size_t i = 0; i < many.size(); ++i) {
    many[i].id = i + 1;
    if (i + 1 < many.size()) many[i].next = &many[i + 1];
  }
  loopsan_loop loop{};
  loop.first_task = many.data();
  const LiveLoop read = ReadLoop(At(&loop), ReadOwn, 1000, 100);
  EXPECT_THAT(read.tasks, SizeIs(kMaxLiveTasks));
  EXPECT_TRUE(read.cut);
}

TEST(LiveTasks, AreListedOnceThoughTheirSpawnersLeadInACircle) {
  LiveLoop loop;
  loop.tasks.resize(3);
  loop.tasks[0] = {.id = 1, .name = "one", .spawner = 2};
  loop.tasks[1] = {.id = 2, .name = "two", .spawner = 1};
  loop.tasks[2] = {.id = 3, .name = "three", .spawner = 3};
  std::ostringstream out;
  WriteTaskListing({loop}, /*color=*/false, out);
  const std::string text = out.str();
  for (const char* name : {"'one'", "'two'", "'three'"}) {
    const size_t first = text.find(name);
    ASSERT_NE(first, std::string::npos) << text;
    EXPECT_EQ(text.find(name, first + 1), std::string::npos) << text;
  }
}

TEST(LiveTasks, CannotWriteToTheTerminalByTheirNames) {
  Program program;
  program.reader.name = "\033[31mred\n\xff";
  std::ostringstream out;
  WriteTaskListing({program.Read()}, /*color=*/false, out);
  EXPECT_THAT(out.str(), Not(HasSubstr("\033")));
  EXPECT_THAT(out.str(), HasSubstr("'\\x1b[31mred\\n\\xff'"));
}

TEST(LiveTasks, OfProcessesThatCannotBeReadAreAnErrorThatSaysWhy) {
  EXPECT_THAT(std::string(ReadLiveLoops(-1).status().message()), HasSubstr("no process"));
  EXPECT_THAT(std::string(ReadLiveLoops(getpid()).status().message()),
              HasSubstr("is not watched; start it with: loopsan run -- COMMAND"));
}

}  // namespace
}  // namespace loopsan
