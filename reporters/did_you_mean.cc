#include "reporters/did_you_mean.h"

#include <algorithm>
#include <vector>

#include "absl/strings/str_cat.h"

namespace loopsan {
namespace {

constexpr size_t kMaxNameBytes = 64;

bool IsSame(char a, char b) { return a == b || (a == '-' && b == '_') || (a == '_' && b == '-'); }

// How many characters must be inserted, removed, replaced or exchanged with their
// neighbours.
size_t Distance(std::string_view a, std::string_view b) {
  std::vector<size_t> two_above(b.size() + 1);
  std::vector<size_t> above(b.size() + 1);
  std::vector<size_t> row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    two_above.swap(above);
    above.swap(row);
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t replaced = above[j - 1] + (IsSame(a[i - 1], b[j - 1]) ? 0 : 1);
      row[j] = std::min({above[j] + 1, row[j - 1] + 1, replaced});
      if (i > 1 && j > 1 && IsSame(a[i - 1], b[j - 2]) && IsSame(a[i - 2], b[j - 1])) {
        row[j] = std::min(row[j], two_above[j - 2] + 1);
      }
    }
  }
  return row[b.size()];
}

}  // namespace

std::string DidYouMean(std::string_view name, std::span<const std::string> names) {
  if (name.size() < 2 || name.size() > kMaxNameBytes) return "";
  const std::string* nearest = nullptr;
  // A third of the word may be wrong.
  size_t distance = std::max<size_t>(1, name.size() / 3) + 1;
  for (const std::string& candidate : names) {
    if (candidate.size() > kMaxNameBytes) continue;
    const size_t found = Distance(name, candidate);
    if (found >= distance || found >= candidate.size()) continue;
    distance = found;
    nearest = &candidate;
  }
  return nearest == nullptr ? "" : absl::StrCat(" (did you mean '", *nearest, "'?)");
}

}  // namespace loopsan
