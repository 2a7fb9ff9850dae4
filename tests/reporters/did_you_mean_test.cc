#include "reporters/did_you_mean.h"

#include <gtest/gtest.h>

#include <vector>

namespace loopsan {
namespace {

const std::vector<std::string> kNames = {"threshold", "require_loop", "json", "junit", "html"};

TEST(DidYouMean, FindsTheNameThatIsMisspelt) {
  EXPECT_EQ(DidYouMean("treshold", kNames), " (did you mean 'threshold'?)");
  EXPECT_EQ(DidYouMean("thresholds", kNames), " (did you mean 'threshold'?)");
  EXPECT_EQ(DidYouMean("jsno", kNames), " (did you mean 'json'?)");
  EXPECT_EQ(DidYouMean("require-lop", kNames), " (did you mean 'require_loop'?)");
}

TEST(DidYouMean, IsSilentIfNothingIsNear) {
  for (const char* name : {"", "x", "xml", "speed", "pdf", "hold", "j", "threshold=50ms-or-more"}) {
    EXPECT_EQ(DidYouMean(name, kNames), "") << name;
  }
  EXPECT_EQ(DidYouMean(std::string(100'000, 't'), kNames), "");
  EXPECT_EQ(DidYouMean("ab", std::vector<std::string>{"c", "", std::string(100'000, 't')}), "");
}

TEST(DidYouMean, NamesOneOnly) {
  EXPECT_EQ(DidYouMean("cat", std::vector<std::string>{"bat", "hat", "carts"}),
            " (did you mean 'bat'?)");
  EXPECT_EQ(DidYouMean("juni", std::vector<std::string>{"june", "junit", "july"}),
            " (did you mean 'june'?)");
}

}  // namespace
}  // namespace loopsan
