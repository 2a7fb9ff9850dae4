#include "reporters/reporter.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>

#include "absl/strings/str_cat.h"
#include "reporters/internal/text_paper.h"

namespace loopsan {
namespace {

constexpr Reporter kReporters[] = {
    {"text", "what people read on a terminal", WriteText},
    {"json", "everything, for programs (docs/report-format.md)", WriteJson},
    {"sarif", "SARIF 2.1.0, for code scanning and editors", WriteSarif},
    {"junit", "JUnit XML, for the test pages of CI systems", WriteJunit},
    {"github", "GitHub workflow commands that annotate lines", WriteGithub},
    {"gitlab", "GitLab Code Quality", WriteGitlab},
    {"markdown", "a summary for job pages and comments", WriteMarkdown},
    {"folded", "folded stacks, for flame graph tools; weights are microseconds", WriteFolded},
    {"speedscope", "flame graphs per loop, for https://www.speedscope.app", WriteSpeedscope},
    {"trace", "the timeline, for https://ui.perfetto.dev and chrome://tracing", WriteTrace},
    {"html", "one page to open in a browser, offline", WriteHtml},
};

constexpr size_t kShortNameBytes = 80;

std::string_view BaseName(std::string_view path) {
  const size_t slash = path.rfind('/');
  return slash == std::string_view::npos ? path : path.substr(slash + 1);
}

struct OwnerRule {
  std::string_view prefix;
  std::string_view library;
};

// Functions by which a library is known even where it is linked statically or
// is a header.
constexpr OwnerRule kFunctionRules[] = {
    {"loopsan::internal::", "the runtime"},
    {"boost::asio::", "Asio"},
    {"asio::", "Asio"},
    {"uv_", "libuv"},
    {"event_base_", "libevent"},
    {"event_process_active", "libevent"},
    {"event_persist_closure", "libevent"},
    {"g_main_", "GLib"},
    {"node::", "Node.js"},
    {"v8::", "V8"},
    {"Builtins_", "V8"},
    {"Builtin:", "V8"},
    {"BytecodeHandler:", "V8"},
    {"Stub:", "V8"},
    {"_PyEval_", "CPython"},
    {"_PyObject_", "CPython"},
    {"_PyFunction_", "CPython"},
    {"PyEval_", "CPython"},
    {"PyObject_", "CPython"},
    {"PyVectorcall_", "CPython"},
    {"Py_", "CPython"},
    {"tokio::", "tokio"},
    {"mio::", "tokio"},
    {"std::", "the standard library"},
    {"__gnu_cxx::", "the standard library"},
    {"core::ops::", "the standard library"},
};

constexpr OwnerRule kModuleRules[] = {
    {"libloopsan.so", "loopsan"}, {"libuv.so", "libuv"},     {"libevent", "libevent"},
    {"libglib-2.0.so", "GLib"},   {"libnode.so", "Node.js"}, {"libpython", "CPython"},
    {"python3", "CPython"},
};

constexpr OwnerRule kFileRules[] = {
    {"node:", "Node.js"},
    {"/usr/include/c++/", "the standard library"},
    {"/usr/include/boost/asio/", "Asio"},
    {"/usr/include/", "a system header"},
};

std::string_view Match(std::span<const OwnerRule> rules, std::string_view text) {
  for (const OwnerRule& rule : rules) {
    if (text.starts_with(rule.prefix)) return rule.library;
  }
  return {};
}

bool IsSystemLibrary(std::string_view module) {
  static constexpr std::string_view kDirectories[] = {"/lib/", "/lib64/", "/usr/lib/",
                                                      "/usr/lib64/"};
  return BaseName(module).find(".so") != std::string_view::npos &&
         std::any_of(std::begin(kDirectories), std::end(kDirectories),
                     [&](std::string_view directory) { return module.starts_with(directory); });
}

bool StartsThread(std::string_view function) {
  static constexpr std::string_view kNames[] = {
      "_start",    "start_thread", "clone",        "__clone",
      "clone3",    "__clone3",     "thread_start", "execute_native_thread_routine",
      "call_init",
  };
  static constexpr std::string_view kPrefixes[] = {
      "__libc_start_",          "std::thread::_State_impl<",
      "std::thread::_Invoker<", "std::__invoke",
      "std::invoke<",           "std::jthread::",
  };
  return std::find(std::begin(kNames), std::end(kNames), function) != std::end(kNames) ||
         std::any_of(std::begin(kPrefixes), std::end(kPrefixes),
                     [&](std::string_view prefix) { return function.starts_with(prefix); });
}

// Length of the UTF-8 sequence at the start of `text`, 0 if it is none.
size_t DecodeUtf8(std::string_view text, uint32_t& code) {
  const auto byte = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char first = byte(0);
  if (first < 0x80) {
    code = first;
    return 1;
  }
  const size_t length = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
  if (first < 0xc2 || first > 0xf4 || text.size() < length) return 0;
  code = first & (0xff >> (length + 1));
  for (size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xc0) != 0x80) return 0;
    code = code << 6 | (byte(i) & 0x3f);
  }
  constexpr std::array<uint32_t, 5> kSmallest = {0, 0, 0x80, 0x800, 0x10000};
  const bool surrogate = code >= 0xd800 && code <= 0xdfff;
  return code < kSmallest[length] || code > 0x10ffff || surrogate ? 0 : length;
}

// Characters that act instead of being seen: C1 controls, marks that turn the
// direction of text, separators that some terminals take for a newline; and
// those that are none, which XML forbids.
bool IsHidden(uint32_t code) {
  return (code >= 0x7f && code <= 0x9f) || code == 0xad || code == 0x61c ||
         (code >= 0x200b && code <= 0x200f) || (code >= 0x2028 && code <= 0x202e) ||
         (code >= 0x2060 && code <= 0x206f) || code == 0xfeff ||
         (code >= 0xe0000 && code <= 0xe007f) || (code & 0xfffe) == 0xfffe;
}

// Three digits; the limits are where rounding carries into another one.
std::string ThreeDigits(double value) {
  return text::Fixed(value, value >= 99.95 ? 0 : value >= 9.995 ? 1 : value >= 0.9995 ? 2 : 3);
}

}  // namespace

std::span<const Reporter> Reporters() { return kReporters; }

const Reporter* FindReporter(std::string_view name) {
  const auto* const found =
      std::find_if(std::begin(kReporters), std::end(kReporters),
                   [&](const Reporter& reporter) { return reporter.name == name; });
  return found == std::end(kReporters) ? nullptr : found;
}

std::string_view WithoutReturnType(std::string_view function) {
  int depth = 0;
  size_t start = 0;
  for (size_t i = 0; i < function.size(); ++i) {
    const std::string_view rest = function.substr(i);
    if (depth == 0 && rest.starts_with("operator")) break;  // its < and > are no brackets
    if (depth == 0 && rest.starts_with("(anonymous namespace)")) {
      i += std::string_view("(anonymous namespace)").size() - 1;
      continue;
    }
    const char c = function[i];
    if (depth == 0 && c == '(') break;
    if (c == '<' || c == '(' || c == '{' || c == '[') ++depth;
    if (c == '>' || c == ')' || c == '}' || c == ']') --depth;
    if (depth == 0 && c == ' ') start = i + 1;
  }
  return function.substr(start);
}

FrameOwner OwnerOf(const ReportFrame& frame) {
  const std::string_view function = WithoutReturnType(frame.function);
  const std::string_view module_name = BaseName(frame.module);
  FrameOwner owner;
  owner.starts_thread = StartsThread(function);
  owner.library = Match(kFunctionRules, function);
  if (owner.library.empty()) owner.library = Match(kModuleRules, module_name);
  if (owner.library.empty()) owner.library = Match(kFileRules, frame.file);
  if (!owner.library.empty()) return owner;
  if (module_name.find(".cpython-") != std::string_view::npos) {
    owner.library = "CPython";
  } else if (frame.module == "[vdso]") {
    owner.library = "the vdso";
  } else if (frame.module == "[jit]" && frame.function.empty()) {
    owner.library = "generated code";
  } else if (IsSystemLibrary(frame.module)) {
    owner.library = module_name.substr(0, module_name.find(".so"));
  } else if (owner.starts_thread) {
    owner.library = "the program's start";
  }
  return owner;
}

const ReportFrame* OwnFrame(const std::vector<ReportFrame>& stack) {
  const auto own = std::find_if(stack.begin(), stack.end(), [](const ReportFrame& frame) {
    return !frame.function.empty() && OwnerOf(frame).library.empty();
  });
  if (own != stack.end()) return &*own;
  // A platform's own function says more than the C library's or libuv's below it.
  for (const std::string_view platform : {"Node.js", "CPython", "V8"}) {
    const auto found = std::find_if(stack.begin(), stack.end(), [&](const ReportFrame& frame) {
      return !frame.function.empty() && OwnerOf(frame).library == platform;
    });
    if (found != stack.end()) return &*found;
  }
  const auto named = std::find_if(stack.begin(), stack.end(),
                                  [](const ReportFrame& frame) { return !frame.function.empty(); });
  if (named != stack.end()) return &*named;
  return stack.empty() ? nullptr : &stack.front();
}

std::string ShortName(std::string_view function) {
  if (function.size() <= kShortNameBytes) return std::string(function);
  std::string_view rest = WithoutReturnType(function);
  if (rest.size() <= kShortNameBytes) return std::string(rest);
  std::string name;
  const auto copy = [&](size_t count) {
    name += rest.substr(0, count);
    rest.remove_prefix(std::min(count, rest.size()));
  };
  while (!rest.empty()) {
    for (const std::string_view whole : {"operator()", "operator", "(anonymous namespace)"}) {
      if (!rest.starts_with(whole)) continue;
      copy(whole.size());
      if (whole == "operator") copy(std::min(rest.find_first_not_of("<>=!-"), rest.size()));
      break;
    }
    if (rest.empty()) break;
    const char open = rest.front();
    copy(1);
    if (open != '<' && open != '(') continue;
    int depth = 1;
    size_t inside = 0;
    for (; inside < rest.size(); ++inside) {
      const char c = rest[inside];
      if (c == '<' || c == '(') ++depth;
      if (c == ')' || (c == '>' && inside > 0 && rest[inside - 1] != '-')) --depth;
      if (depth == 0) break;
    }
    if (inside > 0) name += "...";
    rest.remove_prefix(inside);
  }
  return name;
}

std::string FormatSeconds(double seconds) {
  if (!std::isfinite(seconds) || seconds <= 0) return "0 s";
  if (seconds >= 0.0995) return ThreeDigits(seconds) + " s";
  if (seconds >= 0.0009995) return ThreeDigits(seconds * 1e3) + " ms";
  if (seconds >= 0.9995e-6) return text::Fixed(seconds * 1e6, 0) + " us";
  return text::Fixed(seconds * 1e9, 0) + " ns";
}

std::string Printable(std::string_view untrusted) {
  std::string line;
  line.reserve(untrusted.size());
  while (!untrusted.empty()) {
    uint32_t code = 0;
    const size_t length = DecodeUtf8(untrusted, code);
    if (length == 0 || code < 0x20) {
      switch (untrusted.front()) {
        case '\n':
          line += "\\n";
          break;
        case '\r':
          line += "\\r";
          break;
        case '\t':
          line += "\\t";
          break;
        default:
          absl::StrAppend(
              &line, "\\x",
              absl::Hex(static_cast<unsigned char>(untrusted.front()), absl::kZeroPad2));
      }
      untrusted.remove_prefix(1);
      continue;
    }
    if (IsHidden(code)) {
      absl::StrAppend(&line, "\\u{", absl::Hex(code), "}");
    } else {
      line += untrusted.substr(0, length);
    }
    untrusted.remove_prefix(length);
  }
  return line;
}

}  // namespace loopsan
