#include "tools/suppression_files.h"

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <string_view>
#include <system_error>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "reporters/did_you_mean.h"
#include "reporters/reporter.h"
#include "tools/probe_library.h"

namespace loopsan {
namespace {

constexpr std::string_view kEnding = ".supp";
constexpr std::string_view kList = "list";
constexpr size_t kMaxDescriptionBytes = 200;

// Name and file of each pack; of two with one name the one that is found first.
std::map<std::string, std::string> FindRulePacks(const std::vector<std::string>& folders) {
  std::map<std::string, std::string> packs;
  for (const std::string& folder : folders) {
    std::error_code error;  // a folder that is not there has no packs
    std::filesystem::directory_iterator entry(folder, error);
    for (; !error && entry != std::filesystem::directory_iterator(); entry.increment(error)) {
      const std::filesystem::path& path = entry->path();
      if (path.extension() == kEnding) packs.emplace(path.stem().string(), path.string());
    }
  }
  return packs;
}

std::string DescriptionOf(const std::string& path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  const size_t begin = line.find_first_not_of("# ");
  return begin == std::string::npos ? "" : Printable(line.substr(begin, kMaxDescriptionBytes));
}

absl::Status UnknownPack(const std::string& name, const std::map<std::string, std::string>& packs,
                         const std::vector<std::string>& folders) {
  std::vector<std::string> known;
  for (const auto& [pack, path] : packs) known.push_back(Printable(pack));
  return absl::NotFoundError(absl::StrCat(
      "there is no rule pack '", Printable(name), "'", DidYouMean(name, known), "; ",
      known.empty() ? "there are none" : absl::StrCat("there are ", absl::StrJoin(known, ", ")),
      "; looked in ", absl::StrJoin(folders, ", ")));
}

}  // namespace

std::vector<std::string> RulePackFolders(const char* search_path,
                                         const std::string& executable_directory) {
  std::vector<std::string> folders;
  const auto add = [&folders](std::string folder) {
    if (!folder.empty() && std::find(folders.begin(), folders.end(), folder) == folders.end()) {
      folders.push_back(std::move(folder));
    }
  };
  if (search_path != nullptr) {
    for (const absl::string_view folder : absl::StrSplit(search_path, ':')) {
      add(std::string(folder));
    }
  }
  if (!executable_directory.empty()) {
    const std::string prefix = std::filesystem::path(executable_directory).parent_path();
    add(absl::StrCat(prefix, "/" LOOPSAN_SUPPRESSIONS_DIR));
  }
  add(LOOPSAN_FULL_SUPPRESSIONS_DIR);
  add("/usr/share/loopsan/suppressions");
  return folders;
}

std::vector<std::string> RulePackFolders() {
  return RulePackFolders(getenv("LOOPSAN_SUPPRESSIONS_PATH"), ExecutableDirectory());
}

absl::StatusOr<Suppressions> ReadSuppressions(const Options& options,
                                              const std::vector<std::string>& pack_folders) {
  Suppressions suppressions;
  std::vector<std::string> problems;
  const auto note = [&problems](absl::string_view option, const absl::Status& status) {
    if (!status.ok()) problems.push_back(absl::StrCat(option, ": ", status.message()));
  };
  for (const std::string& path : options.suppression_files) {
    note("--suppressions", suppressions.AddFile(path, SuppressionOrigin::kUser));
  }
  const std::map<std::string, std::string> packs = options.rule_packs.empty()
                                                       ? std::map<std::string, std::string>()
                                                       : FindRulePacks(pack_folders);
  for (const std::string& name : options.rule_packs) {
    const auto pack = packs.find(name);
    note("--rule-pack", pack == packs.end()
                            ? UnknownPack(name, packs, pack_folders)
                            : suppressions.AddFile(pack->second, SuppressionOrigin::kRulePack));
  }
  if (!problems.empty()) return absl::InvalidArgumentError(absl::StrJoin(problems, "\n"));
  return suppressions;
}

void PrintRulePacks(const std::vector<std::string>& pack_folders, std::ostream& out) {
  const std::map<std::string, std::string> packs = FindRulePacks(pack_folders);
  if (packs.empty()) {
    out << "there are no rule packs in " << absl::StrJoin(pack_folders, ", ") << '\n';
  }
  size_t width = 0;
  for (const auto& [name, path] : packs) width = std::max(width, Printable(name).size());
  for (const auto& [name, path] : packs) {
    std::string shown = Printable(name);
    shown.resize(width, ' ');
    out << shown << "  " << DescriptionOf(path) << '\n';
  }
}

bool WantsRulePackList(const Options& options) {
  const auto& packs = options.rule_packs;
  return std::find(packs.begin(), packs.end(), kList) != packs.end();
}

}  // namespace loopsan
