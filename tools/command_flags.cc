#include "tools/command_flags.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <iostream>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "reporters/did_you_mean.h"
#include "tools/exit_status.h"
#include "tools/report_outputs.h"

namespace loopsan {
namespace {

constexpr size_t kHelpWidth = 98;
constexpr size_t kFlagColumn = 30;

class HelpFormatter : public CLI::Formatter {
 public:
  explicit HelpFormatter(std::string usage) : usage_(std::move(usage)) {}

  std::string make_usage(const CLI::App*, std::string) const override {
    return absl::StrCat("\nUsage: loopsan ", usage_, "\n");
  }
  // Between a flag and its values there is a '='.
  std::string make_option_opts(const CLI::Option* option) const override {
    const bool word = option->get_positional();
    return word || option->get_type_name().empty() ? "" : "=" + option->get_type_name();
  }

 private:
  const std::string usage_;
};

// CLI11 indents the lines of a text, but does not make them.
std::string Wrap(const std::string& text) {
  std::string wrapped;
  size_t line = 0;
  for (const absl::string_view word : absl::StrSplit(text, ' ')) {
    if (line > 0 && line + 1 + word.size() > kHelpWidth - kFlagColumn) {
      wrapped += '\n';
      line = 0;
    } else if (line > 0) {
      wrapped += ' ';
      ++line;
    }
    wrapped.append(word.data(), word.size());
    line += word.size();
  }
  return wrapped;
}

std::string HelpText(const OptionInfo& option, const std::string& help) {
  std::string text = help.empty() ? option.help : help;
  if (help.empty() && !option.default_text.empty() && option.kind != OptionKind::kSwitch) {
    text += absl::StrCat(" (default ", std::string(option.default_text), ")");
  }
  return Wrap(text);
}

}  // namespace

CommandFlags::CommandFlags(const std::string& name, const std::string& usage,
                           const std::string& description, const std::string& footer)
    : app_(std::make_unique<CLI::App>(description, "loopsan " + name)) {
  auto formatter = std::make_shared<HelpFormatter>(absl::StrCat(name, " ", usage));
  formatter->column_width(kFlagColumn);
  formatter->label("OPTIONS", "FLAG");
  app_->formatter(formatter);
  app_->footer(footer);
}

CommandFlags::~CommandFlags() = default;

void CommandFlags::AddOption(const OptionInfo& option, Options& options, const std::string& help) {
  const std::string flag = option.Flag();
  const std::string text = HelpText(option, help);
  const auto set = [&options, flag, name = std::string(option.name)](const std::string& value) {
    if (const absl::Status status = SetOption(name, value, options); !status.ok()) {
      // It begins with the option's name.
      throw CLI::ValidationError(flag + std::string(status.message().substr(name.size())));
    }
  };
  if (option.kind == OptionKind::kSwitch) {
    switches_.push_back(flag);
    app_->add_flag_function(
        flag, [set](int64_t times) { set(times > 0 ? "true" : "false"); }, text);
    return;
  }
  const bool repeats = option.IsList() || option.kind == OptionKind::kBudget;
  const auto set_all = [set](const std::vector<std::string>& values) {
    for (const std::string& value : values) set(value);
  };
  CLI::Option* const added =
      repeats ? app_->add_option_function<std::vector<std::string>>(flag, set_all, text)
                    ->allow_extra_args(false)
              : app_->add_option_function<std::string>(flag, set, text)
                    ->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);
  added->type_name(std::string(option.ValueSyntax()));
}

void CommandFlags::AddOption(std::string_view name, Options& options, const std::string& help) {
  for (const OptionInfo& option : OptionList()) {
    if (option.name == name) AddOption(option, options, help);
  }
}

void CommandFlags::AddValue(const std::string& flag, std::string& value, const std::string& syntax,
                            const std::string& help) {
  app_->add_option(flag, value, Wrap(help))
      ->type_name(syntax)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);
}

void CommandFlags::AddSwitch(const std::string& flag, bool& value, const std::string& help) {
  app_->add_flag(flag, value, Wrap(help));
}

void CommandFlags::AddFile(const std::string& name, std::string& file, const std::string& help) {
  app_->add_option(name, file, Wrap(help))->required();
}

void CommandFlags::AddFiles(const std::string& name, std::vector<std::string>& files, int least,
                            const std::string& help) {
  app_->add_option(name, files, Wrap(help))->required()->expected(least, 1 << 20);
}

// CLI11 (2.1.2) lets exceptions of the standard library out for a value that is neither.
absl::Status CommandFlags::CheckSwitch(const std::string& word) const {
  for (const std::string& flag : switches_) {
    if (!word.starts_with(flag + "=")) continue;
    Options scratch;
    const absl::Status status =
        SetOption(std::string_view(flag).substr(2), word.substr(flag.size() + 1), scratch);
    if (!status.ok()) {
      return absl::Status(status.code(), absl::StrCat("--", status.message()));
    }
  }
  return absl::OkStatus();
}

std::string CommandFlags::MeantFlag(const std::vector<std::string>& words) const {
  std::vector<std::string> flags;
  for (const CLI::Option* option : app_->get_options()) {
    for (const std::string& name : option->get_lnames()) flags.push_back("--" + name);
  }
  for (const std::string& word : words) {
    const std::string flag = word.substr(0, word.find('='));
    if (!flag.starts_with("--") || std::find(flags.begin(), flags.end(), flag) != flags.end()) {
      continue;
    }
    if (std::string meant = DidYouMean(flag, flags); !meant.empty()) return meant;
  }
  return "";
}

absl::Status CommandFlags::Parse(const std::vector<std::string>& words, ParsedFlags& outcome) {
  for (const std::string& word : words) {
    if (absl::Status status = CheckSwitch(word); !status.ok()) return status;
  }
  try {
    // CLI11 takes the words from the back.
    app_->parse(std::vector<std::string>(words.rbegin(), words.rend()));
  } catch (const CLI::CallForHelp&) {
    std::cout << app_->help();
    outcome = ParsedFlags::kHelpPrinted;
    return absl::OkStatus();
  } catch (const CLI::ExtrasError& error) {
    return absl::InvalidArgumentError(absl::StrCat(error.what(), MeantFlag(words)));
  } catch (const CLI::ParseError& error) {
    return absl::InvalidArgumentError(error.what());
  }
  outcome = ParsedFlags::kGo;
  return absl::OkStatus();
}

bool ParseOrExit(CommandFlags& flags, std::string_view name, const std::vector<std::string>& words,
                 int& exit_status) {
  ParsedFlags outcome;
  if (const absl::Status status = flags.Parse(words, outcome); !status.ok()) {
    Complain(absl::StrCat(status.message(), "\nTry 'loopsan ", std::string(name), " --help'."));
    exit_status = kExitLoopsanFailed;
    return false;
  }
  exit_status = 0;
  return outcome == ParsedFlags::kGo;
}

int FailCommand(const absl::Status& status) {
  Complain(std::string(status.message()));
  return kExitLoopsanFailed;
}

}  // namespace loopsan
