// What the texts for people are made of: paper with or without color, and how
// functions, places and stacks are written on it.
//
// Threads: any; no state.
#pragma once

#include <concepts>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "reporters/report.h"

namespace loopsan::text {

// absl::StrCat does not take std::string_view where Abseil has its own.
inline void Append(std::string& text, std::string_view part) { text += part; }
inline void Append(std::string& text, std::integral auto number) { text += std::to_string(number); }

template <typename... Parts>
void AppendAll(std::string& text, const Parts&... parts) {
  (Append(text, parts), ...);
}

template <typename... Parts>
std::string Concat(const Parts&... parts) {
  std::string text;
  (Append(text, parts), ...);
  return text;
}

enum class Style { kPlain, kBad, kWarning, kGood, kStrong, kDim };

class Paper {
 public:
  explicit Paper(bool color) : color_(color) {}

  template <typename... Parts>
  void Add(const Parts&... parts) {
    (Append(text_, parts), ...);
  }

  std::string Styled(Style style, std::string_view text) const {
    if (!color_ || style == Style::kPlain) return std::string(text);
    static constexpr std::string_view kCodes[] = {"", "1;31", "1;33", "1;32", "1", "2"};
    return Concat("\033[", kCodes[static_cast<size_t>(style)], "m", text, "\033[0m");
  }

  const std::string& text() const { return text_; }

 private:
  bool color_;
  std::string text_;
};

// "1,234 turns", "1 turn".
std::string Count(uint64_t number, std::string_view one, std::string_view many);
std::string Count(uint64_t number, std::string_view one);

// "0.300"; "0" for what is no number or too large. The same in every locale.
std::string Fixed(double value, int digits);

// At most `max_bytes` of a text, and dots if it was longer; cuts no character.
std::string Clipped(std::string_view text, size_t max_bytes);

// What Printable() makes of at most `max_bytes` of a text, cut to that again.
std::string PrintableClipped(std::string_view untrusted, size_t max_bytes);

std::string_view BaseName(std::string_view path);

// A function's name, printable and not too long.
std::string FunctionText(std::string_view function);
// What a compiler calls a coroutine: "app::Task<int> app::Read(int)" is
// "app::Read(int)".
std::string CoroutineText(const SourcePlace& place);
// "src/a.cc:12"; empty if the place is.
std::string LineText(const SourcePlace& place);
// "src/a.cc:12 in Serve()"; empty if the place is.
std::string WhereText(const SourcePlace& place);
std::string WhereText(const ReportFrame& frame);

// The frames, each on a line that begins with `indent`, the user's own nearest to
// what blocked in bold; of libraries no more than matters. At most `max_lines`.
void WriteStack(const std::vector<ReportFrame>& stack, std::string_view indent, size_t max_lines,
                Paper& paper);

}  // namespace loopsan::text
