#include "runtime/internal/intrusive.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <list>
#include <memory>
#include <random>
#include <vector>

namespace loopsan::internal {
namespace {

using ::testing::ElementsAre;
using ::testing::ElementsAreArray;

struct Element : ListNode {
  explicit Element(int the_value) : value(the_value) {}
  int value;
};

std::vector<int> Values(const List<Element>& list) {
  std::vector<int> values;
  for (Element* each = list.front(); each != nullptr; each = list.After(each)) {
    values.push_back(each->value);
  }
  return values;
}

TEST(List, IsFirstInFirstOut) {
  Element one(1);
  Element two(2);
  List<Element> list;
  EXPECT_TRUE(list.empty());
  EXPECT_EQ(list.front(), nullptr);
  list.PushBack(&one);
  list.PushBack(&two);
  EXPECT_EQ(list.CountSlowly(), 2u);
  EXPECT_EQ(list.PopFront(), &one);
  EXPECT_FALSE(one.is_linked());
  EXPECT_TRUE(two.is_linked());
  EXPECT_EQ(list.PopFront(), &two);
  EXPECT_EQ(list.PopFront(), nullptr);
}

TEST(List, AnElementLeavesFromTheMiddle) {
  Element one(1);
  Element two(2);
  Element three(3);
  List<Element> list;
  for (Element* each : {&one, &two, &three}) list.PushBack(each);
  two.Unlink();
  two.Unlink();  // leaving twice is leaving once
  EXPECT_THAT(Values(list), ElementsAre(1, 3));
}

TEST(List, AnElementThatIsDestroyedHasLeft) {
  Element one(1);
  List<Element> list;
  list.PushBack(&one);
  {
    Element two(2);
    list.PushBack(&two);
  }
  EXPECT_THAT(Values(list), ElementsAre(1));
}

TEST(List, ThatIsDestroyedLetsItsElementsGo) {
  Element one(1);
  Element two(2);
  {
    List<Element> list;
    list.PushBack(&one);
    list.PushBack(&two);
  }
  EXPECT_FALSE(one.is_linked());
  EXPECT_FALSE(two.is_linked());
}

TEST(List, AnElementGoesFromListToList) {
  Element one(1);
  List<Element> first;
  List<Element> second;
  first.PushBack(&one);
  one.Unlink();
  second.PushBack(&one);
  EXPECT_TRUE(first.empty());
  EXPECT_THAT(Values(second), ElementsAre(1));
}

class ListUnderRandomUse : public ::testing::TestWithParam<uint32_t> {};

TEST_P(ListUnderRandomUse, IsWhatStdListIs) {
  std::mt19937 random(GetParam());
  List<Element> list;
  std::list<int> model;
  std::vector<std::unique_ptr<Element>> elements;
  for (int i = 0; i < 2000; ++i) {
    const auto what = random() % 8;
    if (what < 4 || elements.empty()) {
      elements.push_back(std::make_unique<Element>(i));
      list.PushBack(elements.back().get());
      model.push_back(i);
    } else if (what == 4) {
      Element* const popped = list.PopFront();
      ASSERT_EQ(popped != nullptr, !model.empty());
      if (popped != nullptr) {
        EXPECT_EQ(popped->value, model.front());
        model.pop_front();
      }
    } else {
      const size_t which = random() % elements.size();
      model.remove(elements[which]->value);
      if (what == 5) elements[which]->Unlink();
      if (what > 5) elements.erase(elements.begin() + static_cast<ptrdiff_t>(which));
    }
  }
  EXPECT_THAT(Values(list), ElementsAreArray(model));
}

INSTANTIATE_TEST_SUITE_P(Seeds, ListUnderRandomUse, ::testing::Range(1u, 11u));

}  // namespace
}  // namespace loopsan::internal
