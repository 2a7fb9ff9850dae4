// The memory between probe and collector, as a memfd and, where a file size limit
// forbids that, as a System V segment.
#include "reporters/arena.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/shm.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <climits>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace loopsan {
namespace {

using segment::SlotState;
using ::testing::HasSubstr;
using ::testing::MatchesRegex;
using ::testing::Not;

constexpr uid_t kNobody = 65534;

// What the link of the descriptor in the session variable says.
std::string NameOf(const Arena& arena) {
  const std::vector<std::string> fields = absl::StrSplit(arena.SessionVariable(), ':');
  std::array<char, PATH_MAX> target{};
  const std::string link = absl::StrCat("/proc/", fields[0], "/fd/", fields[1]);
  return readlink(link.c_str(), target.data(), target.size() - 1) < 0 ? "" : target.data();
}

std::unique_ptr<Arena> MakeArena() {
  auto arena = Arena::Create(Options{}, TickClock());
  if (!arena.ok()) {
    printf("%s\n", std::string(arena.status().message()).c_str());
    return nullptr;
  }
  return *std::move(arena);
}

// Pages of slot `index` that have memory.
size_t PagesOf(Arena& arena, uint32_t index) {
  std::vector<unsigned char> present(segment::kSlotBytes / 4096);
  mincore(&arena.slot(index), segment::kSlotBytes, present.data());
  size_t pages = 0;
  for (const unsigned char page : present) pages += page & 1;
  return pages;
}

// What `body` prints in a child that may write no file, and may not change that.
std::string PrintedUnderTheLimit(const std::function<void()>& body) {
  int ends[2];
  if (pipe(ends) != 0) return "no pipe";
  fflush(stdout);
  const pid_t child = fork();
  if (child == 0) {
    dup2(ends[1], STDOUT_FILENO);
    const rlimit none{0, 0};
    setrlimit(RLIMIT_FSIZE, &none);
    if (geteuid() == 0 && setresuid(kNobody, kNobody, kNobody) != 0) _exit(1);
    body();
    fflush(stdout);
    _exit(0);
  }
  close(ends[1]);
  std::string printed;
  std::array<char, 4096> buffer;
  for (ssize_t got; (got = read(ends[0], buffer.data(), buffer.size())) > 0;) {
    printed.append(buffer.data(), static_cast<size_t>(got));
  }
  close(ends[0]);
  int status = 0;
  waitpid(child, &status, 0);
  if (status != 0) absl::StrAppend(&printed, "ended with status ", status, "\n");
  return printed;
}

TEST(Arena, IsAMemfdNamedAfterTheSession) {
  const auto arena = MakeArena();
  ASSERT_NE(arena, nullptr);
  EXPECT_THAT(NameOf(*arena), MatchesRegex("/memfd:loopsan-[0-9a-f]{16} .deleted."));
  EXPECT_THAT(arena->SessionVariable(), MatchesRegex("[0-9]+:[0-9]+:[0-9a-f]{16}"));
}

TEST(Arena, IsASegmentNumberedBehindTheSessionWhereNoFileMayBeWritten) {
  const std::string printed = PrintedUnderTheLimit([] {
    const auto arena = MakeArena();
    if (arena == nullptr) return;
    printf("%s\n%s\n", NameOf(*arena).c_str(), arena->SessionVariable().c_str());
  });
  EXPECT_THAT(printed, MatchesRegex("/memfd:loopsan-[0-9a-f]{16}-s[0-9]+ .deleted.\n"
                                    "[0-9]+:[0-9]+:[0-9a-f]{16}\n"));
}

TEST(Arena, BacksOnlyTheSlotsThatAreReady) {
  const auto arena = MakeArena();
  ASSERT_NE(arena, nullptr);
  EXPECT_EQ(arena->ready(), 1u);
  arena->KeepReady(3);
  EXPECT_EQ(arena->ready(), 3u);
  EXPECT_EQ(arena->header().slots_ready.load(), 3u);
}

TEST(Arena, BacksOnlyTheSlotsOfASegmentThatAreReady) {
  const std::string printed = PrintedUnderTheLimit([] {
    const auto arena = MakeArena();
    if (arena == nullptr) return;
    arena->KeepReady(3);
    const size_t all = segment::kSlotBytes / 4096;
    printf("%u ready, %u said\n", arena->ready(), arena->header().slots_ready.load());
    for (uint32_t slot = 0; slot < 5; ++slot) {
      const size_t pages = PagesOf(*arena, slot);
      printf("%s ", pages == all ? "all" : pages == 0 ? "none" : "some");
    }
  });
  EXPECT_EQ(printed, "3 ready, 3 said\nall all all none none ");
}

TEST(Arena, OffersARecycledSlotOfASegmentCleared) {
  const std::string printed = PrintedUnderTheLimit([] {
    const auto arena = MakeArena();
    if (arena == nullptr) return;
    arena->slot(0).header.state.store(SlotState::kClaimed);
    arena->slot(0).header.process_id.store(7);
    arena->Recycle(0);
    printf("state %u, process %u\n", static_cast<unsigned>(arena->slot(0).header.state.load()),
           arena->slot(0).header.process_id.load());
  });
  EXPECT_EQ(printed, "state 0, process 0\n");
}

TEST(Arena, RemovesItsSegmentWithTheLastMapping) {
  const std::string printed = PrintedUnderTheLimit([] {
    auto arena = MakeArena();
    if (arena == nullptr) return;
    const std::string name = NameOf(*arena);
    const int number = atoi(name.c_str() + name.rfind("-s") + 2);
    shmid_ds status;
    printf("while it is used: %s\n", shmctl(number, IPC_STAT, &status) != 0   ? "away"
                                     : (status.shm_perm.mode & SHM_DEST) != 0 ? "marked for removal"
                                                                              : "there");
    arena.reset();
    printf("then: %s\n", shmctl(number, IPC_STAT, &status) != 0 ? "away" : "there");
  });
  EXPECT_EQ(printed, "while it is used: marked for removal\nthen: away\n");
}

TEST(Arena, LeavesTheFileSizeLimitAsItWas) {
  rlimit before;
  rlimit after;
  getrlimit(RLIMIT_FSIZE, &before);
  const rlimit lower{1 << 20, before.rlim_max};
  setrlimit(RLIMIT_FSIZE, &lower);
  const auto arena = MakeArena();
  getrlimit(RLIMIT_FSIZE, &after);
  setrlimit(RLIMIT_FSIZE, &before);
  ASSERT_NE(arena, nullptr);
  EXPECT_EQ(after.rlim_cur, lower.rlim_cur);
  EXPECT_EQ(after.rlim_max, lower.rlim_max);
  EXPECT_THAT(NameOf(*arena), Not(HasSubstr(segment::kSegmentMark)));
}

}  // namespace
}  // namespace loopsan
