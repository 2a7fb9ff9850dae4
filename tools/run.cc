// `loopsan run [FLAG...] -- COMMAND [ARG...]`
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <iostream>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "reporters/baseline.h"
#include "reporters/collector.h"
#include "reporters/finding_facts.h"
#include "reporters/gate.h"
#include "tools/command_check.h"
#include "tools/command_line.h"
#include "tools/exit_status.h"
#include "tools/launcher.h"
#include "tools/live_outputs.h"
#include "tools/output.h"
#include "tools/probe_library.h"
#include "tools/report_interrupt.h"
#include "tools/report_outputs.h"
#include "tools/signals.h"
#include "tools/subcommand.h"
#include "tools/suppression_files.h"

namespace loopsan {
namespace {

using Clock = std::chrono::steady_clock;

int Fail(const absl::Status& status) {
  Complain(std::string(status.message()));
  return ExitStatusOf(status);
}

int FailUsage(const absl::Status& status) {
  Complain(absl::StrCat(status.message(), "\nTry 'loopsan run --help'."));
  return kExitLoopsanFailed;
}

// What a report has to pass at the end of the run.
class Gate {
 public:
  // Reads the baseline, before an hour's run is made for nothing.
  static absl::StatusOr<Gate> Open(const Options& options) {
    Gate gate;
    gate.settings_ = {.fail_on = options.fail_on,
                      .budgets = options.budgets,
                      .baseline_file = options.baseline_path,
                      .report_file = options.json_path == "-" ? "" : options.json_path,
                      // A run is often a part of the tests; `check` is asked about all.
                      .names_unseen = false};
    if (options.baseline_path.empty()) return gate;
    absl::StatusOr<Baseline> baseline = ReadBaselineFile(options.baseline_path);
    if (!baseline.ok()) return baseline.status();
    gate.baseline_ = *std::move(baseline);
    return gate;
  }

  // Marks the findings that are known. Before the report is written.
  void Compare(Report& report) {
    if (baseline_) comparison_ = CompareWithBaseline(report, *baseline_);
  }

  // Says why a report fails, and, unless `quiet`, that it does not.
  bool Fails(const Report& report, bool quiet) const {
    if (!GateIsOn(settings_, baseline_.has_value())) return false;
    const GateVerdict verdict = JudgeGate(report, comparison_ ? &*comparison_ : nullptr, settings_);
    if (verdict.failed() || !quiet) WriteAll(STDERR_FILENO, GateText(report, verdict));
    return verdict.failed();
  }

 private:
  GateSettings settings_;
  std::optional<Baseline> baseline_;
  std::optional<BaselineComparison> comparison_;
};

int RunCommand(const Options& options, const std::vector<std::string>& words) {
  const absl::StatusOr<CheckedCommand> command = CheckCommand(words);
  if (!command.ok()) return Fail(command.status());
  const absl::StatusOr<std::string> library =
      FindProbeLibrary(ProbeLibraryPlaces(ExecutableDirectory()));
  if (!library.ok()) return Fail(library.status());
  absl::StatusOr<Gate> gate = Gate::Open(options);
  if (!gate.ok()) return FailCommand(gate.status());
  const absl::StatusOr<Suppressions> suppressions = ReadSuppressions(options, RulePackFolders());
  if (!suppressions.ok()) return FailCommand(suppressions.status());
  absl::StatusOr<std::unique_ptr<ReportOutputs>> opened = ReportOutputs::Open(options);
  if (!opened.ok()) return Fail(opened.status());
  ReportOutputs& outputs = **opened;

  const SignalTakeover signals;
  absl::StatusOr<std::unique_ptr<Collector>> created =
      Collector::Create({options, [&outputs](const std::string& line) { outputs.PrintLive(line); },
                         [&suppressions](const Finding& finding) {
                           return Suppresses(*suppressions, finding, Today());
                         }});
  if (!created.ok()) return Fail(created.status());
  Collector& collector = **created;

  absl::StatusOr<std::unique_ptr<LiveOutputs>> live = LiveOutputs::Open(options, &*suppressions);
  if (!live.ok()) return Fail(live.status());
  if (!options.quiet) WriteAll(STDERR_FILENO, (*live)->Announcement());

  // The collector's threads come after the fork.
  const Clock::time_point started = Clock::now();
  absl::StatusOr<LaunchedCommand> launched = LaunchedCommand::Launch(
      *command, WatchedEnvironment(environ, *library, collector.SessionVariable()), signals);
  if (!launched.ok()) return Fail(launched.status());
  collector.Start();
  (*live)->Start(&collector, words);
  const CommandEnd end = launched->WaitForEnd(signals);
  const std::chrono::duration<double> duration = Clock::now() - started;

  const ReportInterrupt interrupt(signals, [&outputs] { outputs.Discard(); });
  Report report = collector.Finish();
  report.command = words;
  report.exit_code = end.exit_code;
  report.exit_signal = end.signal;
  report.duration_seconds = duration.count();
  ApplySuppressions(report, *suppressions, Today());
  gate->Compare(report);
  absl::Status written = outputs.Write(report);
  if (!written.ok()) Complain(std::string(written.message()));
  const absl::Status live_status = (*live)->Finish(report);
  if (!live_status.ok()) Complain(std::string(live_status.message()));

  RunVerdict verdict{.report_failed = !written.ok(),
                     .loop_missing = options.require_loop && !HasProvenLoop(report),
                     .gate_failed = gate->Fails(report, options.quiet)};
  // Whom nobody could tell of the findings has them all the same.
  if (!verdict.gate_failed) verdict.report_failed = verdict.report_failed || !live_status.ok();
  const int exit_status = ExitStatusOf(end, verdict);
  if (exit_status == kExitNoLoop && verdict.loop_missing) {
    Complain(absl::StrCat(
        collector.SawLoop() ? "no event loop was proven in " : "no event loop was seen in ",
        words[0], ", and --require-loop wants one; was it the right command?"));
  }
  return exit_status;
}

}  // namespace

int Run(const std::vector<std::string>& arguments) {
  const RunArguments split = SplitRunArguments(arguments);
  Options options;
  if (absl::Status status = ReadEnvironmentOptions(getenv("LOOPSAN_OPTIONS"), options);
      !status.ok()) {
    return Fail(status);
  }
  ParsedFlags outcome;
  if (absl::Status status = ReadFlags(split.flags, options, outcome); !status.ok()) {
    return FailUsage(status);
  }
  if (outcome == ParsedFlags::kHelpPrinted) return 0;
  if (options.help) PrintOptions(options, std::cerr);
  if (WantsRulePackList(options)) {
    PrintRulePacks(RulePackFolders(), std::cout);
    return 0;
  }
  if (split.command.empty()) {
    if (options.help) return 0;
    return FailUsage(absl::InvalidArgumentError("no command was given: loopsan run -- CMD ARG..."));
  }
  return RunCommand(options, split.command);
}

}  // namespace loopsan
