#include "reporters/unwinder.h"

#include <fcntl.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <random>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/reporters/unwind_victim_process.h"

namespace loopsan {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAreArray;
using ::testing::Eq;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;

std::vector<uint64_t> Addresses(const UnwoundStack& stack) {
  std::vector<uint64_t> addresses;
  for (const StackFrame& frame : stack.frames) addresses.push_back(frame.pc);
  return addresses;
}

// Innermost first: the frame whose registers were stored, then its callers.
std::vector<uint64_t> NotedAddresses(const VictimReport& report) {
  std::vector<uint64_t> addresses = {report.registers[0]};
  for (uint64_t i = report.count; i > 0; --i) addresses.push_back(report.return_addresses[i - 1]);
  return addresses;
}

MATCHER_P(BeginsWith, addresses, "") {
  return arg.size() >= addresses.size() &&
         std::equal(addresses.begin(), addresses.end(), arg.begin());
}

// A victim, its image and one look at its stack, live.
struct Look {
  explicit Look(const char* shape, const char* program = UNWIND_VICTIM)
      : victim(program, shape), process(victim.pid()) {
    ready = victim.stands() && process.Refresh().ok();
    raw = victim.CopyStack(process);
    unwinder = Unwinder::Create(&process);
  }
  UnwoundStack Unwind() { return unwinder->Unwind(raw, 1000); }

  VictimProcess victim;
  ProcessImage process;
  RawStack raw;
  std::unique_ptr<Unwinder> unwinder;
  bool ready = false;
};

TEST(Unwinder, FindsEachCallerOfOptimizedCodeWithoutFramePointers) {
  Look look("nested");
  ASSERT_TRUE(look.ready);
  const UnwoundStack stack = look.Unwind();
  EXPECT_THAT(Addresses(stack), BeginsWith(NotedAddresses(look.victim.report())));
  EXPECT_TRUE(stack.complete) << stack.stopped_because;
  EXPECT_THAT(stack.stopped_because, IsEmpty());
  EXPECT_EQ(stack.source, StackSource::kHookRegisters);
}

TEST(Unwinder, FindsTheSameFramesAfterTheProcessIsGone) {
  for (const char* shape : {"nested", "alloca", "deep", "noreturn", "signal"}) {
    SCOPED_TRACE(shape);
    Look look(shape);
    ASSERT_TRUE(look.ready);
    const UnwoundStack live = look.Unwind();
    ASSERT_TRUE(live.complete) << live.stopped_because;
    look.victim.Kill();
    EXPECT_EQ(look.Unwind().frames, live.frames);
    // And without anything an earlier unwind has left in a cache.
    look.unwinder = Unwinder::Create(&look.process);
    EXPECT_EQ(look.Unwind().frames, live.frames);
  }
}

TEST(Unwinder, WorksOnAdoptedModulesOfAProcessItNeverSawAlive) {
  Look look("nested");
  ASSERT_TRUE(look.ready);
  const UnwoundStack live = look.Unwind();
  look.victim.Kill();
  ProcessImage dead(-1);
  dead.Adopt(look.process.modules());
  EXPECT_EQ(Unwinder::Create(&dead)->Unwind(look.raw).frames, live.frames);
}

TEST(Unwinder, GivesEachFrameItsStackPointer) {
  Look look("nested");
  ASSERT_TRUE(look.ready);
  const UnwoundStack stack = look.Unwind();
  ASSERT_TRUE(stack.complete);
  EXPECT_EQ(stack.frames[0].sp, look.raw.registers.rsp);
  for (size_t i = 1; i < stack.frames.size(); ++i) {
    // The return address lies just below the caller's stack pointer.
    uint64_t word = 0;
    std::memcpy(&word, look.raw.bytes.data() + (stack.frames[i].sp - 8 - look.raw.base), 8);
    EXPECT_EQ(word, stack.frames[i].pc) << "frame " << i;
    EXPECT_TRUE(stack.frames[i].is_return_address);
  }
}

TEST(Unwinder, FollowsAFrameOfVariableSize) {
  Look look("alloca");
  ASSERT_TRUE(look.ready);
  const UnwoundStack stack = look.Unwind();
  EXPECT_THAT(Addresses(stack), BeginsWith(NotedAddresses(look.victim.report())));
  EXPECT_TRUE(stack.complete) << stack.stopped_because;
}

TEST(Unwinder, SaysThatAFrameOfVariableSizeNeedsTheFramePointer) {
  Look look("alloca");
  ASSERT_TRUE(look.ready);
  look.raw.rbp_known = false;
  const UnwoundStack stack = look.Unwind();
  // Innermost, Third, Second and the frame of variable size itself.
  const std::vector<uint64_t> noted = NotedAddresses(look.victim.report());
  EXPECT_THAT(Addresses(stack), ElementsAreArray(noted.begin(), noted.begin() + 4));
  EXPECT_FALSE(stack.complete);
  EXPECT_THAT(stack.stopped_because, HasSubstr("needs a register that was not recorded"));
}

TEST(Unwinder, KeepsTheFramePointerOfAFunctionInterruptedAtItsRet) {
  Look look("alloca");
  ASSERT_TRUE(look.ready);
  const UnwoundStack callers = look.Unwind();
  // The same stack, had the innermost function called one that is at its ret.
  RawStack raw = look.raw;
  raw.base -= 8;
  raw.bytes.insert(raw.bytes.begin(), 8, '\0');
  std::memcpy(raw.bytes.data(), &look.raw.registers.rip, 8);
  raw.registers.rsp = raw.base;
  raw.registers.rip = look.victim.report().epilogue;
  raw.rip_is_return_address = false;
  for (const bool alive : {true, false}) {
    SCOPED_TRACE(alive ? "live" : "dead");
    if (!alive) look.victim.Kill();
    UnwoundStack stack = look.unwinder->Unwind(raw);
    EXPECT_TRUE(stack.complete) << stack.stopped_because;
    ASSERT_FALSE(stack.frames.empty());
    stack.frames.erase(stack.frames.begin());
    EXPECT_EQ(stack.frames, callers.frames);
  }
}

TEST(Unwinder, NeedsNoFramePointerWhereFramesHaveFixedSizes) {
  Look look("nested");
  ASSERT_TRUE(look.ready);
  const UnwoundStack with = look.Unwind();
  look.raw.rbp_known = false;
  EXPECT_EQ(look.Unwind().frames, with.frames);
}

TEST(Unwinder, LooksUpACallAtTheEndOfAFunctionInThatFunction) {
  Look look("noreturn");
  ASSERT_TRUE(look.ready);
  const UnwoundStack stack = look.Unwind();
  EXPECT_THAT(Addresses(stack), BeginsWith(NotedAddresses(look.victim.report())));
  EXPECT_TRUE(stack.complete) << stack.stopped_because;
}

TEST(Unwinder, FollowsHundredsOfFrames) {
  Look look("deep");
  ASSERT_TRUE(look.ready);
  const UnwoundStack stack = look.Unwind();
  EXPECT_TRUE(stack.complete) << stack.stopped_because;
  EXPECT_GT(stack.frames.size(), 400u);
}

TEST(Unwinder, StopsAtTheRequestedNumberOfFrames) {
  Look look("deep");
  ASSERT_TRUE(look.ready);
  const UnwoundStack stack = look.unwinder->Unwind(look.raw, 10);
  EXPECT_THAT(stack.frames, SizeIs(10));
  EXPECT_FALSE(stack.complete);
  EXPECT_THAT(stack.stopped_because, Eq("deeper than 10 frames"));
  EXPECT_THAT(look.unwinder->Unwind(look.raw, 0).frames, IsEmpty());
}

TEST(Unwinder, GoesThroughASignalHandlerIntoTheInterruptedCode) {
  for (const char* shape : {"signal", "sigaltstack"}) {
    SCOPED_TRACE(shape);
    Look look(shape);
    ASSERT_TRUE(look.ready);
    const UnwoundStack stack = look.Unwind();
    EXPECT_TRUE(stack.complete) << stack.stopped_because;
    const auto interrupted =
        std::find_if(stack.frames.begin(), stack.frames.end(),
                     [](const StackFrame& frame) { return !frame.is_return_address; });
    ASSERT_NE(interrupted, stack.frames.end());
    EXPECT_EQ(std::count_if(stack.frames.begin(), stack.frames.end(),
                            [](const StackFrame& frame) { return !frame.is_return_address; }),
              1);
    // RaisesASignal() was the first to note its caller, main().
    EXPECT_TRUE(std::any_of(interrupted, stack.frames.end(), [&](const StackFrame& frame) {
      return frame.pc == look.victim.report().return_addresses[0];
    }));
  }
}

TEST(Unwinder, FollowsFramePointersThroughGeneratedCode) {
  Look look("jit");
  ASSERT_TRUE(look.ready);
  const VictimReport& report = look.victim.report();
  for (const bool alive : {true, false}) {
    SCOPED_TRACE(alive ? "live" : "dead");
    if (!alive) look.victim.Kill();
    const UnwoundStack stack = look.Unwind();
    EXPECT_TRUE(stack.complete) << stack.stopped_because;
    const auto generated =
        std::find_if(stack.frames.begin(), stack.frames.end(), [&](const StackFrame& frame) {
          return frame.pc >= report.generated_code && frame.pc < report.generated_code + 4096;
        });
    ASSERT_NE(generated, stack.frames.end());
    // Behind it its caller, which noted that it returns to main().
    ASSERT_GT(stack.frames.end() - generated, 2);
    EXPECT_EQ(generated[2].pc, report.return_addresses[0]);
  }
}

TEST(Unwinder, StopsInGeneratedCodeWhoseFramePointerPointsNowhere) {
  Look look("jit");
  ASSERT_TRUE(look.ready);
  const uint64_t code = look.victim.report().generated_code;
  look.raw.registers.rip = code + 10;
  // Below the stack pointer, odd, above the copy, on a word that is no return address.
  for (const uint64_t rbp :
       {look.raw.base - 16, look.raw.base + 1, look.raw.base + look.raw.bytes.size(),
        look.raw.base + look.raw.bytes.size() - 8, uint64_t{8}, ~uint64_t{7},
        look.raw.base + look.raw.bytes.size() - 64}) {
    look.raw.registers.rbp = rbp;
    const UnwoundStack stack = look.Unwind();
    EXPECT_THAT(stack.frames, SizeIs(1)) << rbp - look.raw.base;
    EXPECT_FALSE(stack.complete);
    EXPECT_THAT(stack.stopped_because, Not(IsEmpty()));
  }
  look.raw.rbp_known = false;
  EXPECT_THAT(look.Unwind().stopped_because,
              Eq("no unwind information in [jit], and its frame pointer was not recorded"));
}

TEST(Unwinder, SaysWhereTheCopiedStackEnds) {
  Look look("alloca");
  ASSERT_TRUE(look.ready);
  const UnwoundStack whole = look.Unwind();
  for (const bool alive : {true, false}) {
    SCOPED_TRACE(alive ? "live" : "dead");
    if (!alive) look.victim.Kill();
    RawStack cut = look.raw;
    cut.bytes.resize(1024);
    const UnwoundStack stack = look.unwinder->Unwind(cut);
    EXPECT_FALSE(stack.complete);
    EXPECT_EQ(stack.stopped_because, "the copied stack ends here");
    ASSERT_GT(stack.frames.size(), 1u);
    ASSERT_LT(stack.frames.size(), whole.frames.size());
    EXPECT_TRUE(std::equal(stack.frames.begin(), stack.frames.end(), whole.frames.begin()));
  }
}

TEST(Unwinder, GivesThePrefixOfTheFramesForEachPrefixOfTheBytes) {
  Look look("nested");
  ASSERT_TRUE(look.ready);
  const UnwoundStack whole = look.Unwind();
  for (size_t bytes = 0; bytes < 1024; ++bytes) {
    RawStack cut = look.raw;
    cut.bytes.resize(bytes);
    const UnwoundStack stack = look.unwinder->Unwind(cut);
    ASSERT_LE(stack.frames.size(), whole.frames.size());
    ASSERT_TRUE(std::equal(stack.frames.begin(), stack.frames.end(), whole.frames.begin()))
        << bytes << " bytes";
  }
}

TEST(Unwinder, WorksInAnExecutableAtAFixedAddress) {
  Look look("alloca", UNWIND_VICTIM_NO_PIE);
  ASSERT_TRUE(look.ready);
  const UnwoundStack stack = look.Unwind();
  ASSERT_FALSE(stack.frames.empty());
  ASSERT_EQ(look.process.FindModule(stack.frames[0].pc)->load_bias, 0u);
  EXPECT_THAT(Addresses(stack), BeginsWith(NotedAddresses(look.victim.report())));
  EXPECT_TRUE(stack.complete) << stack.stopped_because;
}

TEST(Unwinder, StopsInAModuleWhoseFileWasReplaced) {
  const std::string program = TemporaryPath("unwinder_test_replaced");
  std::filesystem::copy_file(UNWIND_VICTIM, program,
                             std::filesystem::copy_options::overwrite_existing);
  Look look("nested", program.c_str());
  ASSERT_TRUE(look.ready);
  look.victim.Kill();  // while it lives its file can be read through /proc
  std::filesystem::remove(program);
  std::filesystem::copy_file(UNWIND_VICTIM_OTHER, program);
  const UnwoundStack stack = look.Unwind();
  EXPECT_THAT(stack.frames, SizeIs(1));
  EXPECT_FALSE(stack.complete);
  EXPECT_THAT(stack.stopped_because, HasSubstr("cannot be read"));
  EXPECT_THAT(look.process.warnings(), SizeIs(1));
  EXPECT_THAT(look.process.warnings()[0], AllOf(HasSubstr(program), HasSubstr("was replaced")));
  std::filesystem::remove(program);
}

TEST(Unwinder, ReadsADeletedProgramWhileItRuns) {
  const std::string program = TemporaryPath("unwinder_test_deleted");
  std::filesystem::copy_file(UNWIND_VICTIM, program,
                             std::filesystem::copy_options::overwrite_existing);
  Look look("nested", program.c_str());
  std::filesystem::remove(program);
  ASSERT_TRUE(look.ready);
  ASSERT_TRUE(look.process.Refresh().ok());
  const UnwoundStack stack = look.Unwind();
  EXPECT_THAT(Addresses(stack), BeginsWith(NotedAddresses(look.victim.report())));
  EXPECT_TRUE(stack.complete) << stack.stopped_because;
  ASSERT_THAT(look.process.warnings(), SizeIs(1));
  EXPECT_THAT(look.process.warnings()[0], HasSubstr("deleted"));
}

TEST(Unwinder, WorksOnAThreadThatOutlivesTheMainThread) {
  Look look("main_left");
  ASSERT_TRUE(look.ready);
  const UnwoundStack stack = look.Unwind();
  EXPECT_THAT(Addresses(stack), BeginsWith(NotedAddresses(look.victim.report())));
  EXPECT_TRUE(stack.complete) << stack.stopped_because;
}

TEST(Unwinder, StopsWhereTheProgramCounterIsNoCode) {
  Look look("nested");
  ASSERT_TRUE(look.ready);
  for (const uint64_t rip : {uint64_t{0}, uint64_t{1}, look.raw.base, ~uint64_t{0}}) {
    look.raw.registers.rip = rip;
    const UnwoundStack stack = look.Unwind();
    EXPECT_THAT(stack.frames, SizeIs(1));
    EXPECT_EQ(stack.stopped_because, "the program counter is outside of all code");
  }
}

TEST(Unwinder, SurvivesStacksOfGarbage) {
  Look look("jit");
  ASSERT_TRUE(look.ready);
  std::mt19937_64 random(20240229);
  // Addresses that lead somewhere: code, the stack itself.
  std::vector<uint64_t> bait = Addresses(look.Unwind());
  bait.push_back(look.victim.report().generated_code + 10);
  const auto word = [&]() -> uint64_t {
    switch (random() % 4) {
      case 0:
        return random();
      case 1:
        return bait[random() % bait.size()] + random() % 16;
      case 2:
        return look.raw.base + random() % 4096;
      default:
        return look.process.modules()[random() % look.process.modules().size()].start +
               random() % 100000;
    }
  };
  size_t deepest = 0;
  for (int i = 0; i < 20000; ++i) {
    if (i == 10000) look.victim.Kill();
    RawStack raw;
    raw.base = random() % 8 == 0 ? random() : look.raw.base;
    raw.registers = {word(), raw.base + random() % 64, word()};
    raw.rip_is_return_address = random() % 2 == 0;
    raw.bytes.resize(random() % 4096);
    for (size_t at = 0; at + 8 <= raw.bytes.size(); at += 8) {
      const uint64_t value = word();
      std::memcpy(raw.bytes.data() + at, &value, sizeof(value));
    }
    const UnwoundStack stack = look.unwinder->Unwind(raw, 64);
    ASSERT_GE(stack.frames.size(), 1u);
    ASSERT_LE(stack.frames.size(), 64u);
    ASSERT_TRUE(stack.complete || !stack.stopped_because.empty());
    deepest = std::max(deepest, stack.frames.size());
  }
  EXPECT_GT(deepest, 3u) << "the garbage led nowhere";
}

TEST(Unwinder, FindsTheSameFramesOfAnInterruptedAndOfAReturningThread) {
  // The same pc, once as a return address and once as the place of an
  // interrupt, has two meanings; a cache must not confuse them.
  Look look("nested");
  ASSERT_TRUE(look.ready);
  const UnwoundStack first = look.Unwind();
  RawStack interrupted = look.raw;
  interrupted.rip_is_return_address = false;
  const UnwoundStack other = look.unwinder->Unwind(interrupted);
  ASSERT_FALSE(other.frames.empty());
  EXPECT_FALSE(other.frames[0].is_return_address);
  EXPECT_EQ(look.Unwind().frames, first.frames);
}

}  // namespace
}  // namespace loopsan
