#include "reporters/elf_image.h"

#include <elf.h>
#include <link.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/reporters/unwind_victim_process.h"

namespace loopsan {
namespace {

using ::testing::Contains;
using ::testing::Field;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

using ::testing::SizeIs;

std::vector<char> Bytes(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

void Write(const std::string& path, const std::vector<char>& bytes) {
  std::ofstream(path, std::ios::binary | std::ios::trunc)
      .write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
}

TEST(ElfImage, AgreesWithTheLoaderAboutThisProgram) {
  absl::StatusOr<std::unique_ptr<ElfImage>> image = ElfImage::Open("/proc/self/exe");
  ASSERT_TRUE(image.ok()) << image.status();
  struct Loaded {
    ElfImage* image;
    bool compared = false;
  } loaded{image->get()};
  dl_iterate_phdr(
      [](dl_phdr_info* info, size_t, void* argument) {
        auto* seen = static_cast<Loaded*>(argument);
        size_t loads = 0;
        for (int i = 0; i < info->dlpi_phnum; ++i) {
          const ElfW(Phdr)& program = info->dlpi_phdr[i];
          if (program.p_type == PT_LOAD) {
            EXPECT_LT(loads, seen->image->segments().size());
            EXPECT_EQ(seen->image->segments()[loads++].address, program.p_vaddr);
            // What is read-only is in memory what it is in the file.
            if ((program.p_flags & PF_W) == 0 && program.p_filesz >= 64) {
              char bytes[64];
              EXPECT_TRUE(seen->image->Read(program.p_vaddr, bytes, sizeof(bytes)));
              EXPECT_EQ(
                  std::memcmp(bytes, reinterpret_cast<void*>(info->dlpi_addr + program.p_vaddr),
                              sizeof(bytes)),
                  0);
            }
          }
          if (program.p_type == PT_GNU_EH_FRAME) {
            EXPECT_TRUE(seen->image->unwind_table().has_value());
            EXPECT_EQ(seen->image->unwind_table()->header, program.p_vaddr);
          }
        }
        EXPECT_EQ(loads, seen->image->segments().size());
        seen->compared = true;
        return 1;  // the first is the program itself
      },
      &loaded);
  EXPECT_TRUE(loaded.compared);
  EXPECT_THAT((*image)->segments(), Contains(Field(&ElfImage::Segment::executable, true)));
}

TEST(ElfImage, ReadsTheBuildId) {
  absl::StatusOr<std::unique_ptr<ElfImage>> image = ElfImage::Open(UNWIND_VICTIM);
  ASSERT_TRUE(image.ok()) << image.status();
  EXPECT_THAT((*image)->build_id(), SizeIs(20));  // --build-id=sha1
  absl::StatusOr<std::unique_ptr<ElfImage>> other = ElfImage::Open(UNWIND_VICTIM_OTHER);
  ASSERT_TRUE(other.ok()) << other.status();
  EXPECT_NE((*image)->build_id(), (*other)->build_id());
}

TEST(ElfImage, FindsTheBuildIdBehindOtherNotes) {
  const char notes[] =
      "\4\0\0\0\5\0\0\0\5\0\0\0GNU\0abcde\0\0\0"  // type 5, padded
      "\4\0\0\0\3\0\0\0\3\0\0\0XYZ\0abc\0"        // another owner's type 3
      "\4\0\0\0\2\0\0\0\3\0\0\0GNU\0\x12\x34\0\0";
  EXPECT_EQ(ElfImage::FindBuildId(notes, sizeof(notes) - 1), (std::vector<uint8_t>{0x12, 0x34}));
}

TEST(ElfImage, FindsNoBuildIdInNotesThatLieAboutTheirSize) {
  char notes[] = "\4\0\0\0\2\0\0\0\3\0\0\0GNU\0\x12\x34\0\0";
  const size_t bytes = sizeof(notes) - 1;
  for (size_t cut = 0; cut < bytes - 2; ++cut) {
    EXPECT_THAT(ElfImage::FindBuildId(notes, cut), IsEmpty()) << cut;
  }
  std::memset(notes + 4, 0xff, 4);
  EXPECT_THAT(ElfImage::FindBuildId(notes, bytes), IsEmpty());
  std::memset(notes, 0xff, 4);
  EXPECT_THAT(ElfImage::FindBuildId(notes, bytes), IsEmpty());
}

TEST(ElfImage, NamesTheFileItCannotOpen) {
  const absl::Status status = ElfImage::Open("/nowhere/at/all").status();
  EXPECT_TRUE(absl::IsNotFound(status));
  EXPECT_THAT(std::string(status.message()), HasSubstr("/nowhere/at/all"));
}

TEST(ElfImage, RefusesWhatIsNoElfFile) {
  EXPECT_THAT(std::string(ElfImage::Open("/etc/passwd").status().message()),
              HasSubstr("/etc/passwd is not an x86-64 ELF file"));
  EXPECT_FALSE(ElfImage::Open("/").ok());
  EXPECT_FALSE(ElfImage::Open("/dev/null").ok());
  EXPECT_FALSE(ElfImage::FromBytes("empty", {}).ok());
}

TEST(ElfImage, ReadsOnlyWhatTheFileHas) {
  absl::StatusOr<std::unique_ptr<ElfImage>> image = ElfImage::Open(UNWIND_VICTIM);
  ASSERT_TRUE(image.ok()) << image.status();
  const ElfImage::Segment& first = (*image)->segments().front();
  char bytes[8];
  EXPECT_TRUE((*image)->Read(first.address + first.file_bytes - 8, bytes, 8));
  EXPECT_FALSE((*image)->Read(first.address + first.file_bytes - 7, bytes, 8));
  EXPECT_FALSE((*image)->Read(~uint64_t{0}, bytes, 8));
  EXPECT_FALSE((*image)->ReadFile(~uint64_t{0} - 4, bytes, 8));
}

TEST(ElfImage, FillsAWordAtTheEndOfASegmentWithZeros) {
  absl::StatusOr<std::unique_ptr<ElfImage>> image = ElfImage::Open(UNWIND_VICTIM);
  ASSERT_TRUE(image.ok()) << image.status();
  const ElfImage::Segment& first = (*image)->segments().front();
  uint64_t word = ~uint64_t{0};
  EXPECT_TRUE((*image)->ReadWord(first.address + first.file_bytes - 3, &word));
  EXPECT_EQ(word >> 24, 0u);
  EXPECT_FALSE((*image)->ReadWord(first.address + first.file_bytes, &word));
}

TEST(ElfImage, ComputesTheLoadBiasFromTheMappingOfACodeSegment) {
  absl::StatusOr<std::unique_ptr<ElfImage>> image = ElfImage::Open(UNWIND_VICTIM);
  ASSERT_TRUE(image.ok()) << image.status();
  for (const ElfImage::Segment& segment : (*image)->segments()) {
    if (!segment.executable) continue;
    const uint64_t slack = segment.file_offset % 4096;
    const uint64_t start = 0x7f0000000000 + segment.address - slack;
    EXPECT_EQ((*image)->LoadBias(start, segment.file_offset - slack, true), 0x7f0000000000);
  }
  EXPECT_FALSE((*image)->LoadBias(0x1000, uint64_t{1} << 40, true).has_value());
}

TEST(ElfImage, FailsToReadAFileThatWasTruncatedUnderIt) {
  const std::string path = TemporaryPath("elf_image_test_truncated");
  Write(path, Bytes(UNWIND_VICTIM));
  absl::StatusOr<std::unique_ptr<ElfImage>> image = ElfImage::Open(path);
  ASSERT_TRUE(image.ok()) << image.status();
  const uint64_t size = std::filesystem::file_size(path);
  ASSERT_EQ(truncate(path.c_str(), 0), 0);
  char byte;
  EXPECT_FALSE((*image)->ReadFile(size - 1, &byte, 1));
  std::filesystem::remove(path);
}

TEST(ElfImage, SurvivesAFileOfEachLength) {
  const std::vector<char> whole = Bytes(UNWIND_VICTIM);
  ASSERT_GT(whole.size(), 4096u);
  for (size_t bytes = 0; bytes < 4096; ++bytes) {
    auto image = ElfImage::FromBytes(
        "cut", std::vector<char>(whole.begin(), whole.begin() + static_cast<ptrdiff_t>(bytes)));
    uint64_t word;
    if (image.ok()) {
      EXPECT_FALSE((*image)->ReadFile(bytes, &word, 1));
    }
  }
}

TEST(ElfImage, SurvivesEachByteOfItsHeadersBeingWrong) {
  const std::vector<char> whole = Bytes(UNWIND_VICTIM);
  Elf64_Ehdr header;
  std::memcpy(&header, whole.data(), sizeof(header));
  const size_t headers = header.e_phoff + header.e_phnum * sizeof(Elf64_Phdr);
  size_t accepted = 0;
  for (size_t at = 0; at < headers; ++at) {
    for (const int value : {0x00, 0x7f, 0x80, 0xff}) {
      std::vector<char> bytes = whole;
      bytes[at] = static_cast<char>(value);
      auto image = ElfImage::FromBytes("damaged", std::move(bytes));
      if (!image.ok()) continue;
      ++accepted;
      for (const ElfImage::Segment& segment : (*image)->segments()) {
        uint64_t word;
        (*image)->ReadWord(segment.address, &word);
        (*image)->ReadWord(segment.address + segment.file_bytes - 4, &word);
        (*image)->LoadBias(0, segment.file_offset, segment.executable);
      }
      if ((*image)->unwind_table().has_value()) {
        EXPECT_LE((*image)->unwind_table()->entries, whole.size());
      }
    }
  }
  EXPECT_GT(accepted, 100u);
}

}  // namespace
}  // namespace loopsan
