#include "tools/command_line.h"

#include "absl/strings/str_cat.h"
#include "tools/command_flags.h"

namespace loopsan {
namespace {

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
  loopsan run --fail-on=new -- ./unit_tests          fails with 66 if anything is found
  loopsan run --baseline=loopsan-baseline.json -- ./unit_tests      ... that is not known
  loopsan run --budget=worst-stall=200ms --budget=findings=3 -- ./unit_tests

The flags may also be given as LOOPSAN_OPTIONS=name=value:name=value; flags win. It works for
LD_PRELOAD=.../libloopsan.so without this command, too. LOOPSAN_OPTIONS=help=1 prints all of them.

Exit status: the command's own, 128+N if signal N ended it; else 67 with --require-loop if no event
loop was seen; 66 if --fail-on, --baseline or --budget says so; 125 if loopsan failed; 126, 127 if
the command cannot be executed or found.)";

bool TakesValue(const std::string& flag) {
  for (const OptionInfo& option : OptionList()) {
    if (option.Flag() == flag) return option.kind != OptionKind::kSwitch;
  }
  return false;
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
  CommandFlags flags_of_run("run", "[FLAG...] [--] COMMAND [ARG...]",
                            "Runs a program and reports what blocks its event loop.", kExamples);
  for (const OptionInfo& option : OptionList()) {
    if (option.name != "help") flags_of_run.AddOption(option, options);
  }
  return flags_of_run.Parse(flags, outcome);
}

}  // namespace loopsan
