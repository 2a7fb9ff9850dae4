#include "reporters/symbolizer.h"

#include <arpa/inet.h>
#include <dlfcn.h>
#include <elf.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <random>
#include <string>

#include "reporters/resymbolize.h"
#include "reporters/wording.h"
#include "tests/reporters/golden.h"

namespace loopsan {
namespace {

using testing::ElementsAre;
using testing::EndsWith;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;
using testing::StartsWith;

uint64_t return_address;

[[gnu::noinline]] void KeepReturnAddress() {
  return_address = reinterpret_cast<uint64_t>(__builtin_return_address(0));
}

// The line of the fixture that is marked "// line: <mark>".
int LineOf(const std::string& mark) {
  std::ifstream source(SYMBOLIZER_FIXTURE_SOURCE);
  int number = 1;
  for (std::string line; std::getline(source, line); ++number) {
    if (line.ends_with("// line: " + mark)) return number;
  }
  ADD_FAILURE() << "no line is marked " << mark;
  return 0;
}

// One of the fixture's builds, loaded into this process.
class Fixture {
 public:
  explicit Fixture(const std::string& path) : handle_(dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL)) {
    EXPECT_NE(handle_, nullptr) << dlerror();
  }
  ~Fixture() { dlclose(handle_); }
  Fixture(const Fixture&) = delete;
  Fixture& operator=(const Fixture&) = delete;

  uint64_t AddressOf(const char* symbol) const {
    void* address = dlsym(handle_, symbol);
    EXPECT_NE(address, nullptr) << symbol;
    return reinterpret_cast<uint64_t>(address);
  }

  // Where the innermost inlined function returns to from its call.
  StackFrame CallInInlined() const {
    reinterpret_cast<void (*)(void (*)())>(AddressOf("symbolizer_fixture_run"))(KeepReturnAddress);
    return {.pc = return_address};
  }

 private:
  void* handle_;
};

StackFrame Exactly(uint64_t address) { return {.pc = address, .is_return_address = false}; }

class SymbolizerTest : public testing::Test {
 protected:
  std::vector<ReportFrame> Symbolize(const StackFrame& frame) {
    EXPECT_TRUE(self_.Refresh().ok());
    return symbolizer_->Symbolize(self_, frame);
  }
  std::string FunctionName(const StackFrame& frame) {
    EXPECT_TRUE(self_.Refresh().ok());
    return symbolizer_->FunctionName(self_, frame);
  }

  void ExpectInlinedFrames(const std::string& library) {
    const Fixture fixture(library);
    ExpectInlinedFrames(Symbolize(fixture.CallInInlined()), library);
  }

  static void ExpectInlinedFrames(const std::vector<ReportFrame>& frames,
                                  const std::string& library) {
    ASSERT_THAT(frames, SizeIs(3));
    const struct {
      const char* function;
      const char* line;
      bool inlined;
    } expected[] = {{"fixture::Innermost", "innermost", true},
                    {"fixture::Middle", "middle", true},
                    {"fixture::Server::Handle", "handle", false}};
    for (size_t i = 0; i < frames.size(); ++i) {
      EXPECT_THAT(frames[i].function, StartsWith(expected[i].function));
      EXPECT_THAT(frames[i].file, EndsWith("tests/reporters/symbolizer_fixture.cc"));
      EXPECT_EQ(frames[i].line, LineOf(expected[i].line));
      EXPECT_EQ(frames[i].inlined, expected[i].inlined);
      EXPECT_EQ(frames[i].module, library);
      EXPECT_EQ(frames[i].offset, frames[0].offset);
    }
  }

  // The library's exported function is known, nothing else is.
  void ExpectNoDebugInformation(const std::string& library) {
    const Fixture fixture(library);
    const std::vector<ReportFrame> frames = Symbolize(fixture.CallInInlined());
    ASSERT_THAT(frames, SizeIs(1));
    EXPECT_EQ(frames[0].function, "");
    EXPECT_EQ(frames[0].file, "");
    EXPECT_EQ(frames[0].line, 0);
    EXPECT_EQ(frames[0].module, library);
    EXPECT_EQ(FunctionName(Exactly(fixture.AddressOf("symbolizer_fixture_run"))),
              "symbolizer_fixture_run");
  }

  // A report that was made where the library had no debug information.
  Report ReportWithoutNames(const std::string& path) {
    symbolizer_ = Symbolizer::Create("/nonexistent");
    const Fixture fixture(SYMBOLIZER_FIXTURE_BUILD_ID);
    Report report;
    Finding& finding = report.findings.emplace_back();
    finding.rule = "blocking-call";
    finding.call = "usleep";
    finding.cause = "blocking-call";
    finding.executable = "/srv/server";
    finding.remedy = "do not";
    finding.stack = Symbolize(fixture.CallInInlined());
    finding.stack[0].module = path;
    finding.fingerprint = Fingerprint(finding);
    report.modules = {{path, SYMBOLIZER_FIXTURE_ID}};
    return report;
  }

  ProcessImage self_{getpid()};
  std::unique_ptr<Symbolizer> symbolizer_ = Symbolizer::Create(SYMBOLIZER_DEBUG_ROOT);
};

// A folder of the test's own, removed at the end.
class Folder {
 public:
  Folder() : path_(testing::TempDir() + "symbolizer_XXXXXX") {
    EXPECT_NE(mkdtemp(path_.data()), nullptr);
  }
  ~Folder() { std::filesystem::remove_all(path_); }
  std::string operator/(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

TEST_F(SymbolizerTest, FindsInlinedFramesInTheModuleItself) {
  ExpectInlinedFrames(SYMBOLIZER_FIXTURE_PLAIN);
}

TEST_F(SymbolizerTest, FindsADebugFileByBuildId) {
  ExpectInlinedFrames(SYMBOLIZER_FIXTURE_BUILD_ID);
}

TEST_F(SymbolizerTest, FindsADebugFileByDebugLink) {
  ExpectInlinedFrames(SYMBOLIZER_FIXTURE_DEBUG_LINK);
}

TEST_F(SymbolizerTest, FindsADebugFileBelowTheDebugRoot) {
  const Folder folder;
  const std::string library = folder / "lib.so";
  std::filesystem::copy(SYMBOLIZER_FIXTURE_DEBUG_LINK, library);
  const std::string beside =
      folder / "debug" + std::filesystem::path(library).parent_path().string();
  std::filesystem::create_directories(beside);
  std::filesystem::copy(SYMBOLIZER_FIXTURE_DEBUG_LINK ".debug", beside);
  symbolizer_ = Symbolizer::Create(folder / "debug");
  ExpectInlinedFrames(library);
}

TEST_F(SymbolizerTest, GivesOnlyModuleAndOffsetWithoutDebugInformation) {
  ExpectNoDebugInformation(SYMBOLIZER_FIXTURE_STRIPPED);
}

TEST_F(SymbolizerTest, IgnoresADebugFileOfAnotherBuild) {
  const Folder folder;
  const std::string library = folder / "lib.so";
  const std::string debug =
      folder / std::filesystem::path(SYMBOLIZER_FIXTURE_DEBUG_LINK ".debug").filename().string();
  std::filesystem::copy(SYMBOLIZER_FIXTURE_DEBUG_LINK, library);
  std::filesystem::copy(SYMBOLIZER_FIXTURE_DEBUG_LINK ".debug", debug);
  std::ofstream(debug, std::ios::app | std::ios::binary) << "changed";
  ExpectNoDebugInformation(library);
}

TEST_F(SymbolizerTest, AsksNoServer) {
  const int server = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  sockaddr_in address{.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
  socklen_t size = sizeof address;
  ASSERT_EQ(bind(server, reinterpret_cast<sockaddr*>(&address), size), 0);
  ASSERT_EQ(listen(server, 1), 0);
  ASSERT_EQ(getsockname(server, reinterpret_cast<sockaddr*>(&address), &size), 0);
  const std::string url = "http://127.0.0.1:" + std::to_string(ntohs(address.sin_port));
  setenv("DEBUGINFOD_URLS", url.c_str(), 1);
  symbolizer_ = Symbolizer::Create("/nonexistent");
  ExpectNoDebugInformation(SYMBOLIZER_FIXTURE_BUILD_ID);
  unsetenv("DEBUGINFOD_URLS");
  EXPECT_EQ(accept(server, nullptr, nullptr), -1);
  EXPECT_EQ(errno, EAGAIN);
  close(server);
}

TEST_F(SymbolizerTest, NamesTheFramesOfAReportLater) {
  Report report = ReportWithoutNames(SYMBOLIZER_FIXTURE_BUILD_ID);
  const std::string fingerprint = report.findings[0].fingerprint;
  EXPECT_THAT(Resymbolize(report, {.debug_root = SYMBOLIZER_DEBUG_ROOT}), IsEmpty());
  const Finding& finding = report.findings[0];
  ExpectInlinedFrames(finding.stack, SYMBOLIZER_FIXTURE_BUILD_ID);
  EXPECT_THAT(finding.message,
              HasSubstr("called from fixture::Innermost at symbolizer_fixture.cc:"));
  EXPECT_EQ(finding.remedy, "do not");
  EXPECT_NE(finding.fingerprint, fingerprint) << "it is made of functions";
  const Report named = report;
  EXPECT_THAT(Resymbolize(report, {.debug_root = SYMBOLIZER_DEBUG_ROOT}), IsEmpty());
  EXPECT_EQ(report.findings[0].stack, named.findings[0].stack) << "named once more";
}

TEST_F(SymbolizerTest, NamesTheFramesOfAReportWithTheDebugFileAlone) {
  Report report = ReportWithoutNames("/gone/lib.so");
  EXPECT_THAT(Resymbolize(report, {.debug_root = SYMBOLIZER_DEBUG_ROOT}), IsEmpty());
  ExpectInlinedFrames(report.findings[0].stack, "/gone/lib.so");
}

TEST_F(SymbolizerTest, NamesTheFramesOfAReportWithASystemRoot) {
  const Folder root;
  std::filesystem::create_directories(root / "usr/lib");
  std::filesystem::create_directories(root / "gone");
  std::filesystem::copy(SYMBOLIZER_FIXTURE_BUILD_ID, root / "gone/lib.so");
  std::filesystem::copy(SYMBOLIZER_DEBUG_ROOT, root / "usr/lib/debug",
                        std::filesystem::copy_options::recursive);
  Report report = ReportWithoutNames("/gone/lib.so");
  EXPECT_THAT(Resymbolize(report, {.sysroot = root / ""}), IsEmpty());
  ExpectInlinedFrames(report.findings[0].stack, "/gone/lib.so");
}

TEST_F(SymbolizerTest, LeavesTheFramesOfAReportWhoseModulesAreOthers) {
  Report report = ReportWithoutNames(SYMBOLIZER_FIXTURE_BUILD_ID);
  report.modules[0].build_id = "ab0123456789abcdef0123456789abcdef012346";
  const std::vector<ReportFrame> before = report.findings[0].stack;
  EXPECT_THAT(Resymbolize(report, {.debug_root = SYMBOLIZER_DEBUG_ROOT}),
              ElementsAre(HasSubstr("was found neither at")));
  EXPECT_EQ(report.findings[0].stack, before);
  report.modules[0].build_id = "";
  EXPECT_THAT(Resymbolize(report, {.debug_root = SYMBOLIZER_DEBUG_ROOT}),
              ElementsAre(HasSubstr("had no build-id")));
  EXPECT_EQ(report.findings[0].stack, before);
}

TEST_F(SymbolizerTest, LooksUpTheCallBeforeAReturnAddress) {
  const Fixture fixture(SYMBOLIZER_FIXTURE_STRIPPED);
  const uint64_t end = fixture.AddressOf("symbolizer_fixture_sized") + 2;
  EXPECT_EQ(FunctionName({.pc = end, .is_return_address = true}), "symbolizer_fixture_sized");
  EXPECT_EQ(FunctionName({.pc = end, .is_return_address = false}), "");
}

TEST_F(SymbolizerTest, ExtendsASymbolWithoutASizeToTheNextOne) {
  const Fixture fixture(SYMBOLIZER_FIXTURE_STRIPPED);
  const uint64_t start = fixture.AddressOf("symbolizer_fixture_unsized");
  EXPECT_EQ(FunctionName(Exactly(start)), "symbolizer_fixture_unsized");
  EXPECT_EQ(FunctionName(Exactly(start + 3)), "symbolizer_fixture_unsized");
}

TEST_F(SymbolizerTest, PrefersTheNameWithoutUnderscores) {
  const Fixture fixture(SYMBOLIZER_FIXTURE_STRIPPED);
  EXPECT_EQ(FunctionName(Exactly(fixture.AddressOf("__symbolizer_fixture_alias"))),
            "symbolizer_fixture_alias");
}

TEST_F(SymbolizerTest, NamesTheFunctionThatOthersWereInlinedInto) {
  const Fixture fixture(SYMBOLIZER_FIXTURE_PLAIN);
  EXPECT_EQ(FunctionName(fixture.CallInInlined()), "fixture::Server::Handle(void (*)())");
}

TEST_F(SymbolizerTest, NamesAFunctionOfTheCLibrary) {
  EXPECT_EQ(FunctionName(Exactly(reinterpret_cast<uint64_t>(dlsym(RTLD_DEFAULT, "nanosleep")))),
            "nanosleep");
}

TEST_F(SymbolizerTest, NamesFunctionsOfTheVdso) {
  ASSERT_TRUE(self_.Refresh().ok());
  bool found = false;
  bool has_vdso = false;
  for (const MappedModule& module : self_.modules()) {
    if (module.path != "[vdso]") continue;
    has_vdso = true;
    for (uint64_t address = module.start; address < module.end && !found; address += 8) {
      found = symbolizer_->FunctionName(self_, Exactly(address)) == "clock_gettime";
    }
  }
  EXPECT_EQ(found, has_vdso);
}

TEST_F(SymbolizerTest, GivesAnUnknownAddressAsItIs) {
  const std::vector<ReportFrame> frames = Symbolize(Exactly(0x10));
  ASSERT_THAT(frames, SizeIs(1));
  EXPECT_EQ(frames[0], ReportFrame{.offset = 0x10});
}

TEST_F(SymbolizerTest, NamesGeneratedCodeFromThePerfMap) {
  void* code = mmap(nullptr, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  ASSERT_NE(code, MAP_FAILED);
  const auto address = reinterpret_cast<uint64_t>(code);
  ASSERT_THAT(Symbolize(Exactly(address)), SizeIs(1));
  EXPECT_EQ(Symbolize(Exactly(address))[0], (ReportFrame{.module = "[jit]", .offset = address}));

  const std::string map = "/tmp/perf-" + std::to_string(getpid()) + ".map";
  std::ofstream(map) << std::hex << address << " 100 JS:*work /srv/app.js:12:3\n";
  EXPECT_EQ(Symbolize(Exactly(address))[0], (ReportFrame{.function = "work",
                                                         .file = "/srv/app.js",
                                                         .line = 12,
                                                         .module = "[jit]",
                                                         .offset = address}));
  EXPECT_EQ(FunctionName(Exactly(address)), "work");
  std::filesystem::remove(map);
  munmap(code, 4096);
}

TEST_F(SymbolizerTest, ListsInlinedFramesOfAStackInOrder) {
  const Fixture fixture(SYMBOLIZER_FIXTURE_PLAIN);
  const StackFrame inner = fixture.CallInInlined();
  const StackFrame outer = Exactly(fixture.AddressOf("symbolizer_fixture_run"));
  ASSERT_TRUE(self_.Refresh().ok());
  const std::vector<ReportFrame> frames =
      symbolizer_->SymbolizeStack(self_, {.frames = {inner, outer}});
  ASSERT_THAT(frames, SizeIs(4));
  EXPECT_TRUE(frames[0].inlined);
  EXPECT_FALSE(frames[2].inlined);
  EXPECT_EQ(frames[3].function, "symbolizer_fixture_run");
}

// Where the sections with debug information lie in a file.
std::vector<std::pair<size_t, size_t>> DebugSections(const std::string& elf) {
  Elf64_Ehdr header;
  memcpy(&header, elf.data(), sizeof header);
  const auto section = [&](size_t i) {
    Elf64_Shdr result;
    memcpy(&result, elf.data() + header.e_shoff + i * sizeof result, sizeof result);
    return result;
  };
  std::vector<std::pair<size_t, size_t>> found;
  for (size_t i = 0; i < header.e_shnum; ++i) {
    const Elf64_Shdr names = section(header.e_shstrndx);
    const char* name = elf.data() + names.sh_offset + section(i).sh_name;
    if (strncmp(name, ".debug_", 7) == 0) {
      found.emplace_back(section(i).sh_offset, section(i).sh_size);
    }
  }
  return found;
}

// Looks up addresses all over the fixture's code in `library`; returns how many
// frames had a line.
int CountLines(const std::string& library) {
  constexpr uint64_t kBase = 0x100000000000;
  ProcessImage process(INT_MAX);  // nobody
  process.Adopt({{.path = library, .start = kBase, .end = kBase + 0x10000, .load_bias = kBase}});
  const auto symbolizer = Symbolizer::Create();
  int lines = 0;
  for (uint64_t offset = 0x1000; offset < 0x1300; offset += 5) {
    const std::vector<ReportFrame> frames = symbolizer->Symbolize(process, Exactly(kBase + offset));
    EXPECT_FALSE(frames.empty());
    for (const ReportFrame& frame : frames) lines += frame.line != 0;
  }
  return lines;
}

TEST(SymbolizerOnDamagedFiles, GivesFramesAllTheSame) {
  ASSERT_GT(CountLines(SYMBOLIZER_FIXTURE_PLAIN), 0);
  const std::string original = ReadFile(SYMBOLIZER_FIXTURE_PLAIN);
  const auto sections = DebugSections(original);
  ASSERT_FALSE(sections.empty());
  const Folder folder;
  std::minstd_rand random(1);
  for (int round = 0; round < 300; ++round) {
    std::string damaged = original;
    for (int i = 0, count = 1 << random() % 8; i < count; ++i) {
      const auto [offset, size] = sections[random() % sections.size()];
      damaged[offset + random() % size] = static_cast<char>(random());
    }
    const std::string path = folder / std::to_string(round);
    std::ofstream(path, std::ios::binary) << damaged;
    CountLines(path);
    std::filesystem::remove(path);
  }
}

TEST(SymbolizerOnDamagedFiles, SurvivesAFileThatEndsAnywhere) {
  const std::string original = ReadFile(SYMBOLIZER_FIXTURE_PLAIN);
  const Folder folder;
  for (size_t size = 0; size < original.size(); size += original.size() / 100) {
    const std::string path = folder / std::to_string(size);
    std::ofstream(path, std::ios::binary) << original.substr(0, size);
    CountLines(path);
  }
}

TEST(ReadableName, DemanglesCpp) { EXPECT_EQ(ReadableName("_ZN3app4workEi"), "app::work(int)"); }

TEST(ReadableName, KeepsWhatItCannotDemangle) { EXPECT_EQ(ReadableName("_ZN3app"), "_ZN3app"); }

TEST(ReadableName, KeepsAHugeMangledName) {
  const std::string name = "_ZN" + std::string(100'000, '1');
  EXPECT_EQ(ReadableName(name), name);
}

TEST(ReadableName, DropsTheMarksOfCopies) {
  EXPECT_EQ(ReadableName("_ZN3app4workEi.actor"), "app::work(int)");
  EXPECT_EQ(ReadableName("_ZN3app4workEi.part.0.cold"), "app::work(int)");
  EXPECT_EQ(ReadableName("serverCron.constprop.0.isra.12"), "serverCron");
  EXPECT_EQ(ReadableName("work.cold"), "work");
}

TEST(ReadableName, IsThatOfTheCoroutineForItsBody) {
  EXPECT_EQ(ReadableName("_ZN12_GLOBAL__N_13SixEPZNS_3SixEiE29_ZN12_GLOBAL__N_13SixEi.Frame.actor"),
            "(anonymous namespace)::Six(int)");
  EXPECT_EQ(CoroutineName("app::{anonymous}::Five(Five(int, void (*)())::_ZN4FiveEi.Frame*)"),
            "app::{anonymous}::Five(int, void (*)())");
  EXPECT_EQ(CoroutineName("S::Get(S::Get(int) const::_ZNK1S3GetEi.Frame*)"), "S::Get(int) const");
}

TEST(ReadableName, KeepsWhatOnlyLooksLikeACoroutine) {
  for (const char* name : {"Show(Video.Frame*)", ".Frame*)", "a).Frame*)", "(::_Z.Frame*)", ""}) {
    EXPECT_EQ(CoroutineName(name), name);
  }
}

TEST(ReadableName, KeepsOtherDots) {
  EXPECT_EQ(ReadableName("main.work"), "main.work");
  EXPECT_EQ(ReadableName("counter.0"), "counter.0");
  EXPECT_EQ(ReadableName(".cold"), ".cold");
}

TEST(ReadableName, DropsTheVersion) {
  EXPECT_EQ(ReadableName("memcpy@@GLIBC_2.14"), "memcpy");
  EXPECT_EQ(ReadableName("memcpy@GLIBC_2.2.5"), "memcpy");
}

TEST(ReadableName, DropsTheHashOfRust) {
  EXPECT_EQ(ReadableName("_ZN5tokio4work17h0123456789abcdefE"), "tokio::work");
  EXPECT_EQ(ReadableName("_ZN5tokio4work17hello_world_12345E"), "tokio::work::hello_world_12345");
}

TEST(JitName, OfV8IsSplit) {
  EXPECT_EQ(FrameOfJitName("JS:*work /srv/my app.js:12:3"),
            (ReportFrame{.function = "work", .file = "/srv/my app.js", .line = 12}));
  EXPECT_EQ(FrameOfJitName("LazyCompile:~work file:///srv/app.mjs:7:1"),
            (ReportFrame{.function = "work", .file = "/srv/app.mjs", .line = 7}));
  EXPECT_EQ(FrameOfJitName("JS:^ node:internal/timers:502:17"),
            (ReportFrame{.function = "(anonymous)", .file = "node:internal/timers", .line = 502}));
}

TEST(JitName, OfV8MayLackASource) {
  EXPECT_EQ(FrameOfJitName("JS:*work"), ReportFrame{.function = "work"});
  EXPECT_EQ(FrameOfJitName("JS:*work native array.js"),
            (ReportFrame{.function = "work", .file = "native array.js"}));
  EXPECT_EQ(FrameOfJitName("JS:*work a:99999999999:1"),
            (ReportFrame{.function = "work", .file = "a:99999999999"}));
}

TEST(JitName, OfCPythonIsSplit) {
  EXPECT_EQ(FrameOfJitName("py::Server.<locals>.work:/srv/app.py"),
            (ReportFrame{.function = "Server.<locals>.work", .file = "/srv/app.py"}));
  EXPECT_EQ(FrameOfJitName("py::work:app.py"), (ReportFrame{.function = "work", .file = "app.py"}));
}

TEST(JitName, OfOthersStaysAsItIs) {
  EXPECT_EQ(FrameOfJitName("Ljava/lang/Thread;::run"),
            ReportFrame{.function = "Ljava/lang/Thread;::run"});
  EXPECT_EQ(FrameOfJitName(""), ReportFrame{});
}

}  // namespace
}  // namespace loopsan
