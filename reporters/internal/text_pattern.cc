#include "reporters/internal/text_pattern.h"

#include <algorithm>

namespace loopsan {

TextPattern::TextPattern(std::string_view pattern, Reach reach) {
  tied_to_start_ = tied_to_end_ = reach == Reach::kWholeText;
  if (pattern.starts_with('^')) {
    tied_to_start_ = true;
    pattern.remove_prefix(1);
  }
  if (pattern.ends_with('$')) {
    tied_to_end_ = true;
    pattern.remove_suffix(1);
  }
  if (pattern.starts_with('*')) tied_to_start_ = false;
  if (pattern.ends_with('*')) tied_to_end_ = false;
  while (!pattern.empty()) {
    const std::string_view piece = pattern.substr(0, pattern.find('*'));
    if (!piece.empty()) pieces_.emplace_back(piece);
    pattern.remove_prefix(std::min(piece.size() + 1, pattern.size()));
  }
}

bool TextPattern::MatchesEverything() const { return pieces_.empty(); }

bool TextPattern::Matches(std::string_view text) const {
  if (pieces_.empty()) return true;
  size_t first = 0;
  size_t last = pieces_.size();
  if (tied_to_start_) {
    if (!text.starts_with(pieces_.front())) return false;
    if (last == 1 && tied_to_end_) return text == pieces_.front();
    text.remove_prefix(pieces_.front().size());
    ++first;
  }
  if (tied_to_end_ && last > first) {
    if (!text.ends_with(pieces_.back())) return false;
    text.remove_suffix(pieces_.back().size());
    --last;
  }
  // The leftmost place of each piece leaves the most room for the next.
  for (; first < last; ++first) {
    const size_t at = text.find(pieces_[first]);
    if (at == std::string_view::npos) return false;
    text.remove_prefix(at + pieces_[first].size());
  }
  return true;
}

}  // namespace loopsan
