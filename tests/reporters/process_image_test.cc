#include "reporters/process_image.h"

#include <elf.h>
#include <link.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "reporters/elf_image.h"
#include "tests/reporters/unwind_victim_process.h"

namespace loopsan {
namespace {

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

using ::testing::SizeIs;

uint64_t AddressOf(const void* pointer) { return reinterpret_cast<uint64_t>(pointer); }

// Code in this program.
__attribute__((noinline)) int Code(int argument) { return argument * 3; }
int data = 1;

TEST(ProcessImage, AgreesWithTheLoaderAboutEachModule) {
  ProcessImage process(getpid());
  ASSERT_TRUE(process.Refresh().ok());
  struct Seen {
    ProcessImage* process;
    int modules = 0;
  } seen{&process};
  dl_iterate_phdr(
      [](dl_phdr_info* info, size_t, void* argument) {
        auto* look = static_cast<Seen*>(argument);
        for (int i = 0; i < info->dlpi_phnum; ++i) {
          const ElfW(Phdr)& program = info->dlpi_phdr[i];
          if (program.p_type != PT_LOAD || (program.p_flags & PF_X) == 0) continue;
          const MappedModule* module = look->process->FindModule(info->dlpi_addr + program.p_vaddr);
          if (module == nullptr) {
            ADD_FAILURE() << "no module for " << info->dlpi_name;
            continue;
          }
          EXPECT_EQ(module->load_bias, info->dlpi_addr) << module->path;
          EXPECT_TRUE(look->process->IsExecutable(info->dlpi_addr + program.p_vaddr));
          ++look->modules;
        }
        return 0;
      },
      &seen);
  EXPECT_GT(seen.modules, 3);
  EXPECT_THAT(process.warnings(), IsEmpty());
}

TEST(ProcessImage, KnowsTheVdso) {
  ProcessImage process(getpid());
  ASSERT_TRUE(process.Refresh().ok());
  const uint64_t vdso = getauxval(AT_SYSINFO_EHDR);
  if (vdso == 0) GTEST_SKIP() << "this kernel maps no vdso";
  const MappedModule* module = process.FindModule(vdso);
  ASSERT_NE(module, nullptr);
  EXPECT_EQ(module->path, "[vdso]");
  EXPECT_EQ(module->load_bias, vdso);
  ElfImage* image = process.FindElf(*module);
  ASSERT_NE(image, nullptr);
  EXPECT_TRUE(image->unwind_table().has_value());
}

TEST(ProcessImage, TellsCodeFromData) {
  ProcessImage process(getpid());
  ASSERT_TRUE(process.Refresh().ok());
  int local = Code(1);
  EXPECT_TRUE(process.IsExecutable(AddressOf(reinterpret_cast<void*>(&Code))));
  EXPECT_FALSE(process.IsExecutable(AddressOf(&data)));
  EXPECT_FALSE(process.IsExecutable(AddressOf(&local)));
  EXPECT_FALSE(process.IsExecutable(0));
  EXPECT_FALSE(process.IsExecutable(~uint64_t{0}));
}

TEST(ProcessImage, FindsTheMappingAroundTheStack) {
  ProcessImage process(getpid());
  ASSERT_TRUE(process.Refresh().ok());
  int local = 0;
  const std::optional<AddressRange> stack = process.FindMapping(AddressOf(&local));
  ASSERT_TRUE(stack.has_value());
  EXPECT_LE(stack->start, AddressOf(&local));
  EXPECT_GT(stack->end, AddressOf(&local));
  EXPECT_FALSE(process.FindMapping(0).has_value());
}

TEST(ProcessImage, SeesCodeThatWasMappedAfterTheFirstLook) {
  ProcessImage process(getpid());
  ASSERT_TRUE(process.Refresh().ok());
  void* page = mmap(nullptr, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  ASSERT_NE(page, MAP_FAILED);
  EXPECT_TRUE(process.IsExecutable(AddressOf(page)));
  // It belongs to no file, and asking again reads nothing again.
  const uint64_t refreshes = process.refreshes();
  EXPECT_EQ(process.FindModule(AddressOf(page)), nullptr);
  EXPECT_TRUE(process.IsExecutable(AddressOf(page) + 100));
  EXPECT_EQ(process.refreshes(), refreshes);
  munmap(page, 4096);
}

TEST(ProcessImage, DoesNotReadTheMapsForEachWordOfGarbage) {
  ProcessImage process(getpid());
  ASSERT_TRUE(process.Refresh().ok());
  const auto started = std::chrono::steady_clock::now();
  constexpr uint64_t kNothingIsHere = 0x100000000000;
  for (uint64_t page = 0; page < 10000; ++page) {
    EXPECT_EQ(process.FindModule(kNothingIsHere + page * 4096), nullptr);
    EXPECT_FALSE(process.IsExecutable(kNothingIsHere + page * 4096));
  }
  const auto lasted = std::chrono::steady_clock::now() - started;
  // The first Refresh(), and then one in 50 ms.
  EXPECT_LE(process.refreshes(),
            2u + static_cast<uint64_t>(lasted / std::chrono::milliseconds(50)));
}

TEST(ProcessImage, KeepsItsGenerationWhileNothingChanges) {
  ProcessImage process(getpid());
  ASSERT_TRUE(process.Refresh().ok());
  const uint64_t generation = process.generation();
  EXPECT_GT(generation, 0u);
  ASSERT_TRUE(process.Refresh().ok());
  EXPECT_EQ(process.generation(), generation);
}

TEST(ProcessImage, ReadsMemoryOfALivingProcessOnly) {
  VictimProcess victim(UNWIND_VICTIM, "nested");
  ASSERT_TRUE(victim.stands());
  ProcessImage process(victim.pid());
  ASSERT_TRUE(process.Refresh().ok());
  uint64_t word = 0;
  EXPECT_TRUE(process.ReadMemory(victim.report().registers[1], &word, sizeof(word)));
  EXPECT_FALSE(process.ReadMemory(8, &word, sizeof(word)));
  victim.Kill();
  EXPECT_FALSE(process.ReadMemory(victim.report().registers[1], &word, sizeof(word)));
}

TEST(ProcessImage, KeepsWhatItKnewWhenTheProcessIsGone) {
  VictimProcess victim(UNWIND_VICTIM, "nested");
  ASSERT_TRUE(victim.stands());
  ProcessImage process(victim.pid());
  ASSERT_TRUE(process.Refresh().ok());
  const size_t modules = process.modules().size();
  const uint64_t generation = process.generation();
  victim.Kill();
  EXPECT_TRUE(absl::IsNotFound(process.Refresh()));
  EXPECT_THAT(process.modules(), SizeIs(modules));
  EXPECT_EQ(process.generation(), generation);
  const MappedModule* module = process.FindModule(victim.report().registers[0]);
  ASSERT_NE(module, nullptr);
  EXPECT_EQ(module->path, UNWIND_VICTIM);
  EXPECT_NE(process.FindElf(*module), nullptr);
}

TEST(ProcessImage, KeepsWhatItKnewOfAZombie) {
  VictimProcess victim(UNWIND_VICTIM, "nested");
  ASSERT_TRUE(victim.stands());
  ProcessImage process(victim.pid());
  ASSERT_TRUE(process.Refresh().ok());
  const size_t modules = process.modules().size();
  siginfo_t information;
  kill(victim.pid(), SIGKILL);
  ASSERT_EQ(waitid(P_PID, static_cast<id_t>(victim.pid()), &information, WEXITED | WNOWAIT), 0);
  EXPECT_FALSE(process.Refresh().ok());
  EXPECT_THAT(process.modules(), SizeIs(modules));
}

TEST(ProcessImage, AdoptsTheModulesOfAProcessThatIsGone) {
  VictimProcess victim(UNWIND_VICTIM, "nested");
  ASSERT_TRUE(victim.stands());
  ProcessImage alive(victim.pid());
  ASSERT_TRUE(alive.Refresh().ok());
  victim.Kill();

  ProcessImage process(victim.pid());
  EXPECT_FALSE(process.Refresh().ok());
  process.Adopt(alive.modules());
  EXPECT_EQ(process.generation(), 1u);
  EXPECT_THAT(process.modules(), SizeIs(alive.modules().size()));
  const uint64_t pc = victim.report().registers[0];
  ASSERT_NE(process.FindModule(pc), nullptr);
  EXPECT_NE(process.FindElf(*process.FindModule(pc)), nullptr);
  EXPECT_TRUE(process.IsExecutable(pc));
  // The code segment only, as the file has it.
  EXPECT_FALSE(process.IsExecutable(process.FindModule(pc)->start));
}

TEST(ProcessImage, DoesNotAdoptOverWhatItKnows) {
  ProcessImage process(getpid());
  ASSERT_TRUE(process.Refresh().ok());
  const MappedModule known = *process.FindModule(AddressOf(reinterpret_cast<void*>(&Code)));
  const uint64_t generation = process.generation();
  MappedModule wrong = known;
  wrong.path = "/wrong";
  wrong.start += 4096;
  process.Adopt({wrong});
  EXPECT_EQ(process.generation(), generation);
  EXPECT_EQ(process.FindModule(AddressOf(reinterpret_cast<void*>(&Code)))->path, known.path);
}

TEST(ProcessImage, WarnsOnceOfAnAdoptedModuleThatIsAnotherFileNow) {
  ProcessImage process(-1);
  MappedModule module;
  module.path = UNWIND_VICTIM;
  module.start = 0x10000;
  module.end = 0x20000;
  module.build_id = {1, 2, 3};
  process.Adopt({module});
  ASSERT_THAT(process.modules(), SizeIs(1));
  EXPECT_EQ(process.FindElf(process.modules()[0]), nullptr);
  EXPECT_EQ(process.FindElf(process.modules()[0]), nullptr);
  ASSERT_THAT(process.warnings(), SizeIs(1));
  EXPECT_THAT(process.warnings()[0], AllOf(HasSubstr(UNWIND_VICTIM), HasSubstr("replaced")));
}

TEST(ProcessImage, ReadsADeletedFileThroughProcAndSaysSo) {
  const std::string program = TemporaryPath("process_image_test_deleted");
  std::filesystem::copy_file(UNWIND_VICTIM, program,
                             std::filesystem::copy_options::overwrite_existing);
  VictimProcess victim(program, "nested");
  std::filesystem::remove(program);
  ASSERT_TRUE(victim.stands());
  ProcessImage process(victim.pid());
  ASSERT_TRUE(process.Refresh().ok());
  const MappedModule* module = process.FindModule(victim.report().registers[0]);
  ASSERT_NE(module, nullptr);
  EXPECT_EQ(module->path, program);  // without the kernel's " (deleted)"
  ElfImage* image = process.FindElf(*module);
  ASSERT_NE(image, nullptr);
  EXPECT_EQ(image->build_id(), module->build_id);
  EXPECT_THAT(process.warnings(), Contains(HasSubstr("was deleted")));
}

TEST(ProcessImage, TakesNoOtherProgramForADeletedOne) {
  const std::string program = TemporaryPath("process_image_test_replaced");
  std::filesystem::copy_file(UNWIND_VICTIM, program,
                             std::filesystem::copy_options::overwrite_existing);
  VictimProcess victim(program, "nested");
  std::filesystem::remove(program);
  std::filesystem::copy_file(UNWIND_VICTIM_OTHER, program);
  ASSERT_TRUE(victim.stands());
  ProcessImage process(victim.pid());
  ASSERT_TRUE(process.Refresh().ok());
  const MappedModule* module = process.FindModule(victim.report().registers[0]);
  ASSERT_NE(module, nullptr);
  ElfImage* image = process.FindElf(*module);
  ASSERT_NE(image, nullptr);  // the deleted one, through /proc
  EXPECT_NE(image->path(), program);
  EXPECT_EQ(image->build_id(), module->build_id);
  std::filesystem::remove(program);
}

TEST(ProcessImage, NeedsNoFileForCodeInAMemfd) {
  // As runtimes do that map their generated code twice.
  const int memory = memfd_create("generated code", MFD_CLOEXEC);
  ASSERT_GE(memory, 0);
  ASSERT_EQ(ftruncate(memory, 4096), 0);
  void* page = mmap(nullptr, 4096, PROT_READ | PROT_EXEC, MAP_SHARED, memory, 0);
  close(memory);
  ASSERT_NE(page, MAP_FAILED);
  ProcessImage process(getpid());
  ASSERT_TRUE(process.Refresh().ok());
  EXPECT_TRUE(process.IsExecutable(AddressOf(page)));
  EXPECT_EQ(process.FindModule(AddressOf(page)), nullptr);
  EXPECT_THAT(process.warnings(), IsEmpty());
  munmap(page, 4096);
}

TEST(ProcessImage, SaysThatAProcessIsGone) {
  ProcessImage process(-1);
  EXPECT_THAT(std::string(process.Refresh().message()), EndsWith("is gone"));
  EXPECT_THAT(process.modules(), IsEmpty());
  EXPECT_FALSE(process.IsExecutable(0x1000));
}

}  // namespace
}  // namespace loopsan
