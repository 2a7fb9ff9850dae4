// JSON as every reporter writes it.
//
// Threads: any; no state.
#pragma once

#include <cmath>
#include <nlohmann/json.hpp>
#include <ostream>

#ifndef LOOPSAN_VERSION
#define LOOPSAN_VERSION "0.1.0"
#endif

namespace loopsan {

using Json = nlohmann::ordered_json;

// JSON has no NaN, time taken is never negative, and 0.30000000000000004 s claims
// to know more than we do.
inline double Seconds(double seconds) {
  if (!std::isfinite(seconds)) return 0;
  const double nanoseconds = std::round(seconds * 1e9);
  return std::isfinite(nanoseconds) && nanoseconds > 0 ? nanoseconds / 1e9 : 0;
}

// Bytes that are not UTF-8 become U+FFFD. `indent` is that of a level.
inline void WriteJsonText(const Json& json, int indent, std::ostream& out) {
  const std::string text =
      json.dump(indent, ' ', /*ensure_ascii=*/false, Json::error_handler_t::replace);
  // Not operator<<: it obeys the stream's width and locale.
  out.write(text.data(), static_cast<std::streamsize>(text.size()));
  out.put('\n');
}

}  // namespace loopsan
