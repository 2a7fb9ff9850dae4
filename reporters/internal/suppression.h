// One entry of a suppression file, as read.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "reporters/internal/text_pattern.h"
#include "reporters/suppressions.h"

namespace loopsan {

// What a pattern is held against.
enum class SuppressionScope {
  kFunction,  // these three: of one frame of the finding's place
  kSource,
  kModule,
  kStack,    // function, file or module of any frame, also of awaiting coroutines and members
  kCall,     // the function of the C library
  kDetail,   // what the call was about
  kProcess,  // the executable
};

struct SuppressionCondition {
  SuppressionScope scope;
  TextPattern pattern;
};

struct Suppression {
  TextPattern rule{"*", TextPattern::Reach::kWholeText};
  std::vector<SuppressionCondition> conditions;  // all must hold; at least one
  std::optional<Date> until;                     // the last day
  std::optional<double> max_seconds;
  std::string reason;
  std::string text;  // as written, without the comment
  std::string file;
  int line = 0;
  SuppressionOrigin origin = SuppressionOrigin::kUser;
};

}  // namespace loopsan
