// Finds and reads the suppressions of a run: the files and the rule packs that its
// options name.
#pragma once

#include <ostream>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "reporters/options.h"
#include "reporters/suppressions.h"

namespace loopsan {

// The folders in which rule packs (NAME.supp) are searched, in this order:
// LOOPSAN_SUPPRESSIONS_PATH (folders with ':' between; null if unset), the one that
// was installed with the command in `executable_directory` ("" if there is none),
// and those of the system.
std::vector<std::string> RulePackFolders(const char* search_path,
                                         const std::string& executable_directory);

// RulePackFolders() of this process.
std::vector<std::string> RulePackFolders();

// Reads all that the options name. An error tells of all that is wrong in all files,
// and of an unknown pack which there are.
absl::StatusOr<Suppressions> ReadSuppressions(const Options& options,
                                              const std::vector<std::string>& pack_folders);

// The packs with their descriptions, which are the first lines of their files.
void PrintRulePacks(const std::vector<std::string>& pack_folders, std::ostream& out);

// True if the options ask for PrintRulePacks().
bool WantsRulePackList(const Options& options);

}  // namespace loopsan
