#include "reporters/internal/text_paper.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "absl/strings/str_replace.h"
#include "reporters/reporter.h"

namespace loopsan::text {
namespace {

constexpr size_t kMaxFunctionBytes = 160;
constexpr size_t kMaxPathBytes = 1000;
// Of one library's frames between the call and the user's code these many are
// shown; farther out, where the loop calls, any two or more become one line.
constexpr size_t kLibraryFramesShown = 3;

std::string Hex(uint64_t number) {
  char digits[16];
  return std::string(digits, std::to_chars(digits, digits + sizeof digits, number, 16).ptr);
}

std::string WithThousands(uint64_t number) {
  const std::string digits = std::to_string(number);
  std::string text;
  for (size_t i = 0; i < digits.size(); ++i) {
    if (i > 0 && (digits.size() - i) % 3 == 0) text += ',';
    text += digits[i];
  }
  return text;
}

// "src/a.cc:12", "(server+0x1f00)", "(server [inlined])".
std::string PlaceText(const ReportFrame& frame) {
  if (!frame.file.empty()) {
    std::string place = Printable(Clipped(frame.file, kMaxPathBytes));
    if (frame.line > 0) AppendAll(place, ":", frame.line);
    return place;
  }
  if (frame.module == "[jit]" || frame.module.empty()) {
    return Concat("(", frame.module.empty() ? "unknown" : frame.module, " 0x", Hex(frame.offset),
                  ")");
  }
  return Concat("(", Printable(Clipped(BaseName(frame.module), kMaxPathBytes)), "+0x",
                Hex(frame.offset), ")");
}

// One line of a stack as shown: a frame, or how many of which library are left out.
struct StackLine {
  const ReportFrame* frame = nullptr;
  size_t number = 0;
  size_t left_out = 0;
  std::string_view library;
};

std::vector<StackLine> ShortenStack(const std::vector<ReportFrame>& stack) {
  std::vector<std::string_view> owners;
  for (const ReportFrame& frame : stack) owners.push_back(OwnerOf(frame).library);
  size_t begin = 0;
  size_t end = stack.size();
  while (begin < end && owners[begin] == "loopsan") ++begin;
  while (end > begin + 1 && OwnerOf(stack[end - 1]).starts_thread) --end;
  const auto own = std::find(owners.begin() + begin, owners.begin() + end, "");
  const size_t own_index = own - owners.begin();

  std::vector<StackLine> lines;
  for (size_t i = begin; i < end;) {
    size_t run = i;
    while (run < end && owners[run] == owners[i]) ++run;
    const bool collapse = !owners[i].empty();
    const size_t shown = i > own_index ? 0 : kLibraryFramesShown;
    const size_t keep = collapse && run - i > shown + 1 ? i + shown : run;
    for (; i < keep; ++i) lines.push_back({.frame = &stack[i], .number = i});
    if (i < run) lines.push_back({.left_out = run - i, .library = owners[i]});
    i = run;
  }
  return lines;
}

}  // namespace

std::string Count(uint64_t number, std::string_view one, std::string_view many) {
  return Concat(WithThousands(number), " ", number == 1 ? one : many);
}

std::string Count(uint64_t number, std::string_view one) {
  return Count(number, one, Concat(one, "s"));
}

std::string Fixed(double value, int digits) {
  char buffer[64];
  const auto [end, error] =
      std::to_chars(buffer, buffer + sizeof buffer, value, std::chars_format::fixed, digits);
  return error == std::errc() && std::isfinite(value) ? std::string(buffer, end) : "0";
}

std::string Clipped(std::string_view text, size_t max_bytes) {
  if (text.size() <= max_bytes) return std::string(text);
  size_t cut = max_bytes;
  while (cut > 0 && (static_cast<unsigned char>(text[cut]) & 0xc0) == 0x80) --cut;
  return Concat(text.substr(0, cut), "...");
}

std::string PrintableClipped(std::string_view untrusted, size_t max_bytes) {
  // Cut before, because a name may be megabytes, and after, because it grows.
  return Clipped(Printable(Clipped(untrusted, max_bytes)), max_bytes);
}

std::string_view BaseName(std::string_view path) { return path.substr(path.rfind('/') + 1); }

std::string FunctionText(std::string_view function) {
  const std::string name = Printable(ShortName(absl::StrReplaceAll(
      absl::string_view(function.data(), function.size()),
      {{"std::__cxx11::basic_string<char, std::char_traits<char>, std::allocator<char> >",
        "std::string"}})));
  return Clipped(name, kMaxFunctionBytes);
}

std::string WhereText(const ReportFrame& frame) {
  std::string where = PlaceText(frame);
  if (!frame.function.empty()) AppendAll(where, " in ", FunctionText(frame.function));
  return where;
}

std::string CoroutineText(const SourcePlace& place) {
  return FunctionText(WithoutReturnType(place.function));
}

std::string LineText(const SourcePlace& place) {
  std::string text = Printable(Clipped(place.file, kMaxPathBytes));
  if (place.line > 0) AppendAll(text, ":", place.line);
  return text;
}

std::string WhereText(const SourcePlace& place) {
  std::string text = LineText(place);
  if (!place.function.empty()) {
    AppendAll(text, text.empty() ? "" : " in ", CoroutineText(place));
  }
  return text;
}

void WriteStack(const std::vector<ReportFrame>& stack, std::string_view indent, size_t max_lines,
                Paper& paper) {
  const ReportFrame* own = OwnFrame(stack);
  std::vector<StackLine> lines = ShortenStack(stack);
  size_t rest = 0;
  if (lines.size() > max_lines) {
    for (size_t i = max_lines; i < lines.size(); ++i) {
      rest += lines[i].frame != nullptr ? 1 : lines[i].left_out;
    }
    lines.resize(max_lines);
  }
  for (const StackLine& line : lines) {
    if (line.frame == nullptr) {
      paper.Add(paper.Styled(Style::kDim, Concat(indent, "... ", Count(line.left_out, "frame"),
                                                 " of ", Printable(line.library))),
                "\n");
      continue;
    }
    const ReportFrame& frame = *line.frame;
    std::string text = Concat(indent, "#", line.number, " ");
    if (!frame.function.empty()) AppendAll(text, FunctionText(frame.function), " ");
    AppendAll(text, PlaceText(frame), frame.inlined ? " [inlined]" : "");
    paper.Add(paper.Styled(line.frame == own ? Style::kStrong : Style::kPlain, text), "\n");
  }
  if (rest > 0) {
    paper.Add(paper.Styled(Style::kDim, Concat(indent, "... ", Count(rest, "frame"), " more")),
              "\n");
  }
}

}  // namespace loopsan::text
