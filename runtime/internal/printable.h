// Text that a program chose (names, messages of exceptions), made harmless for a terminal.
//
// Threads: any; WritePrintable() is async-signal-safe if `write` is.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace loopsan::internal {

// The bytes of the control character that `text` begins with; 0 if it begins with another.
inline size_t ControlBytes(std::string_view text) noexcept {
  const auto first = static_cast<unsigned char>(text[0]);
  if (first < 0x20 || first == 0x7f) return 1;
  // U+0080 to U+009F: a terminal may take U+009B for ESC [.
  if (first != 0xc2 || text.size() == 1) return 0;
  const auto second = static_cast<unsigned char>(text[1]);
  return second >= 0x80 && second < 0xa0 ? 2 : 0;
}

// Calls write(const char*, size_t) with pieces of `text`, and with "\n" or "\x1b", as source code
// has it, in place of each control character.
template <typename F>
void WritePrintable(std::string_view text, const F& write) {
  constexpr char kDigits[] = "0123456789abcdef";
  size_t plain = 0;  // so much of the text's beginning is yet to be written
  while (plain < text.size()) {
    const size_t bytes = ControlBytes(text.substr(plain));
    if (bytes == 0) {
      ++plain;
      continue;
    }
    if (plain != 0) write(text.data(), plain);
    for (const char each : text.substr(plain, bytes)) {
      const auto byte = static_cast<unsigned char>(each);
      const char escaped[] = {'\\', 'x', kDigits[byte >> 4], kDigits[byte & 15]};
      if (each == '\n' || each == '\r' || each == '\t') {
        write(each == '\n' ? "\\n" : each == '\r' ? "\\r" : "\\t", size_t{2});
      } else {
        write(escaped, sizeof escaped);
      }
    }
    text.remove_prefix(plain + bytes);
    plain = 0;
  }
  if (plain != 0) write(text.data(), plain);
}

inline std::string Printable(std::string_view text) {
  std::string printable;
  printable.reserve(text.size());
  WritePrintable(text, [&](const char* piece, size_t bytes) { printable.append(piece, bytes); });
  return printable;
}

}  // namespace loopsan::internal
