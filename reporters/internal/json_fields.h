// Reads JSON that others wrote: every value is asked for by its name and its
// type, and the first that is missing or wrong becomes one error that names it,
// "findings[3].stack[0].line: expected a whole number, found a string". After an
// error every further question is answered with nothing.
//
// Threads: one.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace loopsan {

// Parses a text. An error names the line; nesting is limited, so that nobody who
// walks the result can be made to recurse without end.
absl::StatusOr<nlohmann::json> ParseJson(std::string_view text);

// One value and the way to it. It refers to the place that it was asked from: a
// place does not outlive its parent.
class JsonPlace {
 public:
  // The whole document. Both outlive the place; the first error goes to `status`.
  JsonPlace(const nlohmann::json& document, absl::Status& status)
      : value_(&document), status_(&status) {}
  JsonPlace(const JsonPlace&) = delete;
  JsonPlace& operator=(const JsonPlace&) = delete;

  // A field of an object. A missing one is an error, or nothing if it is optional.
  JsonPlace Field(std::string_view name) const;
  JsonPlace OptionalField(std::string_view name) const;
  // Any other field of the object is an error.
  void AllowOnly(std::initializer_list<std::string_view> names) const;

  size_t Size() const;  // of an array
  JsonPlace Element(size_t index) const;

  // Each keeps `to` if it fails or if an optional field is not there.
  void Read(std::string& to) const;
  void Read(bool& to) const;
  void Read(int& to) const;
  void Read(uint64_t& to) const;
  void ReadSeconds(double& to) const;  // 0 to kMostSeconds

  // What is wrong with the value that was read last.
  void Fail(std::string_view complaint) const;

  static constexpr double kMostSeconds = 1e9;

 private:
  JsonPlace(const JsonPlace* parent, std::string_view name, size_t index,
            const nlohmann::json* value)
      : parent_(parent), name_(name), index_(index), value_(value), status_(parent->status_) {}

  void Expect(std::string_view what) const;
  std::string Path() const;

  const JsonPlace* parent_ = nullptr;
  std::string_view name_;  // empty for an element
  size_t index_ = 0;
  const nlohmann::json* value_;  // null: nothing to read
  absl::Status* status_;
};

}  // namespace loopsan
