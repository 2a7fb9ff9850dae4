// What libloopsan.so brings into a stranger's process: what it exports, needs
// and imports, read from the file.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <set>
#include <sstream>
#include <string>

#include "tests/support/process.h"

namespace loopsan::testing {
namespace {

using ::testing::AnyOf;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::IsSubsetOf;
using ::testing::Not;

std::string OutputOf(std::vector<std::string> command) {
  const Finished finished = RunCommand({std::move(command), {"LC_ALL=C"}, {}});
  EXPECT_EQ(finished.exit_code, 0) << finished.err;
  return finished.out;
}

struct Symbol {
  std::string address;
  std::string type;
  std::string section;  // "UND" if it is imported
  std::string name;
  std::string version;  // "" if it has none
};

// The rows of `readelf --dyn-syms`.
std::vector<Symbol> DynamicSymbols(const std::string& library) {
  std::istringstream table(OutputOf({"readelf", "--dyn-syms", "-W", library}));
  std::vector<Symbol> symbols;
  for (std::string line; std::getline(table, line);) {
    std::istringstream row(line);
    std::string number, size, binding, visibility, name;
    Symbol symbol;
    row >> number >> symbol.address >> size >> symbol.type >> binding >> visibility >>
        symbol.section >> name;
    if (number.empty() || number.back() != ':' || name.empty()) continue;
    const size_t at = name.find('@');
    symbol.name = name.substr(0, at);
    if (at != std::string::npos) symbol.version = name.substr(name.find_first_not_of('@', at));
    symbols.push_back(symbol);
  }
  return symbols;
}

std::map<std::string, std::string> Exports(const std::string& library) {
  std::map<std::string, std::string> exports;  // version by name
  for (const Symbol& symbol : DynamicSymbols(library)) {
    if (symbol.section != "UND" && symbol.type != "OBJECT") exports[symbol.name] = symbol.version;
  }
  return exports;
}

std::set<std::string> Imports(const std::string& library) {
  std::set<std::string> imports;
  for (const Symbol& symbol : DynamicSymbols(library)) {
    if (symbol.section == "UND") imports.insert(symbol.name);
  }
  return imports;
}

// The implementations that libc has of each function: addresses by version.
std::map<std::string, std::map<std::string, std::string>> LibcFunctions() {
  std::map<std::string, std::map<std::string, std::string>> functions;
  for (const Symbol& symbol : DynamicSymbols(LIBC_PATH)) {
    if (symbol.section != "UND") functions[symbol.name][symbol.version] = symbol.address;
  }
  return functions;
}

// Every row of the list; the hooks that are not in it are named one by one.
std::set<std::string> ListedCalls() {
  return {
#define LOOPSAN_CALL(category, result, name, ...) #name,
#define LOOPSAN_VERSIONED(version, category, result, name, ...) #name,
#define LOOPSAN_LOCK(result, name, ...) #name,
#define LOOPSAN_SEMAPHORE(result, name, ...) #name,
#define LOOPSAN_OWN(category, name, ...) #name,
#include "instrument/blocking_calls.inc"
#undef LOOPSAN_CALL
#undef LOOPSAN_VERSIONED
#undef LOOPSAN_LOCK
#undef LOOPSAN_SEMAPHORE
#undef LOOPSAN_OWN
  };
}

TEST(ProbeLibrary, NeedsLibcAlone) {
  std::istringstream table(OutputOf({"readelf", "-dW", PROBE}));
  std::vector<std::string> needed;
  for (std::string line; std::getline(table, line);) {
    if (line.find("(NEEDED)") == std::string::npos) continue;
    const size_t begin = line.find('[') + 1;
    needed.push_back(line.substr(begin, line.find(']') - begin));
  }
  EXPECT_THAT(needed, ::testing::Each(AnyOf("libc.so.6", "ld-linux-x86-64.so.2")));
  EXPECT_THAT(needed, Contains("libc.so.6"));
}

TEST(ProbeLibrary, ExportsEveryListedCall) {
  const auto exports = Exports(PROBE);
  for (const std::string& name : ListedCalls()) EXPECT_TRUE(exports.contains(name)) << name;
}

// What a loop's library and a program's own collector look for.
const std::set<std::string> kOwnFunctions = {"loopsan_annotations_v1", "loopsan_use_collector_v1"};

TEST(ProbeLibrary, ExportsItsOwnFunctions) {
  const auto exports = Exports(PROBE);
  for (const std::string& name : kOwnFunctions) EXPECT_TRUE(exports.contains(name)) << name;
}

TEST(ProbeLibrary, ExportsNothingElseButFunctionsOfLibc) {
  const auto functions = LibcFunctions();
  for (const auto& [name, version] : Exports(PROBE)) {
    if (kOwnFunctions.contains(name)) continue;
    EXPECT_TRUE(functions.contains(name)) << name << " is no function of libc";
  }
}

// An unversioned hook takes the calls of every version. Where these are not the
// same function, a program that was linked against the older would crash.
TEST(ProbeLibrary, ExportsNoVersionThatWorksDifferently) {
  const auto functions = LibcFunctions();
  ASSERT_GE(functions.at("pthread_cond_wait").size(), 2u) << "the versions were not read";
  for (const auto& [name, version] : Exports(PROBE)) {
    const auto function = functions.find(name);
    if (function == functions.end()) continue;
    if (!version.empty()) {
      EXPECT_TRUE(function->second.contains(version)) << name << "@" << version;
      continue;
    }
    std::set<std::string> addresses;
    for (const auto& [of_version, address] : function->second) addresses.insert(address);
    EXPECT_EQ(addresses.size(), 1u) << name << " exists in several versions; name the newer one";
  }
}

TEST(ProbeLibrary, NeitherAllocatesNorStartsThreads) {
  for (const char* name : {"malloc", "calloc", "realloc", "free", "_Znwm", "_ZdlPv", "_ZdlPvm",
                           "pthread_create", "fork", "pthread_atfork", "__cxa_throw",
                           "__cxa_guard_acquire", "_Unwind_Resume", "__gxx_personality_v0"}) {
    EXPECT_THAT(Imports(PROBE), Not(Contains(name)));
  }
}

// The dynamic model would allocate at a thread's first hooked call.
TEST(ProbeLibrary, HasSmallThreadLocalStorageOfTheInitialModel) {
  EXPECT_THAT(Imports(PROBE), Not(Contains("__tls_get_addr")));
  std::istringstream table(OutputOf({"readelf", "-lW", PROBE}));
  for (std::string line; std::getline(table, line);) {
    std::istringstream row(line);
    std::string kind, offset, address, physical, file_bytes, memory_bytes;
    row >> kind >> offset >> address >> physical >> file_bytes >> memory_bytes;
    if (kind != "TLS") continue;
    EXPECT_LE(std::stoul(memory_bytes, nullptr, 16), 192u);
  }
}

TEST(ProbeLibrary, KeepsItsUnwindTables) {
  EXPECT_NE(OutputOf({"readelf", "-SW", PROBE}).find(".eh_frame_hdr"), std::string::npos);
}

}  // namespace
}  // namespace loopsan::testing
