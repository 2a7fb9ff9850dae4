#include "reporters/internal/json_fields.h"

#include <algorithm>
#include <limits>
#include <nlohmann/json.hpp>

#include "reporters/internal/text_paper.h"
#include "reporters/reporter.h"

namespace loopsan {

using text::Concat;

namespace {

using Json = nlohmann::json;

constexpr int kDeepest = 64;
constexpr size_t kNameBytes = 80;

struct TooDeep {};

// Where a byte is, for people.
std::string LineAndColumn(std::string_view text, size_t byte) {
  const std::string_view before = text.substr(0, byte == 0 ? 0 : byte - 1);
  const auto line = std::count(before.begin(), before.end(), '\n') + 1;
  const size_t line_start = before.rfind('\n') + 1;  // npos + 1 is 0
  return Concat("line ", line, ", column ", before.size() - line_start + 1);
}

std::string Shown(std::string_view name) { return Printable(name.substr(0, kNameBytes)); }

std::string_view TypeName(const Json& value) {
  switch (value.type()) {
    case Json::value_t::null:
      return "null";
    case Json::value_t::object:
      return "an object";
    case Json::value_t::array:
      return "an array";
    case Json::value_t::string:
      return "a string";
    case Json::value_t::boolean:
      return "true or false";
    case Json::value_t::number_integer:
      return "a negative number";
    case Json::value_t::number_unsigned:
      return "a whole number";
    case Json::value_t::number_float:
      return "a number with a fraction or out of range";
    default:
      return "something else";
  }
}

}  // namespace

absl::StatusOr<Json> ParseJson(std::string_view text) {
  try {
    return Json::parse(text, [](int depth, Json::parse_event_t, Json&) {
      if (depth > kDeepest) throw TooDeep();
      return true;
    });
  } catch (const TooDeep&) {
    return absl::InvalidArgumentError(Concat("nested more than ", kDeepest, " deep"));
  } catch (const Json::parse_error& error) {
    return absl::InvalidArgumentError(
        Concat("not JSON from ", LineAndColumn(text, error.byte), " on"));
  } catch (const Json::out_of_range&) {
    return absl::InvalidArgumentError("a number is too large");
  }
}

std::string JsonPlace::Path() const {
  if (parent_ == nullptr) return "";
  std::string path = parent_->Path();
  if (name_.empty()) return Concat(path, "[", index_, "]");
  return Concat(path, path.empty() ? "" : ".", Shown(name_));
}

void JsonPlace::Fail(std::string_view complaint) const {
  if (!status_->ok()) return;
  const std::string path = Path();
  *status_ =
      absl::InvalidArgumentError(Concat(path.empty() ? "the document" : path, ": ", complaint));
}

void JsonPlace::Expect(std::string_view what) const {
  Fail(Concat("expected ", what, ", found ", TypeName(*value_)));
}

JsonPlace JsonPlace::OptionalField(std::string_view name) const {
  const Json* value = nullptr;
  if (value_ != nullptr && status_->ok()) {
    if (!value_->is_object()) {
      Expect("an object");
    } else if (const auto at = value_->find(name); at != value_->end()) {
      value = &*at;
    }
  }
  return JsonPlace(this, name, 0, value);
}

JsonPlace JsonPlace::Field(std::string_view name) const {
  JsonPlace field = OptionalField(name);
  if (value_ != nullptr && field.value_ == nullptr) field.Fail("is missing");
  return JsonPlace(this, name, 0, field.value_);
}

void JsonPlace::AllowOnly(std::initializer_list<std::string_view> names) const {
  if (value_ == nullptr || !value_->is_object()) return;
  for (const auto& item : value_->items()) {
    if (std::find(names.begin(), names.end(), item.key()) != names.end()) continue;
    std::string known;
    for (const std::string_view name : names) {
      text::AppendAll(known, known.empty() ? "" : ", ", name);
    }
    Fail(Concat("unknown field \"", Shown(item.key()), "\"; the fields are ", known));
  }
}

size_t JsonPlace::Size() const {
  if (value_ == nullptr || !status_->ok()) return 0;
  if (value_->is_array()) return value_->size();
  Expect("an array");
  return 0;
}

JsonPlace JsonPlace::Element(size_t index) const {
  return JsonPlace(this, "", index, value_ == nullptr ? nullptr : &(*value_)[index]);
}

void JsonPlace::Read(std::string& to) const {
  if (value_ == nullptr) return;
  if (!value_->is_string()) return Expect("a string");
  to = value_->get_ref<const std::string&>();
}

void JsonPlace::Read(bool& to) const {
  if (value_ == nullptr) return;
  if (!value_->is_boolean()) return Expect("true or false");
  to = value_->get<bool>();
}

void JsonPlace::Read(int& to) const {
  if (value_ == nullptr) return;
  if (!value_->is_number_integer()) return Expect("a whole number");
  constexpr int kMost = std::numeric_limits<int>::max();
  const bool fits = value_->is_number_unsigned() ? value_->get<uint64_t>() <= kMost
                                                 : value_->get<int64_t>() >= -kMost;
  if (!fits) return Fail(Concat("is out of range: expected at most ", kMost));
  to = value_->get<int>();
}

void JsonPlace::Read(uint64_t& to) const {
  if (value_ == nullptr) return;
  if (!value_->is_number_unsigned()) return Expect("a whole number from 0 to 2^64 - 1");
  to = value_->get<uint64_t>();
}

void JsonPlace::ReadSeconds(double& to) const {
  if (value_ == nullptr) return;
  if (!value_->is_number()) return Expect("a number of seconds");
  const double seconds = value_->get<double>();
  // The negation refuses NaN too.
  if (!(seconds >= 0 && seconds <= kMostSeconds)) {
    return Fail("is no length of time: expected 0 to 1000000000 seconds");
  }
  to = seconds;
}

}  // namespace loopsan
