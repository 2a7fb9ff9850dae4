// The flags of a subcommand, and its help.
//
// Threads: one.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "reporters/options.h"

namespace CLI {
class App;
}

namespace loopsan {

enum class ParsedFlags { kGo, kHelpPrinted };

class CommandFlags {
 public:
  // `usage` follows the name: "FILE [FLAG...]". `footer` ends the help: examples and
  // exit statuses.
  CommandFlags(const std::string& name, const std::string& usage, const std::string& description,
               const std::string& footer);
  ~CommandFlags();

  // A flag that sets an option by its name (see SetOption()). `help` replaces the
  // option's own.
  void AddOption(const OptionInfo& option, Options& options, const std::string& help = "");
  void AddOption(std::string_view name, Options& options, const std::string& help = "");
  // A flag with a value of its own.
  void AddValue(const std::string& flag, std::string& value, const std::string& syntax,
                const std::string& help);
  void AddSwitch(const std::string& flag, bool& value, const std::string& help);
  // A word that is no flag and has to be there; at least `least` words.
  void AddFile(const std::string& name, std::string& file, const std::string& help);
  void AddFiles(const std::string& name, std::vector<std::string>& files, int least,
                const std::string& help);

  // Sets everything; prints the help to standard output if the words ask for it.
  absl::Status Parse(const std::vector<std::string>& words, ParsedFlags& outcome);

 private:
  absl::Status CheckSwitch(const std::string& word) const;
  // The flag that an unknown one of `words` was meant to be, for a message.
  std::string MeantFlag(const std::vector<std::string>& words) const;

  std::unique_ptr<CLI::App> app_;
  std::vector<std::string> switches_;  // flags of options that are on or off
};

// For a subcommand: parses, and says what to return if it is not to go on. Errors are
// told on standard error.
bool ParseOrExit(CommandFlags& flags, std::string_view name, const std::vector<std::string>& words,
                 int& exit_status);

// Tells an error and gives the exit status for it.
int FailCommand(const absl::Status& status);

}  // namespace loopsan
