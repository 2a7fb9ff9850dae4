// Finds the name that a person meant who has misspelt one.
//
// Threads: any; no state.
#pragma once

#include <span>
#include <string>
#include <string_view>

namespace loopsan {

// " (did you mean 'threshold'?)" for the one of `names` that is nearest to `name`, the
// first of several that are equally near; "" if none is near enough to be meant.
// Exchanged neighbours are one difference, and '-' and '_' are the same.
std::string DidYouMean(std::string_view name, std::span<const std::string> names);

}  // namespace loopsan
