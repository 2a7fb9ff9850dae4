// Names that people read, for the names that compilers and JITs gave.
#include <cxxabi.h>

#include <charconv>
#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "absl/strings/ascii.h"
#include "reporters/symbolizer.h"

namespace loopsan {
namespace {

constexpr size_t kMaxMangledBytes = 16 * 1024;

// Removes ".isra.0", ".part.3.cold", ... from the end of a C name.
std::string_view WithoutCloneMarks(std::string_view name) {
  static constexpr std::string_view kMarks[] = {".actor",  ".cold",   ".constprop", ".destroy",
                                                ".isra",   ".llvm",   ".lto_priv",  ".part",
                                                ".resume", ".cleanup"};
  for (bool again = true; again;) {
    again = false;
    std::string_view rest = name;
    while (!rest.empty() && absl::ascii_isdigit(rest.back())) rest.remove_suffix(1);
    if (rest.size() < name.size() && rest.ends_with('.')) {
      rest.remove_suffix(1);
    } else {
      rest = name;
    }
    for (const std::string_view mark : kMarks) {
      if (rest.size() > mark.size() && rest.ends_with(mark)) {
        name = rest.substr(0, rest.size() - mark.size());
        again = true;
        break;
      }
    }
  }
  return name;
}

// Rust's older mangling is C++'s with a hash as the last name: "::h" and 16 digits.
void RemoveRustHash(std::string& name) {
  constexpr size_t kHashBytes = 19;
  if (name.size() <= kHashBytes) return;
  const std::string_view hash = std::string_view(name).substr(name.size() - kHashBytes);
  if (!hash.starts_with("::h")) return;
  if (hash.find_first_not_of("0123456789abcdef", 3) != std::string_view::npos) return;
  name.resize(name.size() - kHashBytes);
}

}  // namespace

std::string CoroutineName(std::string function) {
  // Where the parameters that end at the end of `text` begin.
  const auto parameters = [](std::string_view text) {
    size_t end = text.rfind(')');
    size_t depth = 0;
    for (size_t i = end == std::string_view::npos ? 0 : end + 1; i-- > 0;) {
      if (text[i] == ')') ++depth;
      if (text[i] == '(' && --depth == 0) return i;
    }
    return std::string_view::npos;
  };
  constexpr std::string_view kEnd = ".Frame*)";
  if (!function.ends_with(kEnd)) return function;
  const size_t body = parameters(function);
  if (body == std::string::npos) return function;
  std::string_view coroutine = std::string_view(function).substr(body + 1);
  coroutine = coroutine.substr(0, coroutine.rfind("::_Z"));
  const size_t arguments = parameters(coroutine);
  if (arguments == std::string_view::npos) return function;
  return function.substr(0, body) + std::string(coroutine.substr(arguments));
}

std::string ReadableName(std::string_view symbol) {
  if (const size_t version = symbol.find('@', 1); version != std::string_view::npos) {
    symbol = symbol.substr(0, version);
  }
  if (symbol.starts_with("_Z") && symbol.size() <= kMaxMangledBytes) {
    int status = 0;
    std::unique_ptr<char, decltype(&free)> demangled(
        abi::__cxa_demangle(std::string(symbol).c_str(), nullptr, nullptr, &status), free);
    if (status == 0 && demangled != nullptr) {
      std::string name = demangled.get();
      if (const size_t clone = name.find(" [clone "); clone != std::string::npos) {
        name.resize(clone);
      }
      RemoveRustHash(name);
      return CoroutineName(std::move(name));
    }
  }
  return std::string(WithoutCloneMarks(symbol));
}

ReportFrame FrameOfJitName(std::string_view name) {
  ReportFrame frame;
  // V8: kind, ':', tier mark, function, ' ', file ':' line ':' column.
  for (const std::string_view kind : {"JS:", "LazyCompile:", "Function:", "Eval:", "Script:"}) {
    if (!name.starts_with(kind)) continue;
    std::string_view rest = name.substr(kind.size());
    if (rest.find_first_of("*~^+") == 0) rest.remove_prefix(1);
    const size_t space = rest.find(' ');
    frame.function = rest.substr(0, space);
    if (space == std::string_view::npos) return frame;
    std::string_view source = rest.substr(space + 1);
    const auto take_number = [&source](int& number) {
      const size_t colon = source.rfind(':');
      if (colon == std::string_view::npos) return false;
      const std::string_view digits = source.substr(colon + 1);
      const auto [end, error] = std::from_chars(digits.begin(), digits.end(), number);
      if (error != std::errc() || end != digits.end() || number < 0) return false;
      source = source.substr(0, colon);
      return true;
    };
    int column = 0;
    int line = 0;
    if (take_number(column) && take_number(line)) frame.line = line;
    if (source.starts_with("file://")) source.remove_prefix(7);
    frame.file = source;
    if (frame.function.empty()) frame.function = "(anonymous)";
    return frame;
  }
  if (name.starts_with("py::")) {
    const std::string_view rest = name.substr(4);
    const size_t path = rest.find(":/");
    const size_t colon = path == std::string_view::npos ? rest.rfind(':') : path;
    frame.function = rest.substr(0, colon);
    if (colon != std::string_view::npos) frame.file = rest.substr(colon + 1);
    return frame;
  }
  frame.function = name;
  return frame;
}

}  // namespace loopsan
