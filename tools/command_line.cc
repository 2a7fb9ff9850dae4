#include "tools/command_line.h"

#include <CLI/CLI.hpp>
#include <iostream>
#include <memory>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace loopsan {
namespace {

constexpr size_t kHelpWidth = 98;
constexpr size_t kFlagColumn = 30;

constexpr char kExamples[] =
    R"(Everything from the first word that is no flag, or from behind "--", is the command and is passed
on as it is. The report goes to standard error when the command ends; each new stall is printed
there at once. Ctrl-C ends the command as always, and the report still comes.

Examples:
  loopsan run -- ./server --port 8080
  loopsan run --threshold=50ms -- python3 app.py     steps over 50 ms are stalls
  loopsan run --calls=strict -- ./tests              each call that may block, however short
  loopsan run --json=loop.json --output=loop.txt -- node app.js
  loopsan run --require-loop --quiet -- ./unit_tests a test run that must have had a loop

The flags may also be given as LOOPSAN_OPTIONS=name=value:name=value; flags win. It works for
LD_PRELOAD=.../libloopsan.so without this command, too. LOOPSAN_OPTIONS=help=1 prints all of them.

Exit status: the command's own, 128+N if signal N ended it; else 67 with --require-loop if no event
loop was seen; 125 if loopsan failed; 126, 127 if the command cannot be executed or found.)";

class HelpFormatter : public CLI::Formatter {
 public:
  std::string make_usage(const CLI::App*, std::string) const override {
    return "\nUsage: loopsan run [FLAG...] [--] COMMAND [ARG...]\n";
  }
  // Between a flag and its values there is a '='.
  std::string make_option_opts(const CLI::Option* option) const override {
    return option->get_type_name().empty() ? "" : "=" + option->get_type_name();
  }
};

bool TakesValue(const std::string& flag) {
  for (const OptionInfo& option : OptionList()) {
    if (option.Flag() == flag) return option.kind != OptionKind::kSwitch;
  }
  return false;
}

// CLI11 indents the lines of a text, but does not make them.
std::string Wrap(const std::string& text, size_t width) {
  std::string wrapped;
  size_t line = 0;
  for (const absl::string_view word : absl::StrSplit(text, ' ')) {
    if (line > 0 && line + 1 + word.size() > width) {
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

std::string HelpText(const OptionInfo& option) {
  std::string text(option.help);
  if (!option.default_text.empty() && option.kind != OptionKind::kSwitch) {
    text += absl::StrCat(" (default ", std::string(option.default_text), ")");
  }
  return Wrap(text, kHelpWidth - kFlagColumn);
}

}  // namespace

// CLI11 never sees the command: with every setting of its (2.1.2) some word of a
// command is interpreted, e.g. "[a,b]" is split and "--" dropped.
RunArguments SplitRunArguments(const std::vector<std::string>& arguments) {
  RunArguments result;
  size_t at = 0;
  for (; at < arguments.size(); ++at) {
    const std::string& word = arguments[at];
    if (word == "--") {
      ++at;
      break;
    }
    if (word.size() < 2 || word[0] != '-') break;
    if (TakesValue(word) && at + 1 < arguments.size() && arguments[at + 1] != "--") {
      result.flags.push_back(absl::StrCat(word, "=", arguments[++at]));
    } else {
      result.flags.push_back(word);
    }
  }
  result.command.assign(arguments.begin() + static_cast<ptrdiff_t>(at), arguments.end());
  return result;
}

absl::Status ReadEnvironmentOptions(const char* environment, Options& options) {
  if (environment == nullptr) return absl::OkStatus();
  const absl::Status status = ParseOptions(environment, options);
  if (status.ok()) return status;
  return absl::Status(status.code(), absl::StrCat("LOOPSAN_OPTIONS: ", status.message()));
}

absl::Status ReadFlags(const std::vector<std::string>& flags, Options& options,
                       ParsedFlags& outcome) {
  CLI::App app("Runs a program and reports what blocks its event loop.", "loopsan run");
  auto formatter = std::make_shared<HelpFormatter>();
  formatter->column_width(kFlagColumn);
  app.formatter(formatter);
  app.footer(kExamples);
  app.get_formatter()->label("OPTIONS", "FLAG");
  for (const OptionInfo& option : OptionList()) {
    if (option.name == "help") continue;
    const std::string flag = option.Flag();
    const auto set = [&options, name = std::string(option.name)](const std::string& value) {
      if (const absl::Status status = SetOption(name, value, options); !status.ok()) {
        throw CLI::ValidationError("--" + std::string(status.message()));
      }
    };
    if (option.kind == OptionKind::kSwitch) {
      app.add_flag_function(
          flag, [set](int64_t times) { set(times > 0 ? "true" : "false"); }, HelpText(option));
    } else if (option.IsList()) {
      app.add_option_function<std::vector<std::string>>(
             flag,
             [set](const std::vector<std::string>& values) {
               for (const std::string& value : values) set(value);
             },
             HelpText(option))
          ->type_name(std::string(option.ValueSyntax()))
          ->allow_extra_args(false);
    } else {
      app.add_option_function<std::string>(flag, set, HelpText(option))
          ->type_name(std::string(option.ValueSyntax()))
          ->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);
    }
  }
  try {
    // CLI11 takes the words from the back.
    app.parse(std::vector<std::string>(flags.rbegin(), flags.rend()));
  } catch (const CLI::CallForHelp&) {
    std::cout << app.help();
    outcome = ParsedFlags::kHelpPrinted;
    return absl::OkStatus();
  } catch (const CLI::ParseError& error) {
    return absl::InvalidArgumentError(error.what());
  }
  outcome = ParsedFlags::kGo;
  return absl::OkStatus();
}

}  // namespace loopsan
