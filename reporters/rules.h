// The catalogue of rules: what each finding's rule means and what to do about it.
// Formats that list rules (SARIF) and the documentation take it from here.
//
// Threads: any; no state.
#pragma once

#include <span>
#include <string>
#include <string_view>

namespace loopsan {

struct RuleInfo {
  std::string_view id;           // "blocking-call"
  std::string_view level;        // of its findings: "error", "warning", "note"
  std::string_view summary;      // a sentence: what is wrong
  std::string_view description;  // why it matters, and what is counted
  std::string_view help;         // what to do instead
};

// In the order of docs: what the detector finds, then what libraries find.
std::span<const RuleInfo> Rules();

// What is known of a rule; of a library's own, with the same id, in general words.
RuleInfo RuleOf(std::string_view id);

// "BlockingCall" for "blocking-call".
std::string RuleName(std::string_view id);

}  // namespace loopsan
