// The patterns of suppression files, as the sanitizers have them: a pattern is
// found anywhere in a text, '*' stands for any characters, '^' in front and '$' at
// the end tie it to the text's ends.
//
// Threads: any; no state after construction.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace loopsan {

class TextPattern {
 public:
  enum class Reach {
    kAnywhere,   // "read" is found in "pread64"
    kWholeText,  // "read" is "read" only, "*read*" is found anywhere
  };

  TextPattern(std::string_view pattern, Reach reach);

  // In time proportional to the product of both lengths at most.
  bool Matches(std::string_view text) const;

  // True for "", "*", "^", "^*$" ...: such a pattern says nothing.
  bool MatchesEverything() const;

  // False: what matches a part of a text matches the text.
  bool IsTiedToStart() const { return tied_to_start_; }

 private:
  std::vector<std::string> pieces_;  // what stands between the '*'s, empty ones left out
  bool tied_to_start_ = false;
  bool tied_to_end_ = false;
};

}  // namespace loopsan
