// Comparison with the files in tests/reporters/golden. With the environment
// variable LOOPSAN_UPDATE_GOLDEN=1 they are written instead: look at the diff.
#pragma once

#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <locale>
#include <sstream>
#include <string>

namespace loopsan {

inline std::string ReadFile(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  EXPECT_TRUE(file.is_open()) << path;
  std::ostringstream content;
  content << file.rdbuf();
  return content.str();
}

inline void ExpectGolden(const std::string& name, const std::string& text) {
  const std::string path = std::string(LOOPSAN_GOLDEN_DIR) + "/" + name;
  const char* update = std::getenv("LOOPSAN_UPDATE_GOLDEN");
  if (update != nullptr && std::string(update) == "1") {
    std::ofstream(path, std::ios::binary) << text;
    return;
  }
  EXPECT_EQ(ReadFile(path), text) << "if this is meant: LOOPSAN_UPDATE_GOLDEN=1";
}

// While it lives, the program and new streams write numbers as Germans do:
// 1.234.567,89. As a facet, because the machine need not have the locale.
class GermanNumbers {
 public:
  GermanNumbers() : before_(std::locale::global(std::locale(std::locale(), new Punctuation))) {
    std::setlocale(LC_ALL, "de_DE.UTF-8");  // where it exists, printf speaks it too
  }
  ~GermanNumbers() {
    std::setlocale(LC_ALL, "C");
    std::locale::global(before_);
  }

 private:
  struct Punctuation : std::numpunct<char> {
    char do_decimal_point() const override { return ','; }
    char do_thousands_sep() const override { return '.'; }
    std::string do_grouping() const override { return "\3"; }
  };
  std::locale before_;
};

}  // namespace loopsan
